//! A host's disk: an ext4 image on a loop device, under an overlay over the base tree.
//!
//! Everything a host writes goes through a real journalling file system to a block device whose backing file can be
//! copied below it. What the host has not synced is in the page cache of that file system and not in the file.

use crate::error::{Doing, Error, Result};
use crate::process::{must, tool};
use rustix::fs::{SeekFrom, copy_file_range, seek, syncfs};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How often a copy is begun anew because the disk was written to meanwhile.
const ATTEMPTS: u32 = 500;
/// How many of them are made while the host runs on.
const UNPAUSED: u32 = 10;

/// How long a mount may stay busy after its last process was killed.
const RELEASE: Duration = Duration::from_secs(60);

/// The read-only layers of a host's root, topmost first.
pub(crate) type Layers = Vec<PathBuf>;

/// A writable disk and the root directory that stands on it.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    /// Where the ext4 file system is mounted; holds `upper` and `work`.
    writable: PathBuf,
    /// Where the overlay is mounted: the host's root.
    root: PathBuf,
    layers: Layers,
    device: Option<PathBuf>,
    mounted: bool,
}

impl Disk {
    /// A disk of `mebibytes`, empty and mounted, in the host's directory `dir`.
    pub(crate) fn create(dir: &Path, layers: Layers, mebibytes: u64) -> Result<Self> {
        let disk = Self::at(dir, layers);
        let image = File::create_new(&disk.image).doing("create", &disk.image)?;
        image.set_len(mebibytes << 20).doing("size", &disk.image)?;
        // A small journal and finished tables: the less the image holds, the faster its copy.
        let format = ["-q", "-J", "size=8", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-m", "0"];
        must(tool("mkfs.ext4", &format).arg(&disk.image))?;
        disk.mounted()
    }

    /// The disk whose image was copied to `dir` already, mounted; ext4 replays its journal.
    pub(crate) fn open(dir: &Path, layers: Layers) -> Result<Self> {
        Self::at(dir, layers).mounted()
    }

    /// The path of the image that a disk in `dir` has.
    pub(crate) fn image_in(dir: &Path) -> PathBuf {
        dir.join("disk.img")
    }

    /// The host's root directory, seen from this machine.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What the host has changed against its layers, as overlayfs keeps it.
    pub(crate) fn upper(&self) -> PathBuf {
        self.writable.join("upper")
    }

    pub(crate) fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Writes everything out, as an orderly shutdown does.
    pub(crate) fn sync(&self) -> Result<()> {
        let writable = File::open(&self.writable).doing("open", &self.writable)?;
        syncfs(writable).doing("sync", &self.writable)
    }

    /// Copies the image to `to` as it is at one moment, without syncing the file system on it.
    ///
    /// The loop driver counts its writes. A copy during which none was begun, running or ended is the image of one
    /// moment; any other is thrown away. A host that writes without pause is made to by `pause`, until the copy is
    /// done.
    pub(crate) fn snapshot<P>(&self, to: &Path, pause: impl FnOnce() -> Result<P>) -> Result<()> {
        let Some(device) = self.device.as_deref() else {
            return self.copy(to);
        };
        let mut pause = Some(pause);
        let mut paused = None;
        for attempt in 0..ATTEMPTS {
            if attempt == UNPAUSED {
                paused = pause.take().map(|pause| pause()).transpose()?;
            }
            let before = Writes::of(device)?;
            if before.idle {
                self.copy(to)?;
                if Writes::of(device)? == before {
                    drop(paused);
                    return Ok(());
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(Error::Torn { image: self.image.clone(), attempts: ATTEMPTS })
    }

    /// Takes the place of the image with a copy of it, as it is after the power came back.
    pub(crate) fn replace(&mut self, image: &Path) -> Result<()> {
        self.detach()?;
        // The old image may still be held open by a mount that is being torn down, so it is left to it.
        fs::rename(image, &self.image).doing("replace", &self.image)?;
        self.attach()
    }

    /// Unmounts and mounts again, as a reboot does.
    pub(crate) fn remount(&mut self) -> Result<()> {
        self.unmount()?;
        self.mount()
    }

    fn at(dir: &Path, layers: Layers) -> Self {
        Self {
            image: Self::image_in(dir),
            writable: dir.join("disk"),
            root: dir.join("root"),
            layers,
            device: None,
            mounted: false,
        }
    }

    fn mounted(mut self) -> Result<Self> {
        for dir in [&self.writable, &self.root] {
            fs::create_dir_all(dir).doing("make directory", dir)?;
        }
        self.attach()?;
        Ok(self)
    }

    fn attach(&mut self) -> Result<()> {
        let device = must(tool("losetup", &["--find", "--show"]).arg(&self.image))?;
        self.device = Some(PathBuf::from(device.trim_end()));
        self.mount()
    }

    fn mount(&mut self) -> Result<()> {
        let Some(device) = &self.device else { return Ok(()) };
        mount(device, &self.writable, "ext4", MountFlags::empty(), None)
            .doing("mount ext4 on", &self.writable)?;
        self.mounted = true;
        let (upper, work) = (self.upper(), self.writable.join("work"));
        for dir in [&upper, &work] {
            fs::create_dir_all(dir).doing("make directory", dir)?;
        }
        let lower: Vec<_> = self.layers.iter().map(|layer| layer.display().to_string()).collect();
        let options =
            format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.display(), work.display());
        let options =
            CString::new(options.clone()).map_err(|_| Error::Malformed { what: "path", text: options })?;
        mount("overlay", &self.root, "overlay", MountFlags::empty(), &*options)
            .doing("mount overlay on", &self.root)
    }

    fn unmount(&mut self) -> Result<()> {
        if !self.mounted {
            return Ok(());
        }
        release(&self.root)?;
        release(&self.writable)?;
        self.mounted = false;
        Ok(())
    }

    fn detach(&mut self) -> Result<()> {
        self.unmount()?;
        if let Some(device) = self.device.take() {
            must(tool("losetup", &["--detach"]).arg(device))?;
        }
        Ok(())
    }

    fn copy(&self, to: &Path) -> Result<()> {
        copy_sparse(&self.image, to)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.detach().is_err() {
            // Somebody holds it. Lazily gone is better than left behind.
            let _ = unmount(&self.root, UnmountFlags::DETACH);
            let _ = unmount(&self.writable, UnmountFlags::DETACH);
            drop(self.device.take().map(|device| must(tool("losetup", &["--detach"]).arg(device))));
        }
    }
}

/// Unmounts `path`, waiting while the kernel still tears down what a killed host held. Not mounted is no error.
pub(crate) fn release(path: &Path) -> Result<()> {
    let deadline = Instant::now() + RELEASE;
    loop {
        match unmount(path, UnmountFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => return Ok(()),
            Err(rustix::io::Errno::BUSY) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error).doing("unmount", path),
        }
    }
}

/// Copies a file, holes as holes.
pub(crate) fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let source = File::open(from).doing("open", from)?;
    let target = File::create(to).doing("create", to)?;
    let length = source.metadata().doing("stat", from)?.len();
    target.set_len(length).doing("size", to)?;
    let mut at = 0;
    while at < length {
        let (mut read, end) = match seek(&source, SeekFrom::Data(at)) {
            Ok(start) => (start, seek(&source, SeekFrom::Hole(start)).doing("find a hole in", from)?),
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error).doing("find data in", from),
        };
        at = end;
        let mut write = read;
        while read < end {
            let left = usize::try_from(end - read).unwrap_or(usize::MAX);
            let copied = copy_file_range(&source, Some(&mut read), &target, Some(&mut write), left);
            if copied.doing("copy", from)? == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// The writes a block device has finished, and whether one is under way.
#[derive(Debug, PartialEq, Eq)]
struct Writes {
    finished: Vec<String>,
    idle: bool,
}

impl Writes {
    /// Fields of `/sys/block/DEVICE/stat` and `inflight`: Documentation/block/stat.rst.
    fn of(device: &Path) -> Result<Self> {
        let sys = Path::new("/sys/block").join(device.file_name().unwrap_or_default());
        let read = |name: &str| fs::read_to_string(sys.join(name)).doing("read", sys.join(name));
        let stat = read("stat")?;
        let finished = [4, 6, 11, 13, 15].iter().filter_map(|&field| stat.split_whitespace().nth(field));
        let idle = read("inflight")?.split_whitespace().nth(1) == Some("0");
        Ok(Self { finished: finished.map(str::to_owned).collect(), idle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leftovers::Claim;
    use crate::place::{Lab, skip};
    use std::os::unix::fs::FileExt;
    use std::sync::RwLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    const LENGTH: u64 = 32 << 20;
    const LAST: u64 = LENGTH - 4096;
    /// What both blocks hold before the first number.
    const UNTOUCHED: u64 = 0x0101_0101_0101_0101;

    /// The number a writer put at `at`.
    fn number(file: &File, at: u64) -> u64 {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    }

    /// A writer puts n on the first block, syncs, puts n on the last, syncs. A copy is made from front to back, so one
    /// made while it writes would have a later number at its end than at its beginning.
    #[test]
    fn a_copy_is_one_moment_of_a_disk_written_to_without_pause() {
        let lab = match Lab::require() {
            Ok(lab) => lab,
            Err(error) => return skip(&error.to_string()),
        };
        let claim = Claim::new(&lab).unwrap();
        let mut disk = Disk::at(claim.dir(), Layers::new());
        fs::write(&disk.image, vec![1; usize::try_from(LENGTH).unwrap()]).unwrap();
        let device = must(tool("losetup", &["--find", "--show"]).arg(&disk.image)).unwrap();
        disk.device = Some(PathBuf::from(device.trim_end()));

        let (running, pause) = (AtomicBool::new(true), RwLock::new(()));
        let write = |device: &File| {
            for n in (1_u64..).take_while(|_| running.load(Ordering::Relaxed)) {
                for at in [0, LAST] {
                    let _on = pause.read().unwrap();
                    device.write_all_at(&n.to_ne_bytes(), at).unwrap();
                    device.sync_data().unwrap();
                }
            }
        };
        let mut seen = Vec::new();
        thread::scope(|scope| {
            let device = File::options().write(true).open(device.trim_end()).unwrap();
            scope.spawn(move || write(&device));
            for _ in 0..4 {
                let copy = claim.dir().join("copy");
                disk.snapshot(&copy, || Ok(pause.write().unwrap())).unwrap();
                let copy = File::open(copy).unwrap();
                seen.push((number(&copy, 0), number(&copy, LAST)));
                thread::sleep(Duration::from_millis(20));
            }
            running.store(false, Ordering::Relaxed);
        });
        let one_moment = |&(first, last): &(u64, u64)| {
            first == last || first == last + 1 || (first, last) == (1, UNTOUCHED)
        };
        assert!(seen.iter().all(one_moment), "numbers on the first block and the last: {seen:?}");
    }
}

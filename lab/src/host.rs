//! A throwaway host: booted, used, rebooted, cut off from power, and gone when dropped.

use crate::builder::Builder;
use crate::container::Container;
use crate::copy::DiskCopy;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::leftovers::Claim;
use crate::manifest::Manifest;
use crate::net::{IsolatedNet, Wire};
use crate::outside::Outside;
use crate::process::{Output, PATIENCE, Running, must, run};
use crate::rooted::Rooted;
use crate::ssh::{Auth, Ssh};
use crate::tree::Tree;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many hosts may boot at a time, over all test processes of this machine.
const BOOTING: u32 = 2;

/// A Debian host with systemd and sshd, on its own disk and in its own network.
#[derive(Debug)]
pub struct Host {
    // Dropped in this order: processes, mounts, networks, and last the directory that names them all.
    container: Option<Container>,
    disk: Disk,
    wire: Wire,
    tree: Tree,
    claim: Claim,
}

impl Host {
    /// Describes a host that stands on `tree`.
    pub fn builder(tree: &Tree) -> Builder {
        Builder::new(tree)
    }

    pub(crate) fn new(claim: Claim, tree: Tree, disk: Disk, wire: Wire) -> Self {
        Self { container: None, disk, wire, tree, claim }
    }

    /// Its name on this machine, also of its network namespace: `gabion-lab-<pid>-<n>`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.claim.name()
    }

    /// The release it stands on.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Its network namespace.
    #[must_use]
    pub fn net(&self) -> &IsolatedNet {
        self.wire.inside()
    }

    /// The network on the other end of its wire.
    #[must_use]
    pub fn outside(&self) -> Outside<'_> {
        Outside::new(&self.wire)
    }

    /// A login by the real `ssh` client from outside.
    pub fn ssh<'a>(&'a self, user: &'a str, auth: Auth<'a>) -> Ssh<'a> {
        Ssh::new(&self.wire, self.claim.dir(), user, auth)
    }

    /// The id of its pid 1, as this machine counts.
    ///
    /// # Errors
    /// Where it is stopped.
    pub fn leader(&self) -> Result<u32> {
        self.running().map(Container::leader)
    }

    /// Runs a program in it as root, outside of any login session, in a plain environment.
    ///
    /// # Errors
    /// Where it cannot be started, or runs for over two minutes. A program that fails is no error.
    pub fn run(&self, words: &[&str]) -> Result<Output> {
        self.run_with(words, b"", PATIENCE)
    }

    /// Runs a program in it as [`Host::run`] does, on `input`, for at most `limit`.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn run_with(&self, words: &[&str], input: &[u8], limit: Duration) -> Result<Output> {
        run(&mut self.running()?.command(words)?, input, limit)
    }

    /// Runs a script by the host's `sh -e`.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn run_script(&self, script: &str) -> Result<Output> {
        self.run(&["sh", "-ec", script])
    }

    /// Runs a program in it as [`Host::run`] does, on a terminal of its own (`script(1)`): both streams come as one,
    /// with CR LF.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn run_tty(&self, command: &str) -> Result<Output> {
        self.run(&["script", "--quiet", "--return", "--command", command, "/dev/null"])
    }

    /// Starts a program in it and returns at once. It is killed when the handle is dropped.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(&self, words: &[&str]) -> Result<Running> {
        Running::start_interactive(&mut self.running()?.command(words)?)
    }

    /// The bytes of one of its files.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        self.rooted()?.read(path.as_ref())
    }

    /// Writes one of its files: mode 0644, owned by root where it is new; directories above it are made.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        self.rooted()?.write(path.as_ref(), bytes, 0o644)
    }

    /// Installs a program of this machine at `to`, mode 0755. It takes room on the host's disk:
    /// [`Builder::program`] does not.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn push(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        use crate::error::Doing;
        let bytes = std::fs::read(from.as_ref()).doing("read", from.as_ref())?;
        self.rooted()?.write(to.as_ref(), &bytes, 0o755)
    }

    /// Every file at or below `paths`: what it is, whose, and the hash of its content.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn manifest(&self, paths: &[&str]) -> Result<Manifest> {
        Manifest::of(self.disk.root(), paths)
    }

    /// Everything that differs from the base tree, as the overlay keeps it: removed files show as character devices
    /// 0:0.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn manifest_of_changes(&self) -> Result<Manifest> {
        Manifest::of(&self.disk.upper(), &["/"])
    }

    /// The kernel's packet filter rules for the host: `nft list ruleset`, by this machine's `nft`.
    ///
    /// # Errors
    /// Where there is no `nft`, or it fails.
    pub fn ruleset(&self) -> Result<String> {
        must(self.net().command("nft").args(["list", "ruleset"]))
    }

    /// True while its pid 1 lives.
    ///
    /// # Errors
    /// Where the system cannot say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(match &mut self.container {
            Some(container) => !container.ended(Duration::ZERO)?,
            None => false,
        })
    }

    /// Waits for a host that shuts itself down or reboots, and leaves it off. [`Host::start`] boots it again.
    ///
    /// # Errors
    /// Where it still runs after `limit`.
    pub fn wait_off(&mut self, limit: Duration) -> Result<()> {
        let Some(mut container) = self.container.take() else {
            return Ok(());
        };
        if !container.ended(limit)? {
            self.container = Some(container);
            return Err(self.state("running"));
        }
        drop(container);
        self.disk.remount()?;
        self.wire.renew()
    }

    /// Boots it where it is off.
    ///
    /// # Errors
    /// Where it runs already, or does not come up.
    pub fn start(&mut self) -> Result<()> {
        if self.container.is_some() {
            return Err(self.state("running"));
        }
        let _slot = self.tree.lab().slot("boot", BOOTING)?;
        let (root, network) = (self.disk.root(), self.wire.inside_path());
        self.container = Some(Container::boot(self.claim.name(), root, &network)?);
        Ok(())
    }

    /// Shuts it down as `systemctl poweroff` does.
    ///
    /// # Errors
    /// Where it does not go down within a minute.
    pub fn stop(&mut self) -> Result<()> {
        let container = self.container.take().ok_or_else(|| self.state("stopped"))?;
        container.shut_down()?;
        self.disk.remount()?;
        self.wire.renew()
    }

    /// Shuts it down and boots it again: same disk, empty memory, empty network.
    ///
    /// # Errors
    /// As [`Host::stop`] and [`Host::start`].
    pub fn reboot(&mut self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    /// Cuts its power and boots what was on the disk. What it had not synced is lost as on a real machine: its disk
    /// is copied below the file system, and ext4 replays the copy's journal.
    ///
    /// # Errors
    /// Where it is stopped, or does not come up again.
    pub fn power_cut(&mut self) -> Result<()> {
        self.power_off_hard()?;
        self.start()
    }

    /// Cuts its power as [`Host::power_cut`] does, and leaves it off.
    ///
    /// # Errors
    /// Where it is stopped, or its disk cannot be copied.
    pub fn power_off_hard(&mut self) -> Result<()> {
        let container = self.container.take().ok_or_else(|| self.state("stopped"))?;
        let image = self.claim.dir().join("cut.img");
        self.disk.snapshot(&image, || container.freeze())?;
        container.cut()?;
        self.disk.replace(&image)?;
        self.wire.renew()
    }

    /// A copy of its disk as a power cut at this moment would leave it. The host runs on; where it
    /// writes without pause, it is stopped for the milliseconds of the copy.
    ///
    /// # Errors
    /// Where the disk is written to without pause, or there is no room.
    pub fn power_cut_copy(&self) -> Result<DiskCopy> {
        let copy = DiskCopy::new(&self.tree, self.disk.layers(), self.wire.families())?;
        let freeze = || self.container.as_ref().map(Container::freeze).transpose();
        self.disk.snapshot(&copy.image(), freeze)?;
        Ok(copy)
    }

    /// The path on this machine of its root directory. For reading; beware of its absolute symbolic links.
    #[must_use]
    pub fn root_on_this_machine(&self) -> PathBuf {
        self.disk.root().to_path_buf()
    }

    fn rooted(&self) -> Result<Rooted> {
        match &self.container {
            // Through its pid 1, so that its own mounts (/run, /tmp) are seen as it sees them.
            Some(container) => Rooted::at(Path::new(&format!("/proc/{}/root", container.leader()))),
            None => Rooted::at(self.disk.root()),
        }
    }

    fn running(&self) -> Result<&Container> {
        self.container.as_ref().ok_or_else(|| self.state("stopped"))
    }

    fn state(&self, state: &'static str) -> Error {
        Error::State { host: self.name().to_owned(), state }
    }
}

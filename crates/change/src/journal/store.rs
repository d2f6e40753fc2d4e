//! Where the journals are: `/var/lib/gabion/transactions`, closed to all but root, with one lock.

use std::fs::{self, DirBuilder, File};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};

use super::{Journal, TransactionId};
use crate::error::{Error, Result};
use crate::root::Root;

/// The directory of all transactions.
pub const TRANSACTIONS: &str = "/var/lib/gabion/transactions";

/// A directory that is being filled; it gets its final name when it is whole.
const UNFINISHED: &str = ".new-";

#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
}

/// Held by whoever changes the machine. Programs that go on when this one is killed inherit it, so that recovery
/// waits for them.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Store {
    /// The store of a tree; made where it is missing.
    pub(crate) fn create(root: &Root) -> Result<Self> {
        let store = Self::of(root);
        root.directory(Path::new("/"))?.require_trusted(0)?;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755);
        for path in ["/var", "/var/lib"] {
            let outside = root.outside(path);
            builder.create(&outside).map_err(Error::io("create", &outside))?;
            root.directory(Path::new(path))?.require_trusted(0)?;
        }
        builder.mode(0o700).create(&store.directory).map_err(Error::io("create", &store.directory))?;
        root.directory(Path::new(TRANSACTIONS))?.require_trusted(0)?;
        for path in ["/var/lib/gabion", "/var/lib"] {
            crate::originals::sync_directory(&root.outside(path))?;
        }
        Ok(store)
    }

    /// The store of a tree, which may not be there.
    pub(crate) fn of(root: &Root) -> Self {
        Self { directory: root.outside(TRANSACTIONS) }
    }

    pub(crate) fn path(&self, id: &TransactionId) -> PathBuf {
        self.directory.join(id.as_str())
    }

    /// All transactions, oldest first.
    pub(crate) fn ids(&self) -> Result<Vec<TransactionId>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("list", &self.directory)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &self.directory))?;
            ids.extend(entry.file_name().to_str().and_then(|name| name.parse().ok()));
        }
        ids.sort();
        Ok(ids)
    }

    /// Makes the directory of a new transaction, whole or not at all.
    pub(crate) fn add(&self, id: &TransactionId, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let unfinished = self.directory.join(format!("{UNFINISHED}{id}"));
        DirBuilder::new().mode(0o700).create(&unfinished).map_err(Error::io("create", &unfinished))?;
        if let Err(error) = fill(&unfinished) {
            // On a full disk it would take the last of the space until the next transaction.
            let _ = fs::remove_dir_all(&unfinished);
            return Err(error);
        }
        crate::originals::sync_directory(&unfinished)?;
        crate::fault::point("transaction: filled");
        let path = self.path(id);
        fs::rename(&unfinished, &path).map_err(Error::io("create", &path))?;
        crate::originals::sync_directory(&self.directory)?;
        crate::fault::point("transaction: opened");
        Ok(())
    }

    /// Removes what was left of transactions that were never whole. Call it with the lock held.
    pub(crate) fn sweep(&self) -> Result<()> {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Ok(());
        };
        for entry in
            entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED))
        {
            fs::remove_dir_all(entry.path()).map_err(Error::io("remove", entry.path()))?;
        }
        Ok(())
    }

    /// Takes the lock, waiting this long for whoever holds it.
    pub(crate) fn lock(&self, patience: Duration) -> Result<Lock> {
        let path = self.directory.join("lock");
        let mut options = File::options();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(Error::io("open", &path))?;
        let until = Instant::now() + patience;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock(file)),
                Err(Errno::WOULDBLOCK) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(Errno::WOULDBLOCK) => return Err(Error::Busy),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::os("lock", &path)(error)),
            }
        }
    }

    pub(crate) fn journal(&self, id: &TransactionId) -> Result<Journal> {
        let path = self.path(id);
        if !path.is_dir() {
            return Err(Error::NoSuchTransaction { id: id.to_string() });
        }
        Journal::open(&path)
    }
}

impl Lock {
    /// Runs `start` so that a program started in it holds the lock too, until it ends.
    pub(crate) fn inherited<T>(&self, start: impl FnOnce() -> T) -> T {
        let set = |inherit: bool| {
            if let Ok(flags) = fcntl_getfd(self.0.as_fd()) {
                let flags = if inherit { flags - FdFlags::CLOEXEC } else { flags | FdFlags::CLOEXEC };
                let _ = fcntl_setfd(self.0.as_fd(), flags);
            }
        };
        set(true);
        let value = start();
        set(false);
        value
    }
}

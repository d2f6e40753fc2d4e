//! A host's disk at the moment of a power cut, kept aside.

use crate::disk::{Disk, Layers};
use crate::error::Result;
use crate::host::Host;
use crate::leftovers::Claim;
use crate::manifest::Manifest;
use crate::net::{Families, Wire};
use crate::rooted::Rooted;
use crate::tree::Tree;
use std::path::{Path, PathBuf};

/// An image that nothing has mounted yet. It stands on the layers of the host it was taken from, so it can be used
/// only while that host exists where that host had programs of its own.
#[derive(Debug)]
pub struct DiskCopy {
    claim: Claim,
    tree: Tree,
    layers: Layers,
    families: Families,
}

impl DiskCopy {
    pub(crate) fn new(tree: &Tree, layers: &Layers, families: Families) -> Result<Self> {
        let (tree, layers) = (tree.clone(), layers.clone());
        Ok(Self { claim: Claim::new(tree.lab())?, tree, layers, families })
    }

    pub(crate) fn image(&self) -> PathBuf {
        Disk::image_in(self.claim.dir())
    }

    /// Boots it as a host of its own, in a network of its own.
    ///
    /// # Errors
    /// Where ext4 cannot recover it, or it does not come up.
    pub fn boot(self) -> Result<Host> {
        let mut host = self.into_host()?;
        host.start()?;
        Ok(host)
    }

    /// Mounts it (ext4 replays its journal) as a host that is off.
    ///
    /// # Errors
    /// Where ext4 cannot recover it.
    pub fn into_host(self) -> Result<Host> {
        let disk = Disk::open(self.claim.dir(), self.layers)?;
        let wire = Wire::lay(self.claim.name(), self.families)?;
        Ok(Host::new(self.claim, self.tree, disk, wire))
    }

    /// Mounts it (ext4 replays its journal) to be looked at, without a network or a boot.
    ///
    /// # Errors
    /// Where ext4 cannot recover it.
    pub fn mount(self) -> Result<MountedCopy> {
        let disk = Disk::open(self.claim.dir(), self.layers)?;
        Ok(MountedCopy { disk, _claim: self.claim })
    }
}

/// A mounted copy of a disk.
#[derive(Debug)]
pub struct MountedCopy {
    disk: Disk,
    _claim: Claim,
}

impl MountedCopy {
    /// Its root directory on this machine.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.disk.root()
    }

    /// The bytes of one of its files.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        Rooted::at(self.disk.root())?.read(path.as_ref())
    }

    /// As [`Host::manifest`].
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn manifest(&self, paths: &[&str]) -> Result<Manifest> {
        Manifest::of(self.disk.root(), paths)
    }
}

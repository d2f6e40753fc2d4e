//! What a host is to be before its first boot.

use crate::disk::{Disk, Layers};
use crate::error::{Doing, Result};
use crate::host::Host;
use crate::key::Key;
use crate::layer::Layer;
use crate::leftovers::Claim;
use crate::net::{Families, Wire};
use crate::process::{must_with, tool};
use crate::rooted::Rooted;
use crate::tree::Tree;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// An account to be made before the first boot.
#[derive(Debug, Clone)]
pub struct User {
    name: String,
    password: Option<String>,
    keys: Vec<String>,
    groups: Vec<String>,
}

impl User {
    /// An ordinary account: home, `/bin/bash`, no password, no key.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), password: None, keys: Vec::new(), groups: Vec::new() }
    }

    /// It has this password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// It may log in with this key.
    #[must_use]
    pub fn key(mut self, key: &Key) -> Self {
        self.keys.push(key.public().to_owned());
        self
    }

    /// It belongs to this group, for example `sudo`.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.groups.push(group.to_owned());
        self
    }

    /// The shell commands that make it.
    fn script(&self) -> String {
        let name = quote(&self.name);
        let mut script = String::new();
        if self.name != "root" {
            script += &format!("useradd --create-home --shell /bin/bash {name}\n");
        }
        for group in &self.groups {
            script += &format!("usermod --append --groups {} {name}\n", quote(group));
        }
        if let Some(password) = &self.password {
            let line = quote(&format!("{}:{password}", self.name));
            script += &format!("printf '%s\\n' {line} | chpasswd --crypt-method SHA512\n");
        }
        if !self.keys.is_empty() {
            let keys = quote(&self.keys.join("\n"));
            script += &format!(
                "home=$(getent passwd {name} | cut -d: -f6)\n\
                 install -d -m 0700 -o {name} -g \"$(id -g {name})\" \"$home/.ssh\"\n\
                 printf '%s\\n' {keys} > \"$home/.ssh/authorized_keys\"\n\
                 chmod 0600 \"$home/.ssh/authorized_keys\"\n\
                 chown {name}: \"$home/.ssh/authorized_keys\"\n"
            );
        }
        script
    }
}

/// Describes a host; [`Builder::boot`] makes it.
#[derive(Debug, Clone)]
#[must_use = "a host is made by `boot`"]
pub struct Builder {
    tree: Tree,
    files: Vec<(PathBuf, Vec<u8>, u32)>,
    programs: Vec<(PathBuf, PathBuf)>,
    packages: Vec<PathBuf>,
    script: String,
    families: Families,
    mebibytes: u64,
}

impl Builder {
    pub(crate) fn new(tree: &Tree) -> Self {
        Self {
            tree: tree.clone(),
            files: Vec::new(),
            programs: Vec::new(),
            packages: Vec::new(),
            script: String::new(),
            families: Families::Both,
            mebibytes: 512,
        }
    }

    /// A file of root's with mode 0644. Missing directories are made.
    pub fn file(self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        self.file_mode(path, bytes, 0o644)
    }

    /// A file of root's with the mode given.
    pub fn file_mode(mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.files.push((path.into(), bytes.into(), mode));
        self
    }

    /// An account.
    pub fn user(mut self, user: &User) -> Self {
        self.script += &user.script();
        self
    }

    /// Root has this password, and sshd lets root in with it (`PermitRootLogin yes` in the main file).
    pub fn root_password(self, password: &str) -> Self {
        let permit = "sed -i 's/^#*PermitRootLogin .*/PermitRootLogin yes/' /etc/ssh/sshd_config\n";
        self.user(&User::new("root").password(password)).prepare(permit)
    }

    /// Shell commands to run in the root directory before the first boot (`set -e`; there is no `/proc`, no network).
    pub fn prepare(mut self, script: &str) -> Self {
        self.script += script;
        self.script.push('\n');
        self
    }

    /// The program `from` of this machine at `to` in the host, mode 0755. It lies in a read-only layer of its own, so
    /// that a large debug build does not weigh on the disk and its copies.
    pub fn program(mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.programs.push((from.into(), to.into()));
        self
    }

    /// Packages beyond those of the tree. They must have been made over the same tree.
    pub fn packages(mut self, layer: &Layer) -> Self {
        self.packages.push(layer.dir().to_owned());
        self
    }

    /// Which IP versions reach the host. The default is both.
    pub fn families(mut self, families: Families) -> Self {
        self.families = families;
        self
    }

    /// The size of the writable disk in MiB (sparse). The default is 512.
    pub fn disk_mebibytes(mut self, mebibytes: u64) -> Self {
        self.mebibytes = mebibytes;
        self
    }

    /// Makes the host and boots it. Returns when its systemd is up: its services run, sshd listens.
    ///
    /// # Errors
    /// Where any step fails; nothing is left behind then.
    pub fn boot(self) -> Result<Host> {
        let mut host = self.build()?;
        host.start()?;
        Ok(host)
    }

    /// Makes the host, and leaves it off. [`Host::start`] boots it.
    ///
    /// # Errors
    /// As [`Builder::boot`].
    pub fn build(self) -> Result<Host> {
        let claim = Claim::new(self.tree.lab())?;
        let layers = self.layers(claim.dir())?;
        let disk = Disk::create(claim.dir(), layers, self.mebibytes)?;
        self.furnish(&disk, claim.name())?;
        let wire = Wire::lay(claim.name(), self.families)?;
        Ok(Host::new(claim, self.tree, disk, wire))
    }

    fn layers(&self, dir: &Path) -> Result<Layers> {
        let mut layers = self.packages.clone();
        layers.push(self.tree.dir().to_path_buf());
        if !self.programs.is_empty() {
            let layer = dir.join("programs");
            fs::create_dir(&layer).doing("make directory", &layer)?;
            let root = Rooted::at(&layer)?;
            for (from, to) in &self.programs {
                root.write(to, &fs::read(from).doing("read", from)?, 0o755)?;
            }
            layers.insert(0, layer);
        }
        Ok(layers)
    }

    fn furnish(&self, disk: &Disk, name: &str) -> Result<()> {
        let root = Rooted::at(disk.root())?;
        let machine_id = &crate::manifest::hex(&Sha256::digest(name))[..32];
        root.write(Path::new("/etc/machine-id"), format!("{machine_id}\n").as_bytes(), 0o444)?;
        for (path, bytes, mode) in &self.files {
            root.write(path, bytes, *mode)?;
        }
        if !self.script.is_empty() {
            let script = format!("set -e\n{}", self.script);
            must_with(tool("chroot", &[]).arg(disk.root()).args(["sh", "-s"]), script.as_bytes())?;
        }
        disk.sync()
    }
}

/// `text` as one word of a shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

//! Throwaway SSH keys.

use crate::error::{Doing, Result};
use crate::place::Lab;
use crate::process::{must, tool};
use std::fs;
use std::path::{Path, PathBuf};

/// An Ed25519 key pair without a passphrase, kept for all test runs.
#[derive(Debug, Clone)]
pub struct Key {
    path: PathBuf,
    public: String,
}

impl Key {
    /// The key called `name`; made where there is none.
    ///
    /// # Errors
    /// Where `ssh-keygen` fails.
    pub fn named(name: &str) -> Result<Self> {
        let lab = Lab::require()?;
        let _lock = lab.lock("keys")?;
        let path = lab.dir().join("keys").join(name);
        let public = path.with_extension("pub");
        if !public.exists() {
            drop(fs::remove_file(&path));
            must(tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path))?;
        }
        let public = fs::read_to_string(&public).doing("read", public)?.trim_end().to_owned();
        Ok(Self { path, public })
    }

    /// The file of the private key, as `ssh -i` takes it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The public key's line, as `authorized_keys` takes it.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }
}

//! The key pair of the rehearsal, made in the copy's memory.
#![allow(
    clippy::disallowed_methods,
    reason = "runs inside the copy alone: what is written there lands in memory"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use change::keys::{KeyType, Passphrase, generate};
use host::Facts;

const FOLDER: &str = "/run/gabion-rehearsal";

/// Answers a password prompt of ssh with what stands in the environment.
const ANSWERS: &str = "#!/bin/sh\nprintf '%s\\n' \"$GABION_ANSWER\"\n";

/// A key pair, and the program that answers password prompts.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) private: PathBuf,
    pub(super) public: String,
    pub(super) answers: PathBuf,
}

/// Makes them, and lets root in by the key: the attack shows whether that still works afterwards.
pub(super) fn make(machine: &Facts) -> Result<Keys, String> {
    if !machine.system.programs.contains_key("ssh-keygen") {
        return Err("there is no ssh-keygen on this machine: logins are not tried".to_owned());
    }
    let folder = Path::new(FOLDER);
    let private = folder.join("key");
    generate(&private, KeyType::Ed25519, Some("rehearsal"), Passphrase::None)
        .map_err(|error| error.to_string())?;
    let public =
        fs::read_to_string(folder.join("key.pub")).map_err(|error| error.to_string())?.trim().to_owned();
    let answers = folder.join("answers");
    fs::write(&answers, ANSWERS).map_err(|error| error.to_string())?;
    fs::set_permissions(&answers, fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
    authorize_root(&public).map_err(|error| format!("root's keys in the copy: {error}"))?;
    Ok(Keys { private, public, answers })
}

fn authorize_root(public: &str) -> std::io::Result<()> {
    let folder = Path::new("/root/.ssh");
    if !folder.exists() {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    let file = folder.join("authorized_keys");
    let mut text = fs::read(&file).unwrap_or_default();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend_from_slice(public.as_bytes());
    text.push(b'\n');
    fs::write(&file, text)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))
}

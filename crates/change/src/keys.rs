//! Key pairs and getting a public key onto a host, through the host's own OpenSSH.
//!
//! These run as whoever calls them, write below that person's own `~/.ssh`, and are no part of a transaction: a key pair is
//! nothing that a policy asks for.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which key pair to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// Ed25519, RFC 8709.
    Ed25519,
    /// RSA with this many bits.
    Rsa(u16),
}

/// Where the passphrase comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passphrase {
    /// ssh-keygen asks for it on the terminal.
    Ask,
    /// There is none.
    None,
}

/// Why a key could not be made or installed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is a file already, and it is never written over.
    #[error("{path} is there already; name another file with --file, or use this key")]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// A file could not be read or made.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no public key, or more than one line.
    #[error("{path} holds no public key; name the file that ends in .pub")]
    NoPublicKey {
        /// Where.
        path: PathBuf,
    },
    /// A program of OpenSSH is missing or could not be started.
    #[error("{program} could not be started: {source}; install the OpenSSH client")]
    Start {
        /// Its name.
        program: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It ran and failed; it has said why itself.
    #[error("{program} failed ({status})")]
    Failed {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The key is there, but a login by it is refused.
    #[error("the key is on {destination}, but a login by it is refused: run `gabion audit` there")]
    NotAccepted {
        /// `USER@HOST`.
        destination: String,
    },
}

/// Makes a key pair at `path` and `path.pub`; never writes over one.
///
/// # Errors
/// There is a file already, or ssh-keygen is missing or fails.
pub fn generate(
    path: &Path,
    key: KeyType,
    comment: Option<&str>,
    passphrase: Passphrase,
) -> Result<(), KeyError> {
    let public = added(path, "pub");
    for file in [path, &public] {
        if file.symlink_metadata().is_ok() {
            return Err(KeyError::Exists { path: file.to_owned() });
        }
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| KeyError::File { path: folder.to_owned(), source })?;
    }
    let mut command = Command::new("ssh-keygen");
    match key {
        KeyType::Ed25519 => command.args(["-q", "-t", "ed25519"]),
        KeyType::Rsa(bits) => command.args(["-q", "-t", "rsa", "-b", &bits.to_string()]),
    };
    if passphrase == Passphrase::None {
        command.args(["-N", ""]);
    }
    if let Some(comment) = comment {
        command.args(["-C", comment]);
    }
    succeed("ssh-keygen", command.arg("-f").arg(path))
}

/// `id` and `pub` make `id.pub`, whatever dots are in `id`.
pub fn added(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Puts a public key into `authorized_keys` of `USER@HOST` unless it is there, with the modes that sshd wants, and tries it.
///
/// # Errors
/// The file holds no public key, or the host cannot be logged in to.
pub fn install(destination: &str, port: Option<u16>, public: &Path) -> Result<Installed, KeyError> {
    let text = std::fs::read_to_string(public)
        .map_err(|source| KeyError::File { path: public.to_owned(), source })?;
    let line = text.trim();
    if line.lines().count() != 1 || line.split_whitespace().nth(1).is_none() || line.contains("PRIVATE KEY") {
        return Err(KeyError::NoPublicKey { path: public.to_owned() });
    }
    let mut command = ssh(port);
    let mut child = command
        .args(["--", destination, REMOTE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| KeyError::Start { program: "ssh", source })?;
    if let Some(mut input) = child.stdin.take() {
        // A server that refuses closes the pipe first; its exit status then says so.
        let _refused_is_told_below = writeln!(input, "{line}");
    }
    let output = child.wait_with_output().map_err(|source| KeyError::Start { program: "ssh", source })?;
    if !output.status.success() {
        return Err(KeyError::Failed { program: "ssh", status: output.status });
    }
    let installed =
        if output.stdout.starts_with(b"present") { Installed::WasThere } else { Installed::Added };
    if log_in(destination, port, public) {
        Ok(installed)
    } else {
        Err(KeyError::NotAccepted { destination: destination.to_owned() })
    }
}

/// Whether the key had to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// It was added.
    Added,
    /// It was there already.
    WasThere,
}

/// What runs on the other side, in any POSIX shell: the key comes by standard input, never by the command line.
const REMOTE: &str = r#"exec sh -c '
umask 077
IFS= read -r key || exit 1
cd || exit 1
mkdir -p .ssh && chmod go-w . .ssh || exit 1
file=.ssh/authorized_keys
touch "$file" && chmod 600 "$file" || exit 1
blob=$(printf "%s\n" "$key" | { read -r type blob rest; printf "%s" "$blob"; })
if grep -qF -- "$blob" "$file"; then echo present; exit 0; fi
if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then echo >>"$file"; fi
printf "%s\n" "$key" >>"$file" || exit 1
if command -v restorecon >/dev/null 2>&1; then restorecon -F .ssh "$file"; fi
echo added'"#;

/// Logs in with this key alone, asking nothing.
fn log_in(destination: &str, port: Option<u16>, public: &Path) -> bool {
    let identity = public.with_extension("");
    let identity = if identity.exists() { identity } else { public.to_owned() };
    // A key with a passphrase and no agent can be tried only where ssh can ask for it.
    let asks = std::io::IsTerminal::is_terminal(&std::io::stdin());
    let mut command = ssh(port);
    command.args(["-o", if asks { "BatchMode=no" } else { "BatchMode=yes" }]);
    command.args(["-o", "PreferredAuthentications=publickey", "-o", "IdentitiesOnly=yes", "-i"]);
    command.arg(identity).args(["--", destination, "exit 0"]);
    command.status().is_ok_and(|status| status.success())
}

fn ssh(port: Option<u16>) -> Command {
    let mut command = Command::new("ssh");
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command
}

fn succeed(program: &'static str, command: &mut Command) -> Result<(), KeyError> {
    let status = command.status().map_err(|source| KeyError::Start { program, source })?;
    if status.success() { Ok(()) } else { Err(KeyError::Failed { program, status }) }
}

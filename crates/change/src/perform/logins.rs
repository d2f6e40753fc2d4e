//! Real logins over loopback: what must work works, what must be refused is refused.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FileType;

use super::{Context, Earlier, Perform, Saved, account};
use crate::action::{LoginBy, LoginProof};
use crate::atomic::{self, Source, Times};
use crate::attributes::{Attributes, Bits, Stamp};
use crate::error::{Error, Result};
use crate::fault;
use crate::originals::{Keep, PutBack, Was, kind_of};
use crate::program::{Output, Program};
use crate::root::Place;

pub(super) struct ProveLogins<'a> {
    pub(super) logins: &'a [LoginProof],
}

impl Perform for ProveLogins<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        if context.root.is_live() { Ok(()) } else { Err(Error::NotLive { action: "proving logins" }) }
    }

    fn save(&self, _: &Context<'_>, keep: &Keep<'_>) -> Result<Saved> {
        let mut saved = Saved::default();
        for path in self.key_files() {
            // The file first: it is removed before the directory that was made for it.
            saved.originals.push(keep.path(path)?);
            saved.keep_around(keep, path)?;
            if let Some(directory) = path.parent() {
                let original = keep.path(directory)?;
                if original.was == Was::Absent {
                    saved.originals.push(original);
                    saved.keep_around(keep, directory)?;
                }
            }
        }
        Ok(saved)
    }

    fn act(&self, context: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<()> {
        let pair = KeyPair::make(context, back)?;
        fault::point("logins: key made");
        let proven = self.prove_all(context, &pair);
        let undone = take_away(back, saved);
        proven.and(undone)
    }

    fn undo(&self, _: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        take_away(back, saved).map(|()| Vec::new())
    }

    fn tell(&self, _: &mut Earlier) {}
}

impl ProveLogins<'_> {
    fn key_files(&self) -> Vec<&Path> {
        let by_key = self.logins.iter().filter(|login| match login.by {
            LoginBy::Key { .. } => true,
            LoginBy::Password => false,
        });
        let mut paths: Vec<&Path> = by_key.map(|login| login.authorized_keys.as_path()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    fn prove_all(&self, context: &Context<'_>, pair: &KeyPair) -> Result<()> {
        let mut trusted: Vec<&Path> = Vec::new();
        for login in self.logins {
            let path = login.authorized_keys.as_path();
            if matches!(login.by, LoginBy::Key { .. }) && !trusted.contains(&path) {
                pair.trust(context, &login.account, path)?;
                trusted.push(path);
                fault::point("logins: key trusted");
            }
            prove(context, login, pair)?;
            fault::point("logins: one proven");
        }
        Ok(())
    }
}

/// A key pair for as long as the proof takes.
struct KeyPair {
    private: PathBuf,
    public: String,
}

/// What marks the key in an `authorized_keys` file.
fn marker(tag: &str) -> String {
    format!("gabion-proof-{tag}")
}

/// Where the private key is, closed to all but root.
fn key_directory(back: &PutBack<'_>) -> PathBuf {
    back.kept.join("key-of-the-moment")
}

impl KeyPair {
    fn make(context: &Context<'_>, back: &PutBack<'_>) -> Result<Self> {
        let directory = key_directory(back);
        DirBuilder::new().mode(0o700).create(&directory).map_err(Error::io("create", &directory))?;
        let private = directory.join("key");
        Program::MakeKey { path: &private }.run(context.root, None, b"")?;
        let path = private.with_extension("pub");
        let public = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let public = public.split(' ').take(2).collect::<Vec<_>>().join(" ");
        Ok(Self { private, public: format!("{public} {}", marker(&context.tag)) })
    }

    /// Adds the key to a file, for loopback alone.
    fn trust(&self, context: &Context<'_>, name: &str, path: &Path) -> Result<()> {
        let (uid, gid) = account::ids(context, name)?;
        let now = Stamp { seconds: 0, nanoseconds: 0 };
        let fresh = |mode| Attributes {
            mode: Bits(mode),
            uid,
            gid,
            modified: now,
            accessed: now,
            xattrs: BTreeMap::new(),
        };
        if let Some(directory) = path.parent() {
            let place = context.root.place(directory)?;
            if kind_of(&place)?.is_none() {
                place.directory.require_trusted(uid)?;
                atomic::directory(&place, &context.tag, &fresh(0o700))?;
            }
        }
        let place = context.root.place(path)?;
        place.directory.require_trusted(uid)?;
        let (mut text, attributes) = match kind_of(&place)? {
            None => (Vec::new(), fresh(0o600)),
            Some(_) => read_own(&place)?,
        };
        if text.last().is_some_and(|byte| *byte != b'\n') {
            text.push(b'\n');
        }
        text.extend(format!("from=\"127.0.0.0/8,::1\",restrict {}\n", self.public).into_bytes());
        atomic::replace(&place, &context.tag, Source::Bytes(&text), &attributes, Times::Now)
    }
}

/// Takes the key out of every file, and removes the pair. What others wrote meanwhile stays.
fn take_away(back: &PutBack<'_>, saved: &Saved) -> Result<()> {
    for original in &saved.originals {
        let place = match back.root.place(&original.path) {
            Ok(place) => place,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        atomic::remove_temporary(&place, back.tag)?;
        match kind_of(&place)? {
            Some(FileType::RegularFile) => take_out_of(back, original, &place)?,
            // A directory that was made for the file, and is empty again.
            Some(FileType::Directory) if original.was == Was::Absent => drop(back.path(original, None)?),
            Some(_) | None => {}
        }
    }
    saved.around.iter().try_for_each(|around| back.around(around))?;
    let directory = key_directory(back);
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &directory)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn take_out_of(back: &PutBack<'_>, original: &crate::originals::Original, place: &Place) -> Result<()> {
    let (text, attributes) = read_own(place)?;
    let marker = marker(back.tag).into_bytes();
    let is_marked = |line: &[u8]| line.trim_ascii_end().ends_with(&marker);
    if !text.split(|byte| *byte == b'\n').any(is_marked) {
        return Ok(());
    }
    let kept: Vec<&[u8]> =
        text.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_marked(line)).collect();
    let kept = kept.concat();
    let before = match &original.was {
        Was::File { copy, .. } => {
            let path = back.kept.join(copy);
            fs::read(&path).map_err(Error::io("read", &path))?
        }
        Was::Absent | Was::Symlink { .. } | Was::Directory { .. } | Was::Attributes { .. } => Vec::new(),
    };
    if kept.trim_ascii_end() == before.trim_ascii_end() {
        return back.path(original, None).map(drop);
    }
    atomic::replace(place, back.tag, Source::Bytes(&kept), &attributes, Times::Now)
}

/// Content and attributes of one and the same file.
fn read_own(place: &Place) -> Result<(Vec<u8>, Attributes)> {
    let mut file = place.open_guests_own()?;
    let attributes = Attributes::of(&file).map_err(Error::os("look at", &place.path))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(Error::io("read", &place.path))?;
    Ok((text, attributes))
}

fn prove(context: &Context<'_>, login: &LoginProof, pair: &KeyPair) -> Result<()> {
    let fail = |what: String| Err(Error::LoginProof { login: describe(login), what });
    let output = attempt(context, login, pair, "true")?;
    match (login.by, login.succeeds) {
        (LoginBy::Key { sudo_without_password }, true) => {
            if !output.status.success() {
                return fail(format!("the login failed: {}", output.text.trim()));
            }
            prove_sudo(context, login, pair, sudo_without_password)
        }
        (LoginBy::Key { .. }, false) if output.status.success() => fail("the login succeeded".to_owned()),
        (LoginBy::Key { .. }, false) => match offered(&output.text) {
            Some(_) => Ok(()),
            None => fail(format!("the server did not refuse it, but: {}", output.text.trim())),
        },
        (LoginBy::Password, succeeds) => match offered(&output.text) {
            None => fail(format!("the server did not say what it offers: {}", output.text.trim())),
            Some(methods) => {
                let by_password = methods.iter().any(|method| {
                    method.starts_with("password") || method.starts_with("keyboard-interactive")
                });
                if by_password == succeeds {
                    Ok(())
                } else {
                    fail(format!("the server offers {}", methods.join(", ")))
                }
            }
        },
    }
}

fn prove_sudo(context: &Context<'_>, login: &LoginProof, pair: &KeyPair, free: Option<bool>) -> Result<()> {
    let fail = |what: String| Err(Error::LoginProof { login: describe(login), what });
    match free {
        None => Ok(()),
        Some(true) => {
            let output = attempt(context, login, pair, "sudo -n true")?;
            if output.status.success() {
                Ok(())
            } else {
                fail(format!("sudo failed: {}", output.text.trim()))
            }
        }
        Some(false) => {
            let output = Program::ListSudo { name: &login.account }.run(context.root, None, b"")?;
            let grants_all = output.text.lines().any(|line| {
                let line = line.trim();
                line.starts_with("(ALL") && line.ends_with(" ALL")
            });
            if grants_all { Ok(()) } else { fail(format!("sudo does not grant ALL: {}", output.text.trim())) }
        }
    }
}

/// How long a server that has just been reloaded may refuse connections.
const PATIENCE: Duration = Duration::from_secs(20);

fn attempt(context: &Context<'_>, login: &LoginProof, pair: &KeyPair, command: &str) -> Result<Output> {
    let arguments = arguments(login, &pair.private, command);
    let until = Instant::now() + PATIENCE;
    loop {
        let output = Program::Login { arguments: &arguments }.output(context.root, None, b"")?;
        if !output.text.contains("Connection refused") || Instant::now() > until {
            return Ok(output);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn arguments(login: &LoginProof, key: &Path, command: &str) -> Vec<OsString> {
    let methods = match login.by {
        LoginBy::Key { .. } => "PreferredAuthentications=publickey",
        // The client asks with the method `none`, and the server answers with those it offers.
        LoginBy::Password => "PreferredAuthentications=none",
    };
    let options = [
        methods,
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "ConnectTimeout=10",
        "ConnectionAttempts=1",
        "LogLevel=ERROR",
        "ControlPath=none",
    ];
    let mut arguments: Vec<OsString> = vec!["-F".into(), "/dev/null".into(), "-n".into(), "-T".into()];
    arguments.extend(options.iter().flat_map(|option| ["-o".into(), (*option).into()]));
    arguments.extend(["-i".into(), key.into(), "-p".into(), login.server.port().to_string().into()]);
    let address: IpAddr = login.server.ip();
    arguments.extend([
        "-l".into(),
        login.account.clone().into(),
        "--".into(),
        address.to_string().into(),
        command.into(),
    ]);
    arguments
}

/// The methods in `Permission denied (publickey,password).`; none where the server did not get to refusing.
fn offered(text: &str) -> Option<Vec<&str>> {
    let (_, rest) = text.split_once("Permission denied (")?;
    let (methods, _) = rest.split_once(')')?;
    Some(methods.split(',').collect())
}

fn describe(login: &LoginProof) -> String {
    let by = match login.by {
        LoginBy::Key { .. } => "key",
        LoginBy::Password => "password",
    };
    format!("login of {} at {} by {by}", login.account, login.server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_offers_is_read_out_of_its_refusal() {
        let text = "root@127.0.0.1: Permission denied (publickey,keyboard-interactive).\n";
        assert_eq!(offered(text), Some(vec!["publickey", "keyboard-interactive"]));
        assert_eq!(offered("ssh: connect to host ::1 port 22: Connection refused\n"), None);
    }
}

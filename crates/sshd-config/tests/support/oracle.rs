//! Real sshd binaries, each in a small tree of its own under `target/lab/sshd`, run by `chroot` for `-T` only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};

use sshd_config::{Connection, Defaults, Version};

/// Users of the trees, with all their groups.
pub const USERS: &[(&str, &[&str])] = &[
    ("root", &["root"]),
    ("alice", &["alice", "wheel", "staff"]),
    ("bob", &["users", "staff"]),
    ("svc_web", &["svc", "www-data"]),
    ("deploy", &["deploy", "wheel", "no-ssh"]),
];

/// The sshd of one Debian suite.
pub struct Oracle {
    pub suite: &'static str,
    pub root: PathBuf,
    pub version: Version,
    pub release: String,
}

/// The sshd of a suite; `None` where it cannot be had here, which is an error where `CI=true`.
pub fn oracle(suite: &'static str) -> Option<&'static Oracle> {
    static KNOWN: OnceLock<Mutex<BTreeMap<&'static str, Option<&'static Oracle>>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
    *known.entry(suite).or_insert_with(|| match Oracle::set_up(suite) {
        Ok(oracle) => Some(Box::leak(Box::new(oracle))),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no sshd of {suite}: {why}");
            eprintln!("SKIPPED: no sshd of {suite}: {why}");
            None
        }
    })
}

impl Oracle {
    fn set_up(suite: &'static str) -> Result<Self, String> {
        let root = lab().join(suite);
        if !root.join("ready").exists() {
            build(suite, &root)?;
        }
        let banner = enter(&root, &["/usr/sbin/sshd", "-V"]).map_err(|error| error.to_string())?;
        let banner = String::from_utf8_lossy(&banner.stderr).into_owned();
        let version = Version::parse(&banner).ok_or_else(|| format!("no version in {banner:?}"))?;
        let release = banner.split(',').next().unwrap_or("").trim().to_owned();
        Ok(Self { suite, root, version, release })
    }

    pub fn defaults(&self) -> Defaults {
        Defaults::from_dump(&self.release, self.version, &self.recorded_defaults())
    }

    pub fn recorded_defaults(&self) -> String {
        let output = self.run(&["/usr/sbin/sshd", "-T", "-f", "/dev/null", "-h", "/etc/ssh/key"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let dump = String::from_utf8(output.stdout).unwrap();
        let own = |line: &&str| !line.to_ascii_lowercase().starts_with("hostkey ");
        dump.lines().filter(own).map(|line| format!("{line}\n")).collect()
    }

    /// What `sshd -T -C` prints for a connection; the error text where it refuses.
    pub fn ask(&self, main: &str, connection: &Connection) -> Result<String, String> {
        let output = self.run(&["/usr/sbin/sshd", "-T", "-f", main, "-C", &connection.to_test_spec()]);
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    pub fn run(&self, command: &[&str]) -> Output {
        enter(&self.root, command).unwrap()
    }
}

/// `target/lab/sshd`.
fn lab() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("lab/sshd")
}

/// Runs a program in a tree. Where we are not root, as the root of a user namespace.
fn enter(root: &Path, command: &[&str]) -> std::io::Result<Output> {
    static IS_ROOT: OnceLock<bool> = OnceLock::new();
    let is_root = *IS_ROOT.get_or_init(|| {
        Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
    });
    let mut enter = if is_root { Command::new("chroot") } else { Command::new("unshare") };
    if !is_root {
        enter.args(["-r", "chroot"]);
    }
    enter.arg(root).args(command).env_clear().env("PATH", "/usr/sbin:/usr/bin").output()
}

/// Fetches openssh-server and all it needs by apt with a state of its own, and unpacks it.
fn build(suite: &str, root: &Path) -> Result<(), String> {
    eprintln!("fetching the sshd of {suite} into {}", root.display());
    let work = lab().join(format!("{suite}.{}", std::process::id()));
    let _ = fs::remove_dir_all(&work);
    let tree = work.join("tree");
    let archives = work.join("archives");
    for dir in ["archives/partial", "lists/partial", "tree"] {
        fs::create_dir_all(work.join(dir)).map_err(|error| error.to_string())?;
    }
    let config = apt_config(suite, &work)?;
    let apt = |arguments: &[&str]| run(Command::new("apt-get").env("APT_CONFIG", &config).args(arguments));
    apt(&["update", "-qq"])?;
    let package = format!("openssh-server/{suite}");
    let client = if suite == "sid" { "openssh-client/sid" } else { "openssh-client" };
    apt(&[
        "install",
        "-qq",
        "-y",
        "--no-install-recommends",
        "--download-only",
        "-t",
        suite,
        &package,
        client,
    ])?;
    for archive in fs::read_dir(&archives).map_err(|error| error.to_string())?.flatten() {
        if archive.path().extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(archive.path()).arg(&tree))?;
        }
    }
    furnish(&tree).map_err(|error| error.to_string())?;
    let _ = fs::remove_dir_all(root);
    fs::rename(&tree, root).map_err(|error| error.to_string())?;
    fs::remove_dir_all(&work).map_err(|error| error.to_string())
}

fn apt_config(suite: &str, work: &Path) -> Result<PathBuf, String> {
    let sites = run(Command::new("apt-get").args(["indextargets", "--format", "$(SITE)"]))?;
    let site = sites.lines().find(|site| !site.contains("security")).ok_or("apt names no mirror")?;
    let work = work.display();
    let config = PathBuf::from(format!("{work}/apt.conf"));
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let write = |path: &str, text: String| fs::write(path, text).map_err(|error| error.to_string());
    write(&format!("{work}/sources.list"), format!("deb [signed-by={keyring}] {site} {suite} main\n"))?;
    write(&format!("{work}/status"), String::new())?;
    let text = format!(
        "Dir::State \"{work}\";\nDir::State::status \"{work}/status\";\nDir::State::lists \"{work}/lists\";\n\
         Dir::Cache \"{work}\";\nDir::Cache::archives \"{work}/archives\";\nDir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::sourcelist \"{work}/sources.list\";\nAcquire::Languages \"none\";\nAPT::Sandbox::User \"\";\n"
    );
    write(&config.display().to_string(), text)?;
    Ok(config)
}

/// What sshd looks for besides its libraries.
fn furnish(tree: &Path) -> std::io::Result<()> {
    for dir in ["run/sshd", "etc/ssh", "dev", "tmp", "case"] {
        fs::create_dir_all(tree.join(dir))?;
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        if !tree.join(link).exists() {
            std::os::unix::fs::symlink(format!("usr/{link}"), tree.join(link))?;
        }
    }
    // A plain file does: sshd only wants to open it, and `-f /dev/null` to read nothing.
    fs::write(tree.join("dev/null"), "")?;
    fs::write(tree.join("etc/services"), "ssh 22/tcp\n")?;
    let mut groups: Vec<&str> = USERS.iter().flat_map(|(_, groups)| groups.iter().copied()).collect();
    groups.sort_unstable();
    groups.dedup();
    let id = |name: &str| {
        if name == "root" { 0 } else { 1000 + groups.iter().position(|g| *g == name).unwrap() }
    };
    let mut passwd = "sshd:x:102:65534::/run/sshd:/usr/sbin/nologin\n".to_owned();
    for (index, (user, own)) in USERS.iter().enumerate() {
        let (uid, home) =
            if *user == "root" { (0, "/root".to_owned()) } else { (1000 + index, format!("/home/{user}")) };
        passwd += &format!("{user}:x:{uid}:{}::{home}:/bin/sh\n", id(own[0]));
    }
    fs::write(tree.join("etc/passwd"), passwd)?;
    let members = |group: &str| {
        let in_it = USERS.iter().filter(|(_, groups)| groups.contains(&group)).map(|(user, _)| *user);
        in_it.collect::<Vec<_>>().join(",")
    };
    let lines = groups.iter().map(|group| format!("{group}:x:{}:{}\n", id(group), members(group)));
    fs::write(tree.join("etc/group"), lines.collect::<String>())?;
    let mut keygen = Command::new("ssh-keygen");
    let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(tree.join("etc/ssh/key")).status()?;
    assert!(made.success(), "ssh-keygen failed");
    fs::write(tree.join("ready"), "")
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

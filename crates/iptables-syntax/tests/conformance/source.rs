//! The iptables source package: fetched, never kept in the repository.
//!
//! `IPTABLES_SOURCE` may name an unpacked source tree; else the package is fetched from the mirror that this machine's apt
//! uses, with a configuration of its own below `target/iptables-source`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of Debian whose iptables it is, on whatever machine: 1.8.9.
const RELEASE: &str = "bookworm";

/// The directory of the `.t` files, or why it is not there.
pub(crate) fn extensions() -> Result<PathBuf, String> {
    let tree = match std::env::var_os("IPTABLES_SOURCE") {
        Some(path) => PathBuf::from(path),
        None => fetched()?,
    };
    let extensions = tree.join("extensions");
    if extensions.is_dir() { Ok(extensions) } else { Err(format!("no extensions in {}", tree.display())) }
}

/// The unpacked source package.
fn fetched() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("iptables-source");
    if let Some(tree) = unpacked(&place) {
        return Ok(tree);
    }
    let apt = place.join("apt");
    for directory in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(directory)).map_err(|error| error.to_string())?;
    }
    let list = format!("deb-src {} {RELEASE} main\n", mirror()?);
    fs::write(apt.join("sources.list"), list).map_err(|error| error.to_string())?;
    let options = [
        format!("Dir::Etc::sourcelist={}", apt.join("sources.list").display()),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        "Acquire::http::Timeout=10".to_owned(),
        "Acquire::Retries=0".to_owned(),
        format!("Dir::State::lists={}", apt.join("lists").display()),
        format!("Dir::Cache={}", apt.join("cache").display()),
    ];
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(&place).args(options.iter().flat_map(|option| ["-o", option]));
        run(command.args(arguments))
    };
    apt_get(&["-q", "update"])?;
    apt_get(&["-q", "--download-only", "--only-source", "source", "iptables"])?;
    let archive = fs::read_dir(&place)
        .map_err(|error| error.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.to_string_lossy().contains(".orig.tar") && !path.to_string_lossy().ends_with(".asc")
        })
        .ok_or("the source package holds no archive")?;
    run(Command::new("tar").arg("-C").arg(&place).arg("-xf").arg(archive))?;
    unpacked(&place).ok_or_else(|| "the archive holds no iptables".to_owned())
}

fn unpacked(place: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(place).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| path.join("extensions/libxt_tcp.t").is_file())
}

/// The Debian mirror among those that apt uses.
fn mirror() -> Result<String, String> {
    let sites = run(Command::new("apt-get").args(["indextargets", "--format", "$(SITE)"]))?;
    let debian = sites.lines().map(|site| site.trim_end_matches('/')).find(|site| site.ends_with("/debian"));
    debian.map(str::to_owned).ok_or_else(|| "apt knows no Debian mirror".to_owned())
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let first = errors.lines().find(|line| line.starts_with("E:")).unwrap_or("it failed");
    Err(format!("{}: {first}", command.get_program().to_string_lossy()))
}

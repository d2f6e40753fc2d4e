//! What `gabion firewall status` keeps between its runs, outside of any transaction: that the kernel was found as applied at some
//! generation, and what others are known to do beside us.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::error::{Error, Result};

/// Gone with the boot, as the generations are.
const CHECKED: &str = "/run/gabion/firewall-checked.json";
/// What others do and the administrator knows of.
const KNOWN: &str = "/var/lib/gabion/firewall-known.json";
/// The journals' directory, whose time changes with every transaction that begins.
const TRANSACTIONS: &str = crate::TRANSACTIONS;

/// The last ruleset that was applied, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Applied {
    /// The transaction.
    pub transaction: Option<String>,
    /// When it began.
    pub at: Option<Timestamp>,
    /// Who began it.
    pub by: Option<String>,
}

/// That the kernel's tables were as applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checked {
    /// The generation of the ruleset that was read whole.
    pub generation: u32,
    /// What was applied.
    pub applied: Applied,
    scene: Scene,
}

/// All that a check depends on besides the generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scene {
    /// Generations are counted anew by every boot.
    boot: String,
    /// ... and by every network namespace.
    namespace: u64,
    /// The files that say what was applied, each by device, inode, size and times.
    files: Vec<Option<[i64; 7]>>,
}

impl Scene {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        let namespace = std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |found| found.ino());
        let files = [crate::plan::SAVED_RULESET, KNOWN, TRANSACTIONS].map(identity).to_vec();
        Self { boot: Moment::now().boot, namespace, files }
    }
}

/// What changes with a file, also where its times are set back by hand.
fn identity(path: &str) -> Option<[i64; 7]> {
    let found = std::fs::metadata(path).ok()?;
    let (device, inode) = (found.dev().cast_signed(), found.ino().cast_signed());
    let size = i64::try_from(found.size()).unwrap_or(i64::MAX);
    Some([device, inode, size, found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()])
}

/// The last check that found everything as applied, if nothing but the generation can have changed since.
#[must_use]
pub fn checked(scene: &Scene) -> Option<Checked> {
    let bytes = std::fs::read(CHECKED).ok()?;
    let checked: Checked = serde_json::from_slice(&bytes).ok()?;
    (checked.scene == *scene && !scene.boot.is_empty()).then_some(checked)
}

/// Keeps that everything was found as applied at this generation. `scene` was taken before the kernel was read.
///
/// # Errors
/// The file cannot be written; nothing depends on it but the time that the next check takes.
pub fn keep_checked(scene: Scene, generation: u32, applied: Applied) -> Result<()> {
    write(Path::new(CHECKED), &Checked { generation, applied, scene })
}

/// Forgets it.
pub fn forget_checked() {
    let _not_there_is_fine = std::fs::remove_file(CHECKED);
}

/// What others are known to do; nothing where that was never said.
///
/// # Errors
/// The file is there and cannot be read.
pub fn known_effects() -> Result<BTreeSet<String>> {
    let path = Path::new(KNOWN);
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::io("read", path)(error.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Keeps what others do as known.
///
/// # Errors
/// It cannot be written.
pub fn keep_known_effects(effects: &BTreeSet<String>) -> Result<()> {
    write(Path::new(KNOWN), effects)
}

/// Written beside its place and renamed, closed to all but root.
fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let failed = |doing| Error::io(doing, path);
    let bytes = serde_json::to_vec(value).map_err(|error| failed("write")(error.into()))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
    }
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let _left_by_a_crash = std::fs::remove_file(&beside);
    let mut options = std::fs::File::options();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(&beside).map_err(failed("create"))?;
    file.write_all(&bytes).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    std::fs::rename(&beside, path).map_err(failed("put in place"))
}

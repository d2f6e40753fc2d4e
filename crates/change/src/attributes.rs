//! What a file is beside its content: mode, owner, times, extended attributes.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::os::fd::AsFd;

use rustix::fs::{Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::action::Bytes;

/// Permission bits, the lower twelve of `st_mode`; written in octal, as chmod(1) takes them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bits(pub(crate) u32);

/// A time of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Stamp {
    /// Seconds since the epoch.
    pub(crate) seconds: i64,
    /// Nanoseconds in that second.
    pub(crate) nanoseconds: u32,
}

/// All that is kept of a file or directory beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Attributes {
    pub(crate) mode: Bits,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Stamp,
    pub(crate) accessed: Stamp,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) xattrs: BTreeMap<String, Bytes>,
}

impl Attributes {
    /// Reads them from an open file or directory.
    pub(crate) fn of(fd: impl AsFd) -> rustix::io::Result<Self> {
        let fd = fd.as_fd();
        let stat = rustix::fs::fstat(fd)?;
        Ok(Self { xattrs: xattrs(fd)?, ..Self::of_stat(&stat) })
    }

    /// Those that stat(2) tells.
    pub(crate) fn of_stat(stat: &Stat) -> Self {
        let stamp = |seconds: i64, nanoseconds: u64| Stamp {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or(0),
        };
        #[allow(clippy::useless_conversion, reason = "the widths differ between architectures")]
        Self {
            mode: Bits(Mode::from_raw_mode(stat.st_mode).bits()),
            uid: stat.st_uid,
            gid: stat.st_gid,
            modified: stamp(stat.st_mtime.into(), stat.st_mtime_nsec.into()),
            accessed: stamp(stat.st_atime.into(), stat.st_atime_nsec.into()),
            xattrs: BTreeMap::new(),
        }
    }

    /// Whether they are the same, when the file was last read left aside.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self == &Self { accessed: self.accessed, ..other.clone() }
    }

    /// Gives an open file or directory this owner, these xattrs and this mode. The order matters: chown(2) clears
    /// set-user-ID and capabilities, and an ACL shares the group bits of the mode.
    pub(crate) fn apply(&self, fd: impl AsFd) -> rustix::io::Result<()> {
        let fd = fd.as_fd();
        let stat = rustix::fs::fstat(fd)?;
        if (stat.st_uid, stat.st_gid) != (self.uid, self.gid) {
            rustix::fs::fchown(fd, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        }
        set_xattrs(fd, &self.xattrs)?;
        rustix::fs::fchmod(fd, Mode::from_raw_mode(self.mode.0))
    }

    /// Gives an open file or directory these times.
    pub(crate) fn apply_times(&self, fd: impl AsFd) -> rustix::io::Result<()> {
        rustix::fs::futimens(fd, &self.times())
    }

    pub(crate) fn times(&self) -> Timestamps {
        Timestamps { last_access: self.accessed.into(), last_modification: self.modified.into() }
    }
}

impl From<Stamp> for Timespec {
    fn from(stamp: Stamp) -> Self {
        Self { tv_sec: stamp.seconds, tv_nsec: stamp.nanoseconds.into() }
    }
}

/// Attributes that the kernel computes from others, and that cannot be set.
const COMPUTED: &[&str] = &["security.ima", "security.evm"];

fn xattrs(fd: impl AsFd) -> rustix::io::Result<BTreeMap<String, Bytes>> {
    let fd = fd.as_fd();
    let mut found = BTreeMap::new();
    for name in xattr_names(fd)? {
        let mut value = vec![0; 64 * 1024];
        match rustix::fs::fgetxattr(fd, &name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                found.insert(name, Bytes(value));
            }
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn xattr_names(fd: impl AsFd) -> rustix::io::Result<Vec<String>> {
    let mut list = vec![0; 64 * 1024];
    let length = match rustix::fs::flistxattr(fd, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP | Errno::NOSYS) => 0,
        Err(error) => return Err(error),
    };
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    Ok(names.filter(|name| !COMPUTED.contains(&name.as_str())).collect())
}

/// Makes the xattrs exactly these. The `security.selinux` label that a new file got by itself stays where none is known.
fn set_xattrs(fd: impl AsFd, wanted: &BTreeMap<String, Bytes>) -> rustix::io::Result<()> {
    let fd = fd.as_fd();
    let now = xattrs(fd)?;
    for name in now.keys().filter(|name| !wanted.contains_key(*name) && *name != "security.selinux") {
        match rustix::fs::fremovexattr(fd, c_name(name)?) {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    for (name, value) in wanted.iter().filter(|(name, value)| now.get(*name) != Some(value)) {
        rustix::fs::fsetxattr(fd, c_name(name)?, &value.0, XattrFlags::empty())?;
    }
    Ok(())
}

fn c_name(name: &str) -> rustix::io::Result<CString> {
    CString::new(name).map_err(|_| Errno::INVAL)
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 8).map(Self).map_err(de::Error::custom)
    }
}

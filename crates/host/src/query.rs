//! The closed list of questions to programs of the machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::facts::IptablesVariant;
use crate::{Error, Host, Kind};

/// Where programs are looked for, in this order. The caller's own PATH is never used.
pub(crate) const PROGRAM_DIRECTORIES: [&str; 7] = [
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/run/current-system/sw/bin",
];

/// A read-only question to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// `sshd -T`: the configuration as the server itself reads it, for no particular connection.
    SshdDump {
        /// Which sshd, where there are several; it must be root's alone.
        program: Option<PathBuf>,
        /// Another main file than the built-in one (`-f`).
        config: Option<PathBuf>,
    },
    /// `sshd -T -f /dev/null`: the defaults that are built in.
    SshdDefaults {
        /// As above.
        program: Option<PathBuf>,
    },
    /// `sshd -V`; before OpenSSH 9.3 a usage message, which names the version too.
    SshdVersion {
        /// As above.
        program: Option<PathBuf>,
    },
    /// `visudo -c`: are the sudoers files well formed, with the right owners and modes?
    VisudoCheck,
    /// `sudo -n -l -U USER`: what may this user run?
    SudoList {
        /// The login name.
        user: String,
    },
    /// `systemctl show`: the state of units.
    SystemctlShow {
        /// Full names of units; a pattern such as `gabion-*.timer` names those that are loaded.
        units: Vec<String>,
    },
    /// iptables-save(8): the tables of one family. Nothing is loaded into the kernel by asking for tables that are there.
    IptablesSave {
        /// Whose tables; none for the `iptables-save` of a host that has only one.
        variant: Option<IptablesVariant>,
        /// `ip6tables-save`.
        ipv6: bool,
    },
}

/// What a program answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; nothing where a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// ... and to its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it ended with exit code 0.
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }

    /// Its standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Why it failed, in a line: the last line of its standard error, or its exit code.
    pub fn complaint(&self) -> String {
        let errors = String::from_utf8_lossy(&self.stderr);
        let last = errors.lines().rev().map(str::trim).find(|line| !line.is_empty());
        match (last, self.status) {
            (Some(line), _) => line.to_owned(),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "ended by a signal".to_owned(),
        }
    }
}

/// Properties of units that are asked for.
pub(crate) const UNIT_PROPERTIES: &str =
    "--property=Id,LoadState,ActiveState,UnitFileState,Listen,MainPID,StateChangeTimestamp";

impl Query {
    /// The name of the program that is asked.
    pub fn program(&self) -> &'static str {
        match self {
            Self::SshdDump { .. } | Self::SshdDefaults { .. } | Self::SshdVersion { .. } => "sshd",
            Self::VisudoCheck => "visudo",
            Self::SudoList { .. } => "sudo",
            Self::SystemctlShow { .. } => "systemctl",
            Self::IptablesSave { variant, ipv6 } => match (variant, ipv6) {
                (None, false) => "iptables-save",
                (None, true) => "ip6tables-save",
                (Some(IptablesVariant::Nft), false) => "iptables-nft-save",
                (Some(IptablesVariant::Nft), true) => "ip6tables-nft-save",
                (Some(IptablesVariant::Legacy), false) => "iptables-legacy-save",
                (Some(IptablesVariant::Legacy), true) => "ip6tables-legacy-save",
            },
        }
    }

    /// The program's path, where the question names one.
    pub(crate) fn chosen_program(&self) -> Option<&Path> {
        match self {
            Self::SshdDump { program, .. }
            | Self::SshdDefaults { program }
            | Self::SshdVersion { program } => program.as_deref(),
            Self::VisudoCheck
            | Self::SudoList { .. }
            | Self::SystemctlShow { .. }
            | Self::IptablesSave { .. } => None,
        }
    }

    /// The whole argument vector after the program's name.
    pub(crate) fn arguments(&self) -> Result<Vec<OsString>, Error> {
        let fixed = |arguments: &[&str]| arguments.iter().map(OsString::from).collect::<Vec<_>>();
        Ok(match self {
            Self::SshdDump { config: None, .. } => fixed(&["-T"]),
            Self::SshdDump { config: Some(path), .. } => {
                let mut arguments = fixed(&["-T", "-f"]);
                arguments.push(path.into());
                arguments
            }
            Self::SshdDefaults { .. } => fixed(&["-T", "-f", "/dev/null"]),
            Self::SshdVersion { .. } => fixed(&["-V"]),
            Self::VisudoCheck => fixed(&["-c"]),
            Self::IptablesSave { .. } => Vec::new(),
            Self::SudoList { user } => {
                self.check_word(user)?;
                fixed(&["-n", "-l", "-U", user])
            }
            Self::SystemctlShow { units } => {
                let mut arguments = fixed(&["--no-pager", "--all", UNIT_PROPERTIES, "show", "--"]);
                for unit in units {
                    self.check_word(unit)?;
                    arguments.push(unit.into());
                }
                arguments
            }
        })
    }

    /// A name that no program takes for an option or for two.
    fn check_word(&self, word: &str) -> Result<(), Error> {
        if word.is_empty() || word.starts_with('-') || word.contains(|c: char| c.is_control() || c == ' ') {
            let why = format!("{word:?} is not a name");
            return Err(Error::BadQuestion { program: self.program(), why });
        }
        Ok(())
    }
}

/// The first program of that name in the fixed directories.
pub(crate) fn installed(host: &dyn Host, name: &'static str) -> Result<PathBuf, Error> {
    find(host, name).ok_or(Error::NoProgram(name))
}

/// The first executable file of that name in the fixed directories.
pub(crate) fn find(host: &dyn Host, name: &str) -> Option<PathBuf> {
    PROGRAM_DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| {
        let found = host.resolve(path).and_then(|path| host.metadata(&path));
        found.is_ok_and(|found| found.kind == Kind::File && found.mode & 0o111 != 0)
    })
}

/// The path itself where nobody but root can change what would be run.
pub(crate) fn trusted(host: &dyn Host, path: &Path) -> Result<PathBuf, Error> {
    let resolved = host.resolve(path)?;
    for (depth, above) in resolved.ancestors().enumerate() {
        let found = host.metadata(above)?;
        // Debian gives /usr/local to the group staff, whose members can become root by it anyway.
        let forbidden = if depth == 0 { 0o022 } else { 0o002 };
        let complaint = if found.uid != 0 {
            format!("{} belongs to user {}", above.display(), found.uid)
        } else if found.mode & forbidden != 0 {
            format!("{} may be written by others than root", above.display())
        } else {
            continue;
        };
        return Err(Error::UntrustedProgram { path: path.to_owned(), why: complaint });
    }
    Ok(path.to_owned())
}

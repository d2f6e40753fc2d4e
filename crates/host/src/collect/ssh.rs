//! The SSH server's program: which one it is, and what it says of itself.

use std::path::{Path, PathBuf};

use crate::facts::Fact;
use crate::query::{self, PROGRAM_DIRECTORIES};
use crate::{Host, Query};

use super::asked;
use super::servers::Master;

/// An sshd is about 1 MB long.
const MOST_OF_PROGRAM: u64 = 16 << 20;

/// Which program and which configuration the questions are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The program; nothing where none is installed.
    pub(super) program: Option<PathBuf>,
    /// The main configuration file.
    pub(super) main_file: PathBuf,
    /// The file is not the program's built-in one.
    explicit: bool,
}

/// The program that runs, where it stands in a directory of programs; else the one that is installed.
/// What some process calls sshd elsewhere is never run.
pub(super) fn choose(host: &dyn Host, masters: &Fact<Vec<Master>>) -> Choice {
    let masters = masters.known().map(Vec::as_slice).unwrap_or_default();
    let running = masters.iter().filter(|master| master.real_user == Some(0)).find(|master| {
        let directory = master.program.parent();
        PROGRAM_DIRECTORIES.iter().any(|trusted| directory == Some(Path::new(trusted)))
            && query::trusted(host, &master.program).is_ok()
    });
    let program = running.map(|master| master.program.clone()).or_else(|| query::find(host, "sshd"));
    let explicit = running.and_then(|master| config_argument(&master.argv));
    let built_in = || {
        let places = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"].map(PathBuf::from);
        let [first, _] = places.clone();
        places.into_iter().find(|path| host.metadata(path).is_ok()).unwrap_or(first)
    };
    Choice { program, explicit: explicit.is_some(), main_file: explicit.unwrap_or_else(built_in) }
}

/// The value of `-f`, as getopt(3) finds it, where it is an absolute path.
fn config_argument(argv: &[String]) -> Option<PathBuf> {
    const WITH_VALUE: &str = "CEbcfghkopu";
    let mut arguments = argv.iter().skip(1);
    let mut found = None;
    while let Some(argument) = arguments.next() {
        let Some(letters) = argument.strip_prefix('-') else {
            continue;
        };
        let Some((at, letter)) = letters.char_indices().find(|(_, letter)| WITH_VALUE.contains(*letter))
        else {
            continue;
        };
        let attached = &letters[at + letter.len_utf8()..];
        let value = if attached.is_empty() { arguments.next().map(String::as_str) } else { Some(attached) };
        if letter == 'f' {
            found = value.map(PathBuf::from);
        }
    }
    found.filter(|path| path.is_absolute())
}

pub(super) fn version(host: &dyn Host, choice: &Choice) -> Fact<String> {
    if choice.program.is_none() {
        return Fact::Unknown("sshd is not installed".to_owned());
    }
    // Old versions know no such option, and say their name in the complaint.
    match host.ask(&Query::SshdVersion { program: choice.program.clone() }) {
        Ok(output) => {
            let text = format!("{}\n{}", output.text(), String::from_utf8_lossy(&output.stderr));
            match parse_version(&text) {
                Some(version) => Fact::Known(version),
                None => Fact::Unknown(format!("sshd -V: {}", output.complaint())),
            }
        }
        Err(error) => match choice.program.as_deref().and_then(|program| stamped_version(host, program)) {
            Some(version) => Fact::Known(version),
            None => Fact::Unknown(error.to_string()),
        },
    }
}

/// A program that cannot be asked, as in an image, still holds its version: the string that it sends in its banner.
fn stamped_version(host: &dyn Host, program: &Path) -> Option<String> {
    let bytes = host.read_at_most(program, MOST_OF_PROGRAM).ok()?;
    let strings = bytes.split(|byte| *byte == 0);
    let stamps = strings.filter(|string| string.starts_with(b"OpenSSH_")).filter_map(|string| {
        let text = std::str::from_utf8(string).ok()?;
        // Others are patterns of clients with known faults: `OpenSSH_6.5*,OpenSSH_6.6*`.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-' | '~' | ' ');
        text.chars().all(plain).then(|| text.to_owned())
    });
    stamps.max_by_key(String::len)
}

/// `OpenSSH_9.2p1 Debian-2+deb12u6, OpenSSL 3.0.17 1 Jul 2025`: what stands before the comma.
fn parse_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("OpenSSH_"))?;
    Some(line.split(',').next().unwrap_or(line).trim().to_owned())
}

pub(super) fn dump(host: &dyn Host, choice: &Choice) -> Fact<String> {
    let config = choice.explicit.then(|| choice.main_file.clone());
    answer(host, choice, &Query::SshdDump { program: choice.program.clone(), config })
}

pub(super) fn defaults(host: &dyn Host, choice: &Choice) -> Fact<String> {
    answer(host, choice, &Query::SshdDefaults { program: choice.program.clone() })
}

fn answer(host: &dyn Host, choice: &Choice, query: &Query) -> Fact<String> {
    if choice.program.is_none() {
        return Fact::Unknown("sshd is not installed".to_owned());
    }
    match asked(host, query) {
        Ok(output) => Fact::Known(output.text()),
        Err(why) => Fact::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_file_is_found_among_the_arguments() {
        let find = |line: &str| {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            config_argument(&argv).map(|path| path.display().to_string())
        };
        assert_eq!(find("sshd -D -f /a"), Some("/a".to_owned()));
        assert_eq!(find("sshd -Df/a"), Some("/a".to_owned()));
        assert_eq!(find("sshd -o -f -D"), None);
        assert_eq!(find("sshd -oPort=22 -D"), None);
        assert_eq!(find("sshd -f a"), None);
        assert_eq!(find("sshd -f"), None);
    }

    #[test]
    fn the_version_is_found_in_an_answer_and_in_a_complaint() {
        let answer = "OpenSSH_10.0p2 Debian-7, OpenSSL 3.5.1 1 Jul 2025\n";
        assert_eq!(parse_version(answer).as_deref(), Some("OpenSSH_10.0p2 Debian-7"));
        let complaint = "sshd: invalid option -- 'V'\nOpenSSH_8.4p1 Debian-5, OpenSSL 1.1.1n\nusage: sshd\n";
        assert_eq!(parse_version(complaint).as_deref(), Some("OpenSSH_8.4p1 Debian-5"));
        assert_eq!(parse_version("dropbear"), None);
    }
}

//! The text of an `nft` file as the kernel takes it: loaded by `nft` itself into a network namespace that is gone afterwards.
#![allow(
    clippy::disallowed_methods,
    reason = "nft is run in a network namespace of its own, to read what it makes of a text"
)]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nf_tables::{Connection, Ruleset};
use nix::sched::CloneFlags;

use crate::error::Error;

/// Where `nft` is looked for; the caller's PATH is not used.
const PROGRAMS: [&str; 6] = [
    "/usr/sbin/nft",
    "/usr/bin/nft",
    "/sbin/nft",
    "/usr/local/sbin/nft",
    "/usr/local/bin/nft",
    "/run/current-system/sw/bin/nft",
];

/// How long `nft` may take over a text.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of its complaints that are kept.
const COMPLAINTS: u64 = 64 << 10;

/// Why a text could not be read.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// There is no `nft`.
    #[error("a text in the language of nft is read by nft itself, which is not installed")]
    NotInstalled,
    /// No namespace could be made, or `nft` could not be run in it.
    #[error("nft could not be run in a network namespace of its own: {0}")]
    Run(#[from] Error),
    /// `nft` does not take the text: its first complaint, and where it stands if it says so.
    #[error("{}{complaint}", at(*line))]
    Refused {
        /// From 1.
        line: Option<usize>,
        /// In its own words.
        complaint: String,
    },
    /// What it loaded could not be read from the kernel.
    #[error("what nft loaded could not be read: {0}")]
    Dump(#[from] nf_tables::Error),
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!("line {line}: ")).unwrap_or_default()
}

/// Has `nft` load a text into a network namespace of its own, and reads there what the kernel made of it. `beside` is the folder
/// in which relative `include`s are looked for first.
///
/// # Errors
/// [`NftError`]: without the right to make network namespaces there is no way.
pub fn nft_ruleset(text: &str, beside: &Path) -> Result<Ruleset, NftError> {
    let program = PROGRAMS.iter().map(Path::new).find(|path| path.is_file()).ok_or(NftError::NotInstalled)?;
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| Error::System {
                call: "unshare",
                errno: rustix::io::Errno::from_raw_os_error(errno as i32),
            })?;
            load(program, text, beside)?;
            Ok(Connection::open()?.dump_ruleset()?)
        });
        inside.join().unwrap_or(Err(NftError::Run(Error::Ended)))
    })
}

fn load(program: &Path, text: &str, beside: &Path) -> Result<(), NftError> {
    let failed = |call: &'static str| {
        move |error: std::io::Error| Error::System {
            call,
            errno: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
        }
    };
    let mut child = Command::new(program)
        .arg("-I")
        .arg(beside)
        .args(["-f", "-"])
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir(beside)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed("nft"))?;
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // An nft that ends before it has read all of it says why by itself.
            let _it_has_ended = input.map(|mut input| input.write_all(text.as_bytes()));
        });
        let complaints = scope.spawn(move || {
            let mut said = Vec::new();
            if let Some(mut errors) = errors {
                let _what_was_read_counts = errors.by_ref().take(COMPLAINTS).read_to_end(&mut said);
                let _the_rest = std::io::copy(&mut errors, &mut std::io::sink());
            }
            String::from_utf8_lossy(&said).into_owned()
        });
        let ended = wait(&mut child).map_err(failed("waiting for nft"));
        let complaints = complaints.join().unwrap_or_default();
        if ended? { Ok(()) } else { Err(refused(&complaints)) }
    })
}

/// Whether it took the text. One that does not come to an end is ended.
fn wait(child: &mut Child) -> Result<bool, std::io::Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The first of the complaints: `/dev/stdin:3:7-10: Error: syntax error, unexpected string`.
fn refused(complaints: &str) -> NftError {
    let first =
        complaints.lines().find(|line| !line.trim().is_empty()).unwrap_or("nft gives no reason").trim();
    let here = ["/dev/stdin:", "-:"].into_iter().find_map(|start| first.strip_prefix(start));
    let told = here.and_then(|rest| {
        let (place, complaint) = rest.split_once(": ")?;
        Some((place.split(':').next()?.parse().ok()?, complaint))
    });
    match told {
        Some((line, complaint)) => NftError::Refused { line: Some(line), complaint: complaint.to_owned() },
        None => NftError::Refused { line: None, complaint: first.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_complaint_is_told_with_its_line() {
        let said =
            "/dev/stdin:3:7-10: Error: syntax error, unexpected string\n  tcp dprt 5 accept\n      ^^^^\n";
        assert_eq!(refused(said).to_string(), "line 3: Error: syntax error, unexpected string");
        let included = "/etc/other.nft:9:1-2: Error: no\n";
        assert_eq!(refused(included).to_string(), "/etc/other.nft:9:1-2: Error: no");
        assert_eq!(refused("").to_string(), "nft gives no reason");
    }
}

//! The journal: what was done, in plain files, synced before the next thing is done.
//!
//! A transaction is a directory `/var/lib/gabion/transactions/ID/`:
//!
//! | file | holds |
//! |---|---|
//! | `plan.json` | the plan |
//! | `about.json` | who applied it, with which policy, and how they came in |
//! | `journal.jsonl` | one JSON line an event, synced before the next thing is done |
//! | `originals/NNN/` | what step NNN (from 1) replaced: copies, and `meta.json` with owner, mode, times, xattrs |
//! | `displaced/NNN/` | what somebody else had put in the way of an undo |
//! | `gabion` | the program, while the transaction is open: undoing does not depend on what the plan installs |
//!
//! A last line that is torn, by a power cut, was not written. A file is put back by hand with
//! `cp -a originals/NNN/NAME PATH`.

mod event;
mod id;
mod state;
mod store;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use event::Because;
pub(crate) use event::{Event, Line, Timer};
pub use id::{NotATransactionId, TransactionId};
pub use state::State;
pub(crate) use state::Summary;
pub use store::TRANSACTIONS;
pub(crate) use store::{Lock, Store};

use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::fault;
use crate::originals::write_synced;

const JOURNAL: &str = "journal.jsonl";

/// The journal of one transaction, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    file: File,
    lines: Vec<Line>,
}

impl Journal {
    /// Opens a journal. A torn last line is cut off by the next append.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(JOURNAL);
        let mut options = File::options();
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(&path).map_err(Error::io("open", &path))?;
        let (lines, whole) = parse(&path, &fs::read(&path).map_err(Error::io("read", &path))?)?;
        let length = file.metadata().map_err(Error::io("look at", &path))?.len();
        if length > whole {
            file.set_len(whole).map_err(Error::io("cut", &path))?;
            file.sync_all().map_err(Error::io("sync", &path))?;
        }
        Ok(Self { directory: directory.to_owned(), file, lines })
    }

    /// Reads a journal without touching it.
    pub(crate) fn read(directory: &Path) -> Result<Vec<Line>> {
        let path = directory.join(JOURNAL);
        match fs::read(&path) {
            Ok(bytes) => Ok(parse(&path, &bytes)?.0),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Appends a line and syncs it.
    pub(crate) fn append(&mut self, event: Event) -> Result<()> {
        let path = self.directory.join(JOURNAL);
        let line = Line { at: Moment::now(), event };
        let mut text = to_json(&line, &path)?;
        text.retain(|byte| *byte != b'\n');
        text.push(b'\n');
        fault::point("journal: before a line");
        let length = self.file.metadata().map_err(Error::io("look at", &path))?.len();
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // A full disk must not leave half a line in the middle.
            let _ = self.file.set_len(length);
            return Err(Error::io("write", &path)(error));
        }
        fault::point("journal: line synced");
        self.lines.push(line);
        Ok(())
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary::of(&self.lines)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// The lines, and how many bytes they take. Where the last line is torn, it counts as not written.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Line>, u64)> {
    let mut lines = Vec::new();
    let mut whole = 0;
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (text, left) = rest.split_at(end + 1);
        match serde_json::from_slice(text) {
            Ok(line) => lines.push(line),
            // ext4 may show a line's length before its bytes, as zeros, after a power cut.
            Err(_) if left.iter().all(|byte| *byte == 0) => break,
            Err(error) => {
                return Err(Error::CorruptJournal {
                    path: path.to_owned(),
                    line: lines.len() + 1,
                    reason: error.to_string(),
                });
            }
        }
        whole += text.len() as u64;
        rest = left;
    }
    Ok((lines, whole))
}

fn to_json(value: &impl Serialize, path: &Path) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::io("write", path)(error.into()))
}

/// Writes a JSON file of a transaction, laid out for people, and syncs it.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|error| Error::io("write", path)(error.into()))?;
    text.push(b'\n');
    write_synced(path, &text)
}

/// Reads a JSON file of a transaction.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::CorruptJournal {
        path: path.to_owned(),
        line: error.line(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(directory: &Path) -> Journal {
        let mut journal = Journal::open(directory).unwrap();
        journal.append(Event::Opened).unwrap();
        journal.append(Event::Begun { step: 0 }).unwrap();
        journal
    }

    #[test]
    fn a_torn_last_line_was_not_written() {
        let directory = tempfile::tempdir().unwrap();
        journal(directory.path());
        let path = directory.path().join(JOURNAL);
        let whole = fs::read(&path).unwrap();
        let torn_tails: [&[u8]; 5] = [b"{", b"{\"at\":{\"wa", b"\0\0\0\0", b"\0\0\0\n", b"{\"half\":1\n\0\0"];
        for tail in torn_tails {
            fs::write(&path, [&whole[..], tail].concat()).unwrap();
            assert_eq!(Journal::read(directory.path()).unwrap().len(), 2, "{tail:?}");
            let mut journal = Journal::open(directory.path()).unwrap();
            journal.append(Event::Done { step: 0 }).unwrap();
            let read = Journal::read(directory.path()).unwrap();
            assert_eq!(read.last().unwrap().event, Event::Done { step: 0 });
            assert_eq!(read.len(), 3);
        }
    }

    #[test]
    fn a_journal_cut_anywhere_reads_as_its_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        journal(directory.path());
        let path = directory.path().join(JOURNAL);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(Journal::read(directory.path()).unwrap().len(), lines, "cut at {cut}");
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_is_told_by_its_number() {
        let directory = tempfile::tempdir().unwrap();
        journal(directory.path());
        let path = directory.path().join(JOURNAL);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replacen("opened", "opined", 1)).unwrap();
        let error = Journal::read(directory.path()).unwrap_err();
        assert!(matches!(error, Error::CorruptJournal { line: 1, .. }), "{error}");
    }

    #[test]
    fn two_never_hold_the_lock_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(&crate::Root::at(directory.path()).unwrap()).unwrap();
        let lock = store.lock(std::time::Duration::ZERO).unwrap();
        assert!(matches!(store.lock(std::time::Duration::ZERO), Err(Error::Busy)));
        drop(lock);
        store.lock(std::time::Duration::ZERO).unwrap();
    }

    #[test]
    fn a_program_that_inherits_the_lock_holds_it_when_we_are_gone() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(&crate::Root::at(directory.path()).unwrap()).unwrap();
        let lock = store.lock(std::time::Duration::ZERO).unwrap();
        let mut child = lock.inherited(|| std::process::Command::new("sleep").arg("60").spawn().unwrap());
        drop(lock);
        assert!(matches!(store.lock(std::time::Duration::ZERO), Err(Error::Busy)));
        child.kill().unwrap();
        child.wait().unwrap();
        store.lock(std::time::Duration::ZERO).unwrap();
    }
}

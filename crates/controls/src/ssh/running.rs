//! Whether the server that runs is the one that the files describe.

use host::Facts;
use host::facts::{Server, Started};

use super::view::options;
use crate::finding::Severity;
use crate::judgement::{Fault, Judged, Subject, Verdict};
use crate::people::known;

/// Whether a running server read its configuration before a file of it last changed.
pub fn is_stale(facts: &Facts) -> bool {
    let servers = facts.ssh.servers.known().map(Vec::as_slice).unwrap_or_default();
    servers.iter().any(|server| !newer_files(facts, server).is_empty())
}

/// The configuration files that changed after the server last read them.
fn newer_files(facts: &Facts, server: &Server) -> Vec<String> {
    let changed = |path: &&std::path::PathBuf| {
        facts.file(path).entry().is_some_and(|entry| entry.mtime > server.started)
    };
    facts.ssh.config_files.iter().filter(changed).map(|path| path.display().to_string()).collect()
}

/// The running server has read the files as they are, and nothing on its command line counts before them.
/// Source: sshd(8) `-f`, `-o`, `SIGHUP`.
pub(crate) fn sh24_file_and_running(subject: &Subject<'_>) -> Judged {
    subject.sshd()?;
    if subject.is_image() {
        return Ok(Verdict::silent(
            "an image that is not running has no server that could lag behind its files",
        ));
    }
    let servers = known(&subject.facts.ssh.servers, "the running sshd")?;
    if servers.is_empty() {
        return Ok(Verdict::silent("no sshd runs: each connection starts one, or none does"));
    }
    let mut faults = Vec::new();
    for server in servers {
        faults.extend(stale(subject.facts, server));
        let options = options(&server.argv);
        if !options.is_empty() {
            faults.push(
                Fault::new(format!("sshd's command line counts before its files: {}", options.join(", ")))
                    .severity(Severity::Info)
                    .decided_by(format!("/proc/{}/cmdline", server.pid))
                    .ask("move the options from the unit or init script into sshd_config"),
            );
        }
    }
    Ok(faults.into())
}

fn stale(facts: &Facts, server: &Server) -> Option<Fault> {
    let files = newer_files(facts, server);
    if files.is_empty() {
        return None;
    }
    let what = "sshd runs with an older configuration than its files have";
    let fault = match server.started_by {
        Started::PidFile | Started::Unit => Fault::new(what),
        Started::Process => {
            Fault::unknown(what, "whether it was reloaded since cannot be seen").severity(Severity::Low)
        }
    };
    Some(fault.decided_by_all(files).apply())
}

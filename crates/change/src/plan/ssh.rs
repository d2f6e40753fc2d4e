//! The SSH server: a drop-in that sorts first, or lines above the first Match where there is no Include.

use std::path::{Path, PathBuf};

use policy::Policy;

use super::PlanError;
use super::draft::{Draft, Reason, WantedFile};
use crate::action::{Action, Owner, Risk};

/// Sorts before every other drop-in: in `sshd_config` the first value wins.
pub(super) const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-gabion.conf";

pub(super) fn draw(draft: &mut Draft<'_>, policy: &Policy) -> Result<(), PlanError> {
    let facts = draft.facts;
    let program = match facts.ssh.program.known() {
        Some(Some(program)) => program.clone(),
        Some(None) => {
            draft.note("no SSH server is installed: nothing to configure");
            return Ok(());
        }
        None => {
            return Err(PlanError::Unknown {
                what: "the SSH server".to_owned(),
                reason: facts.ssh.program.unknown().unwrap_or_default().to_owned(),
            });
        }
    };
    let wanted = controls::ssh::desired(policy, facts).map_err(|error| PlanError::Impossible {
        what: "the SSH server's policy".to_owned(),
        hint: error.to_string(),
    })?;
    if wanted.settings.iter().chain(&wanted.match_all).any(|(keyword, _)| keyword == "AuthenticationMethods")
    {
        draft.note(
            "sshd asks for a password besides the key now (AuthenticationMethods), which password-login = false takes away: \
             a key alone will do afterwards. To keep the second factor, set password-login = true under [ssh]",
        );
    }
    let file = wanted_file(draft, &wanted)?;
    let reason = Reason {
        why: "logins by key alone, none as root, no weak algorithms",
        controls: &[
            "SH1", "SH2", "SH3", "SH4", "SH5", "SH6", "SH7", "SH8", "SH9", "SH14", "SH16", "SH17", "SH18",
            "SH19",
        ],
        risk: Risk::CutOff,
    };
    let changed = draft.file(file, reason)?;
    if changed || controls::ssh::is_stale(facts) {
        let reason = Reason {
            why: "the running server takes the new configuration; sessions go on",
            controls: &["SH24"],
            risk: Risk::CutOff,
        };
        draft.step(Action::ReloadSsh { program }, "tested with sshd -t first".to_owned(), reason);
    }
    Ok(())
}

fn wanted_file(draft: &Draft<'_>, wanted: &controls::ssh::Desired) -> Result<WantedFile, PlanError> {
    let main_file = &draft.facts.ssh.main_file;
    if wanted.drop_in_is_read_first {
        let path = PathBuf::from(DROP_IN);
        return Ok(WantedFile {
            path,
            contents: wanted.text.clone().into_bytes(),
            mode: 0o600,
            owner: Owner::Root,
        });
    }
    let entry = draft.entry(main_file)?.ok_or_else(|| missing(main_file))?;
    let now = entry.content.as_ref().map(|content| content.0.as_slice()).ok_or_else(|| missing(main_file))?;
    Ok(WantedFile {
        path: main_file.clone(),
        contents: wanted.main_file(now),
        mode: entry.mode,
        owner: Owner::Keep,
    })
}

fn missing(path: &Path) -> PlanError {
    PlanError::Unknown {
        what: path.display().to_string(),
        reason: "it is not there, or was not read".to_owned(),
    }
}

//! What the drop-in must hold for the policy to be met on this host.

use std::path::{Path, PathBuf};

use host::Facts;
use policy::{AllowLogin, Policy};
use sshd_config::edit::{DropIns, drop_ins, insert_above_first_match};
use sshd_config::tree::File;
use sshd_config::{Keyword, Version};

use super::crypto::{LISTS, removals, weak};
use super::doors::{is_exempt, is_open_at_start, openings};
use super::rules::{RULES, Rule};
use super::view::{Overlay, Sshd, Unread};

/// Sorts before every other drop-in: in `sshd_config` the first value wins.
pub const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-gabion.conf";

const BEGIN: &str = "# Begin of what gabion wrote";
const END: &str = "# End of what gabion wrote";
const HEAD: &str =
    "# Written by gabion from its policy. In sshd_config the first value wins, so this file sorts first.\n";

/// What the drop-in must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// The main file reads drop-ins before every directive of its own, so the text may go to [`DROP_IN`]. Otherwise
    /// it must go into the main file, by [`Self::main_file`].
    pub drop_in_is_read_first: bool,
    /// Directives for every connection, as keyword and value.
    pub settings: Vec<(String, String)>,
    /// Directives that must also stand in a `Match all` before every other `Match`: a block that matches overrides
    /// the main part, and of several the first. Other keywords of those blocks go on counting.
    pub match_all: Vec<(String, String)>,
    /// All of it as text, for [`DROP_IN`]. Where that is not read first, [`Self::main_file`] puts it into place.
    pub text: String,
}

impl Desired {
    fn render(&mut self) {
        let line = |(keyword, value): &(String, String)| format!("{keyword} {value}\n");
        self.text = HEAD.to_owned();
        self.text.extend(self.settings.iter().map(line));
        if self.drop_in_is_read_first && !self.match_all.is_empty() {
            self.text.push_str(&self.match_all_text());
        }
    }

    /// The main file with all of it: above everything else, and the `Match all` above the first other `Match`. What was
    /// put there before is replaced.
    pub fn main_file(&self, now: &[u8]) -> Vec<u8> {
        let mut bytes = block(&self.text).into_bytes();
        bytes.extend_from_slice(&without_blocks(now));
        if self.match_all.is_empty() {
            return bytes;
        }
        insert_above_first_match(&File::parse(&bytes), &block(&self.match_all_text()))
    }

    /// The `Match all` block as text; empty where none is needed.
    pub fn match_all_text(&self) -> String {
        if self.match_all.is_empty() {
            return String::new();
        }
        let mut text =
            "# A Match block overrides what stands above; the first one that matches wins.\nMatch all\n"
                .to_owned();
        text.extend(self.match_all.iter().map(|(keyword, value)| format!("    {keyword} {value}\n")));
        text
    }
}

/// Why it cannot be said what the drop-in must hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// No SSH server is installed.
    #[error("no SSH server is installed")]
    NotInstalled,
    /// The configuration could not be read.
    #[error("sshd's configuration could not be read: {0}")]
    Unread(String),
}

impl From<Unread> for Impossible {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::NotInstalled => Self::NotInstalled,
            Unread::Unknown(reason) => Self::Unread(reason),
        }
    }
}

/// What the drop-in must hold for this policy on this host's version of sshd: what is the core of the policy, and what
/// else the host's own configuration gets wrong. The same host gives the same text, whether it was applied or not.
///
/// # Errors
/// There is no sshd, or its configuration is not known.
pub fn desired(policy: &Policy, facts: &Facts) -> Result<Desired, Impossible> {
    let bare = Sshd::read_with(facts, without_ours(facts))?;
    let place = drop_ins(&bare.configuration, Path::new(DROP_IN));
    let mut desired =
        Desired { drop_in_is_read_first: matches!(place, DropIns::First(_)), ..Desired::default() };
    for rule in RULES.iter().filter(|rule| bare.has(rule.keyword())) {
        let is_core = (rule.core)(policy) && !is_exempt(&bare, policy, rule);
        if is_core || is_open_at_start(&bare, policy, rule) {
            desired.settings.extend(directives(rule.keyword(), rule.closed, bare.version()));
        }
    }
    for (_, keyword) in LISTS.iter().filter(|(_, keyword)| bare.has(*keyword)) {
        let start = bare.at_start();
        let removals = removals(&bare, *keyword, &start.inner().get(*keyword), policy.ssh.crypto);
        if !removals.is_empty() {
            desired.settings.extend(directives(
                *keyword,
                &format!("-{}", removals.join(",")),
                bare.version(),
            ));
        }
    }
    if policy.ssh.allow == AllowLogin::Admins && !policy.admins.is_empty() {
        desired.settings.push(("AllowUsers".to_owned(), names(policy)));
    }
    desired.render();
    desired.match_all = left_open(policy, facts, &desired)?;
    desired.render();
    Ok(desired)
}

/// What `Match` blocks open again although the main part closes it.
fn left_open(policy: &Policy, facts: &Facts, desired: &Desired) -> Result<Vec<(String, String)>, Impossible> {
    let sshd = applied(facts, desired)?;
    let version = sshd.version();
    let mut left = Vec::new();
    let is_open = |rule: &&Rule| !openings(&sshd, policy, None, rule).is_empty();
    for rule in RULES.iter().filter(|rule| rule.keyword().allowed_in_match(version)).filter(is_open) {
        left.extend(directives(rule.keyword(), rule.closed, version).into_iter().take(1));
    }
    for (_, keyword) in
        LISTS.iter().filter(|(_, keyword)| keyword.allowed_in_match(version) && sshd.has(*keyword))
    {
        let mut names = Vec::new();
        for weak in weak(&sshd, *keyword, policy.ssh.crypto) {
            names.extend(removals(&sshd, *keyword, &weak.setting, policy.ssh.crypto));
        }
        names.sort();
        names.dedup();
        if !names.is_empty() {
            left.extend(directives(*keyword, &format!("-{}", names.join(",")), version));
        }
    }
    let lists_users = |directive: &&sshd_config::Directive| {
        directive.keyword == Keyword::AllowUsers && directive.origin.path.as_ref() != Path::new(DROP_IN)
    };
    // Lines of the main part add up; a block's list stands in their place.
    if policy.ssh.allow == AllowLogin::Admins
        && !policy.admins.is_empty()
        && sshd.configuration.directives().iter().any(|directive| lists_users(&directive))
    {
        left.push(("AllowUsers".to_owned(), names(policy)));
    }
    Ok(left)
}

fn names(policy: &Policy) -> String {
    policy.admins.iter().map(|admin| admin.name.as_str()).collect::<Vec<_>>().join(" ")
}

/// The configuration as it would be with that text in its place.
pub(crate) fn applied(facts: &Facts, desired: &Desired) -> Result<Sshd, Unread> {
    Sshd::read_with(facts, overlay(facts, desired))
}

fn overlay(facts: &Facts, desired: &Desired) -> Overlay {
    if desired.drop_in_is_read_first {
        return Overlay::from([(PathBuf::from(DROP_IN), Some(desired.text.clone().into_bytes()))]);
    }
    let main = &facts.ssh.main_file;
    let text = desired.main_file(facts.file(main).bytes().unwrap_or_default());
    Overlay::from([(main.clone(), Some(text))])
}

/// The host's files without what was written before.
fn without_ours(facts: &Facts) -> Overlay {
    let mut overlay = Overlay::from([(PathBuf::from(DROP_IN), None)]);
    if let Some(bytes) = facts.file(&facts.ssh.main_file).bytes() {
        overlay.insert(facts.ssh.main_file.clone(), Some(without_blocks(bytes)));
    }
    overlay
}

/// A main file without the blocks that were put into it.
fn without_blocks(bytes: &[u8]) -> Vec<u8> {
    let mut inside = false;
    let mut left = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii();
        match (inside, text == BEGIN.as_bytes(), text == END.as_bytes()) {
            (false, true, _) => inside = true,
            (true, _, true) => inside = false,
            (false, false, _) => left.extend_from_slice(line),
            (true, _, false) => {}
        }
    }
    left
}

fn block(text: &str) -> String {
    format!("{BEGIN}\n{text}{END}\n")
}

/// The lines that say it to this version: the names of the time, and both where two settings were one later.
fn directives(keyword: Keyword, value: &str, version: Version) -> Vec<(String, String)> {
    let name = match keyword {
        Keyword::PubkeyAcceptedAlgorithms if version < Version::new(8, 5) => "PubkeyAcceptedKeyTypes",
        Keyword::HostbasedAcceptedAlgorithms if version < Version::new(8, 5) => "HostbasedAcceptedKeyTypes",
        other => other.name(),
    };
    let mut lines = vec![(name.to_owned(), value.to_owned())];
    if keyword == Keyword::KbdInteractiveAuthentication && version < Version::new(8, 7) {
        lines.push(("ChallengeResponseAuthentication".to_owned(), value.to_owned()));
    }
    lines
}

impl Sshd {
    /// Whether this build of OpenSSH knows a keyword.
    pub(crate) fn has(&self, keyword: Keyword) -> bool {
        self.configuration.defaults().get(keyword).is_some()
    }
}

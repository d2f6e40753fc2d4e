//! Plans drawn from the recorded facts of a stock Debian 12 host, into which root came over SSH with a password.

mod drawing;
mod guard;
mod managers;

use host::Facts;
use host::facts::{Content, Entry, FileFact};
use policy::{Admin, Password, Policy, Sudo};

use super::{Plan, Program};
use crate::action::Before;
use crate::hex::Sha256;

pub(super) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIII laptop";

/// A stock Debian 12 with sshd and sudo, as `gabion facts` recorded it.
pub(super) fn bookworm() -> Facts {
    serde_json::from_str(include_str!("bookworm.json")).expect("recorded facts")
}

pub(super) fn policy() -> Policy {
    let admin = Admin {
        name: "deploy".to_owned(),
        keys: vec![KEY.to_owned()],
        password: Password::Keep,
        sudo: Sudo::Auto,
        shell: None,
    };
    Policy { admins: vec![admin], ..Policy::default() }
}

pub(super) fn program() -> Program {
    Program { digest: Sha256::of(b"this program"), installed: Before::Absent }
}

pub(super) fn draw(facts: &Facts, policy: &Policy) -> Plan {
    Plan::draw(facts, policy, &program()).expect("a plan")
}

/// The entry at a path, to be changed.
pub(super) fn entry<'f>(facts: &'f mut Facts, path: &str) -> &'f mut Entry {
    match facts.files.get_mut(std::path::Path::new(path)) {
        Some(FileFact::Present(entry)) => entry,
        other => panic!("{path}: {other:?}"),
    }
}

pub(super) fn write(facts: &mut Facts, path: &str, text: &str) {
    let entry = Entry { mode: 0o644, content: Some(Content(text.into())), ..Entry::default() };
    facts.files.insert(path.into(), FileFact::Present(entry));
}

//! What the tests on booted hosts share: hosts that the program hardened, and audits read back from its JSON.
#![allow(dead_code, clippy::unwrap_used, reason = "each file of tests uses a part of it")]

use lab::{Host, Key, Output, Tree, User};
use serde_json::Value;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_gabion");

/// Where it lies in a host.
pub(crate) const INSTALLED: &str = "/usr/local/sbin/gabion";

/// An audit as its JSON says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Audit {
    pub(crate) status: i32,
    pub(crate) document: Value,
}

/// One finding of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) id: String,
    pub(crate) severity: String,
    pub(crate) unknown: bool,
    pub(crate) what: String,
    pub(crate) decided_by: Vec<String>,
}

impl Audit {
    pub(crate) fn of(output: &Output) -> Self {
        let document = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("no JSON: {error}\n{}\n{}", output.stdout, output.stderr));
        Self { status: output.status, document }
    }

    /// Every finding, in the order of the output.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |value: &Value| value.as_array().unwrap().iter().map(text).collect();
        let finding = |value: &Value| Finding {
            id: text(&value["id"]),
            severity: text(&value["severity"]),
            unknown: !value["unknown"].is_null(),
            what: text(&value["what"]),
            decided_by: list(&value["decided-by"]),
        };
        self.document["findings"].as_array().unwrap().iter().map(finding).collect()
    }

    pub(crate) fn passed(&self) -> Vec<String> {
        let passed = self.document["passed"].as_array().unwrap();
        passed.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }
}

/// `gabion ARGUMENTS --json` as root on the host's console.
pub(crate) fn audit(host: &Host, arguments: &[&str]) -> Audit {
    let words = [&[INSTALLED, "audit", "--json"], arguments].concat();
    Audit::of(&host.run(&words).unwrap())
}

/// The administrator of every host here, who gets in by this key.
pub(crate) fn admin_key() -> Key {
    Key::named("admin").unwrap()
}

/// A policy that names the administrator `deploy` and nothing else.
pub(crate) fn policy() -> String {
    format!("[[admin]]\nname = \"deploy\"\nkeys = [\"{}\"]\n", admin_key().public().trim())
}

/// A host with the program, its policy and the administrator's account; not hardened.
pub(crate) fn stock(tree: &Tree) -> lab::Builder {
    Host::builder(tree)
        .user(&User::new("deploy").key(&admin_key()).password("deploys-own-password").group("sudo"))
        .program(PROGRAM, INSTALLED)
        .file("/etc/gabion/policy.toml", policy())
}

/// Makes a host as its policy says, from its console.
pub(crate) fn harden(host: &Host) {
    host.run(&[INSTALLED, "apply", "--yes"]).unwrap().unwrap();
}

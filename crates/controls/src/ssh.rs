//! SH: the SSH server.
//!
//! Whether a door is open is asked "for some connection": over the main part and every satisfiable `Match` block, so
//! that a door which a block opens to one network alone is found. The same rules say what the drop-in must hold
//! ([`desired()`]), so what `gabion apply` writes is what the audit asks for.

mod crypto;
mod desired;
mod doors;
mod files;
mod listen;
mod login;
mod rules;
mod running;
mod view;

use std::net::SocketAddr;

use host::Facts;

pub(crate) use crypto::{sh16_ciphers, sh17_macs, sh18_key_exchange, sh19_signatures};
pub use desired::{DROP_IN, Desired, Impossible, desired};
pub(crate) use doors::{
    sh1_root_login, sh2_passwords, sh3_keyboard_interactive, sh4_empty_passwords, sh6_hosts,
    sh7_strict_modes, sh8_environment, sh9_forwarding, sh14_log_level, sh15_pam,
};
pub(crate) use files::{
    sh25_nothing_shadowed, sh26_nothing_strayed, sh27_syntax, sh28_config_files, sh29_authorized_keys,
};
pub(crate) use listen::sh31_ports;
pub use listen::{Listen, listens};
pub(crate) use listen::{listening, ports};
pub(crate) use login::{fault as condition_fault, sh5_public_key, sh10_allow_lists};
pub use running::is_stale;
pub(crate) use running::sh24_file_and_running;
pub(crate) use view::{Effective, Sshd, Unread, addresses_match, keys_files, name_in, pattern_matches};

/// The configuration as `gabion apply` would leave it; none where that cannot be said.
pub(crate) fn as_applied(policy: &policy::Policy, facts: &Facts) -> Option<Sshd> {
    let desired = desired(policy, facts).ok()?;
    desired::applied(facts, &desired).ok()
}

/// Whether sshd's lists and methods admit an account that connects to `server` from that very host by key: the
/// conditions of its configuration alone, as far as they are known.
pub fn admits(facts: &Facts, account: &str, server: SocketAddr) -> bool {
    use crate::way_in::{Connection, Holds, Requirement, judge};
    let connection = Connection { peer: server.ip(), local: server.ip(), local_port: server.port() };
    let asked = |name| match name {
        Requirement::PublicKeyLogin
        | Requirement::Methods
        | Requirement::AllowLists
        | Requirement::RootLogin => true,
        Requirement::Account
        | Requirement::Shell
        | Requirement::Expiry
        | Requirement::PasswordAge
        | Requirement::Lock
        | Requirement::NoLogin
        | Requirement::KeyFile
        | Requirement::KeyFileModes
        | Requirement::Key
        | Requirement::Tries
        | Requirement::Session
        | Requirement::Port
        | Requirement::PacketFilter
        | Requirement::Sudo
        | Requirement::SudoPassword => false,
    };
    judge(facts, account, Some(&connection)).iter().all(|one| !asked(one.name) || one.holds == Holds::Yes)
}

#[cfg(test)]
mod tests;

//! Every control, once.

use crate::finding::{ControlId, Family, Severity};
use crate::judgement::{Judged, Subject, Verdict};
use crate::{accounts, entrance, firewall, ssh};

/// A control: what it is called, why it is there, and who else asks for it.
#[derive(Debug)]
pub struct Control {
    /// Its identifier, stable over versions.
    pub id: ControlId,
    /// Its family.
    pub family: Family,
    /// How bad it is where it fails, unless the finding says less or more.
    pub severity: Severity,
    /// What holds where it passes, in a few words.
    pub title: &'static str,
    /// Why it matters, in a line.
    pub why: &'static str,
    /// Where it stands written: a manual page, a standard.
    pub source: &'static str,
    check: fn(&Subject<'_>) -> Judged,
}

impl Control {
    /// Judges one host. A fact that is not known is a fault of this control.
    pub(crate) fn judge(&self, subject: &Subject<'_>) -> Verdict {
        (self.check)(subject).unwrap_or_else(|verdict| verdict)
    }
}

/// Every control, in the order in which they are judged.
pub fn catalogue() -> &'static [Control] {
    CATALOGUE
}

macro_rules! control {
    ($id:literal, $family:ident, $severity:ident, $check:path, $title:literal, $why:literal, $source:literal) => {
        Control {
            id: ControlId($id),
            family: Family::$family,
            severity: Severity::$severity,
            title: $title,
            why: $why,
            source: $source,
            check: $check,
        }
    };
}

#[rustfmt::skip]
static CATALOGUE: &[Control] = &[
    control!("US1", Accounts, Critical, entrance::us1_a_way_in,
        "every administrator can log in by key, and one can become root",
        "without a proven way in, closing the other doors shuts everybody out",
        "sshd(8); shadow(5)"),
    control!("US2", Accounts, Critical, entrance::us2_a_way_to_root,
        "every administrator may become root by sudo",
        "where nobody can become root, nobody can administer the host, or everybody works as root",
        "sudoers(5); CIS Debian 12 5.2.1"),
    control!("US3", Accounts, High, accounts::us3_only_root_is_uid_0,
        "only root has user id 0",
        "another account with user id 0 is root under a name that no rule about root names",
        "passwd(5); CIS Debian 12 5.4.2.1"),
    control!("US4", Accounts, Critical, accounts::us4_no_empty_password,
        "no account has an empty password",
        "an empty password lets anybody in wherever a service or su asks for one",
        "passwd(5), shadow(5); CIS Debian 12 7.2.2"),
    control!("US5", Accounts, High, accounts::us5_sudoers_are_sound,
        "visudo accepts the sudoers files, and only root can change them",
        "a broken sudoers file takes sudo away from everybody, and one that others write gives it to them",
        "sudoers(5), visudo(8)"),
    control!("US6", Accounts, Medium, accounts::us6_sudo_without_password,
        "sudo spares the password only for accounts that the policy means to",
        "whoever takes over such an account, or one program of it, is root at once",
        "sudoers(5); CIS Debian 12 5.2.4"),
    control!("US7", Accounts, Critical, accounts::us7_no_expiry_trap,
        "no administrator has a password age that a login by key runs into",
        "when it expires, sshd demands a change of a password that nobody knows, and the administrator is out",
        "shadow(5), chage(1)"),
    control!("US10", Accounts, Medium, accounts::us10_system_accounts_have_no_shell,
        "no system account has both a shell and a password",
        "an account that a service runs under is no person, and its password is one that nobody changes",
        "login.defs(5); CIS Debian 12 5.4.2.7"),
    control!("US11", Accounts, High, accounts::us11_account_files,
        "the account files belong to root, and only root reads the password hashes",
        "whoever writes them makes accounts, and whoever reads the hashes can guess the passwords",
        "passwd(5), shadow(5); CIS Debian 12 7.1.1 to 7.1.8"),
    control!("SH1", Ssh, Critical, ssh::sh1_root_login,
        "root does not log in over SSH",
        "root exists everywhere, so that only its secret is left to guess, and nobody is answerable for what it does",
        "sshd_config(5) PermitRootLogin; CIS Debian 12 5.1.20"),
    control!("SH2", Ssh, Critical, ssh::sh2_passwords,
        "nobody logs in by password",
        "passwords are guessed from all over the world, day and night",
        "sshd_config(5) PasswordAuthentication"),
    control!("SH3", Ssh, Critical, ssh::sh3_keyboard_interactive,
        "keyboard-interactive asks for no password alone",
        "it is the other way in which a password lets somebody in",
        "sshd_config(5) KbdInteractiveAuthentication"),
    control!("SH4", Ssh, Critical, ssh::sh4_empty_passwords,
        "an empty password lets nobody in",
        "any account that ever loses its password is open to everybody",
        "sshd_config(5) PermitEmptyPasswords; CIS Debian 12 5.1.19"),
    control!("SH5", Ssh, Critical, ssh::sh5_public_key,
        "keys let administrators in",
        "where keys are not taken, either passwords are or nobody gets in",
        "sshd_config(5) PubkeyAuthentication, AuthenticationMethods"),
    control!("SH6", Ssh, High, ssh::sh6_hosts,
        "no other host vouches for its users",
        "whoever takes over that host, or its address, is let in here without a key",
        "sshd_config(5) HostbasedAuthentication, IgnoreRhosts; CIS Debian 12 5.1.10, 5.1.11"),
    control!("SH7", Ssh, High, ssh::sh7_strict_modes,
        "sshd looks at owners and modes before it takes a key",
        "otherwise whoever can write a user's files can add a key",
        "sshd_config(5) StrictModes"),
    control!("SH8", Ssh, Medium, ssh::sh8_environment,
        "neither users' files nor clients set variables at will",
        "variables such as LD_PRELOAD run other programs, past a forced command too",
        "sshd_config(5) PermitUserEnvironment, AcceptEnv; CIS Debian 12 5.1.21"),
    control!("SH9", Ssh, Medium, ssh::sh9_forwarding,
        "nothing is forwarded but what the policy wants",
        "forwarding leads around the packet filter, and from a server back to the client's machine",
        "sshd_config(5) X11Forwarding, PermitTunnel, GatewayPorts; CIS Debian 12 5.1.8"),
    control!("SH10", Ssh, Critical, ssh::sh10_allow_lists,
        "the lists let every administrator in, and whom the policy means",
        "a list that misses an administrator shuts them out, and one that is too wide is none",
        "sshd_config(5) AllowUsers, AllowGroups; CIS Debian 12 5.1.4"),
    control!("SH14", Ssh, Medium, ssh::sh14_log_level,
        "logins and failures are logged, and no more",
        "what is not logged is neither seen nor banned",
        "sshd_config(5) LogLevel; CIS Debian 12 5.1.14"),
    control!("SH15", Ssh, Medium, ssh::sh15_pam,
        "PAM has its say",
        "without it, expired accounts, limits and session rules do not count",
        "sshd_config(5) UsePAM; CIS Debian 12 5.1.22"),
    control!("SH16", Ssh, High, ssh::sh16_ciphers,
        "no broken cipher is offered",
        "whoever listens may read parts of a session",
        "RFC 8758, CVE-2008-5161; CIS Debian 12 5.1.6"),
    control!("SH17", Ssh, High, ssh::sh17_macs,
        "no broken or cut-off MAC is offered",
        "whoever is in between may change what is sent",
        "RFC 6151; CIS Debian 12 5.1.15"),
    control!("SH18", Ssh, High, ssh::sh18_key_exchange,
        "no broken key exchange is offered, and one that outlasts quantum computers is",
        "a session recorded today may be read later",
        "RFC 9142; CIS Debian 12 5.1.12"),
    control!("SH19", Ssh, High, ssh::sh19_signatures,
        "no signature by DSA or on SHA-1 is made or taken",
        "such a signature can be forged, and with it a host or a user",
        "RFC 8332, RFC 9142"),
    control!("SH24", Ssh, High, ssh::sh24_file_and_running,
        "the running sshd has read its files as they are",
        "a door that is closed in the file only is open",
        "sshd(8) SIGHUP, -o"),
    control!("SH25", Ssh, High, ssh::sh25_nothing_shadowed,
        "no line that closes a door is overridden",
        "in sshd_config the first value wins, and the line that a person reads may do nothing",
        "sshd_config(5)"),
    control!("SH26", Ssh, High, ssh::sh26_nothing_strayed,
        "no line stands in a Match block by accident",
        "a line appended to a file that ends in a Match block counts for that block alone",
        "sshd_config(5) Match"),
    control!("SH27", Ssh, Critical, ssh::sh27_syntax,
        "sshd accepts its configuration, and reads it as it is read here",
        "an sshd that does not start again lets nobody in",
        "sshd(8) -t, -T"),
    control!("SH28", Ssh, High, ssh::sh28_config_files,
        "only root writes sshd's configuration",
        "whoever writes it opens any door",
        "sshd_config(5) FILES; CIS Debian 12 5.1.1"),
    control!("SH29", Ssh, High, ssh::sh29_authorized_keys,
        "nobody else writes the keys that let an account in",
        "whoever can add a key is that account; and sshd ignores a file that others can write",
        "sshd(8) FILES"),
    control!("SH31", Ssh, Critical, ssh::sh31_ports,
        "sshd listens where its configuration says, at one port or those that the policy names",
        "a socket unit that disagrees with the configuration moves the door, and a second port is a second door",
        "systemd.socket(5); sshd_config(5) Port"),
    control!("FW1", Firewall, High, firewall::fw1_default_deny,
        "what nothing allows is refused, in IPv4 and IPv6",
        "every service that ever starts is open to the world otherwise",
        "nft(8); CIS Debian 12 4.2.7, 4.3.8"),
    control!("FW2", Firewall, Critical, firewall::fw2_admin_port,
        "the packet filter lets the administrators in",
        "a filter that stops them shuts everybody out",
        "docs: firewall semantics; CIS Debian 12 4.2.6"),
    control!("FW3", Firewall, High, firewall::fw3_persistent,
        "the packet filter is in force again after a boot",
        "a host that was safe yesterday is open after a power cut",
        "systemd(1); CIS Debian 12 4.3.10"),
    control!("FW4", Firewall, Medium, firewall::fw4_one_manager,
        "one program manages the packet filter",
        "of two, the one that runs last undoes the other",
        "CIS Debian 12 4.1.1"),
    control!("FW5", Firewall, Medium, firewall::fw5_listeners_and_rules,
        "what is reachable is what the policy allows",
        "a service that nobody meant to open is one that nobody looks after",
        "CIS Debian 12 4.4.2.4"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_has_an_id_of_its_family_and_no_two_have_the_same() {
        let mut ids: Vec<&str> = catalogue().iter().map(|control| control.id.0).collect();
        for control in catalogue() {
            let prefix = match control.family {
                Family::Accounts => "US",
                Family::Ssh => "SH",
                Family::Firewall => "FW",
            };
            assert!(control.id.0.starts_with(prefix), "{}", control.id);
            assert!(!control.title.is_empty() && !control.why.is_empty() && !control.source.is_empty());
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), catalogue().len());
    }
}

//! Every control, once.

use crate::accounts;
use crate::finding::{ControlId, Family, Severity};
use crate::judgement::{Judged, Subject, Verdict};

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
        (self.check)(subject).unwrap_or_else(Verdict::from)
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

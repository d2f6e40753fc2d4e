//! Settings that open a door, and the value that closes it.
//!
//! Each is written once: the controls ask whether it is open for some connection, and the drop-in closes it.

use policy::Policy;
use sshd_config::{Keyword, Setting, Version};

use crate::finding::Severity;

/// A setting that may open a door.
pub(crate) struct Rule {
    /// The control that it belongs to.
    pub(crate) control: &'static str,
    /// The setting, and others that must be known to judge it.
    pub(crate) keywords: &'static [Keyword],
    /// The value that closes the door.
    pub(crate) closed: &'static str,
    /// Under which policies the drop-in says it even where it holds already.
    pub(crate) core: fn(&Policy) -> bool,
    /// Only connections of root matter.
    pub(crate) of_root: bool,
    /// What is wrong with the values that a connection gets.
    pub(super) judge: fn(&Values<'_>, &Policy) -> Option<Open>,
}

/// How bad a value is, and what it means.
pub(super) type Open = (Severity, &'static str);

impl Rule {
    /// The setting.
    pub(crate) fn keyword(&self) -> Keyword {
        self.keywords[0]
    }
}

/// The values of a rule's keywords for one connection, in the order of the rule.
pub(crate) struct Values<'v> {
    pub(super) keywords: &'static [Keyword],
    pub(super) settings: &'v [Setting],
    pub(super) version: Version,
}

impl Values<'_> {
    fn text(&self, keyword: Keyword) -> &str {
        let at = self.keywords.iter().position(|known| *known == keyword);
        at.map_or("", |at| self.settings[at].text())
    }

    fn is(&self, keyword: Keyword, value: &str) -> bool {
        self.text(keyword).eq_ignore_ascii_case(value)
    }

    /// The setting is neither that value nor unknown to this version.
    fn is_not(&self, keyword: Keyword, value: &str) -> bool {
        !self.text(keyword).is_empty() && !self.is(keyword, value)
    }

    fn passwords(&self) -> bool {
        self.is(Keyword::PasswordAuthentication, "yes")
            || self.is(Keyword::KbdInteractiveAuthentication, "yes")
    }

    /// Every list of `AuthenticationMethods` asks for a key.
    fn always_a_key(&self) -> bool {
        let at = self.keywords.iter().position(|known| *known == Keyword::AuthenticationMethods);
        let lists = at.map(|at| &self.settings[at]);
        lists.is_some_and(|lists| {
            let mut texts = lists.texts().filter(|text| !text.is_empty()).peekable();
            texts.peek().is_some() && texts.all(|list| list.split(',').any(|method| method == "publickey"))
        })
    }

    /// A key satisfies one list of `AuthenticationMethods`, alone or with what else is on.
    fn a_key_suffices(&self) -> bool {
        let Some(at) = self.keywords.iter().position(|known| *known == Keyword::AuthenticationMethods) else {
            return true;
        };
        let on = |method: &str| match method.split(':').next().unwrap_or(method) {
            "publickey" | "any" => true,
            "password" => self.is(Keyword::PasswordAuthentication, "yes"),
            "keyboard-interactive" => self.is(Keyword::KbdInteractiveAuthentication, "yes"),
            _ => false,
        };
        let asks_for_a_key =
            |list: &str| list.split(',').any(|method| method == "publickey" || method == "any");
        self.settings[at].texts().any(|list| asks_for_a_key(list) && list.split(',').all(on))
    }

    /// `DisableForwarding` shuts TCP and Unix sockets; X11 and the agent only from OpenSSH 10.0 (CVE-2025-32728).
    fn forwarding_is_disabled(&self, since: Version) -> bool {
        self.is(Keyword::DisableForwarding, "yes") && self.version >= since
    }
}

const ALWAYS: Version = Version::new(7, 4);
const WHOLE: Version = Version::new(10, 0);

/// Every rule, in the order in which the drop-in has them.
pub(crate) static RULES: &[Rule] = &[
    Rule {
        control: "SH1",
        keywords: &[
            Keyword::PermitRootLogin,
            Keyword::PasswordAuthentication,
            Keyword::KbdInteractiveAuthentication,
        ],
        closed: "no",
        core: |policy| !policy.ssh.root_login,
        of_root: true,
        judge: |values, policy| match values.text(Keyword::PermitRootLogin) {
            "no" | "" => None,
            _ if policy.ssh.root_login => None,
            "yes" if values.passwords() => Some((Severity::Critical, "root may log in by password")),
            "yes" | "prohibit-password" => Some((Severity::Medium, "root may log in by key")),
            _ => Some((Severity::Medium, "root may log in by keys that have a forced command")),
        },
    },
    Rule {
        control: "SH2",
        keywords: &[Keyword::PasswordAuthentication],
        closed: "no",
        core: |policy| !policy.ssh.password_login,
        of_root: false,
        judge: |values, policy| {
            let open = values.is_not(Keyword::PasswordAuthentication, "no") && !policy.ssh.password_login;
            open.then_some((Severity::Critical, "a guessed password lets anybody in"))
        },
    },
    Rule {
        control: "SH3",
        keywords: &[Keyword::KbdInteractiveAuthentication, Keyword::AuthenticationMethods],
        closed: "no",
        core: |policy| !policy.ssh.password_login,
        of_root: false,
        judge: |values, policy| {
            let open =
                values.is_not(Keyword::KbdInteractiveAuthentication, "no") && !policy.ssh.password_login;
            (open && !values.always_a_key())
                .then_some((Severity::Critical, "passwords are asked for by keyboard-interactive"))
        },
    },
    Rule {
        control: "SH4",
        keywords: &[
            Keyword::PermitEmptyPasswords,
            Keyword::PasswordAuthentication,
            Keyword::KbdInteractiveAuthentication,
        ],
        closed: "no",
        core: |_| true,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::PermitEmptyPasswords, "no");
            let severity = if values.passwords() { Severity::Critical } else { Severity::Medium };
            open.then_some((severity, "accounts without a password may log in"))
        },
    },
    Rule {
        control: "SH5",
        keywords: &[Keyword::PubkeyAuthentication],
        closed: "yes",
        core: |_| true,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::PubkeyAuthentication, "yes");
            open.then_some((Severity::Critical, "nobody can log in by key"))
        },
    },
    Rule {
        control: "SH5",
        keywords: &[
            Keyword::AuthenticationMethods,
            Keyword::PasswordAuthentication,
            Keyword::KbdInteractiveAuthentication,
        ],
        closed: "publickey",
        core: |_| false,
        of_root: false,
        judge: |values, _| {
            let open = !values.a_key_suffices();
            open.then_some((Severity::Critical, "AuthenticationMethods cannot be satisfied by a key"))
        },
    },
    Rule {
        control: "SH6",
        keywords: &[Keyword::HostbasedAuthentication],
        closed: "no",
        core: |_| true,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::HostbasedAuthentication, "no");
            open.then_some((Severity::High, "another host can vouch for its users"))
        },
    },
    Rule {
        control: "SH6",
        keywords: &[Keyword::IgnoreRhosts],
        closed: "yes",
        core: |_| false,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::IgnoreRhosts, "yes");
            open.then_some((Severity::Medium, "the .rhosts and .shosts files of users count"))
        },
    },
    Rule {
        control: "SH7",
        keywords: &[Keyword::StrictModes],
        closed: "yes",
        core: |_| false,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::StrictModes, "yes");
            open.then_some((Severity::High, "keys count although others can write the file they are in"))
        },
    },
    Rule {
        control: "SH8",
        keywords: &[Keyword::PermitUserEnvironment],
        closed: "no",
        core: |_| false,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::PermitUserEnvironment, "no");
            open.then_some((Severity::Medium, "users set the environment of their own login, LD_PRELOAD too"))
        },
    },
    Rule {
        control: "SH9",
        keywords: &[Keyword::X11Forwarding, Keyword::DisableForwarding],
        closed: "no",
        core: |_| true,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::X11Forwarding, "no") && !values.forwarding_is_disabled(WHOLE);
            open.then_some((Severity::Medium, "X11 is forwarded to the client's display"))
        },
    },
    Rule {
        control: "SH9",
        keywords: &[Keyword::PermitTunnel],
        closed: "no",
        core: |_| false,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::PermitTunnel, "no");
            open.then_some((Severity::Medium, "tunnels join the client's network to this one"))
        },
    },
    Rule {
        control: "SH9",
        keywords: &[Keyword::GatewayPorts, Keyword::DisableForwarding],
        closed: "no",
        core: |_| false,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::GatewayPorts, "no") && !values.forwarding_is_disabled(ALWAYS);
            open.then_some((
                Severity::Medium,
                "ports that clients forward to themselves are open to the network",
            ))
        },
    },
    Rule {
        control: "SH9",
        keywords: &[Keyword::AllowTcpForwarding, Keyword::DisableForwarding],
        closed: "no",
        core: |_| false,
        of_root: false,
        judge: |values, policy| {
            let open =
                values.is_not(Keyword::AllowTcpForwarding, "no") && !values.forwarding_is_disabled(ALWAYS);
            (open && !policy.ssh.tcp_forwarding).then_some((Severity::Medium, "TCP ports are forwarded"))
        },
    },
    Rule {
        control: "SH9",
        keywords: &[Keyword::AllowStreamLocalForwarding, Keyword::DisableForwarding],
        closed: "no",
        core: |_| false,
        of_root: false,
        judge: |values, policy| {
            let open = values.is_not(Keyword::AllowStreamLocalForwarding, "no")
                && !values.forwarding_is_disabled(ALWAYS);
            (open && !policy.ssh.tcp_forwarding).then_some((Severity::Medium, "Unix sockets are forwarded"))
        },
    },
    Rule {
        control: "SH9",
        keywords: &[Keyword::AllowAgentForwarding, Keyword::DisableForwarding],
        closed: "no",
        core: |_| false,
        of_root: false,
        judge: |values, policy| {
            let open =
                values.is_not(Keyword::AllowAgentForwarding, "no") && !values.forwarding_is_disabled(WHOLE);
            (open && !policy.ssh.agent_forwarding).then_some((Severity::Medium, "the agent is forwarded"))
        },
    },
    Rule {
        control: "SH14",
        keywords: &[Keyword::LogLevel],
        closed: "VERBOSE",
        core: |_| false,
        of_root: false,
        judge: |values, _| match values.text(Keyword::LogLevel) {
            "INFO" | "VERBOSE" | "" => None,
            level if level.starts_with("DEBUG") => {
                Some((Severity::Medium, "the log tells what users type and do"))
            }
            _ => Some((Severity::Medium, "logins and failures are not logged")),
        },
    },
    Rule {
        control: "SH15",
        keywords: &[Keyword::UsePam],
        closed: "yes",
        core: |_| false,
        of_root: false,
        judge: |values, _| {
            let open = values.is_not(Keyword::UsePam, "yes");
            open.then_some((
                Severity::Medium,
                "account expiry, limits and session modules of PAM do not count",
            ))
        },
    },
];

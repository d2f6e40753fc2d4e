//! The sections and keys of the policy file, for "unknown key" errors.

/// A table of the policy file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Its heading as the file writes it.
    pub(crate) heading: &'static str,
    /// Its keys, in the order of the documentation.
    pub(crate) keys: &'static [&'static str],
}

pub(crate) const TOP: Section = Section { heading: "the policy", keys: &["admin", "ssh", "firewall"] };
pub(crate) const ADMIN: Section =
    Section { heading: "[[admin]]", keys: &["name", "keys", "password", "sudo", "shell"] };
pub(crate) const SSH: Section = Section {
    heading: "[ssh]",
    keys: &["root-login", "password-login", "crypto", "allow", "tcp-forwarding", "agent-forwarding"],
};
pub(crate) const FIREWALL: Section = Section {
    heading: "[firewall]",
    keys: &[
        "inbound",
        "forwarded",
        "ping",
        "ipv6",
        "log",
        "exclusive",
        "backend",
        "allow",
        "forward",
        "rule",
    ],
};
pub(crate) const ALLOW: Section = Section {
    heading: "[[firewall.allow]]",
    keys: &["service", "port", "from", "new-per-minute", "comment"],
};
pub(crate) const FORWARD: Section =
    Section { heading: "[[firewall.forward]]", keys: &["in", "out", "from", "to", "port", "comment"] };
pub(crate) const RULE: Section =
    Section { heading: "[[firewall.rule]]", keys: &["chain", "rule", "family", "comment", "active"] };

/// Sections that later versions apply and this one does not.
pub(crate) const LATER: &[(&str, &str)] =
    &[("updates", "automatic updates"), ("services", "removing services"), ("bans", "bans")];

/// What other programs call a setting of ours.
const ALIASES: &[(&str, &str)] = &[
    ("permitrootlogin", "root-login"),
    ("passwordauthentication", "password-login"),
    ("allowtcpforwarding", "tcp-forwarding"),
    ("allowagentforwarding", "agent-forwarding"),
    ("allowusers", "allow"),
    ("ciphers", "crypto"),
    ("user", "name"),
    ("username", "name"),
    ("key", "keys"),
    ("authorizedkeys", "keys"),
    ("sshkeys", "keys"),
    ("input", "inbound"),
    ("incoming", "inbound"),
    ("icmp", "ping"),
    ("limit", "new-per-minute"),
    ("ratelimit", "new-per-minute"),
    ("source", "from"),
    ("sources", "from"),
    ("saddr", "from"),
    ("dport", "port"),
    ("iface", "in"),
    ("iif", "in"),
    ("oif", "out"),
    ("daddr", "to"),
    ("destination", "to"),
    ("enabled", "active"),
    ("rules", "rule"),
];

/// The key of ours that another program's name means.
pub(crate) fn alias(typed: &str) -> Option<&'static str> {
    let folded = typed.replace(['-', '_'], "").to_ascii_lowercase();
    ALIASES.iter().find(|(name, _)| *name == folded).map(|(_, key)| *key)
}

/// The section whose key this is.
pub(crate) fn home_of(key: &str) -> Option<&'static Section> {
    [&SSH, &FIREWALL, &ADMIN, &ALLOW, &FORWARD, &RULE].into_iter().find(|section| section.keys.contains(&key))
}

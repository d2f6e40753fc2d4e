//! Matches and targets: their names, and which file prints them.

use std::fmt::{self, Formatter};

use super::Word;
use crate::{Match, Target, Unknown};

impl Unknown {
    pub(super) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for word in &self.arguments {
            // Behind an extension that is not known, `!` is no name.
            if word == "!" { f.write_str(" !")? } else { write!(f, " {}", Word(word))? }
        }
        Ok(())
    }
}

impl Match {
    /// The name behind `-m`.
    pub fn name(&self) -> &str {
        match self {
            Self::Addrtype(_) => "addrtype",
            Self::Comment(_) => "comment",
            Self::Connlimit(_) => "connlimit",
            Self::Connmark(_) => "connmark",
            Self::Conntrack(_) => "conntrack",
            Self::Cpu(_) => "cpu",
            Self::Dscp(_) => "dscp",
            Self::Ecn(_) => "ecn",
            Self::Hashlimit(_) => "hashlimit",
            Self::Hl(_) => "hl",
            Self::Icmp(_) => "icmp",
            Self::Icmp6(_) => "icmp6",
            Self::Iprange(_) => "iprange",
            Self::Length(_) => "length",
            Self::Limit(_) => "limit",
            Self::Mac(_) => "mac",
            Self::Mark(_) => "mark",
            Self::Multiport(_) => "multiport",
            Self::Owner(_) => "owner",
            Self::Physdev(_) => "physdev",
            Self::Pkttype(_) => "pkttype",
            Self::Policy(_) => "policy",
            Self::Quota(_) => "quota",
            Self::Recent(_) => "recent",
            Self::Rpfilter(_) => "rpfilter",
            Self::Sctp(_) => "sctp",
            Self::Set(_) => "set",
            Self::Socket(_) => "socket",
            Self::State(_) => "state",
            Self::Statistic(_) => "statistic",
            Self::String(_) => "string",
            Self::Tcp(_) => "tcp",
            Self::Tcpmss(_) => "tcpmss",
            Self::Time(_) => "time",
            Self::Tos(_) => "tos",
            Self::Ttl(_) => "ttl",
            Self::U32(_) => "u32",
            Self::Udp(_) => "udp",
            Self::Unknown(unknown) => &unknown.name,
        }
    }

    pub(super) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addrtype(it) => it.print(f),
            Self::Comment(it) => it.print(f),
            Self::Connlimit(it) => it.print(f),
            Self::Connmark(it) => it.print(f),
            Self::Conntrack(it) => it.print(f),
            Self::Cpu(it) => it.print(f),
            Self::Dscp(it) => it.print(f),
            Self::Ecn(it) => it.print(f),
            Self::Hashlimit(it) => it.print(f),
            Self::Hl(it) => it.print(f, "hl"),
            Self::Icmp(it) => it.print(f, "--icmp-type"),
            Self::Icmp6(it) => it.print(f, "--icmpv6-type"),
            Self::Iprange(it) => it.print(f),
            Self::Length(it) => it.print(f),
            Self::Limit(it) => it.print(f),
            Self::Mac(it) => it.print(f),
            Self::Mark(it) => it.print(f),
            Self::Multiport(it) => it.print(f),
            Self::Owner(it) => it.print(f),
            Self::Physdev(it) => it.print(f),
            Self::Pkttype(it) => it.print(f),
            Self::Policy(it) => it.print(f),
            Self::Quota(it) => it.print(f),
            Self::Recent(it) => it.print(f),
            Self::Rpfilter(it) => it.print(f),
            Self::Sctp(it) => it.print(f),
            Self::Set(it) => it.print(f),
            Self::Socket(it) => it.print(f),
            Self::State(it) => it.print(f),
            Self::Statistic(it) => it.print(f),
            Self::String(it) => it.print(f),
            Self::Tcp(it) => it.print(f),
            Self::Tcpmss(it) => it.print(f),
            Self::Time(it) => it.print(f),
            Self::Tos(it) => it.print(f),
            Self::Ttl(it) => it.print(f, "ttl"),
            Self::U32(it) => it.print(f),
            Self::Udp(it) => it.print(f),
            Self::Unknown(it) => it.print(f),
        }
    }
}

impl Target {
    /// The name behind `-j` or `-g`.
    pub fn name(&self) -> &str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Drop => "DROP",
            Self::Return => "RETURN",
            Self::Queue => "QUEUE",
            Self::Jump(chain) | Self::Goto(chain) => chain,
            Self::Connmark(_) => "CONNMARK",
            Self::Ct(_) => "CT",
            Self::Dnat(_) => "DNAT",
            Self::Hl(_) => "HL",
            Self::Log(_) => "LOG",
            Self::Mark(_) => "MARK",
            Self::Masquerade(_) => "MASQUERADE",
            Self::Nflog(_) => "NFLOG",
            Self::Notrack => "NOTRACK",
            Self::Redirect(_) => "REDIRECT",
            Self::Reject(_) => "REJECT",
            Self::Set(_) => "SET",
            Self::Snat(_) => "SNAT",
            Self::Tcpmss(_) => "TCPMSS",
            Self::Ttl(_) => "TTL",
            Self::Unknown(unknown) => &unknown.name,
        }
    }

    pub(super) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept
            | Self::Drop
            | Self::Return
            | Self::Queue
            | Self::Notrack
            | Self::Jump(_)
            | Self::Goto(_) => Ok(()),
            Self::Connmark(it) => it.print(f),
            Self::Ct(it) => it.print(f),
            Self::Dnat(it) => it.print(f, "--to-destination"),
            Self::Hl(it) => it.print(f, "hl"),
            Self::Log(it) => it.print(f),
            Self::Mark(it) => it.print(f),
            Self::Masquerade(it) | Self::Redirect(it) => it.print(f),
            Self::Nflog(it) => it.print(f),
            Self::Reject(it) => it.print(f),
            Self::Set(it) => it.print(f),
            Self::Snat(it) => it.print(f, "--to-source"),
            Self::Tcpmss(it) => it.print(f),
            Self::Ttl(it) => it.print(f, "ttl"),
            Self::Unknown(it) => it.print(f),
        }
    }
}

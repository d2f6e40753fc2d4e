//! One file an extension: what it is, how it is read, how it is printed.

pub mod addrtype;
pub mod comment;
pub mod connlimit;
pub mod connmark;
pub mod conntrack;
pub mod cpu;
pub mod ct;
pub mod dscp;
pub mod ecn;
pub mod hashlimit;
pub mod icmp;
pub mod iprange;
pub mod length;
pub mod limit;
pub mod log;
pub mod mac;
pub mod mark;
pub mod multiport;
pub mod nat;
pub mod nflog;
pub mod owner;
pub mod physdev;
pub mod pkttype;
pub mod policy;
pub mod quota;
pub mod recent;
pub mod reject;
pub mod rpfilter;
pub mod sctp;
pub mod set;
pub mod socket;
pub mod state;
pub mod statistic;
pub mod string;
pub mod tcp;
pub mod tcpmss;
pub mod time;
pub mod tos;
pub mod ttl;
pub mod u32;
pub mod udp;

pub use addrtype::{AddressTypes, Addrtype};
pub use comment::Comment;
pub use connlimit::Connlimit;
pub use connmark::{Connmark, ConnmarkTarget};
pub use conntrack::{Conntrack, CtDirection, CtStates, CtStatuses};
pub use cpu::Cpu;
pub use ct::{Ct, CtEvents, CtZone};
pub use dscp::Dscp;
pub use ecn::Ecn;
pub use hashlimit::{ByteRate, HashRate, Hashlimit};
pub use icmp::{Icmp, IcmpType};
pub use iprange::Iprange;
pub use length::Length;
pub use limit::Limit;
pub use log::{Log, LogFlags};
pub use mac::{Mac, MacAddress};
pub use mark::{Mark, MarkTarget};
pub use multiport::{Multiport, PortSide};
pub use nat::{Masquerade, Nat, NatAddresses, NatPorts};
pub use nflog::Nflog;
pub use owner::{Owner, OwnerId};
pub use physdev::Physdev;
pub use pkttype::{PacketType, Pkttype};
pub use policy::{IpsecMode, Policy, PolicyElement};
pub use quota::Quota;
pub use recent::{Recent, RecentAction};
pub use reject::{Reject, RejectWith};
pub use rpfilter::Rpfilter;
pub use sctp::{ChunkScope, Sctp, SctpChunk, SctpChunks};
pub use set::{Comparison, Counted, Set, SetTarget, SetUse};
pub use socket::Socket;
pub use state::State;
pub use statistic::Statistic;
pub use string::StringMatch;
pub use tcp::{Tcp, TcpFlags};
pub use tcpmss::{Tcpmss, TcpmssTarget};
pub use time::{DateTime, Time};
pub use tos::Tos;
pub use ttl::{Ttl, TtlTarget};
pub use u32::{U32, U32Operator, U32Test};
pub use udp::Udp;

use crate::parse::options::Kind;

/// The match that `-m` loads.
pub(crate) fn match_kind(name: &str) -> Option<&'static Kind> {
    Some(match name {
        "addrtype" => &addrtype::KIND,
        "comment" => &comment::KIND,
        "connlimit" => &connlimit::KIND,
        "connmark" => &connmark::KIND,
        "conntrack" => &conntrack::KIND,
        "cpu" => &cpu::KIND,
        "dscp" => &dscp::KIND,
        "ecn" => &ecn::KIND,
        "hashlimit" => &hashlimit::KIND,
        "hl" => &ttl::HL,
        "icmp" => &icmp::KIND,
        "icmp6" | "icmpv6" | "ipv6-icmp" => &icmp::KIND6,
        "iprange" => &iprange::KIND,
        "length" => &length::KIND,
        "limit" => &limit::KIND,
        "mac" => &mac::KIND,
        "mark" => &mark::KIND,
        "multiport" => &multiport::KIND,
        "owner" => &owner::KIND,
        "physdev" => &physdev::KIND,
        "pkttype" => &pkttype::KIND,
        "policy" => &policy::KIND,
        "quota" => &quota::KIND,
        "recent" => &recent::KIND,
        "rpfilter" => &rpfilter::KIND,
        "sctp" => &sctp::KIND,
        "set" => &set::KIND,
        "socket" => &socket::KIND,
        "state" => &state::KIND,
        "statistic" => &statistic::KIND,
        "string" => &string::KIND,
        "tcp" => &tcp::KIND,
        "tcpmss" => &tcpmss::KIND,
        "time" => &time::KIND,
        "tos" => &tos::KIND,
        "ttl" => &ttl::TTL,
        "u32" => &u32::KIND,
        "udp" => &udp::KIND,
        _ => return None,
    })
}

/// The target that `-j` loads.
pub(crate) fn target_kind(name: &str) -> Option<&'static Kind> {
    Some(match name {
        "CONNMARK" => &connmark::TARGET,
        "CT" => &ct::TARGET,
        "DNAT" => &nat::DNAT,
        "HL" => &ttl::HL_TARGET,
        "LOG" => &log::TARGET,
        "MARK" => &mark::TARGET,
        "MASQUERADE" => &nat::MASQUERADE,
        "NFLOG" => &nflog::TARGET,
        "REDIRECT" => &nat::REDIRECT,
        "REJECT" => &reject::TARGET,
        "SET" => &set::TARGET,
        "SNAT" => &nat::SNAT,
        "TCPMSS" => &tcpmss::TARGET,
        "TTL" => &ttl::TTL_TARGET,
        _ => return None,
    })
}

/// Targets that exist and that this crate does not know: no chain is called so.
pub(crate) fn is_foreign_target(name: &str) -> bool {
    const FOREIGN: &[&str] = &[
        "AUDIT",
        "BALANCE",
        "CHECKSUM",
        "CLASSIFY",
        "CLUSTERIP",
        "CONNSECMARK",
        "DNPT",
        "DSCP",
        "ECN",
        "HMARK",
        "IDLETIMER",
        "LED",
        "MIRROR",
        "NETMAP",
        "NFQUEUE",
        "RATEEST",
        "SAME",
        "SECMARK",
        "SNPT",
        "SYNPROXY",
        "TCPOPTSTRIP",
        "TEE",
        "TOS",
        "TPROXY",
        "TRACE",
        "ULOG",
    ];
    FOREIGN.contains(&name)
}

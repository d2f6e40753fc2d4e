//! Rules that say what the policy does by itself.

use ipnet::IpNet;
use iptables_syntax::extension::CtStates;
use iptables_syntax::{Family, Match, Rule};

use crate::fold::Way;
use crate::shape::{Does, Shape, UDP, does};

pub(crate) const PING: &str = "ping, at most 100 new ones a second";

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const FLOWS: CtStates = CtStates(CtStates::ESTABLISHED.0 | CtStates::RELATED.0);

/// What of the policy's own a rule says, if it says nothing else.
pub(crate) fn known(way: Way, act: Does, shape: &Shape<'_>, family: Family) -> Option<&'static str> {
    match act {
        Does::Accept if way != Way::Output && shape.is_within(FLOWS) => Some("established flows go on"),
        Does::Accept if way == Way::Input && shape.is_from("lo") => Some("loopback"),
        Does::Accept if way == Way::Input => accepted(shape, family),
        Does::Refuse { .. } if way != Way::Output && shape.is_within(CtStates::INVALID) => {
            Some("what fits no flow and begins none is dropped")
        }
        Does::Refuse { .. } if way == Way::Input && is_spoofed(shape) => {
            Some("loopback addresses are dropped from anywhere else")
        }
        _ => None,
    }
}

/// What leaves before any rule is asked.
pub(crate) fn leaves(act: Does, shape: &Shape<'_>) -> Option<&'static str> {
    match act {
        Does::Accept if shape.is_to("lo") => Some("loopback"),
        Does::Accept if shape.is_within(FLOWS) => Some("established flows go on"),
        _ => None,
    }
}

/// Refuses routing headers of type 0, as ufw does.
pub(crate) fn routing_header(rule: &Rule) -> Option<&'static str> {
    let is_type_0 = |matched: &Match| matches!(matched, Match::Unknown(unknown) if unknown.name == "rt" && unknown.arguments == ["--rt-type", "0"]);
    let refuses = matches!(does(rule.target.as_ref()), Does::Refuse { .. });
    (refuses && rule.matches.iter().any(is_type_0))
        .then_some("the kernel heeds no routing header of type 0 (RFC 5095)")
}

fn accepted(shape: &Shape<'_>, family: Family) -> Option<&'static str> {
    if shape.other || !shape.takes_new() || shape.destination.is_some_and(|net| !is_link_local(net)) {
        return None;
    }
    let anywhere = shape.input.is_none() && shape.output.is_none();
    let local = shape.source.is_none_or(is_link_local);
    match (family, shape.protocol, shape.icmp) {
        (Family::Ipv4, Some(ICMP), Some(8)) | (Family::Ipv6, Some(ICMPV6), Some(128))
            if anywhere && shape.source.is_none() =>
        {
            Some(PING)
        }
        (Family::Ipv4, Some(ICMP), Some(3 | 4 | 11 | 12)) => {
            Some("ICMP errors about flows are related to them")
        }
        (Family::Ipv6, Some(ICMPV6), Some(1..=4)) => Some("ICMPv6 errors"),
        (Family::Ipv6, Some(ICMPV6), Some(133..=136)) if local => Some("neighbour discovery"),
        (Family::Ipv6, Some(ICMPV6), Some(130..=132 | 143)) if local => Some("multicast listener messages"),
        (Family::Ipv6, Some(UDP), None)
            if shape.ports.as_deref() == Some(&[(546, 546)])
                && shape.source.is_some_and(is_link_local)
                && shape.destination.is_some_and(is_link_local) =>
        {
            Some("DHCPv6 answers of this link")
        }
        _ => None,
    }
}

fn is_link_local(net: IpNet) -> bool {
    net == IpNet::V6(ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10))
}

/// Refuses loopback addresses that come in elsewhere.
fn is_spoofed(shape: &Shape<'_>) -> bool {
    let is_loopback = |net: IpNet| net.addr().is_loopback() && net.prefix_len() >= 8;
    !shape.is_from("lo")
        && (shape.source.is_some_and(is_loopback) || shape.destination.is_some_and(is_loopback))
}

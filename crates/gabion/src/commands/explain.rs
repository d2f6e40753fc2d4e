//! `gabion explain`: what becomes of a packet and why; what a finding means; what a key of the policy says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use host::facts::Network;
use packet_filter::packet::SYN;
use packet_filter::{Addresses, Hook, Machine, Packet, Payload, State};
use report::explanation::Explanation;

use crate::cli;
use crate::context::{Context, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;
use crate::rulesets::Rulesets;

pub(crate) fn run(context: &Context, options: &cli::Explain) -> Result<Exit, Failure> {
    match options.subject.to_ascii_lowercase().as_str() {
        "tcp" => packet(context, options, Protocol::Tcp),
        "udp" => packet(context, options, Protocol::Udp),
        "icmp" | "icmpv6" | "ping" => packet(context, options, Protocol::Icmp),
        _ => finding(context, &options.subject).or_else(|| key(context, &options.subject)).ok_or_else(|| {
            usage(
                format!("`{}` is no protocol, no finding and no key of the policy", options.subject),
                "`gabion explain tcp --port 22`, `gabion explain SH1`, `gabion explain ssh.root-login`",
            )
        }),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
    Icmp,
}

/// Strangers, and this host where it has no address: documentation networks (RFC 5737, RFC 3849).
const STRANGER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 9)),
];
const SOME_HOST: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
/// A port from which clients connect.
const CLIENT_PORT: u16 = 50_000;

fn packet(context: &Context, options: &cli::Explain, protocol: Protocol) -> Result<Exit, Failure> {
    let (rulesets, is_here) = rulesets(context, options)?;
    // Files are about some other host: only what is asked counts.
    let here = is_here.then(host::network).unwrap_or_default();
    let here = Here { network: here, is_known: is_here };
    let packet = asked(&here, options, protocol)?;
    let machine = Machine::new(&rulesets.tables);
    let (way, sent_to) = way(&here, options, &machine, &packet);
    let packet = here.with_interfaces(options, packet, &way, sent_to);
    let decision = machine.decide_along(&way, &packet);
    let mut explanation = Explanation::new(&rulesets.what, &packet, &decision, |rule| rulesets.origin(rule));
    explanation.way = way.iter().map(|hook| hook.name()).collect();
    explanation.sent_to = sent_to.map(|to| if to.port() == 0 { to.ip().to_string() } else { to.to_string() });
    explanation.doubts.clone_from(&rulesets.unread);
    if !decision.certain {
        explanation.doubts.extend(rulesets.doubts.iter().cloned());
    }
    if context.output.json {
        context.output.value(&explanation);
    } else {
        context.output.text(&report::explanation::text(&explanation, context.output.view()));
    }
    Ok(Exit::Clean)
}

/// The rules that are asked, and whether they are this host's own.
fn rulesets(context: &Context, options: &cli::Explain) -> Result<(Rulesets, bool), Failure> {
    if !options.ruleset.is_empty() {
        return Ok((Rulesets::files(&options.ruleset)?, false));
    }
    if context.policy_was_asked_for && !options.live {
        return Ok((Rulesets::policy(context)?, true));
    }
    need_root("explain --live")?;
    let live = Rulesets::live()?;
    if live.tables.is_empty() && !options.live {
        context.output.note("The kernel has no rules: this is what the policy would do.");
        return Ok((Rulesets::policy(context)?, true));
    }
    Ok((live, true))
}

/// The network of this host, where the rules are its own.
struct Here {
    network: Network,
    is_known: bool,
}

fn asked(here: &Here, options: &cli::Explain, protocol: Protocol) -> Result<Packet, Failure> {
    let is_v6 = options
        .to
        .or(options.from)
        .map_or_else(|| options.subject.eq_ignore_ascii_case("icmpv6"), |address| address.is_ipv6());
    let nth = usize::from(is_v6);
    let own = here.own(is_v6).unwrap_or(SOME_HOST[nth]);
    let (from, to) = match options.output {
        true => (options.from.unwrap_or(own), options.to.unwrap_or(STRANGER[nth])),
        false => (options.from.unwrap_or(STRANGER[nth]), options.to.unwrap_or(own)),
    };
    let addresses =
        Addresses::new(from, to).map_err(|error| usage(error.to_string(), "name two of one family"))?;
    let port = || {
        let hint = "say which with `--port`";
        options.port.ok_or_else(|| usage("a packet over TCP or UDP is to a port", hint))
    };
    let source = options.source_port.unwrap_or(CLIENT_PORT);
    let kind = options.icmp_type.unwrap_or(if is_v6 { 128 } else { 8 });
    let payload = match (protocol, is_v6) {
        (Protocol::Tcp, _) => {
            let flags = if options.state == cli::PacketState::New { SYN } else { 0x10 };
            Payload::Tcp { source, destination: port()?, flags }
        }
        (Protocol::Udp, _) => Payload::Udp { source, destination: port()? },
        (Protocol::Icmp, false) => Payload::Icmp { kind, code: 0 },
        (Protocol::Icmp, true) => Payload::Icmpv6 { kind, code: 0 },
    };
    Ok(Packet::new(addresses, payload).in_state(match options.state {
        cli::PacketState::New => State::New,
        cli::PacketState::Established => State::Established,
        cli::PacketState::Related => State::Related,
        cli::PacketState::Invalid => State::Invalid,
        cli::PacketState::Untracked => State::Untracked,
    }))
}

/// The hooks that the packet passes, and where NAT rules on its way send it, where they do.
fn way(
    here: &Here,
    options: &cli::Explain,
    machine: &Machine<'_>,
    packet: &Packet,
) -> (Vec<Hook>, Option<SocketAddr>) {
    let (from, to) = (packet.addresses.source(), packet.addresses.destination());
    let is_ours = here.is_known && here.is_local(from) && !here.is_local(to);
    if options.output || (is_ours && !options.forward) {
        return (vec![Hook::Output, Hook::Postrouting], None);
    }
    let port = match packet.payload {
        Payload::Tcp { destination, .. } | Payload::Udp { destination, .. } => destination,
        Payload::Icmp { .. } | Payload::Icmpv6 { .. } | Payload::Other(_) => 0,
    };
    let arrives = here.arriving(options, packet.clone());
    let after = machine.destination_after(&[Hook::Prerouting], &arrives);
    let sent_to = after.filter(|after| *after != SocketAddr::new(to, port));
    let goal = sent_to.map_or(to, |to| to.ip());
    // Of a file's host no address is known but the one that the packet was to.
    let stays = if here.is_known { here.is_local(goal) } else { goal == to };
    if options.forward || !stays {
        (vec![Hook::Prerouting, Hook::Forward, Hook::Postrouting], sent_to)
    } else {
        (vec![Hook::Prerouting, Hook::Input], sent_to)
    }
}

impl Here {
    fn is_local(&self, address: IpAddr) -> bool {
        let addresses = self.network.addresses.known().map(Vec::as_slice).unwrap_or_default();
        address.is_loopback()
            || address.is_multicast()
            || addresses.iter().any(|own| own.address.addr() == address)
    }

    /// An address at which others reach this host.
    fn own(&self, v6: bool) -> Option<IpAddr> {
        let addresses = self.network.addresses.known().map(Vec::as_slice).unwrap_or_default();
        let mut own = addresses.iter().map(|address| address.address.addr()).filter(|address| {
            let link_local = match address {
                IpAddr::V4(address) => address.is_link_local(),
                IpAddr::V6(address) => address.is_unicast_link_local(),
            };
            address.is_ipv6() == v6 && !address.is_loopback() && !link_local
        });
        own.next()
    }

    /// The link that packets to an address leave by: the most specific route of the main table.
    fn link_towards(&self, address: IpAddr) -> Option<String> {
        if self.is_local(address) {
            return Some("lo".to_owned());
        }
        let routes = self.network.routes.known().map(Vec::as_slice).unwrap_or_default();
        let fitting = routes.iter().filter(|route| route.to.contains(&address) && route.link.is_some());
        fitting.max_by_key(|route| route.to.prefix_len()).and_then(|route| route.link.clone())
    }

    /// The link that a host's packets come in by where nothing says another.
    fn usual_link(&self) -> String {
        let addresses = self.network.addresses.known().map(Vec::as_slice).unwrap_or_default();
        addresses
            .iter()
            .find(|address| address.link != "lo")
            .map_or_else(|| "eth0".to_owned(), |own| own.link.clone())
    }

    fn arriving(&self, options: &cli::Explain, packet: Packet) -> Packet {
        let link = options.input.clone().or_else(|| self.link_towards(packet.addresses.source()));
        packet.arriving_on(link.unwrap_or_else(|| self.usual_link()))
    }

    /// The packet with the links that it comes and goes by on its way.
    fn with_interfaces(
        &self,
        options: &cli::Explain,
        packet: Packet,
        way: &[Hook],
        sent_to: Option<SocketAddr>,
    ) -> Packet {
        let to = sent_to.map_or(packet.addresses.destination(), |to| to.ip());
        let leaves =
            || options.out.clone().or_else(|| self.link_towards(to)).unwrap_or_else(|| self.usual_link());
        match way {
            [Hook::Output, ..] => packet.leaving_by(leaves()),
            [_, Hook::Forward, ..] => self.arriving(options, packet).leaving_by(leaves()),
            _ => self.arriving(options, packet),
        }
    }
}

/// What a control of the audit asks, and why.
fn finding(context: &Context, id: &str) -> Option<Exit> {
    let control =
        controls::catalogue().iter().find(|control| control.id.to_string().eq_ignore_ascii_case(id))?;
    if context.output.json {
        context.output.value(&serde_json::json!({
            "version": 1, "id": control.id.to_string(), "severity": control.severity, "asks": control.title,
            "why": control.why, "source": control.source,
        }));
    } else {
        context.output.text(&format!(
            "{}  {}\n  why     {}\n  source  {}\n  see     `gabion audit` for this host, `gabion plan` for the change\n",
            control.id, control.title, control.why, control.source
        ));
    }
    Some(Exit::Clean)
}

/// What a key of the policy file says, from its schema.
fn key(context: &Context, key: &str) -> Option<Exit> {
    let schema = policy::schema();
    let mut at = &schema;
    for part in key.split('.') {
        at = resolved(&schema, at.get("properties")?.get(part)?);
    }
    let description = at.get("description").and_then(|text| text.as_str()).unwrap_or("no description");
    if context.output.json {
        context.output.value(&serde_json::json!({ "version": 1, "key": key, "schema": at }));
        return Some(Exit::Clean);
    }
    let mut text = format!("{key}: {}\n", description.replace('\n', " "));
    for (name, word) in [("default", "default"), ("enum", "one of"), ("type", "type")] {
        if let Some(value) = at.get(name) {
            text.push_str(&format!("  {word}: {value}\n"));
        }
    }
    if let Some(keys) = at.get("properties").and_then(|keys| keys.as_object()) {
        let keys: Vec<&str> = keys.keys().map(String::as_str).collect();
        text.push_str(&format!("  keys: {}\n", keys.join(", ")));
    }
    context.output.text(&text);
    Some(Exit::Clean)
}

/// The schema behind references and lists.
fn resolved<'a>(whole: &'a serde_json::Value, at: &'a serde_json::Value) -> &'a serde_json::Value {
    let reference = at.get("$ref").or_else(|| at.get("items")?.get("$ref")).and_then(|path| path.as_str());
    reference.and_then(|path| whole.pointer(path.strip_prefix('#')?)).unwrap_or(at)
}

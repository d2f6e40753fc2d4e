//! `gabion verify`: real packets to this live host, and what comes back beside what the policy says.
//!
//! The probes come from a throwaway network namespace that a virtual cable joins to the host for as long as the verb runs. They meet
//! every rule that a stranger's packets meet, but for rules that ask for the name of an interface or for an address of origin.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use host::Live;
use host::facts::Protocol;
use probe::Outside;
use report::verification::{Agreement, Check, Difference, Verification};

use crate::attack::judge::{CABLE, Expected, agreement, family};
use crate::attack::{Client, Offered, Target, methods, reach, single_udp_port, udp_listeners};
use crate::cli;
use crate::context::{Context, Subject, need_root};
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(context: &Context, options: &cli::Verify) -> Result<Exit, Failure> {
    need_root("verify")?;
    let subject = context.subject(&Live::open()?)?;
    let verification = verify(context, &subject, options.up_to)?;
    if context.output.json {
        context.output.value(&report::verification::json(&verification));
    } else {
        context.output.text(&report::verification::text(&verification, context.output.view()));
    }
    Ok(if verification.holds() { Exit::Clean } else { Exit::Findings })
}

fn verify(context: &Context, subject: &Subject, up_to: u16) -> Result<Verification, Failure> {
    let started = Instant::now();
    let Subject { facts, policy, .. } = subject;
    let wanted = controls::filter::filter_policy(policy, facts)
        .map_err(|error| failed("the firewall's policy", error))?;
    let outside = Outside::join(CABLE).map_err(|error| failed("standing outside", error))?;
    let expected = Expected { policy: &wanted, facts };
    let mut udp: Vec<u16> =
        wanted.allow.iter().flat_map(|allow| &allow.ports).copied().filter_map(single_udp_port).collect();
    udp.extend(udp_listeners(facts));
    udp.sort_unstable();
    udp.dedup();
    let mut checks = Vec::new();
    let mut probes = 0;
    for target in targets(&outside) {
        context.output.progress(&format!("Trying {up_to} TCP ports of {}.", family(target.to)));
        let should_answer = expected.should_answer(target);
        let seen = reach(&outside, target, up_to, &udp, should_answer);
        let seen = seen.map_err(|error| failed("probing", error))?;
        probes += seen.tcp.tried + seen.udp.len() + 1;
        checks.extend(expected.checks(target, &seen, None));
    }
    if outside.v6().is_none() {
        context.output.note("IPv6 is switched off on this host: nothing of it was tried.");
    }
    for (address, ports) in bound_to_one_address(subject) {
        let from = source_for(&outside, address);
        let Some(from) = from else { continue };
        for port in ports {
            let target = Target { from, to: address };
            checks.push(one_port(&outside, &expected, target, port)?);
            probes += 1;
        }
    }
    let logins = offered(&outside, subject)?;
    probes += logins.len();
    checks.extend(logins);
    let probes = u64::try_from(probes).unwrap_or(u64::MAX);
    Ok(Verification { checks, probes, took_ms: 0 }.took(started.elapsed()))
}

fn targets(outside: &Outside) -> Vec<Target> {
    let mut targets = vec![Target { from: outside.v4().into(), to: outside.host_v4().into() }];
    targets.extend(outside.v6().map(|(from, to)| Target { from: from.into(), to: to.into() }));
    targets
}

/// Listeners that take nothing on the cable's address, by the address that they are bound to.
fn bound_to_one_address(subject: &Subject) -> Vec<(IpAddr, Vec<u16>)> {
    let listeners = subject.facts.network.listeners.known().map(Vec::as_slice).unwrap_or_default();
    let mut by_address: std::collections::BTreeMap<IpAddr, Vec<u16>> = std::collections::BTreeMap::new();
    for listener in
        listeners.iter().filter(|listener| listener.protocol == Protocol::Tcp && listener.is_exposed())
    {
        let link_local = matches!(listener.address, IpAddr::V6(address) if address.is_unicast_link_local());
        if !listener.address.is_unspecified() && !link_local {
            by_address.entry(listener.address).or_default().push(listener.port);
        }
    }
    by_address.into_iter().collect()
}

fn source_for(outside: &Outside, address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(_) => Some(outside.v4().into()),
        IpAddr::V6(_) => outside.v6().map(|(from, _)| from.into()),
    }
}

fn one_port(outside: &Outside, expected: &Expected<'_>, target: Target, port: u16) -> Result<Check, Failure> {
    let Target { from, to } = target;
    let should_be_open = expected.should_answer(target).tcp;
    let scan = outside
        .run(move || probe::scan::tcp(from, to, port..=port, &should_be_open))
        .and_then(|scan| scan)
        .map_err(|error| failed("probing", error))?;
    Ok(expected.single_tcp(target, port, &scan))
}

/// What sshd offers to root and to the administrators: no password where the policy says so.
fn offered(outside: &Outside, subject: &Subject) -> Result<Vec<Check>, Failure> {
    let Subject { facts, policy, .. } = subject;
    let Some(client) = Client::of(facts, None) else { return Ok(Vec::new()) };
    if policy.ssh.password_login || !matches!(facts.ssh.program.known(), Some(Some(_))) {
        return Ok(Vec::new());
    }
    let Some(port) = controls::filter::ssh_ports(facts).first().copied() else { return Ok(Vec::new()) };
    let accounts = policy.admins.iter().map(|admin| admin.name.as_str()).chain(["root"]);
    let server = SocketAddr::new(outside.host_v4().into(), port);
    let mut checks = Vec::new();
    for account in accounts {
        let offered = methods(outside, &client, account, server).map_err(|error| failed("probing", error))?;
        checks.push(offered_row(account, &offered));
    }
    Ok(checks)
}

fn offered_row(account: &str, offered: &Offered) -> Check {
    let wanted = "no password".to_owned();
    let what = format!("ways in offered to {account}");
    let (seen, agrees) = match offered {
        Offered::Methods(methods) => {
            let seen = if methods.is_empty() { "none".to_owned() } else { methods.join(", ") };
            let asks = methods.iter().any(|method| method == "password" || method == "keyboard-interactive");
            let difference = || Difference {
                what: what.clone(),
                seen: seen.clone(),
                wanted: wanted.clone(),
                decided_by: Some(
                    "sshd's PasswordAuthentication and KbdInteractiveAuthentication: see `gabion audit`"
                        .to_owned(),
                ),
            };
            let agrees = agreement(if asks { vec![difference()] } else { Vec::new() });
            (seen, agrees)
        }
        Offered::OpenDoor => {
            let difference = Difference {
                what: what.clone(),
                seen: "let in without being asked".to_owned(),
                wanted: wanted.clone(),
                decided_by: Some("sshd's PermitEmptyPasswords: see `gabion audit`".to_owned()),
            };
            ("let in without being asked".to_owned(), agreement(vec![difference]))
        }
        Offered::Unreachable(why) => (
            "no connection".to_owned(),
            Agreement::Unknown(format!("the SSH server could not be asked: {}", report::safe::line(why))),
        ),
    };
    Check { what, before: None, seen, wanted, agrees }
}

fn failed(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::Stage { what: "verify", why: format!("{what}: {why}") }
}

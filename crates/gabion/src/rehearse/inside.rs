//! The stage inside the copy: process 1 there. Attacks, hardens, attacks again, undoes, and prints what it found as JSON.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use change::plan::Plan;
use change::{About, Confirm, Progress, Root, Transaction, lockout};
use host::{Facts, Live};
use packet_filter::FilterPolicy;
use policy::{Admin, Password, Policy, Sudo};
use probe::Outside;
use report::verification::{Check, Verification};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;

use super::Brief;
use super::outcome::{self, Findings, Outcome};
use super::server::Server;
use super::stand_ins::{self, Arrivals};
use crate::attack::judge::{CABLE, Expected};
use crate::attack::{Client, Reach, Target, reach};
use crate::context::{Context, collect};
use crate::error::Failure;
use crate::exit::Exit;

mod keys;
mod logins;

use keys::Keys;
use logins::Logins;

/// A port on which forged datagrams are watched for.
const WATCHED: u16 = 61_113;
/// Ports that are asked by UDP beside those of the policy and the listeners: name, time, portmapper, SNMP, SSDP, mDNS, LLMNR.
const UDP_THAT_MATTER: &[u16] = &[53, 111, 123, 161, 1900, 5353, 5355];

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    // The stage that started this one ends with the person's own process, and this one with that: process 1 of a
    // namespace takes no other signal from outside, and would go on attacking for nobody.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| failed("prctl", error))?;
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).map_err(|error| failed("reading the brief", error))?;
    let brief: Brief = serde_json::from_slice(&text).map_err(|error| failed("reading the brief", error))?;
    refuse_outside_the_copy()?;
    enter_the_copy()?;
    let outcome = Rehearsal::set_up(context, brief)?.play()?;
    context.output.value(&outcome);
    Ok(Exit::Clean)
}

/// What follows writes files and rules: only as process 1 of a namespace of its own, in a network that holds nothing but loopback.
fn refuse_outside_the_copy() -> Result<(), Failure> {
    let is_first = rustix::process::getpid().as_raw_nonzero().get() == 1;
    let mut socket = netlink::Socket::open(netlink::Protocol::Route)
        .map_err(|error| failed("the copy's network", error))?;
    let links = netlink::route::links(&mut socket).map_err(|error| failed("the copy's network", error))?;
    let addresses =
        netlink::route::addresses(&mut socket).map_err(|error| failed("the copy's network", error))?;
    if is_first && addresses.is_empty() && links.iter().all(|link| !link.up) {
        return Ok(());
    }
    Err(failed("refused", "this is no copy: it is started by `gabion rehearse` alone"))
}

/// Makes the copy the root of this process: what it can reach from here on is the copy alone.
fn enter_the_copy() -> Result<(), Failure> {
    let root = std::env::var_os("GABION_COPY")
        .map(PathBuf::from)
        .ok_or_else(|| failed("entering the copy", "where is it?"))?;
    mount("proc", root.join("proc"), "proc", MountFlags::empty(), None)
        .map_err(|error| failed("mounting proc", error))?;
    // Read-only: sysctls of the network stand in /proc, which is the copy's own.
    let _some_kernels_refuse_it = mount("sysfs", root.join("sys"), "sysfs", MountFlags::RDONLY, None);
    std::env::set_current_dir(&root).map_err(|error| failed("entering the copy", error))?;
    rustix::process::pivot_root(".", ".").map_err(|error| failed("making the copy the root", error))?;
    unmount(".", UnmountFlags::DETACH).map_err(|error| failed("letting the machine's own tree go", error))?;
    std::env::set_current_dir("/").map_err(|error| failed("entering the copy", error))
}

struct Rehearsal<'c> {
    context: &'c Context,
    brief: Brief,
    policy: Policy,
    outside: Outside,
    targets: Vec<Target>,
    server: Server,
    keys: Option<Keys>,
    client: Option<Client>,
    arrivals: Arrivals,
    notes: Vec<String>,
}

/// What one round of attacks saw.
struct Seen {
    reach: Vec<Reach>,
    forged: Vec<bool>,
    logins: Option<Logins>,
}

impl<'c> Rehearsal<'c> {
    fn set_up(context: &'c Context, brief: Brief) -> Result<Self, Failure> {
        let mut notes = Vec::new();
        loopback_up()?;
        let outside = Outside::join(CABLE).map_err(|error| failed("standing outside", error))?;
        outside.become_default_route().map_err(|error| failed("standing outside", error))?;
        notes.extend(load_the_machines_tables(&brief.machine));
        let server = Server::start(&brief.machine);
        if let Server::StandIn { port, why } = &server {
            notes.push(format!("{why}: a listener stands in on port {port}, and logins are not tried"));
        }
        let problems = stand_ins::stand_in(&brief.machine, &server.ports());
        notes.extend(problems.into_iter().map(|problem| format!("no stand-in for {problem}")));
        let arrivals = Arrivals::default();
        let watched = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), WATCHED);
        stand_ins::echo(watched, &arrivals).map_err(|error| failed("watching for forged packets", error))?;
        let keys = keys::make(&brief.machine).map_err(|error| notes.push(error)).ok();
        let policy = rehearsal_policy(&brief, keys.as_ref(), &mut notes);
        let client = Client::of(&brief.machine, keys.as_ref().map(|keys| keys.answers.clone()));
        let targets = targets(&outside);
        Ok(Self { context, brief, policy, outside, targets, server, keys, client, arrivals, notes })
    }

    fn play(mut self) -> Result<Outcome, Failure> {
        let started = Instant::now();
        let facts = self.facts()?;
        let wanted = self.filter_policy(&facts)?;
        let findings_before = Findings::of(&controls::audit(&facts, &self.policy));
        self.say("Attacking the copy as it is.");
        let before = self.attack(&wanted, None)?;

        self.say("Hardening the copy.");
        let program = change::this_program()?;
        let plan = Plan::draw(&facts, &self.policy, &program)?;
        self.notes.extend(plan.notes.iter().cloned());
        let refused_here =
            lockout::judge(&facts, &plan, &self.policy).err().map(|refusal| report::lockout::text(&refusal));
        let steps = plan.steps.len();
        let applied = self.apply(plan)?;

        self.say("Attacking the hardened copy.");
        let hardened = self.facts()?;
        let after = self.attack(&wanted, Some(&hardened))?;
        let audit_after = controls::audit(&hardened, &self.policy);
        let findings_left = outcome::left(&audit_after);
        let second_plan_is_empty = Plan::draw(&hardened, &self.policy, &program)?.is_empty();
        let checks = self.checks(&hardened, &wanted, &before, &after);
        let probes = before.probes() + after.probes();

        self.say("Undoing it.");
        let undo_left = match applied {
            Some(id) => self.undo(&facts, &id)?,
            None => Vec::new(),
        };
        let attack = Verification { checks, probes, took_ms: 0 }.took(started.elapsed());
        let notes = self.notes;
        Ok(Outcome {
            version: 1,
            notes,
            findings_before,
            findings_after: Findings::of(&audit_after),
            findings_left,
            steps,
            second_plan_is_empty,
            attack,
            undo_left,
            refused_here,
        })
    }

    fn say(&self, text: &str) {
        if !self.brief.quiet {
            self.context.output.note(text);
        }
    }

    /// The facts of the copy. What manages services is the machine's: the copy has none of its own running.
    fn facts(&self) -> Result<Facts, Failure> {
        let mut facts = collect(&Live::open()?, Some(&self.policy));
        let machine = &self.brief.machine;
        facts.system.init.clone_from(&machine.system.init);
        facts.ssh.units.clone_from(&machine.ssh.units);
        facts.firewall.managers.clone_from(&machine.firewall.managers);
        Ok(facts)
    }

    fn filter_policy(&self, facts: &Facts) -> Result<FilterPolicy, Failure> {
        controls::filter::filter_policy(&self.policy, facts)
            .map_err(|error| failed("the firewall's policy", error))
    }

    /// One round of attacks. On a hardened copy, of which facts are given, what should answer is asked patiently.
    fn attack(&self, wanted: &FilterPolicy, hardened: Option<&Facts>) -> Result<Seen, Failure> {
        let mut udp: Vec<u16> = UDP_THAT_MATTER.to_vec();
        udp.extend(
            wanted
                .allow
                .iter()
                .flat_map(|allow| &allow.ports)
                .copied()
                .filter_map(crate::attack::single_udp_port),
        );
        udp.extend(crate::attack::udp_listeners(&self.brief.machine));
        udp.sort_unstable();
        udp.dedup();
        let mut seen = Seen { reach: Vec::new(), forged: Vec::new(), logins: None };
        for target in &self.targets {
            let should_answer =
                hardened.map(|facts| Expected { policy: wanted, facts }.should_answer(*target));
            let reached =
                reach(&self.outside, *target, self.brief.up_to, &udp, should_answer.unwrap_or_default());
            seen.reach.push(reached.map_err(|error| failed("attacking", error))?);
            seen.forged.push(self.forge(target.to)?);
        }
        if let (true, Some(keys), Some(client)) = (self.server.is_real(), &self.keys, &self.client) {
            let port = self.server.ports().first().copied().unwrap_or(22);
            let admins: Vec<&str> = self.policy.admins.iter().map(|admin| admin.name.as_str()).collect();
            let has_sudo = self.brief.machine.system.programs.contains_key("sudo");
            let logins = Logins::try_all(&self.outside, client, keys, &self.targets, port, &admins, has_sudo);
            seen.logins = Some(logins.map_err(|error| failed("attacking", error))?);
        }
        Ok(seen)
    }

    /// Sends a datagram that pretends to come from loopback, and says whether it arrived before one that did come from there.
    fn forge(&self, to: IpAddr) -> Result<bool, Failure> {
        const WORD: &[u8] = b"forged";
        const AFTER: &[u8] = b"after it";
        const PATIENCE: Duration = Duration::from_secs(5);
        let sent = self.outside.run(move || probe::reach::spoofed_loopback(to, WATCHED, WORD));
        // The kernel may refuse to send it at all, which is as good.
        let sent = sent.map_err(|error| failed("attacking", error))?;
        std::thread::sleep(Duration::from_millis(50));
        let _lost_where_loopback_is_filtered = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|socket| socket.send_to(AFTER, (Ipv4Addr::LOCALHOST, WATCHED)));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut arrivals = self.arrivals.lock().map_err(|error| failed("attacking", error))?;
            let has = |word| arrivals.iter().any(|(_, payload)| payload == word);
            if has(AFTER) || Instant::now() > deadline {
                let arrived = has(WORD);
                arrivals.clear();
                return Ok(sent.is_ok() && arrived);
            }
            drop(arrivals);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn apply(&self, plan: Plan) -> Result<Option<change::TransactionId>, Failure> {
        if plan.is_empty() {
            return Ok(None);
        }
        let total = plan.steps.len();
        let what: Vec<String> = plan.steps.iter().map(|step| report::plan::describe(&step.action)).collect();
        let root = Root::live()?;
        let transaction =
            Transaction::begin(&root, plan, &About { who: "rehearsal".to_owned(), ..About::default() })?;
        let id = transaction.id().clone();
        let outcome = transaction.apply(Confirm::NotNeeded, &mut |progress| {
            if let Progress::Doing(step) = progress {
                self.say(&format!("  {:>2}/{total} {}", step + 1, what.get(step).map_or("", String::as_str)));
            }
        })?;
        match outcome {
            change::Outcome::Confirmed | change::Outcome::Pending { .. } => Ok(Some(id)),
            change::Outcome::RolledBack { step, error, .. }
            | change::Outcome::RollbackFailed { step, error, .. } => {
                Err(failed(&format!("step {} of the plan", step + 1), error))
            }
        }
    }

    fn checks(&self, facts: &Facts, wanted: &FilterPolicy, before: &Seen, after: &Seen) -> Vec<Check> {
        let expected = Expected { policy: wanted, facts };
        let mut checks = Vec::new();
        for (index, target) in self.targets.iter().enumerate() {
            if let Some(now) = after.reach.get(index) {
                checks.extend(expected.checks(*target, now, before.reach.get(index)));
            }
            checks.push(logins::forged(
                *target,
                before.forged.get(index).copied(),
                after.forged.get(index).copied(),
            ));
        }
        if let Some(now) = &after.logins {
            checks.extend(now.checks(before.logins.as_ref(), &self.policy));
        }
        checks
    }

    /// Rolls back and names what is not as it was.
    fn undo(&self, before: &Facts, id: &change::TransactionId) -> Result<Vec<String>, Failure> {
        let mut left = Vec::new();
        if let Some(report) = change::rollback(&Root::live()?, id, change::Because::Asked)? {
            left.extend(
                report.failures.iter().map(|failure| format!("step {}: {}", failure.step + 1, failure.error)),
            );
        }
        let now = self.facts()?;
        // The journal of the transaction stays, as it does on a machine.
        let journal = std::path::Path::new("/var/lib/gabion");
        for (path, fact) in before.files.iter().filter(|(path, _)| *path != journal) {
            if !same_file(fact, now.file(path)) {
                left.push(path.display().to_string());
            }
        }
        if now.accounts != before.accounts {
            left.push("the accounts".to_owned());
        }
        let rules = |facts: &Facts| {
            facts.firewall.ruleset.known().map(|ruleset| ruleset.canonical(nf_tables::Ignore::STATE))
        };
        if rules(&now) != rules(before) {
            left.push("the kernel's ruleset".to_owned());
        }
        Ok(left)
    }
}

impl Seen {
    fn probes(&self) -> u64 {
        let packets: usize = self.reach.iter().map(|reach| reach.tcp.tried + reach.udp.len() + 1).sum();
        let logins = self.logins.as_ref().map_or(0, Logins::count);
        u64::try_from(packets + self.forged.len() + logins).unwrap_or(u64::MAX)
    }
}

/// Equal but for the times and listings of directories, which every change below them moves.
fn same_file(one: &host::facts::FileFact, other: &host::facts::FileFact) -> bool {
    match (one.entry(), other.entry()) {
        (Some(one), Some(other)) => {
            let same =
                (&one.kind, one.mode, one.uid, one.gid) == (&other.kind, other.mode, other.uid, other.gid);
            same && one.content == other.content
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The policy as it is rehearsed: every administrator also has the key of the rehearsal, and there is at least one.
fn rehearsal_policy(brief: &Brief, keys: Option<&Keys>, notes: &mut Vec<String>) -> Policy {
    let mut policy = brief.policy.clone();
    let Some(keys) = keys else { return policy };
    if policy.admins.is_empty() {
        notes.push(
            "the policy names no administrator: in the copy `admin` gets a key made for the rehearsal"
                .to_owned(),
        );
        policy.admins.push(Admin {
            name: "admin".to_owned(),
            keys: Vec::new(),
            password: Password::Keep,
            sudo: Sudo::Auto,
            shell: None,
        });
    }
    for admin in &mut policy.admins {
        admin.keys.push(keys.public.clone());
    }
    policy
}

fn targets(outside: &Outside) -> Vec<Target> {
    let mut targets = vec![Target { from: outside.v4().into(), to: outside.host_v4().into() }];
    targets.extend(outside.v6().map(|(from, to)| Target { from: from.into(), to: to.into() }));
    targets
}

fn loopback_up() -> Result<(), Failure> {
    let mut socket = netlink::Socket::open(netlink::Protocol::Route)
        .map_err(|error| failed("the copy's network", error))?;
    let links = netlink::route::links(&mut socket).map_err(|error| failed("the copy's network", error))?;
    for link in links.iter().filter(|link| link.is_loopback()) {
        netlink::route::write::set_up(&mut socket, link.index)
            .map_err(|error| failed("the copy's network", error))?;
    }
    Ok(())
}

/// The machine's own rules, so that the copy starts from what filters now. What cannot be loaded is told.
fn load_the_machines_tables(machine: &Facts) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(ruleset) = machine.firewall.ruleset.known() else {
        notes.push(
            "the machine's own packet filter could not be read: the copy starts without one".to_owned(),
        );
        return notes;
    };
    for table in &ruleset.tables {
        let loaded =
            nf_tables::Connection::open().map_err(|error| error.to_string()).and_then(|mut connection| {
                packet_filter::restore(&mut connection, &table.id(), Some(table), None)
                    .map_err(|error| error.to_string())
            });
        if let Err(error) = loaded {
            notes.push(format!("the table {} could not be copied: {error}", table.table.name));
        }
    }
    notes
}

fn failed(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::Stage { what: "the rehearsal", why: format!("{what}: {why}") }
}

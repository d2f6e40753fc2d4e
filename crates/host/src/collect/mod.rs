//! Asking a machine everything that the controls need.

mod accounts;
mod again;
mod authorized_keys;
mod files;
mod firewall;
mod listeners;
mod network;
mod notes;
mod servers;
mod ssh;
mod ssh_config;
mod sudo;
mod system;
mod units;
mod way_in;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;

pub use again::{judge_sudo_again, legacy_tables, network, way_in};
pub(crate) use notes::Notes;

use crate::facts::{Accounts, Fact, SshFacts, System};
use crate::process::Proc;
use crate::{Error, Facts, Host, Output, Query, Source};

/// What the caller will want to know besides what is always asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Paths that a plan may replace: each is read, with the directories above it.
    pub extra_files: Vec<PathBuf>,
    /// Programs that a plan may name, such as shells: looked at, with where they lead, but not read.
    pub programs: Vec<PathBuf>,
    /// Login names for which sudo itself is asked what it grants; each costs a child process.
    pub admins: Vec<String>,
}

/// Asks a machine everything. What cannot be read becomes a [`Fact::Unknown`] with the reason; nothing fails.
/// Recorded facts are given back as they were taken.
pub fn collect(host: &dyn Host, wanted: &Wanted) -> Facts {
    if let Some(recorded) = host.recorded() {
        return recorded.clone();
    }
    match host.source() {
        Source::Live => live(host, wanted),
        Source::Image => image(host, wanted),
    }
}

fn live(host: &dyn Host, wanted: &Wanted) -> Facts {
    let proc = Proc::real();
    let (proc, mut notes) = (&proc, Notes::new(host));
    thread::scope(|scope| {
        // The programs answer while this thread reads files.
        let units = scope.spawn(|| units::live(host));
        let visudo = scope.spawn(|| sudo::check(host));
        let sudo_lists = scope.spawn(|| sudo::ask(host, &wanted.admins));
        let firewall = scope.spawn(firewall::kernel);
        let sockets = listeners::live(proc);
        let masters = servers::masters(proc, &sockets);
        let choice = ssh::choose(host, &masters);
        let ask_sshd = |question: fn(&dyn Host, &ssh::Choice) -> Fact<String>| {
            let choice = choice.clone();
            scope.spawn(move || question(host, &choice))
        };
        let (version, dump, defaults) =
            (ask_sshd(ssh::version), ask_sshd(ssh::dump), ask_sshd(ssh::defaults));
        let network = network::live(&sockets);

        let mut system = system::collect(&mut notes);
        let accounts = accounts::collect(&mut notes);
        let way_in = way_in::live(proc, &accounts, &mut notes);
        files::collect(&mut notes, wanted);
        let mut config = ssh_config::collect(&mut notes, &choice.main_file);
        let policy = sudo::read(&mut notes, &system);

        let units = joined(units).unwrap_or_else(Fact::Unknown);
        let dump = joined(dump).unwrap_or_else(Fact::Unknown);
        config.learn(&dump);
        ssh_config::host_keys(&mut notes, &config);
        let authorized_keys = authorized_keys::collect(&mut notes, &accounts, &config);
        let servers = servers::finish(masters, proc, &units, &config, host);
        let legacy = firewall::legacy(proc);
        let managers = firewall::managers(&mut notes, &units, &system);
        let units = units::facts(units);
        let ssh = SshFacts {
            program: Fact::Known(choice.program.clone()),
            version: joined(version).unwrap_or_else(Fact::Unknown),
            main_file: choice.main_file.clone(),
            dump,
            defaults: joined(defaults).unwrap_or_else(Fact::Unknown),
            servers,
            units: units::of_ssh(&units),
            config_files: config.files,
            authorized_keys,
        };
        let check = joined(visudo).unwrap_or_else(Fact::Unknown);
        let asked = joined(sudo_lists).unwrap_or_default();
        let firewall = joined(firewall).unwrap_or_default();
        let (sudo, sudoers) = sudo::judge(&mut notes, &policy, &accounts, &mut system, wanted, check, &asked);
        system.units = units;
        let firewall = firewall.with(legacy, managers, host);
        if sockets.unseen > 0 {
            let what = format!("{} processes could not be looked into for their sockets", sockets.unseen);
            notes.problem("/proc".as_ref(), None, what);
        }
        Facts {
            sudo,
            sudoers,
            ssh,
            network,
            firewall,
            way_in,
            ..common(Source::Live, system, accounts, notes)
        }
    })
}

fn image(host: &dyn Host, wanted: &Wanted) -> Facts {
    let mut notes = Notes::new(host);
    let mut system = system::collect(&mut notes);
    let accounts = accounts::collect(&mut notes);
    files::collect(&mut notes, wanted);
    let choice = ssh::choose(host, &Fact::Known(Vec::new()));
    let config = ssh_config::collect(&mut notes, &choice.main_file);
    ssh_config::host_keys(&mut notes, &config);
    let authorized_keys = authorized_keys::collect(&mut notes, &accounts, &config);
    let units = units::image(&mut notes);
    let managers = firewall::managers(&mut notes, &units, &system);
    let units = units::facts(units);
    let policy = sudo::read(&mut notes, &system);
    let check = not_running("visudo");
    let (sudo, sudoers) =
        sudo::judge(&mut notes, &policy, &accounts, &mut system, wanted, check, &BTreeMap::new());
    let ssh = SshFacts {
        version: ssh::version(host, &choice),
        program: Fact::Known(choice.program),
        main_file: choice.main_file,
        dump: not_running("sshd"),
        defaults: not_running("sshd"),
        servers: not_running("the list of processes"),
        units: units::of_ssh(&units),
        config_files: config.files,
        authorized_keys,
    };
    system.units = units;
    let firewall = firewall::of_image().with(not_running("the kernel"), managers, host);
    Facts {
        sudo,
        sudoers,
        ssh,
        network: network::of_image(),
        firewall,
        way_in: not_running("the session"),
        ..common(Source::Image, system, accounts, notes)
    }
}

fn common(source: Source, system: System, accounts: Accounts, notes: Notes<'_>) -> Facts {
    let now = jiff::Timestamp::now();
    let taken_at = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    let today = now.as_second().div_euclid(24 * 60 * 60);
    let Notes { files, mut problems, .. } = notes;
    problems.sort();
    problems.dedup();
    Facts { taken_at, today, source, system, accounts, files, problems, ..Facts::default() }
}

/// A fact that only a running machine has.
fn not_running<T>(what: &'static str) -> Fact<T> {
    Fact::Unknown(Error::NotRunning(what).to_string())
}

/// A thread's result; a bug that ended it is one more thing that is not known.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> Result<T, String> {
    thread.join().map_err(|_| "the thread that read it ended by a panic".to_owned())
}

/// The output of a program that ended well.
fn asked(host: &dyn Host, query: &Query) -> Result<Output, String> {
    let output = host.ask(query).map_err(|error| error.to_string())?;
    if output.success() { Ok(output) } else { Err(format!("{}: {}", query.program(), output.complaint())) }
}

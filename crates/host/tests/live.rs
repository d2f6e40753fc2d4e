//! The running machine, in a network namespace of its own where the network matters.
#![allow(clippy::unwrap_used, reason = "a test: its helpers unwrap")]
#![allow(clippy::disallowed_methods, reason = "a test: it loads rules into a network namespace of its own")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::facts::Protocol;
use host::{Error, Facts, Host, Live, Metadata, Output, Query, Recorded, Source, Wanted, collect};

/// Counts the programs that are started.
struct Counting {
    live: Live,
    asked: AtomicUsize,
}

impl Host for Counting {
    fn source(&self) -> Source {
        self.live.source()
    }

    fn read_at_most(&self, path: &Path, cap: u64) -> Result<Vec<u8>, Error> {
        self.live.read_at_most(path, cap)
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, Error> {
        self.live.metadata(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, Error> {
        self.live.list(path)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, Error> {
        self.live.read_link(path)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, Error> {
        self.live.resolve(path)
    }

    fn ask(&self, query: &Query) -> Result<Output, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.live.ask(query)
    }
}

#[test]
fn a_collection_starts_at_most_six_programs_for_one_administrator() {
    let host = Counting { live: Live::open().unwrap(), asked: AtomicUsize::new(0) };
    let wanted = Wanted { admins: vec!["root".to_owned()], ..Wanted::default() };
    let facts = collect(&host, &wanted);
    assert!(facts.accounts.users.known().is_some());
    let asked = host.asked.into_inner();
    assert!(asked <= 6, "{asked}");
}

#[test]
fn live_facts_are_saved_and_replayed_as_they_were() {
    let facts = collect(&Live::open().unwrap(), &Wanted::default());
    let text = Recorded::new(facts.clone()).save().unwrap();
    assert_eq!(Facts::from(Recorded::load(&text).unwrap()), facts);
}

#[test]
fn a_question_with_a_name_that_is_an_option_is_not_put() {
    let host = Live::open().unwrap();
    for user in ["-u", "", "a b", "a\nb"] {
        let answer = host.ask(&Query::SudoList { user: user.to_owned() });
        assert!(matches!(answer, Err(Error::BadQuestion { program: "sudo", .. })), "{user:?}: {answer:?}");
    }
}

#[test]
fn a_program_that_others_than_root_can_change_is_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("sshd");
    std::fs::write(&program, "#!/bin/sh\ntouch \"$0.ran\"\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let answer = Live::open().unwrap().ask(&Query::SshdVersion { program: Some(program.clone()) });
    assert!(matches!(answer, Err(Error::UntrustedProgram { .. })), "{answer:?}");
    assert!(!directory.path().join("sshd.ran").exists());
}

/// Runs this test program again in a network namespace of its own, after a script.
fn facts_in_a_namespace(script: &str) -> Option<Facts> {
    let possible = Command::new("unshare").args(["--net", "nft", "--version"]).output();
    if !possible.is_ok_and(|ran| ran.status.success()) {
        lab::skip("a network namespace of its own takes root, unshare and nft");
        return None;
    }
    let saved = tempfile::NamedTempFile::new().unwrap();
    let script = format!("{script}\nexec \"$0\" --exact saves_facts_where_asked");
    let ran = Command::new("unshare")
        .args(["--net", "sh", "-ec", &script])
        .arg(std::env::current_exe().unwrap())
        .env("FACTS_SAVED_TO", saved.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Some(Recorded::load(&std::fs::read_to_string(saved.path()).unwrap()).unwrap().into())
}

#[test]
fn saves_facts_where_asked() {
    let Some(path) = std::env::var_os("FACTS_SAVED_TO") else {
        return;
    };
    let _listener = std::net::TcpListener::bind("127.0.0.1:2022");
    let _bound = std::net::UdpSocket::bind("[::1]:2023");
    let facts = collect(&Live::open().unwrap(), &Wanted::default());
    std::fs::write(path, Recorded::new(facts).save().unwrap()).unwrap();
}

#[test]
fn an_empty_namespace_shows_its_loopback_and_nothing_of_the_machine() {
    let Some(facts) = facts_in_a_namespace("true") else {
        return;
    };
    let links = facts.network.links.known().unwrap();
    assert_eq!(links.iter().map(|link| (link.name.as_str(), link.up)).collect::<Vec<_>>(), [("lo", false)]);
    let listeners = facts.network.listeners.known().unwrap();
    assert_eq!(listeners.iter().map(|listener| listener.port).collect::<Vec<_>>(), [2022], "this test's own");
    assert_eq!(facts.firewall.ruleset.known().unwrap().tables, []);
}

#[test]
fn links_addresses_listeners_and_rules_of_a_namespace_are_read() {
    let script = "ip link set lo up; ip link add d0 type veth peer d1; ip link set d1 up; ip address add 192.0.2.7/24 dev d0; ip link set d0 up; \
                  ip route add 198.51.100.0/24 via 192.0.2.1; nft add table inet example";
    let Some(facts) = facts_in_a_namespace(script) else {
        return;
    };
    let addresses = facts.network.addresses.known().unwrap();
    assert!(
        addresses.iter().any(|address| address.link == "d0" && address.address.to_string() == "192.0.2.7/24")
    );
    let routes = facts.network.routes.known().unwrap();
    let route = routes.iter().find(|route| route.to.to_string() == "198.51.100.0/24").unwrap();
    assert_eq!((route.gateway, route.link.as_deref()), (Some("192.0.2.1".parse().unwrap()), Some("d0")));
    let listeners = facts.network.listeners.known().unwrap();
    let found: Vec<_> = listeners.iter().map(|listener| (listener.protocol, listener.port)).collect();
    assert_eq!(found, [(Protocol::Tcp, 2022), (Protocol::Udp, 2023)]);
    assert!(listeners.iter().all(|listener| !listener.is_exposed() && listener.owners.len() == 1));
    assert_eq!(facts.firewall.ruleset.known().unwrap().tables.len(), 1);
}

//! A host as it comes, what it serves, and what can be tried on it from outside.

use lab::{
    Auth, Connect, Datagram, HOST_V4, HOST_V6, Host, Key, Lab, Manifest, Output, Running, Transport, Tree,
};
use serde_json::Value;
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a person puts the program who has just copied it to the host.
pub(crate) const COPIED: &str = "/root/gabion";
pub(crate) const ROOT_PASSWORD: &str = "hunter2";
/// What `apply` may touch, and `rollback` must bring back.
pub(crate) const MANAGED: [&str; 4] = ["/etc", "/home", "/usr/local", "/root"];
/// The same, and what the program keeps.
pub(crate) const EVERYTHING: [&str; 5] = ["/etc", "/home", "/usr/local", "/root", "/var/lib/gabion"];

/// A service that the policy lets in, and one that it does not, in both families.
pub(crate) const WEB: u16 = 80;
pub(crate) const SECRET: u16 = 9000;
pub(crate) const BOTH: [IpAddr; 2] = [IpAddr::V4(HOST_V4), IpAddr::V6(HOST_V6)];

/// A host, and the one who administers it.
pub(crate) struct Scene {
    pub(crate) host: Host,
    pub(crate) key: Key,
    listeners: Vec<Running>,
    logins: Cell<u8>,
}

impl Scene {
    pub(crate) fn stage(
        tree: impl Fn() -> lab::Result<Tree>,
        furnish: impl Fn(lab::Builder, &Key) -> lab::Builder,
    ) -> Option<Self> {
        if let Err(error) = Lab::require() {
            lab::skip(&error.to_string());
            return None;
        }
        let key = Key::named("guide").unwrap();
        let builder = Host::builder(&tree().unwrap())
            .root_password(ROOT_PASSWORD)
            .file("/root/deploy.pub", format!("{}\n", key.public()))
            .program(env!("CARGO_BIN_EXE_gabion"), COPIED);
        let host = furnish(builder, &key).boot().unwrap();
        let mut scene = Self { host, key, listeners: Vec::new(), logins: Cell::new(0) };
        scene.serve();
        Some(scene)
    }

    /// Starts what the host is there for, and what nobody should reach.
    pub(crate) fn serve(&mut self) {
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let kinds = [(Transport::Tcp, WEB), (Transport::Tcp, SECRET), (Transport::Udp, SECRET)];
        self.listeners =
            kinds.map(|(transport, port)| self.host.listen(transport, any, port).unwrap()).into();
    }

    pub(crate) fn reboot(&mut self) {
        self.listeners.clear();
        self.host.reboot().unwrap();
        self.serve();
    }

    /// A source address that was not used yet, so that many logins are not too many from one.
    pub(crate) fn somewhere(&self, to: IpAddr) -> IpAddr {
        self.logins.set(self.logins.get() + 1);
        let number = self.logins.get();
        match to {
            IpAddr::V4(_) => Ipv4Addr::new(203, 0, 113, number).into(),
            IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0x99, number.into(), 0, 0, 0, 1).into(),
        }
    }

    pub(crate) fn login(&self, user: &str, auth: Auth<'_>, to: IpAddr, command: &str) -> Output {
        self.host.ssh(user, auth).to(to).from(self.somewhere(to)).run(command).unwrap()
    }

    /// As root by password, before the host is secured.
    pub(crate) fn root(&self, command: &str) -> Output {
        self.login("root", Auth::Password(ROOT_PASSWORD), HOST_V4.into(), command)
    }

    /// In a new login by key.
    pub(crate) fn admin(&self, command: &str) -> Output {
        self.login("deploy", Auth::Key(self.key.path()), HOST_V4.into(), command)
    }

    pub(crate) fn manifest(&self, paths: &[&str]) -> Manifest {
        self.host.manifest(paths).unwrap()
    }

    pub(crate) fn assert_unchanged(&self, before: &Manifest, paths: &[&str]) {
        assert_eq!(before.diff(&self.manifest(paths)), "");
    }

    pub(crate) fn assert_only_keys_get_in(&self) {
        for to in BOTH {
            let in_by_key = self.login("deploy", Auth::Key(self.key.path()), to, "sudo -n id -u").unwrap();
            assert_eq!(in_by_key.stdout, "0\n");
            let passwords = [("root", ROOT_PASSWORD), ("deploy", ROOT_PASSWORD)];
            for (user, auth) in passwords
                .map(|(user, password)| (user, Auth::Password(password)))
                .into_iter()
                .chain([("root", Auth::Key(self.key.path())), ("root", Auth::Nothing)])
            {
                let refused = self.login(user, auth, to, "id");
                assert_eq!(refused.status, 255, "{user} by {auth:?} at {to}: {refused:?}");
                assert!(refused.stderr.contains("Permission denied (publickey)"), "{}", refused.stderr);
            }
        }
    }

    /// All 65,535 ports of both families, by a program that is not ours.
    pub(crate) fn assert_nmap_sees(&self, open: &[u16]) {
        for to in BOTH {
            let seen = self.nmap(to, "1-65535");
            assert_eq!(seen, open.iter().map(|port| (*port, "open".to_owned())).collect::<Vec<_>>(), "{to}");
            let outside = self.host.outside();
            assert!(outside.ping(None, to).unwrap(), "{to} answers a ping");
            let datagram = outside.udp_send(None, to, SECRET, b"?").unwrap();
            assert!(matches!(datagram, Datagram::Refused), "udp/{SECRET} of {to}: {datagram:?}");
            assert_eq!(outside.tcp_connect(None, to, SECRET).unwrap(), Connect::Refused);
        }
    }

    /// What `nmap` says of these ports, in their order; ports that it finds in one state in great number are left out.
    pub(crate) fn nmap(&self, to: IpAddr, ports: &str) -> Vec<(u16, String)> {
        let address = to.to_string();
        let family = if to.is_ipv6() { "-6" } else { "-4" };
        let scan =
            ["-n", "-Pn", "-sS", "-p", ports, "-T5", "--min-rate", "20000", "-oG", "-", family, &address];
        let report = self.host.outside().nmap(&scan).unwrap().unwrap().stdout;
        // Host: 198.51.100.2 ()  Ports: 22/open/tcp//ssh///, 80/filtered/tcp//http///
        let fields = report.split_once("Ports: ").map_or("", |(_, rest)| rest).split([' ', '\t']);
        let states = fields.filter_map(|field| field.split_once("/tcp/")?.0.split_once('/'));
        states.map(|(port, state)| (port.parse().unwrap(), state.to_owned())).collect()
    }
}

/// The one JSON document that standard output holds, and nothing else.
#[track_caller]
pub(crate) fn json(output: &Output) -> Value {
    let value: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}\n--- stdout\n{}\n--- stderr\n{}", output.stdout, output.stderr)
    });
    assert!(value.is_object(), "{value}");
    value
}

#[track_caller]
pub(crate) fn assert_exit(output: &Output, status: i32, says: &str) {
    assert_eq!(output.status, status, "--- stdout\n{}\n--- stderr\n{}", output.stdout, output.stderr);
    let both = format!("{}{}", output.stdout, output.stderr);
    assert!(both.contains(says), "no {says:?} in\n{both}");
}

/// A ruleset without its counters and without the addresses that its meters remember.
pub(crate) fn without_what_moves(ruleset: &str) -> String {
    let mut text = String::new();
    let mut remembered = false;
    for line in ruleset.lines() {
        remembered |= line.contains("elements = {") && line.contains("expires");
        if !remembered {
            let words: Vec<&str> = line.split(' ').collect();
            let counts = |index: usize| index > 0 && ["packets", "bytes"].contains(&words[index - 1]);
            let kept = words.iter().enumerate().map(|(index, word)| if counts(index) { "N" } else { word });
            text += &kept.collect::<Vec<_>>().join(" ");
            text.push('\n');
        }
        remembered &= !line.contains('}');
    }
    text
}

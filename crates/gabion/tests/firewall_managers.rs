//! Other firewall managers, the real ones, on booted hosts: stood down by an apply while nothing that was closed ever
//! answers, and back with every rule by a rollback or a reboot.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test: its helpers unwrap, and it works on throwaway hosts"
)]

mod hosts;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hosts::{INSTALLED, stock};
use lab::{Connect, HOST_V4, HOST_V6, Host, Lab, Layer, Manifest, Running, Transport, Tree};

/// Open by the manager, closed by the policy.
const THEIRS: u16 = 8080;
/// Open by nobody, though something listens.
const CLOSED: u16 = 9999;
const APPLY: [&str; 6] = [INSTALLED, "apply", "--yes", "--no-wait", "--confirm-within", "3600"];
const ROLLBACK: [&str; 2] = [INSTALLED, "rollback"];

/// Rules that another program keeps in iptables' tables.
const OF_DOCKER: &str = "\
iptables -N DOCKER
iptables -A FORWARD -o docker0 -j DOCKER
iptables -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
";

/// A manager as it is found on a host.
struct Manager {
    packages: &'static [&'static str],
    unit: &'static str,
    /// Lets in 22 and 8080 and nothing else.
    setup: &'static str,
    /// A text that the kernel's rules hold only while it is active.
    mark: &'static str,
}

/// What must come back.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    files: Manifest,
    unit: String,
    rules: String,
}

struct Scene {
    host: Host,
    manager: &'static Manager,
    listeners: Vec<Running>,
}

impl Scene {
    fn stage(manager: &'static Manager, policy: &str) -> Option<Self> {
        if let Err(error) = Lab::require() {
            lab::skip(&error.to_string());
            return None;
        }
        let tree = Tree::bookworm().unwrap();
        let layer = Layer::of(&tree, manager.packages).unwrap();
        let policy = format!("{}{policy}", hosts::policy());
        let host = stock(&tree).packages(&layer).file("/etc/gabion/policy.toml", policy).boot().unwrap();
        host.run_script(&format!("set -e\n{}", manager.setup)).unwrap().unwrap();
        let mut scene = Self { host, manager, listeners: Vec::new() };
        scene.listen();
        scene.assert_manager_decides("before");
        Some(scene)
    }

    fn listen(&mut self) {
        self.listeners = [THEIRS, CLOSED]
            .map(|port| self.host.listen(Transport::Tcp, "::".parse::<IpAddr>().unwrap(), port).unwrap())
            .into();
    }

    fn reboot(&mut self) {
        self.listeners.clear();
        self.host.reboot().unwrap();
        self.listen();
    }

    fn connect(&self, port: u16) -> [Connect; 2] {
        let outside = self.host.outside();
        [outside.tcp_connect(None, HOST_V4, port).unwrap(), outside.tcp_connect(None, HOST_V6, port).unwrap()]
    }

    fn must(&self, words: &[&str]) -> String {
        self.host.run(words).unwrap().unwrap().stdout
    }

    fn script(&self, script: &str) -> String {
        self.host.run_script(script).unwrap().unwrap().stdout
    }

    fn rules(&self) -> String {
        let saves = "for save in iptables ip6tables; do command -v $save-save >/dev/null && $save-save 2>/dev/null; done; true";
        // Those of built-in chains have counters.
        let text = self.script(saves);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let saves = lines.map(|line| line.split(" [").next().unwrap_or_default().to_owned() + "\n");
        // The tables of iptables are those above; the order of their chains means nothing.
        let ruleset =
            self.host.net().command("nft").args(["-s", "list", "ruleset", "inet"]).output().unwrap();
        assert!(ruleset.status.success(), "{ruleset:?}");
        saves.collect::<String>() + &String::from_utf8(ruleset.stdout).unwrap()
    }

    fn unit(&self) -> String {
        let unit = self.manager.unit;
        self.script(&format!("systemctl show --property=ActiveState,UnitFileState,LoadState {unit}"))
    }

    fn moment(&self) -> Moment {
        Moment {
            files: self.host.manifest(&["/etc", "/usr/local"]).unwrap(),
            unit: self.unit(),
            rules: self.rules(),
        }
    }

    #[track_caller]
    fn assert_same(&self, before: &Moment, when: &str) {
        let now = self.moment();
        assert_eq!(before.unit, now.unit, "{when}");
        assert_eq!(changed_lines(&before.rules, &now.rules), "", "{when}");
        assert!(before.rules == now.rules, "{when}: the order of rules");
        let differences = before.files.diff(&now.files);
        assert!(differences.is_empty(), "{when}: {differences}");
    }

    #[track_caller]
    fn assert_manager_decides(&self, when: &str) {
        assert!(self.unit().contains("ActiveState=active"), "{when}: {}", self.unit());
        assert!(self.rules().contains(self.manager.mark), "{when}: {}", self.rules());
        assert_eq!(self.connect(22), [Connect::Open; 2], "{when}");
        assert_eq!(self.connect(THEIRS), [Connect::Open; 2], "{when}");
        assert!(!self.connect(CLOSED).contains(&Connect::Open), "{when}");
    }

    #[track_caller]
    fn assert_stood_down(&self, when: &str) {
        let unit = self.unit();
        assert!(
            unit.contains("ActiveState=inactive") && unit.contains("UnitFileState=masked"),
            "{when}: {unit}"
        );
        let rules = self.rules();
        assert!(!rules.contains(self.manager.mark), "{when}: {rules}");
        assert!(rules.contains("table inet gabion"), "{when}: {rules}");
        self.assert_policy_decides(when);
    }

    #[track_caller]
    fn assert_policy_decides(&self, when: &str) {
        assert_eq!(self.connect(22), [Connect::Open; 2], "{when}");
        assert_eq!(self.connect(THEIRS), [Connect::Refused; 2], "{when}");
        assert_eq!(self.connect(CLOSED), [Connect::Refused; 2], "{when}");
    }

    /// Runs a command while somebody knocks at the closed port without a pause: it never opens.
    fn while_knocking(&self, words: &[&str]) -> String {
        let (over, knocks) = (AtomicBool::new(false), AtomicUsize::new(0));
        let knock = |address: IpAddr| {
            while !over.load(Ordering::Relaxed) {
                let at = SocketAddr::new(address, CLOSED);
                let answer = TcpStream::connect_timeout(&at, Duration::from_millis(20));
                assert!(answer.is_err(), "{address} answered during {words:?}");
                knocks.fetch_add(1, Ordering::Relaxed);
            }
        };
        let output = std::thread::scope(|scope| {
            let outside = self.host.outside().net();
            let knocking = [HOST_V4.into(), HOST_V6.into()]
                .map(|address: IpAddr| scope.spawn(move || outside.within(|| knock(address)).unwrap()));
            let output = self.host.run(words).unwrap();
            over.store(true, Ordering::Relaxed);
            knocking.into_iter().for_each(|thread| thread.join().unwrap());
            output
        });
        assert!(knocks.load(Ordering::Relaxed) > 20, "{knocks:?}");
        output.unwrap().stdout
    }

    /// All of it: stood down, back by a rollback, stood down again, back by a reboot, and gone for good once confirmed.
    fn stands_down_and_comes_back(mut self) {
        let before = self.moment();
        self.while_knocking(&APPLY);
        self.assert_stood_down("applied");
        let again = self.must(&[INSTALLED, "plan"]);
        assert!(again.contains("Nothing to do"), "{again}");
        self.while_knocking(&ROLLBACK);
        self.assert_same(&before, "rolled back");
        self.assert_manager_decides("rolled back");

        self.must(&["rm", "-rf", "/var/lib/gabion"]);
        self.must(&APPLY);
        self.reboot();
        self.assert_manager_decides("rebooted while it waited");

        self.must(&["rm", "-rf", "/var/lib/gabion"]);
        self.must(&[INSTALLED, "apply", "--yes", "--no-wait"]);
        self.assert_stood_down("applied for good");
        self.reboot();
        self.assert_stood_down("rebooted");
        self.must(&ROLLBACK);
        let unit = self.unit();
        assert!(unit.contains("UnitFileState=enabled"), "after a reboot and a rollback: {unit}");
    }
}

/// The lines that only one of two texts has.
fn changed_lines(before: &str, after: &str) -> String {
    let only = |sign: &str, one: &str, other: &str| -> String {
        let gone = one.lines().filter(|line| !other.lines().any(|known| known == *line));
        gone.map(|line| format!("{sign} {line}\n")).collect()
    };
    only("-", before, after) + &only("+", after, before)
}

static UFW: Manager = Manager {
    packages: &["ufw"],
    unit: "ufw.service",
    setup: "ufw allow 22/tcp\nufw allow 8080/tcp\nufw --force enable\nsystemctl restart ufw",
    mark: "ufw-user-input",
};

static PERSISTENT: Manager = Manager {
    packages: &["iptables-persistent"],
    unit: "netfilter-persistent.service",
    setup: "for t in iptables ip6tables; do
$t -N mine
$t -A INPUT -i lo -j ACCEPT
$t -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$t -A INPUT -p tcp -m multiport --dports 22,8080 -m comment --comment 'let in -j mine' -j ACCEPT
$t -A INPUT -j mine
$t -P INPUT DROP
$t -P FORWARD DROP
done
ip6tables -A INPUT -p ipv6-icmp -j ACCEPT
iptables -A mine -p icmp -j ACCEPT
netfilter-persistent save
systemctl enable netfilter-persistent
systemctl restart netfilter-persistent",
    mark: ":mine",
};

static NFTABLES: Manager = Manager {
    packages: &["nftables"],
    unit: "nftables.service",
    setup: "cat > /etc/nftables.conf <<'END'
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	set let_in {
		type inet_service
		elements = { 22, 8080 }
	}
	chain input {
		type filter hook input priority filter; policy drop;
		iifname \"lo\" accept
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
		meta l4proto tcp tcp dport @let_in limit rate 1000/second accept
	}
}
END
systemctl enable nftables
systemctl restart nftables",
    mark: "let_in",
};

static FIREWALLD: Manager = Manager {
    packages: &["firewalld"],
    unit: "firewalld.service",
    setup: "systemctl enable --now firewalld
firewall-cmd --permanent --add-port=8080/tcp
firewall-cmd --permanent --add-service=ssh
firewall-cmd --reload",
    mark: "table inet firewalld",
};

#[test]
fn ufw_stands_down_and_comes_back() {
    let Some(scene) = Scene::stage(&UFW, "") else { return };
    scene.script(OF_DOCKER);
    let status = scene.must(&["ufw", "status"]);
    assert!(status.starts_with("Status: active"), "{status}");
    let before = scene.moment();
    scene.while_knocking(&APPLY);
    scene.assert_stood_down("applied beside Docker");
    let status = scene.must(&["ufw", "status"]);
    assert!(status.starts_with("Status: inactive"), "{status}");
    let rules = scene.rules();
    for rule in OF_DOCKER.lines().filter(|line| line.contains(" -A ")) {
        let rule = rule.trim_start_matches("iptables ").trim_start_matches("-t nat ");
        assert!(rules.contains(rule), "{rule}: {rules}");
    }
    // What others do meanwhile stays.
    scene.script("iptables -N f2b-sshd; iptables -I INPUT 1 -p tcp -m tcp --dport 22 -j f2b-sshd");
    scene.while_knocking(&ROLLBACK);
    let rules = scene.rules();
    assert!(
        rules.contains("-A INPUT -p tcp -m tcp --dport 22 -j f2b-sshd\n-A INPUT -j ufw-before-logging-input"),
        "{rules}"
    );
    scene.script("iptables -D INPUT 1; iptables -X f2b-sshd");
    scene.assert_same(&before, "rolled back beside Docker and fail2ban");
    scene.must(&["rm", "-rf", "/var/lib/gabion"]);
    scene.stands_down_and_comes_back();
}

#[test]
fn netfilter_persistent_stands_down_and_comes_back() {
    let Some(scene) = Scene::stage(&PERSISTENT, "") else { return };
    scene.stands_down_and_comes_back();
}

#[test]
fn nftables_service_stands_down_and_comes_back() {
    let Some(scene) = Scene::stage(&NFTABLES, "") else { return };
    scene.stands_down_and_comes_back();
}

#[test]
fn firewalld_stands_down_and_comes_back() {
    let Some(scene) = Scene::stage(&FIREWALLD, "") else { return };
    scene.stands_down_and_comes_back();
}

/// Where the policy is not the only one to decide, the plan says what stays closed, and nothing of theirs is touched.
#[test]
fn what_is_left_beside_ours_is_named_with_the_ports_that_it_closes() {
    let policy = "\n[firewall]\nexclusive = false\n\n[[firewall.allow]]\nservice = \"ssh\"\n\n\
                  [[firewall.allow]]\nport = \"tcp/9999\"\n";
    let Some(scene) = Scene::stage(&UFW, policy) else { return };
    let rules = scene.script("iptables-save; ip6tables-save");
    let plan = scene.host.run(&[INSTALLED, "plan"]).unwrap().stdout;
    assert!(plan.contains("ufw.service is left alone (firewall.exclusive = false)"), "{plan}");
    assert!(
        plan.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains("It refuses tcp/9999, which the policy allows"),
        "{plan}"
    );
    scene.while_knocking(&APPLY);
    assert_eq!(scene.connect(22), [Connect::Open; 2]);
    assert_eq!(scene.connect(THEIRS), [Connect::Refused; 2]);
    assert!(scene.unit().contains("ActiveState=active"), "{}", scene.unit());
    let same = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(" [").next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(same(&rules), same(&scene.script("iptables-save; ip6tables-save")));
}

/// Killed around each point at which another manager is touched, and recovered, all is as it was.
#[test]
fn killed_while_ufw_stands_down_or_comes_back_it_is_there_again() {
    let Some(scene) = Scene::stage(&UFW, "") else { return };
    let before = scene.moment();
    let with_fault = |fault: &str, words: &[&str]| {
        scene.host.run(&[&["env", &format!("GABION_FAULT={fault}")], words].concat()).unwrap()
    };
    let forget = || scene.must(&["rm", "-rf", "/var/lib/gabion"]);
    with_fault("trace:/run/trace", &APPLY).unwrap();
    with_fault("trace:/run/trace-back", &ROLLBACK).unwrap();
    scene.assert_same(&before, "applied and undone");
    let mut killed = 0;
    for (file, first, words) in
        [("/run/trace", None, &APPLY[..]), ("/run/trace-back", Some(&APPLY), &ROLLBACK[..])]
    {
        let points = String::from_utf8(scene.host.read(file).unwrap()).unwrap();
        let touches = |name: &str| name.starts_with("service:") || name.starts_with("iptables:");
        for (n, name) in points.lines().enumerate().filter(|(_, name)| touches(name)) {
            forget();
            first.map(|words| scene.must(words));
            let output = with_fault(&format!("kill:{}", n + 1), words);
            assert_eq!(output.status, 137, "{name}: {}", output.stderr);
            scene.must(&[INSTALLED, "recover"]);
            // Killed after its last step, it waits for its confirmation.
            let _ = scene.host.run(&ROLLBACK).unwrap();
            scene.assert_same(&before, &format!("killed at {name} of {}", words[1]));
            killed += 1;
        }
    }
    assert!(killed > 8, "{killed}");
    scene.assert_manager_decides("at the end");
}

static IPTABLES: Manager =
    Manager { packages: &["iptables-persistent"], unit: "netfilter-persistent.service", setup: "", mark: "" };

/// The policy through the host's own iptables, of both kinds.
fn through_iptables(alternative: &str) {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let tree = Tree::bookworm().unwrap();
    let layer = Layer::of(&tree, IPTABLES.packages).unwrap();
    let policy = hosts::policy()
        + "\n[firewall]\nbackend = \"iptables\"\n\n[[firewall.allow]]\nservice = \"ssh\"\n\n[[firewall.allow]]\nport = \"tcp/8081\"\nnew-per-minute = 60\ncomment = \"a test\"\n";
    let prepare = format!(
        "for t in iptables ip6tables; do update-alternatives --set $t /usr/sbin/$t-{alternative}; done"
    );
    let host = stock(&tree)
        .packages(&layer)
        .prepare(&prepare)
        .file("/etc/gabion/policy.toml", policy)
        .boot()
        .unwrap();
    // Somebody else's rules, which stay.
    host.run_script(
        "set -e\niptables -N mine\niptables -A INPUT -s 192.0.2.7 -j mine\niptables -A mine -j DROP\nip6tables -n -L >/dev/null",
    )
    .unwrap()
    .unwrap();
    let mut scene = Scene { host, manager: &IPTABLES, listeners: Vec::new() };
    scene.listen();
    let before = scene.moment();
    // Nobody has closed anything yet.
    scene.must(&APPLY);
    scene.assert_policy_decides("applied");
    let rules = scene.rules();
    assert!(rules.contains("-A INPUT -j gabion-input") && !rules.contains("table inet gabion"), "{rules}");
    assert!(rules.contains("-A INPUT -s 192.0.2.7/32 -j mine"), "{rules}");
    let again = scene.must(&[INSTALLED, "plan"]);
    assert!(again.contains("Nothing to do"), "{again}");
    scene.must(&ROLLBACK);
    scene.assert_same(&before, "rolled back");

    scene.must(&["rm", "-rf", "/var/lib/gabion"]);
    scene.must(&APPLY);
    scene.reboot();
    assert!(!scene.rules().contains("gabion"), "rebooted while it waited: {}", scene.rules());

    scene.must(&["rm", "-rf", "/var/lib/gabion"]);
    scene.must(&[INSTALLED, "apply", "--yes", "--no-wait"]);
    scene.assert_policy_decides("applied for good");
    scene.reboot();
    scene.assert_policy_decides("rebooted");
    let again = scene.must(&[INSTALLED, "plan"]);
    assert!(again.contains("Nothing to do"), "{again}");
    let reload = scene.while_knocking(&[INSTALLED, "firewall", "load"]);
    assert!(reload.is_empty() || reload.contains("loaded"), "{reload}");
    scene.must(&ROLLBACK);
    assert!(!scene.rules().contains("gabion"), "rolled back after a reboot: {}", scene.rules());
}

#[test]
fn the_policy_is_loaded_through_iptables_over_nf_tables() {
    through_iptables("nft");
}

#[test]
fn the_policy_is_loaded_through_iptables_of_the_old_kind() {
    through_iptables("legacy");
}

//! ufw and firewalld, each on a throwaway host of its own.

use std::time::Duration;

use lab::{Host, Lab, Layer, Tree};

use crate::load::Managers;

const ROUNDS: usize = 3;

/// A firewall manager, how it comes to a usual number of rules, and what loads them again.
struct Manager {
    name: &'static str,
    packages: &'static [&'static str],
    setup: &'static str,
    reload: &'static str,
}

const MANAGERS: [Manager; 2] = [
    Manager {
        name: "ufw reload",
        packages: &["ufw", "iptables"],
        setup: "ufw --force enable; for port in $(seq 8000 8010); do ufw allow $port/tcp; done",
        reload: "ufw reload",
    },
    Manager {
        name: "firewall-cmd --reload",
        packages: &["firewalld"],
        setup: "systemctl start firewalld; for port in $(seq 8000 8010); do firewall-cmd --permanent --add-port=$port/tcp; done",
        reload: "firewall-cmd --reload",
    },
];

/// What a reload takes on each. One that cannot be measured is left out, and it is said why.
pub(crate) fn reloads() -> Managers {
    if let Err(error) = Lab::require() {
        println!("without ufw and firewalld: {error}");
        return Vec::new();
    }
    let mut times = Vec::new();
    for manager in &MANAGERS {
        match reload(manager) {
            Ok(time) => times.push((manager.name.to_owned(), time)),
            Err(error) => println!("without {}: {error}", manager.name),
        }
    }
    times
}

fn reload(manager: &Manager) -> Result<Duration, Box<dyn std::error::Error>> {
    let tree = Tree::bookworm()?;
    let layer = Layer::of(&tree, manager.packages)?;
    let host: Host = Host::builder(&tree).packages(&layer).boot()?;
    host.run_script(manager.setup)?;
    let script =
        format!("a=$(date +%s%N); {} >/dev/null || exit 1; b=$(date +%s%N); echo $((b - a))", manager.reload);
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let nanoseconds: u64 = host.run_script(&script)?.unwrap().stdout.trim().parse()?;
        took.push(Duration::from_nanos(nanoseconds));
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

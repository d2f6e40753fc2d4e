//! What survives a reboot, and what a power cut takes.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test: its helpers unwrap, and it prints what it timed"
)]

use lab::{Connect, HOST_V4, Host, Lab, Transport, Tree};
use std::time::Instant;

fn host() -> Option<Host> {
    if let Err(error) = Lab::require() {
        lab::skip(&error.to_string());
        return None;
    }
    Some(Host::builder(&Tree::bookworm().unwrap()).boot().unwrap())
}

/// Writes `path` as a careful program does: the file synced, then its directory.
fn write_synced(path: &str) -> String {
    format!(
        "mkdir -p $(dirname {path}) && echo kept > {path} && sync {path} $(dirname {path}) $(dirname $(dirname {path}))"
    )
}

#[test]
fn a_reboot_keeps_the_disk_and_empties_memory_and_network() {
    let Some(mut host) = host() else { return };
    let boot_id = host.read("/proc/sys/kernel/random/boot_id").unwrap();
    host.run_script("echo kept > /var/lib/kept; echo lost > /run/lost").unwrap().unwrap();
    host.net().command("nft").args(["add", "table", "inet", "lost"]).status().unwrap();
    assert!(host.ruleset().unwrap().contains("lost"));
    let pid = host.leader().unwrap();

    host.reboot().unwrap();

    assert_ne!(host.leader().unwrap(), pid);
    assert_eq!(host.read("/var/lib/kept").unwrap(), b"kept\n");
    assert!(host.read("/run/lost").is_err());
    assert!(!host.ruleset().unwrap().contains("lost"));
    assert_eq!(host.outside().tcp_connect(None, HOST_V4, 22).unwrap(), Connect::Open);
    assert_ne!(host.read("/proc/sys/kernel/random/boot_id").unwrap(), boot_id);
}

#[test]
fn a_reboot_asked_for_from_inside_can_be_waited_for() {
    let Some(mut host) = host() else { return };
    host.run_script("echo kept > /etc/kept; systemctl --no-block reboot").unwrap().unwrap();
    host.wait_off(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(host.read("/etc/kept").unwrap(), b"kept\n");
    host.start().unwrap();
    assert!(host.run(&["systemctl", "is-active", "ssh"]).unwrap().success());
}

#[test]
fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
    let Some(mut host) = host() else { return };
    for round in 0..3 {
        let synced = format!("/var/lib/round/{round}/synced");
        let unsynced = format!("/var/lib/unsynced-{round}");
        host.run_script(&write_synced(&synced)).unwrap().unwrap();
        host.run_script(&format!("echo lost > {unsynced}")).unwrap().unwrap();
        assert_eq!(host.read(&unsynced).unwrap(), b"lost\n", "the running host must see it");

        let started = Instant::now();
        host.power_off_hard().unwrap();
        eprintln!("power cut in {:?}", started.elapsed());
        host.start().unwrap();

        assert_eq!(host.read(&synced).unwrap(), b"kept\n");
        let left = host.read(&unsynced).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&left), "", "never synced, and still there");
        assert!(host.run(&["systemctl", "is-active", "ssh"]).unwrap().success());
    }
}

#[test]
fn an_orderly_shutdown_keeps_what_a_power_cut_takes() {
    let Some(mut host) = host() else { return };
    host.run_script("echo kept > /var/lib/unsynced").unwrap().unwrap();
    host.reboot().unwrap();
    assert_eq!(host.read("/var/lib/unsynced").unwrap(), b"kept\n");
}

#[test]
fn copies_of_a_running_host_are_moments_in_its_order_of_writing() {
    let Some(host) = host() else { return };
    // Each number is on disk before the next is begun, so a copy that holds n holds all before n.
    let script = "cd /var/lib && mkdir numbers && sync . && n=0 && while :; do \
                  n=$((n+1)); echo $n > numbers/$n; sync numbers/$n numbers; echo $n; done";
    let writer = host.spawn(&["sh", "-c", script]).unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let written = writer.stdout().lines().last().and_then(|line| line.parse::<u32>().ok()).unwrap_or(0);
        writer.expect(&format!("\n{}\n", written + 20), std::time::Duration::from_secs(120)).unwrap();
        let acknowledged: u32 = writer.stdout().lines().last().unwrap().parse().unwrap();
        let started = Instant::now();
        let copy = host.power_cut_copy().unwrap();
        eprintln!("copied in {:?}", started.elapsed());
        let mounted = copy.mount().unwrap();
        let holds = |n: u32| {
            mounted
                .read(format!("/var/lib/numbers/{n}"))
                .is_ok_and(|bytes| bytes == format!("{n}\n").as_bytes())
        };
        let held = (1..).take_while(|&n| holds(n)).count();
        assert!(held >= acknowledged as usize, "{acknowledged} were acknowledged and {held} are there");
        seen.push(held);
    }
    assert!(seen.is_sorted() && seen[0] < seen[4], "{seen:?}");
    drop(writer);
    assert!(host.run(&["systemctl", "is-active", "ssh"]).unwrap().success());
}

#[test]
fn a_copy_boots_beside_the_host_it_was_taken_from() {
    let Some(host) = host() else { return };
    host.run_script(&write_synced("/srv/mark/file")).unwrap().unwrap();
    let twin = host.power_cut_copy().unwrap().boot().unwrap();
    assert_eq!(twin.read("/srv/mark/file").unwrap(), b"kept\n");
    twin.run_script("echo changed > /srv/mark/file").unwrap().unwrap();
    assert_eq!(host.read("/srv/mark/file").unwrap(), b"kept\n");
    let _listener = twin.listen(Transport::Tcp, HOST_V4, 8080).unwrap();
    assert_eq!(twin.outside().tcp_connect(None, HOST_V4, 8080).unwrap(), Connect::Open);
    assert_eq!(host.outside().tcp_connect(None, HOST_V4, 8080).unwrap(), Connect::Refused);
}

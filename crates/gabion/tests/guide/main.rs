//! The guide from end to end, as a person goes through it: a host with root and passwords wide open, over real logins, until
//! nothing is left but the administrator's key, and back again.
#![allow(clippy::unwrap_used, reason = "a test: its helpers unwrap")]
#![allow(clippy::print_stdout, reason = "measurements are printed")]

mod scene;
mod strict;

use lab::{Host, Tree};
use scene::{COPIED, EVERYTHING, MANAGED, SECRET, Scene, WEB, assert_exit, json, without_what_moves};
use std::time::Instant;

#[test]
fn a_bookworm_host_is_secured_from_the_first_login_to_a_reboot_and_put_back() {
    from_end_to_end(Tree::bookworm);
}

#[test]
fn a_trixie_host_is_secured_from_the_first_login_to_a_reboot_and_put_back() {
    from_end_to_end(Tree::trixie);
}

fn from_end_to_end(tree: impl Fn() -> lab::Result<Tree>) {
    let Some(mut scene) = Scene::stage(tree, |builder, _| builder) else { return };
    assert_exit(
        &scene.root(&format!("{COPIED} init --admin deploy --key /root/deploy.pub")),
        0,
        "wrote /etc/gabion/policy.toml",
    );
    let rules_before = scene.host.ruleset().unwrap();
    let before = scene.manifest(&MANAGED);

    what_is_wrong_is_found(&scene);
    the_change_is_shown(&scene);
    let transaction = it_is_applied_and_confirmed(&scene);
    what_was_promised_holds(&scene);
    a_second_apply_writes_nothing(&scene);
    let rules = without_what_moves(&scene.host.ruleset().unwrap());

    scene.reboot();
    the_filter_came_up_before_the_network(&scene.host);
    assert_eq!(without_what_moves(&scene.host.ruleset().unwrap()), rules);
    what_was_promised_holds(&scene);
    let history = json(&scene.admin("sudo -n gabion history --json"));
    assert_eq!(history["transactions"][0]["state"], "confirmed", "{history:#}");

    assert_exit(&scene.host.run(&["gabion", "rollback", &transaction, "--json"]).unwrap(), 0, "rolled-back");
    scene.assert_unchanged(&before, &MANAGED);
    assert_eq!(scene.host.ruleset().unwrap(), rules_before);
    assert_eq!(scene.root("id -un").unwrap().stdout, "root\n", "the host is as open as it was");
}

fn what_is_wrong_is_found(scene: &Scene) {
    let audit = scene.root(&format!("{COPIED} audit"));
    assert_exit(&audit, 1, "Grade F");
    for wrong in
        ["there is no account deploy", "root may log in by password", "a guessed password lets anybody in"]
    {
        assert!(audit.stdout.contains(wrong), "no {wrong:?} in\n{}", audit.stdout);
    }
    assert!(audit.stdout.contains(&format!("reachable at tcp/{SECRET}")), "{}", audit.stdout);
    assert_eq!(json(&scene.root(&format!("{COPIED} audit --json")))["grade"], "F");
}

fn the_change_is_shown(scene: &Scene) {
    let before = scene.manifest(&EVERYTHING);
    let plan = scene.root(&format!("{COPIED} plan"));
    assert_exit(&plan, 1, "+++ /etc/ssh/sshd_config.d/00-gabion.conf");
    for shown in [
        "+PermitRootLogin no",
        "+++ kernel: table inet gabion",
        "+deploy ALL=(ALL:ALL)",
        "accounts  deploy (new)",
    ] {
        assert!(plan.stdout.contains(shown), "no {shown:?} in\n{}", plan.stdout);
    }
    let plan = scene.root(&format!("{COPIED} plan --json"));
    assert_eq!(plan.status, 1);
    assert!(json(&plan)["steps"].as_array().unwrap().len() > 10);
    scene.assert_unchanged(&before, &EVERYTHING);
}

fn it_is_applied_and_confirmed(scene: &Scene) -> String {
    let applied = scene.root(&format!("{COPIED} apply --no-wait"));
    assert_exit(&applied, 0, "sudo gabion confirm");
    let timers =
        scene.host.run(&["systemctl", "list-timers", "--all", "--no-legend", "gabion-*"]).unwrap().unwrap();
    assert!(timers.stdout.contains("gabion-"), "a timer stands: {timers:?}");
    let pending = json(&scene.admin("sudo -n gabion history --json"));
    assert_eq!(pending["transactions"][0]["state"], "pending", "{pending:#}");
    let confirmed = scene.admin("sudo -n gabion confirm --json");
    assert_exit(&confirmed, 0, "confirmed");
    json(&confirmed)["transaction"].as_str().unwrap().to_owned()
}

fn what_was_promised_holds(scene: &Scene) {
    let audit = scene.admin("sudo -n gabion audit --json");
    assert_eq!(audit.status, 0, "{}", audit.stdout);
    let audit = json(&audit);
    assert_eq!(audit["findings"].as_array().unwrap().len(), 0, "{audit:#}");
    assert_eq!(audit["grade"], "A", "{audit:#}");
    let verified = scene.admin("sudo -n gabion verify --json");
    assert_eq!(verified.status, 0, "{}", verified.stdout);
    let verified = json(&verified);
    println!("MEASURED: verify: {} probes in {} ms", verified["probes"], verified["took-ms"]);
    scene.assert_only_keys_get_in();
    scene.assert_nmap_sees(&[22, WEB]);
}

fn a_second_apply_writes_nothing(scene: &Scene) {
    let before = scene.manifest(&EVERYTHING);
    // A rule that is written anew gets another handle, whatever it says.
    let handles = || {
        let dump = scene.host.net().command("nft").args(["-a", "list", "ruleset"]).output().unwrap();
        without_what_moves(&String::from_utf8(dump.stdout).unwrap())
    };
    let rules = handles();
    assert!(rules.contains("# handle"), "{rules}");
    let started = Instant::now();
    let again = scene.admin("sudo -n gabion apply");
    println!("MEASURED: an apply with nothing to do, login included: {} ms", started.elapsed().as_millis());
    assert_exit(&again, 0, "Nothing to do: this host is as its policy says.");
    assert_eq!(json(&scene.admin("sudo -n gabion apply --json"))["state"], "nothing-to-do");
    assert_exit(&scene.admin("sudo -n gabion plan"), 0, "Nothing to do");
    scene.assert_unchanged(&before, &EVERYTHING);
    assert_eq!(handles(), rules);
}

fn the_filter_came_up_before_the_network(host: &Host) {
    let since = |unit: &str| -> u64 {
        let words = ["systemctl", "show", "--value", "--property", "ActiveEnterTimestampMonotonic", unit];
        host.run(&words).unwrap().unwrap().stdout.trim().parse().unwrap()
    };
    let (recover, filter) = (since("gabion-recover.service"), since("gabion-firewall.service"));
    assert!(recover > 0 && recover <= filter, "{recover} {filter}");
    for later in ["network-pre.target", "sysinit.target", "ssh.service"] {
        assert!(filter <= since(later), "{later}");
    }
}

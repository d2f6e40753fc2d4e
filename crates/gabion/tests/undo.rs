//! What nobody confirms is undone, whatever becomes of the program, the session and the power; and what counts as a
//! confirmation. On booted hosts, over real logins.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test: its helpers unwrap, and it works on throwaway hosts"
)]

mod scene;

use lab::{Auth, Connect, HOST_V6, Tree};
use scene::{APPLY, PASSWORD, Scene};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// A host on which the change waits for its confirmation, and the session in which it was made.
fn waiting(scene: &Scene) -> lab::Running {
    let session = scene.apply_over_ssh(&format!("{APPLY} --confirm-within 10"));
    // Nothing more is looked at here: on a busy machine the deadline may be close.
    session.expect("The timer that undoes it stands, outside of this session.", SOON).unwrap();
    session.expect("Waiting for the confirmation.", SOON).unwrap();
    session
}

#[test]
fn no_answer_undoes_it_and_the_program_says_so() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    let mut session = waiting(&scene);
    session.expect("Undone: nobody confirmed it in time.", SOON).unwrap();
    session.send(b"echo code=$?\n").unwrap();
    session.expect("code=4", SOON).unwrap();
    scene.assert_undone();
}

#[test]
fn no_answer_undoes_it_on_trixie() {
    let Some(scene) = Scene::stage(Tree::trixie) else { return };
    let session = waiting(&scene);
    session.expect("Undone: nobody confirmed it in time.", SOON).unwrap();
    scene.assert_undone();
}

#[test]
fn a_terminal_closed_while_waiting_undoes_it_at_the_deadline() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    waiting(&scene).kill().unwrap();
    scene.assert_undone();
}

#[test]
fn a_terminal_closed_while_applying_undoes_it() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    let mut session = scene.apply_over_ssh(&format!("{APPLY} --confirm-within 10"));
    // The plan names the step too, above this.
    session.expect("The timer that undoes it stands", SOON).unwrap();
    session.expect(" load the packet filter", SOON).unwrap();
    session.kill().unwrap();
    scene.assert_undone();
}

#[test]
fn term_undoes_it_while_applying_at_once_and_while_waiting_at_the_deadline() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    let pause = "GABION_FAULT=pause:90:/run/paused";
    let session = scene.apply_over_ssh(&format!("{pause} {APPLY} --confirm-within 600"));
    scene.wait_for("the pause", || scene.host.read("/run/paused").is_ok());
    // A paused program holds TERM back as one at work does; it is let go by KILL, and recovery does the rest.
    assert!(scene.timer_stands(), "the timer is a unit of its own");
    scene.signal("TERM");
    assert!(scene.is_applying(), "TERM is held back until a step is done");
    scene.signal("KILL");
    drop(session);
    scene.recover();
    scene.assert_undone();

    let session = scene.apply_over_ssh(&format!("{APPLY} --confirm-within 600"));
    // The plan names the step too, above this.
    session.expect("The timer that undoes it stands", SOON).unwrap();
    session.expect(" load the packet filter", SOON).unwrap();
    scene.signal("TERM");
    session.expect("Everything is as it was before.", SOON).unwrap();
    drop(session);
    scene.assert_undone();

    let session = waiting(&scene);
    scene.signal("TERM");
    session.expect("Terminated", SOON).unwrap();
    scene.assert_undone();
}

#[test]
fn kill_while_applying_and_while_waiting_undoes_it_at_the_deadline() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    let session = scene.apply_over_ssh(&format!("GABION_FAULT=kill:120 {APPLY} --confirm-within 10"));
    session.expect("Killed", SOON).unwrap();
    scene.assert_undone();
    drop(session);

    let session = waiting(&scene);
    scene.signal("KILL");
    session.expect("Killed", SOON).unwrap();
    scene.assert_undone();
}

#[test]
fn a_reboot_while_pending_undoes_it_before_the_network_is_up() {
    let Some(mut scene) = Scene::stage(Tree::bookworm) else { return };
    let session = scene.apply_over_ssh(&format!("{APPLY} --confirm-within 3600"));
    session.expect("Waiting for the confirmation.", SOON).unwrap();
    drop(session);
    scene.host.reboot().unwrap();
    scene.assert_recovered_by_boot();
    scene.assert_undone();
}

#[test]
fn a_power_cut_while_pending_undoes_it_before_the_network_is_up() {
    let Some(mut scene) = Scene::stage(Tree::bookworm) else { return };
    let session = scene.apply_over_ssh(&format!("{APPLY} --confirm-within 3600"));
    session.expect("Waiting for the confirmation.", SOON).unwrap();
    scene.host.power_cut().unwrap();
    drop(session);
    scene.assert_recovered_by_boot();
    scene.assert_undone();
}

#[test]
fn only_a_login_that_is_newer_than_the_change_confirms_it() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    let mut older = scene.host.ssh("root", Auth::Password(PASSWORD)).session().unwrap();
    older.send(b"echo re''ady\n").unwrap();
    older.expect("ready", SOON).unwrap();
    let mut session = scene.apply_over_ssh(&format!("{APPLY} --confirm-within 600 --no-wait; echo code=$?"));
    session.expect("code=0", SOON).unwrap();
    scene.assert_applied();

    let refused = |session: &mut lab::Running, command: &str, why: &str| {
        session.send(format!("{command}; echo code=$?\n").as_bytes()).unwrap();
        let said = session.expect("code=2", SOON).unwrap();
        assert!(said.contains(why), "{command}: {said}");
        assert!(scene.is_pending(), "{command}: it still waits");
    };
    const OLD: &str = "this session began before the change was applied";
    refused(&mut session, "/root/gabion confirm", OLD);
    refused(&mut older, "/root/gabion confirm", OLD);
    refused(&mut older, "/root/gabion confirm --from-console", "this session came in over SSH");
    // What a terminal multiplexer does: its server is no child of the login's sshd any more.
    refused(
        &mut older,
        "rm -f /run/said; setsid --fork sh -c 'sleep 0.2; /root/gabion confirm >/run/said 2>&1; echo >>/run/said end'; \
         until grep -q end /run/said 2>/dev/null; do sleep 0.1; done; cat /run/said; (exit 2)",
        "it cannot be told when this session began",
    );
    refused(
        &mut older,
        "rm -f /run/said; setsid --fork sh -c 'sleep 0.2; /root/gabion confirm --from-console >/run/said 2>&1; echo \
         >>/run/said end'; until grep -q end /run/said 2>/dev/null; do sleep 0.1; done; cat /run/said; (exit 2)",
        "this session came in over SSH",
    );
    // A connection of the older login that is used again is no new login either.
    let console = scene.host.run(&["/root/gabion", "confirm"]).unwrap();
    assert_eq!(console.status, 2, "{}", console.stderr);
    assert!(console.stderr.contains("this is no SSH login"), "{}", console.stderr);

    let confirmed = scene.admin().run("sudo -n gabion confirm").unwrap().unwrap();
    assert!(confirmed.stdout.contains("Confirmed"), "{}", confirmed.stdout);
    assert!(!scene.timer_stands(), "the timer is stopped");
    scene.assert_applied();
    let again = scene.admin().run("sudo -n gabion confirm").unwrap();
    assert_eq!(again.status, 2, "{}", again.stderr);
    assert!(again.stderr.contains("nothing waits for a confirmation"), "{}", again.stderr);

    // Confirmed, it can be undone as well.
    scene.host.run(&["/root/gabion", "rollback"]).unwrap().unwrap();
    scene.assert_undone();
}

#[test]
fn the_console_confirms_what_was_applied_there_and_a_reboot_leaves_it() {
    let Some(mut scene) = Scene::stage(Tree::bookworm) else { return };
    let apply = format!("{APPLY} --confirm-within 600 --no-wait");
    scene.host.run_script(&apply).unwrap().unwrap();
    let from_ssh = scene.admin().run("sudo -n gabion confirm --from-console").unwrap();
    assert_eq!(from_ssh.status, 2, "{}", from_ssh.stderr);
    assert!(from_ssh.stderr.contains("this session came in over SSH"), "{}", from_ssh.stderr);
    scene.host.run(&["/root/gabion", "confirm", "--from-console"]).unwrap().unwrap();
    assert!(!scene.timer_stands());
    let ruleset = scene.host.ruleset().unwrap();

    scene.host.reboot().unwrap();
    scene.assert_applied();
    assert_eq!(scene::without_counters(&scene.host.ruleset().unwrap()), scene::without_counters(&ruleset));
    let outside = scene.host.outside();
    assert_eq!(outside.tcp_connect(None, HOST_V6, 22).unwrap(), Connect::Open);
    let nothing = scene.host.run_script(APPLY).unwrap().unwrap();
    assert!(nothing.stdout.contains("Nothing to do"), "{}", nothing.stdout);
}

/// Where no systemd runs, the timer is a process of its own. The host's server is stood in for by one in a world without
/// `/run/systemd`; whoever logs in to it is in that world.
#[test]
fn without_systemd_a_detached_process_that_no_signal_but_kill_ends_undoes_it() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    scene.host.run(&["systemctl", "stop", "ssh.service"]).unwrap().unwrap();
    let world = "mount -t tmpfs none /run/systemd; mkdir -p /run/sshd; /usr/sbin/sshd; exec sleep infinity";
    let world = scene.host.spawn(&[
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-ec",
        world,
    ]);
    let mut world = world.unwrap();
    scene.wait_for("the server", || scene::open(&scene.host));
    let before = scene::Moment::of(&scene.host);

    let session = scene.apply_over_ssh(&format!("{APPLY} --confirm-within 20"));
    session.expect("Waiting for the confirmation.", SOON).unwrap();
    assert!(!scene.timer_stands(), "systemd has no part in it");
    let timer = scene.host.run(&["pgrep", "-f", "__undo-timer"]).unwrap().unwrap().stdout;
    let timer = timer.trim();
    for signal in ["HUP", "TERM", "INT", "QUIT", "PIPE"] {
        scene.host.run(&["kill", &format!("-{signal}"), timer]).unwrap().unwrap();
    }
    drop(session);
    let status = scene.host.read(format!("/proc/{timer}/status")).unwrap();
    assert!(String::from_utf8_lossy(&status).contains("State:\tS"), "it waits on");

    scene.wait_for_the_undoing();
    before.assert_same(&scene::Moment::of(&scene.host), "after the undoing");
    scene.assert_nothing_left();
    scene.assert_password_login();
    scene.wait_for("its end", || !scene.host.run(&["pgrep", "-f", "__undo-timer"]).unwrap().success());
    world.kill().unwrap();
}

//! Hostile and odd hosts: nothing of others is given away, nothing is half done, and nothing is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test: its helpers unwrap, and it works on a throwaway host"
)]

mod scene;

use lab::{Output, Tree};
use scene::{GABION, Moment, Scene};

/// Applied from the console, and so without a way in over SSH.
const APPLY: &str = "/opt/gabion/gabion apply --yes --confirm-within 600 --no-wait";
const ROLLBACK: &str = "/opt/gabion/gabion rollback";

const MAKE_DEPLOY: &str = "useradd --create-home --shell /bin/bash deploy && install -d -m 0700 -o deploy -g deploy \
                           /home/deploy/.ssh";
/// A login has left a service manager of the account behind.
const REMOVE_DEPLOY: &str = "pkill -KILL -u deploy || true; userdel --force --remove deploy";

#[test]
fn odd_hosts_are_refused_or_hardened_whole_and_put_back_whole() {
    let Some(mut scene) = Scene::stage(Tree::bookworm) else { return };
    a_link_to_somebody_elses_file_is_not_read_into_the_keys(&scene);
    homes_behind_a_link_are_homes(&scene);
    a_read_only_file_system_is_no_failed_rollback(&scene);
    a_damaged_transaction_hides_no_other(&scene);
    a_killed_rehearsal_leaves_nothing(&scene);
    a_boot_undoes_though_the_installed_program_is_gone(&mut scene);
}

fn shell(scene: &Scene, script: &str) -> Output {
    scene.host.run_script(script).unwrap()
}

fn done(scene: &Scene, script: &str) -> String {
    shell(scene, script).unwrap().stdout
}

fn a_link_to_somebody_elses_file_is_not_read_into_the_keys(scene: &Scene) {
    done(scene, MAKE_DEPLOY);
    for link in ["ln", "ln -s"] {
        done(scene, &format!("{link} /etc/shadow /home/deploy/.ssh/authorized_keys"));
        let before = Moment::of(&scene.host);
        let refused = shell(scene, APPLY);
        assert_eq!(refused.status, 2, "{refused:?}");
        before.assert_same(&Moment::of(&scene.host), link);
        done(scene, "rm /home/deploy/.ssh/authorized_keys");
    }
    done(scene, REMOVE_DEPLOY);
}

fn homes_behind_a_link_are_homes(scene: &Scene) {
    done(scene, "mkdir /data && mv /home /data/home && ln -s /data/home /home");
    for prepare in ["true", MAKE_DEPLOY] {
        done(scene, prepare);
        let before = Moment::of(&scene.host);
        done(scene, APPLY);
        let audit = shell(scene, "/opt/gabion/gabion audit");
        assert_eq!(audit.status, 0, "{prepare}: {}", audit.stdout);
        done(scene, ROLLBACK);
        before.assert_same(&Moment::of(&scene.host), prepare);
    }
    done(scene, REMOVE_DEPLOY);
    done(scene, "rm /home && mv /data/home /home && rmdir /data");
}

fn a_read_only_file_system_is_no_failed_rollback(scene: &Scene) {
    let before = Moment::of(&scene.host);
    done(scene, "mount --bind /etc /etc && mount -o remount,bind,ro /etc");
    let failed = shell(scene, APPLY);
    done(scene, "umount /etc");
    assert_eq!(failed.status, 3, "{failed:?}");
    before.assert_same(&Moment::of(&scene.host), "a read-only /etc");
}

fn a_damaged_transaction_hides_no_other(scene: &Scene) {
    done(scene, APPLY);
    let old = done(scene, "ls /var/lib/gabion/transactions | head -n 1");
    let journal = format!("/var/lib/gabion/transactions/{}/journal.jsonl", old.trim());
    done(scene, &format!("cp {journal} /root/kept && sed -i '2s/.*/garbage/' {journal}"));
    let states = scene.states();
    assert_eq!(states.first().map(String::as_str), Some("damaged"), "{states:?}");
    assert!(scene.is_pending(), "{states:?}");
    let again = shell(scene, "/opt/gabion/gabion apply --yes");
    assert!(again.stderr.contains("waits for its confirmation"), "{again:?}");
    done(scene, ROLLBACK);
    let refused = shell(scene, APPLY);
    assert_eq!(refused.status, 2, "what cannot be read may be half done: {refused:?}");
    done(scene, &format!("mv /root/kept {journal}"));
}

fn a_killed_rehearsal_leaves_nothing(scene: &Scene) {
    let running = "ps -e -o args= | grep '[_]_rehearsal inside' || true";
    let mut rehearsal = scene.host.spawn(&[GABION, "rehearse"]).unwrap();
    scene.wait_for("the copy", || !done(scene, running).is_empty());
    scene.signal("KILL");
    scene.wait_for("the end of the copy", || done(scene, running).is_empty());
    rehearsal.kill().unwrap();
}

fn a_boot_undoes_though_the_installed_program_is_gone(scene: &mut Scene) {
    let before = Moment::of(&scene.host);
    done(scene, APPLY);
    done(scene, "rm /usr/local/sbin/gabion");
    scene.host.reboot().unwrap();
    assert_eq!(scene.states().last().map(String::as_str), Some("rolled-back"));
    before.assert_same(&Moment::of(&scene.host), "after the boot");
    scene.assert_password_login();
}

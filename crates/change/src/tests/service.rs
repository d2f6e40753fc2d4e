//! Switching services on an image: the names that start them, as they were and back, killed anywhere between.

use std::fs;
use std::path::Path;

use super::transaction::{WITHIN, apply, steps};
use super::tree::{self, age_directories, differences, file, link, snapshot};
use crate::action::{Action, AtBoot, Commands, ServiceState};
use crate::fault::simulated::{count, crash_at};
use crate::{Because, Error, Moment, Root, history, recover, rollback};

const UNIT: &str = "[Unit]\n\n[Service]\nType=oneshot\n\n[Install]\nWantedBy=multi-user.target net.target\nAlias=fw.service\n";

/// A service by a unit with an alias, by links of run levels, and by `OpenRC`.
fn host() -> tempfile::TempDir {
    let directory = tree::directory();
    let root = directory.path();
    file(root, "/usr/lib/systemd/system/ufw.service", UNIT.as_bytes(), 0o644);
    file(root, "/etc/systemd/system/other.service", b"[Install]\nWantedBy=multi-user.target\n", 0o644);
    file(root, "/etc/init.d/ufw", b"#!/bin/sh\n", 0o755);
    for folder in [
        "etc/systemd/system/multi-user.target.wants",
        "etc/rcS.d",
        "etc/rc2.d",
        "etc/runlevels/boot",
        "var/lib",
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    link(
        root,
        "/etc/systemd/system/multi-user.target.wants/ufw.service",
        "/usr/lib/systemd/system/ufw.service",
    );
    link(root, "/etc/systemd/system/fw.service", "/usr/lib/systemd/system/ufw.service");
    link(root, "/etc/rcS.d/S07ufw", "../init.d/ufw");
    link(root, "/etc/rc2.d/S01ufw-other", "../init.d/ufw-other");
    link(root, "/etc/runlevels/boot/ufw", "/etc/init.d/ufw");
    age_directories(root);
    directory
}

fn switch(unit: &str, from: AtBoot, to: AtBoot) -> Action {
    let state = |at_boot| ServiceState { active: false, at_boot };
    Action::SwitchService {
        unit: unit.to_owned(),
        to: state(to),
        before: state(from),
        commands: Commands::Run,
    }
}

fn is_link(root: &Path, path: &str) -> bool {
    root.join(path).symlink_metadata().is_ok_and(|found| found.is_symlink())
}

#[test]
fn a_service_is_disabled_masked_and_enabled_and_comes_back_as_it_was() {
    let directory = host();
    let tree = directory.path();
    let root = Root::at(tree).unwrap();
    let before = snapshot(tree, true);
    for to in [AtBoot::Disabled, AtBoot::Masked] {
        apply(&root, steps([switch("ufw.service", AtBoot::Enabled, to)]), WITHIN).unwrap();
        let wanted = is_link(tree, "etc/systemd/system/multi-user.target.wants/ufw.service");
        assert_eq!(wanted, to == AtBoot::Masked, "a mask leaves the links, as systemctl's does");
        assert_eq!(is_link(tree, "etc/systemd/system/ufw.service"), to == AtBoot::Masked);
        assert!(is_link(tree, "etc/rcS.d/K07ufw") && !is_link(tree, "etc/rcS.d/S07ufw"));
        assert!(is_link(tree, "etc/rc2.d/S01ufw-other"), "another's link stays");
        assert!(!is_link(tree, "etc/runlevels/boot/ufw"));
        // Once more is refused: the plan is of another moment.
        let id = crate::pending(&root).unwrap().unwrap();
        rollback(&root, &id, Because::Asked).unwrap();
        let now = snapshot(tree, true);
        assert!(now == before, "{to:?}: {:#?}", differences(&before, &now));
    }
    apply(&root, steps([switch("other.service", AtBoot::Disabled, AtBoot::Enabled)]), WITHIN).unwrap();
    assert!(is_link(tree, "etc/systemd/system/multi-user.target.wants/other.service"));
    let id = crate::pending(&root).unwrap().unwrap();
    rollback(&root, &id, Because::Asked).unwrap();
    assert!(snapshot(tree, true) == before);
}

#[test]
fn a_service_in_another_state_than_the_plan_names_is_left_alone() {
    let directory = host();
    let root = Root::at(directory.path()).unwrap();
    let before = snapshot(directory.path(), true);
    let error =
        apply(&root, steps([switch("ufw.service", AtBoot::Disabled, AtBoot::Masked)]), WITHIN).unwrap_err();
    assert!(error.to_string().contains("expected inactive, disabled, found inactive, enabled"), "{error}");
    for name in ["", "-x.service", "../x", "a b.service"] {
        let error =
            apply(&root, steps([switch(name, AtBoot::Disabled, AtBoot::Masked)]), WITHIN).unwrap_err();
        assert!(matches!(error, Error::Service { .. }), "{error}");
    }
    assert!(snapshot(directory.path(), true) == before);
}

#[test]
fn killed_anywhere_a_switched_service_is_as_before() {
    let changes = || {
        steps([
            switch("ufw.service", AtBoot::Enabled, AtBoot::Disabled),
            switch("other.service", AtBoot::Disabled, AtBoot::Masked),
            switch("ufw.service", AtBoot::Disabled, AtBoot::Enabled),
        ])
    };
    let directory = host();
    let (points, _) = count(|| apply(&Root::at(directory.path()).unwrap(), changes(), WITHIN).unwrap());
    assert!(points > 40, "{points}");
    for point in 0..points {
        let directory = host();
        let before = snapshot(directory.path(), true);
        let root = Root::at(directory.path()).unwrap();
        crash_at(point, || apply(&root, changes(), WITHIN));
        let late = Moment::now().plus_millis(3_600_000);
        crash_at(point % 13, || recover(&root, &late).unwrap());
        recover(&root, &late).unwrap();
        let now = snapshot(directory.path(), true);
        assert!(now == before, "point {point}: {:#?}", differences(&before, &now));
        assert!(history(&root).unwrap().iter().all(|past| !past.state.is_open()));
    }
}

//! What counts as a confirmation, and what does not.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use host::facts::{Via, WayIn};

use super::transaction::{WITHIN, steps, write};
use super::tree;
use crate::action::Before;
use crate::engine::{About, Confirm, Transaction};
use crate::{Confirmation, Moment, Refusal, Root, State, confirm, history, pending};

fn ssh(started_ticks: Option<u64>, session_pid: u32) -> WayIn {
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let via = Via::Ssh { peer, peer_port: 50000, local: peer, local_port: 22 };
    WayIn { via, user: Some("deploy".to_owned()), started_ticks, session_pid: Some(session_pid) }
}

fn console() -> WayIn {
    WayIn { via: Via::Console, user: None, started_ticks: Some(1), session_pid: Some(1) }
}

/// A machine with a transaction that waits, applied from session 100.
fn waiting() -> (tempfile::TempDir, Root) {
    let directory = tree::directory();
    fs::create_dir_all(directory.path().join("etc")).unwrap();
    let root = Root::at(directory.path()).unwrap();
    let about = About { way_in: Some(ssh(Some(5), 100)), ..About::default() };
    let transaction =
        Transaction::begin(&root, steps([write("/etc/a", "x", Before::Absent)]), &about).unwrap();
    transaction.apply(WITHIN, &mut |_| {}).unwrap();
    (directory, root)
}

#[test]
fn only_a_login_that_is_newer_than_the_change_counts() {
    let (_directory, root) = waiting();
    let id = pending(&root).unwrap().unwrap();
    let applied = Moment::now().ticks();
    let refused = [
        (ssh(Some(5), 100), false, Refusal::OldSession),
        (ssh(Some(6), 101), false, Refusal::OldSession),
        (ssh(None, 101), false, Refusal::UnknownSession),
        (ssh(Some(applied + 100), 101), true, Refusal::NotAtConsole),
        (console(), false, Refusal::NotOverSsh),
    ];
    for (evidence, from_console, refusal) in refused {
        let confirmation = confirm(&root, &id, &evidence, from_console).unwrap();
        assert_eq!(confirmation, Confirmation::Refused(refusal));
        assert!(pending(&root).unwrap().is_some(), "it waits still");
    }
    let newer = ssh(Some(applied + 100), 101);
    assert_eq!(confirm(&root, &id, &newer, false).unwrap(), Confirmation::Confirmed);
    assert_eq!(history(&root).unwrap()[0].state, State::Confirmed { finished: true });
    let again = confirm(&root, &id, &newer, false).unwrap();
    assert_eq!(again, Confirmation::Refused(Refusal::NotPending { state: "confirmed".to_owned() }));
}

#[test]
fn a_session_number_that_was_given_out_again_is_another_session() {
    let (_directory, root) = waiting();
    let id = pending(&root).unwrap().unwrap();
    let newer = ssh(Some(Moment::now().ticks() + 100), 100);
    assert_eq!(confirm(&root, &id, &newer, false).unwrap(), Confirmation::Confirmed);
}

#[test]
fn the_console_counts_where_it_is_said() {
    let (_directory, root) = waiting();
    let id = pending(&root).unwrap().unwrap();
    assert_eq!(confirm(&root, &id, &console(), true).unwrap(), Confirmation::Confirmed);
}

#[test]
fn after_the_deadline_nothing_counts() {
    let directory = tree::directory();
    fs::create_dir_all(directory.path().join("etc")).unwrap();
    let root = Root::at(directory.path()).unwrap();
    let plan = steps([write("/etc/a", "x", Before::Absent)]);
    let transaction = Transaction::begin(&root, plan, &About::default()).unwrap();
    transaction.apply(Confirm::Within(std::time::Duration::ZERO), &mut |_| {}).unwrap();
    let id = pending(&root).unwrap().unwrap();
    let confirmation = confirm(&root, &id, &console(), true).unwrap();
    assert!(matches!(confirmation, Confirmation::Refused(Refusal::TooLate { .. })), "{confirmation:?}");
}

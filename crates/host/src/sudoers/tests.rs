//! The evaluator against a table of sudoers texts.

use proptest::prelude::*;

use crate::facts::SudoListing;

use super::{Machine, Place, Policy, Subject, evaluate, lines};

/// Takes in a text as one file.
fn policy(text: &str) -> Policy {
    let mut policy = Policy::default();
    for line in lines::split(text) {
        let place = Place { file: "/etc/sudoers".into(), line: line.number };
        match line.content {
            lines::Content::Text(text) => policy.add_line(place, &text),
            lines::Content::Include(_) | lines::Content::IncludeDirectory(_) => {}
        }
    }
    policy
}

fn listing(text: &str) -> Result<SudoListing, String> {
    let groups = vec![("staff".to_owned(), 50), ("sudo".to_owned(), 27), ("domain users".to_owned(), 600)];
    let bob = Subject { name: "bob".to_owned(), uid: 1000, groups };
    let root = Subject { name: "root".to_owned(), uid: 0, groups: vec![("root".to_owned(), 0)] };
    let machine = Machine { hostname: "Web1.example.org".to_owned() };
    evaluate(&policy(text), &bob, &root, &machine)
}

/// `no`, `some`, `all` or `all without password`, with the line that decides.
fn says(text: &str) -> String {
    match listing(text) {
        Err(why) => format!("unknown: {why}"),
        Ok(SudoListing { all, no_password, any, decided_by, exceptions, .. }) => {
            let line = decided_by.and_then(|place| place.rsplit_once(':').map(|(_, line)| line.to_owned()));
            match (all, no_password, any, line) {
                (true, true, _, Some(line)) => format!("all without password by {line}"),
                (true, false, _, Some(line)) => format!("all by {line}"),
                (false, _, true, _) if exceptions.is_empty() => "some".to_owned(),
                (false, _, true, _) => format!("all but {}", exceptions.join(" ")),
                (false, _, false, _) => "no".to_owned(),
                (true, _, _, None) => "all by nothing".to_owned(),
            }
        }
    }
}

#[test]
fn rules_grant_what_the_manual_says() {
    let table = [
        // Who.
        ("bob ALL=(ALL:ALL) ALL", "all by 1"),
        ("%sudo ALL=(ALL:ALL) ALL", "all by 1"),
        ("%#27 ALL=(ALL) ALL", "all by 1"),
        ("#1000 ALL=(ALL) ALL", "all by 1"),
        ("%domain\\ users ALL=(ALL) ALL", "all by 1"),
        ("\"%domain users\" ALL=(ALL) ALL", "all by 1"),
        ("alice, bob ALL=(ALL) ALL", "all by 1"),
        ("ALL, !bob ALL=(ALL) ALL", "no"),
        ("!bob, ALL ALL=(ALL) ALL", "all by 1"),
        ("ALL, !%sudo ALL=(ALL) ALL", "no"),
        ("alice ALL=(ALL) ALL", "no"),
        ("%wheel ALL=(ALL) ALL", "no"),
        ("#%sudo ALL=(ALL) ALL", "no"),
        ("User_Alias ADMINS = alice, bob\nADMINS ALL = (ALL) ALL", "all by 2"),
        ("ADMINS ALL = (ALL) ALL\nUser_Alias ADMINS = alice, !bob : OTHERS = bob", "no"),
        ("User_Alias A = B : B = bob\nA ALL=ALL", "all by 2"),
        ("BOB ALL=ALL", "no"),
        // Where.
        ("bob web1=(ALL) ALL", "all by 1"),
        ("bob WEB1.EXAMPLE.ORG=(ALL) ALL", "all by 1"),
        ("bob web?=(ALL) ALL", "all by 1"),
        ("bob db1=(ALL) ALL", "no"),
        ("bob ALL,!web1=(ALL) ALL", "no"),
        ("Host_Alias WEB = web1, web2\nbob WEB=(ALL) ALL", "all by 2"),
        ("bob db1=(ALL) /bin/ls : ALL=(ALL) ALL", "all by 1"),
        // As whom.
        ("bob ALL=ALL", "all by 1"),
        ("bob ALL=(root) ALL", "all by 1"),
        ("bob ALL=(#0) ALL", "all by 1"),
        ("bob ALL=(%root) ALL", "all by 1"),
        ("bob ALL=(www-data) ALL", "some"),
        ("bob ALL=(ALL,!root) ALL", "some"),
        ("bob ALL=(:adm) ALL", "some"),
        ("bob ALL=() ALL", "some"),
        ("Runas_Alias OPS = root, www-data\nbob ALL=(OPS) ALL", "all by 2"),
        ("Defaults runas_default=www-data\nbob ALL=ALL", "some"),
        // What.
        ("bob ALL=(ALL) /usr/bin/ls, /usr/bin/id", "some"),
        ("bob ALL=(ALL) ALL, !/usr/bin/su", "all but /usr/bin/su"),
        ("bob ALL=(ALL) !/usr/bin/su, ALL", "all by 1"),
        ("bob ALL=(ALL) ALL\nbob ALL=(ALL) !ALL", "no"),
        ("bob ALL=(ALL) !ALL\n%sudo ALL=(ALL) ALL", "all by 2"),
        ("Cmnd_Alias SHELLS = /bin/sh, /bin/bash\nbob ALL=(ALL) ALL, !SHELLS", "all but /bin/sh /bin/bash"),
        ("Cmnd_Alias ANY = ALL\nbob ALL=(ALL) ANY", "all by 2"),
        ("bob ALL=(ALL) sudoedit /etc/motd", "some"),
        ("bob ALL=(ALL) sha256:00aa /bin/ls", "some"),
        ("bob ALL=(ALL) /bin/date -s \\=1\\,2, ALL", "all by 1"),
        ("bob ALL=(www-data) /bin/ls, (root) ALL", "all by 1"),
        // Tags, and what inherits them.
        ("bob ALL=(ALL) NOPASSWD: ALL", "all without password by 1"),
        ("bob ALL=(ALL) NOPASSWD:ALL", "all without password by 1"),
        ("bob ALL=(ALL) NOPASSWD: SETENV: ALL", "all without password by 1"),
        ("bob ALL=(ALL) NOPASSWD: /bin/ls, PASSWD: ALL", "all by 1"),
        ("bob ALL=(ALL) NOPASSWD: /bin/ls, ALL", "all without password by 1"),
        ("bob ALL=(ALL) NOEXEC: CWD=/tmp ALL", "all by 1"),
        // The last one wins.
        ("%sudo ALL=(ALL) NOPASSWD: ALL\nbob ALL=(ALL) ALL", "all by 2"),
        ("bob ALL=(ALL) ALL\n%sudo ALL=(ALL) NOPASSWD: ALL", "all without password by 2"),
        // Defaults.
        ("Defaults !authenticate\nbob ALL=ALL", "all without password by 2"),
        ("Defaults:bob !authenticate\nbob ALL=ALL", "all without password by 2"),
        ("Defaults:alice !authenticate\nbob ALL=ALL", "all by 2"),
        ("Defaults:%sudo !authenticate\nbob ALL=PASSWD: ALL", "all by 2"),
        ("Defaults@web1 !authenticate\nbob ALL=ALL", "all without password by 2"),
        ("Defaults>root !authenticate\nbob ALL=ALL", "all without password by 2"),
        ("Defaults!/bin/ls !authenticate\nbob ALL=ALL", "all by 2"),
        ("Defaults exempt_group=staff\nbob ALL=ALL", "all without password by 2"),
        (
            "Defaults env_reset, mail_badpass, secure_path=\"/a:/b\"\nDefaults env_keep += \"A B\"\nbob ALL=ALL",
            "all by 3",
        ),
        // Lines that go on.
        ("bob ALL = \\\n  (ALL) \\\n  NOPASSWD: ALL # yes", "all without password by 1"),
        ("", "no"),
    ];
    let wrong: Vec<_> = table
        .iter()
        .filter(|(text, expected)| says(text) != *expected)
        .map(|(text, _)| (text, says(text)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_cannot_be_decided_is_unknown_and_says_why() {
    for (text, why) in [
        ("bob ALL=(ALL) ALL\nalice ALL", "/etc/sudoers:2"),
        ("bob ALL=(ALL) ALL extra, ls", "expected a command"),
        ("+admins ALL=(ALL) ALL", "netgroup admins"),
        ("%:ad ALL=(ALL) ALL", "group ad of a plugin"),
        ("bob 192.0.2.0/24=(ALL) ALL", "address 192.0.2.0/24"),
        ("bob 2001:db8::/32=(ALL) ALL", "address 2001:db8::/32"),
        ("bob ALL=(ALL) NOTAFTER=20300101000000Z ALL", "for a time only"),
        ("User_Alias A = B : B = A\nA ALL=ALL", "leads back to itself"),
        ("User_Alias A = bob\nUser_Alias A = alice\nA ALL=ALL", "defined twice"),
        ("bob ALL=(\"x) ALL", "not closed"),
    ] {
        let said = says(text);
        assert!(said.starts_with("unknown: ") && said.contains(why), "{text}: {said}");
    }
}

#[test]
fn every_rule_without_password_is_named_even_for_one_command() {
    let listing = listing("bob ALL=(ALL) ALL\nbob ALL=(www-data) NOPASSWD: /bin/ls, /bin/id\n").unwrap();
    assert!(listing.all && !listing.no_password);
    assert_eq!(listing.no_password_rules, ["/etc/sudoers:2"]);
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,200}") {
        let _ = listing(&text);
    }

    #[test]
    fn no_likely_text_panics(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "bob", "ALL", "=", "(", ")", ":", ",", "!", "%sudo", "#1000", "NOPASSWD:", "/bin/ls", "\\", "\n",
                "Defaults", "User_Alias", "A", "Cmnd_Alias", "\"", "+=", "sha256:aa", "#include /x", "é", " ",
            ]),
            0..30,
        )
    ) {
        let _ = listing(&words.join(" "));
        let _ = listing(&words.concat());
        let _ = super::parse_listing(&words.concat());
    }
}

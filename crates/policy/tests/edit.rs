//! A policy's text changed in place: what is meant changes, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::path::Path;

use policy::edit::{EditError, Entry, Section, Setting, insert, remove, replace, set};
use policy::{Allow, Backend, Firewall, Forward, Ipv6, LogRate, Policy, Refusal, Rule, RuleFamily};
use proptest::prelude::*;
use proptest::sample::select;

fn parse(text: &str) -> Policy {
    let mut policy =
        policy::parse(text, Path::new("policy.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"));
    policy.firewall.allow.iter_mut().for_each(|allow| allow.line = 0);
    policy.firewall.forward.iter_mut().for_each(|forward| forward.line = 0);
    policy.firewall.rule.iter_mut().for_each(|rule| rule.line = 0);
    policy
}

fn service(name: &str) -> Allow {
    Allow { service: vec![name.to_owned()], ..Allow::default() }
}

fn rule(text: &str) -> Rule {
    Rule { chain: "input".to_owned(), rule: text.to_owned(), ..Rule::default() }
}

const FILE: &str = "\
# The host of the shop.

[firewall]
# Nobody needs to hear of it.
inbound = \"drop\"   # quietly
#ping = true

# For the office.
# Ask Ann before you change it.
[[firewall.allow]]
service = \"ssh\"
# one an hour would do
new-per-minute = 30 # or 60
from = [
    \"192.0.2.0/24\", # the office
    \"198.51.100.7\",
]

[[firewall.allow]]
service = [\"http\", \"https\"]
# attached to the web

# Standing alone.

# The bottom.
";

#[test]
fn an_entry_goes_with_the_comments_that_belong_to_it() {
    let text = remove(FILE, Section::Allow, 0).unwrap();
    let begin = FILE.find("\n# For the office").unwrap();
    let end = FILE.find("\n[[firewall.allow]]\nservice = [").unwrap();
    assert_eq!(text, format!("{}{}", &FILE[..begin], &FILE[end..]));
    let text = remove(FILE, Section::Allow, 1).unwrap();
    let begin = FILE.find("\n[[firewall.allow]]\nservice = [").unwrap();
    let end = FILE.find("\n# Standing alone").unwrap();
    assert_eq!(text, format!("{}{}", &FILE[..begin], &FILE[end..]));
}

#[test]
fn an_entry_comes_before_the_one_whose_number_it_takes() {
    let new = Entry::Allow(Allow { port: vec!["tcp/8080".parse().unwrap()], ..Allow::default() });
    let block = "[[firewall.allow]]\nport = \"tcp/8080\"\n";
    let text = insert(FILE, 0, &new).unwrap();
    let at = FILE.find("# For the office").unwrap();
    assert_eq!(text, format!("{}{block}\n{}", &FILE[..at], &FILE[at..]));
    let text = insert(FILE, 2, &new).unwrap();
    let at = FILE.find("\n# Standing alone").unwrap();
    assert_eq!(text, format!("{}\n{block}{}", &FILE[..at], &FILE[at..]));
    let text = insert(FILE, 0, &Entry::Rule(rule("-s 203.0.113.9 -j DROP"))).unwrap();
    let at = FILE.find("# For the office").unwrap();
    let block = "[[firewall.rule]]\nchain = \"input\"\nrule = \"-s 203.0.113.9 -j DROP\"\n\n";
    assert_eq!(text, format!("{}{block}{}", &FILE[..at], &FILE[at..]));
}

#[test]
fn what_an_entry_still_says_stays_as_it_is_written() {
    let mut allow = parse(FILE).firewall.allow[0].clone();
    allow.new_per_minute = Some(60);
    allow.comment = Some("the office".to_owned());
    let text = replace(FILE, 0, &Entry::Allow(allow)).unwrap();
    let wanted = FILE
        .replace("new-per-minute = 30 #", "new-per-minute = 60 #")
        .replace("7\",\n]\n", "7\",\n]\ncomment = \"the office\"\n");
    assert_eq!(text, wanted);
    let mut allow = parse(FILE).firewall.allow[0].clone();
    allow.from.clear();
    let text = replace(FILE, 0, &Entry::Allow(allow)).unwrap();
    let (begin, end) =
        (FILE.find("from = [").unwrap(), FILE.find("\n[[firewall.allow]]\nservice = [").unwrap());
    assert_eq!(text, format!("{}{}", &FILE[..begin], &FILE[end..]));
}

#[test]
fn a_setting_takes_the_place_of_its_default() {
    let text = set(FILE, Setting::Ping(false)).unwrap();
    assert_eq!(text, FILE.replace("#ping = true", "ping = false"));
    let text = set(FILE, Setting::Inbound(Refusal::Reject)).unwrap();
    assert_eq!(text, FILE.replace("inbound = \"drop\"   #", "inbound = \"reject\"   #"));
    let text = set(FILE, Setting::Backend(Backend::Iptables)).unwrap();
    assert_eq!(text, FILE.replace("# quietly\n", "# quietly\nbackend = \"iptables\"\n"));
    assert_eq!(set("", Setting::Exclusive(false)).unwrap(), "[firewall]\nexclusive = false\n");
    let bare = "[[firewall.allow]]\nservice = \"ssh\"\n";
    let text = set(bare, Setting::Log(LogRate::Off)).unwrap();
    assert_eq!(text, format!("[firewall]\nlog = \"off\"\n\n{bare}"));
}

#[test]
fn the_default_entry_is_written_out_before_another_joins_it() {
    let http = Entry::Allow(service("http"));
    let wanted = "[[firewall.allow]]\nservice = \"ssh\"\n\n[[firewall.allow]]\nservice = \"http\"\n";
    assert_eq!(insert("", 1, &http).unwrap(), wanted);
    assert_eq!(parse(&insert("[ssh]\nroot-login = false", 0, &http).unwrap()).firewall.allow.len(), 2);
    assert_eq!(remove("", Section::Allow, 0).unwrap(), "[firewall]\nallow = []\n");
    let none = remove("[[firewall.allow]]\nservice = \"ssh\"\n", Section::Allow, 0).unwrap();
    assert_eq!(parse(&none).firewall.allow, []);
    assert_eq!(parse(&insert(&none, 0, &http).unwrap()).firewall.allow, [service("http")]);
}

#[test]
fn an_entry_that_is_not_there_or_no_entry_is_refused() {
    let error = remove(FILE, Section::Allow, 2).unwrap_err();
    assert_eq!(error.to_string(), "there is no entry 3 of [[firewall.allow]]: there are 2");
    assert!(matches!(insert(FILE, 4, &Entry::Allow(service("http"))), Err(EditError::NoEntry { .. })));
    let error = insert(FILE, 0, &Entry::Allow(service("gopher"))).unwrap_err();
    assert!(matches!(&error, EditError::After(policy) if policy.problems[0].message.contains("gopher")));
    assert!(matches!(set("[firewall", Setting::Ping(true)), Err(EditError::Before(_))));
}

const FILES: &[&str] = &[
    "",
    FILE,
    "firewall = { ping = false }\n",
    "firewall = {}\n[ssh]\n",
    "firewall.ping = false # no\nfirewall.log = 'off'\n\n[ssh]\nroot-login = true\n",
    "[firewall]\nallow = [{ service = \"ssh\" }, # first\n  { port = [\"tcp/1\", 'udp/2'] },]\nrule = []\n# end\n",
    "[firewall]\nallow = []\n\n[[admin]]\nname = \"ann\"",
    "[[firewall.rule]] # why\nchain = 'input'\nrule = '''-j DROP'''\n# tail\n[[firewall.forward]]\n  in = \"eth0\"\n\n\n[ssh]\n# in between\n[[firewall.rule]]\nchain = \"output\"\nrule = \"-j ACCEPT\"\nactive = false\n[firewall]\n",
    "\n\n# only words\n",
    "[[firewall.allow]]\r\nservice = \"ssh\"\r\n\r\n# two\r\n[[firewall.allow]]\r\nservice = \"http\"",
];

#[derive(Debug, Clone)]
enum Change {
    Insert(usize, Entry),
    Replace(usize, Entry),
    Remove(usize, Section),
    Set(Setting),
}

fn entry() -> impl Strategy<Value = Entry> {
    let comment = || proptest::option::of(select(vec!["a", "say \"b\"", "#"]).prop_map(str::to_owned));
    let net = select(vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()]);
    let from = move || prop::collection::vec(net.clone(), 0..3);
    let allow = (select(vec!["ssh", "http", "dns"]), from(), proptest::option::of(1_u32..9), comment());
    let allow = allow.prop_map(|(name, from, new_per_minute, comment)| {
        Entry::Allow(Allow { from, new_per_minute, comment, ..service(name) })
    });
    let forward = (select(vec!["eth0", "docker*"]), from(), comment()).prop_map(|(input, to, comment)| {
        Entry::Forward(Forward { input: vec![input.to_owned()], to, comment, ..Forward::default() })
    });
    let texts = select(vec!["-p tcp --dport 25 -j DROP", "-m comment --comment \"a b\" -j ACCEPT"]);
    let family = proptest::option::of(select(vec![RuleFamily::Both, RuleFamily::Ipv4]));
    let rule = (texts, family, comment(), any::<bool>()).prop_map(|(text, family, comment, active)| {
        Entry::Rule(Rule { family, comment, active, ..rule(text) })
    });
    prop_oneof![allow, forward, rule]
}

fn change() -> impl Strategy<Value = Change> {
    let setting = prop_oneof![
        select(vec![Refusal::Reject, Refusal::Drop]).prop_map(Setting::Inbound),
        select(vec![Refusal::Reject, Refusal::Drop]).prop_map(Setting::Forwarded),
        any::<bool>().prop_map(Setting::Ping),
        Just(Setting::Ipv6(Ipv6::Reject)),
        (1_u32..9).prop_map(|count| Setting::Log(LogRate::PerHour(count))),
        any::<bool>().prop_map(Setting::Exclusive),
        Just(Setting::Backend(Backend::Nftables)),
    ];
    let section = select(vec![Section::Allow, Section::Forward, Section::Rule]);
    prop_oneof![
        3 => (0_usize..4, entry()).prop_map(|(index, entry)| Change::Insert(index, entry)),
        2 => (0_usize..4, entry()).prop_map(|(index, entry)| Change::Replace(index, entry)),
        2 => (0_usize..4, section).prop_map(|(index, section)| Change::Remove(index, section)),
        2 => setting.prop_map(Change::Set),
    ]
}

fn put(firewall: &mut Firewall, index: usize, entry: &Entry) {
    match entry {
        Entry::Allow(allow) => firewall.allow.insert(index, allow.clone()),
        Entry::Forward(forward) => firewall.forward.insert(index, forward.clone()),
        Entry::Rule(rule) => firewall.rule.insert(index, rule.clone()),
    }
}

fn take(firewall: &mut Firewall, section: Section, index: usize) {
    match section {
        Section::Allow => drop(firewall.allow.remove(index)),
        Section::Forward => drop(firewall.forward.remove(index)),
        Section::Rule => drop(firewall.rule.remove(index)),
    }
}

fn count(firewall: &Firewall, section: Section) -> usize {
    match section {
        Section::Allow => firewall.allow.len(),
        Section::Forward => firewall.forward.len(),
        Section::Rule => firewall.rule.len(),
    }
}

/// What a change does to a policy; `None` where it asks for an entry that is not there.
fn meant(policy: &Policy, change: &Change) -> Option<Policy> {
    let mut wanted = policy.clone();
    let firewall = &mut wanted.firewall;
    match change {
        Change::Insert(index, entry) => {
            (*index <= count(firewall, entry.section())).then(|| put(firewall, *index, entry))?;
        }
        Change::Replace(index, entry) => {
            (*index < count(firewall, entry.section())).then(|| take(firewall, entry.section(), *index))?;
            put(firewall, *index, entry);
        }
        Change::Remove(index, section) => {
            (*index < count(firewall, *section)).then(|| take(firewall, *section, *index))?;
        }
        Change::Set(setting) => match *setting {
            Setting::Inbound(refusal) => firewall.inbound = refusal,
            Setting::Forwarded(refusal) => firewall.forwarded = refusal,
            Setting::Ping(on) => firewall.ping = on,
            Setting::Ipv6(ipv6) => firewall.ipv6 = ipv6,
            Setting::Log(rate) => firewall.log = rate,
            Setting::Exclusive(on) => firewall.exclusive = on,
            Setting::Backend(backend) => firewall.backend = backend,
        },
    }
    Some(wanted)
}

fn apply(text: &str, change: &Change) -> Result<String, EditError> {
    match change {
        Change::Insert(index, entry) => insert(text, *index, entry),
        Change::Replace(index, entry) => replace(text, *index, entry),
        Change::Remove(index, section) => remove(text, *section, *index),
        Change::Set(setting) => set(text, *setting),
    }
}

/// How many bytes the texts begin and end with in common.
fn in_common(a: &str, b: &str) -> (usize, usize) {
    let same = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let begin = same(a.as_bytes(), b.as_bytes());
    let reversed = |text: &str| text[begin.min(text.len())..].bytes().rev().collect::<Vec<u8>>();
    (begin, same(&reversed(a), &reversed(b)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_change_means_what_it_says_and_touches_nothing_else(
        file in select(FILES.to_vec()), changes in prop::collection::vec(change(), 1..8),
    ) {
        let mut text = file.to_owned();
        for change in changes {
            let Some(wanted) = meant(&parse(&text), &change) else {
                let is_refused = matches!(apply(&text, &change), Err(EditError::NoEntry { .. }));
                prop_assert!(is_refused, "{change:?}\n{text}");
                continue;
            };
            let edited = apply(&text, &change).map_err(|error| {
                TestCaseError::fail(format!("{change:?}: {error}\n{text}"))
            })?;
            prop_assert_eq!(&parse(&edited), &wanted, "{:?}\n{}\n---\n{}", change, text, edited);
            let (begin, end) = in_common(&text, &edited);
            let gone = &text[begin..text.len() - end];
            let come = &edited[begin..edited.len() - end];
            match change {
                // One piece comes, and nothing goes but perhaps a default or an empty list.
                Change::Insert(..) => prop_assert!(gone.trim().is_empty(), "{gone:?} went for {come:?}\n{text}"),
                Change::Set(_) => {
                    prop_assert!(gone.lines().count() <= 1 && come.trim_end().lines().count() <= 4,
                        "{gone:?} went for {come:?}\n{text}");
                }
                Change::Replace(..) => {
                    prop_assert!(gone.matches("[[").count() <= 1, "{gone:?} went for {come:?}\n{text}");
                }
                Change::Remove(..) => {
                    let is_list = come.is_empty() || come.contains("allow = []");
                    prop_assert!(is_list || come.len() < gone.len(), "{gone:?} went for {come:?}\n{text}");
                    prop_assert!(gone.matches("\n[[").count() <= 1, "{gone:?} went for {come:?}\n{text}");
                    prop_assert!(!gone.contains("Standing alone"), "{gone:?} went for {come:?}\n{text}");
                }
            }
            if !file.contains('\r') || text.contains("\r\n") {
                prop_assert_eq!(edited.matches("\r\n").count(), if text.contains("\r\n") {
                    edited.matches('\n').count()
                } else {
                    0
                });
            }
            text = edited;
        }
    }
}

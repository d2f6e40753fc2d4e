//! What is read how, and what is refused with which reason.

use iptables_syntax::{
    AddressSpec, Command, Family, Line, Match, Mode, ParsedCommand, Rule, SyntaxError, Target, check,
    parse_command, parse_rule, parse_rules, parse_save,
};

fn rule(text: &str) -> Rule {
    parse_rule(text, Family::Ipv4, Mode::Strict).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn printed(text: &str) -> String {
    rule(text).to_string()
}

fn refused(text: &str) -> SyntaxError {
    match parse_rule(text, Family::Ipv4, Mode::Strict) {
        Ok(rule) => panic!("{text} is accepted as {rule}"),
        Err(error) => error,
    }
}

fn command(text: &str) -> ParsedCommand {
    parse_command(text, Family::Ipv4, Mode::Strict).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_guide_s_spelling_is_printed_as_iptables_save_prints_it() {
    for (written, expected) in [
        ("-p tcp --dport 22 -j ACCEPT", "-p tcp -m tcp --dport 22 -j ACCEPT"),
        ("-j ACCEPT -p tcp --dport=ssh", "-p tcp -m tcp --dport 22 -j ACCEPT"),
        ("-ptcp --destination-port 80 -jACCEPT", "-p tcp -m tcp --dport 80 -j ACCEPT"),
        ("--protocol udp --source 10/8 --jump DROP", "-s 10.0.0.0/8 -p udp -j DROP"),
        ("-s 0.0.0.0/0 -i + -p all -j DROP", "-j DROP"),
        ("-m state --state ESTABLISHED,RELATED -j ACCEPT", "-m state --state RELATED,ESTABLISHED -j ACCEPT"),
        (
            "-p icmp --icmp-type echo-request -m limit --limit 2/second",
            "-p icmp -m icmp --icmp-type 8 -m limit --limit 2/sec",
        ),
        (
            "-p tcp --dport 80 -j DNAT --to 10.0.0.1:8080",
            "-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8080",
        ),
        (
            "-p tcp --syn -m connlimit --connlimit-above 5 -j REJECT",
            "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m connlimit --connlimit-above 5 --connlimit-mask 32 --connlimit-saddr -j REJECT --reject-with icmp-port-unreachable",
        ),
        ("-m comment --comment 'it is \"so\"'", "-m comment --comment \"it is \\\"so\\\"\""),
    ] {
        assert_eq!(printed(written), expected, "{written}");
    }
}

#[test]
fn a_command_says_chain_number_table_and_family() {
    let insert = command("iptables -I INPUT 9 -p tcp --dport 8080 -j ACCEPT");
    assert_eq!(insert.command, Command::Insert { chain: "INPUT".into(), number: 9 });
    assert_eq!(insert.rules.len(), 1);
    let other = command("/usr/sbin/ip6tables -t nat -R PREROUTING 2 -s 2001:db8::/32 -j ACCEPT");
    assert_eq!((other.family, other.table.as_deref()), (Family::Ipv6, Some("nat")));
    assert_eq!(command("-D INPUT 3").command, Command::DeleteNumber { chain: "INPUT".into(), number: 3 });
    assert_eq!(command("-D INPUT -j DROP").command, Command::Delete { chain: "INPUT".into() });
    assert_eq!(command("-F").command, Command::Flush { chain: None });
    assert_eq!(command("-Z INPUT 2").command.to_string(), "-Z INPUT 2");
    assert_eq!(command("-E old new").command.to_string(), "-E old new");
    assert_eq!(command("-P FORWARD DROP").command.to_string(), "-P FORWARD DROP");
    assert_eq!(command("-w 5 -N web").command.to_string(), "-N web");
    for text in [
        "-I INPUT 0 -j DROP",
        "-R INPUT -j DROP",
        "-P INPUT REJECT",
        "-A INPUT -D INPUT",
        "-L",
        "-p tcp -j DROP",
        "-F -j DROP",
    ] {
        assert!(parse_command(text, Family::Ipv4, Mode::Strict).is_err(), "{text}");
    }
}

#[test]
fn a_list_of_addresses_makes_a_rule_for_each_pair() {
    let rules =
        parse_rules("-s 10.0.0.1,10.0.0.2 -d 192.0.2.1,192.0.2.0/24 -j DROP", Family::Ipv4, Mode::Strict);
    let rules: Vec<_> = rules.expect("a list").iter().map(ToString::to_string).collect();
    assert_eq!(
        rules,
        [
            "-s 10.0.0.1/32 -d 192.0.2.1/32 -j DROP",
            "-s 10.0.0.1/32 -d 192.0.2.0/24 -j DROP",
            "-s 10.0.0.2/32 -d 192.0.2.1/32 -j DROP",
            "-s 10.0.0.2/32 -d 192.0.2.0/24 -j DROP",
        ]
    );
    refused("-s 10.0.0.1,10.0.0.2 -j DROP");
    refused("! -s 10.0.0.1,10.0.0.2 -j DROP");
    let text = "*filter\n-A INPUT -s 10.0.0.1,10.0.0.2 -j DROP\nCOMMIT\n";
    let (save, _) = parse_save(text.as_bytes(), Family::Ipv4, Mode::Strict).expect("a dump");
    let line = save.rules().next().expect("a line");
    assert_eq!(line.rules().count(), 2);
    assert_eq!(line.to_string(), "-A INPUT -s 10.0.0.1/32 -j DROP\n-A INPUT -s 10.0.0.2/32 -j DROP");
}

#[test]
fn an_error_points_at_the_word_and_says_what_was_expected() {
    for (text, column, length, part) in [
        ("-p tcp --dport 70000 -j ACCEPT", 16, 5, "a port from 0 to 65535"),
        ("-p tcp --dprot 22", 8, 7, "no extension of this rule has an option --dprot"),
        ("-s 10.0.0.300 -j DROP", 4, 10, "expected an IPv4 address"),
        ("--dport 22 -j ACCEPT", 1, 7, "no extension of this rule has an option --dport"),
        ("-p tcp -m multiport -j ACCEPT", 11, 9, "multiport needs an option such as --"),
        ("-m conntrack --ctstate NEU -j ACCEPT", 24, 3, "RELATED"),
        ("-m comment", 4, 7, "comment needs --comment"),
        ("-p tcp ! -j DROP", 8, 1, "\"!\""),
        ("-m ttl --ttl-eq 1 --ttl-gt 2", 19, 8, "excludes --ttl-eq"),
        ("-m limit --limit 5/fortnight", 18, 11, "5/minute"),
        ("-m comment --comment \"no end", 29, 1, "closing quote"),
        ("-A INPUT -j DROP", 1, 2, "without a command"),
    ] {
        let error = refused(text);
        assert!(error.message().contains(part), "{text}: {error}");
        if !part.contains("closing") {
            assert_eq!(
                (error.line(), error.column(), error.length()),
                (1, column, length),
                "{text}: {error}"
            );
        }
        assert_eq!(error.source_line(), text);
    }
}

#[test]
fn an_unknown_extension_is_kept_word_for_word() {
    for text in [
        "-p tcp -m geoip --src-cc DE,FR -m tcp --dport 22 -j ACCEPT",
        "-m geoip ! --src-cc DE -s 192.0.2.0/24 -j DROP",
        "-p udp -j TPROXY --on-port 50080 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1",
        "-m owner --pid-owner 5 -j ACCEPT",
        "-j CONNMARK --save-mark --left-shift-mark 2",
        "-j TRACE",
        "-p esp --espspi 500 -j ACCEPT",
    ] {
        let rule = rule(text);
        let known = |extension: &Match| !matches!(extension, Match::Unknown(_));
        let unknown = rule.matches.iter().any(|extension| !known(extension))
            || matches!(rule.target, Some(Target::Unknown(_)));
        assert!(unknown, "{text}");
        let words = |text: &str| {
            text.split(' ')
                .filter(|word| *word != "-m")
                .map(str::to_owned)
                .collect::<std::collections::BTreeSet<_>>()
        };
        let lost: Vec<_> = words(text).difference(&words(&rule.to_string())).cloned().collect();
        assert!(lost.is_empty(), "{text}: {lost:?} is lost in {rule}");
        assert_eq!(printed(&rule.to_string()), rule.to_string());
    }
    // Of a match that is not known, options behind another part of the rule, too.
    assert_eq!(
        printed("-m geoip --src-cc DE -i eth0 --other 5 -p tcp --dport 22"),
        "-i eth0 -p tcp -m geoip --src-cc DE --other 5 -m tcp --dport 22"
    );
}

#[test]
fn a_target_without_options_is_a_chain_and_a_declared_chain_is_never_an_extension() {
    assert_eq!(rule("-j web").target, Some(Target::Jump("web".into())));
    assert_eq!(rule("-g web").target, Some(Target::Goto("web".into())));
    let text = "*filter\n:TRACE - [0:0]\n-A INPUT -j TRACE\nCOMMIT\n*raw\n-A OUTPUT -j TRACE\nCOMMIT\n";
    let (save, _) = parse_save(text.as_bytes(), Family::Ipv4, Mode::Strict).expect("a dump");
    let targets: Vec<_> = save.rules().map(|line| line.rule.target.clone()).collect();
    assert_eq!(targets[0], Some(Target::Jump("TRACE".into())));
    assert!(matches!(targets[1], Some(Target::Unknown(_))));
}

#[test]
fn the_strict_reader_refuses_what_iptables_restore_refuses() {
    for (text, line) in [
        ("-A INPUT -j DROP\n", 1),
        ("*filter\n-A INPUT -j DROP\n", 2),
        ("*filter\n:INPUT DROPP [0:0]\nCOMMIT\n", 2),
        ("*filter\nhello\nCOMMIT\n", 2),
        ("COMMIT\n", 1),
        ("*nat\n-A POSTROUTING -j DROP\nCOMMIT\n", 2),
        ("*filter\n-A INPUT -m owner --uid-owner 0 -j ACCEPT\nCOMMIT\n", 2),
        ("*filter\n-A FORWARD -j MASQUERADE\nCOMMIT\n", 2),
        ("*filter\n-A INPUT -s example.org -j DROP\nCOMMIT\n", 2),
    ] {
        let error = parse_save(text.as_bytes(), Family::Ipv4, Mode::Strict).expect_err(text);
        assert_eq!(error.line(), line, "{text}: {error}");
    }
}

#[test]
fn the_lenient_reader_keeps_every_line_and_tells_what_is_odd() {
    let text = "root@host:~# iptables-save\n# old\n*filter\n:INPUT DROP [12:34]\n:a-name-that-is-much-longer-than-iptables - [0:0]\n\
        [5:300] -A INPUT --in-interface lo -j ACCEPT\n-A INPUT -p tcp --dport ! 22 -s some.example.org -m mac --mac-source XX:XX:XX:XX:XX:XX -j DROP\n\
        -A INPUT -j ACCEPT # all of it\nCOMMIT\n# done\nroot@host:~# ";
    let (save, oddities) = parse_save(text.as_bytes(), Family::Ipv4, Mode::Lenient).expect("lenient");
    assert_eq!(save.to_string(), text);
    let lines: Vec<_> = oddities.iter().map(|oddity| oddity.line).collect();
    for line in [1, 5, 7, 8, 11] {
        assert!(lines.contains(&line), "line {line} is odd: {oddities:?}");
    }
    let rules: Vec<_> = save.rules().collect();
    assert_eq!(rules.len(), 3);
    assert_eq!(rules[0].counters.map(|counters| (counters.packets, counters.bytes)), Some((5, 300)));
    assert!(
        matches!(&rules[1].rule.source, Some(source) if source.value == AddressSpec::Name("some.example.org".into()))
    );
    assert_eq!(save.lines.iter().filter(|line| matches!(line, Line::Junk(_))).count(), 2);
    let tables = save.tables();
    assert_eq!((tables.len(), tables[0].chains.len(), tables[0].rules.len()), (1, 2, 3));
}

#[test]
fn a_single_quote_quotes_in_old_dumps_only_where_it_is_closed() {
    let read = |rule: &str, mode| {
        let text = format!("*filter\n-A INPUT {rule}\nCOMMIT\n");
        let (save, _) = parse_save(text.as_bytes(), Family::Ipv4, mode).expect("a dump");
        save.rules().map(|line| line.rule.to_string()).collect::<String>()
    };
    assert_eq!(
        read("-m comment --comment 'a b' -j DROP", Mode::Lenient),
        "-m comment --comment \"a b\" -j DROP"
    );
    assert_eq!(
        read("-m comment --comment it's -j DROP", Mode::Lenient),
        "-m comment --comment \"it\\'s\" -j DROP"
    );
    assert_eq!(
        read("-m comment --comment it's -j DROP", Mode::Strict),
        "-m comment --comment \"it\\'s\" -j DROP"
    );
}

#[test]
fn a_listing_without_a_table_is_the_filter_table() {
    let text = "-P INPUT DROP\n-N web\n-A INPUT -p tcp -m tcp --dport 80 -j web\niptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE\n";
    let (save, oddities) = parse_save(text.as_bytes(), Family::Ipv4, Mode::Lenient).expect("lenient");
    assert!(!oddities.is_empty());
    let tables: Vec<_> =
        save.tables().iter().map(|table| (table.name.to_owned(), table.line, table.rules.len())).collect();
    assert_eq!(tables, [("filter".to_owned(), 0, 3), ("nat".to_owned(), 0, 1)]);
}

#[test]
fn bytes_that_are_no_utf8_are_kept() {
    let text = b"*filter\n-A INPUT -m comment --comment \"caf\xe9\" -j DROP\nCOMMIT\n";
    let (save, oddities) = parse_save(text, Family::Ipv4, Mode::Strict).expect("a dump");
    assert_eq!(save.to_bytes(), text);
    assert_eq!(oddities.len(), 1);
    let windows = b"*filter\r\n-A INPUT -j DROP\r\nCOMMIT\r\n";
    let (save, _) = parse_save(windows, Family::Ipv4, Mode::Lenient).expect("a dump");
    assert_eq!(save.to_bytes(), windows);
    assert_eq!(save.rules().next().map(ToString::to_string).as_deref(), Some("-A INPUT -j DROP"));
}

#[test]
fn the_place_of_a_rule_is_checked_apart_from_its_words() {
    let masquerade = rule("-o eth0 -j MASQUERADE");
    assert_eq!(check::rule(&masquerade, "nat", "POSTROUTING"), Ok(()));
    assert_eq!(check::rule(&masquerade, "nat", "docker"), Ok(()));
    assert!(check::rule(&masquerade, "nat", "PREROUTING").is_err());
    assert!(check::rule(&masquerade, "filter", "FORWARD").is_err());
}

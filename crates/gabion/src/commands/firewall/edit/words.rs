//! What a person types behind `append`, `insert` and `replace`: a rule as the guide writes it, or the short form.

use ipnet::IpNet;
use iptables_syntax::{Family, Mode, SyntaxError};
use policy::edit::Entry;
use policy::{Allow, Forward, PortSpec, Rule};

/// A rule that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// As an entry whose place among the others of its kind does not matter, where it can be one.
    pub(super) entry: Option<Entry>,
    /// As a rule of the chain that it is put into, in the words of iptables, where they can say it.
    pub(super) rule: Option<Rule>,
}

/// Why the words are no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WordError {
    /// Nothing was said.
    #[error("there is no rule")]
    Nothing,
    /// The rule is not as iptables takes it.
    #[error("{}", frame(.0))]
    Rule(SyntaxError),
    /// A word of the short form is not understood.
    #[error("expected {expected}, found `{found}`")]
    Short {
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// The short form lets in or keeps out from elsewhere: it is for the chain INPUT.
    #[error("the short form is for the chain INPUT; `{0}` takes a rule as iptables writes it")]
    ShortElsewhere(String),
}

/// Reads the words for a chain, whose name is as the policy writes it: `input`, `forward`, `output` or one's own.
pub(super) fn read(chain: &str, words: &[String], ssh: &[u16]) -> Result<Wish, WordError> {
    match words.first().map(String::as_str) {
        None => Err(WordError::Nothing),
        Some("allow" | "deny" | "reject") if chain != "input" => {
            Err(WordError::ShortElsewhere(chain.to_owned()))
        }
        Some(verb @ ("allow" | "deny" | "reject")) => short(verb, &words[1..], ssh),
        Some(_) => guide(chain, words),
    }
}

fn guide(chain: &str, words: &[String]) -> Result<Wish, WordError> {
    let text = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let of = |family| iptables_syntax::parse_rules(&text, family, Mode::Strict);
    // What only one family has (an address, an ICMP type) is no error as long as it is right in that one.
    let (v4, v6) = (of(Family::Ipv4), of(Family::Ipv6));
    let entry = match (&v4, &v6) {
        (Err(error), Err(_)) => return Err(WordError::Rule(error.clone())),
        (Ok(rules), Ok(_)) => entry_of(chain, rules, Family::Ipv4),
        (Ok(rules), Err(_)) => entry_of(chain, rules, Family::Ipv4).filter(is_for_some_sources),
        (Err(_), Ok(rules)) => entry_of(chain, rules, Family::Ipv6).filter(is_for_some_sources),
    };
    Ok(Wish { entry, rule: Some(Rule { chain: chain.to_owned(), rule: text, ..Rule::default() }) })
}

/// The entry that says the same as the rules, which a list of addresses made of one line.
fn entry_of(chain: &str, rules: &[iptables_syntax::Rule], family: Family) -> Option<Entry> {
    let mut entries = rules.iter().map(|rule| match chain {
        "input" => firewall_import::allow(rule, family).map(Entry::Allow),
        "forward" => firewall_import::forward(rule, family).map(Entry::Forward),
        _ => None,
    });
    let mut first = entries.next()??;
    for entry in entries {
        match (&mut first, entry?) {
            (Entry::Allow(Allow { from, .. }), Entry::Allow(more)) => from.extend(more.from),
            (Entry::Forward(Forward { from, .. }), Entry::Forward(more)) => from.extend(more.from),
            _ => return None,
        }
    }
    Some(first)
}

/// An entry without sources is for both families: a rule for one alone must not become it.
fn is_for_some_sources(entry: &Entry) -> bool {
    match entry {
        Entry::Allow(allow) => !allow.from.is_empty(),
        Entry::Forward(forward) => !forward.from.is_empty(),
        Entry::Rule(_) => true,
    }
}

/// `allow tcp/8080 from 192.168.255.0/24 limit 30/minute comment "load balancer"`.
fn short(verb: &str, words: &[String], ssh: &[u16]) -> Result<Wish, WordError> {
    let mut allow = Allow::default();
    let mut words = words.iter().map(String::as_str).peekable();
    let wrong = |expected, found: &str| WordError::Short { expected, found: found.to_owned() };
    if let Some(what) = words.next_if(|word| *word != "from") {
        for part in what.split(',') {
            match part.parse::<PortSpec>() {
                Ok(port) => allow.port.push(port),
                Err(_) if policy::services::lookup(part).is_some() => allow.service.push(part.to_owned()),
                Err(_) => return Err(wrong("a port (`tcp/8080`) or a service (`https`)", part)),
            }
        }
    }
    while let Some(word) = words.next() {
        let next = words.next();
        match (word, next) {
            ("from", Some(list)) => {
                for part in list.split(',') {
                    let net = net(part).ok_or_else(|| wrong("an address or a prefix", part))?;
                    allow.from.push(net);
                }
            }
            ("limit", Some(rate)) if verb == "allow" => {
                let count = rate.strip_suffix("/minute").unwrap_or(rate).parse().ok();
                let count = count.filter(|count| *count > 0);
                allow.new_per_minute =
                    Some(count.ok_or_else(|| wrong("new connections a minute from one source", rate))?);
            }
            ("comment", Some(text)) => allow.comment = Some(text.to_owned()),
            ("from", None) => return Err(wrong("an address or a prefix", "nothing")),
            ("limit", None) => return Err(wrong("new connections a minute from one source", "nothing")),
            ("comment", None) => return Err(wrong("the comment", "nothing")),
            (other, _) if verb == "allow" => return Err(wrong("`from`, `limit` or `comment`", other)),
            (other, _) => return Err(wrong("`from` or `comment`", other)),
        }
    }
    let names_ports = !allow.port.is_empty() || !allow.service.is_empty();
    if verb == "allow" {
        if !names_ports {
            return Err(wrong("a port (`tcp/8080`) or a service (`https`)", "nothing"));
        }
        // A limit for each source is an entry's alone.
        let rule = if allow.new_per_minute.is_none() { rule(&allow, "ACCEPT", ssh).ok() } else { None };
        return Ok(Wish { entry: Some(Entry::Allow(allow)), rule });
    }
    if !names_ports && allow.from.is_empty() {
        return Err(wrong("a port, a service or `from`", "nothing"));
    }
    // These are rules, since they have to stand before what lets in.
    let target = if verb == "deny" { "DROP" } else { "REJECT" };
    Ok(Wish { entry: None, rule: Some(rule(&allow, target, ssh)?) })
}

/// The same in the words of iptables.
fn rule(what: &Allow, target: &str, ssh: &[u16]) -> Result<Rule, WordError> {
    let mut text = String::new();
    if !what.from.is_empty() {
        let from: Vec<String> = what.from.iter().map(ToString::to_string).collect();
        text.push_str(&format!("-s {} ", from.join(",")));
    }
    let ports = what
        .ports(ssh)
        .map_err(|error| WordError::Short { expected: "a service of one port", found: error.to_string() })?;
    match ports.as_slice() {
        [] => {}
        ports if ports.iter().all(|port| port.transport == ports[0].transport) => {
            let transport = match ports[0].transport {
                policy::Transport::Tcp => "tcp",
                policy::Transport::Udp => "udp",
            };
            let range = |port: &PortSpec| match port.first == port.last {
                true => port.first.to_string(),
                false => format!("{}:{}", port.first, port.last),
            };
            let list: Vec<String> = ports.iter().map(range).collect();
            let option = if list.len() == 1 { "--dport" } else { "-m multiport --dports" };
            text.push_str(&format!("-p {transport} {option} {} ", list.join(",")));
        }
        _ => {
            return Err(WordError::Short {
                expected: "ports of one transport: one rule for TCP and one for UDP",
                found: ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            });
        }
    }
    text.push_str("-j ");
    text.push_str(target);
    Ok(Rule { chain: "input".to_owned(), rule: text, comment: what.comment.clone(), ..Rule::default() })
}

fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

/// The word as `iptables-restore` reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\\' | '\'' | '#');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The rule with a caret below the place that is wrong.
fn frame(error: &SyntaxError) -> String {
    let indent = " ".repeat(error.column().saturating_sub(1));
    let carets = "^".repeat(error.length());
    format!("{}\n  {}\n  {indent}{carets}", error.message(), error.source_line())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn allow(entry: Option<Entry>) -> Allow {
        match entry {
            Some(Entry::Allow(allow)) => allow,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rule_of_the_guide_that_lets_a_port_in_can_be_an_entry() {
        let wish = read("input", &words("-p tcp --dport 8080 -j ACCEPT"), &[22]).unwrap();
        assert_eq!(allow(wish.entry).port, ["tcp/8080".parse().unwrap()]);
        assert_eq!(wish.rule.unwrap().rule, "-p tcp --dport 8080 -j ACCEPT");
        let wish = read(
            "input",
            &words("-s 192.0.2.0/24,198.51.100.7 -p tcp -m state --state NEW --dport 25 -j ACCEPT"),
            &[22],
        );
        assert_eq!(allow(wish.unwrap().entry).from.len(), 2);
    }

    #[test]
    fn a_rule_whose_order_matters_stays_a_rule() {
        for text in [
            "-s 203.0.113.0/24 -j DROP",
            "-p tcp --dport 25 -i eth1 -j ACCEPT",
            "-p icmp --icmp-type 8 -j ACCEPT",
        ] {
            assert_eq!(read("input", &words(text), &[22]).unwrap().entry, None, "{text}");
        }
    }

    #[test]
    fn the_short_form_reads_ports_services_sources_limits_and_comments() {
        let wish = read(
            "input",
            &words("allow tcp/8080,https from 192.168.255.0/24,2001:db8::1 limit 30/minute comment web"),
            &[22],
        );
        let allow = allow(wish.unwrap().entry);
        assert_eq!((allow.port.len(), allow.service.len(), allow.from.len()), (1, 1, 2));
        assert_eq!((allow.new_per_minute, allow.comment.as_deref()), (Some(30), Some("web")));
        let wish = read("input", &words("deny tcp/25 from 203.0.113.9"), &[22]).unwrap();
        assert_eq!(wish.rule.unwrap().rule, "-s 203.0.113.9/32 -p tcp --dport 25 -j DROP");
        assert_eq!(wish.entry, None);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        for (text, says) in [
            ("-p tcp --dport 70000 -j ACCEPT", "70000"),
            ("allow tpc/80", "a port (`tcp/8080`)"),
            ("allow tcp/80 from nowhere", "an address or a prefix, found `nowhere`"),
            ("allow tcp/80 form 192.0.2.1", "`from`, `limit` or `comment`, found `form`"),
            ("deny", "found `nothing`"),
        ] {
            let error = read("input", &words(text), &[22]).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(read("forward", &words("allow tcp/80"), &[22]).is_err());
    }
}

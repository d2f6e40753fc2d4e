//! Rules of iptables as text: whether two are the same though they are written differently.

/// Options that iptables-save leaves out where they have these values.
const DEFAULTS: [(&str, &str); 4] = [
    ("--limit-burst", "5"),
    ("--hashlimit-burst", "5"),
    ("--hashlimit-srcmask", "32"),
    ("--hashlimit-srcmask", "128"),
];
/// Options whose value is a rate.
const RATES: [&str; 3] = ["--limit", "--hashlimit-upto", "--hashlimit-above"];
/// The kernel counts rates in this part of a second: `XT_LIMIT_SCALE` of the kernel.
const SCALE: u64 = 10_000;

/// A form of a rule that is the same for all ways in which one version of iptables or another prints it: options in one
/// order, rates as the kernel counts them, defaults left out.
#[must_use]
pub fn canonical(rule: &str) -> String {
    let mut options: Vec<Vec<&str>> = Vec::new();
    for word in words(rule) {
        let starts = word.starts_with('-') || word == "!";
        let negated = options.last().is_some_and(|option| option.as_slice() == ["!"]);
        match options.last_mut() {
            Some(option) if !starts || negated => option.push(word),
            _ => options.push(vec![word]),
        }
    }
    let is_default =
        |option: &Vec<&str>| DEFAULTS.iter().any(|(name, value)| option.as_slice() == [*name, *value]);
    options.retain(|option| !is_default(option));
    let mut texts: Vec<String> = options.iter().map(|option| text(option)).collect();
    texts.sort_unstable();
    texts.join(" ")
}

fn text(option: &[&str]) -> String {
    match option {
        [name, value] if RATES.contains(name) => match interval(value) {
            Some(interval) => format!("{name} {interval}"),
            None => option.join(" "),
        },
        _ => option.join(" "),
    }
}

/// The time between two packets of a rate such as `60/min`.
fn interval(rate: &str) -> Option<u64> {
    let (count, unit) = rate.split_once('/').unwrap_or((rate, "second"));
    let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
    let units = [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400)];
    let (_, seconds) = units.into_iter().find(|(name, _)| !unit.is_empty() && name.starts_with(unit))?;
    Some(SCALE * seconds / count)
}

/// The words of a rule; one in quotes is one.
fn words(rule: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = rule.trim_start();
    while !rest.is_empty() {
        let mut quoted = false;
        let mut escaped = false;
        let end = rest.char_indices().find(|(_, c)| {
            let ends = c.is_whitespace() && !quoted;
            quoted ^= *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (word, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        words.push(word);
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn what_iptables_prints_differently_is_the_same() {
        for (written, printed) in [
            (
                "-m limit --limit 5/min --limit-burst 5 -j LOG --log-prefix \"a b: \" --log-level 7",
                "-m limit --limit 5/min -j LOG --log-prefix \"a b: \" --log-level 7",
            ),
            (
                "-m hashlimit --hashlimit-upto 60/min --hashlimit-srcmask 64 --hashlimit-htable-expire 60000 -j ACCEPT",
                "-m hashlimit --hashlimit-upto 1/sec --hashlimit-htable-expire 60000 --hashlimit-srcmask 64 -j ACCEPT",
            ),
        ] {
            assert_eq!(canonical(written), canonical(printed));
        }
    }

    #[test]
    fn what_differs_is_not_the_same() {
        let rule = "-s 192.0.2.1/32 -p tcp -m tcp --dport 22 -j ACCEPT";
        for other in [
            "! -s 192.0.2.1/32 -p tcp -m tcp --dport 22 -j ACCEPT",
            "-s 192.0.2.1/32 -p tcp -m tcp --dport 22 -j DROP",
            "-s 192.0.2.1/32 -p tcp -m tcp --sport 22 -j ACCEPT",
            "-s 192.0.2.1/32 -p tcp -m tcp --dport 22 -m limit --limit 5/min -j ACCEPT",
        ] {
            assert_ne!(canonical(rule), canonical(other));
        }
        assert_ne!(canonical("-m limit --limit 5/min"), canonical("-m limit --limit 6/min"));
    }
}

//! Two readings become one answer. sshd reads its configuration twice: at start, when only the main part counts,
//! and for each connection, when only `Match` blocks that hold count. What the second reading sets replaces what
//! the first one set.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::configuration::{Configuration, Directive};
use crate::defaults::Defaults;
use crate::effective::{Effective, Setting, Value};
use crate::keyword::Keyword;
use crate::listen;
use crate::problem::{Error, Origin, Problem};
use crate::value::{PENALTIES, Rule};
use crate::value_type::{Family, ValueType};
use crate::version::Version;

/// One text and the line that gave it.
type Given<'a> = (Arc<str>, &'a Origin);

/// What one reading has set.
#[derive(Debug, Default)]
pub(crate) struct Pass<'a> {
    slots: BTreeMap<(Keyword, u8), Vec<Given<'a>>>,
}

impl<'a> Pass<'a> {
    /// Takes a directive whose scope applies.
    pub(crate) fn take(&mut self, directive: &'a Directive) {
        let keyword = directive.keyword;
        for assignment in &directive.assignments {
            let known = self.slots.contains_key(&(keyword, assignment.slot));
            let blocked = match keyword {
                // Before OpenSSH 9.8 the principals command is passed over where a keys command is set.
                Keyword::AuthorizedPrincipalsCommand if assignment.rule == Rule::Last => {
                    self.slots.contains_key(&(Keyword::AuthorizedKeysCommand, 0))
                }
                Keyword::Subsystem => self.has_subsystem(&assignment.texts[0]),
                _ => known && assignment.rule == Rule::First,
            };
            if blocked {
                continue;
            }
            let slot = self.slots.entry((keyword, assignment.slot)).or_default();
            if assignment.rule == Rule::Last {
                slot.clear();
            }
            slot.extend(assignment.texts.iter().map(|text| (text.clone(), &directive.origin)));
            if keyword == Keyword::PerSourcePenalties && assignment.slot > 0 {
                // Any single penalty switches penalties on.
                self.slots.insert((keyword, 0), vec![("yes".into(), &directive.origin)]);
            }
        }
    }

    fn has_subsystem(&self, line: &str) -> bool {
        let name = subsystem_name(line);
        let known = self.slots.get(&(Keyword::Subsystem, 0));
        known.is_some_and(|lines| lines.iter().any(|(line, _)| subsystem_name(line) == name))
    }

    pub(crate) fn get(&self, keyword: Keyword, slot: u8) -> Option<&[Given<'a>]> {
        self.slots.get(&(keyword, slot)).map(Vec::as_slice)
    }

    fn keywords(&self) -> impl Iterator<Item = Keyword> {
        self.slots.keys().map(|(keyword, _)| *keyword)
    }
}

fn subsystem_name(line: &str) -> &str {
    line.split_once(' ').map_or(line, |(name, _)| name)
}

/// Joins the two readings with the defaults.
pub(crate) fn compose(configuration: &Configuration, start: &Pass<'_>, matched: &Pass<'_>) -> Effective {
    let defaults = &configuration.defaults;
    let mut effective = Effective::of_defaults(defaults);
    let joined = Joined { start, matched, defaults };
    let mut keywords: Vec<Keyword> = start.keywords().chain(matched.keywords()).collect();
    keywords.dedup();
    for keyword in keywords {
        if let Some(setting) = joined.setting(keyword, &mut effective.problems) {
            effective.put(keyword, setting);
        }
    }
    effective.put(Keyword::ListenAddress, listen::addresses(start, defaults));
    effective
}

struct Joined<'a> {
    start: &'a Pass<'a>,
    matched: &'a Pass<'a>,
    defaults: &'a Defaults,
}

impl Joined<'_> {
    /// The slot as it stands after both readings, and whether the second one set it.
    fn slot(&self, keyword: Keyword, slot: u8) -> Option<(&[Given<'_>], bool)> {
        let matched = self.matched.get(keyword, slot).filter(|texts| self.is_copied(keyword, texts));
        match matched {
            Some(texts) => Some((texts, true)),
            None => self.start.get(keyword, slot).map(|texts| (texts, false)),
        }
    }

    /// Whether sshd carries a keyword over from `Match` blocks.
    fn is_copied(&self, keyword: Keyword, texts: &[Given<'_>]) -> bool {
        // Before 10.4, of the user environment a list of names is carried over (from `Match all`).
        let environment =
            keyword == Keyword::PermitUserEnvironment && self.defaults.version() < Version::new(10, 4);
        let names = environment && !matches!(&*texts[0].0, "yes" | "no");
        names || keyword.allowed_in_match(self.defaults.version())
    }

    fn setting(&self, keyword: Keyword, problems: &mut Vec<Problem>) -> Option<Setting> {
        match keyword.value_type() {
            ValueType::Startups => Some(self.joined(keyword, 3, ':')),
            ValueType::NetBlock => Some(self.joined(keyword, 2, ':')),
            ValueType::Qos | ValueType::Rekey => Some(self.joined(keyword, 2, ' ')),
            ValueType::Penalties => Some(self.penalties()),
            ValueType::Algorithms(family) => self.algorithms(keyword, family, problems),
            ValueType::ListenAddress | ValueType::Include | ValueType::Match => None,
            _ => self.plain(keyword),
        }
    }

    fn plain(&self, keyword: Keyword) -> Option<Setting> {
        let version = self.defaults.version();
        let (texts, matched) = self.slot(keyword, 0)?;
        let texts = texts
            .iter()
            .map(|(text, origin)| Value::at(printed(version, keyword, text, matched), (*origin).clone()));
        let texts: Vec<Value> = texts.collect();
        // From 10.3 on a lone `none` in the main part is no file.
        let files = matches!(keyword, Keyword::AuthorizedKeysFile | Keyword::RevokedKeys);
        if files && !matched && self.defaults.version() >= Version::new(10, 3) && is_none(&texts) {
            return Some(Setting::new(Vec::new()));
        }
        // An empty line, such as `AllowUsers # nobody`, sets nothing.
        (!texts.is_empty()).then(|| Setting::new(texts))
    }

    fn joined(&self, keyword: Keyword, slots: u8, separator: char) -> Setting {
        let default = self.defaults.get(keyword).map_or("", Setting::text);
        let mut default = default.split(separator);
        let mut origin = None;
        let parts = (0..slots).map(|slot| {
            let default = default.next().unwrap_or("");
            let set = self.slot(keyword, slot).and_then(|(texts, _)| texts.first());
            if let Some((_, at)) = set {
                origin.get_or_insert_with(|| (*at).clone());
            }
            set.map_or(default, |(text, _)| text)
        });
        let text = parts.collect::<Vec<_>>().join(&separator.to_string());
        Setting::new(vec![Value { text: text.into(), origin }])
    }

    fn penalties(&self) -> Setting {
        let keyword = Keyword::PerSourcePenalties;
        let text_of = |slot: u8| self.slot(keyword, slot).and_then(|(texts, _)| texts.first());
        let switch = text_of(0);
        let mut origin = switch.map(|(_, origin)| (*origin).clone());
        if switch.is_some_and(|(text, _)| &**text == "no") {
            return Setting::new(vec![Value { text: "no".into(), origin }]);
        }
        let default = self.defaults.get(keyword).map_or("", Setting::text);
        let default_of =
            |name: &str| default.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix(':'));
        let overflow = text_of(11).map(|(text, _)| &**text);
        let mut parts = Vec::new();
        for (slot, name) in (1u8..).zip(PENALTIES) {
            if let Some((_, at)) = text_of(slot) {
                origin.get_or_insert_with(|| (*at).clone());
            }
            let set = text_of(slot).map(|(text, _)| &**text);
            // Without a word on IPv6, what was said of IPv4 goes.
            let set = if name == "overflow6" { set.or(overflow) } else { set };
            parts.extend(set.or_else(|| default_of(name)).map(|text| format!("{name}:{text}")));
        }
        Setting::new(vec![Value { text: parts.join(" ").into(), origin }])
    }

    fn algorithms(&self, keyword: Keyword, family: Family, problems: &mut Vec<Problem>) -> Option<Setting> {
        let (texts, matched) = self.slot(keyword, 0)?;
        let (spec, origin) = texts.first()?;
        match self.defaults.assemble(keyword, family, spec) {
            // What the main part empties is filled from the defaults once more before a connection is served.
            Ok(list) if list.is_empty() && !matched => None,
            Ok(list) => Some(Setting::new(vec![Value::at(list.into(), (*origin).clone())])),
            Err(error) => {
                let error = Error::BadAlgorithms { keyword, error };
                problems.push(Problem { origin: Some((*origin).clone()), error });
                None
            }
        }
    }
}

fn is_none(values: &[Value]) -> bool {
    matches!(values, [value] if value.text.eq_ignore_ascii_case("none"))
}

/// A text as `sshd -T` prints it.
fn printed(version: Version, keyword: Keyword, text: &Arc<str>, matched: bool) -> Arc<str> {
    let none = text.eq_ignore_ascii_case("none");
    match keyword {
        Keyword::ChrootDirectory | Keyword::ForceCommand | Keyword::VersionAddendum if none => "none".into(),
        Keyword::ChannelTimeout | Keyword::PerSourcePenaltyExemptList | Keyword::SecurityKeyProvider
            if none && !matched =>
        {
            "none".into()
        }
        // Before 10.4 a block's `NONE` stays as written.
        Keyword::AuthorizedPrincipalsFile if none && (!matched || version >= Version::new(10, 4)) => {
            "none".into()
        }
        Keyword::UnusedConnectionTimeout if &**text == "0" => "none".into(),
        _ => text.clone(),
    }
}

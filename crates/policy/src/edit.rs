//! The text of a policy changed in place: one entry or key of `[firewall]`, and not a byte besides.
//!
//! Comments, order and layout stay. The comment lines that stand directly above an entry, and those within it, belong to
//! it and go with it.
//!
//! ```
//! use policy::edit::{Entry, insert};
//!
//! let text = "# My host.\n\n[[firewall.allow]]\nservice = \"ssh\" # for me\n";
//! let http = policy::Allow { service: vec!["http".to_owned()], ..policy::Allow::default() };
//! let text = insert(text, 1, &Entry::Allow(http))?;
//! assert!(text.ends_with("service = \"ssh\" # for me\n\n[[firewall.allow]]\nservice = \"http\"\n"));
//! # Ok::<(), policy::edit::EditError>(())
//! ```

use std::ops::Range;
use std::path::Path;

use crate::model::{Allow, Backend, Firewall, Forward, Ipv6, LogRate, Policy, Refusal, Rule};
use crate::problem::PolicyError;
use crate::write;

mod layout;

use layout::{Form, Layout, List};

/// One of the lists of `[firewall]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// `[[firewall.allow]]`.
    Allow,
    /// `[[firewall.forward]]`.
    Forward,
    /// `[[firewall.rule]]`.
    Rule,
}

/// An entry of one of the lists. Its `line` is of no account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// `[[firewall.allow]]`.
    Allow(Allow),
    /// `[[firewall.forward]]`.
    Forward(Forward),
    /// `[[firewall.rule]]`.
    Rule(Rule),
}

/// A key of `[firewall]` with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `inbound`.
    Inbound(Refusal),
    /// `forwarded`.
    Forwarded(Refusal),
    /// `ping`.
    Ping(bool),
    /// `ipv6`.
    Ipv6(Ipv6),
    /// `log`.
    Log(LogRate),
    /// `exclusive`.
    Exclusive(bool),
    /// `backend`.
    Backend(Backend),
}

/// Why a policy was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The text is no policy as it stands.
    #[error(transparent)]
    Before(PolicyError),
    /// It would be none with the change.
    #[error(transparent)]
    After(PolicyError),
    /// There is no entry of that number.
    #[error("there is no entry {} of {}: there are {there}", .index + 1, .section.heading())]
    NoEntry {
        /// The list.
        section: Section,
        /// What was asked for, from 0.
        index: usize,
        /// How many there are.
        there: usize,
    },
    /// The text is laid out in a way that this cannot change without losing something.
    #[error("the policy is written in a way that cannot be changed here: change it by hand")]
    Layout,
}

impl Section {
    /// As the file writes it.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Allow => "[[firewall.allow]]",
            Self::Forward => "[[firewall.forward]]",
            Self::Rule => "[[firewall.rule]]",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Forward => "forward",
            Self::Rule => "rule",
        }
    }

    fn count(self, firewall: &Firewall) -> usize {
        match self {
            Self::Allow => firewall.allow.len(),
            Self::Forward => firewall.forward.len(),
            Self::Rule => firewall.rule.len(),
        }
    }
}

impl Entry {
    /// The list that it is of.
    pub fn section(&self) -> Section {
        match self {
            Self::Allow(_) => Section::Allow,
            Self::Forward(_) => Section::Forward,
            Self::Rule(_) => Section::Rule,
        }
    }

    fn keys(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Allow(allow) => write::allow_keys(allow),
            Self::Forward(forward) => write::forward_keys(forward),
            Self::Rule(rule) => write::rule_keys(rule),
        }
    }

    /// As a section of its own.
    fn block(&self, newline: &str) -> String {
        let lines = self.keys().into_iter().map(|(key, value)| format!("{key} = {value}"));
        let lines: Vec<String> = std::iter::once(self.section().heading().to_owned()).chain(lines).collect();
        lines.join(newline) + newline
    }

    /// As a table within a line.
    fn inline(&self) -> String {
        let keys: Vec<_> = self.keys().into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", keys.join(", "))
    }

    fn of(firewall: &Firewall, section: Section, index: usize) -> Self {
        match section {
            Section::Allow => Self::Allow(firewall.allow[index].clone()),
            Section::Forward => Self::Forward(firewall.forward[index].clone()),
            Section::Rule => Self::Rule(firewall.rule[index].clone()),
        }
    }

    fn insert(&self, firewall: &mut Firewall, index: usize) {
        match self {
            Self::Allow(allow) => firewall.allow.insert(index, allow.clone()),
            Self::Forward(forward) => firewall.forward.insert(index, forward.clone()),
            Self::Rule(rule) => firewall.rule.insert(index, rule.clone()),
        }
    }
}

impl Setting {
    fn key_and_value(self) -> (&'static str, String) {
        let switch = |on: bool| if on { "true" } else { "false" }.to_owned();
        match self {
            Self::Inbound(refusal) => ("inbound", write::quoted(write::refusal(refusal))),
            Self::Forwarded(refusal) => ("forwarded", write::quoted(write::refusal(refusal))),
            Self::Ping(on) => ("ping", switch(on)),
            Self::Ipv6(ipv6) => ("ipv6", write::quoted(write::ipv6(ipv6))),
            Self::Log(rate) => ("log", write::quoted(&rate.to_string())),
            Self::Exclusive(on) => ("exclusive", switch(on)),
            Self::Backend(backend) => ("backend", write::quoted(write::backend(backend))),
        }
    }

    fn apply(self, firewall: &mut Firewall) {
        match self {
            Self::Inbound(refusal) => firewall.inbound = refusal,
            Self::Forwarded(refusal) => firewall.forwarded = refusal,
            Self::Ping(on) => firewall.ping = on,
            Self::Ipv6(ipv6) => firewall.ipv6 = ipv6,
            Self::Log(rate) => firewall.log = rate,
            Self::Exclusive(on) => firewall.exclusive = on,
            Self::Backend(backend) => firewall.backend = backend,
        }
    }
}

/// The text with an entry more: the new one is number `index`, from 0, of its list.
///
/// Where the file has no `allow` entry, its default (`service = "ssh"`) is entry 0, and is written out.
///
/// # Errors
/// See [`EditError`]. An index beyond the end is none.
pub fn insert(text: &str, index: usize, entry: &Entry) -> Result<String, EditError> {
    let section = entry.section();
    edit(text, |edit| {
        edit.check(section, index, edit.count(section) + 1)?;
        edit.write_out_default(section)?;
        edit.insert(section, index, entry)?;
        entry.insert(&mut edit.wanted.firewall, index);
        Ok(())
    })
}

/// The text with entry `index`, from 0, being this one. Keys that stay the same stay as they are written.
///
/// # Errors
/// See [`EditError`].
pub fn replace(text: &str, index: usize, entry: &Entry) -> Result<String, EditError> {
    let section = entry.section();
    edit(text, |edit| {
        edit.check(section, index, edit.count(section))?;
        edit.write_out_default(section)?;
        edit.replace(section, index, entry)?;
        take(&mut edit.wanted.firewall, section, index);
        entry.insert(&mut edit.wanted.firewall, index);
        Ok(())
    })
}

/// The text without entry `index`, from 0. Without its last `allow` entry, the policy says that nothing is let in.
///
/// # Errors
/// See [`EditError`].
pub fn remove(text: &str, section: Section, index: usize) -> Result<String, EditError> {
    edit(text, |edit| {
        edit.check(section, index, edit.count(section))?;
        edit.write_out_default(section)?;
        edit.remove(section, index)?;
        take(&mut edit.wanted.firewall, section, index);
        if section == Section::Allow && edit.wanted.firewall.allow.is_empty() {
            edit.set("allow", "[]")?;
        }
        Ok(())
    })
}

/// The text with this setting.
///
/// # Errors
/// See [`EditError`].
pub fn set(text: &str, setting: Setting) -> Result<String, EditError> {
    edit(text, |edit| {
        let (key, value) = setting.key_and_value();
        edit.set(key, &value)?;
        setting.apply(&mut edit.wanted.firewall);
        Ok(())
    })
}

fn take(firewall: &mut Firewall, section: Section, index: usize) {
    match section {
        Section::Allow => drop(firewall.allow.remove(index)),
        Section::Forward => drop(firewall.forward.remove(index)),
        Section::Rule => drop(firewall.rule.remove(index)),
    }
}

/// A text that is changed, with what it is to say then.
struct Edit {
    text: String,
    newline: &'static str,
    wanted: Policy,
}

fn edit(text: &str, change: impl FnOnce(&mut Edit) -> Result<(), EditError>) -> Result<String, EditError> {
    let here = Path::new("policy.toml");
    let wanted = crate::parse(text, here).map_err(EditError::Before)?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut edit = Edit { text: text.to_owned(), newline, wanted };
    change(&mut edit)?;
    let now = crate::parse(&edit.text, here).map_err(EditError::After)?;
    if without_lines(now) == without_lines(edit.wanted) { Ok(edit.text) } else { Err(EditError::Layout) }
}

fn without_lines(mut policy: Policy) -> Policy {
    policy.firewall.allow.iter_mut().for_each(|allow| allow.line = 0);
    policy.firewall.forward.iter_mut().for_each(|forward| forward.line = 0);
    policy.firewall.rule.iter_mut().for_each(|rule| rule.line = 0);
    policy
}

impl Edit {
    fn count(&self, section: Section) -> usize {
        section.count(&self.wanted.firewall)
    }

    fn check(&self, section: Section, index: usize, there: usize) -> Result<(), EditError> {
        if index < there {
            Ok(())
        } else {
            Err(EditError::NoEntry { section, index, there: self.count(section) })
        }
    }

    fn layout(&self) -> Result<Layout, EditError> {
        Layout::read(&self.text).ok_or(EditError::Layout)
    }

    fn splice(&mut self, range: Range<usize>, with: &str) {
        self.text.replace_range(range, with);
    }

    /// Writes the default of `allow` into a file that leaves it out.
    fn write_out_default(&mut self, section: Section) -> Result<(), EditError> {
        if section != Section::Allow || !matches!(self.layout()?.list(Section::Allow), List::Absent) {
            return Ok(());
        }
        for (index, allow) in Firewall::default().allow.into_iter().enumerate() {
            self.insert(Section::Allow, index, &Entry::Allow(allow))?;
        }
        Ok(())
    }

    fn insert(&mut self, section: Section, index: usize, entry: &Entry) -> Result<(), EditError> {
        let layout = self.layout()?;
        match layout.list(section) {
            List::Inline { array, elements } => {
                let (at, with) = match (elements.get(index), elements.last()) {
                    (Some(next), _) => (next.start, format!("{}, ", entry.inline())),
                    (None, Some(last)) => (last.end, format!(", {}", entry.inline())),
                    (None, None) => (array.start + 1, entry.inline()),
                };
                self.splice(at..at, &with);
            }
            List::Absent if layout.form != Form::Headers => {
                self.set(section.key(), &format!("[{}]", entry.inline()))?;
            }
            List::Tables(tables) => match tables.get(index) {
                Some(next) => self.put_before(next.start, entry),
                None => self.put_behind(tables.last().map_or(self.text.len(), |last| last.end), entry),
            },
            // Rules run before what is allowed, and are best read there.
            List::Absent => match layout.list(Section::Allow) {
                List::Tables(allows) if section == Section::Rule => {
                    self.put_before(allows.first().map_or(self.text.len(), |first| first.start), entry);
                }
                List::Tables(allows) => {
                    self.put_behind(allows.last().map_or(self.text.len(), |last| last.end), entry);
                }
                List::Inline { .. } | List::Absent => {
                    self.put_behind(layout.firewall.map_or(self.text.len(), |firewall| firewall.end), entry);
                }
            },
        }
        Ok(())
    }

    fn put_before(&mut self, at: usize, entry: &Entry) {
        let block = format!("{}{}", entry.block(self.newline), self.newline);
        self.splice(at..at, &block);
    }

    /// Behind what ends at `at`, with a blank line between.
    fn put_behind(&mut self, mut at: usize, entry: &Entry) {
        let mut block = String::new();
        if at > 0 && !self.text[..at].ends_with('\n') {
            block.push_str(self.newline);
        }
        if !self.text[..at].trim().is_empty() {
            block.push_str(self.newline);
        } else {
            at = self.text[..at].len();
        }
        block.push_str(&entry.block(self.newline));
        let rest = &self.text[at..];
        if !rest.is_empty() && !rest.starts_with(['\n', '\r']) {
            block.push_str(self.newline);
        }
        self.splice(at..at, &block);
    }

    fn replace(&mut self, section: Section, index: usize, entry: &Entry) -> Result<(), EditError> {
        match self.layout()?.list(section) {
            List::Inline { elements, .. } => {
                let element = elements.get(index).ok_or(EditError::Layout)?.clone();
                self.splice(element, &entry.inline());
            }
            List::Tables(tables) => {
                let table = tables.get(index).ok_or(EditError::Layout)?;
                let (before, keys) = (Entry::of(&self.wanted.firewall, section, index).keys(), entry.keys());
                let mut changes: Vec<(Range<usize>, String)> = Vec::new();
                for place in &table.keys {
                    match keys.iter().find(|(key, _)| *key == place.key) {
                        None => changes.push((layout::whole_lines(&self.text, &place.span), String::new())),
                        Some(said) if before.contains(said) => {}
                        Some((_, value)) => changes.push((place.value.clone(), value.clone())),
                    }
                }
                let missing = keys.iter().filter(|(key, _)| table.keys.iter().all(|place| place.key != *key));
                let lines: String =
                    missing.map(|(key, value)| format!("{key} = {value}{}", self.newline)).collect();
                if !lines.is_empty() {
                    let at = table.keys_end;
                    let break_before = if self.text[..at].ends_with('\n') { "" } else { self.newline };
                    changes.push((at..at, format!("{break_before}{lines}")));
                }
                changes.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
                for (range, with) in changes {
                    self.splice(range, &with);
                }
            }
            List::Absent => return Err(EditError::Layout),
        }
        Ok(())
    }

    fn remove(&mut self, section: Section, index: usize) -> Result<(), EditError> {
        match self.layout()?.list(section) {
            List::Inline { elements, array } => {
                let element = elements.get(index).ok_or(EditError::Layout)?.clone();
                let range =
                    match (elements.get(index + 1), index.checked_sub(1).map(|before| &elements[before])) {
                        (Some(next), _) => element.start..next.start,
                        (None, Some(before)) => before.end..element.end,
                        (None, None) => array.start + 1..array.end - 1,
                    };
                self.splice(range, "");
            }
            List::Tables(tables) => {
                let table = tables.get(index).ok_or(EditError::Layout)?;
                let range = layout::with_blank_line(&self.text, table.start..table.end);
                self.splice(range, "");
            }
            List::Absent => return Err(EditError::Layout),
        }
        Ok(())
    }

    /// Gives a key of `[firewall]` a value.
    fn set(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        let layout = self.layout()?;
        if let Some(place) = layout.keys.iter().find(|place| place.key == key) {
            self.splice(place.value.clone(), value);
            return Ok(());
        }
        match layout.form {
            Form::Inline { end } => {
                let comma = if layout.keys.is_empty() { "" } else { "," };
                self.splice(end - 1..end - 1, &format!("{comma} {key} = {value} "));
            }
            Form::Dotted => {
                let at = layout.keys.iter().map(|place| place.span.end).max().ok_or(EditError::Layout)?;
                let at = layout::line_end(&self.text, at);
                let break_before = if self.text[..at].ends_with('\n') { "" } else { self.newline };
                self.splice(at..at, &format!("{break_before}firewall.{key} = {value}{}", self.newline));
            }
            Form::Headers => self.set_under_heading(&layout, key, value),
        }
        Ok(())
    }

    fn set_under_heading(&mut self, layout: &Layout, key: &str, value: &str) {
        let line = format!("{key} = {value}{}", self.newline);
        let Some(firewall) = &layout.firewall else {
            let heading = format!("[firewall]{}{line}", self.newline);
            let Some(at) = layout.first_entry() else {
                let at = self.text.len();
                let mut before = String::new();
                if at > 0 {
                    before = if self.text.ends_with('\n') { "" } else { self.newline }.to_owned();
                    before.push_str(self.newline);
                }
                return self.splice(at..at, &format!("{before}{heading}"));
            };
            self.splice(at..at, &format!("{heading}{}", self.newline));
            return;
        };
        // A key at its default stands there as `#key = value`.
        if let Some(default) = layout::commented_out(&self.text, firewall.heading_end..firewall.body_end, key)
        {
            self.splice(default, &format!("{key} = {value}"));
            return;
        }
        let at = firewall.keys_end;
        let break_before = if self.text[..at].ends_with('\n') { "" } else { self.newline };
        self.splice(at..at, &format!("{break_before}{line}"));
    }
}

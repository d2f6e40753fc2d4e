//! Typed reads of TOML values, each error kept with its place instead of ending the reading.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::nearest::nearest;
use crate::places::{Place, Places};
use crate::problem::{Problem, line_and_column};
use crate::vocabulary::{LATER, Section, TOP, alias, home_of};

pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// A text with the bytes it stands at.
pub(crate) struct Text<'v> {
    pub(crate) text: &'v str,
    pub(crate) span: Range<usize>,
}

/// What has been found so far.
pub(crate) struct Reader<'t> {
    pub(crate) text: &'t str,
    pub(crate) places: Places,
    pub(crate) problems: Vec<Problem>,
}

impl Reader<'_> {
    pub(crate) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(crate) fn place(&mut self, path: &str, span: Range<usize>) {
        let (line, _) = line_and_column(self.text, span.start);
        self.places.by_path.insert(path.to_owned(), Place { span, line });
    }

    /// The known keys of a table with their paths, in the order of the file. Unknown ones become problems.
    pub(crate) fn entries<'v, 't>(
        &mut self,
        table: &'v DeTable<'t>,
        prefix: &str,
        section: &Section,
    ) -> Vec<(&'v str, String, &'v Value<'t>)> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut known = Vec::new();
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            if section.keys.contains(&name) {
                let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
                self.place(&path, key.span());
                known.push((name, path, value));
            } else {
                self.problem(unknown_key(name, key.span(), section));
            }
        }
        known
    }

    pub(crate) fn table<'v, 't>(&mut self, value: &'v Value<'t>, written: &str) -> Option<&'v DeTable<'t>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => self.wrong_type(value, &format!("a section, written `{written}`")),
        }
    }

    /// The elements of an array of tables, each with its path.
    pub(crate) fn tables<'v, 't>(
        &mut self,
        value: &'v Value<'t>,
        path: &str,
        written: &str,
    ) -> Vec<(String, Range<usize>, &'v DeTable<'t>)> {
        let DeValue::Array(elements) = value.get_ref() else {
            self.wrong_type::<()>(value, &format!("a list of sections, each written `{written}`"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            if let Some(table) = self.table(element, written) {
                let path = format!("{path}[{index}]");
                self.place(&path, element.span());
                tables.push((path, element.span(), table));
            }
        }
        tables
    }

    pub(crate) fn boolean(&mut self, value: &Value<'_>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(*boolean),
            DeValue::String(text) => {
                let meant = match text.as_ref() {
                    "yes" | "true" | "on" => "true",
                    "no" | "false" | "off" => "false",
                    _ => return self.wrong_type(value, "`true` or `false`"),
                };
                let problem =
                    Problem::error(value.span(), "wrong type: expected `true` or `false`, found a text");
                self.problem(problem.label(format!("write `{meant}`, without quotes")));
                None
            }
            _ => self.wrong_type(value, "`true` or `false`"),
        }
    }

    pub(crate) fn string<'v>(&mut self, value: &'v Value<'_>, example: &str) -> Option<Text<'v>> {
        match value.get_ref() {
            DeValue::String(text) => Some(Text { text: text.as_ref(), span: value.span() }),
            _ => self.wrong_type(value, &format!("a text in quotes, as in `{example}`")),
        }
    }

    /// One text or a list of them; an empty list is given back empty.
    pub(crate) fn strings<'v>(&mut self, value: &'v Value<'_>, path: &str, example: &str) -> Vec<Text<'v>> {
        let DeValue::Array(elements) = value.get_ref() else {
            self.place(&format!("{path}[0]"), value.span());
            return self.string(value, example).into_iter().collect();
        };
        let mut texts = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            self.place(&format!("{path}[{index}]"), element.span());
            texts.extend(self.string(element, example));
        }
        texts
    }

    /// A whole number from 1 up.
    pub(crate) fn count(&mut self, value: &Value<'_>) -> Option<u32> {
        let DeValue::Integer(integer) = value.get_ref() else {
            return self.wrong_type(value, "a whole number");
        };
        match u32::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(0) => {
                let problem = Problem::error(value.span(), "a limit of zero would let nothing in");
                self.problem(problem.label("1 or more").help("leave the key out for no limit"));
                None
            }
            Ok(count) => Some(count),
            Err(_) => {
                let problem = Problem::error(value.span(), "this number cannot be counted to");
                self.problem(problem.label(format!("a whole number from 1 to {}", u32::MAX)));
                None
            }
        }
    }

    /// One of a closed list of words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        value: &Value<'_>,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let text = self.string(value, &format!("{key} = \"{}\"", words[0]))?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text.text) {
            return Some(*choice);
        }
        let mut problem = Problem::error(text.span, format!("`{}` is no value of `{key}`", text.text))
            .help(format!("`{key}` is one of: {}", listed(&words)));
        if let Some(meant) = nearest(text.text, words.iter().copied()) {
            problem = problem.label(format!("did you mean `{meant}`?"));
        }
        self.problem(problem);
        None
    }

    /// Keeps a "wrong type" problem and gives nothing back.
    pub(crate) fn wrong_type<T>(&mut self, value: &Value<'_>, expected: &str) -> Option<T> {
        let found = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        self.problem(Problem::error(value.span(), format!("wrong type: expected {expected}, found {found}")));
        None
    }
}

/// `a, b, c`, each in back quotes.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn unknown_key(name: &str, span: Range<usize>, section: &Section) -> Problem {
    let top = *section == TOP;
    if let Some((_, what)) = LATER.iter().find(|(later, _)| top && *later == name) {
        return Problem::error(span, format!("this version does not apply [{name}] yet"))
            .label(format!("{what}: nothing here would take effect"))
            .help(format!("remove [{name}] or comment it out: a policy holds only what is enforced"));
    }
    let message = if top {
        format!("unknown section or key `{name}`")
    } else {
        format!("unknown key `{name}` in {}", section.heading)
    };
    let problem = Problem::error(span, message);
    if let Some(home) = home_of(name).filter(|home| *home != section) {
        return problem.label(format!("`{name}` belongs to {}", home.heading));
    }
    let meant = alias(name)
        .filter(|key| section.keys.contains(key))
        .or_else(|| nearest(name, section.keys.iter().copied()));
    let later = || nearest(name, LATER.iter().map(|(later, _)| *later)).filter(|_| top);
    let problem = match meant.or_else(later) {
        Some(meant) => problem.label(format!("did you mean `{meant}`?")),
        None => problem,
    };
    let kind = if top { "the sections are" } else { "its keys are" };
    problem.help(format!("{kind}: {}", listed(section.keys)))
}

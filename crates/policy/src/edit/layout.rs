//! Where everything of `[firewall]` stands in a text, byte by byte.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::Section;

/// Where the parts of `[firewall]` stand.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) form: Form,
    /// The keys that are not lists of sections.
    pub(super) keys: Vec<KeyPlace>,
    /// `[firewall]` itself, where it is written so.
    pub(super) firewall: Option<TablePlace>,
    lists: [List; 3],
}

/// How `[firewall]` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// By headings, or not at all.
    Headers,
    /// `firewall.ping = false`.
    Dotted,
    /// `firewall = { ping = false }`, which ends there.
    Inline { end: usize },
}

/// How one of the lists is written.
#[derive(Debug, Clone)]
pub(super) enum List {
    Absent,
    /// `allow = [{ service = "ssh" }]`.
    Inline {
        array: Range<usize>,
        elements: Vec<Range<usize>>,
    },
    /// `[[firewall.allow]]`.
    Tables(Vec<TablePlace>),
}

/// A section under a heading.
#[derive(Debug, Clone)]
pub(super) struct TablePlace {
    /// Where the comments that belong to it begin, or its heading.
    pub(super) start: usize,
    /// Behind the line of the heading.
    pub(super) heading_end: usize,
    pub(super) keys: Vec<KeyPlace>,
    /// Behind the line of its last key, or of the heading.
    pub(super) keys_end: usize,
    /// Behind that, and the comments that follow without a blank line, unless they belong to the next heading.
    pub(super) end: usize,
    /// Where the next heading is, or the text ends.
    pub(super) body_end: usize,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct KeyPlace {
    pub(super) key: String,
    pub(super) value: Range<usize>,
    /// Both.
    pub(super) span: Range<usize>,
}

impl Layout {
    pub(super) fn read(text: &str) -> Option<Self> {
        let root = DeTable::parse(text).ok()?;
        let mut headings = Vec::new();
        collect_headings(text, root.get_ref(), &mut headings);
        headings.sort_unstable();
        headings.dedup();
        let place = |heading: &Range<usize>, table: &DeTable<'_>| {
            let body_end = headings.iter().copied().find(|at| *at > heading.start).unwrap_or(text.len());
            table_place(text, heading, table, body_end)
        };
        let mut layout = Self {
            form: Form::Headers,
            keys: Vec::new(),
            firewall: None,
            lists: [List::Absent, List::Absent, List::Absent],
        };
        let Some(firewall) = root.get_ref().get("firewall") else {
            return Some(layout);
        };
        let DeValue::Table(table) = firewall.get_ref() else {
            return None;
        };
        layout.keys = keys(text, table);
        let span = firewall.span();
        if text[span.start..].starts_with('{') {
            layout.form = Form::Inline { end: span.end };
        } else if is_heading(text, span.start) {
            layout.firewall = Some(place(&span, table));
        } else if !layout.keys.is_empty() {
            layout.form = Form::Dotted;
        }
        for section in [Section::Allow, Section::Forward, Section::Rule] {
            let Some(value) = table.get(section.key()) else { continue };
            let DeValue::Array(elements) = value.get_ref() else { return None };
            let array = value.span();
            layout.lists[section as usize] =
                if text[array.clone()].starts_with("[[") && is_heading(text, array.start) {
                    let mut tables = Vec::new();
                    for element in elements {
                        let DeValue::Table(table) = element.get_ref() else { return None };
                        tables.push(place(&element.span(), table));
                    }
                    List::Tables(tables)
                } else {
                    List::Inline { array, elements: elements.iter().map(toml::Spanned::span).collect() }
                };
        }
        Some(layout)
    }

    pub(super) fn list(&self, section: Section) -> &List {
        &self.lists[section as usize]
    }

    /// Where the first entry of any list begins.
    pub(super) fn first_entry(&self) -> Option<usize> {
        let starts = self.lists.iter().filter_map(|list| match list {
            List::Tables(tables) => tables.first().map(|table| table.start),
            List::Absent | List::Inline { .. } => None,
        });
        starts.min()
    }
}

/// Whether a heading begins here: the first thing on its line, outside of any array.
fn is_heading(text: &str, at: usize) -> bool {
    text[at..].starts_with('[') && text[line_start(text, at)..at].trim().is_empty()
}

fn collect_headings(text: &str, table: &DeTable<'_>, found: &mut Vec<usize>) {
    for value in table.values() {
        let mut visit = |value: &toml::Spanned<DeValue<'_>>| {
            if let DeValue::Table(table) = value.get_ref() {
                if is_heading(text, value.span().start) {
                    found.push(value.span().start);
                }
                collect_headings(text, table, found);
            }
        };
        match value.get_ref() {
            DeValue::Array(elements) => elements.iter().for_each(visit),
            _ => visit(value),
        }
    }
}

/// The keys that are written in the table itself, in the order of the text.
fn keys(text: &str, table: &DeTable<'_>) -> Vec<KeyPlace> {
    let mut keys: Vec<KeyPlace> = table
        .iter()
        .filter(|(_, value)| {
            let is_table = matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
            !(is_table && is_heading(text, value.span().start))
        })
        .map(|(key, value)| KeyPlace {
            key: key.get_ref().to_string(),
            value: value.span(),
            span: key.span().start..value.span().end,
        })
        .collect();
    keys.sort_by_key(|place| place.span.start);
    keys
}

fn table_place(text: &str, heading: &Range<usize>, table: &DeTable<'_>, body_end: usize) -> TablePlace {
    let keys = keys(text, table);
    let heading_end = line_end(text, heading.end);
    let keys_end = keys.iter().map(|place| line_end(text, place.span.end)).max().unwrap_or(heading_end);
    let body_end = if body_end == text.len() {
        body_end
    } else {
        comments_above(text, line_start(text, body_end), keys_end)
    };
    let mut end = keys_end;
    while end < body_end && is_comment(text, end) {
        end = line_end(text, end);
    }
    TablePlace {
        start: comments_above(text, line_start(text, heading.start), 0),
        heading_end,
        keys,
        keys_end,
        end,
        body_end,
    }
}

/// Where the comment lines that end at a line begin.
fn comments_above(text: &str, mut at: usize, floor: usize) -> usize {
    while at > floor {
        let above = line_start(text, at - 1);
        if above < floor || !is_comment(text, above) {
            break;
        }
        at = above;
    }
    at
}

fn is_comment(text: &str, line: usize) -> bool {
    text[line..].trim_start_matches([' ', '\t']).starts_with('#')
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Behind the line break of the line that `at` is on.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

/// The lines that a span is on.
pub(super) fn whole_lines(text: &str, span: &Range<usize>) -> Range<usize> {
    line_start(text, span.start)..line_end(text, span.end)
}

/// Lines with the blank line that sets them off: the one before, or at the beginning of the text the one behind.
pub(super) fn with_blank_line(text: &str, lines: Range<usize>) -> Range<usize> {
    let is_blank = |line: Range<usize>| text[line].trim().is_empty();
    if lines.start > 0 {
        let above = line_start(text, lines.start - 1)..lines.start;
        if is_blank(above.clone()) {
            return above.start..lines.end;
        }
    }
    let below = lines.end..line_end(text, lines.end);
    let set_off = lines.start == 0 || lines.end == text.len() || is_blank(below.clone());
    if set_off && is_blank(below.clone()) { lines.start..below.end } else { lines }
}

/// A line `#key = value` in the range, without its line break.
pub(super) fn commented_out(text: &str, range: Range<usize>, key: &str) -> Option<Range<usize>> {
    let mut at = range.start;
    while at < range.end {
        let end = line_end(text, at);
        let line = text[at..end].trim_end_matches(['\n', '\r']);
        let is_default = line
            .strip_prefix('#')
            .and_then(|rest| rest.strip_prefix(key))
            .is_some_and(|rest| rest.trim_start().starts_with('='));
        if is_default {
            return Some(at..at + line.len());
        }
        at = end;
    }
    None
}

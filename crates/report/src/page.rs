//! Text laid out for a terminal: folded to its width, aligned, and coloured only when told.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::safe;

/// How text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Whether to colour.
    pub colour: bool,
    /// Columns to fold at.
    pub width: usize,
}

impl Default for View {
    fn default() -> Self {
        Self { colour: false, width: 100 }
    }
}

/// What a piece of text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Quiet,
    Good,
    Bad,
    Worst,
    Odd,
    Added,
    Removed,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| colour.on_default();
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Quiet => Style::new().dimmed(),
            Self::Good | Self::Added => colour(AnsiColor::Green),
            Self::Bad | Self::Removed => colour(AnsiColor::Red),
            Self::Worst => colour(AnsiColor::Red).bold(),
            Self::Odd => colour(AnsiColor::Yellow),
        }
    }
}

/// A page being written. All text that reaches it is made safe for a terminal.
pub(crate) struct Page {
    view: View,
    text: String,
}

impl Page {
    pub(crate) fn new(view: View) -> Self {
        Self { view: View { width: view.width.max(40), ..view }, text: String::new() }
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    pub(crate) fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A paragraph, folded.
    pub(crate) fn paragraph(&mut self, indent: usize, tone: Tone, text: &str) {
        let lead = " ".repeat(indent);
        self.hanging(&lead, Tone::Plain, indent, tone, text);
    }

    /// A word in a column of its own, and text beside it that folds below itself.
    pub(crate) fn entry(&mut self, indent: usize, column: usize, key: &str, key_tone: Tone, text: &str) {
        let key = safe::line(key);
        let lead = format!("{:indent$}{key:column$}  ", "");
        self.hanging(&lead, key_tone, indent + column + 2, Tone::Plain, text);
    }

    /// A lead of its own tone, then text that folds to `hang`.
    pub(crate) fn hanging(&mut self, lead: &str, lead_tone: Tone, hang: usize, tone: Tone, text: &str) {
        let (lead, text) = (safe::line(lead), safe::line(text));
        let room = self.view.width.saturating_sub(hang).max(20);
        for (index, line) in fold(&text, room).into_iter().enumerate() {
            if index == 0 {
                self.painted(lead_tone, &lead);
            } else {
                let _ = write!(self.text, "{:hang$}", "");
            }
            self.painted(tone, line);
            self.end_line();
        }
    }

    /// Text kept line by line as it is: a diff, a ruleset. Lines that are added or removed are coloured so.
    pub(crate) fn verbatim(&mut self, indent: usize, text: &str) {
        for line in safe::block(text).lines() {
            let _ = write!(self.text, "{:indent$}", "");
            self.painted(tone_of_diff(line), line);
            self.end_line();
        }
    }

    /// Rows under headings, each column as wide as its widest cell; the last one folds.
    pub(crate) fn table(&mut self, indent: usize, headings: &[&str], rows: &[Vec<(Tone, String)>]) {
        let cell = |text: &str| safe::line(text).chars().count();
        let mut widths: Vec<usize> = headings.iter().map(|heading| cell(heading)).collect();
        for row in rows {
            for (width, (_, text)) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell(text));
            }
        }
        let headings: Vec<_> = headings.iter().map(|heading| (Tone::Quiet, (*heading).to_owned())).collect();
        self.row(indent, &widths, &headings);
        for row in rows {
            self.row(indent, &widths, row);
        }
    }

    fn row(&mut self, indent: usize, widths: &[usize], row: &[(Tone, String)]) {
        let Some(((last_tone, last), cells)) = row.split_last() else {
            return;
        };
        let _ = write!(self.text, "{:indent$}", "");
        let mut hang = indent;
        for ((tone, text), width) in cells.iter().zip(widths) {
            let text = safe::line(text);
            self.painted(*tone, &text);
            let _ = write!(self.text, "{:pad$}", "", pad = width - text.chars().count() + 2);
            hang += width + 2;
        }
        self.hanging("", Tone::Plain, hang, *last_tone, last);
    }

    fn painted(&mut self, tone: Tone, text: &str) {
        let style = tone.style();
        // Blanks are left bare, so that a line's end can be trimmed of them.
        let body = text.trim_matches(' ');
        if !self.view.colour || style == Style::new() || body.is_empty() {
            self.text.push_str(text);
            return;
        }
        let start = text.len() - text.trim_start_matches(' ').len();
        let _ = write!(self.text, "{}{style}{body}{style:#}{}", &text[..start], &text[start + body.len()..]);
    }

    fn end_line(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }
}

fn tone_of_diff(line: &str) -> Tone {
    if line.starts_with("--- ") || line.starts_with("+++ ") {
        Tone::Strong
    } else if line.starts_with("@@") {
        Tone::Quiet
    } else if line.starts_with('+') {
        Tone::Added
    } else if line.starts_with('-') && !line.starts_with("->") {
        Tone::Removed
    } else {
        Tone::Plain
    }
}

/// Breaks at blanks; a word longer than the room is broken where it must. At least one line, maybe empty.
fn fold(text: &str, room: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text.trim_end();
    loop {
        let Some((limit, _)) = rest.char_indices().nth(room) else {
            lines.push(rest);
            return lines;
        };
        // A blank just behind the limit is as good a break as one before it.
        let blank_at_limit = rest[limit..].starts_with(' ').then_some(limit);
        let at = blank_at_limit.or_else(|| rest[..limit].rfind(' ')).filter(|at| *at > 0).unwrap_or(limit);
        lines.push(rest[..at].trim_end());
        rest = rest[at..].trim_start();
    }
}

/// `1 step`, `2 steps`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_breaks_at_blanks_and_loses_nothing() {
        assert_eq!(fold("one two three", 7), ["one two", "three"]);
        assert_eq!(fold("one two three", 100), ["one two three"]);
        assert_eq!(fold("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(fold("üüüü üü", 4), ["üüüü", "üü"]);
        assert_eq!(fold("", 4), [""]);
    }

    #[test]
    fn colour_is_there_only_when_told_and_text_is_the_same() {
        let write = |colour| {
            let mut page = Page::new(View { colour, width: 60 });
            page.entry(2, 6, "why", Tone::Bad, "because of a\u{1b}[31m");
            page.verbatim(2, "--- a\n+++ b\n+x\n-y\n z");
            page.table(
                0,
                &["a", "b"],
                &[vec![(Tone::Good, "one".to_owned()), (Tone::Bad, "two".to_owned())]],
            );
            page.finish()
        };
        let (plain, coloured) = (write(false), write(true));
        assert!(!plain.contains('\u{1b}'));
        assert!(coloured.contains("\u{1b}[31mwhy\u{1b}[0m"), "{coloured:?}");
        let stripped: String =
            coloured.split('\u{1b}').enumerate().fold(String::new(), |mut text, (index, part)| {
                text.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
                text
            });
        assert_eq!(stripped, plain);
    }

    #[test]
    fn no_line_ends_in_blanks_and_none_is_too_wide() {
        let mut page = Page::new(View { colour: false, width: 50 });
        page.entry(2, 10, "decided by", Tone::Quiet, &"a word and ".repeat(30));
        page.entry(2, 10, "undo", Tone::Quiet, "");
        for line in page.finish().lines() {
            assert!(!line.ends_with(' ') && line.chars().count() <= 50, "{line:?}");
        }
    }
}

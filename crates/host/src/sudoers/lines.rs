//! The lines of a sudoers file: joined where a backslash ends them, without their comments.

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The number of its first physical line, 1-based.
    pub(super) number: usize,
    pub(super) content: Content,
}

/// What a line holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// `@include` or `#include` with the path.
    Include(String),
    /// `@includedir` or `#includedir` with the path.
    IncludeDirectory(String),
    /// Everything else.
    Text(String),
}

/// Splits a file.
pub(super) fn split(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut physical = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((number, first)) = physical.next() {
        if let Some(content) = include(first) {
            lines.push(Line { number, content });
            continue;
        }
        let mut whole = String::new();
        let mut next = Some(first);
        while let Some(line) = next {
            let (said, goes_on) = without_comment(line);
            whole.push_str(said);
            next = if goes_on { physical.next().map(|(_, line)| line) } else { None };
        }
        let whole = whole.trim();
        if !whole.is_empty() {
            lines.push(Line { number, content: Content::Text(whole.to_owned()) });
        }
    }
    lines
}

fn include(line: &str) -> Option<Content> {
    let line = line.trim();
    let rest = line.strip_prefix('@').or_else(|| line.strip_prefix('#'))?;
    let (keyword, path) = rest.split_once([' ', '\t'])?;
    let path = unquoted(path.trim());
    match keyword {
        "include" => Some(Content::Include(path)),
        "includedir" => Some(Content::IncludeDirectory(path)),
        _ => None,
    }
}

/// A path in double quotes, or with spaces escaped by a backslash.
fn unquoted(path: &str) -> String {
    match path.strip_prefix('"').and_then(|path| path.strip_suffix('"')) {
        Some(inner) => inner.to_owned(),
        None => path.replace("\\ ", " "),
    }
}

/// The line without its comment, and whether the next line belongs to it. `#` before a digit is an id.
fn without_comment(line: &str) -> (&str, bool) {
    let bytes = line.as_bytes();
    let (mut at, mut quoted) = (0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if at + 1 == bytes.len() => return (&line[..at], true),
            b'\\' => at += 1,
            b'"' => quoted = !quoted,
            b'#' if !quoted && !is_id(&bytes[at + 1..]) => return (&line[..at], false),
            _ => {}
        }
        at += 1;
    }
    (line, false)
}

fn is_id(after: &[u8]) -> bool {
    after.strip_prefix(b"-").unwrap_or(after).first().is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_ids_includes_and_continuations_are_told_apart() {
        let text =
            "# a comment \\\nbob ALL = \\\n  ALL # tail\n#1000 ALL=ALL\n#include /a\n@includedir /b c\n";
        let lines: Vec<_> = split(text).into_iter().map(|line| (line.number, line.content)).collect();
        assert_eq!(
            lines,
            [
                (2, Content::Text("bob ALL =   ALL".to_owned())),
                (4, Content::Text("#1000 ALL=ALL".to_owned())),
                (5, Content::Include("/a".to_owned())),
                (6, Content::IncludeDirectory("/b c".to_owned())),
            ]
        );
    }
}

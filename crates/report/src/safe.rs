//! Hostile text made safe for a terminal.
//!
//! User names, file contents and log lines are written by others. A terminal obeys what they contain: it can be made to
//! hide a line, to set its title, to answer as if keys had been typed. Here such characters become visible text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One line: every control character, line breaks too, is shown as an escape (`\n`, `\x1b`, `\u{202e}`).
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// Several lines: line feeds and tabs stay, every other control character is shown as an escape.
pub fn block(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let hostile = |c: char| !keep(c) && obeys(c);
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if !hostile(c) => escaped.push(c),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if u32::from(c) < 0x100 => {
                let _ = write!(escaped, "\\x{:02x}", u32::from(c));
            }
            c => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal, or the eye, is led by this character instead of shown it: C0, DEL, C1, line and paragraph
/// separators, bidirectional controls (Unicode TR 9), invisible and tag characters.
fn obeys(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_shown_and_not_obeyed() {
        assert_eq!(line("a\u{1b}[2Jb"), "a\\x1b[2Jb");
        assert_eq!(line("\u{9b}31m"), "\\x9b31m");
        assert_eq!(line("a\r\nb\tc\u{7f}\0"), "a\\r\\nb\\tc\\x7f\\x00");
        assert_eq!(line("user\u{202e}nimda"), "user\\u{202e}nimda");
        assert_eq!(line("in\u{200b}visible\u{e0041}"), "in\\u{200b}visible\\u{e0041}");
    }

    #[test]
    fn a_block_keeps_its_lines_and_nothing_else() {
        assert_eq!(block("a\n\tb\r\u{1b}c"), "a\n\tb\\r\\x1bc");
    }

    #[test]
    fn plain_text_of_any_script_stays() {
        let text = "Grüße, 日本, עברית, 🦀";
        assert!(matches!(line(text), Cow::Borrowed(_)));
    }

    #[test]
    fn no_character_that_is_escaped_is_left() {
        let all: String = (0..0x11_0000).filter_map(char::from_u32).collect();
        assert!(!line(&all).contains(obeys));
        assert!(!block(&all).contains(|c| obeys(c) && c != '\n' && c != '\t'));
    }
}

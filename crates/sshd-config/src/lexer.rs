//! How sshd cuts a line into words.
//!
//! Two cutters are at work in sshd's `misc.c`: `strdelim` takes the keyword (and, before OpenSSH 9.9, the
//! criteria of `Match`), `argv_split` takes the arguments. They disagree about quotes and `=`, so both are here.

use std::ops::Range;

/// A word of a line: where it stands, and what it says once quotes and escapes are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Bytes of the line, quotes included.
    pub span: Range<usize>,
    /// Without quotes and escapes.
    pub value: Vec<u8>,
}

impl Word {
    /// The word as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.value).into_owned()
    }
}

const WHITESPACE: &[u8] = b" \t\r\n";

fn is_whitespace(byte: u8) -> bool {
    WHITESPACE.contains(&byte)
}

/// The part of a physical line that sshd looks at: without the newline, without white space at both ends.
pub(crate) fn trimmed(line: &[u8]) -> Range<usize> {
    let mut end = line.len();
    if line.ends_with(b"\n") {
        end -= 1;
    }
    let start = line[..end].iter().position(|b| !matches!(b, b' ' | b'\t' | b'\r')).unwrap_or(end);
    // The first byte is never cut off: sshd's loop stops before index 0.
    while end > start + 1 && (is_whitespace(line[end - 1]) || line[end - 1] == b'\x0c') {
        end -= 1;
    }
    start..end
}

/// What `strdelim` makes of a line from `at` on.
pub(crate) struct Delimited {
    /// The word cut off; `None` where a quote is never closed.
    pub(crate) word: Option<Word>,
    /// Where the rest of the line begins; `None` where nothing is left.
    pub(crate) rest: Option<usize>,
}

/// Cuts one word at white space, at one `=`, or at the end of a quoted stretch. A word is what stands before the
/// quote joined with what is quoted: `a"b c"d` is `ab c`, then `d`.
pub(crate) fn strdelim(line: &[u8], at: usize) -> Delimited {
    let Some(stop) = (at..line.len()).find(|&i| is_whitespace(line[i]) || matches!(line[i], b'"' | b'='))
    else {
        let word = Word { span: at..line.len(), value: line[at..].to_vec() };
        return Delimited { word: Some(word), rest: None };
    };
    if line[stop] == b'"' {
        let Some(close) = (stop + 1..line.len()).find(|&i| line[i] == b'"') else {
            return Delimited { word: None, rest: None };
        };
        let mut value = line[at..stop].to_vec();
        value.extend_from_slice(&line[stop + 1..close]);
        let rest = skip_whitespace(line, close + 1);
        return Delimited { word: Some(Word { span: at..close + 1, value }), rest: Some(rest) };
    }
    let word = Word { span: at..stop, value: line[at..stop].to_vec() };
    let mut rest = skip_whitespace(line, stop + 1);
    if line[stop] != b'=' && line.get(rest) == Some(&b'=') {
        rest = skip_whitespace(line, rest + 1);
    }
    Delimited { word: Some(word), rest: Some(rest) }
}

fn skip_whitespace(line: &[u8], from: usize) -> usize {
    (from..line.len()).find(|&i| !is_whitespace(line[i])).unwrap_or(line.len())
}

/// The arguments of a directive, and the comment after them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Arguments {
    pub(crate) words: Vec<Word>,
    pub(crate) comment: Option<Range<usize>>,
}

/// Cuts `line[from..]` as `argv_split` does: words between blanks and tabs, quoted by `"` or `'`, with `\"`, `\'`,
/// `\\` and (outside quotes) `\ ` as escapes; a `#` at the start of a word begins a comment. `None` where a quote
/// is never closed.
pub(crate) fn argv_split(line: &[u8], from: usize) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    let mut at = from;
    while at < line.len() {
        match line[at] {
            b' ' | b'\t' => at += 1,
            b'#' => {
                arguments.comment = Some(at..line.len());
                break;
            }
            _ => {
                let word = argument(line, at)?;
                at = word.span.end;
                arguments.words.push(word);
            }
        }
    }
    Some(arguments)
}

fn argument(line: &[u8], start: usize) -> Option<Word> {
    let mut value = Vec::new();
    let mut quote = None;
    let mut at = start;
    while at < line.len() {
        let byte = line[at];
        let next = line.get(at + 1).copied();
        match (byte, quote) {
            (b'\\', _) => {
                let escapes =
                    matches!(next, Some(b'\'' | b'"' | b'\\')) || (quote.is_none() && next == Some(b' '));
                if escapes {
                    at += 1;
                }
                value.push(line[at]);
            }
            (b' ' | b'\t', None) => break,
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(open)) if byte == open => quote = None,
            (_, None | Some(_)) => value.push(byte),
        }
        at += 1;
    }
    quote.is_none().then_some(Word { span: start..at, value })
}

/// Writes words so that [`argv_split`] reads them back: the way sshd prints a subsystem's command.
pub(crate) fn argv_assemble<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (position, word) in words.into_iter().enumerate() {
        if position > 0 {
            text.push(' ');
        }
        let blank = word.contains([' ', '\t']);
        if blank {
            text.push('"');
        }
        for c in word.chars() {
            if matches!(c, '\\' | '\'' | '"') {
                text.push('\\');
            }
            text.push(c);
        }
        if blank {
            text.push('"');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        Some(argv_split(text.as_bytes(), 0)?.words.iter().map(Word::text).collect())
    }

    #[test]
    fn arguments_know_quotes_escapes_and_comments() {
        assert_eq!(words(r#"a "b c" 'd "e' f\ g h#i # j"#).unwrap(), ["a", "b c", "d \"e", "f g", "h#i"]);
        assert_eq!(words(r#"a"b"c \x """#).unwrap(), ["abc", r"\x", ""]);
        assert_eq!(words(r#"a "b"#), None);
    }

    #[test]
    fn strdelim_takes_one_equals_sign_and_joins_a_quoted_stretch() {
        let cut = |text: &str| {
            let cut = strdelim(text.as_bytes(), 0);
            (cut.word.map(|w| w.text()), cut.rest.map(|at| text[at..].to_owned()))
        };
        let some = |word: &str, rest: &str| (Some(word.to_owned()), Some(rest.to_owned()));
        assert_eq!(cut("Port = 22"), some("Port", "22"));
        assert_eq!(cut("Port==22"), some("Port", "=22"));
        assert_eq!(cut("\"Port\" 22"), some("Port", "22"));
        assert_eq!(cut("\"Port\"=22"), some("Port", "=22"));
        assert_eq!(cut("Po\"rt 22"), (None, None));
        assert_eq!(cut("Port"), (Some("Port".to_owned()), None));
    }

    #[test]
    fn trailing_white_space_goes_and_a_lone_byte_stays() {
        assert_eq!(trimmed(b"  a b \t\x0c\r\n"), 2..5);
        assert_eq!(trimmed(b"\n"), 0..0);
        assert_eq!(trimmed(b" \x0c\n"), 1..2);
    }
}

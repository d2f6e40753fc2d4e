//! A line in words, quoted as for `iptables-restore`.

use std::borrow::Cow;

use super::Failure;

/// A word, and where it stands in its line (bytes).
#[derive(Debug)]
pub(crate) struct Word<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Whether `'` quotes, too, as in a shell; `iptables-restore` takes it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    Double,
    Shell,
}

/// Splits `line` from `start` on, and appends to `words`. The second value tells of a quote that was never closed.
pub(crate) fn split<'a>(
    line: &'a str,
    start: usize,
    quotes: Quotes,
    words: &mut Vec<Word<'a>>,
) -> Result<bool, Failure> {
    let bytes = line.as_bytes();
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        at +=
            rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).unwrap_or(rest.len());
        let start = at;
        let rest = bytes.get(at..).unwrap_or(&[]);
        let ends = |byte: &u8| match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b'"' => true,
            b'\'' => quotes == Quotes::Shell,
            _ => false,
        };
        at += rest.iter().position(ends).unwrap_or(rest.len());
        match bytes.get(at) {
            Some(b'"' | b'\'') => {
                let (word, open) = quoted(line, start, at, quotes);
                at = word.end;
                words.push(word);
                if open {
                    return Ok(true);
                }
            }
            _ if at == start => return Ok(false),
            _ => words.push(Word { text: Cow::Borrowed(&line[start..at]), start, end: at }),
        }
    }
}

/// A word in which a quote opens at `open`. A closing `"` ends the word, unless the quotes are a shell's.
fn quoted(line: &str, start: usize, open: usize, quotes: Quotes) -> (Word<'_>, bool) {
    let mut text = line[start..open].to_owned();
    let mut quote = None;
    let mut escaped = false;
    for (offset, letter) in line[open..].char_indices() {
        let end = open + offset;
        match quote {
            Some(_) if escaped => {
                text.push(letter);
                escaped = false;
            }
            Some('"') if letter == '\\' => escaped = true,
            Some(mark) if letter == mark => {
                quote = None;
                if quotes == Quotes::Double {
                    return (Word { text: text.into(), start, end: end + 1 }, false);
                }
            }
            None if letter == '"' || (letter == '\'' && quotes == Quotes::Shell) => quote = Some(letter),
            None if letter.is_ascii_whitespace() => return (Word { text: text.into(), start, end }, false),
            _ => text.push(letter),
        }
    }
    (Word { text: text.into(), start, end: line.len() }, quote.is_some())
}

//! The lossless concrete tree of one file: every byte is kept, every part knows where it stands.

use std::ops::Range;

use crate::lexer::{self, Word};

/// One configuration file, line by line. `File::parse(x).to_bytes() == x` for every `x`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    lines: Vec<Line>,
}

/// One physical line with its terminator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    bytes: Vec<u8>,
    content: Content,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing but white space.
    Blank,
    /// Begins with `#`.
    Comment,
    /// A keyword with its arguments; `Match` and `Include` are keywords like others.
    Directive(Directive),
    /// Text in which sshd finds no keyword, because a quote before it is never closed. sshd skips it silently.
    Ignored,
}

/// A keyword and its arguments, with their places in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The keyword as written, quotes removed.
    pub keyword: Word,
    /// White space or `=` between the keyword and what follows.
    pub separator: Range<usize>,
    /// The arguments; empty where `unbalanced`.
    pub arguments: Vec<Word>,
    /// From the keyword's separator to the end of the line, white space at the end cut off: what keywords such as
    /// `ForceCommand` take whole, comment included.
    pub rest: Range<usize>,
    /// `# ...` after the arguments.
    pub comment: Option<Range<usize>>,
    /// A quote among the arguments is never closed: sshd refuses the line.
    pub unbalanced: bool,
}

impl File {
    /// Cuts bytes into lines and words. Never fails: what sshd would refuse is found later, with its place.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self { lines: bytes.split_inclusive(|&b| b == b'\n').map(Line::parse).collect() }
    }

    /// The bytes that were parsed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.bytes.iter().copied()).collect()
    }

    /// Every line in order; the first is line 1.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Every directive with its line number, from 1.
    pub fn directives(&self) -> impl Iterator<Item = (usize, &Line, &Directive)> {
        self.lines.iter().enumerate().filter_map(|(index, line)| match &line.content {
            Content::Directive(directive) => Some((index + 1, line, directive)),
            Content::Blank | Content::Comment | Content::Ignored => None,
        })
    }
}

impl Line {
    fn parse(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), content: Content::parse(bytes) }
    }

    /// The line with its terminator.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the line says.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// How many columns of white space stand before the text; a tab counts as eight.
    #[must_use]
    pub fn indent(&self) -> usize {
        let blank = self.bytes.iter().take_while(|b| matches!(b, b' ' | b'\t'));
        blank.map(|&b| if b == b'\t' { 8 } else { 1 }).sum()
    }

    /// The text of a span, bytes that are not UTF-8 replaced.
    #[must_use]
    pub fn text(&self, span: &Range<usize>) -> String {
        String::from_utf8_lossy(&self.bytes[span.clone()]).into_owned()
    }
}

impl Content {
    fn parse(bytes: &[u8]) -> Self {
        let trimmed = lexer::trimmed(bytes);
        let line = &bytes[..trimmed.end];
        if trimmed.is_empty() {
            return Self::Blank;
        }
        let mut cut = lexer::strdelim(line, trimmed.start);
        // A line may begin with one `=` or with an empty pair of quotes; sshd then takes the next word.
        if let (Some(word), Some(rest)) = (&cut.word, cut.rest)
            && word.value.is_empty()
        {
            cut = lexer::strdelim(line, rest);
        }
        let Some(keyword) = cut.word else {
            return Self::Ignored;
        };
        match keyword.value.first() {
            None => return Self::Blank,
            Some(b'#') => return Self::Comment,
            Some(_) => {}
        }
        let start = cut.rest.unwrap_or(line.len());
        let split = lexer::argv_split(line, start);
        let unbalanced = split.is_none();
        let split = split.unwrap_or_default();
        Self::Directive(Directive {
            separator: keyword.span.end..start,
            keyword,
            arguments: split.words,
            rest: start..line.len(),
            comment: split.comment,
            unbalanced,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn only(text: &str) -> Directive {
        match File::parse(text.as_bytes()).lines[0].content.clone() {
            Content::Directive(directive) => directive,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_directive_knows_the_place_of_its_parts() {
        let directive = only("  Match=User \"a b\" # why\n");
        assert_eq!(directive.keyword.span, 2..7);
        assert_eq!(directive.separator, 7..8);
        assert_eq!(directive.arguments.iter().map(Word::text).collect::<Vec<_>>(), ["User", "a b"]);
        assert_eq!(directive.arguments[1].span, 13..18);
        assert_eq!(directive.comment, Some(19..24));
    }

    #[test]
    fn a_keyword_may_stand_in_quotes_or_after_an_equals_sign() {
        assert_eq!(only("\"Port\" 22").keyword.text(), "Port");
        assert_eq!(only("= Port 22").keyword.text(), "Port");
        assert_eq!(File::parse(b"Port\"22").lines[0].content, Content::Ignored);
    }

    #[test]
    fn blank_lines_and_comments_are_told_apart() {
        let file = File::parse(b"\n \t\n # x\nPort 22");
        let kinds: Vec<_> = file.lines.iter().map(|l| l.content.clone()).collect();
        assert_eq!(kinds[..3], [Content::Blank, Content::Blank, Content::Comment]);
        assert_eq!(file.directives().map(|(line, ..)| line).collect::<Vec<_>>(), [4]);
    }

    proptest! {
        #[test]
        fn every_byte_survives(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(File::parse(&bytes).to_bytes(), bytes);
        }

        #[test]
        fn every_byte_of_likely_text_survives(text in "([ \\t=\"'#\\\\\\r\\na-zA-Z0-9é,*!]){0,200}") {
            let file = File::parse(text.as_bytes());
            prop_assert_eq!(file.to_bytes(), text.as_bytes());
            for (_, line, directive) in file.directives() {
                for word in &directive.arguments {
                    prop_assert!(word.span.end <= line.bytes().len());
                }
            }
        }
    }
}

//! `-m comment`: a remark.

use crate::parse::options::{Kind, value};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// No condition: a remark of at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// `--comment`.
    pub text: String,
}

pub(crate) const KIND: Kind = Kind::matching("comment", &[value("comment", 0)], |args| {
    let text = args.string(0).unwrap_or_default();
    Ok(Match::Comment(Comment { text: cut(text, 255).to_owned() }))
})
.required(1);

/// As much of the text as the kernel's field holds.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}

impl Comment {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::string(f, "--comment", &self.text)
    }
}

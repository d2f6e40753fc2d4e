//! `-m string`: a pattern within the packet.

/// A pattern within the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringMatch {
    /// Whether `!` stands before the pattern.
    pub negated: bool,
    /// `--string`, `--hex-string`: at most 128 bytes.
    pub pattern: Vec<u8>,
    /// `--algo`: `bm`, `kmp`.
    pub algorithm: String,
    /// `--from`: where the search begins, in bytes; 0 when it is left out.
    pub from: u16,
    /// `--to`: where it ends; 65535 when it is left out.
    pub to: u16,
    /// `--icase`: capital and small letters are the same.
    pub ignore_case: bool,
}

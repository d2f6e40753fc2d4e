//! `-m comment`: a remark.

/// No condition: a remark of at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// `--comment`.
    pub text: String,
}

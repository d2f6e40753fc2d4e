//! `-m socket`: whether a local socket waits for the packet.

/// Whether a local socket waits for the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Socket {
    /// `--transparent`.
    pub transparent: bool,
    /// `--nowildcard`.
    pub no_wildcard: bool,
    /// `--restore-skmark`.
    pub restore_mark: bool,
}

//! `-m rpfilter`: whether the answer would take the same way.

/// Whether the answer would take the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rpfilter {
    /// `--loose`: by any interface.
    pub loose: bool,
    /// `--validmark`: the packet's mark is used for the route.
    pub valid_mark: bool,
    /// `--accept-local`: addresses of this machine are right, too.
    pub accept_local: bool,
    /// `--invert`: matches what fails the test.
    pub invert: bool,
}

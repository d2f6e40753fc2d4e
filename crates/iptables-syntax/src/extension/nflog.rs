//! `-j NFLOG`: the packet goes to a program that logs it.

/// The packet goes to a program that logs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nflog {
    /// `--nflog-prefix`, at most 63 bytes; empty: none.
    pub prefix: String,
    /// `--nflog-group`.
    pub group: u16,
    /// `--nflog-range`: bytes of the packet, in its old form, which the kernel never heeded.
    pub range: Option<u32>,
    /// `--nflog-size`: bytes of the packet.
    pub size: Option<u32>,
    /// `--nflog-threshold`: packets that wait for each other; 1 when it is left out.
    pub threshold: Option<u16>,
}

//! `-j LOG`: a line in the kernel's log.

/// A line in the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `--log-prefix`, at most 29 bytes; empty: none.
    pub prefix: String,
    /// `--log-level`: 0 (emerg) to 7 (debug); 4 (warning) when it is left out.
    pub level: u8,
    /// What the line says more.
    pub flags: LogFlags,
}

/// What a line of [`Log`] says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogFlags {
    /// `--log-tcp-sequence`.
    pub tcp_sequence: bool,
    /// `--log-tcp-options`.
    pub tcp_options: bool,
    /// `--log-ip-options`.
    pub ip_options: bool,
    /// `--log-uid`.
    pub uid: bool,
    /// `--log-macdecode`.
    pub mac: bool,
}

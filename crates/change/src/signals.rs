//! Signals that ask this program to end, held back while it changes the machine.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// While it lives, HUP, INT, QUIT and TERM do not end the calling thread. A program that stops between two steps is
/// worse than one that ends a second later, undone.
pub(crate) struct Held {
    before: SigSet,
    pending: Option<SignalFd>,
}

impl Held {
    pub(crate) fn hold() -> Self {
        let asked: SigSet =
            [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM].into_iter().collect();
        let before = SigSet::thread_get_mask().unwrap_or_else(|_| SigSet::empty());
        let _ = asked.thread_block();
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Self { before, pending: SignalFd::with_flags(&asked, flags).ok() }
    }

    /// The signal that came meanwhile.
    pub(crate) fn take(&self) -> Option<String> {
        let info = self.pending.as_ref()?.read_signal().ok()??;
        let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
        Some(signal.map_or_else(|| info.ssi_signo.to_string(), |signal| signal.as_str().to_owned()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // One that came after the last look has been outlived; what it asked for is about to happen anyway.
        while self.take().is_some() {}
        let _ = self.before.thread_set_mask();
    }
}

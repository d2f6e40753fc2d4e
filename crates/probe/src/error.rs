//! What can go wrong while probing.

use rustix::io::Errno;

/// Why no probe could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{call}: {errno}")]
    System {
        /// Which.
        call: &'static str,
        /// How.
        errno: Errno,
    },
    /// The namespace outside could not be joined to the host.
    #[error("joining a network namespace to the host: {0}")]
    Link(#[from] netlink::Error),
    /// There is an interface of that name already: somebody else is probing.
    #[error("there is an interface {name} already: another probing is under way")]
    Taken {
        /// The name.
        name: String,
    },
    /// The thread that stands outside has ended.
    #[error("the prober outside has ended")]
    Ended,
}

/// Names the call that failed.
pub(crate) fn system(call: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::System { call, errno }
}

//! Real packets to a host from a throwaway network namespace, and what came back.
//!
//! An [`Outside`] is a thread in a network namespace of its own that a virtual cable joins to the host. From there TCP ports are
//! scanned, datagrams and echo requests sent, and sources forged, in IPv4 and IPv6. When it is dropped, or its process dies in
//! whatever way, the namespace is gone and with it the cable.
//!
//! It does not know what should be open; that is for whoever asks. [`nft_ruleset`] has `nft` load a text in such a namespace.
//!
//! ```no_run
//! let outside = probe::Outside::join("probe0")?;
//! let (from, to) = (outside.v4(), outside.host_v4());
//! let scan = outside.run(move || probe::scan::tcp(from.into(), to.into(), 1..=65_535, &[22].into()))??;
//! println!("{} of {} ports accept a connection", scan.open.len(), scan.tried);
//! # Ok::<(), probe::Error>(())
//! ```

mod checksum;
mod error;
mod nft;
mod outside;
mod packet;
mod raw;
pub mod reach;
pub mod scan;

pub use error::Error;
pub use nft::{NftError, nft_ruleset};
pub use outside::Outside;

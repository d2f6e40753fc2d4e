//! Netlink without C and without `unsafe`: sockets, messages and attributes, and the little of the route and
//! `sock_diag` families that a tool needs to know a host's links, addresses, routes and listening sockets.
//!
//! It is not a complete rtnetlink library, and it opens no other kind of socket. Everything is synchronous.
//! Extended acknowledgements are decoded where the kernel sends them, but not asked for: the socket option
//! (`NETLINK_EXT_ACK`) cannot be set through rustix, and unsafe code is not allowed here.
//!
//! ```
//! use netlink::{Protocol, Socket};
//!
//! let mut socket = Socket::open(Protocol::Route)?;
//! for link in netlink::route::links(&mut socket)? {
//!     println!("{} {} {}", link.index, link.name, if link.up { "up" } else { "down" });
//! }
//! # Ok::<(), netlink::Error>(())
//! ```

pub mod attribute;
pub mod message;
pub mod route;
pub mod sock_diag;
pub mod socket;

pub use attribute::{Attribute, Attributes, DecodeError, Writer};
pub use rustix::io::Errno;
pub use socket::{Error, Protocol, Socket};

//! Throwaway Debian hosts for tests.
//!
//! A [`Host`] is a real one as far as a test can tell: systemd as pid 1, sshd, accounts, a journalling file system
//! on a disk of its own, a network of its own with an [outside](Host::outside) that may send from any address. It
//! boots in about half a second, can be rebooted, and can have its power cut so that what was not synced is lost.
//! It is gone when the value is dropped; what a killed run leaves behind is cleared by the next.
//!
//! It is not a sandbox for hostile code (the container shares this machine's kernel, and its root is root), and it
//! does not replace a virtual machine where the kernel itself, its modules or the boot loader are under test.
//! Nothing here acts on this machine's own network: whatever changes one wants an [`IsolatedNet`].
//!
//! ```no_run
//! use lab::{Auth, Host, HOST_V6, Key, Tree, User};
//!
//! # fn main() -> lab::Result<()> {
//! let key = Key::named("admin")?;
//! let mut host = Host::builder(&Tree::bookworm()?)
//!     .user(&User::new("deploy").key(&key).group("sudo"))
//!     .root_password("hunter2")
//!     .file("/etc/motd", "A throwaway host.\n")
//!     .boot()?;
//! let login = host.ssh("deploy", Auth::Key(key.path())).to(HOST_V6).run("id -un")?.unwrap();
//! assert_eq!(login.stdout, "deploy\n");
//! host.run(&["systemctl", "reload", "ssh"])?.unwrap();
//! host.power_cut()?;
//! # Ok(())
//! # }
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "a harness: it writes below its own directory and into throwaway hosts, and starts programs"
)]
#![allow(clippy::print_stderr, reason = "a skipped test has to say so")]

mod builder;
mod cgroup;
mod container;
mod copy;
mod disk;
mod error;
mod host;
mod key;
mod layer;
mod leftovers;
mod listener;
mod manifest;
mod net;
mod outside;
mod place;
mod process;
mod rooted;
mod ssh;
mod tree;

pub use builder::{Builder, User};
pub use copy::{DiskCopy, MountedCopy};
pub use error::{Error, Result};
pub use host::Host;
pub use key::Key;
pub use layer::Layer;
pub use listener::{GREETING, Transport};
pub use manifest::{Content, Entry, Manifest};
pub use net::{
    Families, HOST_INTERFACE, HOST_V4, HOST_V6, IsolatedNet, OUTSIDE_INTERFACE, OUTSIDE_V4, OUTSIDE_V6,
};
pub use outside::{Connect, Datagram, Outside};
pub use place::{Lab, packages, skip};
pub use process::{Output, Running};
pub use ssh::{Auth, Ssh};
pub use tree::{Suite, Tree};

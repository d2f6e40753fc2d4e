//! The server configuration of OpenSSH, `sshd_config`: read without loss, answered as sshd answers.
//!
//! - [`tree`] is the text of one file, byte for byte.
//! - [`Configuration`] is the main file with all it includes, and everything wrong with it as [`Problem`]s.
//! - [`Configuration::effective`] tells what applies to a [`Connection`], each value with the line that decides:
//!   the same as `sshd -T -C` prints, without running it.
//! - [`Configuration::for_some_connection`] tells what a keyword can be for any connection at all.
//! - [`edit`] writes drop-ins, inserts lines, and finds lines without effect.
//! - [`dump`] reads what `sshd -T` prints, in every spelling.
//!
//! It starts no program, opens no socket and writes no file; it does not check keys, owners or modes. Values that
//! are not UTF-8 survive in the tree; in answers their bytes are replaced.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::path::PathBuf;
//! use sshd_config::{Configuration, Connection, Keyword};
//!
//! let text = b"PermitRootLogin no\nMatch Address 10.0.0.0/8\n    PermitRootLogin yes\n";
//! let files = BTreeMap::from([(PathBuf::from("/etc/ssh/sshd_config"), text.to_vec())]);
//! let configuration = Configuration::load(&files, "/etc/ssh/sshd_config");
//! let root = configuration.effective(&Connection::of("root", "10.1.2.3".parse()?));
//! let setting = root.get(Keyword::PermitRootLogin);
//! assert_eq!(setting.text(), "yes");
//! assert_eq!(setting.origin().unwrap().to_string(), "/etc/ssh/sshd_config:3");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod address;
mod admission;
mod algorithms;
pub mod condition;
mod configuration;
mod connection;
mod defaults;
pub mod dump;
pub mod edit;
mod effective;
mod glob;
mod keyword;
mod lexer;
mod listen;
mod loader;
mod number;
pub mod pattern;
mod possible;
mod problem;
mod sense;
mod source;
mod state;
pub mod tree;
mod value;
mod value_type;
mod version;

pub use admission::Refusal;
pub use algorithms::AlgorithmError;
pub use configuration::{Configuration, Directive, Include, Scope, ScopeId};
pub use connection::Connection;
pub use defaults::Defaults;
pub use effective::{Effective, Setting, Value};
pub use keyword::{Keyword, Lookup};
pub use lexer::Word;
pub use possible::{Constraint, Possibility};
pub use problem::{Error, Origin, Problem};
pub use source::{Files, Root};
pub use value::ValueError;
pub use value_type::{Choice, Family, Place, ValueType};
pub use version::Version;

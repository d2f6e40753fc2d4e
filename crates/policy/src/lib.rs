//! The policy file of Gabion: what a secured host should be, in TOML.
//!
//! This crate reads the text of a policy, checks it, and says of every mistake where it stands and what was meant.
//! It does not look at the host and does not compare anything with it; that is for `controls`.
//!
//! ```
//! use std::path::Path;
//!
//! let text = "[ssh]\nroot-logn = false\n";
//! let error = policy::parse(text, Path::new("policy.toml")).unwrap_err();
//! assert_eq!(error.problems[0].line, 2);
//! assert_eq!(error.problems[0].label.as_deref(), Some("did you mean `root-login`?"));
//!
//! let text = "[[firewall.allow]]\nservice = \"ssh\"\nfrom = \"192.0.2.0/24\"\n";
//! let policy = policy::parse(text, Path::new("policy.toml"))?;
//! assert_eq!(policy.firewall.allow[0].ports(&[22])?[0].to_string(), "tcp/22");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod decode;
pub mod edit;
mod model;
mod nearest;
pub mod password_hash;
mod places;
mod problem;
pub mod public_key;
mod read;
mod rule;
mod schema;
pub mod services;
mod syntax;
mod text;
mod vocabulary;
pub mod write;

use std::path::{Path, PathBuf};

pub use decode::{Parsed, parse_with_places};
pub use model::{
    Admin, Allow, AllowLogin, Backend, Crypto, Firewall, Forward, Ipv6, LogRate, Password, Policy, PortSpec,
    Refusal, Rule, RuleFamily, Ssh, Sudo, Transport,
};
pub use places::{Place, Places};
pub use problem::{PolicyError, Problem, Severity, render};
pub use rule::Families;
#[cfg(feature = "schema")]
pub use schema::of_types::schema_of_types;
pub use schema::schema;
pub use text::{PortError, RateError};
pub use write::{Hints, Listening, to_toml};

/// Reads a policy; `origin` names its file in errors.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn parse(text: &str, origin: &Path) -> Result<Policy, PolicyError> {
    parse_with_places(text, origin).map(|parsed| parsed.policy)
}

/// A policy file that could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Reads a policy from its file.
///
/// # Errors
/// The file cannot be read, is not UTF-8, or is no policy.
pub fn load(file: &Path) -> Result<Parsed, LoadError> {
    let text =
        std::fs::read_to_string(file).map_err(|source| LoadError::Read { file: file.to_owned(), source })?;
    Ok(parse_with_places(&text, file)?)
}

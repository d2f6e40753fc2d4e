//! What Gabion found, would do, did and saw, as text for a person and as JSON for a program.
//!
//! Text is folded, aligned, coloured only when told, and safe for a terminal whatever a host's users and files are
//! called. JSON is a stable contract with a version: every module's `json` gives a document to be serialised. Nothing is
//! judged here and nothing is read from the host: what is said comes from `controls` and `change`.
//!
//! ```
//! let facts = host::Facts::default();
//! let audit = controls::audit(&facts, &policy::Policy::default());
//!
//! let text = report::audit::text(&audit, &facts, report::View::default());
//! assert!(text.starts_with("Audit of a host without a known name\n"));
//!
//! let document = report::audit::json(&audit, &facts);
//! assert!(serde_json::to_string(&document)?.starts_with("{\"version\":1,"));
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod audit;
pub mod explanation;
pub mod firewall;
pub mod firewall_status;
pub mod grade;
pub mod lockout;
mod page;
pub mod plan;
pub mod rulesets;
pub mod safe;
mod touched;
pub mod trace;
pub mod transaction;
pub mod verification;

pub use page::View;

/// The version of every JSON document of this crate. A new key does not change it; a key that goes, or comes to mean
/// another thing, does.
pub const VERSION: u32 = 1;

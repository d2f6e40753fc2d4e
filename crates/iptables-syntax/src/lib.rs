//! `iptables-save` and `ip6tables-save` text, and the arguments of `iptables` rules, as data and back.
//!
//! It is not a firewall: nothing here asks the kernel, resolves a name or judges what a rule means. An extension that
//! it does not know is kept word for word ([`Unknown`]); one that it knows is taken apart, and refused where it is wrong.
//!
//! ```
//! use iptables_syntax::{Family, Mode, Target, parse_rule, parse_save};
//!
//! let rule = parse_rule("-p tcp --dport ssh -m state --state NEW -j ACCEPT", Family::Ipv4, Mode::Strict)?;
//! assert_eq!(rule.to_string(), "-p tcp -m tcp --dport 22 -m state --state NEW -j ACCEPT");
//! assert_eq!(rule.target, Some(Target::Accept));
//!
//! let error = parse_rule("-p tcp --dport 70000 -j ACCEPT", Family::Ipv4, Mode::Strict).unwrap_err();
//! assert_eq!((error.line(), error.column()), (1, 16));
//!
//! let text = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";
//! let (save, oddities) = parse_save(text.as_bytes(), Family::Ipv4, Mode::Strict)?;
//! assert_eq!(save.to_string(), text);
//! assert_eq!(save.tables()[0].rules.len(), 1);
//! assert!(oddities.is_empty());
//! # Ok::<(), iptables_syntax::SyntaxError>(())
//! ```

mod ast;
pub mod check;
mod error;
pub mod extension;
mod parse;
mod print;
mod value;

pub use ast::*;
pub use error::{Oddity, SyntaxError};
pub use value::*;

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As `iptables-restore` reads it: what it would refuse is an error.
    Strict,
    /// As a person reads an old dump: prompts, host names, unreadable MAC addresses and the like are oddities.
    Lenient,
}

/// A file in its family: every byte is kept.
///
/// # Errors
/// In strict mode, what `iptables-restore` would refuse; in lenient mode, a rule that cannot be understood at all.
pub fn parse_save(text: &[u8], family: Family, mode: Mode) -> Result<(Save, Vec<Oddity>), SyntaxError> {
    parse::save(text, family, mode)
}

/// A rule: `-p tcp --dport 22 -j ACCEPT`, quoted as for `iptables-restore`.
///
/// # Errors
/// What `iptables` would refuse; and a list of addresses, which makes several rules: see [`parse_rules`].
pub fn parse_rule(arguments: &str, family: Family, mode: Mode) -> Result<Rule, SyntaxError> {
    parse::rule(arguments, family, mode)
}

/// The rules that a list of addresses (`-s a,b`) makes of the arguments, in the order in which `iptables` makes them.
///
/// # Errors
/// What `iptables` would refuse.
pub fn parse_rules(arguments: &str, family: Family, mode: Mode) -> Result<Vec<Rule>, SyntaxError> {
    parse::rules(arguments, family, mode)
}

/// A command: `iptables -t nat -I PREROUTING 3 -p tcp ...`, where `iptables` (or `ip6tables`, whose family then counts) may be absent.
///
/// # Errors
/// What `iptables` would refuse.
pub fn parse_command(arguments: &str, family: Family, mode: Mode) -> Result<ParsedCommand, SyntaxError> {
    parse::command(arguments, family, mode)
}

/// A command, with the table that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedCommand {
    /// The family.
    pub family: Family,
    /// `-t`; `None`: `filter`.
    pub table: Option<String>,
    /// What is done.
    pub command: Command,
    /// The rules, where the command takes one: several where it lists addresses.
    pub rules: Vec<Rule>,
}

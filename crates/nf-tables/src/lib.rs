//! `nf_tables` without `nft` and without C: tables, chains, rules, sets, elements and expressions as plain data;
//! their netlink messages to and from bytes; and the socket that commits a batch and dumps the ruleset back.
//!
//! It is not a language: there is no rule text here and no judgement what a ruleset means. What the kernel
//! sends and this crate does not know is kept byte for byte ([`Expression::Unknown`]).
//!
//! ```no_run
//! use nf_tables::*;
//!
//! let table = TableId::new(Family::Inet, "example");
//! let input = ChainId::new(&table, "input");
//! let mut batch = Batch::new();
//! batch.add_table(&Table::new(Family::Inet, "example"));
//! batch.add_chain(&table, &Chain::base("input", HookPoint::Input, 0, Policy::Accept));
//! let rule = Rule::new(vec![
//!     Expression::Meta(Meta { key: MetaKey::L4Protocol, dreg: Register::R1 }),
//!     Expression::Cmp(Cmp { sreg: Register::R1, op: CmpOp::Eq, data: vec![6] }),
//!     Expression::Counter(Counter::default()),
//!     Expression::Immediate(Immediate::verdict(Verdict::Accept)),
//! ]);
//! batch.append_rule(&input, &rule).label("let TCP in");
//!
//! let mut connection = Connection::open()?;
//! batch.at_generation(connection.generation()?);
//! connection.commit(&batch)?;
//! # Ok::<(), nf_tables::Error>(())
//! ```

pub mod batch;
pub mod connection;
mod data_type;
pub mod expression;
mod flags;
mod hex;
pub mod monitor;
pub mod object;
mod register;
pub mod ruleset;
pub mod trace;
pub mod userdata;

pub use batch::Batch;
pub use connection::{Connection, Error, Refusal};
pub use data_type::DataType;
pub use expression::*;
pub use netlink::{DecodeError, Errno};
pub use object::*;
pub use register::Register;
pub use ruleset::{ChainDump, Ignore, Ruleset, SetDump, TableDump};

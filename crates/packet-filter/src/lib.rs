//! A packet filter's ruleset as data: compile a policy, decide a packet and say why, prove that the ruleset does what
//! the policy says, load it in one piece, and compare what is loaded.
//!
//! The rule language is that of `nf_tables` itself: the expressions that the kernel runs. So one machine ([`Machine`])
//! decides packets for what [`compile()`] makes and for what the kernel holds, other programs' tables included. What it
//! does not know it says ([`Decision::depends_on`]).
//!
//! It is not a firewall with zones, address translation or a language of its own, and it knows nothing of the `x_tables`
//! of `iptables-legacy`.
//!
//! ```
//! use packet_filter::*;
//!
//! let policy = FilterPolicy { allow: vec![Allow::new("ssh", [PortRange::tcp(22)])], ..FilterPolicy::default() };
//! let compiled = compile(&policy);
//! prove(&policy, &compiled)?;
//!
//! let packet = Packet::tcp("198.51.100.7:40000".parse()?, "192.0.2.1:23".parse()?)?.arriving_on("eth0");
//! let decision = decide(&[compiled.table().clone()], Hook::Input, &packet);
//! assert!(decision.verdict.is_refusal() && decision.certain);
//! assert_eq!(decision.crossed.last().unwrap().text, "meta l4proto tcp counter reject with tcp reset");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod compare;
pub mod compile;
mod contents;
pub mod decide;
pub mod export;
mod facts;
pub mod intent;
pub mod iptables;
pub mod listing;
pub mod load;
mod machine;
pub mod packet;
pub mod policy;
pub mod prove;
mod ranges;
pub mod rules;
pub mod space;
mod statement;
pub mod text;

pub use compare::{Difference, Side, compare, compare_loaded};
pub use compile::{Compiled, DEFAULT_TABLE, compile, compile_named};
pub use contents::key_ranges;
pub use decide::{DecidedBy, Decision, Machine, Reason, RuleRef, Verdict, decide};
pub use export::{IptablesExport, iptables_export, iptables_save, nft_text};
pub use intent::{Answer, Ending, Manner, Rate, policy_decides};
pub use load::{LoadError, Loaded, load, restore, unload};
pub use packet::{Addresses, Hook, MixedFamilies, Packet, Payload, State};
pub use policy::{
    Allow, FilterPolicy, ForwardEntry, InterfaceName, Ipv6, LogRate, Per, PortRange, Refusal, Transport,
};
pub use prove::{Disagreement, Proof, Unproven, prove};
pub use rules::{PolicyRule, RuleProblem, Rules};

//! The objects of a ruleset, each with its encoding beside its decoding.

mod chain;
mod element;
mod family;
mod named;
pub(crate) mod rule;
mod set;
mod table;
mod verdict;

pub use chain::{Chain, ChainFlags, ChainId, ChainKind, Hook, HookPoint, Policy};
pub use element::{Element, ElementFlags};
pub use family::Family;
pub use named::{NamedObject, ObjectKind};
pub use rule::Rule;
pub(crate) use set::milliseconds;
pub use set::{MapData, Set, SetFlags, SetPolicy};
pub use table::{Table, TableFlags, TableId};
pub use verdict::{Data, Verdict};

/// The size of `struct nfgenmsg`, the header of every message of netfilter: family, version, resource.
pub const NFGENMSG: usize = 4;

/// The messages of `nf_tables` (`enum nf_tables_msg_types`), with the subsystem's number in the high byte.
#[allow(missing_docs, reason = "the names are the kernel's")]
pub mod message_type {
    const fn nf_tables(number: u16) -> u16 {
        10 << 8 | number
    }

    pub const NEW_TABLE: u16 = nf_tables(0);
    pub const GET_TABLE: u16 = nf_tables(1);
    pub const DEL_TABLE: u16 = nf_tables(2);
    pub const NEW_CHAIN: u16 = nf_tables(3);
    pub const GET_CHAIN: u16 = nf_tables(4);
    pub const DEL_CHAIN: u16 = nf_tables(5);
    pub const NEW_RULE: u16 = nf_tables(6);
    pub const GET_RULE: u16 = nf_tables(7);
    pub const DEL_RULE: u16 = nf_tables(8);
    pub const NEW_SET: u16 = nf_tables(9);
    pub const GET_SET: u16 = nf_tables(10);
    pub const DEL_SET: u16 = nf_tables(11);
    pub const NEW_SET_ELEMENT: u16 = nf_tables(12);
    pub const GET_SET_ELEMENT: u16 = nf_tables(13);
    pub const DEL_SET_ELEMENT: u16 = nf_tables(14);
    pub const NEW_GENERATION: u16 = nf_tables(15);
    pub const GET_GENERATION: u16 = nf_tables(16);
    pub const TRACE: u16 = nf_tables(17);
    pub const NEW_OBJECT: u16 = nf_tables(18);
    pub const GET_OBJECT: u16 = nf_tables(19);
    pub const DEL_OBJECT: u16 = nf_tables(20);
    /// The batch's bounds belong to nfnetlink itself.
    pub const BATCH_BEGIN: u16 = 0x10;
    pub const BATCH_END: u16 = 0x11;
}

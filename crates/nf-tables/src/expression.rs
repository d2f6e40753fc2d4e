//! What rules are made of: small instructions for the `nf_tables` machine, which moves bytes of the packet
//! through [`crate::Register`]s.
//!
//! Each has its own file with its encoding beside its decoding. `Display` prints an expression as
//! `nft --debug=netlink` does, without the brackets. An expression whose attributes are not all known is not
//! half understood: it is kept whole as [`Expression::Unknown`], and encodes to what it came as.

use std::fmt;

use netlink::{Attribute, Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use crate::register::Register;

mod bitwise;
mod byteorder;
mod cmp;
mod compat;
mod connlimit;
mod counter;
mod ct;
mod dynset;
mod exthdr;
mod fib;
mod hash;
mod immediate;
mod limit;
mod log;
mod lookup;
mod meta;
mod nat;
mod notrack;
mod numgen;
mod objref;
mod payload;
mod queue;
mod quota;
mod range;
mod reject;
mod routing;
mod socket;

pub use bitwise::{Bitwise, BitwiseOp};
pub use byteorder::{Byteorder, ByteorderOp};
pub use cmp::{Cmp, CmpOp};
pub use compat::{Match, Target};
pub use connlimit::Connlimit;
pub use counter::Counter;
pub use ct::{Ct, CtDirection, CtKey, CtSet};
pub use dynset::{Dynset, DynsetOp};
pub use exthdr::{Exthdr, ExthdrOp};
pub use fib::{Fib, FibFlags, FibResult};
pub use hash::{Hash, HashKind};
pub use immediate::Immediate;
pub use limit::{Limit, LimitKind};
pub use log::Log;
pub use lookup::Lookup;
pub use meta::{Meta, MetaKey, MetaSet};
pub use nat::{Masquerade, Nat, NatFlags, NatKind, Redirect};
pub use notrack::Notrack;
pub use numgen::{Numgen, NumgenKind};
pub use objref::Objref;
pub use payload::{Payload, PayloadBase, PayloadWrite};
pub use queue::{Queue, QueueFlags};
pub use quota::{Quota, QuotaFlags};
pub use range::{Range, RangeOp};
pub use reject::{IcmpxCode, Reject};
pub use routing::{Routing, RoutingKey};
pub use socket::{SocketKey, SocketLookup};

const NAME: u16 = 1;
const DATA: u16 = 2;
const LIST_ELEMENT: u16 = 1;

/// One expression of one kind: its name on the wire, and its attributes to and from bytes.
trait Codec: Sized {
    /// The name on the wire.
    const NAME: &'static str;

    /// Writes the attributes.
    fn encode(&self, w: &mut Writer<'_>);

    /// Reads the attributes; an attribute that is not known is an error.
    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError>;
}

/// One instruction of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each variant holds the type that is documented")]
pub enum Expression {
    Bitwise(Bitwise),
    Byteorder(Byteorder),
    Cmp(Cmp),
    Connlimit(Connlimit),
    Counter(Counter),
    Ct(Ct),
    CtSet(CtSet),
    Dynset(Dynset),
    Exthdr(Exthdr),
    Fib(Fib),
    Hash(Hash),
    Immediate(Immediate),
    Limit(Limit),
    Log(Log),
    Lookup(Lookup),
    Masquerade(Masquerade),
    Match(Match),
    Meta(Meta),
    MetaSet(MetaSet),
    Nat(Nat),
    Notrack(Notrack),
    Numgen(Numgen),
    Objref(Objref),
    Payload(Payload),
    PayloadWrite(PayloadWrite),
    Queue(Queue),
    Quota(Quota),
    Range(Range),
    Redirect(Redirect),
    Reject(Reject),
    Routing(Routing),
    Socket(SocketLookup),
    Target(Target),
    /// An expression that this crate does not know, or knows only in part.
    Unknown {
        /// Its name on the wire.
        name: String,
        /// Its attributes as they came.
        #[serde(with = "crate::hex")]
        data: Vec<u8>,
    },
}

/// Runs `$body` for the typed variants with the value bound to `$value`.
macro_rules! each_kind {
    ($expression:expr, $value:ident => $body:expr, $name:ident, $data:ident => $unknown:expr) => {
        match $expression {
            Expression::Bitwise($value) => $body,
            Expression::Byteorder($value) => $body,
            Expression::Cmp($value) => $body,
            Expression::Connlimit($value) => $body,
            Expression::Counter($value) => $body,
            Expression::Ct($value) => $body,
            Expression::CtSet($value) => $body,
            Expression::Dynset($value) => $body,
            Expression::Exthdr($value) => $body,
            Expression::Fib($value) => $body,
            Expression::Hash($value) => $body,
            Expression::Immediate($value) => $body,
            Expression::Limit($value) => $body,
            Expression::Log($value) => $body,
            Expression::Lookup($value) => $body,
            Expression::Masquerade($value) => $body,
            Expression::Match($value) => $body,
            Expression::Meta($value) => $body,
            Expression::MetaSet($value) => $body,
            Expression::Nat($value) => $body,
            Expression::Notrack($value) => $body,
            Expression::Numgen($value) => $body,
            Expression::Objref($value) => $body,
            Expression::Payload($value) => $body,
            Expression::PayloadWrite($value) => $body,
            Expression::Queue($value) => $body,
            Expression::Quota($value) => $body,
            Expression::Range($value) => $body,
            Expression::Redirect($value) => $body,
            Expression::Reject($value) => $body,
            Expression::Routing($value) => $body,
            Expression::Socket($value) => $body,
            Expression::Target($value) => $body,
            Expression::Unknown { name: $name, data: $data } => $unknown,
        }
    };
}

fn name_of<C: Codec>(_: &C) -> &'static str {
    C::NAME
}

impl Expression {
    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        each_kind!(self, value => name_of(value), name, _data => name)
    }

    /// Writes its name and attributes.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.string(NAME, self.name());
        each_kind!(self, value => w.nest(DATA, |w| value.encode(w)), _name, data => if !data.is_empty() {
            w.bytes(DATA | netlink::attribute::NESTED, data);
        });
    }

    /// Reads an expression from the attributes that hold its name and its own attributes.
    ///
    /// # Errors
    /// Only when those two cannot be told apart; what is inside and not known makes it
    /// [`Expression::Unknown`].
    pub fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut name, mut data) = (None, &[][..]);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                NAME => name = Some(attribute.string()),
                DATA => data = attribute.value,
                _ => {}
            }
        }
        let name = name.ok_or(DecodeError::Missing { what: "an expression's name" })?;
        Ok(Self::decode_known(&name, data).unwrap_or_else(|_| Self::Unknown { name, data: data.to_vec() }))
    }

    fn decode_known(name: &str, data: &[u8]) -> Result<Self, DecodeError> {
        let attributes = Attributes::new(data);
        let has = |kind: u16| attributes.clone().flatten().any(|attribute| attribute.kind == kind);
        Ok(match name {
            Bitwise::NAME => Self::Bitwise(Bitwise::decode(attributes)?),
            Byteorder::NAME => Self::Byteorder(Byteorder::decode(attributes)?),
            Cmp::NAME => Self::Cmp(Cmp::decode(attributes)?),
            Connlimit::NAME => Self::Connlimit(Connlimit::decode(attributes)?),
            Counter::NAME => Self::Counter(Counter::decode(attributes)?),
            Ct::NAME if has(ct::SREG) => Self::CtSet(CtSet::decode(attributes)?),
            Ct::NAME => Self::Ct(Ct::decode(attributes)?),
            Dynset::NAME => Self::Dynset(Dynset::decode(attributes)?),
            Exthdr::NAME => Self::Exthdr(Exthdr::decode(attributes)?),
            Fib::NAME => Self::Fib(Fib::decode(attributes)?),
            Hash::NAME => Self::Hash(Hash::decode(attributes)?),
            Immediate::NAME => Self::Immediate(Immediate::decode(attributes)?),
            Limit::NAME => Self::Limit(Limit::decode(attributes)?),
            Log::NAME => Self::Log(Log::decode(attributes)?),
            Lookup::NAME => Self::Lookup(Lookup::decode(attributes)?),
            Masquerade::NAME => Self::Masquerade(Masquerade::decode(attributes)?),
            Match::NAME => Self::Match(Match::decode(attributes)?),
            Meta::NAME if has(meta::SREG) => Self::MetaSet(MetaSet::decode(attributes)?),
            Meta::NAME => Self::Meta(Meta::decode(attributes)?),
            Nat::NAME => Self::Nat(Nat::decode(attributes)?),
            Notrack::NAME => Self::Notrack(Notrack::decode(attributes)?),
            Numgen::NAME => Self::Numgen(Numgen::decode(attributes)?),
            Objref::NAME => Self::Objref(Objref::decode(attributes)?),
            Payload::NAME if has(payload::SREG) => Self::PayloadWrite(PayloadWrite::decode(attributes)?),
            Payload::NAME => Self::Payload(Payload::decode(attributes)?),
            Queue::NAME => Self::Queue(Queue::decode(attributes)?),
            Quota::NAME => Self::Quota(Quota::decode(attributes)?),
            Range::NAME => Self::Range(Range::decode(attributes)?),
            Redirect::NAME => Self::Redirect(Redirect::decode(attributes)?),
            Reject::NAME => Self::Reject(Reject::decode(attributes)?),
            Routing::NAME => Self::Routing(Routing::decode(attributes)?),
            SocketLookup::NAME => Self::Socket(SocketLookup::decode(attributes)?),
            Target::NAME => Self::Target(Target::decode(attributes)?),
            _ => {
                return Err(DecodeError::Missing { what: "a known expression" });
            }
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        each_kind!(self, value => value.fmt(f), name, data => write!(f, "{name} {}", crate::hex::encode(data)))
    }
}

/// Writes expressions as a list.
pub(crate) fn encode_list(expressions: &[Expression], w: &mut Writer<'_>) {
    for expression in expressions {
        w.nest(LIST_ELEMENT, |w| expression.encode(w));
    }
}

/// Reads a list of expressions.
pub(crate) fn decode_list(attributes: Attributes<'_>) -> Result<Vec<Expression>, DecodeError> {
    attributes.map(|attribute| Expression::decode(attribute?.nested())).collect()
}

/// The error for an attribute that the decoder at hand does not know.
pub(crate) fn unknown_attribute(kind: u16) -> DecodeError {
    DecodeError::Unknown { what: "attribute", value: u64::from(kind) }
}

fn register(attribute: &Attribute<'_>) -> Result<Register, DecodeError> {
    Register::try_from(attribute.u32_be()?)
}

fn required<T>(value: Option<T>, what: &'static str) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Missing { what })
}

/// Whether `bit` is set in `flags`; any other bit is an error.
fn only_bit(flags: u32, bit: u32) -> Result<bool, DecodeError> {
    if flags & !bit != 0 {
        return Err(unknown("flags", flags));
    }
    Ok(flags != 0)
}

fn unknown(what: &'static str, value: impl Into<u64>) -> DecodeError {
    DecodeError::Unknown { what, value: value.into() }
}

/// Bytes as the 32-bit words of a register, in the machine's order, as `nft --debug=netlink` prints them.
pub(crate) struct Words<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, chunk) in self.0.chunks(4).enumerate() {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}0x{:08x}", u32::from_ne_bytes(word))?;
        }
        Ok(())
    }
}

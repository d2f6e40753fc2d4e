use std::fmt;

use netlink::{Attribute, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use crate::expression::Words;

const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

const CONTINUE: i32 = -1;
const BREAK: i32 = -2;
const JUMP: i32 = -3;
const GOTO: i32 = -4;
const RETURN: i32 = -5;

/// What a rule decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The packet goes on; later base chains still see it.
    Accept,
    /// The packet is dropped.
    Drop,
    /// A program decides, on the queue of that number.
    Queue(u16),
    /// The rule goes on.
    Continue,
    /// The rule ends, the next one runs.
    Break,
    /// Run that chain, then the next rule.
    Jump(String),
    /// Run that chain instead of this one.
    Goto(String),
    /// Back to the rule after the jump; in a base chain the policy decides.
    Return,
}

impl Verdict {
    const fn code(&self) -> u32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Queue(number) => (*number as u32) << 16 | 3,
            Self::Continue => CONTINUE.cast_unsigned(),
            Self::Break => BREAK.cast_unsigned(),
            Self::Jump(_) => JUMP.cast_unsigned(),
            Self::Goto(_) => GOTO.cast_unsigned(),
            Self::Return => RETURN.cast_unsigned(),
        }
    }

    /// The chain that a jump or goto leads to.
    #[must_use]
    pub fn chain(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            Self::Accept | Self::Drop | Self::Queue(_) | Self::Continue | Self::Break | Self::Return => None,
        }
    }

    pub(crate) fn decode(attribute: &Attribute<'_>) -> Result<Self, DecodeError> {
        let (mut code, mut chain) = (None, None);
        for inner in attribute.nested() {
            let inner = inner?;
            match inner.kind {
                VERDICT_CODE => code = Some(inner.u32_be()?),
                VERDICT_CHAIN => chain = Some(inner.string()),
                other => return Err(crate::expression::unknown_attribute(other)),
            }
        }
        let code = code.ok_or(DecodeError::Missing { what: "a verdict's code" })?;
        let named = |chain: Option<String>| chain.ok_or(DecodeError::Missing { what: "a jump's chain" });
        Ok(match code.cast_signed() {
            0 => Self::Drop,
            1 => Self::Accept,
            CONTINUE => Self::Continue,
            BREAK => Self::Break,
            JUMP => Self::Jump(named(chain)?),
            GOTO => Self::Goto(named(chain)?),
            RETURN => Self::Return,
            _ if code & 0xffff == 3 => Self::Queue(u16::try_from(code >> 16).unwrap_or(u16::MAX)),
            _ => {
                return Err(DecodeError::Unknown { what: "verdict", value: u64::from(code) });
            }
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Queue(number) => write!(f, "queue {number}"),
            Self::Continue => f.write_str("continue"),
            Self::Break => f.write_str("break"),
            Self::Jump(chain) => write!(f, "jump -> {chain}"),
            Self::Goto(chain) => write!(f, "goto -> {chain}"),
            Self::Return => f.write_str("return"),
        }
    }
}

/// The contents of a register, or of a set element: bytes or a verdict (`enum nft_data_attributes`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    /// At most 64 bytes.
    Value(#[serde(with = "crate::hex")] Vec<u8>),
    /// Ends or continues the rule.
    Verdict(Verdict),
}

impl Data {
    /// Writes it as attribute `kind`.
    pub fn encode(&self, kind: u16, w: &mut Writer<'_>) {
        match self {
            Self::Value(bytes) => Self::encode_value(bytes, kind, w),
            Self::Verdict(verdict) => w.nest(kind, |w| {
                w.nest(VERDICT, |w| {
                    w.u32_be(VERDICT_CODE, verdict.code());
                    if let Some(chain) = verdict.chain() {
                        w.string(VERDICT_CHAIN, chain);
                    }
                });
            }),
        }
    }

    /// Writes bytes as attribute `kind`.
    pub fn encode_value(bytes: &[u8], kind: u16, w: &mut Writer<'_>) {
        w.nest(kind, |w| w.bytes(VALUE, bytes));
    }

    /// Reads it from the attribute that holds it.
    ///
    /// # Errors
    /// When it holds neither, or a verdict that is not known.
    pub fn decode(attribute: &Attribute<'_>) -> Result<Self, DecodeError> {
        let mut data = None;
        for inner in attribute.nested() {
            let inner = inner?;
            data = Some(match inner.kind {
                VALUE => Self::Value(inner.value.to_vec()),
                VERDICT => Self::Verdict(Verdict::decode(&inner)?),
                other => return Err(crate::expression::unknown_attribute(other)),
            });
        }
        data.ok_or(DecodeError::Missing { what: "a value" })
    }

    /// Reads bytes from the attribute that holds them.
    ///
    /// # Errors
    /// When it holds no bytes.
    pub fn decode_value(attribute: &Attribute<'_>) -> Result<Vec<u8>, DecodeError> {
        match Self::decode(attribute)? {
            Self::Value(bytes) => Ok(bytes),
            Self::Verdict(_) => Err(DecodeError::Missing { what: "a value" }),
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(bytes) => Words(bytes).fmt(f),
            Self::Verdict(verdict) => verdict.fmt(f),
        }
    }
}

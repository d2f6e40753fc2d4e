use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, only_bit, required, unknown, unknown_attribute};

const RATE: u16 = 1;
const UNIT: u16 = 2;
const BURST: u16 = 3;
const TYPE: u16 = 4;
const FLAGS: u16 = 5;
const PAD: u16 = 6;

const INVERSE: u32 = 1;

/// Goes on while the rate is kept: a bucket that fills with `rate` tokens each `seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Packets or bytes in each unit of time.
    pub rate: u64,
    /// The unit of time, in seconds.
    pub seconds: u64,
    /// Packets or bytes that may come at once on top; for packets the kernel takes 0 as 5.
    pub burst: u32,
    /// What is counted.
    pub kind: LimitKind,
    /// Goes on where the rate is passed, instead.
    pub over: bool,
}

/// What a [`Limit`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// Packets.
    Packets,
    /// Bytes.
    Bytes,
}

impl Codec for Limit {
    const NAME: &'static str = "limit";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u64_be(RATE, self.rate);
        w.u64_be(UNIT, self.seconds);
        w.u32_be(BURST, self.burst);
        let kind = match self.kind {
            LimitKind::Packets => 0,
            LimitKind::Bytes => 1,
        };
        w.u32_be(TYPE, kind);
        w.u32_be(FLAGS, if self.over { INVERSE } else { 0 });
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut rate, mut seconds, mut burst, mut flags) = (None, None, 0, 0);
        let mut kind = LimitKind::Packets;
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                RATE => rate = Some(attribute.u64_be()?),
                UNIT => seconds = Some(attribute.u64_be()?),
                BURST => burst = attribute.u32_be()?,
                TYPE => {
                    kind = match attribute.u32_be()? {
                        0 => LimitKind::Packets,
                        1 => LimitKind::Bytes,
                        other => return Err(unknown("limit", other)),
                    };
                }
                FLAGS => flags = attribute.u32_be()?,
                PAD => {}
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            rate: required(rate, "a rate")?,
            seconds: required(seconds, "a unit of time")?,
            burst,
            kind,
            over: only_bit(flags, INVERSE)?,
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.seconds {
            1 => "second",
            60 => "minute",
            3_600 => "hour",
            86_400 => "day",
            604_800 => "week",
            _ => "error",
        };
        let kind = match self.kind {
            LimitKind::Packets => "packets",
            LimitKind::Bytes => "bytes",
        };
        let Self { rate, burst, over, .. } = self;
        write!(f, "limit rate {rate}/{unit} burst {burst} type {kind} flags 0x{:x}", u32::from(*over))
    }
}

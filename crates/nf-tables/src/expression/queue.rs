use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, unknown_attribute};
use crate::flags::flags;
use crate::register::Register;

const NUMBER: u16 = 1;
const TOTAL: u16 = 2;
const FLAGS: u16 = 3;
const SREG: u16 = 4;

flags! {
    /// How packets are queued (`NFT_QUEUE_FLAG_*`).
    QueueFlags {
        /// Where no program listens, the packet goes on.
        BYPASS = 1;
        /// The processor chooses among the queues.
        FANOUT = 2;
    }
}

/// Lets a program decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The first queue.
    pub number: u16,
    /// How many queues from there.
    pub total: u16,
    /// See [`QueueFlags`].
    pub flags: QueueFlags,
    /// Where the queue's number is, instead.
    pub sreg: Option<Register>,
}

impl Codec for Queue {
    const NAME: &'static str = "queue";

    fn encode(&self, w: &mut Writer<'_>) {
        if let Some(sreg) = self.sreg {
            w.u32_be(SREG, sreg.number());
        } else {
            w.u16_be(NUMBER, self.number);
            w.u16_be(TOTAL, self.total);
        }
        w.u16_be(FLAGS, u16::try_from(self.flags.0).unwrap_or(u16::MAX));
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let mut queue = Self { number: 0, total: 1, flags: QueueFlags::NONE, sreg: None };
        let mut fixed = false;
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                NUMBER => (queue.number, fixed) = (attribute.u16_be()?, true),
                TOTAL => (queue.total, fixed) = (attribute.u16_be()?, true),
                FLAGS => queue.flags = QueueFlags(u32::from(attribute.u16_be()?)),
                SREG => queue.sreg = Some(register(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        if queue.sreg.is_some() && fixed {
            return Err(unknown_attribute(NUMBER));
        }
        Ok(queue)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("queue")?;
        match self.sreg {
            Some(sreg) => write!(f, " sreg_qnum {sreg}")?,
            None if self.total > 1 => {
                let last = u32::from(self.number) + u32::from(self.total) - 1;
                write!(f, " num {}-{last}", self.number)?;
            }
            None => write!(f, " num {}", self.number)?,
        }
        if self.flags.contains(QueueFlags::BYPASS) {
            f.write_str(" bypass")?;
        }
        if self.flags.contains(QueueFlags::FANOUT) { f.write_str(" fanout") } else { Ok(()) }
    }
}

use std::fmt;
use std::time::Duration;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{
    Codec, Expression, decode_list, encode_list, only_bit, register, required, unknown, unknown_attribute,
};
use crate::register::Register;

const SET_NAME: u16 = 1;
const SET_ID: u16 = 2;
const OP: u16 = 3;
const SREG_KEY: u16 = 4;
const SREG_DATA: u16 = 5;
const TIMEOUT: u16 = 6;
const EXPRESSION: u16 = 7;
const PAD: u16 = 8;
const FLAGS: u16 = 9;
const EXPRESSIONS: u16 = 10;

const INVERSE: u32 = 1;
const MANY: u32 = 2;

/// Puts an element into a set, and runs what the element carries: a limit for each source, say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dynset {
    /// The set, of [`crate::SetFlags::EVAL`].
    pub set: String,
    /// Its id in this batch, for an anonymous set. The kernel does not keep it.
    pub set_id: Option<u32>,
    /// What is done.
    pub op: DynsetOp,
    /// The key.
    pub sreg_key: Register,
    /// The value, in a map.
    pub sreg_data: Option<Register>,
    /// How long the element stays.
    pub timeout: Option<Duration>,
    /// Goes on where the element's expressions break off, instead.
    pub inverse: bool,
    /// What a new element carries.
    pub expressions: Vec<Expression>,
}

/// What a [`Dynset`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DynsetOp {
    /// Adds the element unless it is there.
    Add,
    /// Adds the element, or begins its timeout anew.
    Update,
    /// Takes the element away.
    Delete,
}

impl Codec for Dynset {
    const NAME: &'static str = "dynset";

    fn encode(&self, w: &mut Writer<'_>) {
        w.string(SET_NAME, &self.set);
        if let Some(id) = self.set_id {
            w.u32_be(SET_ID, id);
        }
        let op = match self.op {
            DynsetOp::Add => 0,
            DynsetOp::Update => 1,
            DynsetOp::Delete => 2,
        };
        w.u32_be(OP, op);
        w.u32_be(SREG_KEY, self.sreg_key.number());
        if let Some(data) = self.sreg_data {
            w.u32_be(SREG_DATA, data.number());
        }
        if let Some(timeout) = self.timeout {
            w.u64_be(TIMEOUT, crate::object::milliseconds(timeout));
        }
        let mut flags = if self.inverse { INVERSE } else { 0 };
        match self.expressions.as_slice() {
            [] => {}
            [expression] => w.nest(EXPRESSION, |w| expression.encode(w)),
            expressions => {
                flags |= MANY;
                w.nest(EXPRESSIONS, |w| encode_list(expressions, w));
            }
        }
        w.u32_be(FLAGS, flags);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut set, mut set_id, mut op) = (None, None, None);
        let (mut sreg_key, mut sreg_data, mut timeout) = (None, None, None);
        let (mut flags, mut many, mut expressions) = (0, 0, Vec::new());
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                SET_NAME => set = Some(attribute.string()),
                SET_ID => set_id = Some(attribute.u32_be()?),
                OP => {
                    op = Some(match attribute.u32_be()? {
                        0 => DynsetOp::Add,
                        1 => DynsetOp::Update,
                        2 => DynsetOp::Delete,
                        other => return Err(unknown("dynset operation", other)),
                    });
                }
                SREG_KEY => sreg_key = Some(register(&attribute)?),
                SREG_DATA => sreg_data = Some(register(&attribute)?),
                TIMEOUT => timeout = Some(Duration::from_millis(attribute.u64_be()?)),
                EXPRESSION => expressions = vec![Expression::decode(attribute.nested())?],
                PAD => {}
                FLAGS => flags = attribute.u32_be()?,
                EXPRESSIONS => {
                    expressions = decode_list(attribute.nested())?;
                    many = MANY;
                }
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            set: required(set, "a set's name")?,
            set_id,
            op: required(op, "a dynset operation")?,
            sreg_key: required(sreg_key, "a key register")?,
            sreg_data,
            timeout,
            inverse: only_bit(flags & !many, INVERSE)?,
            expressions,
        })
    }
}

impl fmt::Display for Dynset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            DynsetOp::Add => "add",
            DynsetOp::Update => "update",
            DynsetOp::Delete => "delete",
        };
        write!(f, "dynset {op} reg_key {} set {}", self.sreg_key.number(), self.set)?;
        if let Some(data) = self.sreg_data {
            write!(f, " sreg_data {}", data.number())?;
        }
        if let Some(timeout) = self.timeout {
            write!(f, " timeout {}ms", timeout.as_millis())?;
        }
        if self.inverse {
            f.write_str(" inv")?;
        }
        for expression in &self.expressions {
            write!(f, " expr [ {expression} ]")?;
        }
        Ok(())
    }
}

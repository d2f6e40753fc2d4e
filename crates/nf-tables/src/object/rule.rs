use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{ChainId, Family, TableId};
use crate::expression::{self, Expression};
use crate::userdata::{self, Owner};

pub(crate) const TABLE: u16 = 1;
pub(crate) const CHAIN: u16 = 2;
pub(crate) const HANDLE: u16 = 3;
const EXPRESSIONS: u16 = 4;
pub(crate) const POSITION: u16 = 6;
const USERDATA: u16 = 7;

/// A rule: expressions that run in order until one of them breaks off or gives a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rule {
    /// The kernel's number for it, unique in the table; none before it is made.
    pub handle: Option<u64>,
    /// On a dump: the handle of the rule before it.
    pub position: Option<u64>,
    /// What it does.
    pub expressions: Vec<Expression>,
    /// See [`crate::userdata`].
    #[serde(with = "crate::hex")]
    pub userdata: Vec<u8>,
}

impl Rule {
    /// A rule of these expressions.
    #[must_use]
    pub fn new(expressions: Vec<Expression>) -> Self {
        Self { expressions, ..Self::default() }
    }

    /// The same rule with a comment; see [`userdata::COMMENT_MAX`].
    #[must_use]
    pub fn with_comment(self, comment: &str) -> Self {
        Self { userdata: userdata::with_comment(Owner::Rule, comment), ..self }
    }

    /// Its comment.
    #[must_use]
    pub fn comment(&self) -> Option<String> {
        userdata::comment(Owner::Rule, &self.userdata)
    }

    /// Writes the attributes that make it; where it goes is the message's affair.
    pub fn encode(&self, chain: &ChainId, w: &mut Writer<'_>) {
        w.string(TABLE, &chain.table.name);
        w.string(CHAIN, &chain.name);
        w.nest(EXPRESSIONS, |w| expression::encode_list(&self.expressions, w));
        if !self.userdata.is_empty() {
            w.bytes(USERDATA, &self.userdata);
        }
    }

    /// Reads a rule, and the name of its chain, from the attributes of its message.
    ///
    /// # Errors
    /// When an attribute has the wrong size, or a name is missing.
    pub fn decode(family: Family, attributes: Attributes<'_>) -> Result<(ChainId, Self), DecodeError> {
        let (mut table, mut chain) = (None, None);
        let mut rule = Self::default();
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                TABLE => table = Some(attribute.string()),
                CHAIN => chain = Some(attribute.string()),
                HANDLE => rule.handle = Some(attribute.u64_be()?),
                EXPRESSIONS => rule.expressions = expression::decode_list(attribute.nested())?,
                POSITION => rule.position = Some(attribute.u64_be()?),
                USERDATA => rule.userdata = attribute.value.to_vec(),
                _ => {}
            }
        }
        let table = table.ok_or(DecodeError::Missing { what: "a rule's table" })?;
        let chain = chain.ok_or(DecodeError::Missing { what: "a rule's chain" })?;
        Ok((ChainId::new(&TableId::new(family, table), chain), rule))
    }
}

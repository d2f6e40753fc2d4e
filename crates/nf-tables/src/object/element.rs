use std::time::Duration;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::set::milliseconds;
use super::{Data, Verdict};
use crate::expression::{self, Expression};
use crate::flags::flags;
use crate::userdata::{self, Owner};

const KEY: u16 = 1;
const DATA: u16 = 2;
const FLAGS: u16 = 3;
const TIMEOUT: u16 = 4;
const EXPIRATION: u16 = 5;
const USERDATA: u16 = 6;
const EXPRESSION: u16 = 7;
const OBJECT: u16 = 9;
const KEY_END: u16 = 10;
const EXPRESSIONS: u16 = 11;

flags! {
    /// What an element is besides a key (`enum nft_set_elem_flags`).
    ElementFlags {
        /// The first key after a range: what was opened by the element before it ends here.
        INTERVAL_END = 0x1;
        /// What no other element matches.
        CATCH_ALL = 0x2;
    }
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Element {
    /// The key; empty with [`ElementFlags::CATCH_ALL`].
    #[serde(with = "crate::hex")]
    pub key: Vec<u8>,
    /// In a set of [`super::SetFlags::CONCAT`]: the last key of the range.
    #[serde(with = "crate::hex::option")]
    pub key_end: Option<Vec<u8>>,
    /// What the key leads to, in a map.
    pub data: Option<Data>,
    /// The named object it leads to, in an object map.
    pub object: Option<String>,
    /// How long it stays from when it was put in; milliseconds count. Zero: for ever (Linux 6.12).
    pub timeout: Option<Duration>,
    /// How long it stays from now.
    pub expiration: Option<Duration>,
    /// See [`ElementFlags`].
    pub flags: ElementFlags,
    /// What it carries: counter, limit and the like.
    pub expressions: Vec<Expression>,
    /// See [`crate::userdata`].
    #[serde(with = "crate::hex")]
    pub userdata: Vec<u8>,
}

impl Element {
    /// An element with this key.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), ..Self::default() }
    }

    /// The element that stands for all keys that are not there.
    #[must_use]
    pub fn catch_all() -> Self {
        Self { flags: ElementFlags::CATCH_ALL, ..Self::default() }
    }

    /// The elements that make up the range from `first` to `last`, both in it, in a set of
    /// [`super::SetFlags::INTERVAL`] whose key is one field in network order: its start and, unless it reaches
    /// the highest key, what comes after its end.
    #[must_use]
    pub fn range(first: &[u8], last: &[u8]) -> Vec<Self> {
        let mut elements = vec![Self::new(first)];
        if let Some(after) = successor(last) {
            elements.push(Self { flags: ElementFlags::INTERVAL_END, ..Self::new(after) });
        }
        elements
    }

    /// The same element, staying for `timeout`.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// The same element, leading to `verdict`.
    #[must_use]
    pub fn with_verdict(self, verdict: Verdict) -> Self {
        Self { data: Some(Data::Verdict(verdict)), ..self }
    }

    /// The same element, leading to `value`.
    #[must_use]
    pub fn with_value(self, value: impl Into<Vec<u8>>) -> Self {
        Self { data: Some(Data::Value(value.into())), ..self }
    }

    /// The same element with a comment; see [`userdata::COMMENT_MAX`].
    #[must_use]
    pub fn with_comment(self, comment: &str) -> Self {
        Self { userdata: userdata::with_comment(Owner::Element, comment), ..self }
    }

    /// Its comment.
    #[must_use]
    pub fn comment(&self) -> Option<String> {
        userdata::comment(Owner::Element, &self.userdata)
    }

    /// Whether it ends a range rather than stands for itself.
    #[must_use]
    pub fn is_interval_end(&self) -> bool {
        self.flags.contains(ElementFlags::INTERVAL_END)
    }

    /// Writes its attributes.
    pub fn encode(&self, w: &mut Writer<'_>) {
        if !self.flags.is_empty() {
            w.u32_be(FLAGS, self.flags.0);
        }
        if !self.flags.contains(ElementFlags::CATCH_ALL) {
            Data::encode_value(&self.key, KEY, w);
        }
        if let Some(end) = &self.key_end {
            Data::encode_value(end, KEY_END, w);
        }
        if let Some(data) = &self.data {
            data.encode(DATA, w);
        }
        if let Some(object) = &self.object {
            w.string(OBJECT, object);
        }
        if let Some(timeout) = self.timeout {
            w.u64_be(TIMEOUT, milliseconds(timeout));
        }
        if let Some(expiration) = self.expiration {
            w.u64_be(EXPIRATION, milliseconds(expiration));
        }
        match self.expressions.as_slice() {
            [] => {}
            [expression] => w.nest(EXPRESSION, |w| expression.encode(w)),
            expressions => w.nest(EXPRESSIONS, |w| expression::encode_list(expressions, w)),
        }
        if !self.userdata.is_empty() {
            w.bytes(USERDATA, &self.userdata);
        }
    }

    /// Reads an element from its attributes.
    ///
    /// # Errors
    /// When an attribute has the wrong size or value, or there is no key.
    pub fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let mut key = None;
        let mut element = Self::default();
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                KEY => key = Some(Data::decode_value(&attribute)?),
                KEY_END => element.key_end = Some(Data::decode_value(&attribute)?),
                DATA => element.data = Some(Data::decode(&attribute)?),
                FLAGS => element.flags = ElementFlags(attribute.u32_be()?),
                TIMEOUT => element.timeout = Some(Duration::from_millis(attribute.u64_be()?)),
                EXPIRATION => element.expiration = Some(Duration::from_millis(attribute.u64_be()?)),
                USERDATA => element.userdata = attribute.value.to_vec(),
                EXPRESSION => element.expressions = vec![Expression::decode(attribute.nested())?],
                EXPRESSIONS => element.expressions = expression::decode_list(attribute.nested())?,
                OBJECT => element.object = Some(attribute.string()),
                _ => {}
            }
        }
        if element.flags.contains(ElementFlags::CATCH_ALL) {
            return Ok(element);
        }
        element.key = key.ok_or(DecodeError::Missing { what: "an element's key" })?;
        Ok(element)
    }
}

/// The number after this one, of as many bytes; none after the highest.
fn successor(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut next = bytes.to_vec();
    for byte in next.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(next);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_before_the_number_after_it_or_is_open() {
        let range = Element::range(&[10, 0, 0, 0], &[10, 0, 255, 255]);
        assert_eq!(range[1].key, [10, 1, 0, 0]);
        assert!(range[1].is_interval_end());
        assert_eq!(Element::range(&[224, 0, 0, 0], &[255; 4]).len(), 1);
    }
}

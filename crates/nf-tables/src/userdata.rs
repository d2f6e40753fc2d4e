//! Bytes that the kernel keeps for the one who made an object: comments, and how `nft` should print it.
//!
//! Source: `include/libnftnl/udata.h`. Each entry is a type byte, a length byte and the value; text ends with a
//! zero byte. At most 256 bytes in all.

const RULE_COMMENT: u8 = 0;
const ELEMENT_COMMENT: u8 = 0;
const CHAIN_COMMENT: u8 = 0;
const TABLE_COMMENT: u8 = 0;
const SET_KEY_BYTE_ORDER: u8 = 0;
const SET_COMMENT: u8 = 7;

/// The longest comment that `nft` accepts, in bytes.
pub const COMMENT_MAX: usize = 128;

/// Whose userdata it is: the numbers of the entries differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A table's.
    Table,
    /// A chain's.
    Chain,
    /// A rule's.
    Rule,
    /// A set's.
    Set,
    /// A set element's.
    Element,
}

impl Owner {
    const fn comment_type(self) -> u8 {
        match self {
            Self::Table => TABLE_COMMENT,
            Self::Chain => CHAIN_COMMENT,
            Self::Rule => RULE_COMMENT,
            Self::Element => ELEMENT_COMMENT,
            Self::Set => SET_COMMENT,
        }
    }
}

/// Userdata that holds a comment, cut at [`COMMENT_MAX`] bytes on a character boundary.
#[must_use]
pub fn with_comment(owner: Owner, comment: &str) -> Vec<u8> {
    let cut = (0..=COMMENT_MAX).rev().find(|&at| comment.is_char_boundary(at) && at <= comment.len());
    let text = &comment[..cut.unwrap_or(0).min(comment.len())];
    let mut value = text.as_bytes().to_vec();
    value.push(0);
    entry(owner.comment_type(), &value)
}

/// The comment in userdata, if there is one.
#[must_use]
pub fn comment(owner: Owner, userdata: &[u8]) -> Option<String> {
    entries(userdata).find(|(kind, _)| *kind == owner.comment_type()).map(|(_, value)| {
        let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
        String::from_utf8_lossy(&value[..end]).into_owned()
    })
}

/// Userdata for a set whose keys are numbers in network order; `nft` needs it for plain integers only.
#[must_use]
pub fn key_in_network_order() -> Vec<u8> {
    const BIG_ENDIAN: u32 = 2;
    entry(SET_KEY_BYTE_ORDER, &BIG_ENDIAN.to_ne_bytes())
}

/// Userdata for a set whose keys `nft` takes to stand in the machine's order: it reads names of interfaces so.
#[must_use]
pub fn key_in_machine_order() -> Vec<u8> {
    const HOST_ENDIAN: u32 = 1;
    entry(SET_KEY_BYTE_ORDER, &HOST_ENDIAN.to_ne_bytes())
}

fn entry(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    let mut bytes = vec![kind, length];
    bytes.extend_from_slice(&value[..usize::from(length)]);
    bytes
}

fn entries(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, length], tail) = rest.split_first_chunk::<2>()?;
        let (value, tail) = tail.split_at_checked(usize::from(length))?;
        rest = tail;
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_read_back_and_a_long_one_is_cut_between_characters() {
        for owner in [Owner::Table, Owner::Chain, Owner::Rule, Owner::Set, Owner::Element] {
            assert_eq!(
                comment(owner, &with_comment(owner, "load balancer")).as_deref(),
                Some("load balancer")
            );
            assert_eq!(comment(owner, &with_comment(owner, "")).as_deref(), Some(""));
        }
        let long = "\u{e9}".repeat(100);
        let kept = comment(Owner::Rule, &with_comment(Owner::Rule, &long)).unwrap();
        assert_eq!(kept, "\u{e9}".repeat(64));
    }

    #[test]
    fn other_entries_before_the_comment_are_passed_over() {
        let mut bytes = key_in_network_order();
        bytes.extend(with_comment(Owner::Set, "bans"));
        assert_eq!(comment(Owner::Set, &bytes).as_deref(), Some("bans"));
        assert_eq!(comment(Owner::Set, &bytes[..bytes.len() - 1]), None);
        assert_eq!(comment(Owner::Rule, &[0, 200, 1]), None);
    }
}

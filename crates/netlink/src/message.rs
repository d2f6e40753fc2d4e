//! Netlink messages: the header, the framing of many in one buffer, and the kernel's answers.
//!
//! Source: RFC 3549, `include/uapi/linux/netlink.h` (`struct nlmsghdr`, `struct nlmsgerr`).

use crate::attribute::{Attributes, DecodeError, Writer, align};

/// It is a request to the kernel.
pub const REQUEST: u16 = 0x01;
/// More of this answer follows.
pub const MULTI: u16 = 0x02;
/// The sender wants an acknowledgement.
pub const ACK: u16 = 0x04;
/// What is being dumped changed meanwhile.
pub const DUMP_INTERRUPTED: u16 = 0x10;
/// Return all of it (`NLM_F_ROOT | NLM_F_MATCH`).
pub const DUMP: u16 = 0x300;
/// On a new object: replace what is there.
pub const REPLACE: u16 = 0x100;
/// On a new object: fail if it is there.
pub const EXCLUSIVE: u16 = 0x200;
/// On a new object: make it if it is not there.
pub const CREATE: u16 = 0x400;
/// On a new object: put it at the end.
pub const APPEND: u16 = 0x800;
/// On an error: the request is not echoed in full.
const CAPPED: u16 = 0x100;
/// On an error: attributes with details follow.
const ACK_ATTRIBUTES: u16 = 0x200;

/// Message types below this one belong to netlink itself.
pub const FIRST_FAMILY_TYPE: u16 = 0x10;
/// An error, or an acknowledgement when its code is 0.
pub const ERROR: u16 = 2;
/// The end of a dump.
pub const DONE: u16 = 3;

/// The size of [`Header`] in bytes.
pub const HEADER: usize = 16;

/// The header of every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the message, with this header, without the padding after it.
    pub length: u32,
    /// What the message is.
    pub kind: u16,
    /// [`REQUEST`] and the like.
    pub flags: u16,
    /// Chosen by the asker, repeated in the answer.
    pub sequence: u32,
    /// The port of the socket that the message belongs to; the kernel's is 0.
    pub port: u32,
}

impl Header {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let u32_at = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Self {
            length: u32_at(0),
            kind: u16::from_ne_bytes([bytes[4], bytes[5]]),
            flags: u16::from_ne_bytes([bytes[6], bytes[7]]),
            sequence: u32_at(8),
            port: u32_at(12),
        })
    }
}

/// A message was too long for its 32-bit length, or one of its attributes for its 16-bit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message or one of its attributes is too long")]
pub struct TooLong;

/// Appends one message to `buffer`; `body` writes the family's header and the attributes.
///
/// # Errors
/// [`TooLong`] when something did not fit; `buffer` is then as it was.
pub fn write(
    buffer: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    body: impl FnOnce(&mut Writer<'_>),
) -> Result<(), TooLong> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&kind.to_ne_bytes());
    buffer.extend_from_slice(&flags.to_ne_bytes());
    buffer.extend_from_slice(&sequence.to_ne_bytes());
    buffer.extend_from_slice(&[0; 4]);
    let mut writer = Writer::new(buffer);
    body(&mut writer);
    let overflowed = writer.overflowed();
    match u32::try_from(buffer.len() - start) {
        Ok(length) if !overflowed => {
            buffer[start..start + 4].copy_from_slice(&length.to_ne_bytes());
            Ok(())
        }
        _ => {
            buffer.truncate(start);
            Err(TooLong)
        }
    }
}

/// One message, borrowed from the receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    /// What follows the header, without padding.
    pub payload: &'a [u8],
}

/// Walks over the messages of one datagram; after an error it ends.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// The messages in `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest;
        let header = Header::decode(rest)?;
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length < HEADER || length > rest.len() {
            self.rest = &[];
            return Some(Err(DecodeError::Length { claimed: length, available: rest.len() }));
        }
        self.rest = rest.get(align(length)..).unwrap_or_default();
        Some(Ok(Message { header, payload: &rest[HEADER..length] }))
    }
}

/// What the kernel says of a request: done, or refused and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 0 for done, else the positive errno.
    pub errno: i32,
    /// The header of the request.
    pub request: Header,
    /// The kernel's own words, where extended acknowledgements are on (`NLMSGERR_ATTR_MSG`).
    pub message: Option<String>,
    /// Where in the request the offending attribute starts, in bytes (`NLMSGERR_ATTR_OFFS`).
    pub offset: Option<u32>,
}

impl Answer {
    /// Reads a message of type [`ERROR`].
    ///
    /// # Errors
    /// When it is too short to hold a code and the request's header.
    pub fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        let payload = message.payload;
        let (Some(code), Some(request)) = (first_i32(payload), payload.get(4..).and_then(Header::decode))
        else {
            return Err(DecodeError::Length { claimed: 4 + HEADER, available: payload.len() });
        };
        let mut answer =
            Self { errno: code.checked_neg().unwrap_or(i32::MAX), request, message: None, offset: None };
        if message.header.flags & ACK_ATTRIBUTES != 0 {
            let echoed = if message.header.flags & CAPPED == 0 && code != 0 {
                usize::try_from(request.length).unwrap_or(usize::MAX).max(HEADER)
            } else {
                HEADER
            };
            for attribute in Attributes::after(payload, 4_usize.saturating_add(echoed.min(payload.len()))) {
                let Ok(attribute) = attribute else { break };
                match attribute.kind {
                    1 => answer.message = Some(attribute.string()),
                    2 => answer.offset = attribute.u32_ne().ok(),
                    _ => {}
                }
            }
        }
        Ok(answer)
    }
}

/// The errno at the start of a [`DONE`] message: positive, 0 when the dump went well or says nothing.
#[must_use]
pub fn done_errno(message: &Message<'_>) -> i32 {
    first_i32(message.payload).and_then(i32::checked_neg).unwrap_or(0)
}

fn first_i32(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_messages_in_one_buffer_are_read_back() {
        let mut buffer = Vec::new();
        write(&mut buffer, 0x10, REQUEST, 7, |w| w.string(1, "a")).unwrap();
        write(&mut buffer, 0x11, REQUEST | ACK, 8, |w| w.raw(&[1, 2, 3])).unwrap();
        let read: Vec<_> = Messages::new(&buffer).collect::<Result<_, _>>().unwrap();
        assert_eq!((read[0].header.kind, read[0].header.sequence, read[0].header.length), (0x10, 7, 24));
        assert_eq!((read[1].header.kind, read[1].header.flags), (0x11, REQUEST | ACK));
        assert_eq!(read[1].payload, [1, 2, 3, 0]);
    }

    #[test]
    fn a_message_that_does_not_fit_leaves_the_buffer_as_it_was() {
        let mut buffer = vec![1, 2, 3, 4];
        assert_eq!(write(&mut buffer, 0x10, 0, 0, |w| w.bytes(1, &[0; 70_000])), Err(TooLong));
        assert_eq!(buffer, [1, 2, 3, 4]);
    }

    #[test]
    fn an_error_tells_its_code_words_and_offset() {
        let mut request = Vec::new();
        write(&mut request, 0x10, REQUEST, 9, |w| w.u32_be(1, 5)).unwrap();
        let mut buffer = Vec::new();
        write(&mut buffer, ERROR, ACK_ATTRIBUTES, 9, |w| {
            let mut head = (-22_i32).to_ne_bytes().to_vec();
            head.extend_from_slice(&request);
            w.raw(&head);
            w.string(1, "no such thing");
            w.u32_ne(2, 20);
        })
        .unwrap();
        let message = Messages::new(&buffer).next().unwrap().unwrap();
        let answer = Answer::decode(&message).unwrap();
        assert_eq!(answer.errno, 22);
        assert_eq!(answer.request.sequence, 9);
        assert_eq!(answer.message.as_deref(), Some("no such thing"));
        assert_eq!(answer.offset, Some(20));
    }

    proptest! {
        #[test]
        fn any_datagram_is_walked_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for message in Messages::new(&bytes).flatten() {
                let _ = (Answer::decode(&message), done_errno(&message));
            }
            let header = Header { length: 0, kind: ERROR, flags: u16::MAX, sequence: 0, port: 0 };
            let _ = Answer::decode(&Message { header, payload: &bytes });
        }
    }
}

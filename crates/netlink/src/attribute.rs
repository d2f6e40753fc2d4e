//! Netlink attributes: type, length, value, padded to four bytes.
//!
//! Source: `include/uapi/linux/netlink.h` (`struct nlattr`, `NLA_*`). The header is in the byte order of the
//! machine; the value's order is the message family's own affair, so every accessor names it.

use thiserror::Error;

/// Set on the type of an attribute whose value is a list of attributes.
pub const NESTED: u16 = 1 << 15;
/// Set on the type of an attribute whose value is in network byte order.
pub const NET_BYTEORDER: u16 = 1 << 14;

const HEADER: usize = 4;
const TYPE_MASK: u16 = !(NESTED | NET_BYTEORDER);

/// Why bytes are not what the protocol says they are.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A header says more bytes than there are, or fewer than itself.
    #[error("a length of {claimed} bytes where {available} are left")]
    Length {
        /// The length in the header.
        claimed: usize,
        /// The bytes that are there.
        available: usize,
    },
    /// The value of an attribute has another size than its meaning needs.
    #[error("attribute {kind} has {actual} bytes, expected {expected}")]
    Size {
        /// The attribute's type, without flags.
        kind: u16,
        /// The bytes of the value.
        actual: usize,
        /// The bytes it should have.
        expected: usize,
    },
    /// An attribute that must be there is not.
    #[error("{what} is missing")]
    Missing {
        /// What the attribute would have told.
        what: &'static str,
    },
    /// A number outside the set that is known.
    #[error("{what} has the unknown value {value}")]
    Unknown {
        /// What the number stands for.
        what: &'static str,
        /// The number.
        value: u64,
    },
}

/// Rounds up to the alignment of netlink.
#[must_use]
pub const fn align(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// Appends attributes to a buffer.
///
/// An attribute holds at most 65,535 bytes with its header. One that is longer is left out, and
/// [`Writer::overflowed`] says so; whoever sends the buffer must ask.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    /// Writes at the end of `buffer`, whose length must be a multiple of four.
    pub fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer, overflowed: false }
    }

    /// Whether an attribute did not fit and was left out.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Bytes in the buffer, with what was there before.
    #[must_use]
    pub fn position(&self) -> usize {
        self.buffer.len()
    }

    /// A value as it stands.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        let Ok(length) = u16::try_from(HEADER + value.len()) else {
            self.overflowed = true;
            return;
        };
        self.buffer.extend_from_slice(&length.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(value);
        self.pad();
    }

    /// Text, ended by a zero byte.
    pub fn string(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// An attribute that says all by being there.
    pub fn flag(&mut self, kind: u16) {
        self.bytes(kind, &[]);
    }

    /// One byte.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// Two bytes, network order.
    pub fn u16_be(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Four bytes, network order.
    pub fn u32_be(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Eight bytes, network order.
    pub fn u64_be(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Two bytes, the machine's order.
    pub fn u16_ne(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Four bytes, the machine's order.
    pub fn u32_ne(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Eight bytes, the machine's order.
    pub fn u64_ne(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A list of attributes, marked as such.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; HEADER]);
        fill(self);
        let Ok(length) = u16::try_from(self.buffer.len() - start) else {
            self.buffer.truncate(start);
            self.overflowed = true;
            return;
        };
        self.buffer[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.buffer[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
    }

    /// Bytes that are no attribute: the fixed header of a message family. Padded.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.buffer.resize(align(self.buffer.len()), 0);
    }
}

/// One attribute, borrowed from the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The type without its flags.
    pub kind: u16,
    /// The value without padding.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Size`] when the value is not one byte; likewise for the sizes below.
    pub fn u8(&self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, network order.
    #[allow(clippy::missing_errors_doc)]
    pub fn u16_be(&self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes, network order.
    #[allow(clippy::missing_errors_doc)]
    pub fn u32_be(&self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes, network order.
    #[allow(clippy::missing_errors_doc)]
    pub fn u64_be(&self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Two bytes, the machine's order.
    #[allow(clippy::missing_errors_doc)]
    pub fn u16_ne(&self) -> Result<u16, DecodeError> {
        Ok(u16::from_ne_bytes(self.array()?))
    }

    /// Four bytes, the machine's order.
    #[allow(clippy::missing_errors_doc)]
    pub fn u32_ne(&self) -> Result<u32, DecodeError> {
        Ok(u32::from_ne_bytes(self.array()?))
    }

    /// Eight bytes, the machine's order.
    #[allow(clippy::missing_errors_doc)]
    pub fn u64_ne(&self) -> Result<u64, DecodeError> {
        Ok(u64::from_ne_bytes(self.array()?))
    }

    /// Text up to the first zero byte or the end; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn string(&self) -> String {
        let end = self.value.iter().position(|&byte| byte == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(&self.value[..end]).into_owned()
    }

    /// The attributes inside this one.
    #[must_use]
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }

    /// A value of exactly `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Size`] for any other size.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], DecodeError> {
        self.value.try_into().map_err(|_| DecodeError::Size {
            kind: self.kind,
            actual: self.value.len(),
            expected: N,
        })
    }
}

/// Walks over the attributes in `bytes`; after an error it ends.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The attributes in `bytes`, which must start with one (or be empty).
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The attributes after a fixed header of `length` bytes; none when the header is cut short.
    #[must_use]
    pub fn after(bytes: &'a [u8], length: usize) -> Self {
        Self { rest: bytes.get(align(length)..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest;
        // Up to three bytes of padding may trail the last attribute.
        if rest.len() < HEADER {
            return None;
        }
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]) & TYPE_MASK;
        if length < HEADER || length > rest.len() {
            self.rest = &[];
            return Some(Err(DecodeError::Length { claimed: length, available: rest.len() }));
        }
        self.rest = rest.get(align(length)..).unwrap_or_default();
        Some(Ok(Attribute { kind, value: &rest[HEADER..length] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn written_attributes_are_padded_and_read_back() {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer);
        writer.string(1, "lo");
        writer.nest(2, |inner| {
            inner.u8(3, 7);
            inner.u64_be(4, 0x0102_0304_0506_0708);
        });
        assert!(!writer.overflowed());
        assert_eq!(buffer.len() % 4, 0);
        assert_eq!(&buffer[..8], &[7, 0, 1, 0, b'l', b'o', 0, 0]);

        let read: Vec<_> = Attributes::new(&buffer).collect::<Result<_, _>>().unwrap();
        assert_eq!(read[0].string(), "lo");
        let inner: Vec<_> = read[1].nested().collect::<Result<_, _>>().unwrap();
        assert_eq!(inner[0].u8(), Ok(7));
        assert_eq!(inner[1].u64_be(), Ok(0x0102_0304_0506_0708));
        assert_eq!(inner[0].u32_be(), Err(DecodeError::Size { kind: 3, actual: 1, expected: 4 }));
    }

    #[test]
    fn an_attribute_that_does_not_fit_is_left_out_and_said() {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer);
        writer.bytes(1, &vec![0; 65_532]);
        assert!(writer.overflowed());
        writer.nest(2, |inner| {
            for _ in 0..9_000 {
                inner.u32_be(1, 0);
            }
        });
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_length_beyond_the_end_is_one_error_and_then_the_end() {
        let mut attributes = Attributes::new(&[9, 0, 1, 0, 0, 0, 0, 0]);
        assert!(matches!(attributes.next(), Some(Err(DecodeError::Length { claimed: 9, available: 8 }))));
        assert!(attributes.next().is_none());
        assert!(matches!(Attributes::new(&[0, 0, 1, 0]).next(), Some(Err(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for attribute in Attributes::new(&bytes).flatten() {
                let _ = (attribute.u8(), attribute.u32_be(), attribute.string());
                for inner in attribute.nested().flatten() {
                    let _ = inner.u16_be();
                }
            }
        }
    }
}

//! Names of transactions.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Name of a transaction: UTC time to the millisecond and four random digits, as `20261122T195706123-8c1f`. Sorts by
/// time; safe as a file name and in a unit name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(String);

impl TransactionId {
    /// The name of a transaction that begins now, after all of `others`: where the clock has been set back, a
    /// millisecond after the last.
    pub(crate) fn next(now: Timestamp, others: &[Self]) -> Self {
        let last = others.iter().filter_map(Self::time).max();
        let next = last.and_then(|last| last.checked_add(SignedDuration::from_millis(1)).ok());
        Self::new(next.map_or(now, |next| next.max(now)))
    }

    fn time(&self) -> Option<Timestamp> {
        let (digits, _) = self.0.split_once('-')?;
        let (seconds, millis) = digits.split_at_checked(15)?;
        let whole: DateTime = DateTime::strptime("%Y%m%dT%H%M%S", seconds).ok()?;
        let whole = whole.to_zoned(TimeZone::UTC).ok()?.timestamp();
        whole.checked_add(SignedDuration::from_millis(millis.parse().ok()?)).ok()
    }

    fn new(now: Timestamp) -> Self {
        let mut random = [0_u8; 2];
        // Without randomness the time alone must do; a name that is taken is refused by rename(2).
        let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
        let suffix = u16::from_ne_bytes(random);
        Self(format!("{}{:03}-{suffix:04x}", now.strftime("%Y%m%dT%H%M%S"), now.subsec_millisecond()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Text that is not the name of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a transaction: expected one like 20261122T195706123-8c1f")]
pub struct NotATransactionId(pub String);

impl FromStr for TransactionId {
    type Err = NotATransactionId;

    fn from_str(text: &str) -> Result<Self, NotATransactionId> {
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let shape = text.is_ascii() && text.len() == 23 && &text[8..9] == "T" && &text[18..19] == "-";
        let good = shape
            && digits(&text[..8])
            && digits(&text[9..18])
            && text[19..].bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if good { Ok(Self(text.to_owned())) } else { Err(NotATransactionId(text.to_owned())) }
    }
}

impl Serialize for TransactionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TransactionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_survive_text() {
        let early = TransactionId::new("2026-11-22T19:57:06.009Z".parse().unwrap());
        let late = TransactionId::new("2026-11-22T19:57:06.123Z".parse().unwrap());
        assert!(early < late);
        assert!(late.as_str().starts_with("20261122T195706123-"));
        assert_eq!(late.as_str().parse(), Ok(late.clone()));
    }

    #[test]
    fn a_later_transaction_sorts_later_whatever_the_clock_says() {
        let now: Timestamp = "2026-11-22T19:57:06.999Z".parse().unwrap();
        let mut ids = Vec::new();
        for clock in [now, now, "2020-01-01T00:00:00Z".parse().unwrap(), now] {
            ids.push(TransactionId::next(clock, &ids));
        }
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(&ids[3].as_str()[..18], "20261122T195707002");
    }

    #[test]
    fn what_could_lead_out_of_the_directory_is_no_name() {
        for text in ["", "..", "../../../etc/passwd", "20261122T195706123-8c1g", "20261122T195706123/8c1f"] {
            assert!(text.parse::<TransactionId>().is_err(), "{text}");
        }
    }
}

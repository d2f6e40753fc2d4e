//! Rates as `iptables` reads them and as what the kernel makes of them is printed.

use crate::{Rate, TimeUnit};

pub(crate) const WHAT: &str = "packets in each second, minute, hour or day, such as 5/minute";

const UNITS: [(&str, TimeUnit); 4] = [
    ("second", TimeUnit::Second),
    ("minute", TimeUnit::Minute),
    ("hour", TimeUnit::Hour),
    ("day", TimeUnit::Day),
];

/// The time between two packets, in parts of a second of which `scale` make one; and the unit that was written.
/// `None` where it is no rate, or too fast to be told from infinity.
pub(crate) fn period(text: &str, scale: u64) -> Option<(u64, TimeUnit)> {
    let (packets, unit) = match text.split_once('/') {
        Some((packets, unit)) => (packets, unit),
        None => (text, "second"),
    };
    let fits = |name: &str| name.get(..unit.len()).is_some_and(|start| start.eq_ignore_ascii_case(unit));
    let (_, per) = UNITS.into_iter().find(|(name, _)| !unit.is_empty() && fits(name))?;
    let packets = packets.parse::<u32>().ok().filter(|packets| *packets > 0)?;
    let period = scale * u64::from(per.seconds()) / u64::from(packets);
    (period > 0).then_some((period, per))
}

/// The rate that `iptables` prints for a period: in the largest unit that keeps most of it.
pub(crate) fn printed(period: u64, scale: u64) -> Rate {
    let length = |per: TimeUnit| scale * u64::from(per.seconds());
    let mut per = TimeUnit::Day;
    for (_, next) in UNITS.into_iter().rev().skip(1) {
        let next_length = length(next);
        if period > next_length || next_length / period < next_length % period {
            break;
        }
        per = next;
    }
    Rate { packets: u32::try_from(length(per) / period).unwrap_or(u32::MAX), per }
}

//! `-m time`: the time of arrival.

use crate::Negatable;

/// The time of arrival, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// `--timestart`, in seconds of the day; 0 when it is left out.
    pub start: u32,
    /// `--timestop`; 86399 when it is left out.
    pub stop: u32,
    /// `--monthdays`: bits 1 to 31.
    pub month_days: Option<Negatable<u32>>,
    /// `--weekdays`: bits 1 (Monday) to 7 (Sunday).
    pub week_days: Option<Negatable<u8>>,
    /// `--datestart`.
    pub date_start: Option<DateTime>,
    /// `--datestop`.
    pub date_stop: Option<DateTime>,
    /// `--kerneltz`: the kernel's time zone instead.
    pub kernel_time_zone: bool,
    /// `--contiguous`: past midnight is one range.
    pub contiguous: bool,
}

/// Seconds since 1970-01-01T00:00:00, at most 2^32 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub u32);

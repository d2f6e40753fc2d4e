//! `-m time`: the time of arrival.

use crate::parse::Failure;
use crate::parse::options::{Args, Kind, Used, flag, value};
use crate::{Match, print};
use std::fmt::{self, Display, Formatter};

/// The time of arrival, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// `--timestart`, in seconds of the day; 0 when it is left out.
    pub start: u32,
    /// `--timestop`; 86399 when it is left out.
    pub stop: u32,
    /// `--monthdays`: bits 1 to 31; `!` is already taken into them.
    pub month_days: Option<u32>,
    /// `--weekdays`: bits 1 (Monday) to 7 (Sunday); `!` is already taken into them.
    pub week_days: Option<u8>,
    /// `--datestart`.
    pub date_start: Option<DateTime>,
    /// `--datestop`; `None`: 2038-01-19T03:14:07, the last one that there is, as which it is printed.
    pub date_stop: Option<DateTime>,
    /// `--kerneltz`: the kernel's time zone instead.
    pub kernel_time_zone: bool,
    /// `--contiguous`: past midnight is one range.
    pub contiguous: bool,
}

/// Seconds since 1970-01-01T00:00:00, at most 2^32 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub u32);

const DATE_START: u8 = 0;
const DATE_STOP: u8 = 1;
const START: u8 = 2;
const STOP: u8 = 3;
const WEEK_DAYS: u8 = 4;
const MONTH_DAYS: u8 = 5;
const CONTIGUOUS: u8 = 6;
const KERNEL_TIME_ZONE: u8 = 7;
const UTC: u8 = 8;

const LAST_SECOND: u32 = 86_399;
/// What `iptables` prints where no date is given: 2038-01-19T03:14:07.
const LAST_DATE: DateTime = DateTime(i32::MAX.unsigned_abs());
const ALL_MONTH_DAYS: u32 = 0xffff_fffe;
const ALL_WEEK_DAYS: u8 = 0xfe;
const DAYS: [&str; 8] = ["", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

pub(crate) const KIND: Kind = Kind::matching(
    "time",
    &[
        value("datestart", DATE_START),
        value("datestop", DATE_STOP),
        value("timestart", START),
        value("timestop", STOP),
        value("weekdays", WEEK_DAYS).not(),
        value("monthdays", MONTH_DAYS).not(),
        flag("contiguous", CONTIGUOUS),
        flag("kerneltz", KERNEL_TIME_ZONE).multi(),
        flag("localtz", KERNEL_TIME_ZONE).multi(),
        flag("utc", UTC),
    ],
    read,
);

fn read(args: &Args<'_>) -> Result<Match, Failure> {
    let date = |id| match args.get(id) {
        Some(used) => {
            args.require(used, date(args.text(used)), "a date such as 2026-12-31T23:59:59").map(Some)
        }
        None => Ok(None),
    };
    let clock = |id, default| match args.get(id) {
        Some(used) => args.require(used, clock(args.text(used)), "a time of the day such as 23:59:59"),
        None => Ok(default),
    };
    let time = Time {
        start: clock(START, 0)?,
        stop: clock(STOP, LAST_SECOND)?,
        month_days: args.get(MONTH_DAYS).map(|used| month_days(args, used)).transpose()?,
        week_days: args.get(WEEK_DAYS).map(|used| week_days(args, used)).transpose()?,
        date_start: date(DATE_START)?.filter(|date| date.0 != 0),
        date_stop: date(DATE_STOP)?.filter(|date| date.0 != 0 && *date != LAST_DATE),
        kernel_time_zone: args.flag(KERNEL_TIME_ZONE),
        contiguous: args.flag(CONTIGUOUS),
    };
    if time.kernel_time_zone && args.flag(UTC) {
        return Err(args.wrong("--utc excludes --kerneltz"));
    }
    if time.contiguous && time.start < time.stop {
        return Err(args.wrong("--contiguous is for a time that goes past midnight"));
    }
    Ok(Match::Time(Box::new(time)))
}

/// Digits up to `separator`, or to the end.
fn part(text: &str, separator: char, maximum: u32) -> Option<(u32, Option<&str>)> {
    let (digits, rest) = match text.split_once(separator) {
        Some((digits, rest)) => (digits, Some(rest)),
        None => (text, None),
    };
    let value = digits.parse().ok().filter(|value| *value <= maximum && !digits.starts_with('+'))?;
    Some((value, rest))
}

fn clock(text: &str) -> Option<u32> {
    let (hour, rest) = part(text, ':', 23)?;
    Some(hour * 3600 + minutes(rest?)?)
}

fn minutes(text: &str) -> Option<u32> {
    let (minute, rest) = part(text, ':', 59)?;
    let second = match rest {
        Some(rest) => rest.parse().ok().filter(|second| *second <= 59)?,
        None => 0,
    };
    Some(minute * 60 + second)
}

/// `YYYY[-MM[-DD[Thh[:mm[:ss]]]]]`.
fn date(text: &str) -> Option<DateTime> {
    let (year, rest) = part(text, '-', 2038).filter(|(year, _)| *year >= 1970)?;
    let (month, rest) = rest.map_or(Some((1, None)), |rest| part(rest, '-', 12))?;
    let (day, rest) = rest.map_or(Some((1, None)), |rest| part(rest, 'T', 31))?;
    let (hour, rest) = rest.map_or(Some((0, None)), |rest| part(rest, ':', 23))?;
    let seconds = rest.map_or(Some(0), minutes)?;
    let days = days_before(year, month) + i64::from(day) - 1;
    let seconds = days * 86_400 + i64::from(hour) * 3600 + i64::from(seconds);
    u32::try_from(seconds).ok().map(DateTime)
}

/// Days from 1970-01-01 to the first of a month; month 0 is the December before.
fn days_before(year: u32, month: u32) -> i64 {
    // Years that begin in March, so that the day of a leap year is the last one.
    let months = i64::from(year) * 12 + i64::from(month) - 3;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12));
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5
        - 719_468
}

/// Days that are excluded are the others that are not: as `iptables` writes them, too.
fn month_days(args: &Args<'_>, used: &Used) -> Result<u32, Failure> {
    let mut bits = 0_u32;
    for word in args.text(used).split(',') {
        let day = word.parse::<u32>().ok().filter(|day| (1..=31).contains(day));
        bits |= 1 << args.require(used, day, "days of the month, 1 to 31, with ',' between them")?;
    }
    Ok(if used.negated { bits ^ ALL_MONTH_DAYS } else { bits })
}

fn week_days(args: &Args<'_>, used: &Used) -> Result<u8, Failure> {
    let mut bits = 0_u8;
    for word in args.text(used).split(',') {
        let named = DAYS
            .iter()
            .position(|name| !name.is_empty() && word.get(..2).is_some_and(|start| name.starts_with(start)));
        let day = named.or_else(|| word.parse::<usize>().ok().filter(|day| (1..=7).contains(day)));
        bits |= 1 << args.require(used, day, "days of the week, Mon to Sun, with ',' between them")?;
    }
    Ok(if used.negated { bits ^ ALL_WEEK_DAYS } else { bits })
}

impl Display for DateTime {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let days = i64::from(self.0 / 86_400);
        let seconds = self.0 % 86_400;
        let month = (0..).take_while(|month| days_before(1970, month + 1) <= days).last().unwrap_or(0);
        let day = days - days_before(1970, month + 1) + 1;
        let (year, month) = (1970 + month / 12, month % 12 + 1);
        write!(f, "{year:04}-{month:02}-{day:02}T")?;
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

impl Time {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if (self.start, self.stop) != (0, LAST_SECOND) {
            for (name, time) in [("start", self.start), ("stop", self.stop)] {
                write!(f, " --time{name} {:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60)?;
            }
        }
        if let Some(days) = self.month_days.filter(|days| *days != ALL_MONTH_DAYS) {
            f.write_str(" --monthdays")?;
            for (index, day) in (1..32).filter(|day| days & 1 << day != 0).enumerate() {
                write!(f, "{}{day}", if index == 0 { ' ' } else { ',' })?;
            }
        }
        if let Some(days) = self.week_days.filter(|days| *days != ALL_WEEK_DAYS) {
            f.write_str(" --weekdays ")?;
            print::bits(f, days.into(), &DAYS)?;
        }
        print::value(f, "--datestart", self.date_start)?;
        print::value(f, "--datestop", Some(self.date_stop.unwrap_or(LAST_DATE)))?;
        print::flag(f, "--kerneltz", self.kernel_time_zone)?;
        print::flag(f, "--contiguous", self.contiguous)
    }
}

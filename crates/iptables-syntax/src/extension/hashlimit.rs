//! `-m hashlimit`: a rate for each address, port or pair of them.

use crate::Rate;
use crate::parse::Failure;
use crate::parse::number::leading;
use crate::parse::options::{Args, Kind, Used, address_of, flag, saturate32, value};
use crate::parse::{address, rate};
use crate::{Family, Match, print};
use std::fmt::{self, Formatter};

/// A rate for each address, port or pair of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashlimit {
    /// `--hashlimit-name`: the table of counters, which rules of the same name share.
    pub name: String,
    /// `--hashlimit-above` where true, else `--hashlimit-upto`.
    pub above: bool,
    /// The rate.
    pub rate: HashRate,
    /// `--hashlimit-burst`: packets, or bytes for a rate in bytes (then `None` where it is left out).
    pub burst: Option<u64>,
    /// `--hashlimit-mode srcip`.
    pub source_address: bool,
    /// `--hashlimit-mode srcport`.
    pub source_port: bool,
    /// `--hashlimit-mode dstip`.
    pub destination_address: bool,
    /// `--hashlimit-mode dstport`.
    pub destination_port: bool,
    /// `--hashlimit-srcmask`: the prefix that sources share.
    pub source_mask: u8,
    /// `--hashlimit-dstmask`.
    pub destination_mask: u8,
    /// All bits of an address: 32 or 128, by the family.
    pub full_mask: u8,
    /// `--hashlimit-htable-size`: buckets.
    pub size: Option<u32>,
    /// `--hashlimit-htable-max`: entries.
    pub maximum: Option<u32>,
    /// `--hashlimit-htable-gcinterval`, in milliseconds.
    pub gc_interval: Option<u32>,
    /// `--hashlimit-htable-expire`, in milliseconds.
    pub expire: Option<u32>,
    /// `--hashlimit-rate-match`: the whole flow is classified by its rate.
    pub rate_match: bool,
    /// `--hashlimit-rate-interval`, in seconds.
    pub rate_interval: Option<u32>,
}

/// What a [`Hashlimit`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashRate {
    /// Packets.
    Packets(Rate),
    /// Bytes.
    Bytes(ByteRate),
}

/// Bytes in each second, as the kernel counts them: by what 16 bytes cost of 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate {
    /// The cost of 16 bytes.
    pub cost: u32,
}

const UPTO: u8 = 0;
const ABOVE: u8 = 1;
const MODE: u8 = 2;
const SOURCE_MASK: u8 = 3;
const DESTINATION_MASK: u8 = 4;
const NAME: u8 = 5;
const BURST: u8 = 6;
const SIZE: u8 = 7;
const MAXIMUM: u8 = 8;
const GC_INTERVAL: u8 = 9;
const EXPIRE: u8 = 10;
const RATE_MATCH: u8 = 11;
const INTERVAL: u8 = 12;

/// The kernel counts in 1/1000000 s.
const SCALE: u64 = 1_000_000;
const DEFAULT_BURST: u64 = 5;
const MAXIMUM_BURST: u64 = 1_000_000;
const DEFAULT_GC_INTERVAL: u32 = 1000;
/// Milliseconds after which an entry expires by itself, for a rate in bytes without and with a burst.
const BYTE_EXPIRE: u32 = 15_000;
const BYTE_BURST_EXPIRE: u32 = 60_000;
const MODES: [&str; 4] = ["srcip", "srcport", "dstip", "dstport"];

pub(crate) const KIND: Kind = Kind::matching(
    "hashlimit",
    &[
        value("hashlimit-upto", UPTO).not().group(1),
        value("hashlimit-above", ABOVE).not().group(1),
        value("hashlimit", UPTO).not().group(1),
        value("hashlimit-mode", MODE),
        value("hashlimit-srcmask", SOURCE_MASK),
        value("hashlimit-dstmask", DESTINATION_MASK),
        value("hashlimit-name", NAME),
        value("hashlimit-burst", BURST),
        value("hashlimit-htable-size", SIZE),
        value("hashlimit-htable-max", MAXIMUM),
        value("hashlimit-htable-gcinterval", GC_INTERVAL),
        value("hashlimit-htable-expire", EXPIRE),
        flag("hashlimit-rate-match", RATE_MATCH),
        value("hashlimit-rate-interval", INTERVAL),
    ],
    read,
)
.required(1 << NAME)
.one_of(1 << UPTO | 1 << ABOVE);

fn read(args: &Args<'_>) -> Result<Match, Failure> {
    let used =
        args.all().find(|used| used.id <= ABOVE).ok_or_else(|| args.wrong("expected --hashlimit-upto"))?;
    let name =
        args.string(NAME).filter(|name| !name.is_empty()).ok_or_else(|| args.wrong("expected a name"))?;
    let expire = args.optional_u32(EXPIRE)?;
    let rate_match = args.flag(RATE_MATCH);
    let mut interval = args.optional_u32(INTERVAL)?.filter(|seconds| *seconds != 0);
    let (rate, burst, default_expire, written_expire);
    if let Some(bytes) = byte_rate(args, used)? {
        rate = HashRate::Bytes(bytes);
        burst = byte_burst(args, bytes)?;
        default_expire = if burst.is_some() { BYTE_BURST_EXPIRE } else { BYTE_EXPIRE };
        written_expire = default_expire;
    } else {
        let (period, unit) = args.require(used, rate::period(args.text(used), SCALE), rate::WHAT)?;
        // The rate itself is matched: by the second, for as many seconds as the unit has.
        let period = if rate_match { (period / u64::from(unit.seconds())).max(1) } else { period };
        interval = interval.or(Some(unit.seconds()));
        let printed = rate::printed(period, SCALE);
        rate = HashRate::Packets(printed);
        burst = Some(match args.get(BURST) {
            Some(used) => args.number(used, 1, MAXIMUM_BURST)?,
            None => DEFAULT_BURST,
        });
        default_expire = printed.per.seconds() * 1000;
        written_expire = unit.seconds() * 1000;
    }
    let modes = match args.get(MODE) {
        Some(used) => args.bits(used, args.text(used), &MODES, "parts of a packet")?,
        None => 0,
    };
    let full = if args.family == Family::Ipv4 { 32 } else { 128 };
    let mask = |id| match args.get(id) {
        Some(used) => {
            args.require(used, address::prefix_length(args.text(used), args.family), address_of(args.family))
        }
        None => Ok(full),
    };
    Ok(Match::Hashlimit(Box::new(Hashlimit {
        name: name.to_owned(),
        above: (used.id == ABOVE) != used.negated,
        rate,
        burst,
        source_address: modes & 1 != 0,
        source_port: modes & 2 != 0,
        destination_address: modes & 4 != 0,
        destination_port: modes & 8 != 0,
        source_mask: mask(SOURCE_MASK)?,
        destination_mask: mask(DESTINATION_MASK)?,
        full_mask: full,
        size: args.optional_u32(SIZE)?.filter(|size| *size != 0),
        maximum: args.optional_u32(MAXIMUM)?.filter(|maximum| *maximum != 0),
        gc_interval: args.optional_u32(GC_INTERVAL)?.filter(|interval| *interval != DEFAULT_GC_INTERVAL),
        expire: Some(expire.unwrap_or(written_expire)).filter(|expire| *expire != default_expire),
        rate_match,
        rate_interval: interval.filter(|seconds| rate_match && *seconds != 1),
    })))
}

/// `10mb/s`; less than 16 bytes could not be told from none.
fn byte_rate(args: &Args<'_>, used: &Used) -> Result<Option<ByteRate>, Failure> {
    let text = args.text(used);
    if !text.contains("b/s") {
        return Ok(None);
    }
    let bytes = leading(text).and_then(|(bytes, rest)| match rest {
        "b/s" | "kb/s" | "mb/s" => bytes.checked_mul(factor(rest.bytes().next())),
        _ => None,
    });
    let bytes = bytes.filter(|bytes| (16..=u64::from(u32::MAX) * 16).contains(bytes));
    let bytes = args.require(used, bytes, "at least 16 bytes in each second, such as 512kb/s")?;
    Ok(Some(ByteRate { cost: cost(bytes) }))
}

/// A burst in bytes, rounded up to what the rate lets through at once.
fn byte_burst(args: &Args<'_>, rate: ByteRate) -> Result<Option<u64>, Failure> {
    let Some(used) = args.get(BURST) else { return Ok(None) };
    let bytes = leading(args.text(used)).and_then(|(bytes, rest)| match rest {
        "" | "b" | "kb" | "mb" | "k" | "m" => bytes.checked_mul(factor(rest.bytes().next())),
        _ => None,
    });
    let bytes = args.require(used, bytes, "bytes, such as 512kb")?;
    let quantum = rate.bytes_per_second();
    if quantum == 0 || bytes < quantum {
        return Err(args.expected(used, &format!("a burst of at least {quantum}b")));
    }
    Ok(bytes.div_ceil(quantum).checked_mul(quantum))
}

fn factor(letter: Option<u8>) -> u64 {
    match letter {
        Some(b'm') => 1 << 20,
        Some(b'k') => 1 << 10,
        _ => 1,
    }
}

fn cost(bytes: u64) -> u32 {
    u32::MAX / saturate32(bytes >> 4).saturating_add(1)
}

impl ByteRate {
    /// The rate, rounded down to 16 bytes.
    pub fn bytes_per_second(self) -> u64 {
        u64::from(u32::MAX.checked_div(self.cost).unwrap_or(u32::MAX).saturating_sub(1)) << 4
    }
}

impl Hashlimit {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.above { " --hashlimit-above" } else { " --hashlimit-upto" })?;
        match self.rate {
            HashRate::Packets(rate) => {
                write!(f, " {rate} --hashlimit-burst {}", self.burst.unwrap_or(DEFAULT_BURST))?;
            }
            HashRate::Bytes(rate) => {
                let bytes = rate.bytes_per_second();
                // The original masks with 32 bits, which takes the higher ones away, too.
                let exact =
                    |unit: u64| bytes >= unit && cost(bytes & u64::from(!saturate32(unit - 1))) == rate.cost;
                let (unit, name) = UNITS.into_iter().find(|(unit, _)| exact(*unit)).unwrap_or((1, ""));
                write!(f, " {}{name}b/s", bytes / unit)?;
                if let Some(burst) = self.burst {
                    let (unit, name) = UNITS.into_iter().find(|(unit, _)| burst >= *unit).unwrap_or((1, ""));
                    write!(f, " --hashlimit-burst {}{name}b", burst / unit)?;
                }
            }
        }
        let modes = [self.source_address, self.source_port, self.destination_address, self.destination_port];
        let modes = modes.into_iter().rev().fold(0, |bits, set| bits << 1 | u16::from(set));
        if modes != 0 {
            f.write_str(" --hashlimit-mode ")?;
            print::bits(f, modes, &MODES)?;
        }
        write!(f, " --hashlimit-name {}", print::Word(&self.name))?;
        print::value(f, "--hashlimit-htable-size", self.size)?;
        print::value(f, "--hashlimit-htable-max", self.maximum)?;
        print::value(f, "--hashlimit-htable-gcinterval", self.gc_interval)?;
        print::value(f, "--hashlimit-htable-expire", self.expire)?;
        let short = |mask| Some(mask).filter(|mask| *mask != self.full_mask);
        print::value(f, "--hashlimit-srcmask", short(self.source_mask))?;
        print::value(f, "--hashlimit-dstmask", short(self.destination_mask))?;
        print::flag(f, "--hashlimit-rate-match", self.rate_match)?;
        print::value(f, "--hashlimit-rate-interval", self.rate_interval)
    }
}

const UNITS: [(u64, &str); 2] = [(1 << 20, "m"), (1 << 10, "k")];

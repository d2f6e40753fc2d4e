//! `-m statistic`: chance, or each nth packet.

use crate::parse::Failure;
use crate::parse::options::{Args, Kind, saturate32, value};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// Chance, or each nth packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// `--mode random`.
    Random {
        /// Whether `!` stands before `--probability`.
        negated: bool,
        /// `--probability`, in parts of 2^31.
        probability: u32,
    },
    /// `--mode nth`.
    Nth {
        /// Whether `!` stands before `--every`.
        negated: bool,
        /// `--every`, at least 1.
        every: u32,
        /// `--packet`: which of them, from 0.
        packet: u32,
    },
}

const MODE: u8 = 0;
const PROBABILITY: u8 = 1;
const EVERY: u8 = 2;
const PACKET: u8 = 3;

pub(crate) const KIND: Kind = Kind::matching(
    "statistic",
    &[
        value("mode", MODE),
        value("probability", PROBABILITY).not(),
        value("every", EVERY).not(),
        value("packet", PACKET),
    ],
    read,
)
.required(1 << MODE);

fn read(args: &Args<'_>) -> Result<Match, Failure> {
    let (probability, every, packet) = (args.get(PROBABILITY), args.get(EVERY), args.get(PACKET));
    Ok(Match::Statistic(match (args.string(MODE), probability, every, packet) {
        (Some("random"), Some(used), None, None) => {
            let value = args.text(used).parse::<f64>().ok().filter(|value| (0.0..=1.0).contains(value));
            let value = args.require(used, value, "a number from 0 to 1")?;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is within 0 and 2^31"
            )]
            let probability = (value * f64::from(1_u32 << 31)).round() as u32;
            Statistic::Random { negated: used.negated, probability }
        }
        (Some("nth"), None, Some(every), Some(packet)) => {
            let count = saturate32(args.number(every, 1, u32::MAX.into())?);
            let which = args.u32(packet)?;
            if which >= count {
                return Err(args.expected(packet, "a number less than that of --every"));
            }
            Statistic::Nth { negated: every.negated, every: count, packet: which }
        }
        _ => {
            return Err(args.wrong(
                "expected --mode random with --probability, or --mode nth with --every and --packet",
            ));
        }
    }))
}

impl Statistic {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Random { negated, probability } => {
                f.write_str(" --mode random")?;
                print::option(f, negated, "--probability")?;
                write!(f, " {:.11}", f64::from(probability) / f64::from(1_u32 << 31))
            }
            Self::Nth { negated, every, packet } => {
                f.write_str(" --mode nth")?;
                print::option(f, negated, "--every")?;
                write!(f, " {every} --packet {packet}")
            }
        }
    }
}

//! `-j CT`: sets connection tracking up for a packet, or keeps it away from it.

use crate::parse::Failure;
use crate::parse::options::{Args, Kind, Used, flag, value};
use crate::{Target, print};
use std::fmt::{self, Formatter};

/// Sets connection tracking up for a packet, or keeps it away from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ct {
    /// `--notrack`.
    pub notrack: bool,
    /// `--helper`.
    pub helper: Option<String>,
    /// `--timeout`.
    pub timeout: Option<String>,
    /// `--ctevents`.
    pub events: Option<CtEvents>,
    /// `--expevents new`.
    pub expectation_events: bool,
    /// `--zone`, `--zone-orig`, `--zone-reply`.
    pub zone: Option<CtZone>,
}

/// Which events a connection tells of: the bits are the kernel's (`1 << IPCT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtEvents(pub u16);

impl CtEvents {
    /// The names, by bit.
    pub const NAMES: [&'static str; 10] = [
        "new",
        "related",
        "destroy",
        "reply",
        "assured",
        "protoinfo",
        "helper",
        "mark",
        "natseqinfo",
        "secmark",
    ];
}

/// The zone of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtZone {
    /// The number; `None`: the packet's mark.
    pub number: Option<u16>,
    /// One direction alone: `Some(true)` the original, `Some(false)` the reply.
    pub original: Option<bool>,
}

const NOTRACK: u8 = 0;
const HELPER: u8 = 1;
const TIMEOUT: u8 = 2;
const EVENTS: u8 = 3;
const EXPECTATIONS: u8 = 4;
const ZONE: u8 = 5;
const ZONE_ORIGINAL: u8 = 6;
const ZONE_REPLY: u8 = 7;

pub(crate) const TARGET: Kind = Kind::target(
    "CT",
    &[
        flag("notrack", NOTRACK),
        value("helper", HELPER),
        value("timeout", TIMEOUT),
        value("ctevents", EVENTS),
        value("expevents", EXPECTATIONS),
        value("zone", ZONE).group(1),
        value("zone-orig", ZONE_ORIGINAL).group(1),
        value("zone-reply", ZONE_REPLY).group(1),
    ],
    |args| {
        let mut ct = Ct {
            notrack: args.flag(NOTRACK),
            helper: args.string(HELPER).map(str::to_owned),
            timeout: args.string(TIMEOUT).map(str::to_owned),
            ..Ct::default()
        };
        for used in args.all() {
            match used.id {
                EVENTS => {
                    let bits = args.bits(used, args.text(used), &CtEvents::NAMES, "events")?;
                    ct.events = Some(CtEvents(bits));
                }
                EXPECTATIONS => {
                    args.bits(used, args.text(used), &["new"], "events")?;
                    ct.expectation_events = true;
                }
                ZONE | ZONE_ORIGINAL | ZONE_REPLY => ct.zone = zone(args, used)?,
                _ => {}
            }
        }
        Ok(Target::Ct(Box::new(ct)))
    },
);

/// Zone 0 is what a packet has anyway.
fn zone(args: &Args<'_>, used: &Used) -> Result<Option<CtZone>, Failure> {
    let original = (used.id != ZONE).then_some(used.id == ZONE_ORIGINAL);
    if args.text(used).eq_ignore_ascii_case("mark") {
        return Ok(Some(CtZone { number: None, original }));
    }
    let number = args.u16(used)?;
    Ok((number != 0).then_some(CtZone { number: Some(number), original }))
}

impl Ct {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::flag(f, "--notrack", self.notrack)?;
        print::value(f, "--helper", self.helper.as_deref().map(print::Word))?;
        print::value(f, "--timeout", self.timeout.as_deref().map(print::Word))?;
        if let Some(events) = self.events {
            f.write_str(" --ctevents ")?;
            print::bits(f, events.0, &CtEvents::NAMES)?;
        }
        if self.expectation_events {
            f.write_str(" --expevents new")?;
        }
        let Some(zone) = self.zone else { return Ok(()) };
        f.write_str(match zone.original {
            None => " --zone ",
            Some(true) => " --zone-orig ",
            Some(false) => " --zone-reply ",
        })?;
        match zone.number {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("mark"),
        }
    }
}

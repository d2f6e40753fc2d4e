//! `-m tcp`: ports, flags and options.

use crate::parse::Failure;
use crate::parse::options::{Args, Kind, Used, flag, value};
use crate::{Match, print};
use crate::{Negatable, PortRange};
use std::fmt::{self, Formatter};

/// Ports, flags and options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tcp {
    /// `--source-port`.
    pub source_ports: Option<Negatable<PortRange>>,
    /// `--destination-port`.
    pub destination_ports: Option<Negatable<PortRange>>,
    /// `--tcp-flags`, `--syn`.
    pub flags: Option<Negatable<TcpFlags>>,
    /// `--tcp-option`.
    pub option: Option<Negatable<u8>>,
}

/// Which flags are looked at, and which of them are set: the bits of the header (RFC 9293).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TcpFlags {
    /// The flags that are looked at.
    pub mask: u8,
    /// Those of them that are set.
    pub set: u8,
}

impl TcpFlags {
    /// The names, by bit.
    pub const NAMES: [&'static str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
    /// `--syn`: of FIN, SYN, RST, ACK the SYN alone.
    pub const SYN: Self = Self { mask: 0x17, set: 0x02 };
}

const SOURCE: u8 = 0;
const DESTINATION: u8 = 1;
const FLAGS: u8 = 2;
const OPTION: u8 = 3;

pub(crate) const KIND: Kind = Kind::matching(
    "tcp",
    &[
        value("dport", DESTINATION).not(),
        value("sport", SOURCE).not(),
        value("tcp-flags", FLAGS).two().not().group(1),
        flag("syn", FLAGS).not().group(1),
        value("tcp-option", OPTION).not(),
        value("source-port", SOURCE).not(),
        value("destination-port", DESTINATION).not(),
    ],
    |args| {
        if !args.is_protocol(&[6]) {
            return Err(args.wrong("tcp looks at one protocol: expected -p tcp"));
        }
        let mut tcp = Tcp {
            source_ports: args.ordered_ports(SOURCE)?,
            destination_ports: args.ordered_ports(DESTINATION)?,
            ..Tcp::default()
        };
        for used in args.all() {
            match used.id {
                FLAGS => tcp.flags = Some(used.with(flags(args, used)?)),
                OPTION => tcp.option = Some(used.with(args.u8(used, 1, 255)?)),
                _ => {}
            }
        }
        Ok(Match::Tcp(tcp))
    },
);

fn flags(args: &Args<'_>, used: &Used) -> Result<TcpFlags, Failure> {
    // `--syn` has no value.
    if used.value == used.word && used.skip == 0 {
        return Ok(TcpFlags::SYN);
    }
    let read = |text: &str| {
        let mut bits = 0;
        for word in text.split(',') {
            bits |= match TcpFlags::NAMES.iter().position(|name| name.eq_ignore_ascii_case(word)) {
                Some(bit) => 1 << bit,
                None if word.eq_ignore_ascii_case("ALL") => 0x3f,
                None if word.eq_ignore_ascii_case("NONE") => 0,
                None => return Err(args.expected(used, "flags of FIN, SYN, RST, PSH, ACK, URG, ALL, NONE")),
            };
        }
        Ok(bits)
    };
    Ok(TcpFlags { mask: read(args.text(used))?, set: read(args.second(used))? })
}

impl Tcp {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::negatable(f, "--sport", self.source_ports.as_ref())?;
        print::negatable(f, "--dport", self.destination_ports.as_ref())?;
        print::negatable(f, "--tcp-option", self.option.as_ref())?;
        let Some(flags) = self.flags else { return Ok(()) };
        print::option(f, flags.negated, "--tcp-flags")?;
        for bits in [flags.value.mask, flags.value.set] {
            f.write_str(" ")?;
            if bits == 0 {
                f.write_str("NONE")?;
            }
            print::bits(f, bits.into(), &TcpFlags::NAMES)?;
        }
        Ok(())
    }
}

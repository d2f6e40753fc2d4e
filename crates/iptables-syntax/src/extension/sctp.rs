//! `-m sctp`: ports and chunks.

use crate::parse::Failure;
use crate::parse::options::{Args, Kind, Used, value};
use crate::{Match, print};
use crate::{Negatable, PortRange};
use std::fmt::{self, Formatter, Write};

/// Ports and chunks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sctp {
    /// `--source-port`.
    pub source_ports: Option<Negatable<PortRange>>,
    /// `--destination-port`.
    pub destination_ports: Option<Negatable<PortRange>>,
    /// `--chunk-types`.
    pub chunks: Option<Negatable<SctpChunks>>,
}

/// Kinds of chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SctpChunks {
    /// How they are asked for.
    pub scope: ChunkScope,
    /// The kinds, by number; `None`: every kind (`ALL`); an empty list is `NONE`.
    pub kinds: Option<Vec<SctpChunk>>,
}

/// How chunks are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkScope {
    /// Each of the kinds is there.
    All,
    /// One of the kinds is there.
    Any,
    /// No other kind is there.
    Only,
}

/// A kind of chunk, with its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SctpChunk {
    /// The number of the kind.
    pub kind: u8,
    /// The flags that are looked at.
    pub flag_mask: u8,
    /// Those of them that are set.
    pub flags: u8,
}

const CHUNKS: u8 = 2;

pub(crate) const KIND: Kind = Kind::matching(
    "sctp",
    &[
        value("dport", 1).not(),
        value("sport", 0).not(),
        value("source-port", 0).not(),
        value("destination-port", 1).not(),
        value("chunk-types", CHUNKS).two().not(),
    ],
    |args| {
        if !args.is_protocol(&[132]) {
            return Err(args.wrong("sctp looks at one protocol: expected -p sctp"));
        }
        let mut sctp = Sctp::default();
        for used in args.all() {
            match used.id {
                0 => sctp.source_ports = Some(used.with(args.port_range(used)?)),
                1 => sctp.destination_ports = Some(used.with(args.port_range(used)?)),
                _ => sctp.chunks = Some(used.with(chunks(args, used)?)),
            }
        }
        Ok(Match::Sctp(Box::new(sctp)))
    },
);

/// A kind of chunk (RFC 9260 and others): its name, number and flags, from the highest bit on.
type Kinds = [(&'static str, u8, &'static str); 22];

const KINDS: Kinds = [
    ("DATA", 0, "----IUBE"),
    ("INIT", 1, ""),
    ("INIT_ACK", 2, ""),
    ("SACK", 3, ""),
    ("HEARTBEAT", 4, ""),
    ("HEARTBEAT_ACK", 5, ""),
    ("ABORT", 6, "-------T"),
    ("SHUTDOWN", 7, ""),
    ("SHUTDOWN_ACK", 8, ""),
    ("ERROR", 9, ""),
    ("COOKIE_ECHO", 10, ""),
    ("COOKIE_ACK", 11, ""),
    ("ECN_ECNE", 12, ""),
    ("ECN_CWR", 13, ""),
    ("SHUTDOWN_COMPLETE", 14, "-------T"),
    ("I_DATA", 64, "----IUBE"),
    ("RE_CONFIG", 130, ""),
    ("PAD", 132, ""),
    ("ASCONF", 193, ""),
    ("ASCONF_ACK", 128, ""),
    ("FORWARD_TSN", 192, ""),
    ("I_FORWARD_TSN", 194, ""),
];

fn chunks(args: &Args<'_>, used: &Used) -> Result<SctpChunks, Failure> {
    let scope = match args.text(used) {
        text if text.eq_ignore_ascii_case("all") => Some(ChunkScope::All),
        text if text.eq_ignore_ascii_case("any") => Some(ChunkScope::Any),
        text if text.eq_ignore_ascii_case("only") => Some(ChunkScope::Only),
        _ => None,
    };
    let scope = args.require(used, scope, "all, any or only")?;
    let list = args.second(used);
    if list.eq_ignore_ascii_case("all") {
        return Ok(SctpChunks { scope, kinds: None });
    }
    let mut kinds = Vec::new();
    if !list.eq_ignore_ascii_case("none") {
        for part in list.split(',') {
            let chunk = chunk(part).ok_or_else(|| {
                Failure::at(
                    used.value + 1,
                    format!("expected kinds of chunks such as DATA, INIT, found \"{part}\""),
                )
            })?;
            kinds.push(chunk);
        }
        kinds.sort_by_key(|chunk| chunk.kind);
        kinds.dedup_by_key(|chunk| chunk.kind);
    }
    Ok(SctpChunks { scope, kinds: Some(kinds) })
}

/// `DATA:Be`: a capital letter is a flag that is set, a small one a flag that is not.
fn chunk(text: &str) -> Option<SctpChunk> {
    let (name, letters) = text.split_once(':').unwrap_or((text, ""));
    let (_, kind, known) = KINDS.into_iter().find(|(other, ..)| other.eq_ignore_ascii_case(name))?;
    let mut chunk = SctpChunk { kind, flag_mask: 0, flags: 0 };
    for letter in letters.chars().filter(|letter| *letter != '-') {
        let bit = 1 << (7 - known.find(letter.to_ascii_uppercase())?);
        chunk.flag_mask |= bit;
        if letter.is_ascii_uppercase() {
            chunk.flags |= bit;
        }
    }
    Some(chunk)
}

impl Sctp {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::negatable(f, "--sport", self.source_ports.as_ref())?;
        print::negatable(f, "--dport", self.destination_ports.as_ref())?;
        let Some(chunks) = &self.chunks else { return Ok(()) };
        print::option(f, chunks.negated, "--chunk-types")?;
        f.write_str(match chunks.value.scope {
            ChunkScope::All => " all ",
            ChunkScope::Any => " any ",
            ChunkScope::Only => " only ",
        })?;
        let kinds = match &chunks.value.kinds {
            None => return f.write_str("ALL"),
            Some(kinds) if kinds.is_empty() => return f.write_str("NONE"),
            Some(kinds) => kinds,
        };
        for (index, chunk) in kinds.iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            chunk.print(f)?;
        }
        Ok(())
    }
}

impl SctpChunk {
    fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some((name, _, known)) = KINDS.into_iter().find(|(_, kind, _)| *kind == self.kind) else {
            return Ok(());
        };
        f.write_str(name)?;
        if self.flag_mask != 0 {
            f.write_char(':')?;
        }
        for (index, letter) in known.chars().enumerate() {
            let bit = 0x80_u8 >> index;
            if self.flag_mask & bit != 0 {
                f.write_char(if self.flags & bit != 0 { letter } else { letter.to_ascii_lowercase() })?;
            }
        }
        Ok(())
    }
}

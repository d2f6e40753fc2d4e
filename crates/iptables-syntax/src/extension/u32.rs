//! `-m u32`: arithmetic on the packet's bytes.

use crate::Interval;
use crate::parse::Failure;
use crate::parse::number::leading;
use crate::parse::options::{Args, Kind, Used, saturate32, value};
use crate::{Match, print};
use std::fmt::{self, Formatter, Write};

/// Arithmetic on the packet's bytes: every test must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct U32 {
    /// Whether `!` stands before it.
    pub negated: bool,
    /// The tests.
    pub tests: Vec<U32Test>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct U32Test {
    /// The offset of the first four bytes.
    pub offset: u32,
    /// What is done with them, in order.
    pub operations: Vec<(U32Operator, u32)>,
    /// One of them holds the result.
    pub values: Vec<Interval<u32>>,
}

/// What is done with the value so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum U32Operator {
    /// `&`.
    And,
    /// `<<`.
    ShiftLeft,
    /// `>>`.
    ShiftRight,
    /// `@`: the value is added to the offset, from which four bytes are read anew.
    Move,
}

/// Tests, operations of a test and values of a test.
const MAXIMUM: usize = 10;

pub(crate) const KIND: Kind = Kind::matching("u32", &[value("u32", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --u32"))?;
    let mut tests = Vec::new();
    for text in args.text(used).split("&&") {
        tests.push(test(args, used, text)?);
    }
    if tests.len() > MAXIMUM {
        return Err(args.expected(used, "at most 10 tests"));
    }
    Ok(Match::U32(U32 { negated: used.negated, tests }))
})
.required(1);

/// `0>>22&0x3C@0=0x1,0x3:0x5`.
fn test(args: &Args<'_>, used: &Used, text: &str) -> Result<U32Test, Failure> {
    let (location, values) =
        args.require(used, text.split_once('='), "tests such as 6&0xFF=1, with && between them")?;
    let (offset, operations) =
        args.require(used, operations(location), "a location such as 0>>22&0x3C@0 before '='")?;
    let values = args.require(used, ranges(values), "numbers or ranges behind '=', with ',' between them")?;
    if operations.len() >= MAXIMUM || values.len() > MAXIMUM {
        return Err(args.expected(used, "at most 10 numbers before and behind '='"));
    }
    Ok(U32Test { offset, operations, values })
}

fn number(text: &str) -> Option<(u32, &str)> {
    let (value, rest) = leading(text.trim_start())?;
    (value <= u32::MAX.into()).then(|| (saturate32(value), rest.trim_start()))
}

fn operations(text: &str) -> Option<(u32, Vec<(U32Operator, u32)>)> {
    let (offset, mut rest) = number(text)?;
    let mut operations = Vec::new();
    while !rest.is_empty() {
        let (operator, tail) =
            OPERATORS.into_iter().find_map(|(sign, operator)| Some((operator, rest.strip_prefix(sign)?)))?;
        let (value, tail) = number(tail)?;
        operations.push((operator, value));
        rest = tail;
    }
    Some((offset, operations))
}

const OPERATORS: [(&str, U32Operator); 4] = [
    ("&", U32Operator::And),
    ("<<", U32Operator::ShiftLeft),
    (">>", U32Operator::ShiftRight),
    ("@", U32Operator::Move),
];

fn ranges(text: &str) -> Option<Vec<Interval<u32>>> {
    let range = |text| {
        let (first, rest) = number(text)?;
        let last = match rest.strip_prefix(':') {
            Some(rest) => number(rest).filter(|(_, rest)| rest.is_empty())?.0,
            None => Some(first).filter(|_| rest.is_empty())?,
        };
        Some(Interval { first, last })
    };
    text.split(',').map(range).collect()
}

impl U32 {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::option(f, self.negated, "--u32 \"")?;
        for (index, test) in self.tests.iter().enumerate() {
            if index > 0 {
                f.write_str("&&")?;
            }
            test.print(f)?;
        }
        f.write_char('"')
    }
}

impl U32Test {
    fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.offset)?;
        for (operator, value) in &self.operations {
            let sign = OPERATORS.iter().find(|(_, other)| other == operator).map_or("", |(sign, _)| sign);
            write!(f, "{sign}{value:#x}")?;
        }
        for (index, values) in self.values.iter().enumerate() {
            write!(f, "{}{:#x}", if index == 0 { '=' } else { ',' }, values.first)?;
            if !values.is_one() {
                write!(f, ":{:#x}", values.last)?;
            }
        }
        Ok(())
    }
}

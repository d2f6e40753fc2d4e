//! The variables of a packet: which bit of which field each is, in the order in which sets are decided.
//!
//! Interfaces are coded by classes: names that no match of the ruleset tells apart are one class, so that a name takes a
//! few variables and not 128. Addresses of both families share variables; the family comes first of all.

use super::bdd::{Arena, Bdd};
use super::names::{Names, ends_in_zeros};
use crate::facts::{Field, IPV4, IPV6, has_input, has_output};
use crate::packet::{Hook, State};

/// Which variables a field has.
#[derive(Debug)]
pub(crate) struct Layout {
    first: [u32; Field::COUNT],
    names: [Names; 2],
    end: u32,
}

/// The order of the fields: what rulesets dispatch on first, and what has many values last.
const ORDER: [Field; Field::COUNT] = [
    Field::Family,
    Field::State,
    Field::InputName,
    Field::OutputName,
    Field::Protocol,
    Field::Status,
    Field::DestinationPort,
    Field::IcmpKind,
    Field::IcmpCode,
    Field::TcpFlags,
    Field::SourcePort,
    Field::Destination,
    Field::OriginalPort,
    Field::OriginalDestination,
    Field::Source,
    Field::HopLimit,
    Field::Mark,
];

impl Layout {
    pub(crate) fn new(names: [Names; 2]) -> Self {
        let mut layout = Self { first: [0; Field::COUNT], names, end: 0 };
        for field in ORDER {
            layout.first[field.index()] = layout.end;
            layout.end += layout.width(field, true);
        }
        layout
    }

    /// How many variables the field has, in packets of that family.
    pub(crate) fn width(&self, field: Field, ipv6: bool) -> u32 {
        match field {
            Field::Family | Field::Status => 1,
            Field::State => 3,
            Field::InputName => self.names[0].width(),
            Field::OutputName => self.names[1].width(),
            Field::Protocol
            | Field::Source
            | Field::Destination
            | Field::SourcePort
            | Field::DestinationPort
            | Field::IcmpKind
            | Field::IcmpCode
            | Field::TcpFlags
            | Field::HopLimit
            | Field::Mark
            | Field::OriginalDestination
            | Field::OriginalPort => u32::try_from(field.bytes(ipv6) * 8).unwrap_or(0),
        }
    }

    /// The variable of the field's highest bit.
    pub(crate) const fn first(&self, field: Field) -> u32 {
        self.first[field.index()]
    }

    /// The first number that is no field's.
    pub(crate) const fn end(&self) -> u32 {
        self.end
    }

    pub(crate) const fn names(&self, field: Field) -> &Names {
        &self.names[if matches!(field, Field::OutputName) { 1 } else { 0 }]
    }

    /// The field that a variable belongs to; `None` for what is not of the packet.
    pub(crate) fn field_of(&self, variable: u32) -> Option<Field> {
        ORDER.into_iter().find(|&field| {
            let first = self.first(field);
            (first..first + self.width(field, true)).contains(&variable)
        })
    }

    /// Where variables take these values: the value of the field.
    pub(crate) fn decode(&self, field: Field, ipv6: bool, value: impl Fn(u32) -> bool) -> u128 {
        let first = self.first(field);
        let code = (0..self.width(field, ipv6))
            .fold(0_u128, |number, nth| number << 1 | u128::from(value(first + nth)));
        match field {
            Field::Family => [IPV4, IPV6][usize::from(code == 1)],
            Field::State => {
                let nth = usize::try_from(code).unwrap_or(0).min(State::ALL.len() - 1);
                u128::from(State::ALL[nth].bit())
            }
            Field::InputName | Field::OutputName => self.names(field).decode(code),
            _ => code,
        }
    }

    /// The variables' values that stand for a value of the field, highest bit first.
    pub(crate) fn encode(&self, field: Field, value: u128) -> u128 {
        match field {
            Field::Family => u128::from(value == IPV6),
            Field::State => {
                let nth = State::ALL.iter().position(|state| u128::from(state.bit()) == value);
                nth.map_or(0, |nth| nth as u128)
            }
            Field::InputName | Field::OutputName => self.names(field).encode(value),
            Field::Status => u128::from(value != 0),
            _ => value,
        }
    }

    /// Packets that can be at one of the hooks.
    pub(crate) fn possible(&self, arena: &mut Arena, hooks: &[Hook]) -> Bdd {
        let state = Bits::of(arena, self, Field::State, false);
        let last = State::ALL.len() as u128 - 1;
        let mut possible = within(arena, &state.0, &[(0, last)]);
        for (field, has) in [
            (Field::InputName, hooks.iter().any(|&hook| has_input(hook))),
            (Field::OutputName, hooks.iter().any(|&hook| has_output(hook))),
        ] {
            let code = Bits::of(arena, self, field, false);
            if matches!(self.names(field), Names::Bits) {
                let real = ends_in_zeros(arena, &code.0);
                possible = arena.and(possible, real);
            }
            let ranges: Vec<(u128, u128)> = match self.names(field) {
                Names::Classes { names, .. } => {
                    let fits = |name: u128| (name != 0) == has;
                    let codes = names.iter().enumerate().filter(|(_, name)| fits(**name));
                    codes.map(|(code, _)| (code as u128, code as u128)).collect()
                }
                Names::Bits => vec![if has { (1, u128::MAX) } else { (0, 0) }],
            };
            let named = within(arena, &code.0, &ranges);
            possible = arena.and(possible, named);
        }
        possible
    }
}

/// A value as sets of packets: for each of its bits, highest first, the packets in which it is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Bits(pub(crate) Vec<Bdd>);

impl Bits {
    /// The variables of a field.
    pub(crate) fn of(arena: &mut Arena, layout: &Layout, field: Field, ipv6: bool) -> Self {
        let first = layout.first(field);
        Self((0..layout.width(field, ipv6)).map(|nth| arena.literal(first + nth)).collect())
    }
}

/// The packets in which the number of these bits is in one of the ranges, which are sorted and apart.
pub(crate) fn within(arena: &mut Arena, bits: &[Bdd], ranges: &[(u128, u128)]) -> Bdd {
    let Some((&bit, rest)) = bits.split_first() else {
        return Bdd::constant(!ranges.is_empty());
    };
    // What the bits from here on can be.
    let highest = if bits.len() == 128 { u128::MAX } else { (1 << bits.len()) - 1 };
    match ranges {
        [] => return Bdd::FALSE,
        [(0, last)] if *last >= highest => return Bdd::TRUE,
        _ => {}
    }
    let half = 1_u128 << rest.len();
    let split = ranges.partition_point(|&(first, _)| first < half);
    let (low, high) = (&ranges[..split], &ranges[split..]);
    let over = low.last().filter(|&&(_, last)| last >= half).map(|&(_, last)| last - half);
    let with_zero = if bit.is_true() {
        Bdd::FALSE
    } else if over.is_some() {
        let mut low = low.to_vec();
        if let Some(range) = low.last_mut() {
            range.1 = half - 1;
        }
        within(arena, rest, &low)
    } else {
        within(arena, rest, low)
    };
    let with_one = if bit.is_false() {
        Bdd::FALSE
    } else {
        let over = over.map(|last| (0, last));
        let high: Vec<_> =
            over.into_iter().chain(high.iter().map(|&(first, last)| (first - half, last - half))).collect();
        within(arena, rest, &high)
    };
    arena.ite(bit, with_one, with_zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_within_ranges_bit_by_bit() {
        let mut arena = Arena::new(1 << 16);
        let bits: Vec<Bdd> = (0..8).map(|bit| arena.literal(bit)).collect();
        let ranges = [(0, 3), (100, 199), (255, 255)];
        let set = within(&mut arena, &bits, &ranges);
        for number in 0..256_u128 {
            let inside = ranges.iter().any(|range| range.0 <= number && number <= range.1);
            assert_eq!(arena.contains(set, |bit| number >> (7 - bit) & 1 == 1), inside, "{number}");
        }
    }
}

//! Questions about fields as sets of packets.

use super::Space;
use super::bdd::Bdd;
use super::fields::{Bits, within};
use crate::facts::{Field, IPV6};
use crate::intent::parts::Question;
use crate::packet::State;

impl Space {
    /// The packets of which all this is so, as they arrive.
    pub(crate) fn where_all(&mut self, questions: &[Question]) -> Bdd {
        let sets = questions.iter().map(|question| self.where_it_is(question)).collect();
        self.arena.intersection(sets)
    }

    fn where_it_is(&mut self, (field, family, ranges): &Question) -> Bdd {
        let ipv6 = *family == Some(true);
        let bits = match field {
            Field::Family => {
                let of = self.is_ipv6();
                return if ranges.contains(IPV6) { of } else { !of };
            }
            Field::State => {
                let states = State::ALL.map(|state| u128::from(state.bit()));
                let asked = states.into_iter().filter(|&state| ranges.contains(state));
                let sets: Vec<Bdd> = asked.map(|state| self.is(Field::State, false, state)).collect();
                return self.arena.union(sets);
            }
            Field::Status => {
                let translated = self.is(Field::Status, false, 1);
                return if ranges.contains(0) { !translated } else { translated };
            }
            Field::OriginalPort | Field::OriginalDestination => {
                let bits = self.original(*field, ipv6);
                let known = bits.first().map_or(Bdd::FALSE, |bit| bit.known);
                let value: Vec<Bdd> = bits.into_iter().map(|bit| bit.value).collect();
                let inside = within(&mut self.arena, &value, ranges.as_slice());
                return self.arena.and(inside, known);
            }
            Field::InputName | Field::OutputName => {
                self.name(*field).into_iter().map(|bit| bit.value).collect()
            }
            _ => Bits::of(&mut self.arena, &self.layout, *field, ipv6).0,
        };
        let inside = within(&mut self.arena, &bits, ranges.as_slice());
        let has = self.has(*field);
        self.arena.and(inside, has)
    }
}

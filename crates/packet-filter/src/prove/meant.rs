//! What a policy means, as sets of packets.

use std::collections::HashMap;

use iptables_syntax::extension::RejectWith;
use iptables_syntax::{Family, Masked, Match, Rule, Target};

use crate::decide::Verdict;
use crate::facts::Field;
use crate::intent::parts::{Part, Said, parts, questions, say, ways};
use crate::intent::{Answer, Ending, Manner, rules};
use crate::iptables::{Held, held_by};
use crate::packet::{Hook, protocol};
use crate::policy::FilterPolicy;
use crate::space::Space;
use crate::space::bdd::Bdd;
use crate::space::explore::{Mark, explore};
use crate::space::registers::Bit;
use crate::space::walk::Regions;

/// What becomes of packets.
const ENDINGS: [Ending; 4] = [
    Ending::Accept,
    Ending::Refuse(Manner::Silently),
    Ending::Refuse(Manner::Reset),
    Ending::Refuse(Manner::Unreachable),
];

/// The packets of each ending.
pub(super) struct Meant {
    sets: [Bdd; ENDINGS.len()],
    /// Whether the rates of the policy's entries are kept.
    rates: Vec<Bdd>,
    /// What the rules of the policy's own ask and packets do not tell.
    open: Vec<Bdd>,
    named: HashMap<String, Bdd>,
    /// How often the policy was asked.
    pub(super) asked: usize,
}

impl Meant {
    pub(super) fn new(space: &mut Space, policy: &FilterPolicy, hook: Hook, possible: Bdd) -> Self {
        let sets = [Bdd::FALSE; ENDINGS.len()];
        let mut meant = Self { sets, rates: Vec::new(), open: Vec::new(), named: HashMap::new(), asked: 0 };
        let mark = space.field(Field::Mark, false);
        let mut left = possible;
        // Entries that say the same are one.
        let mut run: Option<(Said, Vec<Bdd>)> = None;
        for part in parts(policy, hook) {
            for way in ways(part) {
                meant.asked += 1;
                let set = space.where_all(&way.all);
                match &mut run {
                    Some((said, sets)) if *said == way.said => sets.push(set),
                    _ => {
                        left = meant.sum_up(space, left, run.take());
                        run = Some((way.said, vec![set]));
                    }
                }
            }
            match part {
                Part::Entry(_) | Part::Published(_) | Part::Forward(_) => continue,
                Part::First | Part::Rules(_) | Part::Ping | Part::Last => {}
            }
            left = meant.sum_up(space, left, run.take());
            if let Part::Rules(chain) = part {
                left = meant.rules(space, policy, hook, chain, left);
                continue;
            }
            let mut answers = Vec::new();
            meant.asked += explore(
                space,
                &questions(part),
                &Mark { bits: &mark, asked: None },
                |packet| say(policy, hook, part, packet),
                |_, set, said| answers.push((set, said)),
            );
            for (set, said) in answers {
                left = meant.said(space, left, set, said);
            }
        }
        meant
    }

    /// What a run of entries says; gives the packets of which it says nothing.
    fn sum_up(&mut self, space: &mut Space, left: Bdd, run: Option<(Said, Vec<Bdd>)>) -> Bdd {
        let Some((said, sets)) = run else { return left };
        let set = space.arena.union(sets);
        self.said(space, left, set, said)
    }

    /// Of the packets that are `left`, this is said of those of the set; gives those of which nothing is said.
    fn said(&mut self, space: &mut Space, left: Bdd, set: Bdd, said: Said) -> Bdd {
        let taken = match said {
            Said::Nothing => return left,
            Said::Within(rate) => {
                let kept = self.rate(space, &rate);
                let kept = space.arena.and(set, kept);
                self.add(space, left, kept, Ending::Accept);
                kept
            }
            Said::Is(answer) => {
                self.answer(space, left, set, answer);
                set
            }
        };
        space.arena.minus(left, taken)
    }

    fn rate(&mut self, space: &mut Space, rate: &crate::Rate) -> Bdd {
        let kept = space.rate(rate);
        if !self.rates.contains(&kept) {
            self.rates.push(kept);
        }
        kept
    }

    /// Of the packets that are `left`, those of the set end so.
    fn add(&mut self, space: &mut Space, left: Bdd, set: Bdd, ending: Ending) {
        let set = space.arena.and(left, set);
        for (of, all) in ENDINGS.iter().zip(&mut self.sets) {
            if *of == ending {
                *all = space.arena.or(*all, set);
            }
        }
    }

    fn answer(&mut self, space: &mut Space, left: Bdd, set: Bdd, answer: Answer) {
        match answer {
            Answer::Accept => self.add(space, left, set, Ending::Accept),
            Answer::Refuse(manner) => self.add(space, left, set, Ending::Refuse(manner)),
            Answer::AcceptWithin { rates, otherwise } => {
                let mut refused = set;
                for rate in &rates {
                    let kept = self.rate(space, rate);
                    refused = space.arena.minus(refused, kept);
                }
                let kept = space.arena.minus(set, refused);
                self.add(space, left, kept, Ending::Accept);
                self.add(space, left, refused, Ending::Refuse(otherwise));
            }
            Answer::Open { usual, possible } => {
                let mut rest = set;
                for ending in possible.into_iter().filter(|ending| *ending != usual) {
                    let so = self.is_open(space, false);
                    let this = space.arena.and(rest, so);
                    self.add(space, left, this, ending);
                    rest = space.arena.minus(rest, this);
                }
                self.add(space, left, rest, usual);
            }
        }
    }

    /// Something that packets do not tell, by the words that ask for it.
    fn is_so(&mut self, space: &mut Space, words: &str, usual: bool) -> Bdd {
        if let Some(&known) = self.named.get(words) {
            return known;
        }
        let so = self.is_open(space, usual);
        self.named.insert(words.to_owned(), so);
        so
    }

    /// Something new that packets do not tell.
    fn is_open(&mut self, space: &mut Space, usual: bool) -> Bdd {
        let so = space.unnamed(usual);
        self.open.push(so);
        so
    }

    /// The policy's own rules in a base chain; gives the packets of which they say nothing.
    fn rules(&mut self, space: &mut Space, policy: &FilterPolicy, hook: Hook, chain: &str, left: Bdd) -> Bdd {
        if policy.rules.of(chain).next().is_none() {
            return left;
        }
        let ipv6 = space.is_ipv6();
        let mut rest = Bdd::FALSE;
        for (family, of) in [(Family::Ipv4, !ipv6), (Family::Ipv6, ipv6)] {
            let mark = space.field(Field::Mark, false);
            let here = space.arena.and(left, of);
            let mut walk = RuleWalk { meant: self, space, policy, hook, family, mark };
            let out = walk.chain(chain, here);
            rest = space.arena.or(rest, out);
        }
        rest
    }

    /// The packets with which the ruleset does something that is not meant.
    pub(super) fn differs_from(&self, space: &mut Space, ruleset: &Regions) -> Bdd {
        let mut differs = Bdd::FALSE;
        // Packets for which nothing is open: there the two do the same.
        let mut settled = Bdd::TRUE;
        for &meant in self.sets.iter().filter(|_| !self.open.is_empty()) {
            let may = space.either_way(meant, &self.open);
            let may_not = space.either_way(!meant, &self.open);
            let is_open = space.arena.and(may, may_not);
            settled = space.arena.minus(settled, is_open);
        }
        for (&ending, &meant) in ENDINGS.iter().zip(&self.sets) {
            let does = ends_so(space, ruleset, ending);
            let other = space.arena.xor(meant, does);
            let other = space.arena.and(other, settled);
            differs = space.arena.or(differs, other);
            if settled.is_true() {
                continue;
            }
            let (usually_meant, usually_does) = (space.usually(meant), space.usually(does));
            let unusual = space.arena.xor(usually_meant, usually_does);
            let (may_mean, may_do) = (space.possibly(meant, &self.rates), space.possibly(does, &self.rates));
            let otherwise = space.arena.xor(may_do, may_mean);
            let wrong = space.arena.or(unusual, otherwise);
            let wrong = space.arena.minus(wrong, settled);
            differs = space.arena.or(differs, wrong);
        }
        differs
    }
}

/// The packets for which the ruleset ends so.
fn ends_so(space: &mut Space, ruleset: &Regions, ending: Ending) -> Bdd {
    let tcp = space.is(Field::Protocol, false, u128::from(protocol::TCP));
    let mut all = Bdd::FALSE;
    for (verdict, set) in &ruleset.verdicts {
        let set = match (verdict, ending) {
            (Verdict::Accept, Ending::Accept)
            | (Verdict::Drop, Ending::Refuse(Manner::Silently))
            | (
                Verdict::Reject(nf_tables::Reject::Icmp(_) | nf_tables::Reject::Icmpx(_)),
                Ending::Refuse(Manner::Unreachable),
            ) => *set,
            // A reset only answers TCP.
            (Verdict::Reject(nf_tables::Reject::TcpReset), Ending::Refuse(Manner::Silently)) => {
                space.arena.minus(*set, tcp)
            }
            (Verdict::Reject(nf_tables::Reject::TcpReset), Ending::Refuse(Manner::Reset)) => {
                space.arena.and(*set, tcp)
            }
            _ => continue,
        };
        all = space.arena.or(all, set);
    }
    all
}

/// All packets of one family on their way through the policy's own rules.
struct RuleWalk<'w> {
    meant: &'w mut Meant,
    space: &'w mut Space,
    policy: &'w FilterPolicy,
    hook: Hook,
    family: Family,
    /// The mark that packets have by now.
    mark: Vec<Bit>,
}

impl RuleWalk<'_> {
    /// Gives the packets that come to the end of the chain, or return from it.
    fn chain(&mut self, chain: &str, mut here: Bdd) -> Bdd {
        let (policy, family) = (self.policy, self.family);
        let mut left = Bdd::FALSE;
        // Rules that end packets the same way, one after the other, and the packets before the first of them.
        let mut run: Option<(Ending, Bdd)> = None;
        for rule in policy.rules.of(chain).flat_map(|rule| rule.of(family)) {
            // What is only counted or logged goes on, whether it matches or not.
            let Some(target) =
                rule.target.as_ref().filter(|t| !matches!(t, Target::Log(_) | Target::Nflog(_)))
            else {
                continue;
            };
            let matched = self.matched(rule);
            if let Some(ending) = ending(target) {
                if run.as_ref().is_none_or(|(of, _)| *of != ending) {
                    self.sum_up(run.take(), here);
                    run = Some((ending, here));
                }
                here = self.space.arena.minus(here, matched);
                continue;
            }
            self.sum_up(run.take(), here);
            let matched = self.space.arena.and(here, matched);
            if matched.is_false() {
                continue;
            }
            here = self.space.arena.minus(here, matched);
            let goes_on = self.decide(target, matched, &mut left);
            here = self.space.arena.or(here, goes_on);
        }
        self.sum_up(run, here);
        self.space.arena.or(here, left)
    }

    /// Notes the packets that a run of rules took, of which `here` are left.
    fn sum_up(&mut self, run: Option<(Ending, Bdd)>, here: Bdd) {
        if let Some((ending, before)) = run {
            self.meant.add(self.space, before, !here, ending);
        }
    }

    /// The packets that the rule matches: those for which all its conditions hold.
    fn matched(&mut self, rule: &Rule) -> Bdd {
        let head = Rule { matches: Vec::new(), target: None, counters: None, ..rule.clone() };
        let mut matched = self.held(&head, None, Bdd::TRUE);
        for one in &rule.matches {
            let condition = Rule { matches: vec![one.clone()], ..Rule::default() };
            matched = self.held(&condition, Some(one), matched);
        }
        matched
    }

    /// Those of the packets `among` for which a condition holds. What packets do not tell is one thing wherever the same words
    /// ask for it.
    fn held(&mut self, condition: &Rule, one: Option<&Match>, among: Bdd) -> Bdd {
        let hook = self.hook;
        let (mut yes, mut usually, mut seldom) = (Bdd::FALSE, Bdd::FALSE, Bdd::FALSE);
        self.meant.asked += explore(
            self.space,
            &rules::questions(condition, self.family == Family::Ipv6),
            &Mark { bits: &self.mark, asked: rules::mark_under_mask(condition) },
            |packet| held_by(condition, hook, packet),
            |space, set, held| {
                let into = match held {
                    Held::Yes => &mut yes,
                    Held::No => return,
                    Held::Depends { assumed: true } => &mut usually,
                    Held::Depends { assumed: false } => &mut seldom,
                };
                *into = space.arena.or(*into, set);
            },
        );
        yes = self.space.arena.and(yes, among);
        for (set, usual) in [(usually, true), (seldom, false)] {
            let set = self.space.arena.and(set, among);
            if set.is_false() {
                continue;
            }
            let so = match one {
                Some(Match::Limit(limit)) => {
                    let (count, seconds) = (limit.rate.packets.into(), limit.rate.per.seconds().into());
                    self.meant.rate(self.space, &crate::Rate { count, seconds, burst: limit.burst, of: None })
                }
                _ => self.meant.is_so(self.space, &condition.to_string(), usual),
            };
            let set = self.space.arena.and(set, so);
            yes = self.space.arena.or(yes, set);
        }
        yes
    }

    /// Gives the packets that go on to the next rule.
    fn decide(&mut self, target: &Target, matched: Bdd, left: &mut Bdd) -> Bdd {
        match target {
            Target::Return => {
                *left = self.space.arena.or(*left, matched);
                Bdd::FALSE
            }
            Target::Mark(mark) => {
                self.set_mark(matched, mark.xmark);
                matched
            }
            Target::Jump(chain) => self.chain(chain, matched),
            Target::Goto(chain) => {
                let out = self.chain(chain, matched);
                *left = self.space.arena.or(*left, out);
                Bdd::FALSE
            }
            // `Rules` holds none of these, and the others end packets.
            Target::Accept
            | Target::Drop
            | Target::Reject(_)
            | Target::Log(_)
            | Target::Nflog(_)
            | Target::Queue
            | Target::Connmark(_)
            | Target::Ct(_)
            | Target::Dnat(_)
            | Target::Hl(_)
            | Target::Masquerade(_)
            | Target::Notrack
            | Target::Redirect(_)
            | Target::Set(_)
            | Target::Snat(_)
            | Target::Tcpmss(_)
            | Target::Ttl(_)
            | Target::Unknown(_) => matched,
        }
    }

    fn set_mark(&mut self, on: Bdd, Masked { value, mask }: Masked<u32>) {
        for (nth, bit) in self.mark.iter_mut().enumerate() {
            let of = |number: u32| number >> (31 - nth) & 1 == 1;
            let after = match (of(mask), of(value)) {
                (true, value) => Bit::constant(value),
                (false, false) => continue,
                (false, true) => Bit { value: !bit.value, ..*bit },
            };
            *bit = after.or_else(&mut self.space.arena, on, *bit);
        }
    }
}

/// How a target ends packets, if it does.
const fn ending(target: &Target) -> Option<Ending> {
    match target {
        Target::Accept => Some(Ending::Accept),
        Target::Drop => Some(Ending::Refuse(Manner::Silently)),
        Target::Reject(reject) if matches!(reject.with, RejectWith::TcpReset) => {
            Some(Ending::Refuse(Manner::Reset))
        }
        Target::Reject(_) => Some(Ending::Refuse(Manner::Unreachable)),
        _ => None,
    }
}

//! What was measured, as lines for people.

use std::fmt;
use std::time::Duration;

/// A measured value. Less is better, but for rates and counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    Time(Duration),
    /// For each packet, in nanoseconds.
    PerPacket(f64),
    /// Rules a second.
    Rate(f64),
    /// So many of so many.
    Count(usize, usize),
}

/// What a value must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    None,
    Within(Duration),
    /// At most so many times the given cost of a packet.
    Times(f64, f64),
    AtLeast(f64),
    All,
}

#[derive(Debug)]
struct Row {
    what: String,
    ours: Value,
    target: Target,
    peers: Vec<(String, Value)>,
}

/// All rows in the order they were measured.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        ours: Value,
        target: Target,
        peers: impl IntoIterator<Item = (String, Value)>,
    ) {
        let row = Row { what: what.into(), ours, target, peers: peers.into_iter().collect() };
        println!("{row}");
        self.0.push(row);
    }

    /// How many targets were missed.
    pub(crate) fn missed(&self) -> usize {
        self.0.iter().filter(|row| !row.is_met()).count()
    }
}

impl Row {
    fn is_met(&self) -> bool {
        match (self.target, self.ours) {
            (Target::Within(most), Value::Time(time)) => time <= most,
            (Target::Times(most, base), Value::PerPacket(cost)) => cost <= most * base,
            (Target::AtLeast(least), Value::Rate(rate)) => rate >= least,
            (Target::All, Value::Count(some, all)) => some == all,
            (Target::None, _) => true,
            (Target::Within(_) | Target::Times(..) | Target::AtLeast(_) | Target::All, _) => false,
        }
    }
}

impl Value {
    /// How many times as much as ours, where that says something.
    fn times(self, ours: Self) -> Option<f64> {
        match (self, ours) {
            (Self::Time(theirs), Self::Time(ours)) => Some(theirs.as_secs_f64() / ours.as_secs_f64()),
            (Self::PerPacket(theirs), Self::PerPacket(ours)) | (Self::Rate(theirs), Self::Rate(ours)) => {
                Some(theirs / ours)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Time(time) => format!("{:.2} ms", time.as_secs_f64() * 1000.0),
            Self::PerPacket(nanos) => format!("{nanos:.0} ns"),
            Self::Rate(rate) => format!("{:.2} M/s", rate / 1e6),
            Self::Count(some, all) => format!("{some} of {all}"),
        };
        f.pad(&text)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::None => "-".to_owned(),
            Self::Within(most) => format!("<= {} ms", most.as_millis()),
            Self::Times(most, base) => format!("<= {most} x {base:.0} ns"),
            Self::AtLeast(least) => format!(">= {:.2} M/s", least / 1e6),
            Self::All => "all".to_owned(),
        };
        f.pad(&text)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.target, self.is_met()) {
            (Target::None, _) => "",
            (_, true) => "pass",
            (_, false) => "MISSED",
        };
        write!(f, "{:<46} {:>11}  {:<18} {verdict:<7}", self.what, self.ours, self.target)?;
        for (nth, (name, value)) in self.peers.iter().enumerate() {
            write!(f, "{}{name} {value}", if nth == 0 { "" } else { ", " })?;
            if let Some(times) = value.times(self.ours) {
                write!(f, " ({times:.1} x)")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<46} {:>11}  {:<18} {:<7}peers (times ours)", "what", "ours", "target", "")?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

//! `-m ecn`: explicit congestion notification.

use crate::Negatable;
use crate::parse::options::{Kind, flag, value};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// Explicit congestion notification. `Some(false)` is the negated condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ecn {
    /// `--ecn-tcp-cwr`.
    pub cwr: Option<bool>,
    /// `--ecn-tcp-ece`.
    pub ece: Option<bool>,
    /// `--ecn-ip-ect`, at most 3.
    pub ect: Option<Negatable<u8>>,
}

pub(crate) const KIND: Kind = Kind::matching(
    "ecn",
    &[flag("ecn-tcp-cwr", 0).not(), flag("ecn-tcp-ece", 1).not(), value("ecn-ip-ect", 2).not()],
    |args| {
        let ecn = Ecn {
            cwr: args.condition(0),
            ece: args.condition(1),
            ect: match args.get(2) {
                Some(used) => Some(used.with(args.u8(used, 0, 3)?)),
                None => None,
            },
        };
        if (ecn.cwr.is_some() || ecn.ece.is_some()) && !args.is_protocol(&[6]) {
            return Err(args.wrong("ecn looks at TCP: expected -p tcp"));
        }
        Ok(Match::Ecn(ecn))
    },
)
.one_of(7);

impl Ecn {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::condition(f, "--ecn-tcp-ece", self.ece)?;
        print::condition(f, "--ecn-tcp-cwr", self.cwr)?;
        print::negatable(f, "--ecn-ip-ect", self.ect.as_ref())
    }
}

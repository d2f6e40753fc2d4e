//! What a control looks at, and what it answers.

use std::cell::OnceCell;

use host::Facts;
use host::facts::Source;
use policy::Policy;

use crate::catalogue::Control;
use crate::finding::{Finding, Fix, Severity, State};
use crate::ssh::{Sshd, Unread};
use crate::way_in::{Condition, Connection, judge_best};

/// What a control looks at. What several controls need is worked out once.
pub(crate) struct Subject<'a> {
    /// The host.
    pub(crate) facts: &'a Facts,
    /// What it should be.
    pub(crate) policy: &'a Policy,
    sshd: OnceCell<Result<Sshd, Unread>>,
    applied: OnceCell<Option<Sshd>>,
    admins: OnceCell<Vec<String>>,
    ways_in: OnceCell<Vec<(String, Vec<Condition>)>>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(facts: &'a Facts, policy: &'a Policy) -> Self {
        Self {
            facts,
            policy,
            sshd: OnceCell::new(),
            applied: OnceCell::new(),
            admins: OnceCell::new(),
            ways_in: OnceCell::new(),
        }
    }

    /// Whether these are the files of a machine that does not run: nothing is in force there.
    pub(crate) fn is_image(&self) -> bool {
        self.facts.source == Source::Image
    }

    pub(crate) fn read_sshd(&self) -> &Result<Sshd, Unread> {
        self.sshd.get_or_init(|| Sshd::read(self.facts))
    }

    /// sshd's configuration; the verdict of every control that needs it, where there is none.
    pub(crate) fn sshd(&self) -> Result<&Sshd, Verdict> {
        self.read_sshd().as_ref().map_err(Verdict::from)
    }

    /// sshd's configuration as `gabion apply` would leave it; none where that cannot be said.
    pub(crate) fn applied(&self) -> Option<&Sshd> {
        self.applied.get_or_init(|| crate::ssh::as_applied(self.policy, self.facts)).as_ref()
    }

    /// Who administers the host.
    pub(crate) fn admins(&self) -> &[String] {
        self.admins.get_or_init(|| crate::admins(self.facts, self.policy))
    }

    /// By which connection the administrators must get in: that of the person who asks, or any.
    pub(crate) fn connection(&self) -> Option<Connection> {
        self.facts.way_in.known().and_then(Connection::of)
    }

    /// Connections by which an administrator may come, where none is known.
    pub(crate) fn likely_connections(&self) -> Vec<Connection> {
        crate::firewall::connections(self)
    }

    /// The conditions of the way in of each administrator.
    pub(crate) fn ways_in(&self) -> &[(String, Vec<Condition>)] {
        self.ways_in.get_or_init(|| {
            let connections = match self.connection() {
                Some(connection) => vec![connection],
                None => self.likely_connections(),
            };
            let judge = |name: &String| judge_best(self.facts, self.read_sshd(), name, &connections);
            self.admins().iter().map(|name| (name.clone(), judge(name))).collect()
        })
    }
}

/// What a control answers: what is wrong (nothing: it holds), or why it has nothing to say on this host.
#[derive(Debug)]
pub(crate) enum Verdict {
    Judged(Vec<Fault>),
    Silent(String),
}

impl Verdict {
    pub(crate) fn holds() -> Self {
        Self::Judged(Vec::new())
    }

    pub(crate) fn silent(reason: impl Into<String>) -> Self {
        Self::Silent(reason.into())
    }
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        Self::Judged(vec![fault])
    }
}

impl From<Vec<Fault>> for Verdict {
    fn from(faults: Vec<Fault>) -> Self {
        Self::Judged(faults)
    }
}

/// A fact that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotKnown {
    /// What cannot be said without it.
    pub(crate) what: String,
    /// Why it is not known.
    pub(crate) reason: String,
}

impl NotKnown {
    pub(crate) fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into() }
    }
}

impl From<NotKnown> for Fault {
    fn from(NotKnown { what, reason }: NotKnown) -> Self {
        Self::unknown(what, reason)
    }
}

impl From<NotKnown> for Verdict {
    fn from(not_known: NotKnown) -> Self {
        Fault::from(not_known).into()
    }
}

/// The answer of a control's function: `?` on a fact that is not known ends it with that fault.
pub(crate) type Judged = Result<Verdict, Verdict>;

/// One thing that is wrong: a finding that does not yet say whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    what: String,
    state: State,
    severity: Option<Severity>,
    decided_by: Vec<String>,
    fix: Fix,
    undo: String,
}

impl Fault {
    /// It is wrong; by default as bad as its control says, and for a person to decide.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            state: State::Fails,
            severity: None,
            decided_by: Vec::new(),
            fix: Fix::Ask("decide what this host needs".to_owned()),
            undo: String::new(),
        }
    }

    /// It could not be judged.
    pub(crate) fn unknown(what: impl Into<String>, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            fix: Fix::Ask(format!("make it readable and audit again ({reason})")),
            state: State::Unknown(reason),
            ..Self::new(what)
        }
    }

    pub(crate) fn severity(self, severity: Severity) -> Self {
        Self { severity: Some(severity), ..self }
    }

    pub(crate) fn decided_by(mut self, place: impl Into<String>) -> Self {
        self.decided_by.push(place.into());
        self
    }

    pub(crate) fn decided_by_all(mut self, places: impl IntoIterator<Item = String>) -> Self {
        self.decided_by.extend(places);
        self
    }

    /// `gabion apply` mends it.
    pub(crate) fn apply(self) -> Self {
        Self { fix: Fix::Apply, undo: "gabion rollback".to_owned(), ..self }
    }

    /// The same fault, said in other words.
    pub(crate) fn about(self, what: impl Into<String>) -> Self {
        Self { what: what.into(), ..self }
    }

    /// A command mends it, and another undoes that.
    pub(crate) fn command(self, fix: impl Into<String>, undo: impl Into<String>) -> Self {
        Self { fix: Fix::Command(fix.into()), undo: undo.into(), ..self }
    }

    /// A person must decide about this.
    pub(crate) fn ask(self, question: impl Into<String>) -> Self {
        Self { fix: Fix::Ask(question.into()), undo: String::new(), ..self }
    }

    /// The finding of that control.
    pub(crate) fn of(self, control: &Control) -> Finding {
        Finding {
            id: control.id,
            family: control.family,
            severity: self.severity.unwrap_or(control.severity),
            state: self.state,
            what: self.what,
            decided_by: self.decided_by,
            why: control.why,
            fix: self.fix,
            undo: self.undo,
        }
    }
}

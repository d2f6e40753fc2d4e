//! What a control looks at, and what it answers.

use host::Facts;
use policy::Policy;

use crate::catalogue::Control;
use crate::finding::{Finding, Fix, Severity, State};

/// What a control looks at.
pub(crate) struct Subject<'a> {
    /// The host.
    pub(crate) facts: &'a Facts,
    /// What it should be.
    pub(crate) policy: &'a Policy,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(facts: &'a Facts, policy: &'a Policy) -> Self {
        Self { facts, policy }
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

/// The answer of a control's function: `?` on a fact that is not known ends it with that fault.
pub(crate) type Judged = Result<Verdict, Fault>;

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

    /// A command mends it, and another undoes that.
    pub(crate) fn command(self, fix: impl Into<String>, undo: impl Into<String>) -> Self {
        Self { fix: Fix::Command(fix.into()), undo: undo.into(), ..self }
    }

    /// A person must decide about this.
    pub(crate) fn ask(self, question: impl Into<String>) -> Self {
        Self { fix: Fix::Ask(question.into()), undo: String::new(), ..self }
    }

    /// What it is about, and why it is not known.
    pub(crate) fn into_unknown(self) -> (String, String) {
        match self.state {
            State::Unknown(reason) => (self.what, reason),
            State::Fails => (self.what.clone(), self.what),
        }
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

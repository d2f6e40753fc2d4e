//! A whole configuration: the main file with everything it includes, in the order sshd reads it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::condition::Condition;
use crate::connection::Connection;
use crate::defaults::Defaults;
use crate::effective::Effective;
use crate::keyword::Keyword;
use crate::loader::Loader;
use crate::problem::{Origin, Problem};
use crate::sense;
use crate::source::Files;
use crate::state::{self, Pass};
use crate::tree::File;
use crate::value::Assignment;

/// A configuration as sshd reads it: every directive of every file in reading order, each under the conditions of
/// the `Match` blocks around it.
#[derive(Debug, Clone)]
pub struct Configuration {
    pub(crate) main: Arc<Path>,
    pub(crate) files: BTreeMap<Arc<Path>, File>,
    pub(crate) directives: Vec<Directive>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) includes: Vec<Include>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) defaults: Arc<Defaults>,
}

/// One directive of the flattened configuration. `Match` and `Include` are not among them: see
/// [`Configuration::scopes`] and [`Configuration::includes`].
#[derive(Debug, Clone)]
pub struct Directive {
    /// Which keyword.
    pub keyword: Keyword,
    /// The keyword as written.
    pub written: String,
    /// The arguments, quotes removed.
    pub arguments: Vec<String>,
    /// Where it stands.
    pub origin: Origin,
    /// The blocks it stands in: an index of [`Configuration::scopes`].
    pub scope: ScopeId,
    /// sshd takes the line; where not, a [`Problem`] says why.
    pub accepted: bool,
    pub(crate) assignments: Vec<Assignment>,
}

/// Names a scope of a configuration. Zero is the main part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub usize);

impl ScopeId {
    /// Outside all `Match` blocks.
    pub const MAIN: Self = Self(0);
}

/// A `Match` block, or the main part. A block of a file that is included from within a block applies only where
/// both conditions hold.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The block around the `Include` that brought the file of this one; the main part where there is none.
    pub parent: Option<ScopeId>,
    /// The condition; `None` for the main part, and for a `Match` line that sshd refuses.
    pub condition: Option<Condition>,
    /// The `Match` line; `None` for the main part.
    pub origin: Option<Origin>,
}

/// One pattern of an `Include` line, and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// Where the line stands.
    pub origin: Origin,
    /// The absolute pattern.
    pub pattern: String,
    /// The files in the order in which they were read.
    pub files: Vec<Arc<Path>>,
    /// The blocks around the line.
    pub scope: ScopeId,
    /// How many directives, over all files, stand before it.
    pub directives_before: usize,
}

impl Configuration {
    /// Reads a configuration for the newest OpenSSH known. What is wrong with it is in [`Self::problems`]: a
    /// configuration is read as far as it goes, and what sshd would refuse has no effect.
    #[must_use]
    pub fn load(files: &impl Files, path: impl AsRef<Path>) -> Self {
        Self::load_with(files, path, Defaults::newest())
    }

    /// Reads a configuration for a given build of OpenSSH.
    #[must_use]
    pub fn load_with(files: &impl Files, path: impl AsRef<Path>, defaults: impl Into<Arc<Defaults>>) -> Self {
        Loader::load(files, path.as_ref(), defaults.into())
    }

    /// What applies to a connection, each value with the line that decides.
    #[must_use]
    pub fn effective(&self, connection: &Connection) -> Effective {
        let active = self.active_scopes(|condition| condition.holds(connection, self.defaults.release()));
        self.effective_in(&active)
    }

    /// What applies at start, before there is a connection: the main part, and blocks that always hold.
    #[must_use]
    pub fn at_start(&self) -> Effective {
        state::compose(self, &self.start(), &Pass::default())
    }

    pub(crate) fn effective_in(&self, active: &[bool]) -> Effective {
        let mut matched = Pass::default();
        for directive in self.directives.iter().filter(|directive| directive.scope != ScopeId::MAIN) {
            if active[directive.scope.0] {
                matched.take(directive);
            }
        }
        let mut effective = state::compose(self, &self.start(), &matched);
        effective.problems.extend(sense::check_connection(self, active));
        effective
    }

    fn start(&self) -> Pass<'_> {
        let release = self.defaults.release();
        let active = self.active_scopes(|condition| condition.holds_always(release));
        let mut pass = Pass::default();
        for directive in self.directives.iter().filter(|directive| active[directive.scope.0]) {
            pass.take(directive);
        }
        pass
    }

    /// Which scopes apply, where `holds` tells of single conditions; by index.
    pub(crate) fn active_scopes(&self, holds: impl Fn(&Condition) -> bool) -> Vec<bool> {
        let mut active: Vec<bool> = Vec::with_capacity(self.scopes.len());
        for scope in &self.scopes {
            let around = scope.parent.is_none_or(|parent| active[parent.0]);
            let here = scope.condition.as_ref().map_or(scope.origin.is_none(), &holds);
            active.push(around && here);
        }
        active
    }

    /// Every directive in reading order, `Match` and `Include` resolved.
    #[must_use]
    pub fn directives(&self) -> &[Directive] {
        &self.directives
    }

    /// The main part and every `Match` block in reading order.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// One scope.
    #[must_use]
    pub fn scope(&self, id: ScopeId) -> &Scope {
        &self.scopes[id.0]
    }

    /// The conditions that must hold for a scope, outermost first.
    #[must_use]
    pub fn conditions(&self, id: ScopeId) -> Vec<&Condition> {
        let mut conditions = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next {
            conditions.extend(&self.scopes[id.0].condition);
            next = self.scopes[id.0].parent;
        }
        conditions.reverse();
        conditions
    }

    /// Every `Include` in reading order.
    #[must_use]
    pub fn includes(&self) -> &[Include] {
        &self.includes
    }

    /// The main file.
    #[must_use]
    pub fn main_path(&self) -> &Path {
        &self.main
    }

    /// Every file that was read, by path.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &File)> {
        self.files.iter().map(|(path, file)| (&**path, file))
    }

    /// One file that was read.
    #[must_use]
    pub fn file(&self, path: &Path) -> Option<&File> {
        self.files.get(path)
    }

    /// Everything that is wrong, in reading order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether sshd would start with this configuration, as far as the text decides it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        !self.problems.iter().any(Problem::is_fatal)
    }

    /// The build of OpenSSH that it was read for.
    #[must_use]
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }
}

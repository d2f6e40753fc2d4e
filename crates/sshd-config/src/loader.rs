//! Reads files, follows `Include`, and flattens the directives.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::condition::Condition;
use crate::configuration::{Configuration, Directive, Include, Scope, ScopeId};
use crate::defaults::{Defaults, Support};
use crate::keyword::{Keyword, Lookup};
use crate::lexer::Word;
use crate::problem::{Error, Origin, Problem};
use crate::source::Files;
use crate::tree::{self, Content, File, Line};
use crate::value::Reader;

/// Relative patterns of `Include` start here.
const DIRECTORY: &str = "/etc/ssh";
/// The main file is level 0.
const MAX_DEPTH: usize = 16;

pub(crate) struct Loader<'a, F> {
    source: &'a F,
    out: Configuration,
}

impl<'a, F: Files> Loader<'a, F> {
    pub(crate) fn load(source: &'a F, main: &Path, defaults: Arc<Defaults>) -> Configuration {
        let main: Arc<Path> = main.into();
        let out = Configuration {
            main: main.clone(),
            files: BTreeMap::new(),
            directives: Vec::new(),
            scopes: vec![Scope {
                parent: None,
                condition: None,
                origin: None,
            }],
            includes: Vec::new(),
            problems: Vec::new(),
            defaults,
        };
        let mut loader = Self { source, out };
        loader.file(&main, None, ScopeId::MAIN, 0);
        let sense = crate::sense::check(&loader.out);
        loader.out.problems.extend(sense);
        loader.out
    }

    /// Reads one file whose text stands in `scope` until its first `Match`. A `Match` ends with its file.
    fn file(&mut self, path: &Arc<Path>, included: Option<&Origin>, scope: ScopeId, depth: usize) {
        if depth > MAX_DEPTH {
            return self.problem(included.cloned(), Error::IncludeTooDeep);
        }
        let file = match self.source.read(path) {
            Ok(bytes) => File::parse(&bytes),
            Err(error) => {
                let error = Error::Unreadable {
                    path: path.to_path_buf(),
                    reason: error.to_string(),
                };
                return self.problem(included.cloned(), error);
            }
        };
        let mut block = scope;
        for (index, line) in file.lines().iter().enumerate() {
            let origin = Origin {
                path: path.clone(),
                line: index + 1,
            };
            if line.bytes().contains(&0) {
                self.problem(Some(origin.clone()), Error::NulByte);
            }
            match line.content() {
                Content::Blank | Content::Comment => {}
                Content::Ignored => self.problem(Some(origin), Error::Ignored),
                Content::Directive(directive) => {
                    self.directive(line, directive, &origin, (scope, &mut block), depth);
                }
            }
        }
        self.out.files.insert(path.clone(), file);
    }

    fn directive(
        &mut self,
        line: &Line,
        directive: &tree::Directive,
        origin: &Origin,
        (outer, block): (ScopeId, &mut ScopeId),
        depth: usize,
    ) {
        let written = directive.keyword.text();
        match self.look_up(directive, &written, *block) {
            Err(error) => self.problem(Some(origin.clone()), error),
            Ok(Keyword::Match) => *block = self.begin_match(line, directive, origin, outer),
            Ok(Keyword::Include) => self.include(&directive.arguments, origin, *block, depth),
            Ok(keyword) => self.setting(keyword, line, directive, origin, *block),
        }
    }

    /// What sshd checks of every line before it looks at the arguments.
    fn look_up(&self, directive: &tree::Directive, written: &str, block: ScopeId) -> Result<Keyword, Error> {
        if directive.rest.is_empty() {
            return Err(Error::NoArgument(written.to_owned()));
        }
        let lookup = Keyword::lookup(written, self.out.defaults.version());
        let (keyword, in_match) = match lookup {
            Lookup::Unknown => return Err(Error::UnknownKeyword(written.to_owned())),
            Lookup::Known { keyword, in_match } => (Some(keyword), in_match),
            Lookup::Obsolete { in_match } => (None, in_match),
        };
        if directive.unbalanced {
            return Err(Error::UnbalancedQuotes);
        }
        if !in_match && !self.holds_at_start(block) {
            return Err(Error::NotInMatch(written.to_owned()));
        }
        let keyword = keyword.ok_or_else(|| Error::Obsolete(written.to_owned()))?;
        match self.out.defaults.support(keyword) {
            Support::Full => Ok(keyword),
            Support::Ignored => Err(Error::Unsupported(keyword)),
            Support::None => Err(Error::UnknownKeyword(written.to_owned())),
        }
    }

    /// Whether sshd is reading in earnest, not just checking, when it meets a line of this block at start.
    fn holds_at_start(&self, block: ScopeId) -> bool {
        let release = self.out.defaults.release();
        self.out
            .active_scopes(|condition| condition.holds_always(release))[block.0]
    }

    fn begin_match(
        &mut self,
        line: &Line,
        directive: &tree::Directive,
        origin: &Origin,
        outer: ScopeId,
    ) -> ScopeId {
        let condition = Condition::parse(line, directive, self.out.defaults.version());
        let condition = condition
            .map_err(|error| self.problem(Some(origin.clone()), Error::BadMatch(error)))
            .ok();
        self.out.scopes.push(Scope {
            parent: Some(outer),
            condition,
            origin: Some(origin.clone()),
        });
        ScopeId(self.out.scopes.len() - 1)
    }

    fn include(&mut self, patterns: &[Word], origin: &Origin, block: ScopeId, depth: usize) {
        if patterns.is_empty() || patterns.iter().any(|pattern| pattern.value.is_empty()) {
            return self.problem(Some(origin.clone()), Error::IncludeWithoutFile);
        }
        for pattern in patterns {
            let pattern = pattern.text();
            let pattern = if pattern.starts_with(['/', '~']) {
                pattern
            } else {
                format!("{DIRECTORY}/{pattern}")
            };
            let files: Vec<Arc<Path>> = if pattern.starts_with('/') {
                self.source.glob(&pattern).into_iter().map(Arc::from).collect()
            } else {
                // sshd does not expand `~` here, so that nothing is ever found.
                Vec::new()
            };
            self.out.includes.push(Include {
                origin: origin.clone(),
                pattern,
                files: files.clone(),
                scope: block,
                directives_before: self.out.directives.len(),
            });
            for file in &files {
                self.file(file, Some(origin), block, depth + 1);
            }
        }
    }

    fn setting(
        &mut self,
        keyword: Keyword,
        line: &Line,
        directive: &tree::Directive,
        origin: &Origin,
        scope: ScopeId,
    ) {
        let arguments: Vec<String> = directive.arguments.iter().map(Word::text).collect();
        let rest = line.text(&directive.rest);
        let read = Reader {
            keyword,
            words: &arguments,
            rest: &rest,
            defaults: &self.out.defaults,
        }
        .read();
        let accepted = read.is_ok();
        let assignments = read.unwrap_or_else(|error| {
            self.problem(Some(origin.clone()), Error::BadValue { keyword, error });
            Vec::new()
        });
        self.out.directives.push(Directive {
            keyword,
            written: directive.keyword.text(),
            arguments,
            origin: origin.clone(),
            scope,
            accepted,
            assignments,
        });
    }

    fn problem(&mut self, origin: Option<Origin>, error: Error) {
        self.out.problems.push(Problem { origin, error });
    }
}

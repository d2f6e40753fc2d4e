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
/// sshd sets no such limit; without one, a few files that include each other many times would never end.
const MAX_FILES: usize = 4096;

pub(crate) struct Loader<'a, F> {
    source: &'a F,
    out: Configuration,
    files_read: usize,
    /// sshd stops at once where files include each other too deeply; so do we.
    stopped: bool,
}

impl<'a, F: Files> Loader<'a, F> {
    pub(crate) fn load(source: &'a F, main: &Path, defaults: Arc<Defaults>) -> Configuration {
        let main: Arc<Path> = main.into();
        let out = Configuration {
            main: main.clone(),
            files: BTreeMap::new(),
            directives: Vec::new(),
            scopes: vec![Scope { parent: None, condition: None, origin: None }],
            includes: Vec::new(),
            problems: Vec::new(),
            defaults,
        };
        let mut loader = Self { source, out, files_read: 0, stopped: false };
        loader.file(&main, None, ScopeId::MAIN, 0);
        let sense = crate::sense::check(&loader.out);
        loader.out.problems.extend(sense);
        loader.out
    }

    /// Reads one file whose text stands in `scope` until its first `Match`. A `Match` ends with its file.
    fn file(&mut self, path: &Arc<Path>, included: Option<&Origin>, scope: ScopeId, depth: usize) {
        self.files_read += 1;
        if depth > MAX_DEPTH || self.files_read > MAX_FILES {
            self.stopped = true;
            let error = if depth > MAX_DEPTH { Error::IncludeTooDeep } else { Error::TooManyFiles };
            return self.problem(included.cloned(), error);
        }
        let file = match self.source.read(path) {
            Ok(bytes) => File::parse(&bytes),
            Err(error) => {
                let error = Error::Unreadable { path: path.to_path_buf(), reason: error.to_string() };
                return self.problem(included.cloned(), error);
            }
        };
        let mut block = scope;
        for (index, line) in file.lines().iter().enumerate() {
            if self.stopped {
                break;
            }
            let origin = Origin { path: path.clone(), line: index + 1 };
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
        let defaults = &self.out.defaults;
        let lookup = Keyword::look_up(written, defaults.version(), |keyword| defaults.has(keyword));
        let (keyword, in_match) = match lookup {
            Lookup::Foreign if !defaults.is_debian() => return Err(Error::Foreign(written.to_owned())),
            Lookup::Foreign | Lookup::Unknown => return Err(Error::UnknownKeyword(written.to_owned())),
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
        self.out.active_scopes(|condition| condition.holds_always(release))[block.0]
    }

    fn begin_match(
        &mut self,
        line: &Line,
        directive: &tree::Directive,
        origin: &Origin,
        outer: ScopeId,
    ) -> ScopeId {
        let condition = Condition::parse(line, directive, self.out.defaults.version());
        let condition =
            condition.map_err(|error| self.problem(Some(origin.clone()), Error::BadMatch(error))).ok();
        self.out.scopes.push(Scope { parent: Some(outer), condition, origin: Some(origin.clone()) });
        ScopeId(self.out.scopes.len() - 1)
    }

    fn include(&mut self, patterns: &[Word], origin: &Origin, block: ScopeId, depth: usize) {
        if patterns.is_empty() || patterns.iter().any(|pattern| pattern.value.is_empty()) {
            return self.problem(Some(origin.clone()), Error::IncludeWithoutFile);
        }
        for pattern in patterns {
            let pattern = pattern.text();
            let pattern =
                if pattern.starts_with(['/', '~']) { pattern } else { format!("{DIRECTORY}/{pattern}") };
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
                if self.stopped {
                    return;
                }
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
        let read = Reader { keyword, words: &arguments, rest: &rest, defaults: &self.out.defaults }.read();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn load(files: &[(&str, &str)]) -> Configuration {
        let files: BTreeMap<PathBuf, Vec<u8>> =
            files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
        Configuration::load(&files, "/etc/ssh/sshd_config")
    }

    fn errors(files: &[(&str, &str)]) -> Vec<String> {
        load(files).problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_that_include_each_other_end_soon() {
        let include = "Include d/*.conf\n";
        let files = [
            ("/etc/ssh/sshd_config", include),
            ("/etc/ssh/d/a.conf", include),
            ("/etc/ssh/d/b.conf", include),
            ("/etc/ssh/d/c.conf", include),
        ];
        assert_eq!(
            errors(&files),
            ["/etc/ssh/d/a.conf:1: files include each other more than 16 levels deep"]
        );
        // Fifteen levels of ten times the next one would be 10^15 files.
        let line = |next: usize| format!("Include l{next}\n").repeat(10);
        let names: Vec<String> = (1..16).map(|level| format!("/etc/ssh/l{level}")).collect();
        let texts: Vec<String> = (2..17).map(line).collect();
        let mut files: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        files.push(("/etc/ssh/sshd_config", "Include l1\n"));
        assert!(load(&files).problems().iter().any(|p| p.error == Error::TooManyFiles));
    }

    #[test]
    fn a_problem_names_its_line_and_loses_nothing_else() {
        let files =
            [("/etc/ssh/sshd_config", "Colour red\nPort 70000\nPermitRootLogin no\nMatch User x\nPort 22\n")];
        assert_eq!(
            errors(&files),
            [
                "/etc/ssh/sshd_config:1: Colour is no keyword of this OpenSSH",
                "/etc/ssh/sshd_config:2: Port: 70000 is no port",
                "/etc/ssh/sshd_config:5: Port may not stand inside a Match block",
            ]
        );
        assert_eq!(load(&files).at_start().text(Keyword::PermitRootLogin), "no");
    }

    #[test]
    fn a_missing_main_file_is_a_problem() {
        assert!(!load(&[]).is_accepted());
        let found = errors(&[]);
        assert!(found[0].starts_with("/etc/ssh/sshd_config cannot be read"), "{found:?}");
    }

    #[test]
    fn a_block_ends_with_its_file_and_an_include_inside_a_block_is_conditional() {
        let configuration = load(&[
            ("/etc/ssh/sshd_config", "Include a\nX11Forwarding yes\nMatch User u\nInclude b\nPermitTTY no\n"),
            ("/etc/ssh/a", "Match User v\nPermitTTY no\n"),
            ("/etc/ssh/b", "MaxSessions 3\nMatch Group g\nMaxAuthTries 2\n"),
        ]);
        let ask = |user: &str, groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            let connection = crate::Connection { user: Some(user.to_owned()), groups, ..Default::default() };
            let effective = configuration.effective(&connection);
            let of = |keyword| effective.text(keyword).to_owned();
            [
                of(Keyword::X11Forwarding),
                of(Keyword::PermitTty),
                of(Keyword::MaxSessions),
                of(Keyword::MaxAuthTries),
            ]
        };
        assert_eq!(ask("v", &["g"]), ["yes", "no", "10", "6"]);
        assert_eq!(ask("u", &[]), ["yes", "no", "3", "6"]);
        assert_eq!(ask("u", &["g"]), ["yes", "no", "3", "2"]);
        assert_eq!(ask("w", &["g"]), ["yes", "yes", "10", "6"]);
    }
}

//! What is wrong with a policy file, as data, and its rendering with place, caret and help.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;

/// A policy that cannot be used, with everything found wrong in it, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The text of the file, for drawing.
    #[serde(skip)]
    pub text: String,
    /// At least one problem.
    pub problems: Vec<Problem>,
}

/// One thing wrong, or merely odd, in a policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// Whether the policy can be used all the same.
    pub severity: Severity,
    /// Bytes of the text it is about.
    pub span: Range<usize>,
    /// Line, 1-based.
    pub line: usize,
    /// Column in characters, 1-based.
    pub column: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// What stands at the caret; often "did you mean".
    pub label: Option<String>,
    /// What to write instead.
    pub help: Option<String>,
    /// Bytes that must not be shown: a password or private key that should not be here.
    #[serde(skip)]
    pub(crate) secret: Option<Range<usize>>,
}

/// Whether a problem makes the policy unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is used; its author should know.
    Warning,
}

impl Problem {
    /// An error at these bytes.
    pub(crate) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span,
            line: 0,
            column: 0,
            message: message.into(),
            label: None,
            help: None,
            secret: None,
        }
    }

    /// A warning at these bytes.
    pub(crate) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Hides the bytes it is about, and points at their first line only.
    pub(crate) fn secret(mut self, text: &str) -> Self {
        self.secret = Some(self.span.clone());
        let shown = text.get(self.span.clone()).unwrap_or_default();
        self.span.end = self.span.start + shown.find('\n').unwrap_or(shown.len());
        self
    }

    pub(crate) fn place_in(&mut self, text: &str) {
        self.span = clamp(text, &self.span);
        (self.line, self.column) = line_and_column(text, self.span.start);
    }
}

impl PolicyError {
    /// All problems as text for a person, with the source line and a caret each.
    pub fn render(&self, colour: bool) -> String {
        render(&self.file, &self.text, &self.problems, colour)
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for PolicyError {}

/// Draws problems of a file: message, `file:line:column`, the source line, a caret, help.
///
/// Control characters of the file are made visible, never sent to the terminal.
pub fn render(file: &Path, text: &str, problems: &[Problem], colour: bool) -> String {
    let source = without_secrets(text, problems);
    let path = normalize_untrusted_str(&file.display().to_string());
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let drawn: Vec<String> =
        problems.iter().map(|problem| draw(problem, &path, &source, &renderer)).collect();
    drawn.join("\n\n") + "\n"
}

fn draw(problem: &Problem, path: &str, source: &str, renderer: &Renderer) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let label = problem.label.as_deref().map(normalize_untrusted_str);
    let mark = AnnotationKind::Primary.span(shortened(source, &problem.span)).label(label);
    let mut group: Group<'_> = level
        .primary_title(normalize_untrusted_str(&problem.message))
        .element(Snippet::source(source).path(path).annotation(mark));
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
    }
    renderer.render(&[group])
}

/// At most this many bytes are underlined: a public key is long, and its beginning says which it is.
const LONGEST_MARK: usize = 60;

fn shortened(source: &str, span: &Range<usize>) -> Range<usize> {
    clamp(source, &(span.start..span.end.min(span.start + LONGEST_MARK)))
}

/// The text with every byte of a secret but its line breaks replaced, so that all places stay.
fn without_secrets(text: &str, problems: &[Problem]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for secret in problems.iter().filter_map(|problem| problem.secret.as_ref()) {
        for byte in &mut bytes[clamp(text, secret)] {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b'*';
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The nearest range that lies in the text and on character boundaries.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor_boundary(text, span.start);
    start..floor_boundary(text, span.end).max(start)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Line and column of a byte, both 1-based, the column in characters.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..floor_boundary(text, at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

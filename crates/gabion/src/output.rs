//! Where output goes: data to standard output, the rest to standard error. A closed pipe is no error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the one place that prints")]

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::cli::{Global, When};
use crate::error::Failure;
use crate::exit::Exit;

/// How and where to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    color: When,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self { json: global.json, color: global.color }
    }

    /// Whether standard output gets colour.
    fn colors(self) -> bool {
        match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                std::io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }

    /// How text is laid out.
    pub(crate) fn view(self) -> report::View {
        report::View { colour: self.colors(), width: self.width() }
    }

    /// Columns of the terminal, or 100 where there is none.
    fn width(self) -> usize {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
        size.map_or(100, |size| usize::from(size.ws_col)).clamp(60, 140)
    }

    /// Data, as text.
    pub(crate) fn text(self, text: &str) {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                self.note(&format!("gabion: standard output could not be written whole: {error}"));
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Data, as JSON.
    pub(crate) fn value(self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.text(&format!("{text}\n")),
            Err(error) => self.note(&format!("this could not be written as JSON: {error}")),
        }
    }

    /// A word beside the data. What programs, files and users say may be in it: a terminal obeys none of that.
    pub(crate) fn note(self, text: &str) {
        self.drawn(&report::safe::block(text));
    }

    /// Text that was made safe and given its colours already.
    fn drawn(self, text: &str) {
        let _closed_pipe_is_fine = writeln!(std::io::stderr(), "{text}");
    }

    /// A question, the cursor left behind it.
    pub(crate) fn ask(self, text: &str) {
        let mut err = std::io::stderr().lock();
        let _closed_pipe_is_fine = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    /// What is going on now; not with `--json`.
    pub(crate) fn progress(self, text: &str) {
        if !self.json {
            self.note(text);
        }
    }

    /// Says why a verb ended early, and with which code it ends.
    pub(crate) fn failure(self, failure: &Failure) -> Exit {
        let message = match failure {
            Failure::Policy(error) => error.render(std::io::stderr().is_terminal() && self.colors()),
            other => format!("gabion: {other}"),
        };
        if self.json {
            self.value(&serde_json::json!({
                "version": 1, "error": message, "hint": failure.hint(), "details": details(failure),
            }));
        }
        match failure {
            Failure::Policy(_) => self.drawn(message.trim_end()),
            _ => self.note(message.trim_end()),
        }
        if let Failure::LockOut(refusal) = failure {
            self.note(report::lockout::text(refusal).trim_end());
        }
        if let Some(hint) = failure.hint() {
            self.note(&format!("hint: {hint}"));
        }
        failure.exit()
    }
}

fn details(failure: &Failure) -> serde_json::Value {
    match failure {
        Failure::LockOut(refusal) => serde_json::to_value(refusal).unwrap_or_default(),
        Failure::Policy(error) => serde_json::to_value(error).unwrap_or_default(),
        _ => serde_json::Value::Null,
    }
}

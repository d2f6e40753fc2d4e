//! Pages of the documentation that are made from the program.

use std::fmt::Write as _;

use crate::context::Context;
use crate::error::{Failure, usage};
use crate::exit::Exit;

pub(crate) fn run(context: &Context, page: &str) -> Result<Exit, Failure> {
    match page {
        "controls" => {
            context.output.text(&controls_page());
            Ok(Exit::Clean)
        }
        other => Err(usage(format!("there is no page `{other}`"), "the pages are: controls")),
    }
}

fn controls_page() -> String {
    let mut page = "# Controls\n\nMade by `cargo xtask generate` from the program. A control that could not be judged is \
                    reported as *unknown*, never as passed.\n\n| id | family | what it asks | why |\n|---|---|---|---|\n"
        .to_owned();
    for control in controls::catalogue() {
        let family = match control.family {
            controls::Family::Accounts => "accounts",
            controls::Family::Ssh => "ssh",
            controls::Family::Firewall => "firewall",
        };
        let _infallible =
            writeln!(page, "| {} | {family} | {} | {} |", control.id, control.title, control.why);
    }
    page
}

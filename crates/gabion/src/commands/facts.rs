//! `gabion facts`: what is known of a host, to keep and to replay.

use host::{Image, Live};

use crate::cli;
use crate::context::{Context, collect};
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(context: &Context, options: &cli::FactsOf) -> Result<Exit, Failure> {
    let facts = match &options.root {
        None => collect(&Live::open()?, context.policy()?.as_ref()),
        Some(root) => {
            let image = Image::open(root)
                .map_err(|error| Failure::Malformed { path: root.clone(), problem: error.to_string() })?;
            collect(&image, context.policy_of(&image)?.as_ref())
        }
    };
    context.output.value(&facts);
    Ok(Exit::Clean)
}

//! Prints the facts of this machine, or of the tree of files that is named, as JSON.
//!
//! `cargo run -p host --example facts -- [--root DIR] [--admin NAME]... [--file PATH]...`

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use host::{Host, Image, Live, Recorded, Wanted, collect};

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "it is an example that prints")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut root, mut wanted) = (None, Wanted::default());
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    while let (Some(option), value) = (arguments.next(), arguments.next()) {
        match (option.as_str(), value) {
            ("--root", Some(value)) => root = Some(PathBuf::from(value)),
            ("--admin", Some(value)) => wanted.admins.push(value),
            ("--file", Some(value)) => wanted.extra_files.push(value.into()),
            _ => {
                return Err(
                    format!("usage: {program} [--root DIR] [--admin NAME]... [--file PATH]...").into()
                );
            }
        }
    }
    let host: Box<dyn Host> = match root {
        Some(root) => Box::new(Image::open(&root)?),
        None => Box::new(Live::open()?),
    };
    let begin = Instant::now();
    let facts = collect(host.as_ref(), &wanted);
    eprintln!("{} files in {:?}", facts.files.len(), begin.elapsed());
    std::io::stdout().write_all(Recorded::new(facts).save()?.as_bytes())?;
    Ok(())
}

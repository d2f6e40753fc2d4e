//! Prints the facts of this machine, or of the tree of files that is named, as JSON.
//!
//! `cargo run -p host --example facts [ROOT]`

use std::path::Path;
use std::time::Instant;

use host::{Host, Image, Live, Recorded, Wanted, collect};

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is an example that prints"
)]
fn main() -> Result<(), host::Error> {
    let host: Box<dyn Host> = match std::env::args_os().nth(1) {
        Some(root) => Box::new(Image::open(Path::new(&root))?),
        None => Box::new(Live::open()?),
    };
    let begin = Instant::now();
    let facts = collect(host.as_ref(), &Wanted::default());
    eprintln!("{} files in {:?}", facts.files.len(), begin.elapsed());
    println!("{}", Recorded::new(facts).save()?);
    Ok(())
}

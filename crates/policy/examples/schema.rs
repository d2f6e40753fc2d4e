//! Prints the JSON schema of the policy file as its types have it: `cargo xtask generate` keeps what this prints.

#![allow(clippy::print_stdout, reason = "an example prints")]

fn main() -> Result<(), serde_json::Error> {
    println!("{}", serde_json::to_string_pretty(&policy::schema_of_types())?);
    Ok(())
}

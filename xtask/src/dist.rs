//! The static binary.

use std::path::Path;

use crate::process::{cargo, root, run as start};

/// 64-bit x86, static.
pub(crate) const DEFAULT_TARGET: &str = "x86_64-unknown-linux-musl";

/// The most bytes the binary may have without the dashboard.
const MOST: u64 = 6 * 1024 * 1024;

/// Builds the static binary for a target, puts it at `target/dist/gabion` and says its size.
pub(crate) fn run(target: &str) -> Result<(), String> {
    start(std::process::Command::new("rustup").args(["--quiet", "target", "add", target]))?;
    let mut build = cargo();
    build.args([
        "build",
        "--quiet",
        "--locked",
        "--profile",
        "dist",
        "--package",
        "gabion",
        "--target",
        target,
    ]);
    if !target.starts_with(std::env::consts::ARCH) {
        let variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
        build.env(variable, "rust-lld");
    }
    start(&mut build)?;
    let built = root().join("target").join(target).join("dist/gabion");
    let place = root().join("target/dist").join(if target == DEFAULT_TARGET {
        "gabion".to_owned()
    } else {
        format!("gabion-{target}")
    });
    std::fs::create_dir_all(root().join("target/dist")).map_err(|error| error.to_string())?;
    std::fs::copy(&built, &place).map_err(|error| format!("{}: {error}", built.display()))?;
    report(&place)
}

fn report(binary: &Path) -> Result<(), String> {
    let bytes = std::fs::read(binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    let size = bytes.len() as u64;
    if is_dynamic(&bytes) {
        return Err(format!("{} asks for a dynamic loader: it is not static", binary.display()));
    }
    if contains(&bytes, b"GABION_FAULT") {
        return Err(format!("{} has the crash points of the tests in it", binary.display()));
    }
    println!("{}: static, {size} bytes of at most {MOST}", binary.display());
    if size <= MOST { Ok(()) } else { Err("the binary is over its budget".to_owned()) }
}

/// Whether a 64-bit little-endian ELF file has a `PT_INTERP` program header (elf(5)).
fn is_dynamic(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| {
        elf.get(at..at + length)
            .map_or(0, |bytes| bytes.iter().rev().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)))
    };
    let (headers, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(headers + index * size, 4) == PT_INTERP as usize)
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

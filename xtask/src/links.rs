//! Links between the documents of the repository lead somewhere.

use std::path::{Path, PathBuf};

use crate::process::{read, root};

/// Checks every relative link of every Markdown file that git tracks.
pub(crate) fn check() -> Result<(), String> {
    let files = read(std::process::Command::new("git").current_dir(root()).args(["ls-files", "*.md"]))?;
    let mut dead = Vec::new();
    let mut count = 0;
    for file in files.lines() {
        let path = root().join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
        for target in targets(&text) {
            count += 1;
            if !resolve(&path, target).exists() {
                dead.push(format!("{file}: {target}"));
            }
        }
    }
    println!("links between documents: {count}");
    if dead.is_empty() { Ok(()) } else { Err(format!("these lead nowhere:\n{}", dead.join("\n"))) }
}

/// The targets of `[text](target)` that are files of the repository.
fn targets(text: &str) -> Vec<&str> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    ends.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains(' '))
        .collect()
}

fn resolve(from: &Path, target: &str) -> PathBuf {
    let file = target.split('#').next().unwrap_or_default();
    from.parent().unwrap_or(Path::new("")).join(file)
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn only_links_to_files_are_looked_for() {
        let text = "[a](b.md#part) [c](https://example.org) [d](#here) `x[0](y z)`";
        assert_eq!(targets(text), ["b.md#part"]);
    }
}

//! How many crates the program brings.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::process::{cargo, read};

/// The most normal crates below the program, without the dashboard.
const MOST: usize = 120;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// Counts the crates that the program links or builds with, tests aside, and fails over the budget.
pub(crate) fn check() -> Result<(), String> {
    let text = read(cargo().args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform=x86_64-unknown-linux-musl",
    ]))?;
    let metadata: Metadata =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let program = metadata
        .packages
        .iter()
        .find(|package| package.name == "gabion" && package.source.is_none())
        .ok_or("there is no package `gabion`")?;
    let mut seen = BTreeSet::new();
    let mut open = vec![program.id.as_str()];
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let normal = nodes[id]
                .deps
                .iter()
                .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            open.extend(normal.map(|dependency| dependency.pkg.as_str()));
        }
    }
    let foreign = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some() && seen.contains(package.id.as_str()))
        .count();
    println!("dependencies: {foreign} normal crates of at most {MOST}");
    if foreign <= MOST {
        Ok(())
    } else {
        Err(format!("{foreign} normal crates are over the budget of {MOST}"))
    }
}

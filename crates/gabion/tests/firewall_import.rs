//! `firewall import` on trees of files that are not as they should be: what it cannot read is never left out in silence.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test: its helpers unwrap, and it runs the program under test"
)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

fn import(source: &str, tree: &Path) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_gabion"))
        .args(["firewall", "import", source, tree.to_str().unwrap()])
        .output();
    program.unwrap()
}

fn write(tree: &Path, name: &str, text: &str) {
    let path = tree.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

const HEAD: &str = "*filter\n:ufw-user-input - [0:0]\n:ufw-user-output - [0:0]\n:ufw-user-forward - [0:0]\n";

fn ufw(rules: &str) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    write(tree.path(), "etc/ufw/ufw.conf", "ENABLED=yes\n");
    write(tree.path(), "etc/default/ufw", "IPV6=no\nDEFAULT_INPUT_POLICY=\"DROP\"\n");
    write(tree.path(), "etc/ufw/before.rules", "*filter\n:ufw-before-input - [0:0]\nCOMMIT\n");
    write(tree.path(), "etc/ufw/user.rules", &format!("{HEAD}{rules}COMMIT\n"));
    tree
}

#[test]
fn a_long_list_of_bans_in_a_big_file_of_ufw_is_taken_over() {
    let bans: String = (0..8)
        .map(|n| {
            let filler = "x".repeat(200_000);
            format!("### tuple ### {filler}\n-A ufw-user-input -s 203.0.113.{n} -j DROP\n")
        })
        .collect();
    let tree = ufw(&format!("{bans}-A ufw-user-input -p tcp --dport 80 -j ACCEPT\n"));
    let output = import("--ufw", tree.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("203.0.113.7"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_file_of_ufw_that_cannot_be_read_is_named_and_nothing_is_imported() {
    let tree = ufw("-A ufw-user-input -p tcp --dport 80 -j ACCEPT\n");
    symlink("/etc", tree.path().join("etc/ufw/user6.rules")).unwrap();
    let output = import("--ufw", tree.path());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("user6.rules") && output.stdout.is_empty(), "{stderr}");
}

#[test]
fn a_zone_of_firewalld_that_cannot_be_read_is_named_and_nothing_is_imported() {
    let tree = tempfile::tempdir().unwrap();
    write(tree.path(), "etc/firewalld/firewalld.conf", "DefaultZone=public\n");
    write(
        tree.path(),
        "etc/firewalld/zones/public.xml",
        "<zone><port port=\"80\" protocol=\"tcp\"/></zone>\n",
    );
    assert!(import("--firewalld", tree.path()).stdout.starts_with(b"[firewall]"));
    std::fs::create_dir(tree.path().join("etc/firewalld/zones/other.xml")).unwrap();
    let output = import("--firewalld", tree.path());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("other.xml") && output.stdout.is_empty(), "{stderr}");
}

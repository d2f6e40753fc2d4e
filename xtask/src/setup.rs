//! What the tests need of the machine, installed from Debian's packages.

use std::process::Command;

use crate::process::{has_program, run};

/// A program that tests start, and the Debian package that holds it.
const NEEDED: &[(&str, &str)] = &[
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("ssh", "openssh-client"),
    ("sshpass", "sshpass"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("nmap", "nmap"),
    ("mkfs.ext4", "e2fsprogs"),
    ("nsenter", "util-linux"),
    ("xz", "xz-utils"),
    ("dpkg-deb", "dpkg"),
    ("strace", "strace"),
];

/// Installs what is missing. Only packages that start no service and change no setting.
pub(crate) fn packages() -> Result<(), String> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !has_program(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Installing what the tests need: {}", missing.join(" "));
    if !has_program("apt-get") {
        println!(
            "This is no Debian: install them by hand. Tests that miss them say so and count as skipped."
        );
        return Ok(());
    }
    let quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"];
    run(Command::new("apt-get").args(quiet).arg("update"))?;
    run(Command::new("apt-get")
        .args(quiet)
        .args(["install", "-y", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::process::Stdio::null()))
}

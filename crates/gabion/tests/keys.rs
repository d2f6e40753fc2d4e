//! `gabion ssh keygen` and `gabion ssh install-key`, against a real server.
#![allow(
    clippy::disallowed_methods,
    reason = "a test: makes keys in a folder of its own and starts the program"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use lab::{Auth, Host, Lab, Tree, User};
use tempfile::TempDir;

fn gabion() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gabion"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn kind_of(public: &Path) -> String {
    let shown = Command::new("ssh-keygen").arg("-lf").arg(public).output().expect("ssh-keygen");
    String::from_utf8_lossy(&shown.stdout).trim().to_owned()
}

#[test]
fn a_key_pair_is_ed25519_unless_rsa_is_asked_for_and_is_never_written_over() {
    let folder = TempDir::new().expect("a folder");
    let (ed, rsa) = (folder.path().join("new/ed"), folder.path().join("rsa.4096"));
    let made =
        gabion().args(["ssh", "keygen", "--comment", "laptop", "--file"]).arg(&ed).output().expect("run");
    assert!(made.status.success(), "{}", text(&made));
    assert!(kind_of(&ed.with_extension("pub")).ends_with("laptop (ED25519)"));
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&ed), mode(&folder.path().join("new"))), (0o600, 0o700));

    let made = gabion()
        .args(["--json", "ssh", "keygen", "--rsa", "4096", "--file"])
        .arg(&rsa)
        .output()
        .expect("run");
    assert!(made.status.success(), "{}", text(&made));
    assert!(kind_of(&folder.path().join("rsa.4096.pub")).starts_with("4096 "));
    let json: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON alone");
    assert_eq!(json["passphrase"], false);

    let before = std::fs::read(&ed).expect("the key");
    let again = gabion().args(["ssh", "keygen", "--file"]).arg(&ed).output().expect("run");
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));
    assert_eq!(std::fs::read(&ed).expect("the key"), before);
    let weak = gabion().args(["ssh", "keygen", "--rsa", "1024"]).output().expect("run");
    assert_eq!(weak.status.code(), Some(2), "{}", text(&weak));
}

#[test]
fn a_public_key_is_installed_once_with_the_modes_that_sshd_wants() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let host = Host::builder(&Tree::bookworm().expect("a tree"))
        .user(&User::new("deploy").password("battery staple"))
        .boot()
        .expect("a host");
    // As people leave them: no newline at the end, too many rights.
    host.run_script(
        "install -d -o deploy -g deploy -m 0777 /home/deploy/.ssh
         printf 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIII other' >/home/deploy/.ssh/authorized_keys
         chown deploy: /home/deploy/.ssh/authorized_keys; chmod 0666 /home/deploy/.ssh/authorized_keys",
    )
    .expect("prepared")
    .unwrap();
    let folder = TempDir::new().expect("a folder");
    let key = folder.path().join("id");
    assert!(gabion().args(["ssh", "keygen", "--file"]).arg(&key).output().expect("run").status.success());
    let ssh = folder.path().join("ssh");
    let wrapper = "#!/bin/sh\nexec /usr/bin/ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \"$@\"\n";
    std::fs::write(&ssh, wrapper).expect("written");
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).expect("set");

    let install = || {
        let mut command = host.outside().command("sshpass");
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).args([
            "-p",
            "battery staple",
            env!("CARGO_BIN_EXE_gabion"),
            "ssh",
            "install-key",
        ]);
        command
            .args(["deploy@198.51.100.2", "--key"])
            .arg(folder.path().join("id.pub"))
            .output()
            .expect("run")
    };
    let first = install();
    assert!(first.status.success() && text(&first).contains("added"), "{}", text(&first));
    let second = install();
    assert!(second.status.success() && text(&second).contains("was there already"), "{}", text(&second));

    let keys =
        String::from_utf8(host.read("/home/deploy/.ssh/authorized_keys").expect("keys")).expect("text");
    assert_eq!(keys.lines().count(), 2, "{keys}");
    let modes =
        host.run_script("stat -c '%a %U' /home/deploy/.ssh /home/deploy/.ssh/authorized_keys").expect("stat");
    assert_eq!(modes.stdout, "755 deploy\n600 deploy\n");
    host.ssh("deploy", Auth::Key(&key)).run("true").expect("ssh").unwrap();

    let private = gabion()
        .args(["ssh", "install-key", "deploy@198.51.100.2", "--key"])
        .arg(&key)
        .output()
        .expect("run");
    assert!(!private.status.success() && text(&private).contains("no public key"), "{}", text(&private));
}

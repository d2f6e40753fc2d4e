//! What the drop-in does, asked of real servers: `sshd -T -C` of each Debian suite.
//!
//! The trees are those of sshd-config's own conformance tests, made by whichever test comes first. Where one cannot be had the
//! test says `SKIPPED`; where `CI=true` it fails.
#![allow(clippy::unwrap_used, reason = "a test: its helpers unwrap")]
#![allow(clippy::disallowed_methods, reason = "the original runs in a tree of its own under target/")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[allow(
    dead_code,
    unreachable_pub,
    clippy::print_stderr,
    reason = "shared with sshd-config, which uses all of it"
)]
#[path = "../../sshd-config/tests/support/oracle.rs"]
mod oracle;

use host::facts::{Content, Entry, EntryKind, FileFact};
use host::{Fact, Facts};
use policy::Policy;

/// A host's own lines, and what must be so for every connection once the drop-in is there.
struct Case {
    name: &'static str,
    main: &'static str,
    drop_in: &'static str,
    /// Lines of the dump that must be there for a user, in lower case.
    kept: &'static [(&'static str, &'static str)],
}

const INCLUDE: &str = "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n";

const CASES: &[Case] = &[
    Case { name: "stock", main: "", drop_in: "", kept: &[] },
    Case {
        name: "everything-open",
        main: "PermitRootLogin yes\nX11Forwarding yes\n",
        drop_in: "PasswordAuthentication yes\nPermitEmptyPasswords yes\nHostbasedAuthentication yes\nIgnoreRhosts no\n\
                  StrictModes no\nPermitTunnel yes\nGatewayPorts yes\nLogLevel QUIET\nPermitUserEnvironment yes\n\
                  Ciphers +aes256-cbc,3des-cbc\nMACs +hmac-md5,hmac-sha1-96\nKexAlgorithms +diffie-hellman-group1-sha1\n\
                  HostKeyAlgorithms +ssh-rsa\nPubkeyAcceptedAlgorithms +ssh-rsa\n",
        kept: &[],
    },
    Case {
        name: "match-blocks",
        main: "Match User deploy\n  PasswordAuthentication yes\n  KbdInteractiveAuthentication yes\n  ChrootDirectory /srv\n\
               Match Address 192.0.2.0/24\n  PermitRootLogin yes\n  PermitEmptyPasswords yes\n  X11Forwarding yes\n  \
               PubkeyAcceptedAlgorithms +ssh-rsa\n  MaxSessions 3\nMatch LocalPort 2222\n  PubkeyAuthentication no\n",
        drop_in: "",
        kept: &[("deploy", "chrootdirectory /srv"), ("root", "maxsessions 3")],
    },
    Case {
        name: "narrow-lists",
        main: "",
        drop_in: "Ciphers aes256-gcm@openssh.com,aes256-cbc\nMACs hmac-sha2-512-etm@openssh.com,hmac-md5\n",
        kept: &[("root", "ciphers aes256-gcm@openssh.com"), ("root", "macs hmac-sha2-512-etm@openssh.com")],
    },
];

/// What must hold for everybody, in lower case.
const CLOSED: &[&str] = &[
    "permitrootlogin no",
    "passwordauthentication no",
    "kbdinteractiveauthentication no",
    "permitemptypasswords no",
    "pubkeyauthentication yes",
    "hostbasedauthentication no",
    "ignorerhosts yes",
    "strictmodes yes",
    "x11forwarding no",
    "permittunnel no",
    "gatewayports no",
    "permituserenvironment no",
    "usepam yes",
];

struct Tree {
    root: PathBuf,
    release: String,
    defaults: String,
}

impl Tree {
    fn open(suite: &'static str) -> Option<Self> {
        let root = oracle::oracle(suite)?.root.clone();
        let mut tree = Self { root, release: String::new(), defaults: String::new() };
        let version = tree.run(&["-V"]).unwrap_or_else(|text| text);
        tree.release = version.split(',').next().unwrap_or_default().trim().to_owned();
        tree.defaults = tree.run(&["-T", "-f", "/dev/null", "-h", "/etc/ssh/key"]).unwrap();
        Some(tree)
    }

    /// What sshd prints; what it complains of where it fails.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output =
            Command::new("chroot").arg(&self.root).arg("/usr/sbin/sshd").args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() && !output.stdout.is_empty() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Facts of a host with those files, and this server.
    fn facts(&self, files: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        facts.ssh.program = Fact::Known(Some("/usr/sbin/sshd".into()));
        facts.ssh.version = Fact::Known(self.release.clone());
        facts.ssh.defaults = Fact::Known(self.defaults.clone());
        facts.ssh.main_file = "/etc/ssh/sshd_config".into();
        facts.ssh.servers = Fact::Known(Vec::new());
        facts.ssh.units = Fact::Known(Vec::new());
        for (path, text) in files {
            let entry = Entry {
                kind: EntryKind::File,
                mode: 0o644,
                content: Some(Content(text.as_bytes().to_vec())),
                ..Entry::default()
            };
            facts.files.insert(path.into(), FileFact::Present(entry));
        }
        facts
    }

    /// Places files in a directory that stands for /etc/ssh, and returns the main file's path in the tree.
    fn place(&self, name: &str, files: &[(&str, String)]) -> String {
        let directory = format!("/controls-{name}/");
        let _ = fs::remove_dir_all(self.root.join(&directory[1..]));
        for (path, text) in files {
            let path = path.replace("/etc/ssh/", &directory);
            let path = self.root.join(&path[1..]);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("/etc/ssh/sshd_config.d", &format!("{directory}sshd_config.d")))
                .unwrap();
        }
        format!("{directory}sshd_config")
    }

    fn ask(&self, main: &str, user: &str, address: &str, port: u16) -> Vec<String> {
        let connection =
            format!("user={user},host={address},addr={address},laddr=192.0.2.1,lport={port},rdomain=");
        let text = self.run(&["-T", "-f", main, "-h", "/etc/ssh/key", "-C", &connection]);
        let text = text.unwrap_or_else(|error| panic!("{}: {main}: {error}", self.release));
        text.lines().map(str::to_ascii_lowercase).collect()
    }
}

fn check(tree: &Tree, case: &Case) {
    let main = format!("{INCLUDE}{}", case.main);
    let files =
        [("/etc/ssh/sshd_config", main.as_str()), ("/etc/ssh/sshd_config.d/50-own.conf", case.drop_in)];
    let facts = tree.facts(&files);
    let desired = controls::ssh::desired(&Policy::default(), &facts).unwrap();
    assert!(desired.drop_in_is_read_first, "{}", case.name);
    let mut written: Vec<(&str, String)> =
        files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
    written.push((controls::ssh::DROP_IN, desired.text.clone()));
    let path = tree.place(case.name, &written);
    for user in ["root", "deploy", "nobody-here"] {
        for (address, port) in [("192.0.2.7", 22), ("203.0.113.7", 22), ("2001:db8::7", 2222)] {
            let dump = tree.ask(&path, user, address, port);
            let at = format!("{} {}: {user} from {address}:\n{}", tree.release, case.name, desired.text);
            for line in CLOSED {
                assert!(dump.iter().any(|have| have == line), "{line}: {at}");
            }
            let weak = ["cbc", "md5", "sha1", "hmac-sha1", "umac-64@", "-96"];
            for list in dump.iter().filter(|line| {
                line.starts_with("ciphers") || line.starts_with("macs ") || line.starts_with("kexalgorithms")
            }) {
                assert!(!weak.iter().any(|part| list.contains(part)), "{list}: {at}");
            }
            for list in dump
                .iter()
                .filter(|line| line.contains("acceptedalgorithms ") || line.starts_with("hostkeyalgorithms"))
            {
                assert!(
                    !list.split([' ', ',']).any(|name| name == "ssh-rsa" || name == "ssh-dss"),
                    "{list}: {at}"
                );
            }
            for (_, line) in case.kept.iter().filter(|(who, _)| who == &user) {
                if address == "192.0.2.7" {
                    assert!(dump.iter().any(|have| have == line), "{line}: {at}");
                }
            }
        }
    }
    let _ = fs::remove_dir_all(tree.root.join(format!("controls-{}", case.name)));
}

#[test]
fn the_drop_in_closes_every_door_of_real_servers_for_every_connection() {
    let trees: Vec<Tree> = ["bookworm", "trixie", "sid"].into_iter().filter_map(Tree::open).collect();
    for tree in &trees {
        for case in CASES {
            check(tree, case);
        }
    }
}

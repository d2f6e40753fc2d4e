//! A booted Debian, read from within by the facts example of `host` and judged here: what is wrong with it as it
//! comes, that nothing is once the policy was applied, and that each of the twelve parts of a sabotage is found.
#![allow(clippy::unwrap_used, reason = "a test: its helpers unwrap")]
#![allow(clippy::disallowed_methods, reason = "a test: it has the program built that it runs")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

use controls::{Audit, Severity, audit};
use host::{Facts, Recorded};
use lab::{Host, Key, Lab, Tree, User};
use policy::{Admin, Password, Policy, Sudo};

const PROGRAM: &str = "/usr/local/bin/facts";
const SAVED: &str = "/var/lib/gabion/firewall.json";

/// The example program as it is now. Cargo builds examples of this package only.
fn example() -> PathBuf {
    static BUILD: Once = Once::new();
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    BUILD.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "--package", "host", "--example", "facts"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    });
    profile.join("examples/facts")
}

struct Subject {
    host: Host,
    policy: Policy,
}

impl Subject {
    fn boot(tree: &Tree) -> Self {
        let key = Key::named("controls").unwrap();
        let host = Host::builder(tree)
            .user(&User::new("deploy").key(&key).password("secret").group("sudo"))
            .root_password("hunter2")
            .program(example(), PROGRAM)
            .boot()
            .unwrap();
        let admin = Admin {
            name: "deploy".to_owned(),
            keys: vec![key.public().to_owned()],
            password: Password::Keep,
            sudo: Sudo::Auto,
            shell: None,
        };
        Self { host, policy: Policy { admins: vec![admin], ..Policy::default() } }
    }

    fn facts(&self) -> Facts {
        let arguments = [PROGRAM, "--admin", "deploy", "--file", controls::ssh::DROP_IN, "--file", SAVED];
        let output = self.host.run(&arguments).unwrap().unwrap();
        Recorded::load(&output.stdout).unwrap().into()
    }

    fn audit(&self) -> Audit {
        audit(&self.facts(), &self.policy)
    }

    fn script(&self, script: &str) {
        self.host.run_script(script).unwrap().unwrap();
    }

    /// Writes and loads what the policy wants, with the host's own tools.
    fn apply(&self) {
        let facts = self.facts();
        let desired = controls::ssh::desired(&self.policy, &facts).unwrap();
        assert!(desired.drop_in_is_read_first);
        self.script(&format!("cat > {} <<'END'\n{}END\n", controls::ssh::DROP_IN, desired.text));
        self.script("sshd -t && systemctl reload ssh");
        // The server listens anew a moment after it was told.
        self.script("for i in $(seq 600); do ss -Hltn | grep -q ':22 ' && exit 0; sleep 0.1; done; exit 1");
    }
}

fn ids(audit: &Audit, least: Severity) -> Vec<&str> {
    let mut ids: Vec<&str> = audit
        .findings
        .iter()
        .filter(|finding| finding.severity >= least)
        .map(|finding| finding.id.0)
        .collect();
    ids.dedup();
    ids
}

/// What breaks the host, what mends it again, and the control that must find it.
const SABOTAGE: &[(&str, &str, &str)] = &[
    ("SH4", "echo 'PermitEmptyPasswords yes' > $D", "rm $D"),
    ("US4", "useradd -m bob; passwd -d bob", "userdel -r bob"),
    ("SH2", "echo 'PasswordAuthentication yes' > $D", "rm $D"),
    ("SH6", "echo 'HostbasedAuthentication yes' > $D", "rm $D"),
    ("SH16", "echo 'Ciphers +aes256-cbc,3des-cbc' > $D", "rm $D"),
    ("SH17", "echo 'MACs +hmac-md5' > $D", "rm $D"),
    ("SH18", "echo 'KexAlgorithms +diffie-hellman-group1-sha1' > $D", "rm $D"),
    ("SH19", "printf 'HostKeyAlgorithms +ssh-rsa\\nPubkeyAcceptedAlgorithms +ssh-rsa\\n' > $D", "rm $D"),
    (
        "SH1",
        "cp -p $M /root/saved; printf 'Match Address 0.0.0.0/0\\n  PermitRootLogin yes\\n' >> $M",
        "mv /root/saved $M",
    ),
    (
        "SH29",
        "mkdir -p /root/.ssh; cd /root/.ssh; touch authorized_keys; chmod 0666 authorized_keys; chmod 0777 .",
        "cd /root/.ssh; chmod 0600 authorized_keys; chmod 0700 .",
    ),
    ("SH29", "chmod 0777 /home/deploy", "chmod 0755 /home/deploy"),
    ("SH31", "printf 'Port 22\\nPort 2222\\n' > $D", "rm $D"),
];

#[test]
fn a_real_host_is_judged_as_it_is_and_each_part_of_a_sabotage_is_found() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    for tree in [Tree::bookworm().unwrap(), Tree::trixie().unwrap()] {
        let subject = Subject::boot(&tree);
        let stock = subject.audit();
        let expected = ["SH1", "SH2", "FW1", "FW3", "SH9", "SH17"];
        assert_eq!(ids(&stock, Severity::Medium), expected, "{:#?}", stock.findings);

        subject.apply();
        let applied = subject.audit();
        // There is no packet filter yet: nothing else is left.
        assert_eq!(ids(&applied, Severity::Low), ["FW1", "FW3"], "{:#?}", applied.findings);

        for (control, sabotage, repair) in SABOTAGE {
            subject.script(&format!("D=/etc/ssh/sshd_config.d/00-a.conf M=/etc/ssh/sshd_config\n{sabotage}"));
            let audit = subject.audit();
            let found = audit.findings.iter().find(|finding| finding.id.0 == *control);
            assert!(
                found.is_some_and(|finding| finding.severity >= Severity::Medium),
                "{control} {sabotage}: {:#?}",
                audit.findings
            );
            subject.script(&format!("D=/etc/ssh/sshd_config.d/00-a.conf M=/etc/ssh/sshd_config\n{repair}"));
        }
        let mut audit = subject.audit();
        // Files that were written and taken away again are newer than the server.
        audit.findings.retain(|finding| finding.id.0 != "SH24");
        assert_eq!(ids(&audit, Severity::Low), ["FW1", "FW3"], "{:#?}", audit.findings);
    }
}

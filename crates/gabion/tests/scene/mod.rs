//! A host on which a full plan can be applied: an account to be made, keys, sudo, the program itself, the boot unit, the
//! packet filter and the SSH server. It remembers what it was.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part of it")]

use lab::{Auth, Connect, HOST_V4, Host, Key, Lab, Manifest, Ssh, Tree};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub const PASSWORD: &str = "correct horse";
pub const APPLY: &str = "/root/gabion apply --yes";

/// Where the tests start the program: not where a plan installs it, and not below a managed path.
pub const GABION: &str = "/opt/gabion/gabion";

/// What a plan may touch.
pub const MANAGED: [&str; 4] = ["/etc", "/home", "/root", "/usr/local"];

pub struct Scene {
    pub host: Host,
    pub key: Key,
    pub before: Moment,
}

/// Everything that must be as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub files: Manifest,
    pub units: String,
    pub ruleset: String,
}

impl Scene {
    /// Boots it; none where the lab cannot work here.
    pub fn stage(tree: impl FnOnce() -> lab::Result<Tree>) -> Option<Self> {
        if let Err(error) = Lab::require() {
            lab::skip(&error.to_string());
            return None;
        }
        let key = Key::named("admin").unwrap();
        let policy = format!(
            "[[admin]]\nname = \"deploy\"\nkeys = [\"{}\"]\n\n[firewall]\n\n[[firewall.allow]]\nservice = \"ssh\"\n",
            key.public()
        );
        let host = Host::builder(&tree().unwrap())
            .root_password(PASSWORD)
            // What a login leaves behind is no doing of ours.
            .file("/root/.hushlogin", "")
            .prepare("ln -sf /dev/null /root/.bash_history")
            .file("/etc/gabion/policy.toml", policy)
            .program(program(), GABION)
            .prepare("ln -s /opt/gabion/gabion /root/gabion")
            .boot()
            .unwrap();
        let before = Moment::of(&host);
        let scene = Self { host, key, before };
        scene.assert_password_login();
        Some(scene)
    }

    /// Types a command into a login of root's, which stays open.
    pub fn apply_over_ssh(&self, command: &str) -> lab::Running {
        let mut session = self.host.ssh("root", Auth::Password(PASSWORD)).session().unwrap();
        session.send(format!("{command}\n").as_bytes()).unwrap();
        session
    }

    /// The administrator's login.
    pub fn admin(&self) -> Ssh<'_> {
        self.host.ssh("deploy", Auth::Key(self.key.path()))
    }

    pub fn assert_applied(&self) {
        self.admin().run("sudo -n true").unwrap().unwrap();
        let refused = self.host.ssh("root", Auth::Password(PASSWORD)).run("true").unwrap();
        assert_eq!(refused.status, 255, "root's password is refused: {refused:?}");
        assert!(self.host.ruleset().unwrap().contains("table inet gabion"));
    }

    /// Waits until nothing is open any more, and compares all with what it was.
    pub fn assert_undone(&self) {
        self.wait_for_the_undoing();
        let after = Moment::of(&self.host);
        self.before.assert_same(&after, "after the undoing");
        self.assert_nothing_left();
        self.assert_password_login();
    }

    pub fn wait_for_the_undoing(&self) {
        self.wait_for("the undoing", || {
            self.states().last().is_some_and(|state| state == "rolled-back")
                && !self.timer_stands()
                && leftovers(&self.host.root_on_this_machine()).is_empty()
        });
    }

    pub fn assert_password_login(&self) {
        self.host.ssh("root", Auth::Password(PASSWORD)).run("true").unwrap().unwrap();
    }

    /// Beside the journal there is nothing left of a transaction that is over.
    pub fn assert_nothing_left(&self) {
        assert_eq!(leftovers(&self.host.root_on_this_machine()), Vec::<String>::new());
    }

    /// The boot unit did it, and before the network.
    pub fn assert_recovered_by_boot(&self) {
        let journal =
            self.host.run_script("journalctl -b -o short-monotonic --no-pager").unwrap().unwrap().stdout;
        let at = |what: &str| {
            journal
                .lines()
                .position(|line| line.contains(what))
                .unwrap_or_else(|| panic!("{what}:\n{journal}"))
        };
        let undone = at(": undone");
        for later in ["Reached target network-pre.target", "Server listening on"] {
            assert!(undone < at(later), "undone before {later}:\n{journal}");
        }
    }

    pub fn timer_stands(&self) -> bool {
        !self
            .host
            .run_script("systemctl list-units --all --plain --no-legend 'gabion-undo-*'")
            .unwrap()
            .stdout
            .is_empty()
    }

    /// The states of all transactions, oldest first.
    pub fn states(&self) -> Vec<String> {
        let history = self.host.run(&[GABION, "history", "--json"]).unwrap().unwrap();
        let history: serde_json::Value = serde_json::from_str(&history.stdout).unwrap();
        let rows = history["transactions"].as_array().unwrap_or_else(|| panic!("{history}")).clone();
        rows.iter()
            .map(|row| row["state"]["state"].as_str().or(row["state"].as_str()).unwrap().to_owned())
            .collect()
    }

    pub fn is_pending(&self) -> bool {
        self.states().last().is_some_and(|state| state == "pending")
    }

    pub fn is_applying(&self) -> bool {
        self.states().last().is_some_and(|state| state == "applying")
    }

    pub fn signal(&self, name: &str) {
        self.host.run_script(&format!("pkill -{name} -x gabion")).unwrap().unwrap();
    }

    pub fn recover(&self) {
        self.host.run(&[GABION, "recover"]).unwrap().unwrap();
    }

    pub fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < until, "waiting for {what}: {:?}", self.states());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Moment {
    pub fn of(host: &Host) -> Self {
        // A login is a transient unit too: it comes and goes with the session.
        let units = "systemctl list-unit-files --no-pager --no-legend | grep -v 'session-.*transient\\|gabion-undo-'; systemctl \
                     list-units --all --plain --no-legend --no-pager 'gabion*' --state=loaded | grep -v gabion-undo- || true; systemctl --failed --plain --no-legend --no-pager";
        Self {
            files: host.manifest(&MANAGED).unwrap(),
            units: host.run_script(units).unwrap().unwrap().stdout.lines().map(words).collect(),
            ruleset: host.ruleset().unwrap(),
        }
    }

    #[track_caller]
    pub fn assert_same(&self, after: &Self, when: &str) {
        let differences = self.files.diff(&after.files);
        assert!(differences.is_empty(), "{when}:\n{differences}");
        assert_eq!(changed_lines(&self.units, &after.units), "", "{when}: units");
        assert_eq!(changed_lines(&self.ruleset, &after.ruleset), "", "{when}: the packet filter");
    }
}

/// A line of a table whose columns may be of any width.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n"
}

/// The lines that only one of two texts has.
fn changed_lines(before: &str, after: &str) -> String {
    let only = |sign: &str, one: &str, other: &str| -> String {
        one.lines()
            .filter(|line| !other.lines().any(|known| known == *line))
            .map(|line| format!("{sign} {line}\n"))
            .collect()
    };
    only("-", before, after) + &only("+", after, before)
}

/// Files of ours that should not be there when no transaction is open.
pub fn leftovers(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for transaction in transactions(root) {
        if transaction.to_string_lossy().contains(".new-") || transaction.join("gabion").exists() {
            found.push(transaction.display().to_string());
        }
    }
    found
}

/// The directories of all transactions, unfinished ones too.
pub fn transactions(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root.join("var/lib/gabion/transactions"));
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.is_dir()).collect()
}

/// The program under test with its crash points, without its debug information: it is copied often.
pub fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let built = Path::new(env!("CARGO_BIN_EXE_gabion"));
            let lean = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gabion-lean");
            let unfinished = lean.with_extension(std::process::id().to_string());
            let stripped = Command::new("strip").arg("-o").arg(&unfinished).arg(built).status();
            let lean_is_ready =
                stripped.is_ok_and(|status| status.success()) && std::fs::rename(&unfinished, &lean).is_ok();
            if lean_is_ready { lean } else { built.to_owned() }
        })
        .clone()
}

/// A ruleset as text without what packets change in it.
pub fn without_counters(ruleset: &str) -> String {
    let mut words = ruleset.split(' ').peekable();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if (word == "packets" || word == "bytes")
            && words.peek().is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit()))
        {
            let number = words.next().unwrap_or_default();
            kept.extend(number.split_once('\n').map(|(_, rest)| format!("\n{rest}")));
        } else {
            kept.push(word.to_owned());
        }
    }
    kept.join(" ")
}

#[allow(unused, reason = "some tests only")]
pub fn open(host: &Host) -> bool {
    host.outside().tcp_connect(None, HOST_V4, 22).unwrap() == Connect::Open
}

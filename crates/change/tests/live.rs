//! Whole transactions on a machine that is not an image: a copy of this one (an overlay over its root, with mount,
//! network and process namespaces of its own) on which a real sshd runs and a real kernel loads the ruleset. What
//! systemd does is tried on booted hosts, with the program.

#![allow(clippy::disallowed_methods, reason = "a test makes the machine that it changes, and starts itself")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what the copy of the machine says is read by the test outside of it"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use change::action::{Action, Before, Bytes, LoginBy, LoginProof, Owner, Risk, UserChange};
use change::hex::Sha256;
use change::plan::{Plan, Step};
use change::{About, Because, Confirm, Error, Moment, Outcome, Root, State, Transaction, UNDO_TIMER};
use libtest_mimic::{Arguments, Failed, Trial};
use packet_filter::{Allow, FilterPolicy, PortRange};

type Scenario = fn() -> Result<(), Failed>;

const SCENARIOS: [(&str, Scenario); 6] = [
    ("everything_is_applied_proven_and_undone", everything),
    ("sigkill_at_every_point_leaves_before", killed_everywhere),
    ("a_login_that_must_be_refused_and_is_not_undoes_all", failing_proof),
    ("a_configuration_that_sshd_refuses_is_never_loaded", refused_configuration),
    ("the_detached_timer_undoes_what_nobody_confirms", unconfirmed),
    ("rules_that_others_changed_make_the_plan_stale", foreign_rules),
];

const INSIDE: &str = "__inside";
const APPLY: &str = "__apply";
const RECOVER: &str = "__recover";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [INSIDE, name] => inside(name),
        [APPLY] => {
            apply(every_kind().expect("a plan"), Confirm::Within(Duration::from_secs(3600)))
                .expect("it begins");
            ExitCode::SUCCESS
        }
        [RECOVER] => {
            let late = Moment::now().plus_millis(7_200_000);
            let recovered =
                change::recover(&Root::live().expect("the root opens"), &late).expect("it recovers");
            println!("{recovered:?}");
            ExitCode::SUCCESS
        }
        [UNDO_TIMER, id] => {
            let root = Root::live().expect("the root opens");
            change::run_undo_timer(&root, &id.parse().expect("a name")).expect("it is undone");
            ExitCode::SUCCESS
        }
        _ => {
            let missing = what_is_missing();
            let trial = |(name, _): (&'static str, Scenario)| {
                Trial::test(name, move || outside(name)).with_ignored_flag(missing.is_some())
            };
            if let Some(missing) = &missing {
                eprintln!("SKIPPED: these need {missing}");
                if std::env::var_os("CI").is_some() {
                    return ExitCode::FAILURE;
                }
            }
            libtest_mimic::run(&Arguments::from_args(), SCENARIOS.into_iter().map(trial).collect())
                .exit_code()
        }
    }
}

fn what_is_missing() -> Option<&'static str> {
    let programs = ["/usr/bin/unshare", "/usr/bin/ssh", "/usr/sbin/useradd", "/usr/sbin/nft"];
    if !rustix::process::geteuid().is_root() {
        return Some("root");
    }
    programs.into_iter().find(|program| !Path::new(program).exists())
}

/// Makes the copy of the machine and runs one scenario on it.
const COPY: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
lower=/
if [ -n "$4" ]; then cp -a "$4" "$1/tree"; lower="$1/tree:/"; fi
mount -t overlay -o "lowerdir=$lower,upperdir=$1/upper,workdir=$1/work" none "$1/root"
cd "$1/root"
mount -t proc none proc
mount -t tmpfs none run
mount --rbind /dev dev
ip link set lo up
exec chroot . "$2" __inside "$3"
"#;

fn outside(name: &str) -> Result<(), Failed> {
    let place = tempfile::tempdir()?;
    let this = std::env::current_exe()?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "sh", "-c", COPY, "sh"]);
    command.arg(place.path()).arg(this).arg(name).arg(tree_with_a_server()?);
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        Ok(())
    } else {
        let text = [output.stdout, output.stderr].concat();
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&text)).into())
    }
}

/// Empty where the machine has an SSH server; otherwise the lab's tree, which has one and is laid over the machine's own.
fn tree_with_a_server() -> Result<PathBuf, Failed> {
    if Path::new(SSHD).exists() {
        return Ok(PathBuf::new());
    }
    Ok(lab::Tree::bookworm()?.path().to_owned())
}

fn inside(name: &str) -> ExitCode {
    let Some((_, scenario)) = SCENARIOS.into_iter().find(|(other, _)| *other == name) else {
        return ExitCode::FAILURE;
    };
    assert!(!Path::new("/run/systemd/system").exists(), "this is not the machine itself");
    match scenario() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.message().unwrap_or("failed"));
            ExitCode::FAILURE
        }
    }
}

// The machine.

const SSHD: &str = "/usr/sbin/sshd";

/// A fresh host: nobody's drop-ins, a key of root's, a server that lets root in by it, and another table of rules.
fn start_host() -> Result<(), Failed> {
    fs::create_dir_all("/run/sshd")?;
    fs::create_dir_all("/root/.ssh")?;
    fs::set_permissions("/root/.ssh", fs::Permissions::from_mode(0o700))?;
    fs::write("/root/.ssh/authorized_keys", "# keys\n")?;
    fs::set_permissions("/root/.ssh/authorized_keys", fs::Permissions::from_mode(0o600))?;
    fs::create_dir_all("/etc/ssh/sshd_config.d")?;
    fs::write("/etc/ssh/sshd_config", CONFIGURATION)?;
    run(&["ssh-keygen", "-A"])?;
    run(&[
        "nft",
        "add table inet others; add chain inet others input { type filter hook input priority 10; }",
    ])?;
    run(&[SSHD])?;
    wait_for("the server", || std::net::TcpStream::connect(("127.0.0.1", 22)).is_ok())
}

const CONFIGURATION: &str = "Include /etc/ssh/sshd_config.d/*.conf
Port 22
PermitRootLogin yes
PasswordAuthentication yes
PidFile /run/sshd.pid
";

fn run(words: &[&str]) -> Result<String, Failed> {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(text) } else { Err(format!("{words:?}: {text}").into()) }
}

fn wait_for(what: &str, holds: impl Fn() -> bool) -> Result<(), Failed> {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        if Instant::now() > until {
            return Err(format!("{what} does not come").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The server's process; it stays the same over a reload.
fn server() -> Result<String, Failed> {
    Ok(fs::read_to_string("/run/sshd.pid")?.trim().to_owned())
}

/// What the server answers to one who asks what it offers.
fn offers(user: &str) -> Result<String, Failed> {
    let mut command = Command::new("ssh");
    command.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none"]);
    command.args([
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    ]);
    let output = command.arg(format!("{user}@127.0.0.1")).arg("true").stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Everything that the plans could touch, with the ruleset, but what the kernel keeps of its own accord.
fn state() -> Result<BTreeMap<PathBuf, String>, Failed> {
    let mut state = BTreeMap::new();
    for top in ["/etc", "/home", "/root/.ssh", "/var/mail"] {
        visit(Path::new(top), &mut state)?;
    }
    // The lock of the account programs, which stays.
    state.remove(Path::new("/etc/.pwd.lock"));
    state.insert("ruleset".into(), run(&["nft", "--stateless", "list", "ruleset"])?);
    Ok(state)
}

fn visit(path: &Path, state: &mut BTreeMap<PathBuf, String>) -> Result<(), Failed> {
    let metadata = path.symlink_metadata()?;
    let content = if metadata.is_symlink() {
        fs::read_link(path)?.display().to_string()
    } else if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            visit(&entry?.path(), state)?;
        }
        String::new()
    } else {
        Sha256::of(fs::read(path)?).to_string()
    };
    let times = (metadata.mtime(), metadata.mtime_nsec());
    let attributes =
        format!("{:o} {} {} {times:?} {content}", metadata.mode(), metadata.uid(), metadata.gid());
    state.insert(path.to_owned(), attributes);
    Ok(())
}

fn same(before: &BTreeMap<PathBuf, String>, now: &BTreeMap<PathBuf, String>) -> Result<(), Failed> {
    let paths: std::collections::BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let differing = paths.into_iter().filter(|path| before.get(*path) != now.get(*path));
    let differing: Vec<String> = differing
        .map(|path| format!("{}:\n  {:?}\n  {:?}", path.display(), before.get(path), now.get(path)))
        .collect();
    if differing.is_empty() { Ok(()) } else { Err(differing.join("\n").into()) }
}

// The plan.

const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-gabion.conf";

fn drop_in(contents: &str) -> Action {
    Action::WriteFile {
        path: DROP_IN.into(),
        contents: Bytes(contents.into()),
        mode: 0o644,
        owner: Owner::Root,
        before: Before::Absent,
    }
}

fn account() -> Vec<Action> {
    let deploy = Owner::Account("deploy".to_owned());
    vec![
        Action::CreateUser {
            name: "deploy".to_owned(),
            shell: "/bin/sh".into(),
            home: "/home/deploy".into(),
            groups: vec!["adm".to_owned()],
        },
        Action::MakeDirectory { path: "/home/deploy/.ssh".into(), mode: 0o700, owner: deploy.clone() },
        Action::WriteFile {
            path: "/home/deploy/.ssh/authorized_keys".into(),
            contents: Bytes(b"# the laptop's key\n".to_vec()),
            mode: 0o600,
            owner: deploy,
            before: Before::Absent,
        },
        // An account whose password field is `!` alone may not log in at all where sshd does not use PAM.
        Action::ChangeUser {
            name: "deploy".to_owned(),
            change: UserChange::SetPasswordHash { hash: change::action::Secret("*".to_owned()) },
        },
    ]
}

fn firewall() -> Result<Action, Failed> {
    let policy =
        FilterPolicy { allow: vec![Allow::new("ssh", [PortRange::tcp(22)])], ..FilterPolicy::default() };
    let generation = nf_tables::Connection::open()?.generation()?;
    let ruleset = Box::new(packet_filter::compile(&policy));
    Ok(Action::LoadFirewall { ruleset, generation: Some(generation) })
}

fn reload() -> Action {
    Action::ReloadSsh { program: SSHD.into() }
}

fn proof(account: &str, by: LoginBy, succeeds: bool) -> Vec<LoginProof> {
    let home = if account == "root" { PathBuf::from("/root") } else { Path::new("/home").join(account) };
    let one = |server: &str| LoginProof {
        account: account.to_owned(),
        server: server.parse().expect("an address"),
        by,
        succeeds,
        authorized_keys: home.join(".ssh/authorized_keys"),
    };
    ["127.0.0.1:22", "[::1]:22"].into_iter().map(one).collect()
}

const BY_KEY: LoginBy = LoginBy::Key { sudo_without_password: None };

fn plan(actions: Vec<Action>) -> Plan {
    let step = |action| Step {
        action,
        why: String::new(),
        controls: Vec::new(),
        shows: String::new(),
        risk: Risk::CutOff,
    };
    Plan { steps: actions.into_iter().map(step).collect(), notes: Vec::new() }
}

fn apply(actions: Vec<Action>, confirm: Confirm) -> Result<Outcome, Error> {
    Transaction::begin(&Root::live()?, plan(actions), &About::default())?.apply(confirm, &mut |_| {})
}

const CLOSED: &str = "PermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n";

// The scenarios.

fn everything() -> Result<(), Failed> {
    start_host()?;
    let before = state()?;
    let running = server()?;
    assert!(offers("root")?.contains("password"), "{}", offers("root")?);

    let mut actions = account();
    actions.extend([drop_in(CLOSED), reload(), firewall()?]);
    let logins = [
        proof("deploy", BY_KEY, true),
        proof("root", BY_KEY, false),
        proof("deploy", LoginBy::Password, false),
    ];
    actions.push(Action::ProveLogins { logins: logins.concat() });
    let outcome = apply(actions, Confirm::Within(Duration::from_secs(3600)))?;
    if !matches!(outcome, Outcome::Pending { .. }) {
        return Err(format!("{outcome:?}").into());
    }

    assert_eq!(offers("root")?, "root@127.0.0.1: Permission denied (publickey).");
    assert_eq!(server()?, running, "the server was reloaded, not restarted");
    assert!(run(&["nft", "list", "ruleset"])?.contains("table inet gabion"));
    assert_eq!(fs::read_to_string("/home/deploy/.ssh/authorized_keys")?, "# the laptop's key\n");
    assert_eq!(fs::read_to_string("/root/.ssh/authorized_keys")?, "# keys\n");

    let root = Root::live()?;
    let id = change::pending(&root)?.ok_or("it waits")?;
    let report = change::rollback(&root, &id, Because::Asked)?.ok_or("it is undone")?;
    assert!(report.failures.is_empty() && report.notes.is_empty(), "{report:?}");
    same(&before, &state()?)?;
    assert!(offers("root")?.contains("password"), "the server runs as before: {}", offers("root")?);
    assert!(!change::history(&root)?[0].directory.join("gabion").exists());
    Ok(())
}

/// A step of every kind that changes the machine, but for what takes long.
fn every_kind() -> Result<Vec<Action>, Failed> {
    let mut actions = account();
    actions.extend([drop_in(CLOSED), reload(), firewall()?, Action::ReloadUnits]);
    Ok(actions)
}

fn killed_everywhere() -> Result<(), Failed> {
    start_host()?;
    let before = state()?;
    let this = |verb: &str, fault: &str| -> Result<std::process::Output, Failed> {
        let mut command = Command::new("/proc/self/exe");
        Ok(command.arg(verb).env("GABION_FAULT", fault).stdin(Stdio::null()).output()?)
    };
    for point in 1.. {
        let killed = this(APPLY, &format!("kill:{point}"))?;
        // Recovery is killed as well, later and later, before it runs through.
        this(RECOVER, &format!("kill:{}", 1 + point % 37))?;
        let recovered = this(RECOVER, "")?;
        let told = [recovered.stdout, recovered.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(recovered.status.success() && !told.contains("Failed"), "point {point}: {told}");
        same(&before, &state()?)
            .map_err(|error| format!("point {point}: {}", error.message().unwrap_or_default()))?;
        let past = change::history(&Root::live()?)?;
        assert!(
            past.iter().all(|past| matches!(past.state, State::RolledBack { .. })),
            "point {point}: {past:?}"
        );
        if killed.status.success() {
            assert!(point > 100, "there are crash points: {point}");
            assert!(offers("root")?.contains("password"), "{}", offers("root")?);
            return Ok(());
        }
        for past in past {
            fs::remove_dir_all(past.directory)?;
        }
    }
    Ok(())
}

fn failing_proof() -> Result<(), Failed> {
    start_host()?;
    let before = state()?;
    // Root is still let in by key.
    let mut actions = account();
    actions.extend([drop_in("PasswordAuthentication no\n"), reload()]);
    actions.push(Action::ProveLogins {
        logins: [proof("deploy", BY_KEY, true), proof("root", BY_KEY, false)].concat(),
    });
    match apply(actions, Confirm::Within(Duration::from_secs(3600)))? {
        Outcome::RolledBack { error: Error::LoginProof { login, what }, notes, .. } => {
            assert_eq!(
                (login.as_str(), what.as_str()),
                ("login of root at 127.0.0.1:22 by key", "the login succeeded")
            );
            assert!(notes.is_empty(), "{notes:?}");
        }
        other => return Err(format!("{other:?}").into()),
    }
    same(&before, &state()?)?;
    assert!(offers("root")?.contains("password"), "{}", offers("root")?);
    Ok(())
}

fn refused_configuration() -> Result<(), Failed> {
    start_host()?;
    let before = state()?;
    match apply(vec![drop_in("PermitRootLogin perhaps\n"), reload()], Confirm::NotNeeded)? {
        Outcome::RolledBack { step: 1, error: error @ Error::Program { .. }, .. } => {
            assert!(error.to_string().contains("00-gabion.conf line 1"), "{error}");
        }
        other => return Err(format!("{other:?}").into()),
    }
    same(&before, &state()?)?;
    assert!(offers("root")?.contains("password"), "{}", offers("root")?);
    Ok(())
}

fn unconfirmed() -> Result<(), Failed> {
    start_host()?;
    let before = state()?;
    let actions = vec![drop_in(CLOSED), reload(), firewall()?];
    let outcome = apply(actions, Confirm::Within(Duration::from_secs(2)))?;
    assert!(matches!(outcome, Outcome::Pending { .. }), "{outcome:?}");
    let root = Root::live()?;
    let undone = || {
        let past = change::history(&root).ok().and_then(|mut past| past.pop());
        past.is_some_and(|past| matches!(past.state, State::RolledBack { because: Because::Unconfirmed }))
    };
    wait_for("the timer", undone)?;
    same(&before, &state()?)?;
    assert!(offers("root")?.contains("password"), "{}", offers("root")?);
    assert!(change::recover(&root, &Moment::now())?.is_empty());
    Ok(())
}

fn foreign_rules() -> Result<(), Failed> {
    start_host()?;
    let actions = vec![drop_in(CLOSED), firewall()?];
    run(&["nft", "add rule inet others input drop"])?;
    let before = state()?;
    match apply(actions, Confirm::NotNeeded) {
        Err(Error::StalePlan { step: 1, what, .. }) => assert_eq!(what, "the kernel's packet filter"),
        other => return Err(format!("{other:?}").into()),
    }
    same(&before, &state()?)
}

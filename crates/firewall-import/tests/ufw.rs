//! The real ufw, from its Debian package, in a throwaway root and a network namespace of its own: it is given hundreds of commands,
//! and what it then loads into the kernel is held against the policy that is made of its files.

#![allow(
    clippy::disallowed_methods,
    reason = "ufw is unpacked, configured and run in a folder and namespace of the test"
)]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by it")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use firewall_import::{Options, UFW_FILES, prove, to_toml, ufw};
use iptables_syntax::{Family, Rule};
use packet_filter::iptables::expressions;

/// Runs ufw once for each line, in one process.
const DRIVER: &str = r#"
import runpy, shlex, sys
root = sys.argv[1]
sys.path.insert(0, root + "/usr/lib/python3/dist-packages")
for line in sys.stdin:
    sys.argv = ["ufw", "--rootdir=" + root, "--datadir=" + root] + shlex.split(line)
    code = 0
    try:
        runpy.run_path(root + "/usr/sbin/ufw", run_name="__main__")
    except SystemExit as ended:
        code = ended.code or 0
    print("rc", code)
"#;

/// A root with ufw in it, as the package brings it. `None`, and a word why, where that cannot be had.
fn root(name: &str) -> Option<PathBuf> {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ufw");
    let root = base.join(name);
    let _there_may_be_none = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    let downloaded = || {
        let found = fs::read_dir(&base).ok()?.flatten().map(|entry| entry.path());
        found.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb"))
    };
    if downloaded().is_none() {
        let _it_is_looked_for_below =
            Command::new("apt-get").args(["-qq", "download", "ufw"]).current_dir(&base).output();
    }
    let unpacked = downloaded().is_some_and(|package| {
        Command::new("dpkg").arg("-x").arg(package).arg(&root).status().is_ok_and(|status| status.success())
    });
    let alone = Command::new("unshare").args(["-n", "iptables-save"]).output();
    let privileged = alone.is_ok_and(|output| output.status.success());
    if !unpacked || !privileged || Command::new("python3").arg("-V").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no ufw to compare with, and CI=true");
        eprintln!("SKIPPED: needs root, private network namespaces, python3 and the package ufw");
        return None;
    }
    for kind in ["before", "after", "user"] {
        for six in ["", "6"] {
            let file = format!("{kind}{six}.rules");
            let from =
                ["usr/share/ufw/iptables", "usr/share/ufw"].map(|folder| root.join(folder).join(&file));
            let from = from.iter().find(|path| path.is_file()).unwrap();
            fs::copy(from, root.join("etc/ufw").join(&file)).unwrap();
        }
    }
    fs::write(root.join("etc/ufw/ufw.conf"), "ENABLED=no\nLOGLEVEL=low\n").unwrap();
    Some(root)
}

/// Gives ufw the commands, lets it load what they make, and gives what the kernel then has.
fn run(root: &Path, commands: &[String]) -> (usize, [String; 2]) {
    let script = format!(
        "python3 -c '{DRIVER}' {0} && printf 'ENABLED=yes\\nLOGLEVEL=low\\n' > {0}/etc/ufw/ufw.conf && \
         sh {0}/lib/ufw/ufw-init --rootdir {0} --datadir {0} start && iptables-save > {0}/v4 && ip6tables-save > {0}/v6",
        root.display()
    );
    let mut child = Command::new("unshare")
        .args(["-n", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = commands.join("\n") + "\n";
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = String::from_utf8_lossy(&output.stdout).lines().filter(|line| *line == "rc 0").count();
    (taken, ["v4", "v6"].map(|name| fs::read_to_string(root.join(name)).unwrap()))
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.roll(from.len())]
    }
}

/// A command as people type it.
fn command(dice: &mut Dice) -> String {
    let action = dice.pick(&["allow", "allow", "allow", "deny", "reject", "limit"]);
    let port = dice.pick(&["22", "25", "53", "80", "443", "3306", "6000:6007", "8080", "60000:61000"]);
    let proto = dice.pick(&["tcp", "udp"]);
    let v4 = dice.pick(&["10.0.0.0/8", "192.0.2.7", "198.51.100.0/24", "203.0.113.0/25"]);
    let v6 = dice.pick(&["2001:db8:1::/48", "2001:db8::5", "fd00::/8"]);
    let source = dice.pick(&[v4, v6, "any"]);
    let interface = dice.pick(&["eth0", "eth1", "wg0"]);
    match dice.roll(12) {
        0..3 => format!("{action} {port}/{proto}"),
        3..5 => format!("{action} from {source} to any port {port} proto {proto}"),
        5 => format!("{} from {}", dice.pick(&["allow", "deny", "reject"]), dice.pick(&[v4, v6])),
        6 => format!("allow in on {interface} to any port {port} proto {proto}"),
        7 => {
            format!("allow {proto}/{port}").replace("tcp/", "").replace("udp/", "").replace(':', ",")
                + if port.contains(':') { "/tcp" } else { "" }
        }
        8 => format!("{} out to any port {port} proto {proto}", dice.pick(&["allow", "deny", "reject"])),
        9 => format!(
            "route {} in on {interface} out on br0 to {v4} port {port} proto {proto}",
            dice.pick(&["allow", "deny"])
        ),
        10 => format!(
            "{} \"{}\"",
            dice.pick(&["allow", "deny"]),
            dice.pick(&["WWW Full", "DNS", "SSH", "IMAPS"])
        ),
        _ => format!("insert 1 {} from {v4} comment 'first of all'", dice.pick(&["allow", "deny"])),
    }
}

fn can_load(rule: &Rule, family: Family) -> Result<(), String> {
    expressions(rule, Some(family), &mut Vec::new()).map(drop).map_err(|error| error.to_string())
}

#[test]
fn the_policy_lets_in_what_the_real_ufw_lets_in() {
    let mut commands_taken = 0;
    let plans: [&[&str]; 5] = [
        &[],
        &["default reject incoming", "logging medium"],
        &["default deny outgoing", "default allow routed"],
        &["logging off"],
        &["default allow incoming"],
    ];
    for (nth, first) in plans.into_iter().enumerate() {
        let Some(root) = root(&format!("root-{nth}")) else { return };
        if nth == 3 {
            let file = root.join("etc/default/ufw");
            let text = fs::read_to_string(&file).unwrap().replace("IPV6=yes", "IPV6=no");
            fs::write(file, text).unwrap();
        }
        let mut dice = Dice(0xf1e1d + nth as u64);
        let mut commands: Vec<String> = first.iter().map(|&text| text.to_owned()).collect();
        commands.extend((0..60).map(|_| command(&mut dice)));
        let (taken, loaded) = run(&root, &commands);
        commands_taken += taken;

        let texts: Vec<(&str, String)> = UFW_FILES
            .iter()
            .filter_map(|name| Some((*name, fs::read_to_string(root.join(name)).ok()?)))
            .collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let mut imported = ufw(&texts, &Options { ssh_ports: &[], can_load: &can_load }).unwrap();
        imported.lines.iter().for_each(|line| assert!(!line.fates.is_empty(), "{line:?}"));
        // What ufw really loaded, not what was read of its files.
        let [v4, v6] = loaded;
        imported.source = vec![(Family::Ipv4, v4), (Family::Ipv6, v6)];

        let toml = to_toml(&imported.firewall);
        let policy =
            policy::parse(&toml, Path::new("policy.toml")).unwrap_or_else(|error| panic!("{toml}\n{error}"));
        let filter = controls::filter::filter_policy(&policy, &host::Facts::default()).unwrap();
        let proof = prove(&imported, packet_filter::compile(&filter).table()).unwrap();
        let is_open = first.iter().any(|command| command.starts_with("default allow"));
        assert!(proof.others.is_empty() || is_open && !imported.notes.is_empty(), "{nth}: {proof}\n{toml}");
        for parting in &proof.unknown {
            let over_a_limit = parting.when.iter().any(|assumption| {
                let of = assumption.to_string();
                of.contains("recent") || of.contains("limit")
            });
            assert!(over_a_limit, "{nth}: {proof}");
        }
    }
    println!("MEASURED: {commands_taken} commands of ufw taken over");
    assert!(commands_taken >= 200, "ufw took {commands_taken}");
}

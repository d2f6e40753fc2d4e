//! Two private network namespaces joined by a veth pair: the host, whose packet filter is under test, and the outside.
//!
//! Nothing here touches the root namespace: every namespace is made by `unshare` in a thread of its own and goes when
//! its last descriptor is closed.

#![allow(clippy::disallowed_methods, reason = "tests set their own network namespaces up with ip(8)")]
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// The host's addresses on the wire.
pub(crate) const HOST_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// Two strangers outside; the IPv6 ones are in two /64.
pub(crate) const STRANGERS_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(192, 0, 2, 20)];
pub(crate) const STRANGERS_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10), Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x20)];

/// Whether private namespaces can be made here; says so when they cannot, and fails where `CI` is `true`.
pub(crate) fn privileged() -> bool {
    let allowed = nix::unistd::geteuid().is_root()
        && thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok()).join().unwrap();
    if !allowed {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no private network namespaces, and CI=true");
        eprintln!("SKIPPED: needs root and private network namespaces");
    }
    allowed
}

/// A network namespace of this test's own.
#[derive(Clone)]
pub(crate) struct Namespace(Arc<File>);

impl Namespace {
    /// A new one with loopback up.
    pub(crate) fn new() -> Self {
        let file = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("unshare");
            let file = File::open("/proc/thread-self/ns/net").expect("the namespace's descriptor");
            assert_private();
            file
        })
        .join()
        .unwrap();
        let namespace = Self(Arc::new(file));
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `work` inside, on a thread of its own.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Begins `work` inside, on a thread of its own.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let file = Arc::clone(&self.0);
        thread::spawn(move || {
            setns(&*file, CloneFlags::CLONE_NEWNET).expect("setns");
            assert_private();
            work()
        })
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, arguments: &str) {
        self.command("ip", arguments);
    }

    /// Runs a program inside and gives its output.
    pub(crate) fn command(&self, program: &str, arguments: &str) -> String {
        let (program, arguments) = (program.to_owned(), arguments.to_owned());
        self.run(move || {
            let output = Command::new(&program)
                .args(arguments.split_whitespace())
                .output()
                .expect("start the program");
            assert!(
                output.status.success(),
                "{program} {arguments}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).expect("text")
        })
    }

    /// Writes a kernel setting inside.
    pub(crate) fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let value = value.to_owned();
        self.run(move || std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
    }

    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// The host and the outside, joined; `eth0` on both sides.
pub(crate) struct Wire {
    pub(crate) host: Namespace,
    pub(crate) outside: Namespace,
}

impl Wire {
    /// Both, with their addresses, ready to talk.
    pub(crate) fn new() -> Self {
        let (host, outside) = (Namespace::new(), Namespace::new());
        host.ip(&format!("link add eth0 type veth peer name eth0 netns {}", outside.path()));
        for side in [&host, &outside] {
            side.sysctl("net.ipv6.conf.all.disable_ipv6", "0");
            side.sysctl("net.ipv6.conf.eth0.accept_dad", "0");
            side.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0");
        }
        host.ip(&format!("addr add {HOST_V4}/24 dev eth0"));
        host.ip(&format!("addr add {HOST_V6}/48 dev eth0 nodad"));
        for address in STRANGERS_V4 {
            outside.ip(&format!("addr add {address}/24 dev eth0"));
        }
        for address in STRANGERS_V6 {
            outside.ip(&format!("addr add {address}/48 dev eth0 nodad"));
        }
        host.ip("link set eth0 up");
        outside.ip("link set eth0 up");
        // A new link drops what is sent until the kernel has looked at its carrier, which may be a second later.
        for side in [&host, &outside] {
            while !side.command("ip", "-o link show dev eth0").contains("state UP") {
                thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        // Answers to floods and refusals must not be thinned out by the kernel's own limits.
        for side in [&host, &outside] {
            side.sysctl("net.ipv4.icmp_ratelimit", "0");
            side.sysctl("net.ipv6.icmp.ratelimit", "0");
            side.sysctl("net.ipv4.icmp_msgs_per_sec", "1000000");
            side.sysctl("net.ipv4.icmp_msgs_burst", "1000000");
        }
        Self { host, outside }
    }
}

/// Loads a table inside a namespace.
pub(crate) fn install(namespace: &Namespace, compiled: &packet_filter::Compiled) {
    let compiled = compiled.clone();
    namespace.run(move || {
        let mut connection = nf_tables::Connection::open().unwrap();
        packet_filter::load(&mut connection, &compiled, None).unwrap_or_else(|error| panic!("{error}"));
    });
}

/// The host's address in the family of `address`.
pub(crate) fn host_address(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => HOST_V4.into(),
        IpAddr::V6(_) => HOST_V6.into(),
    }
}

/// Fails unless this thread is in another network namespace than the program was started in.
fn assert_private() {
    let inode = |path| std::fs::metadata(path).map(|file| file.ino());
    let here = inode("/proc/thread-self/ns/net").expect("the namespace of this thread");
    assert_ne!(
        here,
        inode("/proc/self/ns/net").expect("the namespace of this program"),
        "not a private namespace"
    );
    // Not everybody may look at process 1.
    if let Ok(root) = inode("/proc/1/ns/net") {
        assert_ne!(here, root, "this is the root namespace");
    }
}

/// Runs `nft -f` in the namespace of this thread.
pub(crate) fn nft(input: &str) {
    use std::io::Write as _;
    let mut child =
        Command::new("nft").args(["-f", "-"]).stdin(std::process::Stdio::piped()).spawn().expect("start nft");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "nft refused:\n{input}");
}

/// Tells `from` where `address`, of `to`, is on the wire.
pub(crate) fn neighbour(from: &Namespace, to: &Namespace, address: IpAddr) {
    let link = to.command("ip", "-o link show eth0");
    let words: Vec<&str> = link.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "link/ether").expect("an Ethernet address");
    from.ip(&format!("neigh replace {address} lladdr {} dev eth0 nud permanent", words[at + 1]));
}

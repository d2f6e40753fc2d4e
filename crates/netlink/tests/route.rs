//! Links, addresses and routes are made and read back, in network namespaces of the test's own.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a test's own helpers")]

use std::fs::{File, read_link};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::thread;

use netlink::route::write::{NextHop, add_address, add_route, create_veth, delete_link, set_up};
use netlink::route::{Link, Scope, addresses, links, routes};
use netlink::{Errno, Error, Protocol, Socket};
use nix::sched::{CloneFlags, setns, unshare};

/// Runs `test` in a thread with a new network namespace of its own; it is given another one besides.
fn with_two_namespaces(test: impl FnOnce(&File) + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "root is missing, and CI=true");
        eprintln!("SKIPPED: root is missing");
        return;
    }
    let new_namespace = || {
        let before = read_link("/proc/thread-self/ns/net").unwrap();
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        assert_ne!(read_link("/proc/thread-self/ns/net").unwrap(), before);
        #[allow(clippy::disallowed_methods, reason = "opened to read")]
        File::open("/proc/thread-self/ns/net").unwrap()
    };
    let outcome = thread::spawn(move || {
        let other = new_namespace();
        let _own = new_namespace();
        test(&other);
    })
    .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link(socket: &mut Socket, name: &str) -> Link {
    let all = links(socket).unwrap();
    all.iter().find(|link| link.name == name).cloned().unwrap_or_else(|| panic!("no {name} in {all:?}"))
}

#[test]
fn a_veth_pair_across_namespaces_gets_addresses_and_routes_and_goes_with_one_end() {
    with_two_namespaces(|other| {
        let mut here = Socket::open(Protocol::Route).unwrap();
        create_veth(&mut here, "inside", "outside", other.as_fd()).unwrap();
        let inside = link(&mut here, "inside");
        assert_eq!((inside.up, inside.kind.as_deref(), inside.is_loopback()), (false, Some("veth"), false));
        assert!(link(&mut here, "lo").is_loopback());
        set_up(&mut here, inside.index).unwrap();
        assert!(link(&mut here, "inside").up);

        add_address(&mut here, inside.index, ip("192.0.2.1"), 24).unwrap();
        add_address(&mut here, inside.index, ip("2001:db8::1"), 64).unwrap();
        let found = addresses(&mut here).unwrap();
        let mine = |address: &str| found.iter().find(|a| a.address == ip(address)).cloned().expect(address);
        assert_eq!((mine("192.0.2.1").prefix, mine("192.0.2.1").scope), (24, Scope::Universe));
        assert_eq!(mine("2001:db8::1").index, inside.index);
        assert_eq!(mine("2001:db8::1").flags & 0x40, 0, "tentative in spite of nodad");

        // A gateway must be reachable: both ends up.
        let outside = thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(other, CloneFlags::CLONE_NEWNET).unwrap();
                    let mut there = Socket::open(Protocol::Route).unwrap();
                    let outside = link(&mut there, "outside");
                    set_up(&mut there, outside.index).unwrap();
                    outside
                })
                .join()
                .unwrap()
        });
        assert_eq!(outside.kind.as_deref(), Some("veth"));
        add_route(&mut here, ip("0.0.0.0"), 0, NextHop::Gateway(ip("192.0.2.254"))).unwrap();
        add_route(&mut here, ip("::"), 0, NextHop::Gateway(ip("2001:db8::fe"))).unwrap();
        add_route(&mut here, ip("198.51.100.0"), 24, NextHop::Interface(inside.index)).unwrap();
        let found = routes(&mut here).unwrap();
        let gateways: Vec<_> = found.iter().filter(|r| r.is_default()).filter_map(|r| r.gateway).collect();
        assert_eq!(gateways, [ip("192.0.2.254"), ip("2001:db8::fe")]);
        let direct = found.iter().find(|r| r.destination == ip("198.51.100.0")).expect("the direct route");
        assert_eq!((direct.prefix, direct.index, direct.table), (24, Some(inside.index), 254));

        delete_link(&mut here, inside.index).unwrap();
        let names: Vec<_> = links(&mut here).unwrap().into_iter().map(|link| link.name).collect();
        assert_eq!(names, ["lo"]);
    });
}

#[test]
fn what_the_kernel_refuses_is_an_error_with_its_errno() {
    with_two_namespaces(|_| {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let refused = set_up(&mut socket, 4_000_000).unwrap_err();
        assert_eq!(refused.errno(), Some(Errno::NODEV));
        assert!(matches!(refused, Error::Refused { .. }));
        let refused = add_route(&mut socket, ip("0.0.0.0"), 0, NextHop::Gateway(ip("192.0.2.254")));
        assert_eq!(refused.unwrap_err().errno(), Some(Errno::NETUNREACH));
        // The socket goes on to work.
        assert_eq!(links(&mut socket).unwrap().len(), 1);
    });
}

//! A network namespace outside the host, joined to it by a virtual cable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netlink::route::{self, write};
use netlink::{Protocol, Socket};
use nix::sched::CloneFlags;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags};

use crate::error::{Error, system};

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own, joined to the caller's.
///
/// Its end carries `outside0`; the host's end has the name given to [`Outside::join`]. Neither address leaves the cable.
#[derive(Debug)]
pub struct Outside {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    addresses: Addresses,
    cable: u32,
}

/// The addresses at both ends: /30 and /126.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    outside_v4: Ipv4Addr,
    host_v4: Ipv4Addr,
    outside_v6: Ipv6Addr,
    host_v6: Ipv6Addr,
    has_v6: bool,
}

const END_OUTSIDE: &str = "outside0";

/// How long a new cable may take until it carries packets: a second where nothing else is wrong, more on a machine under load.
const CABLE_PATIENCE: Duration = Duration::from_secs(30);

impl Outside {
    /// Makes the namespace and joins it to the network namespace of the calling thread.
    ///
    /// # Errors
    /// The caller may not make network namespaces, the name is taken, or no free addresses were found.
    pub fn join(name_at_host: &str) -> Result<Self, Error> {
        let host =
            rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(system("open a network namespace"))?;
        let mut socket = Socket::open(Protocol::Route)?;
        let mut addresses = Addresses::free(&mut socket)?;
        let (jobs, work) = channel::<Job>();
        let (ready, is_ready) = channel();
        let name = name_at_host.to_owned();
        let thread = std::thread::spawn(move || stand_outside(&host, &name, addresses, &ready, &work));
        is_ready.recv().map_err(|_| Error::Ended)??;
        let cable = index_of(&mut socket, name_at_host)?;
        write::add_address(&mut socket, cable, addresses.host_v4.into(), 30)?;
        // A host may have IPv6 switched off; it then has no IPv6 to be probed.
        addresses.has_v6 = write::add_address(&mut socket, cable, addresses.host_v6.into(), 126).is_ok();
        write::set_up(&mut socket, cable)?;
        let outside = Self { jobs: Some(jobs), thread: Some(thread), addresses, cable };
        outside.run(move || finish_outside(addresses))??;
        until_it_carries(&mut socket, cable)?;
        Ok(outside)
    }

    /// The address outside.
    pub fn v4(&self) -> Ipv4Addr {
        self.addresses.outside_v4
    }

    /// The host's address on the cable.
    pub fn host_v4(&self) -> Ipv4Addr {
        self.addresses.host_v4
    }

    /// The addresses outside and at the host in IPv6, where the host has it switched on.
    pub fn v6(&self) -> Option<(Ipv6Addr, Ipv6Addr)> {
        self.addresses.has_v6.then_some((self.addresses.outside_v6, self.addresses.host_v6))
    }

    /// Gives the end outside another address to send from. The host answers it only where it has a route back over the cable.
    ///
    /// # Errors
    /// The address is there already, or its family is switched off.
    pub fn add_source(&self, source: IpAddr) -> Result<(), Error> {
        self.run(move || {
            let mut socket = Socket::open(Protocol::Route)?;
            let cable = index_of(&mut socket, END_OUTSIDE)?;
            let whole = if source.is_ipv4() { 32 } else { 128 };
            Ok(write::add_address(&mut socket, cable, source, whole)?)
        })?
    }

    /// Has the host send everything that it has no better route for over the cable: for a host that is a throwaway itself.
    ///
    /// # Errors
    /// The host has a default route already.
    pub fn become_default_route(&self) -> Result<(), Error> {
        let mut socket = Socket::open(Protocol::Route)?;
        let gateway = write::NextHop::Gateway(self.addresses.outside_v4.into());
        write::add_route(&mut socket, Ipv4Addr::UNSPECIFIED.into(), 0, gateway)?;
        if self.addresses.has_v6 {
            let gateway = write::NextHop::Gateway(self.addresses.outside_v6.into());
            write::add_route(&mut socket, Ipv6Addr::UNSPECIFIED.into(), 0, gateway)?;
        }
        Ok(())
    }

    /// Runs something outside and waits for what it returns.
    ///
    /// # Errors
    /// The thread outside has ended, because an earlier job panicked.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let (done, result) = channel();
        let job: Job = Box::new(move || {
            let _nobody_waits_any_more = done.send(job());
        });
        let jobs = self.jobs.as_ref().ok_or(Error::Ended)?;
        jobs.send(job).map_err(|_| Error::Ended)?;
        result.recv().map_err(|_| Error::Ended)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Ok(mut socket) = Socket::open(Protocol::Route) {
            let _goes_with_the_namespace = write::delete_link(&mut socket, self.cable);
        }
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _a_panic_was_told_already = thread.join();
        }
    }
}

/// The life of the thread outside: enters a new namespace, makes the cable, works until nobody asks any more.
fn stand_outside(
    host: &OwnedFd,
    name_at_host: &str,
    addresses: Addresses,
    ready: &Sender<Result<(), Error>>,
    work: &Receiver<Job>,
) {
    let made = enter(host, name_at_host, addresses);
    let failed = made.is_err();
    if ready.send(made).is_err() || failed {
        return;
    }
    for job in work {
        job();
    }
}

fn enter(host: &OwnedFd, name_at_host: &str, addresses: Addresses) -> Result<(), Error> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| Error::System {
        call: "unshare",
        errno: rustix::io::Errno::from_raw_os_error(errno as i32),
    })?;
    let mut socket = Socket::open(Protocol::Route)?;
    let loopback = index_of(&mut socket, "lo")?;
    write::set_up(&mut socket, loopback)?;
    write::create_veth(&mut socket, END_OUTSIDE, name_at_host, host.as_fd()).map_err(|error| match error
        .errno()
    {
        Some(rustix::io::Errno::EXIST) => Error::Taken { name: name_at_host.to_owned() },
        _ => error.into(),
    })?;
    let cable = index_of(&mut socket, END_OUTSIDE)?;
    write::add_address(&mut socket, cable, addresses.outside_v4.into(), 30)?;
    // Without IPv6 in the kernel there is none to probe either.
    let _without_ipv6 = write::add_address(&mut socket, cable, addresses.outside_v6.into(), 126);
    write::set_up(&mut socket, cable)?;
    Ok(())
}

/// Both ends are up: everything else is reached through the host.
fn finish_outside(addresses: Addresses) -> Result<(), Error> {
    let mut socket = Socket::open(Protocol::Route)?;
    let through = |address: IpAddr| write::NextHop::Gateway(address);
    write::add_route(&mut socket, Ipv4Addr::UNSPECIFIED.into(), 0, through(addresses.host_v4.into()))?;
    if addresses.has_v6 {
        write::add_route(&mut socket, Ipv6Addr::UNSPECIFIED.into(), 0, through(addresses.host_v6.into()))?;
    }
    let cable = index_of(&mut socket, END_OUTSIDE)?;
    until_it_carries(&mut socket, cable)
}

/// Waits until an end of the cable passes packets. What is sent before is lost, the first question for the neighbour's address
/// with it, and the kernel asks that again only a second later.
fn until_it_carries(socket: &mut Socket, index: u32) -> Result<(), Error> {
    let deadline = Instant::now() + CABLE_PATIENCE;
    while !route::links(socket)?.iter().any(|link| link.index == index && link.is_running()) {
        if Instant::now() > deadline {
            return Err(Error::System { call: "waiting for the cable", errno: rustix::io::Errno::TIMEDOUT });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

impl Addresses {
    /// A pair that overlaps nothing that the host has an address or a route for, but for default routes: from the block for
    /// network tests (RFC 2544, 198.18.0.0/15) and from a unique local prefix (RFC 4193).
    fn free(socket: &mut Socket) -> Result<Self, Error> {
        let routes = route::routes(socket)?;
        let addresses = route::addresses(socket)?;
        let taken = |candidate: Ipv4Addr| {
            let routed = routes.iter().filter(|route| !route.is_default()).any(|route| {
                matches!(route.destination, IpAddr::V4(network) if covers(network, route.prefix, candidate))
            });
            let owned = addresses.iter().any(|address| {
                matches!(address.address, IpAddr::V4(network) if covers(network, address.prefix, candidate))
            });
            routed || owned
        };
        let base = u32::from(Ipv4Addr::new(198, 18, 0, 0));
        let network =
            (0..0x8000).map(|index| Ipv4Addr::from(base + index * 4)).find(|network| !taken(*network));
        let network = u32::from(network.ok_or(Error::System {
            call: "finding a free network",
            errno: rustix::io::Errno::ADDRNOTAVAIL,
        })?);
        let prefix =
            u128::from(Ipv6Addr::new(0xfd67, 0x6162, 0x696f, 0x6e00, 0, 0, 0, 0)) | u128::from(network);
        Ok(Self {
            outside_v4: Ipv4Addr::from(network + 1),
            host_v4: Ipv4Addr::from(network + 2),
            outside_v6: Ipv6Addr::from(prefix + 1),
            host_v6: Ipv6Addr::from(prefix + 2),
            has_v6: true,
        })
    }
}

fn covers(network: Ipv4Addr, length: u8, address: Ipv4Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
    u32::from(network) & mask == u32::from(address) & mask
}

fn index_of(socket: &mut Socket, name: &str) -> Result<u32, Error> {
    let links = route::links(socket)?;
    let link = links.into_iter().find(|link| link.name == name);
    link.map(|link| link.index)
        .ok_or(Error::System { call: "finding the link", errno: rustix::io::Errno::NODEV })
}

//! Changes to links, addresses and routes: what a throwaway network needs.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::attribute::Writer;
use crate::message::{CREATE, EXCLUSIVE};
use crate::socket::{Error, Socket};

use super::{
    AF_INET, AF_INET6, AF_UNSPEC, IFA_ADDRESS, IFA_FLAGS, IFA_LOCAL, IFADDRMSG, IFF_UP, IFINFOMSG,
    IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, RTA_DST, RTA_GATEWAY, RTA_OIF, RTMSG,
};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

const IFLA_INFO_DATA: u16 = 2;
const IFLA_NET_NS_FD: u16 = 28;
const VETH_INFO_PEER: u16 = 1;

/// Skips the check that nobody else has the address, so that it can be used at once.
const IFA_F_NODAD: u32 = 0x02;

const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;

/// Makes two interfaces joined by a virtual wire: `name` here, `peer` in the network namespace that
/// `peer_namespace` is open on.
///
/// # Errors
/// [`Error::Refused`]: the name is taken, or the right is missing.
pub fn create_veth(
    socket: &mut Socket,
    name: &str,
    peer: &str,
    peer_namespace: BorrowedFd<'_>,
) -> Result<(), Error> {
    let namespace = peer_namespace.as_raw_fd().cast_unsigned();
    socket.request(RTM_NEWLINK, CREATE | EXCLUSIVE, |w| {
        w.raw(&[0; IFINFOMSG]);
        w.string(IFLA_IFNAME, name);
        w.nest(IFLA_LINKINFO, |w| {
            w.string(IFLA_INFO_KIND, "veth");
            w.nest(IFLA_INFO_DATA, |w| {
                w.nest(VETH_INFO_PEER, |w| {
                    w.raw(&[0; IFINFOMSG]);
                    w.string(IFLA_IFNAME, peer);
                    w.u32_ne(IFLA_NET_NS_FD, namespace);
                });
            });
        });
    })
}

/// Sets an interface up.
///
/// # Errors
/// [`Error::Refused`]: there is no such interface, or the right is missing.
pub fn set_up(socket: &mut Socket, index: u32) -> Result<(), Error> {
    socket.request(RTM_NEWLINK, 0, |w| w.raw(&link_header(index, IFF_UP)))
}

/// Takes an interface away; of a veth pair, both ends.
///
/// # Errors
/// [`Error::Refused`]: there is no such interface, it cannot be deleted, or the right is missing.
pub fn delete_link(socket: &mut Socket, index: u32) -> Result<(), Error> {
    socket.request(RTM_DELLINK, 0, |w| w.raw(&link_header(index, 0)))
}

/// Gives an interface an address, usable at once.
///
/// # Errors
/// [`Error::Refused`]: it has it already, there is no such interface, or the right is missing.
pub fn add_address(socket: &mut Socket, index: u32, address: IpAddr, prefix: u8) -> Result<(), Error> {
    socket.request(RTM_NEWADDR, CREATE | EXCLUSIVE, |w| {
        let mut header = [0; IFADDRMSG];
        header[0] = family(address);
        header[1] = prefix;
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        w.raw(&header);
        write_ip(IFA_LOCAL, address, w);
        write_ip(IFA_ADDRESS, address, w);
        if address.is_ipv6() {
            w.u32_ne(IFA_FLAGS, IFA_F_NODAD);
        }
    })
}

/// Where a new route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop {
    /// To a router.
    Gateway(IpAddr),
    /// Straight out of an interface.
    Interface(u32),
}

/// Adds a route to the main table; the unspecified address with prefix 0 is the default route.
///
/// # Errors
/// [`Error::Refused`]: it is there already, the gateway cannot be reached, or the right is missing.
pub fn add_route(socket: &mut Socket, destination: IpAddr, prefix: u8, via: NextHop) -> Result<(), Error> {
    let scope = match via {
        NextHop::Gateway(_) => RT_SCOPE_UNIVERSE,
        NextHop::Interface(_) => RT_SCOPE_LINK,
    };
    socket.request(RTM_NEWROUTE, CREATE | EXCLUSIVE, |w| {
        let mut header = [0; RTMSG];
        header[0] = family(destination);
        header[1] = prefix;
        header[4] = RT_TABLE_MAIN;
        header[5] = RTPROT_STATIC;
        header[6] = scope;
        header[7] = RTN_UNICAST;
        w.raw(&header);
        if prefix != 0 {
            write_ip(RTA_DST, destination, w);
        }
        match via {
            NextHop::Gateway(gateway) => write_ip(RTA_GATEWAY, gateway, w),
            NextHop::Interface(index) => w.u32_ne(RTA_OIF, index),
        }
    })
}

fn link_header(index: u32, up: u32) -> [u8; IFINFOMSG] {
    let mut header = [0; IFINFOMSG];
    header[0] = AF_UNSPEC;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&up.to_ne_bytes());
    // Only the flag that is set is meant.
    header[12..16].copy_from_slice(&up.to_ne_bytes());
    header
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

fn write_ip(kind: u16, address: IpAddr, w: &mut Writer<'_>) {
    match address {
        IpAddr::V4(address) => w.bytes(kind, &address.octets()),
        IpAddr::V6(address) => w.bytes(kind, &address.octets()),
    }
}

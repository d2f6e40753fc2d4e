//! Links, addresses, routes; listening sockets with their holders.

use std::collections::BTreeMap;

use ipnet::IpNet;
use netlink::{Socket as Netlink, route};

use crate::facts::{Address, Fact, Link, Listener, Network, Owner, Route};
use crate::process::Proc;

use super::listeners::Sockets;
use super::not_running;

/// `RT_TABLE_MAIN` of `linux/rtnetlink.h`.
const MAIN_TABLE: u32 = 254;
/// `RTN_UNICAST`.
const UNICAST: u8 = 1;

/// The network of this process's namespace.
pub(super) fn live(sockets: &Sockets) -> Network {
    let listeners = |names: &BTreeMap<u32, String>| match &sockets.listening {
        Ok(_) => Fact::Known(listeners(sockets, names)),
        Err(why) => Fact::Unknown(why.clone()),
    };
    match dump() {
        Ok((links, addresses, routes)) => {
            let names = links.iter().map(|link| (link.index, link.name.clone())).collect();
            Network {
                addresses: Fact::Known(addresses_of(&addresses, &names)),
                routes: Fact::Known(routes_of(&routes, &names)),
                listeners: listeners(&names),
                links: Fact::Known(
                    links
                        .into_iter()
                        .map(|link| Link { index: link.index, name: link.name, up: link.up })
                        .collect(),
                ),
            }
        }
        Err(why) => Network {
            links: Fact::Unknown(why.clone()),
            addresses: Fact::Unknown(why.clone()),
            routes: Fact::Unknown(why),
            listeners: listeners(&BTreeMap::new()),
        },
    }
}

/// An image has no network.
pub(super) fn of_image() -> Network {
    let what = "the kernel";
    Network {
        links: not_running(what),
        addresses: not_running(what),
        routes: not_running(what),
        listeners: not_running(what),
    }
}

type Dump = (Vec<route::Link>, Vec<route::Address>, Vec<route::Route>);

fn dump() -> Result<Dump, String> {
    let dump = || {
        let mut socket = Netlink::open(netlink::Protocol::Route)?;
        Ok((route::links(&mut socket)?, route::addresses(&mut socket)?, route::routes(&mut socket)?))
    };
    dump().map_err(|error: netlink::Error| error.to_string())
}

fn addresses_of(addresses: &[route::Address], names: &BTreeMap<u32, String>) -> Vec<Address> {
    let named = addresses.iter().filter_map(|address| {
        let link = names.get(&address.index)?.clone();
        Some(Address { link, address: IpNet::new(address.address, address.prefix).ok()? })
    });
    named.collect()
}

fn routes_of(routes: &[route::Route], names: &BTreeMap<u32, String>) -> Vec<Route> {
    let main = routes.iter().filter(|route| route.table == MAIN_TABLE && route.kind == UNICAST);
    main.filter_map(|route| {
        Some(Route {
            to: IpNet::new(route.destination, route.prefix).ok()?,
            gateway: route.gateway,
            link: route.index.and_then(|index| names.get(&index).cloned()),
        })
    })
    .collect()
}

fn listeners(sockets: &Sockets, names: &BTreeMap<u32, String>) -> Vec<Listener> {
    let proc = Proc::real();
    let mut owners: BTreeMap<u32, Owner> = BTreeMap::new();
    let mut owner = |pid: u32| {
        let make = || Owner {
            pid,
            name: proc.stat(pid).map(|stat| stat.comm).unwrap_or_default(),
            program: proc.program(pid).filter(|path| path.to_str().is_some()),
        };
        owners.entry(pid).or_insert_with(make).clone()
    };
    let listening = sockets.listening.as_deref().unwrap_or_default().iter();
    listening
        .map(|socket| Listener {
            protocol: socket.protocol,
            address: socket.local.ip(),
            port: socket.local.port(),
            v6_only: socket.v6_only,
            link: (socket.link != 0)
                .then(|| names.get(&socket.link).cloned().unwrap_or_else(|| format!("link {}", socket.link))),
            owners: {
                let pids = sockets.holders.by_inode.get(&socket.inode);
                pids.into_iter().flatten().map(|pid| owner(*pid)).collect()
            },
        })
        .collect()
}

//! The addresses that sshd listens on: `ListenAddress` joined with every `Port` and the `AddressFamily`.

use std::net::IpAddr;
use std::sync::Arc;

use crate::defaults::Defaults;
use crate::effective::{Setting, Value};
use crate::keyword::Keyword;
use crate::problem::Origin;
use crate::state::Pass;

/// One `ListenAddress` line as read.
pub(crate) struct Queued<'a> {
    pub(crate) host: &'a str,
    port: &'a str,
    rdomain: &'a str,
    pub(crate) origin: &'a Origin,
}

/// The `ListenAddress` lines in order.
pub(crate) fn queued<'a>(pass: &'a Pass<'_>) -> impl Iterator<Item = Queued<'a>> {
    pass.get(Keyword::ListenAddress, 0).unwrap_or(&[]).iter().filter_map(|(text, origin)| {
        let mut parts = text.splitn(3, ' ');
        Some(Queued { host: parts.next()?, port: parts.next()?, rdomain: parts.next()?, origin })
    })
}

/// Whether an address is of a family that `AddressFamily` allows.
pub(crate) fn allowed(host: &str, family: &str) -> bool {
    match (host.parse::<IpAddr>(), family) {
        (Ok(address), "inet") => address.is_ipv4(),
        (Ok(address), "inet6") => address.is_ipv6(),
        (Ok(_) | Err(_), _) => true,
    }
}

/// `host:port` for every address, as `sshd -T` prints them.
pub(crate) fn addresses(pass: &Pass<'_>, defaults: &Defaults) -> Setting {
    let ports = pass.get(Keyword::Port, 0);
    let ports: Vec<(Arc<str>, Option<Origin>)> = match ports {
        Some(ports) => ports.iter().map(|(port, origin)| (port.clone(), Some((*origin).clone()))).collect(),
        None => vec![("22".into(), None)],
    };
    let family = pass.get(Keyword::AddressFamily, 0).and_then(|texts| texts.first());
    let default = defaults.get(Keyword::AddressFamily).map_or("any", Setting::text);
    let family = family.map_or(default, |(text, _)| text);

    let mut values = Vec::new();
    let mut queue = queued(pass).peekable();
    if queue.peek().is_none() {
        let any = [("inet6", "[::]"), ("inet", "0.0.0.0")]
            .into_iter()
            .filter(|(f, _)| family == "any" || family == *f);
        let any: Vec<&str> = any.map(|(_, host)| host).collect();
        for (port, origin) in &ports {
            let value = |host: &&str| Value { text: format!("{host}:{port}").into(), origin: origin.clone() };
            values.extend(any.iter().map(value));
        }
        return Setting::new(values);
    }
    for line in queue {
        let host = if line.host.contains(':') { format!("[{}]", line.host) } else { line.host.to_owned() };
        let rdomain =
            if line.rdomain.is_empty() { String::new() } else { format!(" rdomain {}", line.rdomain) };
        let own = [(Arc::from(line.port), None)];
        let ports = if line.port == "0" { ports.as_slice() } else { &own };
        for (port, _) in ports {
            values.push(Value::at(format!("{host}:{port}{rdomain}").into(), line.origin.clone()));
        }
    }
    Setting::new(values)
}

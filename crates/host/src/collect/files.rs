//! Files that are always looked at, and those that the caller wants.

use std::path::Path;

use crate::Kind;

use super::{Notes, Wanted};

/// Configuration that other collectors do not come by: of firewall managers, of what starts sshd, of APT's addresses.
const FILES: [&str; 22] = [
    "/etc/cloud/cloud.cfg",
    "/etc/crypto-policies/config",
    "/etc/default/ssh",
    "/etc/gai.conf",
    "/etc/iptables/ip6tables.rules",
    "/etc/iptables/iptables.rules",
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/nftables.conf",
    "/etc/nftables.nft",
    "/etc/pam.d/sshd",
    "/etc/security/faillock.conf",
    "/etc/sysconfig/ip6tables",
    "/etc/sysconfig/iptables",
    "/etc/sysconfig/nftables.conf",
    "/etc/sysconfig/sshd",
    "/etc/ufw/ufw.conf",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv6/bindv6only",
    "/proc/sys/net/ipv6/conf/all/disable_ipv6",
    "/proc/sys/net/ipv6/conf/all/forwarding",
    "/etc/sudo.conf",
];

pub(super) fn collect(notes: &mut Notes<'_>, wanted: &Wanted) {
    for path in FILES.map(Path::new) {
        if path.starts_with("/proc") && notes.host().source() != crate::Source::Live {
            continue;
        }
        let _ = notes.read(path);
    }
    for path in &wanted.extra_files {
        want(notes, path);
    }
    for program in &wanted.programs {
        notes.look_with_parents(program);
        if let Ok(target) = notes.host().resolve(program) {
            notes.look_with_parents(&target);
        }
    }
}

/// A file with its bytes, a directory with its names, and what stands above.
fn want(notes: &mut Notes<'_>, path: &Path) {
    notes.look_with_parents(path);
    let target = notes.host().resolve(path).unwrap_or_else(|_| path.to_owned());
    match notes.host().metadata(&target) {
        Ok(found) if found.kind == Kind::Directory => {
            let _ = notes.list(path);
        }
        Ok(_) => {
            let _ = notes.read(path);
        }
        Err(_) => {}
    }
}

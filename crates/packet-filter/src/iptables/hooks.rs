//! Where the chains of `x_tables` are entered (`linux/netfilter_ipv4.h`, `net/*/netfilter/*table_*.c`).

use nf_tables::{ChainKind, HookPoint};

/// Hook and priority of a built-in chain; `None` for any other.
pub(super) fn hook(table: &str, chain: &str) -> Option<(HookPoint, i32)> {
    use HookPoint::{Forward, Input, Output, Postrouting, Prerouting};
    let point = match chain {
        "PREROUTING" => Prerouting,
        "INPUT" => Input,
        "FORWARD" => Forward,
        "OUTPUT" => Output,
        "POSTROUTING" => Postrouting,
        _ => return None,
    };
    let priority = match (table, point) {
        ("raw", Prerouting | Output) => -300,
        ("mangle", _) => -150,
        ("nat", Prerouting | Output) => -100,
        ("filter", Input | Forward | Output) => 0,
        ("security", Input | Forward | Output) => 50,
        ("nat", Input | Postrouting) => 100,
        _ => return None,
    };
    Some((point, priority))
}

/// What the rules of a table may do.
pub(super) fn kind(table: &str, point: HookPoint) -> ChainKind {
    match (table, point) {
        ("nat", _) => ChainKind::Nat,
        ("mangle", HookPoint::Output) => ChainKind::Route,
        _ => ChainKind::Filter,
    }
}

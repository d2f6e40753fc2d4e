//! Encodings and decodings compared with `nft`: what it compiles a rule to, what it prints of the kernel's
//! dump, and what it lists of a rule that we encoded.
//!
//! The rules are our own, compiled by the `nft` of this machine; and those of the `.payload` goldens of the
//! nftables source package, where the mirror has it. What is skipped is counted and printed.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that fetches, loads and prints"
)]

use nf_tables::Family;

#[path = "../support/mod.rs"]
mod support;

mod check;
mod corpus;
mod parse;
mod source;

use corpus::Case;

const FAMILIES: [Family; 6] =
    [Family::Inet, Family::Ip, Family::Ip6, Family::Bridge, Family::Arp, Family::Netdev];

fn check_all(cases: &[Case], declarations: &str) -> check::Tally {
    let mut tally = check::Tally::default();
    for family in FAMILIES {
        let some: Vec<_> = cases.iter().filter(|case| case.family == family).cloned().collect();
        if !some.is_empty() {
            let declarations = if family == Family::Inet { declarations } else { "" };
            check::family(family, &some, declarations, &mut tally);
        }
    }
    eprintln!("{tally}");
    tally
}

#[test]
fn our_rules_decode_print_and_encode_as_nft_has_them() {
    support::in_namespace(|| {
        let tally = check_all(&corpus::cases(), corpus::DECLARATIONS);
        assert!(tally.unlike.is_empty(), "{} rules are unlike", tally.unlike.len());
        assert!(tally.reloaded > 400, "only {} rules got through", tally.reloaded);
    });
}

#[test]
fn the_goldens_of_the_source_package_decode_print_and_encode_as_nft_has_them() {
    let cases = match source::cases() {
        Ok(cases) => cases,
        // The mirror is not ours to repair, so this is no failure in CI; the test above stands alone then.
        Err(reason) => {
            eprintln!("SKIPPED: the nftables source package is missing ({reason})");
            return;
        }
    };
    support::in_namespace(move || {
        let tally = check_all(&cases, "");
        assert!(tally.unlike.is_empty(), "{} rules are unlike", tally.unlike.len());
        assert!(tally.reloaded > 0);
    });
}

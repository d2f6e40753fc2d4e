//! Algorithms: what is broken or merely old among those that the server offers or takes.

use policy::Crypto;
use sshd_config::{Constraint, Family, Keyword, Setting, ValueType};

use super::doors::places;
use super::view::Sshd;
use crate::finding::Severity;
use crate::judgement::{Fault, Judged, Subject, Verdict};

/// Every list of algorithms that is judged, with its control.
pub(crate) const LISTS: &[(&str, Keyword)] = &[
    ("SH16", Keyword::Ciphers),
    ("SH17", Keyword::Macs),
    ("SH18", Keyword::KexAlgorithms),
    ("SH19", Keyword::HostKeyAlgorithms),
    ("SH19", Keyword::PubkeyAcceptedAlgorithms),
    ("SH19", Keyword::HostbasedAcceptedAlgorithms),
    ("SH19", Keyword::CaSignatureAlgorithms),
];

/// Key exchanges that hold against a quantum computer that comes later, newest first.
const HYBRIDS: &[&str] =
    &["mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"];

/// How bad an algorithm is under a policy; none where it may stay.
pub(crate) fn weakness(keyword: Keyword, name: &str, crypto: Crypto) -> Option<(Severity, &'static str)> {
    let modern = crypto == Crypto::Modern;
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match keyword {
        Keyword::Ciphers if has(&["cbc", "3des", "arcfour", "blowfish", "cast128"]) => {
            Some((Severity::High, "encrypts with a broken mode or cipher"))
        }
        Keyword::Macs if has(&["md5", "-96", "ripemd"]) => {
            Some((Severity::High, "has a broken or cut-off hash"))
        }
        Keyword::Macs if modern && has(&["sha1"]) => Some((Severity::Medium, "rests on SHA-1")),
        Keyword::Macs if modern && has(&["umac-64"]) => Some((Severity::Low, "has a tag of 64 bits")),
        Keyword::KexAlgorithms if has(&["sha1", "group1-", "rsa1024"]) => {
            Some((Severity::High, "agrees on keys by SHA-1 or a short group"))
        }
        Keyword::HostKeyAlgorithms
        | Keyword::PubkeyAcceptedAlgorithms
        | Keyword::HostbasedAcceptedAlgorithms
        | Keyword::CaSignatureAlgorithms
            if name.starts_with("ssh-dss") || matches!(name, "ssh-rsa" | "ssh-rsa-cert-v01@openssh.com") =>
        {
            Some((Severity::High, "signs with SHA-1"))
        }
        _ => None,
    }
}

/// The algorithms to take out of a list, so that what is left is in the host's own list and not weak; empty where the
/// list is good as it is. `-` counts from the defaults of the version (`sshd_config(5)`), so names of those that the
/// host had left out are named too: nothing comes back that a crypto policy or an administrator took away.
pub(crate) fn removals(sshd: &Sshd, keyword: Keyword, setting: &Setting, crypto: Crypto) -> Vec<String> {
    let is_weak = |name: &str| weakness(keyword, name, crypto).is_some();
    let here: Vec<&str> = setting.names().collect();
    let lacks_hybrid = lacks_hybrid(sshd, keyword, setting);
    if !here.iter().any(|name| is_weak(name)) && !lacks_hybrid {
        return Vec::new();
    }
    let defaults = sshd.configuration.defaults();
    let default: Vec<&str> =
        defaults.get(keyword).map(|setting| setting.names().collect()).unwrap_or_default();
    let left_out = |name: &str| !here.contains(&name) && !HYBRIDS.contains(&name);
    let out = |name: &&str| is_weak(name) || left_out(name);
    let mut removals: Vec<String> = default.iter().copied().filter(out).map(str::to_owned).collect();
    for name in here.iter().filter(|name| is_weak(name) && !default.contains(name)) {
        removals.push((*name).to_owned());
    }
    // A list from which nothing is left is refused by sshd.
    if default.iter().all(|name| removals.iter().any(|removed| removed == name)) {
        return default.into_iter().filter(|name| is_weak(name)).map(str::to_owned).collect();
    }
    removals
}

/// Whether this version has a hybrid key exchange by default and the list has none.
fn lacks_hybrid(sshd: &Sshd, keyword: Keyword, setting: &Setting) -> bool {
    let has = |setting: &Setting| setting.names().any(|name| HYBRIDS.contains(&name));
    keyword == Keyword::KexAlgorithms
        && sshd.configuration.defaults().get(keyword).is_some_and(has)
        && !has(setting)
}

/// No cipher in CBC mode, no 3DES, no RC4. Source: RFC 4253 section 6.3, RFC 8758, CVE-2008-5161.
pub(crate) fn sh16_ciphers(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH16")
}

/// No MAC on MD5, none that is cut off; for a modern server none on SHA-1 or of 64 bits. Source: RFC 6151, RFC 8332.
pub(crate) fn sh17_macs(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH17")
}

/// No key exchange on SHA-1 or a group of 1024 bits; one that a quantum computer does not break, where this version
/// has one. Source: RFC 9142.
pub(crate) fn sh18_key_exchange(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH18")
}

/// No signature by DSA or on SHA-1, neither of the host nor of users. Source: RFC 8332, RFC 9142.
pub(crate) fn sh19_signatures(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH19")
}

fn judge(subject: &Subject<'_>, control: &str) -> Judged {
    let sshd = subject.sshd()?;
    let mut faults = Vec::new();
    for (_, keyword) in LISTS.iter().filter(|(id, _)| *id == control) {
        let after = subject.applied().map(|sshd| weak(sshd, *keyword, subject.policy.ssh.crypto));
        for weak in weak(sshd, *keyword, subject.policy.ssh.crypto) {
            let is_mended = after.as_ref().is_some_and(Vec::is_empty);
            faults.push(fault(*keyword, &weak, is_mended));
        }
    }
    Ok(Verdict::Judged(faults))
}

/// What is wrong with one list that some connection gets.
pub(crate) struct Weak {
    severity: Severity,
    names: Vec<String>,
    why: &'static str,
    pub(crate) setting: Setting,
    places: Vec<String>,
}

/// The lists with something weak in them, for any connection.
pub(crate) fn weak(sshd: &Sshd, keyword: Keyword, crypto: Crypto) -> Vec<Weak> {
    if !matches!(
        keyword.value_type(),
        ValueType::Algorithms(Family::Cipher | Family::Mac | Family::Kex | Family::Key | Family::Signature)
    ) {
        return Vec::new();
    }
    let possible = sshd.configuration.for_some_connection(keyword, &Constraint::any());
    possible
        .iter()
        .filter_map(|possibility| weak_setting(sshd, keyword, possibility.setting(), crypto))
        .collect()
}

fn weak_setting(sshd: &Sshd, keyword: Keyword, setting: &Setting, crypto: Crypto) -> Option<Weak> {
    let mut worst: Option<(Severity, &'static str)> = None;
    let mut names = Vec::new();
    for name in setting.names() {
        if let Some((severity, why)) = weakness(keyword, name, crypto) {
            names.push(name.to_owned());
            worst = worst.filter(|(known, _)| *known >= severity).or(Some((severity, why)));
        }
    }
    if worst.is_none() && lacks_hybrid(sshd, keyword, setting) {
        worst = Some((Severity::Medium, "leaves out the exchanges that a quantum computer does not break"));
    }
    let (severity, why) = worst?;
    Some(Weak { severity, names, why, setting: setting.clone(), places: places(sshd, setting) })
}

fn fault(keyword: Keyword, weak: &Weak, is_mended: bool) -> Fault {
    let what = match weak.names.as_slice() {
        [] => format!("{} {}", keyword.name(), weak.why),
        [one] => format!("{} has {one}, which {}", keyword.name(), weak.why),
        many => format!("{} has {}: the worst {}", keyword.name(), many.join(", "), weak.why),
    };
    let fault = Fault::new(what).severity(weak.severity).decided_by_all(weak.places.iter().cloned());
    match is_mended {
        true => fault.apply(),
        false => fault.ask(format!("take them out of {} where it is decided", keyword.name())),
    }
}

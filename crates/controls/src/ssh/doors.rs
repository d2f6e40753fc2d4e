//! Whether the door that a rule is about is open for some connection, and the controls that ask it.

use policy::Policy;
use sshd_config::{Constraint, Keyword, ScopeId, Setting};

use super::rules::{Open, RULES, Rule, Values};
use super::view::Sshd;
use crate::finding::Severity;
use crate::judgement::{Fault, Judged, Subject, Verdict};

/// One connection for which a rule's door is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) severity: Severity,
    what: &'static str,
    value: String,
    /// The `Match` line under which it is so.
    under: Option<String>,
    places: Vec<String>,
}

/// Every way in which a rule's door is open for some connection, and whether it is anywhere left open on purpose.
pub(crate) fn openings(
    sshd: &Sshd,
    policy: &Policy,
    root_groups: Option<&[String]>,
    rule: &Rule,
) -> Vec<Opening> {
    let mut found: Vec<Opening> = Vec::new();
    for (settings, open) in judged(sshd, policy, root_groups, rule) {
        let Some((severity, what)) = open else { continue };
        let opening = Opening {
            severity,
            what,
            value: settings[0].texts().collect::<Vec<_>>().join(" "),
            under: match_line(sshd, &settings[0]),
            places: places(sshd, &settings[0]),
        };
        // The same line may be bad for two reasons, by what it meets elsewhere: the worse one counts.
        match found.iter_mut().find(|known| known.places == opening.places && known.value == opening.value) {
            Some(known) if known.severity < opening.severity => *known = opening,
            Some(_) => {}
            None => found.push(opening),
        }
    }
    found
}

/// Whether a rule's door is open before any `Match` block is asked.
pub(crate) fn is_open_at_start(sshd: &Sshd, policy: &Policy, rule: &Rule) -> bool {
    let start = sshd.at_start();
    let settings: Vec<Setting> = rule.keywords.iter().map(|keyword| start.inner().get(*keyword)).collect();
    let values = Values { keywords: rule.keywords, settings: &settings, version: sshd.version() };
    (rule.judge)(&values, policy).is_some()
}

/// Whether the rule's setting has a value for some connection that does not close the door and yet is right.
pub(crate) fn is_exempt(sshd: &Sshd, policy: &Policy, rule: &Rule) -> bool {
    let judged = judged(sshd, policy, None, rule);
    judged
        .iter()
        .any(|(settings, open)| open.is_none() && !settings[0].text().eq_ignore_ascii_case(rule.closed))
}

fn judged(
    sshd: &Sshd,
    policy: &Policy,
    root_groups: Option<&[String]>,
    rule: &Rule,
) -> Vec<(Vec<Setting>, Option<Open>)> {
    let constraint = match (rule.of_root, root_groups) {
        (false, _) => Constraint::any(),
        (true, None) => Constraint::user("root"),
        (true, Some(groups)) => Constraint::user_in("root", groups.iter().cloned()),
    };
    let version = sshd.version();
    let possible = sshd.configuration.for_some_connection_of(rule.keywords, &constraint);
    let judge = |settings: Vec<Setting>| {
        let values = Values { keywords: rule.keywords, settings: &settings, version };
        let open = (rule.judge)(&values, policy);
        (settings, open)
    };
    possible.into_iter().map(|possibility| judge(possibility.settings)).collect()
}

/// The text of the `Match` line that a setting stands under.
fn match_line(sshd: &Sshd, setting: &Setting) -> Option<String> {
    let origin = setting.origin()?;
    let directive = sshd.configuration.directives().iter().find(|directive| &directive.origin == origin)?;
    if directive.scope == ScopeId::MAIN {
        return None;
    }
    let line = sshd.configuration.scope(directive.scope).origin.as_ref()?;
    let file = sshd.configuration.file(&line.path)?;
    let bytes = file.lines().get(line.line.checked_sub(1)?)?.bytes();
    Some(String::from_utf8_lossy(bytes).trim().to_owned())
}

/// The lines that decide a setting.
pub(crate) fn places(sshd: &Sshd, setting: &Setting) -> Vec<String> {
    match setting.origin() {
        Some(origin) => vec![origin.to_string()],
        None => vec![format!("the default of {}", sshd.configuration.defaults().release())],
    }
}

/// The names of root's groups, where they are known.
pub(crate) fn root_groups(subject: &Subject<'_>) -> Option<Vec<String>> {
    let root = crate::people::account(subject.facts, "root").ok()??;
    crate::people::groups_of(subject.facts, root).ok()
}

/// The faults of every rule of a control.
pub(crate) fn faults(subject: &Subject<'_>, control: &str) -> Result<Vec<Fault>, Verdict> {
    let sshd = subject.sshd()?;
    let groups = root_groups(subject);
    let groups = groups.as_deref();
    let mut faults = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.control == control) {
        let found = openings(sshd, subject.policy, groups, rule);
        if found.is_empty() {
            continue;
        }
        let left = subject.applied().map(|sshd| openings(sshd, subject.policy, groups, rule));
        for opening in found {
            let is_mended = left.as_ref().is_some_and(Vec::is_empty);
            faults.push(fault(rule, &opening, is_mended));
        }
    }
    Ok(faults)
}

fn fault(rule: &Rule, opening: &Opening, is_mended: bool) -> Fault {
    let (name, value) = (rule.keyword().name(), &opening.value);
    let under = opening.under.as_ref().map(|line| format!(", under `{line}`")).unwrap_or_default();
    let fault = Fault::new(format!("{}: {name} is {value}{under}", opening.what))
        .severity(opening.severity)
        .decided_by_all(opening.places.iter().cloned());
    match is_mended {
        true => fault.apply(),
        false => fault.ask(format!("set {name} {} where it is decided", rule.closed)),
    }
}

fn judge(subject: &Subject<'_>, control: &str) -> Judged {
    Ok(faults(subject, control)?.into())
}

/// Root does not log in over SSH, by any means, from anywhere. Source: `sshd_config(5)` `PermitRootLogin`.
pub(crate) fn sh1_root_login(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH1")
}

/// Nobody logs in by password, from anywhere. Source: `sshd_config(5)` `PasswordAuthentication`.
pub(crate) fn sh2_passwords(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH2")
}

/// No password is asked for by keyboard-interactive, unless a key is asked for before it.
/// Source: `sshd_config(5)` `KbdInteractiveAuthentication`, `AuthenticationMethods`.
pub(crate) fn sh3_keyboard_interactive(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH3")
}

/// An empty password lets nobody in. Source: `sshd_config(5)` `PermitEmptyPasswords`.
pub(crate) fn sh4_empty_passwords(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH4")
}

/// No other host vouches for its users. Source: `sshd_config(5)` `HostbasedAuthentication`, `IgnoreRhosts`.
pub(crate) fn sh6_hosts(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH6")
}

/// sshd looks at owners and modes before it takes a key. Source: `sshd_config(5)` `StrictModes`.
pub(crate) fn sh7_strict_modes(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH7")
}

/// Neither the user's files nor the client set variables that change how programs are loaded.
/// Source: `sshd_config(5)` `PermitUserEnvironment`, `AcceptEnv`.
pub(crate) fn sh8_environment(subject: &Subject<'_>) -> Judged {
    let mut faults = faults(subject, "SH8")?;
    let sshd = subject.sshd()?;
    let possible = sshd.configuration.for_some_connection(Keyword::AcceptEnv, &Constraint::any());
    for value in possible.iter().flat_map(|possibility| possibility.setting().values()) {
        let dangerous = ["LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV"];
        let Some(name) = dangerous.iter().find(|name| super::pattern_matches(name, &value.text)) else {
            continue;
        };
        let place = value.origin.as_ref().map_or_else(|| "the default".to_owned(), ToString::to_string);
        let fault = Fault::new(format!(
            "clients set any variable they like, {name} too: AcceptEnv is {}",
            value.text
        ))
        .decided_by(place)
        .ask("name the variables instead, such as LANG LC_*: a drop-in can only add to AcceptEnv");
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    Ok(faults.into())
}

/// Nothing is forwarded but what the policy wants: X11, tunnels and ports open to the network never; TCP ports and
/// the agent as it says. Source: `sshd_config(5)` `X11Forwarding`, `PermitTunnel`, `GatewayPorts`, `AllowTcpForwarding`,
/// `AllowAgentForwarding`.
pub(crate) fn sh9_forwarding(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH9")
}

/// Logins and failures are logged. Source: `sshd_config(5)` `LogLevel`.
pub(crate) fn sh14_log_level(subject: &Subject<'_>) -> Judged {
    judge(subject, "SH14")
}

/// PAM has its say, where sshd was built with it. Source: `sshd_config(5)` `UsePAM`.
pub(crate) fn sh15_pam(subject: &Subject<'_>) -> Judged {
    let sshd = subject.sshd()?;
    if sshd.at_start().text(Keyword::UsePam).is_none_or(str::is_empty) {
        return Ok(Verdict::silent("this sshd was built without PAM"));
    }
    judge(subject, "SH15")
}

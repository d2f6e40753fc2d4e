//! What goes wrong beyond a single line: at start, and where a block meets a connection.

use std::collections::BTreeMap;

use crate::configuration::{Configuration, Directive, ScopeId};
use crate::effective::Effective;
use crate::keyword::Keyword;
use crate::problem::{Error, Problem};
use crate::value::method_name;
use crate::value_type::ValueType;
use crate::version::Version;

const MAX_PORTS: usize = 256;

/// Everything wrong that no single line shows.
pub(crate) fn check(configuration: &Configuration) -> Vec<Problem> {
    let start = configuration.at_start();
    let mut problems = start.problems.clone();
    problems.extend(subsystems(configuration));
    problems.extend(ports(configuration));
    problems.extend(any_after_methods(configuration));
    problems.extend(commands(&start));
    problems.extend(methods(&start));
    problems.extend(families(configuration, &start));
    problems
}

/// What makes sshd refuse a connection, though it started, where these scopes apply.
pub(crate) fn check_connection(configuration: &Configuration, active: &[bool]) -> Vec<Problem> {
    let overrun = subsystem_overrun(configuration, active);
    any_behind(configuration, active, false).into_iter().chain(overrun).collect()
}

/// From 9.5 to 10.2 the subsystems of a block replace those of the main part in place: one more of them, and sshd
/// frees what is behind the end of an array.
fn subsystem_overrun(configuration: &Configuration, active: &[bool]) -> Option<Problem> {
    let version = configuration.defaults().version();
    if version < Version::new(9, 5) || version >= Version::new(10, 3) {
        return None;
    }
    let main = of(configuration, Keyword::Subsystem).count();
    let subsystems = configuration.directives().iter().filter(|line| line.keyword == Keyword::Subsystem);
    let extra = subsystems.filter(|line| line.scope != ScopeId::MAIN && active[line.scope.0]).nth(main)?;
    Some(Problem { origin: Some(extra.origin.clone()), error: Error::SubsystemOverrun })
}

fn active_at_start(configuration: &Configuration) -> impl Iterator<Item = &Directive> {
    let release = configuration.defaults().release();
    let active = configuration.active_scopes(|condition| condition.holds_always(release));
    configuration.directives().iter().filter(move |directive| active[directive.scope.0])
}

fn of(configuration: &Configuration, keyword: Keyword) -> impl Iterator<Item = &Directive> {
    active_at_start(configuration).filter(move |directive| directive.keyword == keyword && directive.accepted)
}

fn subsystems(configuration: &Configuration) -> Vec<Problem> {
    if configuration.defaults().version() >= Version::new(9, 5) {
        return Vec::new();
    }
    let mut seen = BTreeMap::new();
    let repeated = of(configuration, Keyword::Subsystem).filter_map(|directive| {
        let name = directive.arguments.first()?;
        let repeated = seen.insert(name.clone(), ()).is_some();
        let error = Error::RepeatedSubsystem(name.clone());
        repeated.then(|| Problem { origin: Some(directive.origin.clone()), error })
    });
    repeated.collect()
}

fn ports(configuration: &Configuration) -> Option<Problem> {
    let excess = of(configuration, Keyword::Port).nth(MAX_PORTS)?;
    Some(Problem { origin: Some(excess.origin.clone()), error: Error::TooManyPorts })
}

fn any_after_methods(configuration: &Configuration) -> Option<Problem> {
    let release = configuration.defaults().release();
    any_behind(configuration, &configuration.active_scopes(|condition| condition.holds_always(release)), true)
}

/// Before OpenSSH 9.8 a line `any` is refused wherever it stands behind one that set methods, even where its own
/// block does not apply.
fn any_behind(configuration: &Configuration, active: &[bool], main: bool) -> Option<Problem> {
    if configuration.defaults().version() >= Version::new(9, 8) {
        return None;
    }
    let lines = configuration.directives().iter();
    let mut lines = lines.filter(|line| line.keyword == Keyword::AuthenticationMethods && line.accepted);
    lines.find(|line| active[line.scope.0] && (main || line.scope != ScopeId::MAIN))?;
    let clash = lines.find(|line| line.arguments[0] == "any")?;
    Some(Problem { origin: Some(clash.origin.clone()), error: Error::AnyAfterMethods })
}

fn commands(start: &Effective) -> Vec<Problem> {
    let pairs = [
        (Keyword::AuthorizedKeysCommand, Keyword::AuthorizedKeysCommandUser),
        (Keyword::AuthorizedPrincipalsCommand, Keyword::AuthorizedPrincipalsCommandUser),
    ];
    let lacking = pairs.into_iter().filter_map(|(command, user)| {
        let set = start.get(command);
        let alone = !set.text().eq_ignore_ascii_case("none") && start.get(user).is_default();
        alone.then(|| Problem { origin: set.origin().cloned(), error: Error::CommandWithoutUser(command) })
    });
    lacking.collect()
}

fn methods(start: &Effective) -> Option<Problem> {
    let setting = start.get(Keyword::AuthenticationMethods);
    let enabled = |method: &str| match method_name(method) {
        "publickey" => start.is_yes(Keyword::PubkeyAuthentication),
        "password" => start.is_yes(Keyword::PasswordAuthentication),
        "keyboard-interactive" => start.is_yes(Keyword::KbdInteractiveAuthentication),
        "hostbased" => start.is_yes(Keyword::HostbasedAuthentication),
        "gssapi-with-mic" | "gssapi-keyex" => start.is_yes(Keyword::GssapiAuthentication),
        _ => true,
    };
    let possible = setting.texts().any(|list| list == "any" || list.split(',').all(enabled));
    (!possible).then(|| Problem { origin: setting.origin().cloned(), error: Error::MethodsUnsatisfiable })
}

fn families(configuration: &Configuration, start: &Effective) -> Vec<Problem> {
    debug_assert_eq!(Keyword::ListenAddress.value_type(), ValueType::ListenAddress);
    let family = start.text(Keyword::AddressFamily);
    let wrong = of(configuration, Keyword::ListenAddress).filter_map(|directive| {
        let host = directive.assignments.first()?.texts.first()?.split(' ').next()?.to_owned();
        let wrong = !crate::listen::allowed(&host, family);
        wrong.then(|| Problem { origin: Some(directive.origin.clone()), error: Error::WrongFamily(host) })
    });
    wrong.collect()
}

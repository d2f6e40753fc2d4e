//! passwd, group, shadow, shells, login.defs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::facts::{Account, Accounts, Fact, Group, PasswordState, Shadow};

use super::Notes;

pub(super) fn collect(notes: &mut Notes<'_>) -> Accounts {
    for path in
        ["/etc/gshadow", "/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/nologin", "/run/nologin"]
    {
        notes.look_with_parents(Path::new(path));
    }
    foreign_accounts(notes);
    Accounts {
        users: table(notes, "/etc/passwd", 7, account),
        groups: table(notes, "/etc/group", 4, group),
        shadow: shadow(notes),
        shells: shells(notes),
        login_defs: login_defs(notes),
    }
}

/// A line was not understood.
type Malformed = String;

/// Reads a file of lines with colons; lines that are not understood are noted.
fn table<T>(
    notes: &mut Notes<'_>,
    path: &str,
    fields: usize,
    parse: impl Fn(&[&str], usize) -> Result<T, Malformed>,
) -> Fact<Vec<T>> {
    let path = Path::new(path);
    notes.look_with_parents(path);
    match notes.read(path) {
        Ok(bytes) => Fact::Known(parse_table(notes, path, &bytes, fields, parse)),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

fn parse_table<T>(
    notes: &mut Notes<'_>,
    path: &Path,
    bytes: &[u8],
    fields: usize,
    parse: impl Fn(&[&str], usize) -> Result<T, Malformed>,
) -> Vec<T> {
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        // As the C library does: empty lines and comments are passed over.
        if line.iter().all(u8::is_ascii_whitespace) || line.starts_with(b"#") {
            continue;
        }
        let row = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned()).and_then(|line| {
            let columns: Vec<_> = line.split(':').collect();
            if line.starts_with(['+', '-']) {
                return Err("accounts from a network directory (NIS) are not known".to_owned());
            }
            if columns.len() != fields {
                return Err(format!("{} fields in place of {fields}", columns.len()));
            }
            if columns[0].is_empty() {
                return Err("a name is missing".to_owned());
            }
            parse(&columns, index + 1)
        });
        match row {
            Ok(row) => rows.push(row),
            Err(why) => notes.problem(path, Some(index + 1), why),
        }
    }
    rows
}

fn account(columns: &[&str], line: usize) -> Result<Account, Malformed> {
    Ok(Account {
        name: columns[0].to_owned(),
        passwd_field_empty: columns[1].is_empty(),
        uid: number(columns[2])?,
        gid: number(columns[3])?,
        home: PathBuf::from(columns[5]),
        shell: PathBuf::from(columns[6].trim_end()),
        line,
    })
}

fn group(columns: &[&str], line: usize) -> Result<Group, Malformed> {
    let members = columns[3].split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok(Group {
        name: columns[0].to_owned(),
        gid: number(columns[2])?,
        members: members.map(str::to_owned).collect(),
        line,
    })
}

fn shadow(notes: &mut Notes<'_>) -> Fact<Vec<Shadow>> {
    table(notes, "/etc/shadow", 9, |columns, line| {
        Ok(Shadow {
            name: columns[0].to_owned(),
            password: password(columns[1]),
            last_change: days(columns[2])?,
            max_age: days(columns[4])?,
            inactive: days(columns[6])?,
            expires: days(columns[7])?,
            line,
        })
    })
}

/// What the second field of shadow(5) says, by crypt(5).
fn password(field: &str) -> PasswordState {
    if field.is_empty() {
        return PasswordState::Empty;
    }
    if field.starts_with('!') {
        return PasswordState::Locked;
    }
    match method(field) {
        Some(method) => {
            let digest = Sha256::digest(field.as_bytes());
            let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            PasswordState::Usable { method: method.to_owned(), digest }
        }
        None => PasswordState::Impossible,
    }
}

/// The method of a hash that some password can have.
fn method(field: &str) -> Option<&str> {
    let is_crypt64 =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    if let Some(rest) = field.strip_prefix('$') {
        let (method, rest) = rest.split_once('$')?;
        let hash = rest.rsplit('$').next().unwrap_or(rest);
        // The shortest known, that of md5crypt, has 22 characters.
        return (!method.is_empty() && hash.len() >= 22).then_some(method);
    }
    if field.len() == 13 && is_crypt64(field) {
        return Some("des");
    }
    match field.strip_prefix('_') {
        Some(rest) if rest.len() == 19 && is_crypt64(rest) => Some("bsdi"),
        _ => None,
    }
}

fn shells(notes: &mut Notes<'_>) -> Fact<Vec<PathBuf>> {
    let text = etc(notes, "shells");
    match text {
        Ok(text) => {
            let lines = text.lines().map(str::trim);
            Fact::Known(lines.filter(|line| line.starts_with('/')).map(PathBuf::from).collect())
        }
        Err(error) if error.is_absent() => Fact::Known(Vec::new()),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

fn login_defs(notes: &mut Notes<'_>) -> Fact<BTreeMap<String, String>> {
    match etc(notes, "login.defs") {
        Ok(text) => Fact::Known(parse_login_defs(&text)),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

fn parse_login_defs(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once([' ', '\t']))
        .map(|(key, value)| (key.to_owned(), value.trim().trim_matches('"').to_owned()))
        .collect()
}

/// A file of /etc, or the vendor's in /usr/etc.
fn etc(notes: &mut Notes<'_>, name: &str) -> Result<String, Error> {
    match notes.read_text(&Path::new("/etc").join(name)) {
        Err(error) if error.is_absent() => match notes.read_text(&Path::new("/usr/etc").join(name)) {
            Err(vendor) if vendor.is_absent() => Err(error),
            other => other,
        },
        other => other,
    }
}

/// Notes where accounts come from elsewhere than these files.
fn foreign_accounts(notes: &mut Notes<'_>) {
    let path = Path::new("/etc/nsswitch.conf");
    let Ok(text) = notes.read_text(path) else { return };
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((database, sources)) = line.split_once(':') else {
            continue;
        };
        let database = database.trim();
        if !["passwd", "group", "shadow", "sudoers"].contains(&database) {
            continue;
        }
        for source in sources.split_whitespace() {
            if !["files", "compat", "systemd", "altfiles", "myhostname"].contains(&source)
                && !source.starts_with('[')
            {
                notes.problem(
                    path,
                    Some(index + 1),
                    format!("entries of {database} from {source} are not known"),
                );
            }
        }
    }
}

fn number(text: &str) -> Result<u32, Malformed> {
    text.trim().parse().map_err(|_| format!("{text:?} is not an id"))
}

fn days(text: &str) -> Result<Option<i64>, Malformed> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{text:?} is not a number of days")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_password_field_is_told_apart_as_crypt_does() {
        let usable = |field: &str| match password(field) {
            PasswordState::Usable { method, .. } => Some(method),
            PasswordState::Empty | PasswordState::Locked | PasswordState::Impossible => None,
        };
        let yescrypt = "$y$j9T$abcdefgh$0123456789012345678901234567890123456789012";
        assert_eq!(usable(yescrypt).as_deref(), Some("y"));
        assert_eq!(usable("$1$salt$0123456789012345678901").as_deref(), Some("1"));
        assert_eq!(usable("ab0123456789.").as_deref(), Some("des"));
        assert_eq!(password(""), PasswordState::Empty);
        for locked in ["!", "!!", "!*", &format!("!{yescrypt}")] {
            assert_eq!(password(locked), PasswordState::Locked, "{locked}");
        }
        for impossible in ["*", "x", "*LK*", "$6$", "$6$salt", "$6$salt$short", "NP"] {
            assert_eq!(password(impossible), PasswordState::Impossible, "{impossible}");
        }
    }

    proptest! {
        #[test]
        fn no_field_panics(text in "(?s).{0,80}") {
            let _ = (password(&text), days(&text), number(&text), parse_login_defs(&text));
        }
    }
}

//! One line of sudoers(5) into what it says. Grammar: the manual's EBNF.

use super::{
    Alias, AliasKind, Command, Grant, Granted, Member, Name, Place, Policy, Rule, RunAs, Scope, Setting, What,
};

/// Tags that may stand before a command.
const TAGS: [&str; 16] = [
    "EXEC",
    "NOEXEC",
    "FOLLOW",
    "NOFOLLOW",
    "INTERCEPT",
    "NOINTERCEPT",
    "LOG_INPUT",
    "NOLOG_INPUT",
    "LOG_OUTPUT",
    "NOLOG_OUTPUT",
    "MAIL",
    "NOMAIL",
    "PASSWD",
    "NOPASSWD",
    "SETENV",
    "NOSETENV",
];
/// Options that may stand before a command, each with `=` and a value.
const OPTIONS: [&str; 10] = [
    "APPARMOR_PROFILE",
    "CHROOT",
    "CWD",
    "LIMITPRIVS",
    "NOTAFTER",
    "NOTBEFORE",
    "PRIVS",
    "ROLE",
    "TIMEOUT",
    "TYPE",
];

/// Why a line was not understood.
type Refused = String;

impl Policy {
    /// Takes in one line.
    pub(super) fn add_line(&mut self, place: Place, text: &str) {
        if let Err(why) = self.try_line(&place, text) {
            self.errors.push((place, why));
        }
    }

    fn try_line(&mut self, place: &Place, text: &str) -> Result<(), Refused> {
        let mut cursor = Cursor::new(text);
        if let Some(kind) = cursor.alias_keyword() {
            return self.aliases(kind, &mut cursor);
        }
        if let Some(rest) = text.strip_prefix("Defaults")
            && rest.starts_with([' ', '\t', '@', ':', '!', '>'])
        {
            return self.defaults(place, &mut Cursor::new(rest));
        }
        let rule = rule(place, &mut cursor)?;
        self.rules.push(rule);
        Ok(())
    }

    fn aliases(&mut self, kind: AliasKind, cursor: &mut Cursor<'_>) -> Result<(), Refused> {
        loop {
            let name = cursor.word(Stop::Name)?;
            if !is_alias(&name) {
                return Err(format!("{name:?} is not the name of an alias"));
            }
            cursor.expect('=')?;
            let alias = match kind {
                AliasKind::Command => Alias::Commands(commands(cursor)?),
                AliasKind::Host => Alias::Members(members(cursor, Stop::Host)?),
                AliasKind::User | AliasKind::RunAs => Alias::Members(members(cursor, Stop::Name)?),
            };
            if self.aliases.insert((kind, name.clone()), alias).is_some() {
                return Err(format!("the alias {name} is defined twice"));
            }
            if !cursor.eat(':') {
                return cursor.end();
            }
        }
    }

    fn defaults(&mut self, place: &Place, cursor: &mut Cursor<'_>) -> Result<(), Refused> {
        let from = cursor.at;
        let scope = match cursor.peek_raw() {
            Some('@') => Scope::Hosts(scoped(cursor, Stop::Host)?),
            Some(':') => Scope::Users(scoped(cursor, Stop::Name)?),
            Some('>') => Scope::RunAs(scoped(cursor, Stop::Name)?),
            Some('!') => {
                cursor.bump();
                // A command ends at a comma or a space here.
                members(cursor, Stop::Host)?;
                Scope::Commands
            }
            _ => Scope::Everyone,
        };
        let written_scope = cursor.text[from..cursor.at].trim().to_owned();
        loop {
            let off = cursor.negations();
            let name = cursor.word(Stop::Setting)?;
            cursor.skip_space();
            let added = cursor.eat_raw('+') || cursor.eat_raw('-');
            let value = if cursor.eat('=') {
                cursor.value()?
            } else {
                (!off).to_string()
            };
            let value = if added { format!("... {value}") } else { value };
            let (place, scope, written_scope) = (place.clone(), scope.clone(), written_scope.clone());
            self.defaults.push(Setting {
                place,
                scope,
                written_scope,
                name,
                value,
            });
            if !cursor.eat(',') {
                return cursor.end();
            }
        }
    }
}

/// The commands that a line of `sudo -l` grants: `(ALL : ALL) NOPASSWD: ALL`.
pub(super) fn listed(text: &str) -> Result<Vec<Command>, Refused> {
    let mut cursor = Cursor::new(text);
    let commands = command_specs(&mut cursor)?;
    cursor.end()?;
    Ok(commands)
}

fn rule(place: &Place, cursor: &mut Cursor<'_>) -> Result<Rule, Refused> {
    let users = members(cursor, Stop::Name)?;
    let mut grants = Vec::new();
    loop {
        let hosts = members(cursor, Stop::Host)?;
        cursor.expect('=')?;
        grants.push(Grant {
            hosts,
            commands: command_specs(cursor)?,
        });
        if !cursor.eat(':') {
            cursor.end()?;
            return Ok(Rule {
                place: place.clone(),
                users,
                grants,
            });
        }
    }
}

fn command_specs(cursor: &mut Cursor<'_>) -> Result<Vec<Command>, Refused> {
    let (mut run_as, mut no_password, mut time_limited) = (None, None, false);
    let mut specs = Vec::new();
    loop {
        loop {
            if cursor.eat('(') {
                run_as = Some(run_as_list(cursor)?);
            } else if let Some(tag) = cursor.keyword(&TAGS, ':') {
                match tag {
                    "NOPASSWD" => no_password = Some(true),
                    "PASSWD" => no_password = Some(false),
                    _ => {}
                }
            } else if let Some(option) = cursor.keyword(&OPTIONS, '=') {
                time_limited |= matches!(option, "NOTBEFORE" | "NOTAFTER");
                cursor.value()?;
            } else {
                break;
            }
        }
        let granted = command(cursor)?;
        specs.push(Command {
            run_as: run_as.clone(),
            no_password,
            time_limited,
            granted,
        });
        if !cursor.eat(',') {
            return Ok(specs);
        }
    }
}

fn run_as_list(cursor: &mut Cursor<'_>) -> Result<RunAs, Refused> {
    let mut list = RunAs::default();
    if !matches!(cursor.peek(), Some(':' | ')')) {
        list.users = members(cursor, Stop::Name)?;
    }
    if cursor.eat(':') && cursor.peek() != Some(')') {
        list.groups = members(cursor, Stop::Name)?;
    }
    cursor.expect(')')?;
    Ok(list)
}

fn commands(cursor: &mut Cursor<'_>) -> Result<Vec<Granted>, Refused> {
    let mut list = vec![command(cursor)?];
    while cursor.eat(',') {
        list.push(command(cursor)?);
    }
    Ok(list)
}

fn command(cursor: &mut Cursor<'_>) -> Result<Granted, Refused> {
    let negated = cursor.negations();
    let digest = cursor.digests()?;
    let text = cursor.command();
    let what = match text.as_str() {
        "ALL" if !digest => What::All,
        _ if is_alias(&text) && !digest => What::Alias(text),
        "ALL" | "list" => What::Text(text),
        _ if text.starts_with(['/', '^']) => What::Text(text),
        _ if text == "sudoedit" || text.starts_with("sudoedit ") => What::Text(text),
        "" => return Err("expected a command".to_owned()),
        _ => return Err(format!("expected a command, found {text:?}")),
    };
    Ok(Granted { negated, what })
}

/// The list right after `Defaults:`.
fn scoped(cursor: &mut Cursor<'_>, stop: Stop) -> Result<Vec<Member>, Refused> {
    cursor.bump();
    members(cursor, stop)
}

fn members(cursor: &mut Cursor<'_>, stop: Stop) -> Result<Vec<Member>, Refused> {
    let mut list = Vec::new();
    loop {
        let negated = cursor.negations();
        let name = name(&cursor.word(stop)?)?;
        list.push(Member { negated, name });
        if !cursor.eat(',') {
            return Ok(list);
        }
    }
}

fn name(word: &str) -> Result<Name, Refused> {
    let id = |digits: &str| -> Result<u32, Refused> {
        // `#-1` is what sudo's own bug once took for root; it names nobody.
        let id = digits
            .parse::<i64>()
            .map_err(|_| format!("{word:?} is not an id"))?;
        Ok(u32::try_from(id).unwrap_or(u32::MAX))
    };
    Ok(if word == "ALL" {
        Name::All
    } else if let Some(group) = word.strip_prefix('%') {
        if let Some(digits) = group.strip_prefix('#') {
            Name::GroupId(id(digits)?)
        } else if let Some(foreign) = group.strip_prefix(':') {
            Name::ForeignGroup(foreign.to_owned())
        } else {
            Name::Group(group.to_owned())
        }
    } else if let Some(group) = word.strip_prefix('+') {
        Name::Netgroup(group.to_owned())
    } else if let Some(digits) = word.strip_prefix('#') {
        Name::Id(id(digits)?)
    } else if is_alias(word) {
        Name::Alias(word.to_owned())
    } else {
        Name::Word(word.to_owned())
    })
}

/// An upper-case letter, then upper-case letters, digits and underscores; `ALL` is not one.
fn is_alias(word: &str) -> bool {
    word != "ALL"
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Where an unquoted word ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// A user or group: at any special character.
    Name,
    /// A host, which may be an IPv6 address with colons.
    Host,
    /// The name of a setting.
    Setting,
}

/// A place in a line.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek_raw(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek_raw()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.peek_raw()
    }

    fn eat_raw(&mut self, wanted: char) -> bool {
        let there = self.peek_raw() == Some(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip_space();
        self.eat_raw(wanted)
    }

    fn expect(&mut self, wanted: char) -> Result<(), Refused> {
        if self.eat(wanted) {
            Ok(())
        } else {
            Err(self.expected(&format!("{wanted:?}")))
        }
    }

    fn end(&mut self) -> Result<(), Refused> {
        if self.peek().is_none() {
            Ok(())
        } else {
            Err(self.expected("the end of the line"))
        }
    }

    fn expected(&self, what: &str) -> Refused {
        match self.rest() {
            "" => format!("expected {what}, found the end of the line"),
            rest => format!(
                "expected {what}, found {:?}",
                rest.chars().take(20).collect::<String>()
            ),
        }
    }

    /// Any number of `!`; an odd one negates.
    fn negations(&mut self) -> bool {
        let mut negated = false;
        while self.eat('!') {
            negated = !negated;
        }
        negated
    }

    fn alias_keyword(&mut self) -> Option<AliasKind> {
        let (keyword, _) = self.text.split_once([' ', '\t'])?;
        let kind = match keyword {
            "User_Alias" => AliasKind::User,
            "Runas_Alias" => AliasKind::RunAs,
            "Host_Alias" => AliasKind::Host,
            "Cmnd_Alias" | "Cmd_Alias" => AliasKind::Command,
            _ => return None,
        };
        self.at = keyword.len();
        Some(kind)
    }

    /// One of these words with this character after it, taken only as a whole.
    fn keyword(&mut self, words: &[&'static str], after: char) -> Option<&'static str> {
        self.skip_space();
        let rest = self.rest();
        let length = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_uppercase() || *byte == b'_')
            .count();
        let word = words.iter().find(|word| **word == &rest[..length])?;
        let tail = rest[length..].trim_start();
        tail.starts_with(after).then(|| {
            self.at += rest.len() - tail.len() + 1;
            *word
        })
    }

    /// A word: quoted, or up to what ends it, a backslash taking the next character as it is.
    fn word(&mut self, stop: Stop) -> Result<String, Refused> {
        self.skip_space();
        if stop == Stop::Host
            && let Some(address) = self.address()
        {
            return Ok(address);
        }
        let mut word = String::new();
        while let Some(next) = self.peek_raw() {
            let ends = match stop {
                Stop::Name | Stop::Host => matches!(next, ',' | ':' | '=' | '(' | ')'),
                Stop::Setting => matches!(next, ',' | '=' | '+' | '-'),
            };
            // `%:` is the one place where a colon belongs to a name.
            if next.is_whitespace() || (ends && !(next == ':' && word == "%")) {
                break;
            }
            self.bump();
            match next {
                '"' => word.push_str(&self.quoted()?),
                '\\' => word.extend(self.bump()),
                next => word.push(next),
            }
        }
        if word.is_empty() {
            Err(self.expected("a name"))
        } else {
            Ok(word)
        }
    }

    /// An IPv6 address or network.
    fn address(&mut self) -> Option<String> {
        let rest = self.rest();
        let length = rest.find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '/')))?;
        let candidate = &rest[..length];
        let (address, _) = candidate.split_once('/').unwrap_or((candidate, ""));
        address.parse::<std::net::Ipv6Addr>().ok()?;
        self.at += length;
        Some(candidate.to_owned())
    }

    /// The rest of a quoted word.
    fn quoted(&mut self) -> Result<String, Refused> {
        let mut word = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(word),
                Some('\\') if self.peek_raw() == Some('"') => word.extend(self.bump()),
                Some(next) => word.push(next),
                None => return Err("a quotation mark is not closed".to_owned()),
            }
        }
    }

    /// The value of a setting or option: quoted, or up to a comma or a space.
    fn value(&mut self) -> Result<String, Refused> {
        self.skip_space();
        let mut value = String::new();
        while let Some(next) = self.peek_raw() {
            if next == ',' || next.is_whitespace() {
                break;
            }
            self.bump();
            match next {
                '"' => value.push_str(&self.quoted()?),
                '\\' => value.extend(self.bump()),
                next => value.push(next),
            }
        }
        Ok(value)
    }

    /// `sha256:... ` before a command, one or several; whether there was one.
    fn digests(&mut self) -> Result<bool, Refused> {
        let mut found = false;
        loop {
            self.skip_space();
            let is_digest = ["sha224:", "sha256:", "sha384:", "sha512:"]
                .iter()
                .any(|prefix| self.rest().starts_with(prefix));
            if !is_digest {
                return Ok(found);
            }
            found = true;
            let length = self.rest().find([',', ' ', '\t']);
            self.at += length.ok_or_else(|| "a digest without a command".to_owned())?;
            self.eat(',');
        }
    }

    /// A command with its arguments, as written: up to a comma, colon or equals sign that is not escaped.
    fn command(&mut self) -> String {
        self.skip_space();
        let from = self.at;
        while let Some(next) = self.peek_raw() {
            if matches!(next, ',' | ':' | '=') {
                break;
            }
            self.bump();
            if next == '\\' {
                self.bump();
            }
        }
        self.text[from..self.at].trim_end().to_owned()
    }
}

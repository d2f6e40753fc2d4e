//! One line of sudoers(5) into what it says. Grammar: the manual's EBNF.

use super::cursor::{Cursor, Refused, Stop, is_alias};
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
            let value = if cursor.eat('=') { cursor.value()? } else { (!off).to_string() };
            let value = if added { format!("... {value}") } else { value };
            let (place, scope, written_scope) = (place.clone(), scope.clone(), written_scope.clone());
            self.defaults.push(Setting { place, scope, written_scope, name, value });
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
        grants.push(Grant { hosts, commands: command_specs(cursor)? });
        if !cursor.eat(':') {
            cursor.end()?;
            return Ok(Rule { place: place.clone(), users, grants });
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
        specs.push(Command { run_as: run_as.clone(), no_password, time_limited, granted });
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
        let id = digits.parse::<i64>().map_err(|_| format!("{word:?} is not an id"))?;
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

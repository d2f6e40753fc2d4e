//! `gabion firewall append`, `insert`, `replace` and `delete`: one line of the listing, in the policy and in the kernel at once.
//!
//! The change is drawn, guarded and applied like any other: `rollback` brings back the file and the rules.

mod place;
mod words;

use std::os::unix::fs::PermissionsExt as _;

use change::lockout;
use change::plan::{Plan, PolicyEdit};
use packet_filter::listing::{ListedChain, listing};
use policy::edit::{EditError, Entry, Section};

use self::place::{At, Misplaced, Numbered};
use self::words::{Wish, WordError};
use crate::cli::{DeleteRule, EditRule};
use crate::commands::apply;
use crate::context::{Context, Origin, Subject, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;

/// What is to be done to a chain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit<'a> {
    Append(&'a EditRule),
    Insert(&'a EditRule),
    Replace(&'a EditRule),
    Delete(&'a DeleteRule),
}

pub(super) fn run(context: &Context, edit: Edit<'_>) -> Result<Exit, Failure> {
    need_root("firewall")?;
    let subject = context.subject(&host::Live::open()?)?;
    let Origin::File(path) = &subject.origin else {
        return Err(usage(
            format!("there is no {} to save the edit in", context.policy_file.display()),
            "`gabion init` writes one, `gabion apply` brings it into force",
        ));
    };
    let text = crate::context::read_capped(path, 1 << 20)
        .map_err(|source| Failure::Read { path: path.clone(), source })?;
    let asked = Asked::read(edit, &subject)?;
    let after = asked.edited(&text, &subject, context)?;
    let wanted = policy::parse(&after, path)?;
    let mode = std::fs::metadata(path)
        .map_err(|source| Failure::Read { path: path.clone(), source })?
        .permissions()
        .mode();
    let program = change::this_program()?;
    let drawn = Plan::draw_edit(
        &subject.facts,
        &PolicyEdit {
            path,
            before: &text,
            policy: &subject.policy,
            after: &after,
            wanted: &wanted,
            mode: mode & 0o7777,
        },
        &program,
    )?;
    let subject = Subject { policy: wanted, ..subject };
    lockout::judge(&subject.facts, &drawn.plan, &subject.policy).map_err(Failure::LockOut)?;
    if drawn.left_alone > 0 {
        context.output.note(&format!(
            "The policy asks for {} further steps that this leaves alone: `gabion plan` shows them.",
            drawn.left_alone
        ));
    }
    let options = edit.options();
    if options.dry_run {
        if context.output.json {
            context.output.value(&report::plan::json(&drawn.plan, None));
        } else {
            context.output.text(&report::plan::text(&drawn.plan, context.output.view()));
        }
        return Ok(Exit::Findings);
    }
    apply::carry_out(context, &options.apply, &subject, drawn.plan)
}

impl<'a> Edit<'a> {
    fn options(self) -> &'a crate::cli::EditOptions {
        match self {
            Self::Append(rule) | Self::Insert(rule) | Self::Replace(rule) => &rule.options,
            Self::Delete(delete) => &delete.options,
        }
    }
}

/// What the person asked for.
struct Asked {
    /// As the policy names it.
    chain: String,
    doing: Doing,
}

enum Doing {
    Append(Wish),
    Insert(Option<usize>, Wish),
    Replace(usize, Wish),
    Delete(usize),
}

impl Asked {
    /// Takes the words apart: `[CHAIN] [NUMBER] RULE`.
    fn read(edit: Edit<'_>, subject: &Subject) -> Result<Self, Failure> {
        let words = match edit {
            Edit::Append(rule) | Edit::Insert(rule) | Edit::Replace(rule) => &rule.words,
            Edit::Delete(delete) => &delete.words,
        };
        let (chain, rest) = match words.split_first() {
            Some((first, rest)) if names_a_chain(first) => (chain_name(first), rest),
            _ => ("input".to_owned(), words.as_slice()),
        };
        let number = rest.first().and_then(|word| word.parse::<usize>().ok());
        let ssh = controls::filter::ssh_ports(&subject.facts);
        let wish = |words: &[String]| words::read(&chain, words, &ssh).map_err(wrong_words);
        let needed =
            || usage("which line?", "its number in `gabion firewall show`: `gabion firewall delete INPUT 9`");
        let behind_number = if number.is_some() { &rest[1..] } else { rest };
        let doing = match edit {
            Edit::Append(_) => Doing::Append(wish(rest)?),
            Edit::Insert(_) => Doing::Insert(number, wish(behind_number)?),
            Edit::Replace(_) => Doing::Replace(number.ok_or_else(needed)?, wish(behind_number)?),
            Edit::Delete(_) if behind_number.is_empty() => Doing::Delete(number.ok_or_else(needed)?),
            Edit::Delete(_) => {
                return Err(usage(
                    "`delete` takes the chain and the number of one line",
                    "`gabion firewall show` numbers them",
                ));
            }
        };
        Ok(Self { chain, doing })
    }

    /// The policy's text with the edit.
    fn edited(self, text: &str, subject: &Subject, context: &Context) -> Result<String, Failure> {
        let listed = listed(subject)?;
        let numbered = Numbered::new(&self.chain, &listed, &subject.policy.firewall);
        let misplaced = |misplaced: Misplaced| usage(misplaced.what, misplaced.hint);
        let new = |at: At, wish: Wish| match (at.0, wish.entry) {
            (Section::Rule, _) => wish.rule.map(|rule| (at.1, Entry::Rule(rule))),
            (section, Some(entry)) if entry.section() == section => Some((at.1, entry)),
            _ => None,
        };
        let edited = match self.doing {
            Doing::Append(wish) => {
                let at = numbered.append(wish.entry.is_some());
                if at.0 == Section::Rule && numbered.entries_follow() {
                    context
                        .output
                        .note("It stands before the entries that let in, which are asked after every rule.");
                }
                new(at, wish).map(|(index, entry)| policy::edit::insert(text, index, &entry))
            }
            Doing::Insert(number, wish) => {
                let at = numbered.insert(number, wish.entry.is_some()).map_err(misplaced)?;
                new(at, wish).map(|(index, entry)| policy::edit::insert(text, index, &entry))
            }
            Doing::Replace(number, wish) => {
                let at = numbered.entry(number).map_err(misplaced)?;
                new(at, wish).map(|(index, entry)| policy::edit::replace(text, index, &entry))
            }
            Doing::Delete(number) => {
                let (section, index) = numbered.entry(number).map_err(misplaced)?;
                Some(policy::edit::remove(text, section, index))
            }
        };
        let edited = edited.ok_or_else(|| {
            usage(
                "an entry of the policy that lets in cannot take the place of a rule, nor a rule that of an entry",
                "`delete` the one and `append` the other",
            )
        })?;
        edited.map_err(|error| match error {
            EditError::Before(error) | EditError::After(error) => Failure::Policy(error),
            error @ (EditError::NoEntry { .. } | EditError::Layout) => usage(error.to_string(), ""),
        })
    }
}

/// The lines that the policy makes, which are those that `show` numbers: a kernel that holds others would make every number wrong.
fn listed(subject: &Subject) -> Result<Vec<ListedChain>, Failure> {
    let wanted = controls::filter::filter_policy(&subject.policy, &subject.facts)
        .map_err(|error| usage(format!("the firewall's policy: {error}"), ""))?;
    let compiled = packet_filter::compile(&wanted);
    let id = compiled.table().id();
    let ruleset = subject.facts.firewall.ruleset.known();
    if let Some(held) = ruleset.and_then(|ruleset| ruleset.table(id.family, &id.name))
        && !packet_filter::compare_loaded(&compiled, held).is_empty()
    {
        return Err(usage(
            "the kernel holds other rules than the policy: numbers would mean something else",
            "`gabion firewall status` and `gabion plan` show what differs; `gabion apply` brings them together",
        ));
    }
    Ok(listing(compiled.table()))
}

/// Whether the word names a chain, and does not begin the rule.
fn names_a_chain(word: &str) -> bool {
    let begins_rule = word.starts_with(['-', '!']) || matches!(word, "allow" | "deny" | "reject");
    !begins_rule && word.parse::<usize>().is_err()
}

/// A chain as the policy names it: iptables' own in lower case.
fn chain_name(word: &str) -> String {
    match word.to_ascii_lowercase().as_str() {
        base @ ("input" | "forward" | "output") => base.to_owned(),
        _ => word.to_owned(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn wrong_words(error: WordError) -> Failure {
    usage(
        error.to_string(),
        "a rule as iptables takes it (`-p tcp --dport 8080 -j ACCEPT`), or `allow tcp/8080 from 192.0.2.0/24`",
    )
}

//! Changing rules of iptables through the host's own iptables-restore.

use host::facts::IptablesVariant;
use nf_tables::{Family, TableId};
use serde::{Deserialize, Serialize};

use super::{Context, Earlier, Perform, Saved};
use crate::action::{IptablesEdit, IptablesEdits};
use crate::error::{Error, Result};
use crate::iptables::{Chain, OURS, Save, Table, edit, merge};
use crate::journal::Lock;
use crate::originals::{Keep, PutBack, write_synced};
use crate::program::Program;
use crate::{fault, firewall};

pub(super) struct EditIptables<'a> {
    pub(super) variant: IptablesVariant,
    pub(super) edits: &'a IptablesEdits,
}

/// What iptables-save printed, in files beside the description, so that a person can load them by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Kept {
    /// Files with the tables before.
    v4: Option<String>,
    v6: Option<String>,
}

const FILES: [&str; 2] = ["rules.v4", "rules.v6"];

impl EditIptables<'_> {
    fn families(&self) -> impl Iterator<Item = (bool, &IptablesEdit)> {
        let edits = [(false, &self.edits.v4), (true, &self.edits.v6)];
        edits.into_iter().filter_map(|(ipv6, edit)| edit.as_ref().map(|edit| (ipv6, edit)))
    }

    fn ask(&self, context: &Context<'_>, ipv6: bool, counters: bool) -> Result<String> {
        let program = Program::SaveIptables { variant: self.variant, ipv6, counters };
        Ok(program.run(context.root, None, b"")?.stdout)
    }

    fn now(&self, context: &Context<'_>, ipv6: bool) -> Result<Save> {
        parse(&self.ask(context, ipv6, false)?)
    }

    fn restore(&self, context: &Context<'_>, ipv6: bool, how: How, text: &str) -> Result<()> {
        let program = Program::RestoreIptables {
            variant: self.variant,
            ipv6,
            test: how == How::Test,
            noflush: how != How::Whole,
        };
        run_when_free(&program, context.lock, context, text)
    }

    fn put_back(
        &self,
        context: &Context<'_>,
        ipv6: bool,
        change: &IptablesEdit,
        text: &str,
    ) -> Result<Vec<String>> {
        let kept = parse(text)?;
        let mut edited = kept.clone();
        edited.apply(&change.text).map_err(Error::Iptables)?;
        let now = self.now(context, ipv6)?;
        let merged = merge(&kept, &edited, &now);
        if !merged.whole.is_empty() {
            self.restore(context, ipv6, How::Whole, &only_tables(text, &merged.whole))?;
            fault::point("iptables: tables are back");
        }
        if let Some(text) = edit(&now, &merged.parts) {
            self.restore(context, ipv6, How::Edit, &text)?;
            fault::point("iptables: rules are back");
        }
        for name in &merged.absent {
            self.remove_empty(context, ipv6, name)?;
        }
        Ok(merged.notes)
    }

    /// A table of `nf_tables` that was not there goes again; one of the old `x_tables` cannot, and decides nothing.
    fn remove_empty(&self, context: &Context<'_>, ipv6: bool, name: &str) -> Result<()> {
        if self.variant == IptablesVariant::Legacy {
            return Ok(());
        }
        if self.now(context, ipv6)?.table(name).is_some_and(Table::is_empty) {
            let family = if ipv6 { Family::Ip6 } else { Family::Ip };
            firewall::restore(&TableId { family, name: name.to_owned() }, None)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Test,
    Edit,
    Whole,
}

impl Perform for EditIptables<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        if !context.root.is_live() {
            return Err(Error::NotLive { action: "changing rules of iptables" });
        }
        if context.earlier.edits_iptables {
            return Ok(());
        }
        for (ipv6, edit) in self.families() {
            let found = touched(&self.now(context, ipv6)?, &edit.text);
            if found != edit.before {
                let what = if ipv6 { "the rules of ip6tables" } else { "the rules of iptables" };
                return Err(context.stale(what, &edit.before, found));
            }
        }
        Ok(())
    }

    fn save(&self, context: &Context<'_>, keep: &Keep<'_>) -> Result<Saved> {
        let mut kept = Kept { v4: None, v6: None };
        for (ipv6, _) in self.families() {
            let name = FILES[usize::from(ipv6)];
            let text = self.ask(context, ipv6, true)?;
            write_synced(&keep.directory.join(name), text.as_bytes())?;
            *(if ipv6 { &mut kept.v6 } else { &mut kept.v4 }) = Some(name.to_owned());
        }
        Ok(Saved { iptables: Some(kept), ..Saved::default() })
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        for (ipv6, edit) in self.families() {
            self.restore(context, ipv6, How::Test, &edit.text)?;
        }
        for (ipv6, edit) in self.families() {
            self.restore(context, ipv6, How::Edit, &edit.text)?;
            fault::point("iptables: loaded");
        }
        Ok(())
    }

    fn undo(&self, context: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        // A kernel that has just started has nothing of either; what loads the rules that were there comes later.
        if !context.root.is_live() || context.boots {
            return Ok(Vec::new());
        }
        let mut notes = Vec::new();
        for (ipv6, edit) in self.families() {
            let kept = saved
                .iptables
                .as_ref()
                .and_then(|kept| if ipv6 { kept.v6.as_ref() } else { kept.v4.as_ref() });
            let Some(name) = kept else { continue };
            let path = back.kept.join(name);
            let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
            notes.extend(self.put_back(context, ipv6, edit, &text)?);
        }
        Ok(notes)
    }

    fn tell(&self, earlier: &mut Earlier) {
        earlier.edits_iptables = true;
    }
}

fn parse(text: &str) -> Result<Save> {
    Save::parse(text).map_err(Error::Iptables)
}

/// The chains that a text edits, as they are now: what a plan is drawn from.
pub(crate) fn touched(now: &Save, text: &str) -> String {
    let mut touched = Save::default();
    for table in text.lines().filter_map(|line| line.strip_prefix('*')) {
        let chains = now.table(table).map(|now| now.chains.as_slice()).unwrap_or_default();
        let is_named = |chain: &&Chain| names(text, table).any(|name| name == chain.name);
        let mut chains: Vec<Chain> = chains.iter().filter(is_named).cloned().collect();
        chains.iter_mut().filter(|chain| chain.name.starts_with(OURS)).for_each(|chain| chain.rules.clear());
        chains.sort_by(|one, other| one.name.cmp(&other.name));
        if !chains.is_empty() {
            touched.tables.push(Table { name: table.to_owned(), chains });
        }
    }
    touched.text()
}

/// The chains that a text names in a table.
fn names<'t>(text: &'t str, table: &str) -> impl Iterator<Item = &'t str> {
    let lines = text.lines().skip_while(move |line| line.strip_prefix('*') != Some(table)).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| *line != "COMMIT").collect();
    lines.into_iter().filter_map(|line| match line.strip_prefix(':') {
        Some(declared) => declared.split(' ').next(),
        None => line.split(' ').nth(1),
    })
}

/// The parts of a text that are about these tables, as they stand in it.
fn only_tables(text: &str, wanted: &[String]) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            inside = wanted.iter().any(|table| table == name);
        }
        if inside {
            kept.push_str(line);
            kept.push('\n');
        }
        inside &= line != "COMMIT";
    }
    kept
}

/// Of the old `x_tables` another program may hold the lock: exit code 4, iptables(8).
fn run_when_free(program: &Program<'_>, lock: &Lock, context: &Context<'_>, text: &str) -> Result<()> {
    const ATTEMPTS: usize = 50;
    for attempt in 1.. {
        let output = program.output(context.root, Some(lock), text.as_bytes())?;
        if output.status.success() {
            return Ok(());
        }
        if output.status.code() != Some(4) || attempt == ATTEMPTS {
            return Err(output.into_error());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}

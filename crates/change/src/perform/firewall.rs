//! Loading the compiled ruleset.

use nf_tables::TableDump;
use packet_filter::Compiled;
use serde::{Deserialize, Serialize};

use super::{Context, Earlier, Perform, Saved};
use crate::error::{Error, Result};
use crate::fault;
use crate::firewall;
use crate::originals::{Keep, PutBack};

pub(super) struct LoadFirewall<'a> {
    pub(super) ruleset: &'a Compiled,
    pub(super) generation: Option<u32>,
}

/// Our table as the kernel had it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Kept {
    /// The kernel's generation id when it was kept.
    generation: u32,
    /// None where there was no table of ours.
    table: Option<TableDump>,
}

impl Perform for LoadFirewall<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        if !context.root.is_live() {
            return Err(Error::NotLive { action: "loading the packet filter" });
        }
        let Some(expected) = self.generation else {
            return Ok(());
        };
        let found = firewall::generation()?;
        if found == expected {
            Ok(())
        } else {
            let named = |generation| format!("generation {generation}");
            Err(context.stale("the kernel's packet filter", named(expected), named(found)))
        }
    }

    fn save(&self, _: &Context<'_>, _: &Keep<'_>) -> Result<Saved> {
        let (generation, table) = firewall::dump(&self.ruleset.table().id())?;
        Ok(Saved { firewall: Some(Kept { generation, table }), ..Saved::default() })
    }

    fn act(&self, _: &Context<'_>, _: &PutBack<'_>, saved: &Saved) -> Result<()> {
        // The kernel refuses the batch if anyone has changed the rules since they were kept.
        let kept = saved.firewall.as_ref().map(|kept| kept.generation);
        firewall::load(self.ruleset, kept)?;
        fault::point("firewall: loaded");
        Ok(())
    }

    fn undo(&self, context: &Context<'_>, _: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        if !context.root.is_live() {
            return Ok(Vec::new());
        }
        firewall::restore(
            &self.ruleset.table().id(),
            saved.firewall.as_ref().and_then(|kept| kept.table.as_ref()),
        )?;
        fault::point("firewall: restored");
        Ok(Vec::new())
    }

    fn tell(&self, _: &mut Earlier) {}
}

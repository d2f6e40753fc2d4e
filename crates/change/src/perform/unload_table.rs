//! Taking a table of `nf_tables` that another program has loaded out of the kernel.

use nf_tables::{Ignore, TableDump};
use serde::{Deserialize, Serialize};

use super::{Context, Earlier, Perform, Saved};
use crate::error::{Error, Result};
use crate::originals::{Keep, PutBack};
use crate::{fault, firewall};

pub(super) struct UnloadTable<'a> {
    pub(super) before: &'a TableDump,
}

/// The table as the kernel had it when the step began.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Kept {
    table: Option<TableDump>,
}

impl UnloadTable<'_> {
    fn now(&self) -> Result<Option<TableDump>> {
        Ok(firewall::dump(&self.before.id())?.1)
    }
}

impl Perform for UnloadTable<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        if !context.root.is_live() {
            return Err(Error::NotLive { action: "unloading a table of rules" });
        }
        let id = self.before.id();
        match self.now()? {
            Some(now) if now.canonical(Ignore::STATE) == self.before.canonical(Ignore::STATE) => Ok(()),
            Some(_) => Err(context.stale(format!("table {id}"), "its rules", "other rules")),
            None => Err(context.stale(format!("table {id}"), "its rules", "no such table")),
        }
    }

    fn save(&self, _: &Context<'_>, _: &Keep<'_>) -> Result<Saved> {
        Ok(Saved { table: Some(Kept { table: self.now()? }), ..Saved::default() })
    }

    fn act(&self, _: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        firewall::restore(&self.before.id(), None)?;
        fault::point("table: unloaded");
        Ok(())
    }

    fn undo(&self, context: &Context<'_>, _: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        // After a boot, what loads it comes later.
        if context.root.is_live() && !context.boots {
            firewall::restore(&self.before.id(), saved.table.as_ref().and_then(|kept| kept.table.as_ref()))?;
            fault::point("table: restored");
        }
        Ok(Vec::new())
    }

    fn tell(&self, _: &mut Earlier) {}
}

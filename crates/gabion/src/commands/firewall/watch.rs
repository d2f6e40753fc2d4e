//! What `gabion firewall status --watch` says of a commit.

use nf_tables::monitor::{Change, Changed, Commit};
use nf_tables::{SetDump, Table, TableDump};
use packet_filter::text;

use crate::context::Context;

/// Who changed what.
pub(super) fn tell(context: &Context, commit: &Commit) {
    let lines: Vec<String> = commit.changes.iter().map(line).collect();
    let now = jiff_now();
    if context.output.json {
        context.output.value(&serde_json::json!({
            "version": 1, "at": now, "generation": commit.generation, "process": commit.process, "name": commit.name,
            "changes": lines, "incomplete": commit.incomplete,
        }));
        return;
    }
    let who = match (commit.process, commit.name.as_str()) {
        (0, "") => "somebody".to_owned(),
        (process, name) => format!("{name} (process {process})"),
    };
    let mut said = format!("\n{now} {who} changed the packet filter: generation {}\n", commit.generation);
    lines.iter().for_each(|line| said.push_str(&format!("  {line}\n")));
    if commit.incomplete {
        said.push_str("  and more that was not heard\n");
    }
    context.output.text(&report::safe::block(&said));
}

fn jiff_now() -> String {
    change::Moment::now().wall.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn line(change: &Change) -> String {
    let sign = if change.added { '+' } else { '-' };
    let table = &change.table;
    let alone = || TableDump::new(Table::new(table.family, table.name.clone()));
    let what = match &change.object {
        Changed::Table(_) => format!("table {table}"),
        Changed::Chain(chain) => {
            format!("chain {table} {} {}", chain.name, text::chain_head(chain).unwrap_or_default())
        }
        Changed::Rule(chain, rule) => {
            let handle = rule.handle.map(|handle| format!(" (handle {handle})")).unwrap_or_default();
            format!("rule {table} {chain}: {}{handle}", text::rule(&alone(), rule))
        }
        Changed::Set(set) => format!("set {table} {}", set.name),
        Changed::Elements(name, elements) => {
            // The set's type is not told with its elements: they are shown as their bytes.
            let set = nf_tables::Set::new(name.clone(), nf_tables::DataType::default(), 0);
            let elements = text::elements(&SetDump { set, elements: elements.clone() });
            format!("elements of set {table} {name}: {}", elements.join(", "))
        }
        Changed::Object(object) => format!("object {table} {}", object.name),
        Changed::Other(number) => {
            format!("something else (message {number}) in a table of family {}", table.family)
        }
    };
    format!("{sign} {}", what.trim_end())
}

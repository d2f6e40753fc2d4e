//! The JSON schema of the policy file, for editors and for checking many policies at once.

#[cfg(feature = "schema")]
pub(crate) mod of_types;

use serde_json::Value;

/// What the types say, kept as a file, since the code that makes it is long.
const SCHEMA: &[u8] = include_bytes!("../../../docs/src/reference/policy.schema.json");

/// The schema (draft 2020-12) that every policy file satisfies.
///
/// It is necessary and not sufficient: what holds between keys, and whether a key or hash is whole, only
/// [`parse`](crate::parse) tells.
pub fn schema() -> Value {
    serde_json::from_slice(SCHEMA).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::of_types::schema_of_types;
    use super::*;
    use crate::vocabulary::{ADMIN, ALLOW, FIREWALL, FORWARD, RULE, SSH, Section, TOP};

    #[test]
    fn the_schema_is_that_of_the_types() {
        assert!(schema() == schema_of_types(), "run `cargo xtask generate`");
    }

    #[test]
    fn the_keys_that_the_reader_knows_are_those_of_the_model() {
        let schema = schema_of_types();
        let same = |section: &Section, pointer: &str| {
            let properties =
                schema.pointer(pointer).and_then(|p| p.get("properties")).and_then(Value::as_object);
            let in_model: BTreeSet<&str> = properties.unwrap().keys().map(String::as_str).collect();
            assert_eq!(in_model, section.keys.iter().copied().collect(), "{}", section.heading);
        };
        same(&TOP, "");
        same(&ADMIN, "/$defs/Admin");
        same(&SSH, "/$defs/Ssh");
        same(&FIREWALL, "/$defs/Firewall");
        same(&ALLOW, "/$defs/Allow");
        same(&FORWARD, "/$defs/Forward");
        same(&RULE, "/$defs/Rule");
    }
}

//! The JSON schema of the policy file, for editors and for checking many policies at once.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;

use crate::model::Policy;
use crate::services::SERVICES;

/// The schema (draft 2020-12) that every policy file satisfies.
///
/// It is necessary and not sufficient: what holds between keys, and whether a key or hash is whole, only
/// [`parse`](crate::parse) tells.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Policy>();
    schema.insert("title".to_owned(), "The policy file of Gabion".into());
    schema.to_value()
}

pub(crate) fn service_names(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
    one_or_many(&json_schema!({ "type": "string", "enum": names }))
}

pub(crate) fn ports(_: &mut SchemaGenerator) -> Schema {
    one_or_many(&json_schema!({
        "type": "string",
        "pattern": "^(tcp|udp)/[0-9]{1,5}(-[0-9]{1,5})?$",
    }))
}

pub(crate) fn sources(_: &mut SchemaGenerator) -> Schema {
    one_or_many(&json_schema!({ "type": "string" }))
}

pub(crate) fn interfaces(_: &mut SchemaGenerator) -> Schema {
    one_or_many(&json_schema!({ "type": "string", "pattern": "^[^*/\\s]{1,15}[*]?$" }))
}

pub(crate) fn texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
}

/// One, or a list of at least one: an empty list is refused where it could mean "none" or "any".
fn one_or_many(one: &Schema) -> Schema {
    json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::vocabulary::{ADMIN, ALLOW, FIREWALL, FORWARD, RULE, SSH, Section, TOP};

    #[test]
    fn the_keys_that_the_reader_knows_are_those_of_the_model() {
        let schema = schema();
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

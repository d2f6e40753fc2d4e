//! The schema made from the types themselves, so that it cannot drift: `cargo xtask generate` keeps it.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;

use crate::model::Policy;
use crate::services::SERVICES;

/// The schema as the types have it.
pub fn schema_of_types() -> Value {
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

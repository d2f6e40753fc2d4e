//! The JSON schema against the corpora, with a validator of the few keywords that it uses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Whether `value` satisfies `schema`; a keyword this does not know is a failure of the test, not a pass.
fn satisfies(value: &Value, schema: &Value, root: &Value) -> bool {
    let Value::Object(keywords) = schema else {
        return schema != &Value::Bool(false);
    };
    keywords.iter().all(|(keyword, argument)| match keyword.as_str() {
        "$ref" => satisfies(value, root.pointer(&argument.as_str().unwrap()[1..]).unwrap(), root),
        "type" => has_type(value, argument),
        "const" => value == argument,
        "enum" => argument.as_array().unwrap().contains(value),
        "anyOf" => argument.as_array().unwrap().iter().any(|one| satisfies(value, one, root)),
        "oneOf" => argument.as_array().unwrap().iter().filter(|one| satisfies(value, one, root)).count() == 1,
        "items" => {
            value.as_array().is_none_or(|items| items.iter().all(|item| satisfies(item, argument, root)))
        }
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= argument.as_u64().unwrap()),
        "minimum" => value.as_i64().is_none_or(|number| number >= argument.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|number| number <= argument.as_i64().unwrap()),
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, value)| argument.get(key).is_none_or(|one| satisfies(value, one, root)))
        }),
        "additionalProperties" => {
            assert_eq!(argument, &Value::Bool(false));
            let known = keywords.get("properties").and_then(Value::as_object);
            value
                .as_object()
                .is_none_or(|object| object.keys().all(|key| known.is_some_and(|k| k.contains_key(key))))
        }
        "required" => {
            argument.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
        }
        // Patterns only help an editor; `parse` decides.
        "$schema" | "$defs" | "title" | "description" | "default" | "format" | "pattern" => true,
        other => panic!("the schema uses `{other}`, which this test does not check"),
    })
}

fn has_type(value: &Value, argument: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    match argument {
        Value::String(name) => is(name),
        names => names.as_array().unwrap().iter().any(|name| is(name.as_str().unwrap())),
    }
}

fn holds(text: &str) -> bool {
    let schema = policy::schema();
    let document: toml::Value = toml::from_str(text).unwrap();
    satisfies(&serde_json::to_value(document).unwrap(), &schema, &schema)
}

#[test]
fn every_valid_policy_satisfies_the_schema() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/valid");
    let mut seen = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            assert!(holds(&fs::read_to_string(&path).unwrap()), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 3);
}

#[test]
fn the_schema_refuses_unknown_keys_values_and_services() {
    for text in [
        "[ssh]\nroot-logn = false",
        "[updates]\nautomatic = \"all\"",
        "[ssh]\ncrypto = \"best\"",
        "[ssh]\nroot-login = \"no\"",
        "[[firewall.allow]]\nservice = \"gopher\"",
        "[[firewall.allow]]\nservice = []",
        "[[firewall.allow]]\nservice = \"ssh\"\nnew-per-minute = 0",
        "[[admin]]\nkeys = []",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn the_schema_stands_as_it_is_published() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&policy::schema()).unwrap());
}

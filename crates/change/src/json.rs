//! Reading large values that stand inside of tagged ones.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

/// Reads a value by way of its JSON text. Serde reads what stands in an internally tagged enum with other code than the rest:
/// for the types of a whole ruleset, a second copy of some 200 KB.
pub(crate) fn by_its_own_text<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let text = serde_json::to_vec(&value).map_err(D::Error::custom)?;
    serde_json::from_slice(&text).map_err(D::Error::custom)
}

//! Reading the `config.json` of a model: what every network's config shares.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Result;
use crate::invalid_input;

/// Sizes beyond this are taken for damage, not for a model.
const LARGEST_SIZE: usize = 1 << 20;

/// Parses a config; `origin` (the file) appears in the errors.
pub fn parse<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T> {
    match serde_json::from_str(text) {
        Ok(config) => Ok(config),
        Err(error) => invalid_input!("{origin}: not a usable model config: {error}"),
    }
}

/// A setting that this engine supports at one value only.
pub struct Fixed {
    /// The field of `config.json`.
    pub field: &'static str,
    /// The values, as JSON, that mean what is implemented. An absent field and `null` are always accepted.
    pub accepted: &'static [&'static str],
    /// Which models set it to something else, for the message.
    pub meaning: &'static str,
}

/// Refuses, by name, a config whose settings are outside what is implemented.
pub fn refuse_unsupported(text: &str, origin: &str, rows: &[Fixed]) -> Result<()> {
    let config: Value = parse(text, origin)?;
    for row in rows {
        let found = match config.get(row.field) {
            None | Some(Value::Null) => continue,
            Some(value) => value.to_string(),
        };
        if !row.accepted.contains(&found.as_str()) {
            let expected = if row.accepted.is_empty() { "null".to_owned() } else { row.accepted.join(" or ") };
            invalid_input!("{origin}: {} is {found}, expected {expected}: {}", row.field, row.meaning);
        }
    }
    Ok(())
}

/// Refuses a size that is 0 or absurd.
pub fn require_size(value: usize, field: &str, origin: &str) -> Result<()> {
    if value == 0 || value > LARGEST_SIZE {
        invalid_input!("{origin}: {field} is {value}, expected 1 to {LARGEST_SIZE}");
    }
    Ok(())
}

/// Refuses channels that the groups of a normalisation do not divide.
pub fn require_divisible(value: usize, divisor: usize, field: &str, by: &str, origin: &str) -> Result<()> {
    if !value.is_multiple_of(divisor) {
        invalid_input!("{origin}: {field} has {value}, which {by} = {divisor} does not divide");
    }
    Ok(())
}

/// One number for every level of a network, or one number each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a whole number or a list of them")]
pub enum PerLevel {
    /// The same at every level.
    Same(usize),
    /// From the highest resolution to the lowest.
    Each(Vec<usize>),
}

impl PerLevel {
    /// The number at `level`; 0 beyond the list, which [`PerLevel::check`] rules out.
    pub fn at(&self, level: usize) -> usize {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values.get(level).copied().unwrap_or(0),
        }
    }

    /// Refuses a list of the wrong length and sizes that are 0 or absurd.
    pub fn check(&self, levels: usize, field: &str, origin: &str) -> Result<()> {
        if let Self::Each(values) = self
            && values.len() != levels
        {
            invalid_input!("{origin}: {field} lists {} values, expected one for each of the {levels} block_out_channels", values.len());
        }
        (0..levels).try_for_each(|level| require_size(self.at(level), field, origin))
    }
}

//! What a checkpoint belongs to, compared field by field before a run goes on from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::invalid_input;

/// Everything that decides a run's numbers besides its state. Two runs with equal identities do the same at every step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// What is trained: "anomaly embeddings", "autoencoder", …
    pub task: String,
    /// Hash of the base model, empty where there is none.
    pub base_model: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// The settings that the result depends on; leave out what may change on resume (intervals, threads, paths).
    pub config: Value,
}

impl Identity {
    /// Refuses a checkpoint that belongs to something else, naming every differing field.
    ///
    /// # Errors
    /// As the user's to correct (exit code 2).
    pub fn check(&self, found: &Identity) -> Result<()> {
        let (expected, found) = (self.fields()?, found.fields()?);
        let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
        let absent = "nothing".to_owned();
        let differences: Vec<String> = names
            .map(|name| (name, expected.get(name).unwrap_or(&absent), found.get(name).unwrap_or(&absent)))
            .filter(|(_, expected, found)| expected != found)
            .map(|(name, expected, found)| format!("{name}: expected {expected}, found {found}"))
            .collect();
        if !differences.is_empty() {
            invalid_input!(
                "the checkpoint is of another run ({}); go on with the run's own settings, or start anew with another --out",
                differences.join("; ")
            );
        }
        Ok(())
    }

    /// Dotted names of all values, as text.
    fn fields(&self) -> Result<BTreeMap<String, String>> {
        // Through text and back on both sides: a number read back may differ in its last bit from the one written.
        let value: Value = serde_json::from_str(&serde_json::to_string(self)?)?;
        let mut fields = BTreeMap::new();
        flatten("", &value, &mut fields);
        Ok(fields)
    }
}

fn flatten(prefix: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, fields);
            }
        }
        other => {
            fields.insert(prefix.to_owned(), other.to_string());
        }
    }
}

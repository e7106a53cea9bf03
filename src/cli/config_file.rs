//! `--config file.toml`: values for flags from a file. Keys are the flags' own names, so there is no second list of settings to keep in step:
//! the file's values are put in front of the flags that were typed, and the last one wins.
//!
//! ```toml
//! seed = 7            # keys at the top: any command
//! [train]             # keys in a table: that command
//! steps = 2000
//! types = ["scratch", "dent"]
//! ```

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use toml::{Table, Value};

use crate::error::{Context, Result};
use crate::{input_error, invalid_input};

/// Replaces `--config FILE` by the values that the file holds for the command.
pub(super) fn expand(arguments: Vec<OsString>) -> Result<Vec<OsString>> {
    let Some(path) = config_path(&arguments) else { return Ok(arguments) };
    let table = read(&path)?;
    let command = super::Cli::command();
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let Some(position) = arguments.iter().skip(1).position(|argument| names.iter().any(|name| argument == name)) else { return Ok(arguments) };
    let position = position + 1;
    let chosen = arguments[position].to_string_lossy().into_owned();
    let values = flags(&table, &names, &chosen).with_context(|| format!("--config {}", path.display()))?;
    let (before, after) = arguments.split_at(position + 1);
    Ok(before.iter().cloned().chain(values).chain(after.iter().cloned()).collect())
}

/// The values that a file holds for `command` alone.
pub(super) fn own(path: &Path, command: &str) -> Result<Table> {
    match read(path)?.remove(command) {
        Some(Value::Table(own)) => Ok(own),
        _ => Ok(Table::new()),
    }
}

fn read(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).map_err(|error| input_error!("--config {}: {error}", path.display()))?;
    text.parse().map_err(|error| input_error!("--config {}: not TOML: {error}", path.display()))
}

fn config_path(arguments: &[OsString]) -> Option<PathBuf> {
    arguments.iter().enumerate().find_map(|(index, argument)| {
        if argument == "--config" {
            return arguments.get(index + 1).map(PathBuf::from);
        }
        argument.to_str()?.strip_prefix("--config=").map(PathBuf::from)
    })
}

/// The flags that the file holds for `chosen`: its own table after the keys at the top.
fn flags(table: &Table, commands: &[&str], chosen: &str) -> Result<Vec<OsString>> {
    let mut flags = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(_) if commands.contains(&key.as_str()) => {}
            Value::Table(_) => invalid_input!("table [{key}] is none of the commands: {}", commands.join(", ")),
            value => flags.extend(word(key, value)?),
        }
    }
    if let Some(Value::Table(own)) = table.get(chosen) {
        for (key, value) in own {
            flags.extend(word(key, value)?);
        }
    }
    Ok(flags)
}

/// The flag that a value stands for, as one word; `None` for one that is not given.
pub(super) fn word(key: &str, value: &Value) -> Result<Option<OsString>> {
    let text = match value {
        Value::Boolean(true) => return Ok(Some(format!("--{key}").into())),
        Value::Boolean(false) => return Ok(None),
        Value::Array(items) => items.iter().map(|item| scalar(key, item)).collect::<Result<Vec<_>>>()?.join(","),
        value => scalar(key, value)?,
    };
    Ok(Some(format!("--{key}={text}").into()))
}

fn scalar(key: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        other => invalid_input!("{key}: expected a string, a number, true, false or a list of them, found {}", other.type_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_flags_and_other_commands_are_left_out() {
        let table: Table = "seed = 7\n[train]\nsteps = 10\ntypes = ['a', 'b']\nresume = true\ndry-run = false\n[check]\ndata = 'x'".parse().unwrap();
        let found = flags(&table, &["train", "check"], "train").unwrap();
        assert_eq!(found, ["--seed=7", "--resume", "--steps=10", "--types=a,b"].map(OsString::from));
        let error = flags(&table, &["train"], "train").unwrap_err().to_string();
        assert!(error.contains("[check]"), "{error}");
    }
}

//! A report of whatever a folder holds: runs of training, generated pairs, evaluations, measurements, also one folder down.

mod ablation;
mod evaluation;
mod pairs;
mod quality;
mod settings;
mod training;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Page, Table};
use crate::error::{Context, Result};
use crate::files;
use crate::{input_error, invalid_input};

/// A JSON file of results may have this many bytes.
const MOST_BYTES: u64 = 256 << 20;

/// What a section is made of.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A table, with the name of its twins.
    Table(String, Table),
    /// A title and the SVG element below it.
    Svg(String, String),
    /// A PNG and what it shows.
    Picture(Vec<u8>, String),
}

/// A part of the report.
#[derive(Clone, Debug)]
pub struct Section {
    /// The heading.
    pub heading: String,
    /// What stands below it.
    pub blocks: Vec<Block>,
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    /// In order.
    pub sections: Vec<Section>,
}

/// A folder that is looked at.
#[derive(Clone, Debug)]
struct Place {
    path: PathBuf,
    /// Its name below the reported folder; empty for that itself.
    name: String,
}

impl Place {
    /// "Training" of the folder itself, "Training: run" of one below.
    fn heading(&self, what: &str) -> String {
        if self.name.is_empty() { what.to_owned() } else { format!("{what}: {}", self.name) }
    }

    /// The name of a table's twins: letters, digits and dashes.
    fn table(&self, what: &str) -> String {
        let name: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        if name.is_empty() { what.to_owned() } else { format!("{name}-{what}") }
    }

    /// A JSON file here; `None` without one.
    fn json(&self, name: &str) -> Result<Option<Value>> {
        let path = self.path.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = files::read_limited(&path, MOST_BYTES)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| input_error!("{}: not a result of this program: {error}", path.display()))
    }
}

impl Report {
    /// Looks into `folder` and the folders in it. `data` is the data set that pairs were made from; `folder/data` where it is not given.
    ///
    /// # Errors
    /// When nothing is found or a file is damaged; the message names it (exit code 2).
    pub fn read(folder: &Path, data: Option<&Path>) -> Result<Self> {
        let places = places(folder)?;
        let own_data = folder.join("data");
        let data = data.or_else(|| own_data.is_dir().then_some(own_data.as_path()));
        let mut sections = Vec::new();
        for read in [evaluation::section, ablation::section, quality::section] {
            for place in &places {
                sections.extend(read(place)?);
            }
        }
        for place in &places {
            sections.extend(pairs::section(place, data)?);
        }
        for read in [training::section, settings::section] {
            for place in &places {
                sections.extend(read(place)?);
            }
        }
        if sections.is_empty() {
            invalid_input!(
                "{}: nothing to report; expected the folder of `anodiff train`, `generate`, `quality`, `evaluate`, `ablate` or `demo`",
                folder.display()
            );
        }
        let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Ok(Self { title: name.unwrap_or_else(|| "report".to_owned()), sections })
    }

    /// The page.
    pub fn html(&self) -> String {
        let names: Vec<&str> = self.sections.iter().map(|section| section.heading.as_str()).collect();
        let mut page = Page::new(&self.title, &format!("anodiff {}: {}.", env!("CARGO_PKG_VERSION"), names.join("; ")));
        for section in &self.sections {
            page.heading(&section.heading);
            for block in &section.blocks {
                match block {
                    Block::Text(text) => page.paragraph(text),
                    Block::Table(_, table) => page.table(table),
                    Block::Svg(title, svg) => page.svg(title, svg),
                    Block::Picture(png, description) => page.image(png, description),
                }
            }
        }
        page.html()
    }

    /// Every table with the name of its twins, in the order of the page.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.sections.iter().flat_map(|section| &section.blocks).filter_map(|block| match block {
            Block::Table(name, table) => Some((name.as_str(), table)),
            _ => None,
        })
    }

    /// All tables as one object by name.
    pub fn json(&self) -> Value {
        Value::Object(self.tables().map(|(name, table)| (name.to_owned(), table.json())).collect::<Map<_, _>>())
    }
}

/// The folder and those in it, by name.
fn places(folder: &Path) -> Result<Vec<Place>> {
    let unreadable = |error: std::io::Error| input_error!("cannot read {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.context("reading a folder")?.path();
        if let (true, Some(name)) = (path.is_dir(), path.file_name().and_then(|name| name.to_str())) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    let below = names.into_iter().map(|name| Place { path: folder.join(&name), name });
    Ok(std::iter::once(Place { path: folder.to_owned(), name: String::new() }).chain(below).collect())
}

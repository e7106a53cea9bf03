//! Filling a folder with the masks of one type.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{MaskEntry, STEM, entries};
use crate::anomaly::fitting::halved;
use crate::anomaly::generated_set::{DIGITS, check_amounts};
use crate::anomaly::learned::Kind;
use crate::anomaly::mask_source::MaskSource;
use crate::anomaly::places::{Place, Places};
use crate::anomaly::presets::PresetName;
use crate::anomaly::shard::Shard;
use crate::data::dataset::{Dataset, check_name};
use crate::data::json_lines::JsonLines;
use crate::data::mask_rules::Fault;
use crate::digest::hexadecimal;
use crate::error::{Error, Interrupted, Result};
use crate::models::base::BaseModel;
use crate::{files, invalid_input};

/// Masks of one type into one folder.
pub struct MaskOrder<'a> {
    /// The base model, which draws learned masks.
    pub base: &'a BaseModel,
    /// Normal pictures, on which masks are put, and real masks.
    pub dataset: &'a Dataset,
    /// The type.
    pub kind: Kind,
    /// Where masks come from.
    pub masks: MaskSource,
    /// Whose split says which real masks are for training.
    pub preset: PresetName,
    /// Side of the masks in pixels.
    pub side: usize,
    /// How many masks the folder shall hold.
    pub count: u64,
    /// Masks drawn together; none depends on it.
    pub batch_size: usize,
    /// Seed of all random numbers.
    pub seed: u64,
    /// The folder.
    pub out: &'a Path,
    /// Which of the masks this process makes.
    pub shard: Shard,
}

/// How many of the drawn masks were usable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Acceptance {
    /// Masks in the folder.
    pub masks: usize,
    /// Masks drawn for them.
    pub drawn: usize,
    /// Drawn masks that were no good, by what was wrong.
    pub rejected: BTreeMap<Fault, usize>,
    /// Masks in whose place a real one stands, because none that was drawn was usable.
    pub stand_ins: usize,
}

impl Acceptance {
    /// Usable masks of those drawn, 0 to 1; 1 where nothing was drawn.
    pub fn rate(&self) -> f64 {
        if self.drawn == 0 { 1.0 } else { (self.masks - self.stand_ins) as f64 / self.drawn as f64 }
    }

    fn of<'e>(entries: impl Iterator<Item = &'e MaskEntry>, learned: bool) -> Self {
        let mut found = Self::default();
        for entry in entries {
            let stands_in = learned && entry.source != "learned";
            found.masks += 1;
            found.stand_ins += usize::from(stands_in);
            found.drawn += entry.rejected.len() + usize::from(!stands_in);
            entry.rejected.iter().for_each(|&fault| *found.rejected.entry(fault).or_insert(0) += 1);
        }
        found
    }
}

/// Who watches a run.
pub trait MaskObserver {
    /// Of `total` masks of the share `done` are there; told at the beginning and after each batch.
    fn progress(&mut self, done: u64, total: u64);

    /// A batch did not fit into the GPU's memory; from here on `batch_size` masks are drawn together.
    fn does_not_fit(&mut self, error: &Error, batch_size: usize);

    /// The signal that asks the run to stop, if one came.
    fn interrupted(&self) -> Option<i32>;
}

/// Makes the masks of an order that its folder lacks, and counts what was usable among all that it holds of the type and share.
///
/// # Errors
/// Wrong input, or masks made with other settings in the folder (exit code 2); [`Interrupted`] after a signal.
pub fn produce_masks(order: &MaskOrder, observer: &mut dyn MaskObserver) -> Result<Acceptance> {
    order.check()?;
    let Kind { object, defect } = &order.kind;
    let places = Places::new(order.dataset, order.base, &order.kind, &order.masks, order.preset, order.side, order.seed)?;
    let recipe = order.recipe(&places)?;
    files::create_folder(&order.out.join(object).join(defect))?;
    let (mut lines, _) = JsonLines::open::<MaskEntry>(&order.out.join(format!("{STEM}{}.jsonl", order.shard.suffix())))?;
    let mut finished = entries(order.out, &order.kind)?;
    if let Some(other) = finished.values().find(|entry| entry.recipe != recipe) {
        invalid_input!(
            "{} already holds masks of {} made with other settings (seed {}, source {}, recipe {}); give another --out, or the same settings to go on",
            order.out.display(),
            order.kind,
            other.seed,
            other.source,
            other.recipe
        );
    }
    let own: Vec<u64> = (0..order.count).filter(|&index| order.shard.contains(index)).collect();
    let missing: Vec<u64> = own.iter().copied().filter(|index| !finished.contains_key(index)).collect();
    let (mut rest, mut batch_size) = (&missing[..], order.batch_size);
    observer.progress((own.len() - rest.len()) as u64, own.len() as u64);
    while !rest.is_empty() {
        let (indices, later) = rest.split_at(batch_size.min(rest.len()));
        let drawn = match places.at(indices, &|| observer.interrupted()) {
            Ok(drawn) => drawn,
            Err(error) => {
                batch_size = halved(batch_size, error, |error, half| observer.does_not_fit(error, half))?;
                continue;
            }
        };
        let made: Vec<MaskEntry> = indices.iter().zip(drawn).map(|(&index, place)| order.write(index, place, &recipe)).collect::<Result<_>>()?;
        lines.append(&made)?;
        finished.extend(made.into_iter().map(|entry| (entry.index, entry)));
        rest = later;
        observer.progress((own.len() - rest.len()) as u64, own.len() as u64);
        if let Some(signal) = observer.interrupted() {
            return Err(Error::new(Interrupted { signal }));
        }
    }
    let learned = matches!(order.masks, MaskSource::Learned(..));
    Ok(Acceptance::of(own.iter().filter_map(|index| finished.get(index)), learned))
}

impl MaskOrder<'_> {
    fn check(&self) -> Result<()> {
        check_name("object", &self.kind.object)?;
        check_name("type", &self.kind.defect)?;
        check_amounts(self.count, "--batch-size", self.batch_size)
    }

    fn write(&self, index: u64, place: Place, recipe: &str) -> Result<MaskEntry> {
        let Kind { object, defect } = &self.kind;
        let name = format!("{object}/{defect}/{index:0DIGITS$}.png");
        let drawn = place.drawn;
        drawn.mask.save(&self.out.join(&name))?;
        Ok(MaskEntry {
            mask: name,
            object: object.clone(),
            defect: defect.clone(),
            index,
            seed: self.seed,
            source: drawn.source,
            area: drawn.mask.area(),
            rejected: drawn.rejected,
            recipe: recipe.to_owned(),
        })
    }

    /// A digest of everything that the masks depend on.
    fn recipe(&self, places: &Places) -> Result<String> {
        let mut hash = Sha256::new();
        let normals = places.object().normals.iter().map(|normal| normal.file_name().unwrap_or_default().as_encoded_bytes().to_vec());
        let parts = [places.masks().fingerprint()?.into_bytes(), format!("{} {}", self.seed, self.side).into_bytes()];
        for part in parts.into_iter().chain(normals) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Ok(hexadecimal(&hash.finalize()[..8]))
    }
}

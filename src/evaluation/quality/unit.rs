//! One type's numbers and their file.

use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Alignment, Numbers, Origins, Outcome, Pair, Plan};
use crate::data::dataset::{self, Dataset, DefectType, check_name};
use crate::data::picture::MOST_FILE_BYTES;
use crate::digest::hexadecimal;
use crate::error::{Context, Result};
use crate::training::checkpoint::Identity;
use crate::training::progress::Progress;
use crate::training::signals;
use crate::{files, input_error};

/// A file of numbers may have this many bytes.
const MOST_BYTES: u64 = 1 << 20;

/// One type of one object.
pub(super) struct Unit<'a> {
    plan: &'a Plan,
    dataset: &'a Dataset,
    generated: &'a Dataset,
    origins: &'a Origins,
    object: &'a str,
    defect: &'a DefectType,
    real: &'a DefectType,
    path: PathBuf,
}

impl<'a> Unit<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        dataset: &'a Dataset,
        generated: &'a Dataset,
        origins: &'a Origins,
        (object, defect, real): (&'a str, &'a DefectType, &'a DefectType),
        out: &Path,
    ) -> Result<Self> {
        check_name("object", object)?;
        check_name("type", &defect.name)?;
        Ok(Self { plan, dataset, generated, origins, object, defect, real, path: out.join(object).join(format!("{}.json", defect.name)) })
    }

    fn identity(&self) -> Result<Identity> {
        let config = json!({
            "object": self.object,
            "type": self.defect.name,
            "judges": self.plan.judges.json(),
            "protocols": self.plan.protocols(),
            "generated": digest(&self.defect.pairs)?,
            "trained_on": digest(self.real.training_pairs(self.plan.split))?,
            "held_out": digest(self.real.test_pairs(self.plan.split))?,
        });
        Ok(Identity { task: "quality of generated pairs".into(), base_model: String::new(), seed: 0, config })
    }

    /// The outcome that the file holds.
    ///
    /// # Errors
    /// When it is one of other settings or data, or something else (exit code 2).
    pub(super) fn finished(&self) -> Result<Option<Outcome>> {
        if !self.path.is_file() {
            return Ok(None);
        }
        let bytes = files::read_limited(&self.path, MOST_BYTES)?;
        let outcome: Outcome = serde_json::from_slice(&bytes)
            .map_err(|error| input_error!("{}: not a result of this program: {error}; remove the file to measure again", self.path.display()))?;
        self.identity()?.check(&outcome.identity).with_context(|| self.path.display().to_string())?;
        Ok(Some(outcome))
    }

    /// Measures and writes the file.
    pub(super) fn run(&self) -> Result<Outcome> {
        let total = self.defect.pairs.len() as u64;
        let mut progress = Progress::new(format!("quality {}+{}", self.object, self.defect.name), "pair", 2 * total, 0);
        let mut done = 0;
        let mut step = || {
            done += 1;
            progress.update(done, "");
        };
        let alignments = self.alignments(&mut step)?;
        let judged = {
            let images = |pairs: &'a [dataset::Pair]| pairs.iter().map(|pair| pair.image.as_path()).collect::<Vec<_>>();
            let real = (images(self.real.training_pairs(self.plan.split)), images(self.real.test_pairs(self.plan.split)));
            self.plan.judges.judge(&images(&self.defect.pairs), (&real.0, &real.1), self.plan.side, step)?
        };
        progress.finish();
        let outcome = Outcome {
            identity: self.identity()?,
            object: self.object.to_owned(),
            defect: self.defect.name.clone(),
            pairs: self.defect.pairs.len(),
            aligned: alignments.len(),
            numbers: Numbers::new(Alignment::mean(&alignments), judged),
        };
        let bytes = serde_json::to_vec_pretty(&outcome)?;
        if let Some(folder) = self.path.parent() {
            files::create_folder(folder)?;
        }
        files::write_bytes_atomic(&self.path, &bytes)?;
        // As it will be read next time: a number may differ from the written one in its last bit.
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Of the pairs whose normal picture is known.
    fn alignments(&self, step: &mut impl FnMut()) -> Result<Vec<Alignment>> {
        let mut found = Vec::new();
        for pair in &self.defect.pairs {
            signals::check()?;
            if let Some(entry) = self.origins.of(&self.generated.root, &pair.image) {
                found.extend(Pair::load(&self.generated.root, &self.dataset.root, entry)?.alignment()?);
            }
            step();
        }
        Ok(found)
    }
}

/// SHA-256 over the files of pairs.
fn digest(pairs: &[dataset::Pair]) -> Result<String> {
    let mut hash = Sha256::new();
    for path in pairs.iter().flat_map(|pair| [&pair.image, &pair.mask]) {
        hash.update(Sha256::digest(files::read_limited(path, MOST_FILE_BYTES)?));
    }
    Ok(hexadecimal(&hash.finalize()))
}

//! One training of one object on one source with one seed, and its result's file.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Bench, Outcome, evidence};
use crate::data::dataset::check_name;
use crate::error::{Context, Result};
use crate::evaluation::localization::{self, Job, Trained};
use crate::evaluation::scores::ObjectScores;
use crate::evaluation::{classification, sources::Source};
use crate::training::checkpoint::{CURRENT, Identity, PREVIOUS};
use crate::{files, input_error, weights};

/// The file of a finished training.
const RESULT: &str = "result.json";
/// The weights of the U-Net, where they are kept.
const MODEL: &str = "localizer.safetensors";
/// A result may have this many bytes.
const MOST_BYTES: u64 = 16 << 20;

/// One training.
pub(super) struct Unit<'a> {
    bench: &'a Bench<'a>,
    source: Source,
    seed: u64,
    folder: PathBuf,
}

impl<'a> Unit<'a> {
    pub(super) fn new(bench: &'a Bench<'a>, source: Source, seed: u64, out: &Path) -> Result<Self> {
        let object = &bench.object.name;
        check_name("object", object)?;
        Ok(Self { bench, source, seed, folder: out.join(source.name()).join(format!("seed-{seed}")).join(object) })
    }

    pub(super) fn label(&self) -> String {
        format!("{} on {}, seed {}", self.bench.object.name, self.source.name(), self.seed)
    }

    fn identity(&self) -> Result<Identity> {
        let plan = self.bench.plan;
        let mut config = json!({
            "source": self.source.name(),
            "object": self.bench.object.name,
            "localizer": serde_json::to_value(plan.localizer).context("the localiser's settings as JSON")?,
            "classifier": serde_json::to_value(plan.classifier).context("the classifier's settings as JSON")?,
            "training_pictures": self.bench.material.digest(self.source),
            "test_pictures": self.bench.test.digest(),
        });
        if let Some(weights) = &plan.classifier_weights {
            config["classifier_weights"] = weights.digest().into();
        }
        Ok(Identity { task: "downstream inspection".into(), base_model: String::new(), seed: self.seed, config })
    }

    /// The outcome that the folder holds.
    ///
    /// # Errors
    /// When it holds one of other settings or data, or something else (exit code 2).
    pub(super) fn finished(&self) -> Result<Option<Outcome>> {
        let path = self.folder.join(RESULT);
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = files::read_limited(&path, MOST_BYTES)?;
        let outcome: Outcome = serde_json::from_slice(&bytes)
            .map_err(|error| input_error!("{}: not a result of this program: {error}; remove the file to measure again", path.display()))?;
        self.identity()?.check(&outcome.identity).with_context(|| path.display().to_string())?;
        Ok(Some(outcome))
    }

    /// Trains, tests, writes the result and removes the checkpoints.
    pub(super) fn run(&self) -> Result<Outcome> {
        let Bench { plan, material, test, object, .. } = self.bench;
        let (identity, label) = (self.identity()?, self.label());
        let job = Job { label: &label, material, source: self.source, seed: self.seed, device: plan.device };
        let stages = ["localizer", "classifier"].map(|stage| self.folder.join(stage));
        let trained = localization::train(&stages[0], &identity, &plan.localizer, job)?;
        let predictions = localization::predict(&trained.model, test)?;
        let classes = match &plan.classifier {
            Some(settings) => classification::train_and_answer(&stages[1], &identity, settings, plan.classifier_weights.as_ref(), job, test)?,
            None => None,
        };
        let scores = ObjectScores::measure(test, &predictions, classes.as_deref())?;
        evidence::write(&self.folder, test, &predictions)?;
        if plan.keep_models {
            self.save(&trained)?;
        }
        let outcome = Outcome { identity, source: self.source.name().into(), object: object.name.clone(), seed: self.seed, scores };
        let bytes = serde_json::to_vec_pretty(&outcome)?;
        files::write_bytes_atomic(&self.folder.join(RESULT), &bytes)?;
        for path in stages.iter().flat_map(|stage| [CURRENT, PREVIOUS].map(|name| stage.join(name))).filter(|path| path.exists()) {
            fs::remove_file(&path).map_err(|error| input_error!("cannot remove {}: {error}", path.display()))?;
        }
        // As it will be read next time: a number may differ from the written one in its last bit.
        Ok(serde_json::from_slice(&bytes)?)
    }

    fn save(&self, trained: &Trained) -> Result<()> {
        let width = self.bench.plan.localizer.width.to_string();
        let metadata = [("trained_on".to_owned(), self.label()), ("width".to_owned(), width)].into();
        weights::save(&self.folder.join(MODEL), &trained.parameters.tensors()?, &metadata)
    }
}

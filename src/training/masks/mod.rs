//! The training of all mask embeddings in one run (METHOD section 6; paper Eq. 9).

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::anomaly::learned_masks::{LEARNED_MASKS, LearnedMasks, MaskExample, MaskExamples, MaskInversion, MaskPainter};
use crate::anomaly::presets::{MaskSampling, Optimizer};
use crate::data::dataset::Dataset;
use crate::error::{Context, Result};
use crate::files;
use crate::models::base::BaseModel;
use crate::training::adamw::{AdamW, Group};
use crate::training::checkpoint::Identity;
use crate::training::embeddings::{Options, options_of, record_fixed_noise, schedule, stitched};
use crate::training::fit::{Loss, Plan, Summary, Task, fit};
use crate::training::recorder::Recorder;
use crate::training::state::State;
use crate::training::{signals, tensorboard};

/// Types that a look shows.
const MOST_TYPES: usize = 6;
/// DDIM steps of a mask in a look.
const STEPS: usize = 20;
/// Examples of the loss on fixed noise.
const FIXED: usize = 16;

/// Trains the embeddings on the masks of the data set's training pairs, in the folder `folder`, and leaves [`LEARNED_MASKS`] there.
///
/// # Errors
/// As [`fit`]; unreadable or empty masks (exit code 2).
pub fn train(folder: &Path, base: &BaseModel, mut masks: LearnedMasks, dataset: &Dataset, options: &Options) -> Result<(LearnedMasks, Summary)> {
    let preset = masks.metadata.preset.clone();
    let examples = MaskExamples::load(dataset, &masks.metadata)?;
    let identity = identity(&masks, options)?;
    let mut plan = Plan::new("train-masks", preset.steps as u64, schedule(&preset.optimizer, preset.steps as u64));
    (plan.accumulate, plan.checkpoint_every, plan.validate_every) = (options.accumulate, options.checkpoint_every, options.validate_every);
    let summary = {
        let inversion = MaskInversion::new(base, &masks)?;
        let mut state = State::new(masks.parameters().clone(), optimiser(&masks, &preset.optimizer)?, None);
        let fixed = examples.draw("mask validation", 0, 0, FIXED);
        let mut task = Masks { inversion, examples: &examples, batch: preset.batch_size, folder: folder.to_owned(), base, masks: &masks, fixed };
        fit(folder, &identity, &plan, &mut state, &mut task)?
    };
    masks.parameters().set_trainable(false);
    masks.metadata.steps = summary.steps;
    masks.save(&folder.join(LEARNED_MASKS))?;
    Ok((masks, summary))
}

/// The loss, part by part, and a look at what is drawn so far.
struct Masks<'a> {
    inversion: MaskInversion<'a>,
    examples: &'a MaskExamples,
    batch: usize,
    folder: PathBuf,
    base: &'a BaseModel,
    masks: &'a LearnedMasks,
    fixed: Vec<MaskExample>,
}

impl Task for Masks<'_> {
    fn loss(&mut self, step: u64, part: usize) -> Result<Loss> {
        let first = (part * self.batch) as u64;
        let examples = self.examples.draw("mask train", step, first, self.batch);
        Ok(self.inversion.loss("mask train", step, first, &examples)?.into())
    }

    /// Records the loss on fixed noise and writes `validation/step-N.png`: a row a type of a training mask and three drawn ones.
    fn validate(&mut self, step: u64, recorder: &mut Recorder) -> Result<()> {
        let loss = |first: u64, part: &[MaskExample]| self.inversion.loss("mask validation", 0, first, part);
        record_fixed_noise(recorder, step, &self.fixed, self.batch, loss)?;
        let metadata = &self.masks.metadata;
        let settings = MaskSampling { steps: STEPS.min(metadata.preset.sampling.steps), ..metadata.preset.sampling.clone() };
        let mut rows = Vec::new();
        for (position, kind) in metadata.kinds.iter().enumerate().take(MOST_TYPES) {
            let painter = MaskPainter::new(self.base, self.masks, kind.clone(), settings.clone(), metadata.seed)?;
            let drawn = painter.draw(&[(0, 0), (1, 0), (2, 0)], &signals::interrupted)?;
            let picture = |index: usize| drawn[index].picture.clone();
            rows.push([self.examples.first(position).to_picture(), picture(0), picture(1), picture(2)]);
        }
        let sheet = stitched(&rows);
        let folder = self.folder.join("validation");
        files::create_folder(&folder)?;
        let png = sheet.to_png()?;
        files::write_bytes_atomic(&folder.join(format!("step-{step:06}.png")), &png)?;
        recorder.image(step, "validation/masks", &tensorboard::Picture { png: &png, width: sheet.width(), height: sheet.height() });
        Ok(())
    }

    fn damaged_weight(&self) -> Result<Option<String>> {
        self.base.damaged_weight()
    }
}

/// What a checkpoint must agree with: everything that the numbers of a step depend on.
fn identity(masks: &LearnedMasks, options: &Options) -> Result<Identity> {
    let metadata = &masks.metadata;
    let config = serde_json::json!({
        "preset": serde_json::to_value(&metadata.preset).context("the preset as JSON")?,
        "templates": metadata.templates.sentences(),
        "types": metadata.kinds.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "resolution": metadata.resolution,
        "accumulate": options.accumulate,
    });
    Ok(Identity { task: "mask embeddings".into(), base_model: metadata.base_model.clone(), seed: metadata.seed, config })
}

fn optimiser(masks: &LearnedMasks, optimizer: &Optimizer) -> Result<AdamW> {
    AdamW::grouped(masks.parameters(), options_of(optimizer), |_| Group { learning_rate_factor: 1.0, weight_decay: None })
}

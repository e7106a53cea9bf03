//! A look at a run: the loss on fixed noise, and pictures of what the embeddings give so far.

use std::path::{Path, PathBuf};

use crate::anomaly::close_up::CloseUp;
use crate::anomaly::generation::{Generator, Job};
use crate::anomaly::inversion::{Example, Examples, Inversion};
use crate::anomaly::learned::Learned;
use crate::anomaly::presets::GenerationPreset;
use crate::anomaly::reweighting::{Mode, Reweighting};
use crate::autograd::Var;
use crate::data::dataset::Dataset;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::files;
use crate::models::base::BaseModel;
use crate::training::recorder::Recorder;
use crate::training::signals;
use crate::training::tensorboard;

/// Types that are shown: more would take longer than the steps between two looks.
const MOST_TYPES: usize = 6;
/// DDIM steps of a picture.
const STEPS: usize = 20;
/// Examples of the loss on fixed noise.
const FIXED: usize = 16;

/// What every look uses again.
pub(super) struct Validation<'a> {
    folder: PathBuf,
    base: &'a BaseModel,
    learned: &'a Learned,
    fixed: Vec<Example>,
    batch: usize,
    shown: Vec<Shown>,
}

/// One type's row.
struct Shown {
    kind: usize,
    example: Picture,
    mask: Mask,
    normal: Picture,
}

impl<'a> Validation<'a> {
    pub(super) fn new(folder: &Path, base: &'a BaseModel, learned: &'a Learned, dataset: &Dataset, examples: &Examples) -> Result<Self> {
        let side = learned.metadata.resolution;
        let mut shown = Vec::new();
        for (position, kind) in learned.metadata.kinds.iter().enumerate().take(MOST_TYPES) {
            let object = dataset.object(&kind.object)?;
            let sample = examples.first(position);
            // An object without normal pictures can be learned; its own defect picture stands in.
            let normal = match object.normals.first() {
                Some(path) => Picture::load(path)?.resized(side, side),
                None => sample.picture.clone(),
            };
            shown.push(Shown { kind: position, example: sample.picture, mask: sample.mask, normal });
        }
        let fixed = examples.draw("validation", 0, 0, FIXED);
        let batch = learned.metadata.preset.training.batch_size;
        Ok(Self { folder: folder.to_owned(), base, learned, fixed, batch, shown })
    }

    /// Records the loss and writes `validation/step-N.png`: a row a type of training picture, mask, normal picture, generated picture.
    pub(super) fn look(&self, step: u64, inversion: &Inversion, recorder: &mut Recorder) -> Result<()> {
        // Training must not notice that someone looked.
        self.learned.keeping_statistics(|| self.record(step, inversion, recorder))
    }

    fn record(&self, step: u64, inversion: &Inversion, recorder: &mut Recorder) -> Result<()> {
        record_fixed_noise(recorder, step, &self.fixed, self.batch, |first, part| inversion.loss("validation", 0, first, part))?;
        if self.shown.is_empty() {
            return Ok(());
        }
        let rows = self.shown.iter().map(|shown| self.row(shown)).collect::<Result<Vec<_>>>()?;
        let sheet = stitched(&rows);
        let folder = self.folder.join("validation");
        files::create_folder(&folder)?;
        let png = sheet.to_png()?;
        files::write_bytes_atomic(&folder.join(format!("step-{step:06}.png")), &png)?;
        recorder.image(step, "validation/pictures", &tensorboard::Picture { png: &png, width: sheet.width(), height: sheet.height() });
        Ok(())
    }

    fn row(&self, shown: &Shown) -> Result<[Picture; 4]> {
        let kind = self.learned.metadata.kinds[shown.kind].clone();
        let settings = GenerationPreset { steps: STEPS, reweighting: Reweighting::new(Mode::Off), ..self.learned.metadata.preset.generation.clone() };
        let feather = settings.pasted_feather();
        let generator = Generator::new(self.base, self.learned, kind, settings, self.learned.metadata.seed)?;
        let close_up = CloseUp::new(&shown.normal, &shown.mask, self.learned.metadata.preset.close_up);
        let spatial = generator.embed(&[&close_up.mask])?.remove(0);
        let job = Job { normal: close_up.normal.clone(), mask: close_up.mask.clone(), spatial, template: 0, look: Vec::new(), index: 0 };
        let drawn = generator.generate(&[job], 0, &signals::interrupted)?.remove(0).image;
        let generated = close_up.laid_back(&drawn, &shown.normal, &shown.mask, feather);
        Ok([shown.example.clone(), shown.mask.to_picture(), shown.normal.clone(), generated])
    }
}

/// Records the mean loss of `fixed` examples on noise that is always the same. They go through in batches of the training's size: a look takes no more memory
/// than a step.
pub(in crate::training) fn record_fixed_noise<T>(
    recorder: &mut Recorder,
    step: u64,
    fixed: &[T],
    batch: usize,
    mut loss: impl FnMut(u64, &[T]) -> Result<Var>,
) -> Result<()> {
    let mut sum = 0.0;
    for (number, part) in fixed.chunks(batch).enumerate() {
        sum += f64::from(loss((number * batch) as u64, part)?.item()?) * part.len() as f64;
    }
    recorder.scalars(step, "validation", vec![("fixed_noise_loss".to_owned(), sum / fixed.len() as f64)]);
    Ok(())
}

/// Pictures of one size, side by side and row below row.
pub(in crate::training) fn stitched(rows: &[[Picture; 4]]) -> Picture {
    let (width, height) = (rows[0][0].width(), rows[0][0].height());
    let mut pixels = Vec::with_capacity(3 * 4 * width * height * rows.len());
    for row in rows {
        for line in 0..height {
            row.iter().for_each(|picture| pixels.extend_from_slice(&picture.pixels()[3 * width * line..3 * width * (line + 1)]));
        }
    }
    Picture::from_parts(4 * width, height * rows.len(), pixels)
}

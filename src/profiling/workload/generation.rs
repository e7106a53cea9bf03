//! Whole images, as `anodiff generate` makes them: of a type that nobody learned, on noise in place of photographs.

use super::plan::{self, Op};
use super::{Pass, Workload};
use crate::anomaly::generation::{Generator, Job};
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::presets::{Preset, PresetName};
use crate::anomaly::reweighting::{Mode, Reweighting};
use crate::anomaly::templates::Templates;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::tensor::random::Sampler;

impl Workload {
    /// A batch of images; `exact` re-weights as the paper's Eq. 7 reads.
    pub(super) fn generation(&self, exact: bool) -> Result<Pass> {
        let (base, size, batch) = (self.source.model(self.placement)?, self.size, self.batch);
        let kind = Kind::new("plate", "dot");
        let preset = Preset::new(PresetName::Default);
        let mut settings = preset.generation.clone();
        settings.steps = self.steps.unwrap_or(settings.steps);
        if exact {
            // As in the paper, without guidance: the un-weighted pass and the weighted one.
            settings.reweighting = Reweighting::new(Mode::Paper);
            settings.guidance = 1.0;
        }
        let templates = Templates::built_in(preset.templates);
        let plan = self.generation_plan(settings.steps, exact || settings.guidance != 1.0, exact);
        let learned = Learned::create(&base, preset, templates, vec![kind.clone()], size, 0)?;
        let run = move || {
            let generator = Generator::new(&base, &learned, kind.clone(), settings.clone(), 0)?;
            let masks: Vec<Mask> = (0..batch).map(|index| mask(size, index)).collect();
            let spatial = generator.embed(&masks.iter().collect::<Vec<_>>())?;
            let jobs = masks.into_iter().zip(spatial).enumerate().map(|(index, (mask, spatial))| {
                let normal = picture(size, index as u64);
                Job { normal, mask, spatial, look: Vec::new(), template: 0, index: index as u64 }
            });
            generator.generate(&jobs.collect::<Vec<_>>(), 0, &|| None).map(drop)
        };
        Ok(Pass { gflop: self.gflop(&plan), plan, run: Box::new(run) })
    }

    /// The normal image's latent, the steps with one or two passes of the UNet and, where they take their weights from pixels, the decoder; the image.
    fn generation_plan(&self, steps: usize, two_passes: bool, decodes: bool) -> Vec<Op> {
        let cells = self.cells();
        let decoder = plan::vae_decoder(&self.vae, cells, cells);
        let mut step = plan::unet(&self.unet, cells, cells, self.tokens).repeat(if two_passes { 2 } else { 1 });
        if decodes {
            step.extend(&decoder);
        }
        [plan::vae_encoder(&self.vae, cells, cells), step.repeat(steps), decoder].concat()
    }
}

/// A disc of a sixth of the side around a place that differs from image to image.
fn mask(size: usize, index: usize) -> Mask {
    let (x, y) = (size / 4 + index * 7 % (size / 2).max(1), size / 4 + index * 13 % (size / 2).max(1));
    Mask::from_fn(size, size, |column, row| column.abs_diff(x).pow(2) + row.abs_diff(y).pow(2) <= (size / 6).max(1).pow(2))
}

fn picture(size: usize, index: u64) -> Picture {
    let mut sampler = Sampler::new(0, "measured picture", &[index]);
    Picture::from_parts(size, size, (0..size * size * 3).map(|_| sampler.range(-1.0, 1.0)).collect())
}

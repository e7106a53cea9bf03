//! Crop&Paste: "Few-shot defect segmentation leveraging abundant defect-free training samples through normal background regularization and
//! crop-and-paste operation" (Lin et al., 2021).

use super::paste::pasted;
use crate::data::augmentation::Sample;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::data::similarity::Similarity;
use crate::tensor::random::Sampler;

/// How much of a defect has to lie on the object, and draws until it does.
const ON_OBJECT: f32 = 0.9;
const DRAWS: usize = 10;

/// The defect of a real pair at a random place of the object on a normal picture, turned by any angle, scaled by 0.8 to 1.2, perhaps mirrored. `None`
/// when no draw put it into the picture.
pub(super) fn draw(normal: &Picture, object: &Mask, defect: &Sample, sampler: &mut Sampler) -> Option<Sample> {
    let area = defect.mask.bounding_box()?;
    let places: Vec<usize> = (0..object.pixels().len()).filter(|&index| object.pixels()[index]).collect();
    let mut best: Option<(f32, Sample)> = None;
    for _ in 0..DRAWS {
        let place = if places.is_empty() { sampler.below(object.pixels().len()) } else { *sampler.pick(&places) };
        let how = Similarity {
            from: area.middle(),
            to: [(place % object.width()) as f32, (place / object.width()) as f32],
            degrees: sampler.range(0.0, 360.0),
            scale: sampler.range(0.8, 1.2),
            mirrored: sampler.chance(0.5),
        };
        let sample = pasted(normal, &defect.picture, &defect.mask, how, |color| color);
        if sample.mask.is_empty() {
            continue;
        }
        let inside = sample.mask.intersection(object).area() as f32 / sample.mask.area() as f32;
        if best.as_ref().is_none_or(|(most, _)| inside > *most) {
            best = Some((inside, sample));
        }
        if inside >= ON_OBJECT {
            break;
        }
    }
    best.map(|(_, sample)| sample)
}

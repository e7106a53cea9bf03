//! Crop&Paste: "Few-shot defect segmentation leveraging abundant defect-free training samples through normal background regularization and
//! crop-and-paste operation" (Lin et al., 2021).

use super::paste::pasted;
use crate::data::augmentation::Sample;
use crate::data::mask::Mask;
use crate::data::mask_rules::{ON_OBJECT, best_on};
use crate::data::picture::Picture;
use crate::data::similarity::Similarity;
use crate::tensor::random::Sampler;

/// Draws until enough of a defect lies on the object.
const DRAWS: usize = 10;

/// The defect of a real pair at a random place of the object on a normal picture, turned by any angle, scaled by 0.8 to 1.2, perhaps mirrored. `None`
/// when no draw put it into the picture.
pub(super) fn draw(normal: &Picture, object: &Mask, defect: &Sample, sampler: &mut Sampler) -> Option<Sample> {
    let area = defect.mask.bounding_box()?;
    let places: Vec<usize> = (0..object.pixels().len()).filter(|&index| object.pixels()[index]).collect();
    let drawn = (0..DRAWS).map(|_| {
        let place = if places.is_empty() { sampler.below(object.pixels().len()) } else { *sampler.pick(&places) };
        let how = Similarity {
            from: area.middle(),
            to: [(place % object.width()) as f32, (place / object.width()) as f32],
            degrees: sampler.range(0.0, 360.0),
            scale: sampler.range(0.8, 1.2),
            mirrored: sampler.chance(0.5),
        };
        pasted(normal, &defect.picture, &defect.mask, how, |color| color)
    });
    best_on(object, ON_OBJECT, drawn.filter(|sample| !sample.mask.is_empty()), |sample| &sample.mask)
}

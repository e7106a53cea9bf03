//! DRAEM's anomalies: "DRAEM, a discriminatively trained reconstruction embedding for surface anomaly detection" (Zavrtanik et al., ICCV 2021).

use crate::data::augmentation::Sample;
use crate::data::drawing::{Noise, point};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::{Result, bail};
use crate::tensor::random::Sampler;

/// Draws until some noise is above the threshold; about one in five has none.
const DRAWS: usize = 100;
/// The noise, in [-1, 1], from which a pixel is a defect.
const THRESHOLD: f32 = 0.5;

/// `normal` with `texture`, three times recoloured, blended in at 20 to 100 % where the noise is high. Both have one size.
pub(super) fn draw(normal: &Picture, texture: &Picture, sampler: &mut Sampler) -> Result<Sample> {
    let mask = mask(normal.width(), normal.height(), sampler)?;
    let changes = [0; 3].map(|_| Change::draw(sampler));
    let kept = sampler.range(0.0, 0.8);
    let mut pixels = normal.pixels().to_vec();
    for (index, pixel) in pixels.chunks_exact_mut(3).enumerate().filter(|(index, _)| mask.pixels()[*index]) {
        let foreign = texture.pixel(index % normal.width(), index / normal.width());
        let foreign = changes.iter().fold(foreign.map(|x| (x + 1.0) / 2.0), |color, change| change.apply(color));
        pixel.iter_mut().zip(foreign).for_each(|(x, other)| *x = kept * *x + (1.0 - kept) * (2.0 * other - 1.0));
    }
    Ok(Sample { picture: Picture::from_parts(normal.width(), normal.height(), pixels), mask })
}

/// Perlin noise of 1 to 32 cells a side, turned by up to 90 degrees, above the threshold.
fn mask(width: usize, height: usize, sampler: &mut Sampler) -> Result<Mask> {
    for _ in 0..DRAWS {
        let noise = Noise::new(sampler.word());
        let cells = [0; 2].map(|_| (1 << sampler.below(6)) as f32);
        let turn = sampler.range(-90.0, 90.0).to_radians();
        let mask = Mask::from_fn(width, height, |column, row| {
            let p = point(column as f32 / width as f32 - 0.5, row as f32 / height as f32 - 0.5).rotated(turn);
            noise.gradient(point(cells[0] * p.x, cells[1] * p.y)) > THRESHOLD
        });
        if !mask.is_empty() && !mask.is_full() {
            return Ok(mask);
        }
    }
    bail!("no Perlin noise above {THRESHOLD} in {DRAWS} draws of {width}x{height} pixels")
}

/// A change of a texture's colours.
enum Change {
    /// x to the power of the channel's number, 0.5 to 2.
    Gamma([f32; 3]),
    /// Multiplied and added to.
    Brightness(f32, f32),
    /// Inverted above a value.
    Solarize(f32),
    /// Cut to a number of levels.
    Posterize(f32),
    /// All inverted.
    Invert,
    /// Channels exchanged: another hue.
    Exchange(usize),
}

impl Change {
    fn draw(sampler: &mut Sampler) -> Self {
        match sampler.below(6) {
            0 => Self::Gamma([0; 3].map(|_| sampler.range(0.5, 2.0))),
            1 => Self::Brightness(sampler.range(0.8, 1.2), sampler.range(-0.12, 0.12)),
            2 => Self::Solarize(sampler.range(0.125, 0.5)),
            3 => Self::Posterize((2 << sampler.below(4)) as f32),
            4 => Self::Invert,
            _ => Self::Exchange(1 + sampler.below(2)),
        }
    }

    /// Of values in [0, 1].
    fn apply(&self, color: [f32; 3]) -> [f32; 3] {
        match *self {
            Self::Gamma(powers) => std::array::from_fn(|k| color[k].powf(powers[k])),
            Self::Brightness(factor, offset) => color.map(|x| (x * factor + offset).clamp(0.0, 1.0)),
            Self::Solarize(threshold) => color.map(|x| if x > threshold { 1.0 - x } else { x }),
            Self::Posterize(levels) => color.map(|x| ((x * levels).floor() / (levels - 1.0)).min(1.0)),
            Self::Invert => color.map(|x| 1.0 - x),
            Self::Exchange(by) => std::array::from_fn(|k| color[(k + by) % 3]),
        }
    }
}

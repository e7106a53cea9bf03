//! A defect seen closely: the square around its mask, magnified to the whole picture's size, is what the base model learns and draws. There a defect
//! spans several times as many latent cells as in the whole picture, so that it fills its mask and keeps its colour, and what is smaller than a cell of
//! the whole picture has room.

use crate::anomaly::paste::paste;
use crate::data::augmentation::{Sample, magnified};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::data::rectangle::Rectangle;
use crate::tensor::random::Sampler;

/// Least side of a close-up over the longer side of the mask's bounding box.
const ROOM: f64 = 1.5;

/// A training pair seen closely: at most `most` times as large, up to a fifth more or less, the mask anywhere in it. 1 is the pair as it is.
pub fn random(sample: &Sample, most: f64, sampler: &mut Sampler) -> Sample {
    if most <= 1.0 {
        return sample.clone();
    }
    let closer = most * f64::from(sampler.range(0.8, 1.2));
    let place = [0; 2].map(|_| f64::from(sampler.range(0.0, 1.0)));
    magnified(&sample.picture, &sample.mask, area(&sample.mask, closer.max(1.0), place))
}

/// What a defect is drawn on: the square around a mask on a normal picture.
#[derive(Clone, Debug)]
pub struct CloseUp {
    area: Rectangle,
    /// The normal picture there, of the whole picture's size.
    pub normal: Picture,
    /// The mask on it.
    pub mask: Mask,
}

impl CloseUp {
    /// With the mask in the middle, as far as the picture's border allows, at most `most` times as large; the whole picture for 1.
    pub fn new(normal: &Picture, mask: &Mask, most: f64) -> Self {
        let area = area(mask, most, [0.5; 2]);
        let Sample { picture, mask } = magnified(normal, mask, area);
        Self { area, normal: picture, mask }
    }

    /// The whole picture with what was drawn in the close-up. With `feather` only the mask and its soft edge are changed; without, all
    /// of the close-up. A close-up of the whole picture is left as it was drawn.
    pub fn laid_back(&self, drawn: &Picture, normal: &Picture, mask: &Mask, feather: Option<f64>) -> Picture {
        let (width, area) = (normal.width(), self.area);
        if (area.width, area.height) == (width, normal.height()) {
            return drawn.clone();
        }
        let small = drawn.resized(area.width, area.height);
        let mut pixels = normal.pixels().to_vec();
        for (row, line) in small.pixels().chunks_exact(3 * area.width).enumerate() {
            let first = 3 * ((area.top + row) * width + area.left);
            pixels[first..first + line.len()].copy_from_slice(line);
        }
        let whole = Picture::from_parts(width, normal.height(), pixels);
        match feather {
            Some(feather) => paste(&whole, normal, mask, feather),
            None => whole,
        }
    }
}

/// The square around a mask that may be magnified `most` times; the whole picture when that is not larger. `place` is where the mask lies in the room
/// that it leaves, 0 to 1 along each axis, as far as the picture's border allows.
fn area(mask: &Mask, most: f64, place: [f64; 2]) -> Rectangle {
    let (width, height) = (mask.width(), mask.height());
    let whole = Rectangle { left: 0, top: 0, width, height };
    let Some(defect) = mask.bounding_box() else { return whole };
    let shorter = width.min(height);
    let side = (ROOM * defect.width.max(defect.height) as f64).max(shorter as f64 / most).ceil() as usize;
    if side >= shorter {
        return whole;
    }
    let first = |start: usize, length: usize, size: usize, place: f64| {
        let before = (place * (side - length) as f64).round() as usize;
        start.saturating_sub(before).min(size - side)
    };
    let (left, top) = (first(defect.left, defect.width, width, place[0]), first(defect.top, defect.height, height, place[1]));
    Rectangle { left, top, width: side, height: side }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(side: usize) -> Picture {
        let mut sampler = Sampler::new(3, "noise", &[]);
        Picture::from_parts(side, side, (0..3 * side * side).map(|_| sampler.range(-1.0, 1.0)).collect())
    }

    fn spot(side: usize, left: usize, top: usize, size: usize) -> Mask {
        Mask::from_fn(side, side, |column, row| (left..left + size).contains(&column) && (top..top + size).contains(&row))
    }

    #[test]
    fn a_small_defect_is_magnified_as_often_as_allowed_and_a_large_one_less() {
        let share = |size: usize, most: f64| CloseUp::new(&noise(96), &spot(96, 20, 10, size), most).mask.share().sqrt();
        assert!((share(8, 3.0) - 3.0 * 8.0 / 96.0).abs() < 0.01, "three times");
        assert!((share(40, 3.0) - 1.0 / 1.5).abs() < 0.01, "a third of the side is room");
        assert!((share(70, 3.0) - 70.0 / 96.0).abs() < 1e-6, "not at all");
    }

    #[test]
    fn one_is_the_whole_picture() {
        let (normal, mask) = (noise(48), spot(48, 0, 40, 6));
        let close_up = CloseUp::new(&normal, &mask, 1.0);
        assert_eq!((&close_up.normal, &close_up.mask), (&normal, &mask));
        let drawn = noise(48).flipped_horizontally();
        assert_eq!(close_up.laid_back(&drawn, &normal, &mask, None), drawn);
        let sample = Sample { picture: normal, mask };
        assert_eq!(random(&sample, 1.0, &mut Sampler::new(0, "unused", &[])), sample);
    }

    #[test]
    fn the_mask_is_whole_in_every_close_up() {
        let mut sampler = Sampler::new(1, "close-ups", &[]);
        for _ in 0..200 {
            let (left, top, size) = (sampler.below(64), sampler.below(64), 1 + sampler.below(32));
            let sample = Sample { picture: noise(96), mask: spot(96, left, top, size) };
            let seen = random(&sample, 3.0, &mut sampler);
            let area = seen.mask.bounding_box().unwrap();
            // A square stays one, at least as large as it was; a pixel's width may go to either side.
            assert!(area.width.abs_diff(area.height) <= 4 && area.width + 2 >= size, "{size}: {area:?}");
            // Rounding may cost a corner.
            assert!(seen.mask.area() + 4 >= area.width * area.height, "{size}: holes");
        }
    }

    #[test]
    fn laying_back_changes_the_mask_and_nothing_beyond_its_soft_edge() {
        let (normal, mask) = (noise(96), spot(96, 50, 20, 12));
        let close_up = CloseUp::new(&normal, &mask, 3.0);
        let drawn = Picture::from_parts(96, 96, vec![0.5; 3 * 96 * 96]);
        let laid = close_up.laid_back(&drawn, &normal, &mask, Some(1.0 / 48.0));
        let near = mask.dilated(2);
        for pixel in 0..96 * 96 {
            let (new, old) = (&laid.pixels()[3 * pixel..3 * pixel + 3], &normal.pixels()[3 * pixel..3 * pixel + 3]);
            assert!(!mask.pixels()[pixel] || new.iter().all(|x| (x - 0.5).abs() < 0.01), "inside the mask stands what was drawn");
            assert!(near.pixels()[pixel] || new == old, "far from it the normal picture");
        }
        let all = close_up.laid_back(&drawn, &normal, &mask, None);
        let changed = all.pixels().iter().zip(normal.pixels()).filter(|(new, old)| new != old).count();
        assert_eq!(changed, 3 * 32 * 32, "the close-up is a third of the picture's side");
    }

    /// What stays as it was comes back as it was, but for what resampling costs.
    #[test]
    fn there_and_back_is_nearly_the_same() {
        let smooth = noise(12).resized(96, 96);
        let mask = spot(96, 10, 70, 10);
        let close_up = CloseUp::new(&smooth, &mask, 3.0);
        let back = close_up.laid_back(&close_up.normal, &smooth, &mask, None);
        let worst = back.pixels().iter().zip(smooth.pixels()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 0.05, "{worst}");
    }
}

//! What a usable mask looks like, and how a rough one is made usable: for masks that a network drew.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::mask::Mask;
use crate::tensor::random::Sampler;

/// How much of a mask has to lie on the object.
pub const ON_OBJECT: f32 = 0.9;
/// The released program rejects a mask that sets more than this share of a border line.
const MOST_OF_BORDER: f32 = 1.0 / 3.0;
/// Places that are tried for a mask that misses the object.
const SHIFTS: usize = 20;

/// Why a mask is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No pixel is set.
    Empty,
    /// Every pixel is set.
    Full,
    /// Fewer pixels than real masks have.
    TooSmall,
    /// More pixels than real masks have.
    TooLarge,
    /// A border line is set over too much of its length.
    OnBorder,
    /// Too little of it lies on the object, wherever it is put.
    OffObject,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "empty",
            Self::Full => "full",
            Self::TooSmall => "too small",
            Self::TooLarge => "too large",
            Self::OnBorder => "on the border",
            Self::OffObject => "off the object",
        })
    }
}

/// The rules for masks of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskRules {
    /// Radius in pixels of the closing that joins crumbs and fills pinholes; 0 for none.
    pub closing: usize,
    /// Parts smaller than this share of the largest part are removed.
    pub smallest_part: f32,
    /// Fewest pixels, at least 1.
    pub least: usize,
    /// Most pixels, fewer than all.
    pub most: usize,
    /// The largest set share of each of the four border lines.
    pub border: f32,
    /// The least share of the pixels that lies on the object; 0 to leave masks where they are.
    pub on_object: f32,
}

impl MaskRules {
    /// The released program's rules for masks of `pixels` pixels: its border rule, neither empty nor full, and no cleaning.
    pub fn released(pixels: usize) -> Self {
        Self { closing: 0, smallest_part: 0.0, least: 1, most: pixels.saturating_sub(1), border: MOST_OF_BORDER, on_object: 0.0 }
    }

    /// Cleaning, placing, and limits from real masks of the same size: areas from half of the smallest to twice the largest, and as much of a border
    /// line as a real mask sets where that is more than a third. Empty and full masks do not count.
    pub fn of_real_masks(pixels: usize, real: &[Mask]) -> Self {
        let real: Vec<&Mask> = real.iter().filter(|mask| !mask.is_empty() && !mask.is_full()).collect();
        let areas = || real.iter().map(|mask| mask.area());
        let plain = Self::released(pixels);
        let most = areas().max().map_or(plain.most, |most| (2 * most).min(plain.most));
        Self {
            closing: 1,
            smallest_part: 0.1,
            least: areas().min().map_or(1, |least| least.div_ceil(2)).min(most).max(1),
            most,
            border: real.iter().map(|mask| share_of_border(mask)).fold(MOST_OF_BORDER, f32::max),
            on_object: ON_OBJECT,
        }
    }

    /// Closed, and without small parts. An empty mask stays empty.
    pub fn cleaned(&self, mask: &Mask) -> Mask {
        let closed = if self.closing > 0 { mask.dilated(self.closing).eroded(self.closing) } else { mask.clone() };
        if self.smallest_part <= 0.0 {
            return closed;
        }
        let regions = closed.regions();
        let largest = regions.iter().map(Vec::len).max().unwrap_or(0) as f32;
        let mut pixels = vec![false; closed.pixels().len()];
        for region in regions.iter().filter(|region| region.len() as f32 >= self.smallest_part * largest) {
            region.iter().for_each(|&index| pixels[index] = true);
        }
        Mask::from_parts(closed.width(), closed.height(), pixels)
    }

    /// What is wrong with the mask by itself, if anything.
    pub fn fault(&self, mask: &Mask) -> Option<Fault> {
        let area = mask.area();
        if area == 0 {
            Some(Fault::Empty)
        } else if area == mask.pixels().len() {
            Some(Fault::Full)
        } else if area < self.least {
            Some(Fault::TooSmall)
        } else if area > self.most {
            Some(Fault::TooLarge)
        } else if share_of_border(mask) > self.border + 1e-6 {
            Some(Fault::OnBorder)
        } else {
            None
        }
    }

    /// A rough mask made usable: cleaned, checked, moved onto `object` (a mask of the same size) where it misses it, cut to it where it still sticks
    /// out too far, and checked again.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn usable(&self, rough: &Mask, object: &Mask, sampler: &mut Sampler) -> Result<Mask, Fault> {
        let cleaned = self.cleaned(rough);
        if let Some(fault) = self.fault(&cleaned) {
            return Err(fault);
        }
        let placed = placed(&cleaned, object, self.on_object, sampler);
        let placed = if share_on(&placed, object) < self.on_object { self.cleaned(&placed.intersection(object)) } else { placed };
        match self.fault(&placed) {
            None if share_on(&placed, object) >= self.on_object => Ok(placed),
            // Cutting to the object left too little, or cleaning closed it over the object's edge.
            None | Some(Fault::Empty | Fault::TooSmall) => Err(Fault::OffObject),
            Some(fault) => Err(fault),
        }
    }
}

/// The mask where it is, or at the first of some random places where at least `share` of it lies on the object, or at the best of them.
pub fn placed(mask: &Mask, object: &Mask, share: f32, sampler: &mut Sampler) -> Mask {
    let Some(extent) = mask.bounding_box() else { return mask.clone() };
    let moved = (0..SHIFTS).map(|_| {
        let (left, top) = (sampler.below(mask.width() - extent.width + 1), sampler.below(mask.height() - extent.height + 1));
        mask.shifted_to(left, top)
    });
    best_on(object, share, std::iter::once(mask.clone()).chain(moved), |mask| mask).unwrap_or_else(|| mask.clone())
}

/// The first candidate whose mask lies on the object with at least `share` of its pixels, or the one that does so most; no further one is drawn.
pub fn best_on<T>(object: &Mask, share: f32, candidates: impl IntoIterator<Item = T>, mask: impl Fn(&T) -> &Mask) -> Option<T> {
    let mut best: Option<(f32, T)> = None;
    for candidate in candidates {
        let inside = share_on(mask(&candidate), object);
        if best.as_ref().is_none_or(|(most, _)| inside > *most) {
            best = Some((inside, candidate));
        }
        if inside >= share {
            break;
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The share of a mask that lies on an object; 0 of an empty one.
pub fn share_on(mask: &Mask, object: &Mask) -> f32 {
    mask.intersection(object).area() as f32 / mask.area().max(1) as f32
}

/// The largest set share of the four border lines.
fn share_of_border(mask: &Mask) -> f32 {
    let (width, height) = (mask.width(), mask.height());
    let row = |row: usize| (0..width).filter(|&column| mask.at(column, row)).count() as f32 / width as f32;
    let column = |column: usize| (0..height).filter(|&row| mask.at(column, row)).count() as f32 / height as f32;
    row(0).max(row(height - 1)).max(column(0)).max(column(width - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::drawing::Noise;

    /// A random rough mask: thresholded noise with salt, from nearly empty to nearly full.
    fn rough(width: usize, height: usize, sampler: &mut Sampler) -> Mask {
        let noise = Noise::new(sampler.word());
        let (grain, level, salt) = (sampler.range(0.02, 0.4), sampler.range(-0.6, 0.6), sampler.range(0.0, 0.05));
        let speckled: Vec<bool> = (0..width * height).map(|_| sampler.chance(salt)).collect();
        Mask::from_fn(width, height, |column, row| {
            let point = crate::data::drawing::point(column as f32 * grain, row as f32 * grain);
            (noise.fbm(point, 3) > level) != speckled[row * width + column]
        })
    }

    fn disc(width: usize, height: usize, radius: f32, sampler: &mut Sampler) -> Mask {
        let (x, y) = (sampler.range(0.0, width as f32), sampler.range(0.0, height as f32));
        let disc = Mask::from_fn(width, height, |column, row| (column as f32 - x).hypot(row as f32 - y) <= radius);
        if disc.is_empty() { disc.inverted() } else { disc }
    }

    /// Over thousands of random inputs: what is accepted obeys every rule, and nothing panics.
    #[test]
    fn what_is_usable_obeys_the_rules() {
        let (mut accepted, mut faults) = (0, std::collections::BTreeSet::new());
        for seed in 0..6000 {
            let mut sampler = Sampler::new(seed, "mask rules", &[]);
            let (width, height) = (8 + sampler.below(32), 8 + sampler.below(32));
            let real: Vec<Mask> = (0..sampler.below(4))
                .map(|_| {
                    let radius = sampler.range(1.0, 8.0);
                    disc(width, height, radius, &mut sampler)
                })
                .collect();
            let rules = if sampler.chance(0.2) { MaskRules::released(width * height) } else { MaskRules::of_real_masks(width * height, &real) };
            assert!(rules.least >= 1 && rules.least <= rules.most && rules.most < width * height, "{rules:?}");
            let radius = sampler.range(2.0, 20.0);
            let object = disc(width, height, radius, &mut sampler);
            match rules.usable(&rough(width, height, &mut sampler), &object, &mut sampler) {
                Ok(mask) => {
                    accepted += 1;
                    assert_eq!((mask.width(), mask.height()), (width, height));
                    assert!(!mask.is_empty() && !mask.is_full(), "{mask:?}");
                    assert!((rules.least..=rules.most).contains(&mask.area()), "{mask:?} under {rules:?}");
                    assert!(share_of_border(&mask) <= rules.border + 1e-6, "{mask:?} under {rules:?}");
                    assert!(share_on(&mask, &object) >= rules.on_object, "{mask:?} on {object:?}");
                }
                Err(fault) => drop(faults.insert(fault)),
            }
        }
        assert!(accepted > 300, "only {accepted} of 6000 were accepted");
        assert!(faults.len() >= 5, "only {faults:?} were met");
    }

    #[test]
    fn cleaning_closes_gaps_and_drops_specks() {
        // A bar with a one-pixel gap, a pinhole, and a speck far away.
        let mask = Mask::from_fn(30, 20, |x, y| ((5..9).contains(&y) && (3..20).contains(&x) && x != 11 && (x, y) != (6, 6)) || (x, y) == (27, 17));
        let rules = MaskRules::of_real_masks(600, &[Mask::from_fn(30, 20, |x, y| x < 6 && y < 6)]);
        let clean = Mask::from_fn(30, 20, |x, y| (5..9).contains(&y) && (3..20).contains(&x));
        assert_eq!(rules.cleaned(&mask), clean);
        assert_eq!((rules.least, rules.most), (18, 72));
        assert_eq!(rules.border, MOST_OF_BORDER, "6 of 30 and 6 of 20 are no more than a third");
        assert_eq!(MaskRules::released(600).cleaned(&mask), mask);
    }

    #[test]
    fn a_mask_beside_the_object_is_moved_onto_it() {
        let object = Mask::from_fn(40, 40, |x, y| x >= 20 && y >= 20);
        let rough = Mask::from_fn(40, 40, |x, y| (2..6).contains(&x) && (2..6).contains(&y));
        let rules = MaskRules::of_real_masks(1600, std::slice::from_ref(&rough));
        let placed = rules.usable(&rough, &object, &mut Sampler::new(1, "placing", &[])).unwrap();
        assert!(share_on(&placed, &object) >= ON_OBJECT);
        let dot = Mask::from_fn(40, 40, |x, y| (x, y) == (30, 30));
        assert_eq!(rules.usable(&rough, &dot, &mut Sampler::new(1, "placing", &[])), Err(Fault::OffObject));
        assert_eq!(rules.usable(&object, &object, &mut Sampler::new(1, "placing", &[])), Err(Fault::TooLarge));
        let edge = Mask::from_fn(40, 40, |x, y| y == 0 && x < 20);
        assert_eq!(MaskRules::released(1600).usable(&edge, &object, &mut Sampler::new(1, "placing", &[])), Err(Fault::OnBorder));
    }
}

//! Where the object is on a normal picture: a simple estimate that lets masks be placed on it.

mod ground;

use rayon::prelude::*;

use crate::data::mask::{CellRule, Mask};
use crate::data::picture::Picture;
use ground::Ground;

/// Pictures are looked at with at most this many pixels a side; details finer than that are texture, not outline.
const SIDE: usize = 128;
/// Least share of the variance that two classes must explain for an object to stand out.
const LEAST_SEPARATION: f32 = 0.55;
/// The least distance of an object's colours to the background's shades; colours are from 0 to 1.
const LEAST_HUE: f32 = 0.025;
/// An object that keeps less than this share without what may be its shadow has the background's own hue, and is kept as it was.
const LEAST_LIT: f32 = 0.5;
/// A background whose border shows more object than this is no background.
const MOST_OBJECT_ON_BORDER: f32 = 0.35;

/// The pixels that differ from the picture's border in colour: the object in front of an even background.
///
/// The border's median colour stands for the background; Otsu's threshold on the distance to it splits the picture, and specks and pinholes
/// are removed, and so is the object's shadow: the background's own colour, darker. Where nothing stands out (leather, cloth, an object that fills the frame) every pixel is foreground. Never empty.
pub fn foreground(picture: &Picture) -> Mask {
    let (width, height) = (picture.width(), picture.height());
    let small = picture.resized(width.min(SIDE), height.min(SIDE));
    let everything = || Mask::empty(width, height).inverted();
    let distances = distances(&small);
    let separation = Separation::of(&distances);
    if separation.share < LEAST_SEPARATION {
        return everything();
    }
    // Otsu's threshold parts the most different colour; the object's other colours may be nearer to the background. What the background itself
    // reaches (as its border shows) bounds the threshold from below.
    let threshold = (separation.threshold * background_reach(&small, &distances)).sqrt().min(separation.threshold);
    let differs = Mask::from_fn(small.width(), small.height(), |column, row| distances[row * small.width() + column] > threshold);
    let object = without_small_holes(&differs.dilated(2).eroded(3).dilated(1));
    let share = object.share();
    if object.is_empty() || !(0.02..=0.95).contains(&share) || share_on_border(&object) > MOST_OBJECT_ON_BORDER {
        return everything();
    }
    without_shadow(&small, object).resized(width, height, CellRule::Share(0.5))
}

/// The object without what looks like a shade of the background.
fn without_shadow(picture: &Picture, object: Mask) -> Mask {
    let (width, height) = (picture.width(), picture.height());
    let border = border(width, height);
    let ground = Ground::of(picture, &border);
    let hues = smoothed(width, height, |index| ground.distance_to_shades(index, ground::color(picture, index)));
    let threshold = (1.2 * quantile(border.iter().map(|&index| hues[index]), 0.98)).max(LEAST_HUE);
    let lit = object.intersection(&Mask::from_fn(width, height, |column, row| hues[row * width + column] > threshold));
    // Gleams and prints on it may be of the background's hue, too.
    let lit = without_small_holes(&lit.dilated(3).eroded(3)).intersection(&object).eroded(1).dilated(1);
    if (lit.area() as f32) < LEAST_LIT * object.area() as f32 { object } else { lit }
}

/// The pixels that are foreground on at least half of the pictures, which must be of one size: for objects that lie still.
///
/// Pictures of another size than the first are left out; `None` without pictures; every pixel when no pixel has a majority.
pub fn common_foreground(pictures: &[Picture]) -> Option<Mask> {
    let first = pictures.first()?;
    let (width, height) = (first.width(), first.height());
    let same: Vec<&Picture> = pictures.iter().filter(|picture| (picture.width(), picture.height()) == (width, height)).collect();
    let masks: Vec<Mask> = same.par_iter().map(|picture| foreground(picture)).collect();
    let votes = |index: usize| masks.iter().filter(|mask| mask.pixels()[index]).count();
    let common = Mask::from_fn(width, height, |column, row| 2 * votes(row * width + column) >= masks.len());
    Some(if common.is_empty() { common.inverted() } else { common })
}

/// The distance of each pixel to the border's median colour, smoothed over 3x3 pixels.
fn distances(picture: &Picture) -> Vec<f32> {
    let (width, height) = (picture.width(), picture.height());
    let border = border(width, height);
    let background: [f32; 3] = std::array::from_fn(|channel| quantile(border.iter().map(|index| picture.pixels()[3 * index + channel]), 0.5));
    let away: Vec<f32> =
        picture.pixels().chunks(3).map(|pixel| pixel.iter().zip(background).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt()).collect();
    smoothed(width, height, |index| away[index])
}

/// Means over 3x3 pixels.
fn smoothed(width: usize, height: usize, value: impl Fn(usize) -> f32) -> Vec<f32> {
    let values: Vec<f32> = (0..width * height).map(value).collect();
    let mean = |index: usize| {
        let (column, row) = (index % width, index / width);
        let (mut sum, mut count) = (0.0, 0.0);
        for y in row.saturating_sub(1)..(row + 2).min(height) {
            for x in column.saturating_sub(1)..(column + 2).min(width) {
                sum += values[y * width + x];
                count += 1.0;
            }
        }
        sum / count
    };
    (0..width * height).map(mean).collect()
}

/// Otsu, "A threshold selection method from gray-level histograms", 1979.
struct Separation {
    threshold: f32,
    /// Between-class variance over total variance, 0 to 1.
    share: f32,
}

impl Separation {
    fn of(values: &[f32]) -> Self {
        const BINS: usize = 128;
        let largest = values.iter().copied().fold(0.0, f32::max).max(1e-6);
        let mut histogram = [0_usize; BINS];
        values.iter().for_each(|x| histogram[((x / largest * BINS as f32) as usize).min(BINS - 1)] += 1);
        let count = values.len() as f64;
        let level = |bin: usize| (bin as f64 + 0.5) / BINS as f64;
        let mean = histogram.iter().enumerate().map(|(bin, &n)| n as f64 * level(bin)).sum::<f64>() / count;
        let variance = histogram.iter().enumerate().map(|(bin, &n)| n as f64 * (level(bin) - mean).powi(2)).sum::<f64>() / count;
        let (mut below, mut moment, mut best) = (0.0, 0.0, (0, 0.0));
        for (bin, &n) in histogram.iter().enumerate().take(BINS - 1) {
            below += n as f64 / count;
            moment += n as f64 * level(bin) / count;
            let between = if below > 0.0 && below < 1.0 { (mean * below - moment).powi(2) / (below * (1.0 - below)) } else { 0.0 };
            if between > best.1 {
                best = (bin, between);
            }
        }
        Self { threshold: (best.0 + 1) as f32 / BINS as f32 * largest, share: if variance > 0.0 { (best.1 / variance) as f32 } else { 0.0 } }
    }
}

fn share_on_border(mask: &Mask) -> f32 {
    let border = border(mask.width(), mask.height());
    border.iter().filter(|&&index| mask.pixels()[index]).count() as f32 / border.len() as f32
}

/// Fills patches of background that are enclosed and small beside the object: highlights and prints, not the hole of a washer.
fn without_small_holes(object: &Mask) -> Mask {
    const MOST_OF_OBJECT: f32 = 0.1;
    let (width, height) = (object.width(), object.height());
    let most = (MOST_OF_OBJECT * object.area() as f32) as usize;
    let mut filled = object.pixels().to_vec();
    let mut seen = filled.clone();
    for start in 0..width * height {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let (mut patch, mut next) = (vec![start], 0);
        while let Some(&index) = patch.get(next) {
            next += 1;
            let (column, row) = (index % width, index / width);
            let beside = [(column > 0, 1, 0), (row > 0, width, 0), (column + 1 < width, 0, 1), (row + 1 < height, 0, width)];
            for (_, back, forth) in beside.into_iter().filter(|(inside, ..)| *inside) {
                let neighbour = index + forth - back;
                if !seen[neighbour] {
                    seen[neighbour] = true;
                    patch.push(neighbour);
                }
            }
        }
        if patch.len() <= most {
            patch.into_iter().for_each(|index| filled[index] = true);
        }
    }
    Mask::from_parts(width, height, filled)
}

/// How far the background's own pixels are from its median colour.
fn background_reach(picture: &Picture, distances: &[f32]) -> f32 {
    quantile(border(picture.width(), picture.height()).iter().map(|&index| distances[index]), 0.9)
}

/// The indices of the pixels in a narrow band along the border; at least one.
fn border(width: usize, height: usize) -> Vec<usize> {
    let band = (width.min(height) / 24).max(1);
    let outside = |position: usize, size: usize| position < band || position + band >= size;
    (0..width * height).filter(|index| outside(index % width, width) || outside(index / width, height)).collect()
}

/// The value below which a share of the values lies; there must be one.
fn quantile(values: impl Iterator<Item = f32>, share: f32) -> f32 {
    let mut sorted: Vec<f32> = values.collect();
    sorted.sort_by(f32::total_cmp);
    sorted[((sorted.len() - 1) as f32 * share) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::demo::{Plan, THINGS};
    use crate::data::drawing::{Canvas, Color, Film, Noise, point, sdf};

    fn overlap(a: &Mask, b: &Mask) -> f32 {
        a.intersection(b).area() as f32 / a.union(b).area() as f32
    }

    #[test]
    fn an_object_on_an_even_ground_is_found() {
        for (ground, object) in [(0.05, 0.6), (0.8, 0.2)] {
            let mut canvas = Canvas::new(200, 150, 2, Color::gray(ground));
            canvas.paint(|p, below| below.mix(Color::gray(object), sdf::coverage(sdf::circle(p - point(0.1, -0.05), 0.25), 0.003)));
            let picture = canvas.develop(&Film { grain: 0.02, ..Film::NEUTRAL });
            let truth = Mask::from_fn(200, 150, |column, row| (column as f32 - 114.5).hypot(row as f32 - 67.0) < 37.5);
            let found = foreground(&picture);
            assert!(overlap(&found, &truth) > 0.9, "{found:?} of {truth:?}");
        }
    }

    #[test]
    fn texture_is_foreground_everywhere() {
        let noise = Noise::new(4);
        let mut canvas = Canvas::new(96, 96, 1, Color::BLACK);
        canvas.paint(|p, _| Color::gray(0.3 + 0.2 * noise.fbm(p * 20.0, 3)));
        assert!(foreground(&canvas.finish()).is_full());
        assert!(foreground(&Picture::from_parts(1, 1, vec![0.0; 3])).is_full());
        assert!(foreground(&Picture::from_parts(3, 200, vec![0.5; 1800])).is_full());
    }

    /// A disc of another hue than the ground, and one of the ground's own, both with their shadows.
    #[test]
    fn a_shadow_is_no_object() {
        let disc = |x: f32, column: usize, row: usize| (column as f32 - x).hypot(row as f32 - 64.0) < 28.0;
        let picture = |object: [f32; 3]| {
            let pixels = (0..128 * 128).flat_map(|index| {
                let (column, row) = (index % 128, index / 128);
                let light = 0.6 + 0.001 * column as f32;
                let color = if disc(54.0, column, row) {
                    object
                } else {
                    [1.0, 0.98, 0.95].map(|share| share * if disc(66.0, column, row) { 0.7 * light } else { light })
                };
                color.map(|value| 2.0 * value - 1.0)
            });
            Picture::from_parts(128, 128, pixels.collect())
        };
        let truth = Mask::from_fn(128, 128, |column, row| disc(54.0, column, row));
        let found = foreground(&picture([0.6, 0.2, 0.15]));
        assert!(overlap(&found, &truth) > 0.93, "{} of {}", found.area(), truth.area());
        // Of the ground's own hue: what is darker may be a shadow, but then nothing would be left.
        let dark = foreground(&picture([0.42, 0.412, 0.4]));
        assert!(truth.intersection(&dark).area() as f32 > 0.95 * truth.area() as f32, "{dark:?}");
    }

    /// The demo's things: the capsule and the washer stand out (about their areas), leather fills the frame.
    #[test]
    fn the_demos_things_are_found() {
        for thing in &THINGS {
            for index in 0..4 {
                let share = foreground(&thing.normal(&Plan::default(), index)).share();
                let expected = match thing.name {
                    "capsule" => 0.20..0.26,
                    "washer" => 0.34..0.46,
                    _ => 1.0..1.01,
                };
                assert!(expected.contains(&share), "{} {index}: {share}", thing.name);
            }
        }
    }

    #[test]
    fn common_foreground_is_the_majority() {
        assert!(common_foreground(&[]).is_none());
        let flat = Picture::from_parts(8, 8, vec![0.0; 192]);
        assert!(common_foreground(&[flat]).unwrap().is_full());
    }
}

//! The background of a picture, as its border shows it: what it looks like everywhere, and what is only its shadow.

use crate::data::picture::Picture;

/// How dark a shadow and how bright a gleam of the background may be, as multiples of its colour.
const SHADES: [f32; 2] = [0.5, 1.1];
/// Fits of the planes; each leaves out what lies far from the one before.
const ROUNDS: usize = 3;
/// Pixels that lie further from the planes than so many median distances are no background.
const FAR: f32 = 3.0;

/// An evenly lit background: in each channel a plane over the picture, of colours from 0 to 1.
#[derive(Debug)]
pub(super) struct Ground {
    /// Value at the first pixel, slope along columns and along rows, of red, green and blue.
    planes: [[f64; 3]; 3],
    width: usize,
}

impl Ground {
    /// That of the pixels at `border`, of which some may be the object's: least squares, with what lies far away left out. Level where they say too
    /// little for a slope.
    pub(super) fn of(picture: &Picture, border: &[usize]) -> Self {
        let width = picture.width();
        let mut used = border.to_vec();
        let mut ground = Self { planes: [[0.0; 3]; 3], width };
        for _ in 0..ROUNDS {
            ground.planes = std::array::from_fn(|channel| plane(&used, width, |index| f64::from(color(picture, index)[channel])));
            let distance = |index: usize| distance(color(picture, index), ground.at(index));
            let mut distances: Vec<f32> = border.iter().map(|&index| distance(index)).collect();
            distances.sort_by(f32::total_cmp);
            let most = FAR * distances[distances.len() / 2] + f32::EPSILON;
            used = border.iter().copied().filter(|&index| distance(index) <= most).collect();
        }
        ground
    }

    fn at(&self, index: usize) -> [f32; 3] {
        let (column, row) = ((index % self.width) as f64, (index / self.width) as f64);
        self.planes.map(|[level, across, down]| (level + across * column + down * row) as f32)
    }

    /// How far a colour (0 to 1) at a pixel is from the nearest shade of the background there.
    pub(super) fn distance_to_shades(&self, index: usize, color: [f32; 3]) -> f32 {
        let ground = self.at(index);
        let product = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let shade = (product(color, ground) / product(ground, ground).max(1e-6)).clamp(SHADES[0], SHADES[1]);
        distance(color, ground.map(|value| shade * value))
    }
}

/// The colour of a pixel, from 0 to 1.
pub(super) fn color(picture: &Picture, index: usize) -> [f32; 3] {
    std::array::from_fn(|channel| 0.5 + 0.5 * picture.pixels()[3 * index + channel])
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt()
}

/// The plane through the values at some pixels with the least squared error, by its normal equations.
fn plane(pixels: &[usize], width: usize, value: impl Fn(usize) -> f64) -> [f64; 3] {
    let count = pixels.len() as f64;
    let mean = |of: &dyn Fn(usize) -> f64| pixels.iter().map(|&index| of(index)).sum::<f64>() / count;
    let (column, row) = (|index: usize| (index % width) as f64, |index: usize| (index / width) as f64);
    let middle = [mean(&column), mean(&row), mean(&value)];
    let product = |a: &dyn Fn(usize) -> f64, b: &dyn Fn(usize) -> f64| mean(&|index| a(index) * b(index));
    let (across, down, height) = (|i: usize| column(i) - middle[0], |i: usize| row(i) - middle[1], |i: usize| value(i) - middle[2]);
    let (xx, xy, yy) = (product(&across, &across), product(&across, &down), product(&down, &down));
    let (xz, yz) = (product(&across, &height), product(&down, &height));
    let determinant = xx * yy - xy * xy;
    // All pixels in a line, or one alone.
    let slopes = if determinant > 1e-9 { [(xz * yy - yz * xy) / determinant, (yz * xx - xz * xy) / determinant] } else { [0.0; 2] };
    [middle[2] - slopes[0] * middle[0] - slopes[1] * middle[1], slopes[0], slopes[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_is_found_behind_an_object_that_reaches_the_border() {
        let value = |column: usize, row: usize| 0.2 + 0.004 * column as f32 - 0.002 * row as f32;
        let is_object = |column: usize, row: usize| column < 10 && row < 20;
        let pixels = (0..60 * 40).flat_map(|index| {
            let (column, row) = (index % 60, index / 60);
            if is_object(column, row) { [0.8, -0.8, 0.1] } else { [1.0, 0.9, 0.8].map(|share| 2.0 * share * value(column, row) - 1.0) }
        });
        let picture = Picture::from_parts(60, 40, pixels.collect());
        let border: Vec<usize> = (0..60 * 40).filter(|index| index % 60 < 2 || index % 60 > 57 || index / 60 < 2 || index / 60 > 37).collect();
        let ground = Ground::of(&picture, &border);
        let found = ground.at(17 * 60 + 30);
        assert!(distance(found, [1.0, 0.9, 0.8].map(|share| share * value(30, 17))) < 1e-3, "{found:?}");
        // A shadow is a shade of it; another hue, black and a strong light are not.
        assert!(ground.distance_to_shades(17 * 60 + 30, found.map(|x| 0.7 * x)) < 1e-3);
        for other in [[found[0], found[1], 1.3 * found[2]], [0.0; 3], found.map(|x| 2.0 * x)] {
            assert!(ground.distance_to_shades(17 * 60 + 30, other) > 0.04, "{other:?}");
        }
    }

    #[test]
    fn too_few_pixels_for_a_slope_make_a_level_ground() {
        let picture = Picture::from_parts(3, 1, vec![0.0; 9]);
        assert_eq!(Ground::of(&picture, &[0, 1, 2]).at(1), [0.5; 3]);
    }
}

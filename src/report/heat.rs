//! Numbers as colours.

use crate::data::picture::Picture;

/// Matplotlib's viridis at nine even steps, in 0..=255.
const VIRIDIS: [[f32; 3]; 9] = [
    [68.0, 1.0, 84.0],
    [71.0, 44.0, 122.0],
    [59.0, 81.0, 139.0],
    [44.0, 113.0, 142.0],
    [33.0, 144.0, 141.0],
    [39.0, 173.0, 129.0],
    [92.0, 200.0, 99.0],
    [170.0, 220.0, 50.0],
    [253.0, 231.0, 37.0],
];

/// A map of `width` x `height` values as a picture: `low` and below dark violet, `high` and above yellow. Non-finite values are white.
pub fn heat_map(values: &[f32], width: usize, height: usize, low: f32, high: f32) -> Picture {
    let span = if high > low { high - low } else { 1.0 };
    let pixels = values.iter().flat_map(|&value| color((value - low) / span)).collect();
    Picture::from_parts(width, height, pixels)
}

/// The colour of a share of the range, in [-1, 1] per channel.
fn color(share: f32) -> [f32; 3] {
    if !share.is_finite() {
        return [1.0; 3];
    }
    let position = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
    let index = (position as usize).min(VIRIDIS.len() - 2);
    let part = position - index as f32;
    std::array::from_fn(|channel| (VIRIDIS[index][channel] * (1.0 - part) + VIRIDIS[index + 1][channel] * part) / 127.5 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_range_have_the_ends_of_the_scale() {
        let picture = heat_map(&[-5.0, 0.0, 2.0, f32::NAN], 2, 2, 0.0, 2.0);
        let byte = |index: usize| ((picture.pixels()[index] + 1.0) * 127.5).round() as u8;
        assert_eq!([byte(0), byte(1), byte(2)], [68, 1, 84], "below the range");
        assert_eq!([byte(3), byte(4), byte(5)], [68, 1, 84]);
        assert_eq!([byte(6), byte(7), byte(8)], [253, 231, 37]);
        assert_eq!([byte(9), byte(10), byte(11)], [255, 255, 255], "not a number");
    }
}

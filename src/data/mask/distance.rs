//! Distances to a mask, and soft edges from them.

use super::Mask;
use crate::data::drawing::smooth_step;

impl Mask {
    /// The Euclidean distance of every pixel to the nearest set one, in pixels: 0 inside, infinite when the mask is empty. `[height, width]`.
    ///
    /// Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012: exact, in linear time.
    pub fn distances(&self) -> Vec<f32> {
        let mut squares: Vec<f64> = self.pixels.iter().map(|&set| if set { 0.0 } else { f64::INFINITY }).collect();
        for row in squares.chunks_mut(self.width) {
            let transformed = lower_envelope(row);
            row.copy_from_slice(&transformed);
        }
        for column in 0..self.width {
            let values: Vec<f64> = squares[column..].iter().step_by(self.width).copied().collect();
            for (row, value) in lower_envelope(&values).into_iter().enumerate() {
                squares[row * self.width + column] = value;
            }
        }
        squares.into_iter().map(|square| square.sqrt() as f32).collect()
    }

    /// An alpha map for pasting, `[height, width]`: 1 inside the mask, falling smoothly to exactly 0 at `reach` pixels away and beyond.
    ///
    /// With `reach` 0 it is the mask itself.
    pub fn feathered(&self, reach: f32) -> Vec<f32> {
        let fall = |distance: f32| if distance >= reach { 0.0 } else { smooth_step(reach, 0.0, distance) };
        self.distances().into_iter().map(|distance| if distance == 0.0 { 1.0 } else { fall(distance) }).collect()
    }
}

/// The least of `values[i] + (x - i)²` over i, for every x.
fn lower_envelope(values: &[f64]) -> Vec<f64> {
    // Parabolas of the envelope: where each stands, and where it takes over from the one before.
    let mut envelope: Vec<(usize, f64)> = Vec::new();
    for (index, &value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let start = loop {
            let Some(&(last, since)) = envelope.last() else { break f64::NEG_INFINITY };
            let (a, b) = (last as f64, index as f64);
            let crossing = ((value + b * b) - (values[last] + a * a)) / (2.0 * (b - a));
            if crossing > since {
                break crossing;
            }
            envelope.pop();
        };
        envelope.push((index, start));
    }
    if envelope.is_empty() {
        return values.to_vec();
    }
    let mut current = 0;
    let nearest = |x: usize| {
        while envelope.get(current + 1).is_some_and(|&(_, since)| since < x as f64) {
            current += 1;
        }
        let (center, _) = envelope[current];
        values[center] + (x as f64 - center as f64).powi(2)
    };
    (0..values.len()).map(nearest).collect()
}

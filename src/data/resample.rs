//! Resampling of interleaved planes: Pillow's two-pass convolution (`Resample.c`), in f32.

use rayon::prelude::*;

/// The interpolation kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Triangle of half width 1.
    Bilinear,
    /// Keys' cubic with a = -0.5, half width 2: Pillow's `BICUBIC` (PyTorch's bicubic has a = -0.75).
    Bicubic,
}

impl Filter {
    fn half_width(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

/// How to resample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// The kernel.
    pub filter: Filter,
    /// Widen the kernel when shrinking, as Pillow does; without it only the nearest input pixels count (PyTorch's `antialias=False`).
    pub antialias: bool,
    /// What is kept after each of the two passes.
    pub precision: Precision,
}

/// What a pass keeps of its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// All of it.
    Float,
    /// The nearest of the 256 levels from -1 to 1, as Pillow does with 8-bit pictures: gives its bytes.
    EightBit,
}

impl Precision {
    fn keep(self, x: f32) -> f32 {
        match self {
            Self::Float => x,
            Self::EightBit => ((x + 1.0) * 127.5).round().clamp(0.0, 255.0) / 127.5 - 1.0,
        }
    }
}

/// `[height, width]` of planes.
pub type Size = [usize; 2];

/// Resamples `values` `[from, channels]` to `[to, channels]`; all sizes at least 1.
pub fn resample(values: &[f32], from: Size, channels: usize, to: Size, how: Resampling) -> Vec<f32> {
    assert_eq!(values.len(), from[0] * from[1] * channels, "values of a {}x{} plane of {channels} channels", from[1], from[0]);
    let mut across = vec![0.0; from[0] * to[1] * channels];
    let windows = windows(from[1], to[1], how);
    across.par_chunks_mut(to[1] * channels).zip(values.par_chunks(from[1] * channels)).for_each(|(output, input)| {
        for (pixel, window) in output.chunks_mut(channels).zip(&windows) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let inputs = input[window.first * channels + channel..].iter().step_by(channels);
                *value = how.precision.keep(window.weights.iter().zip(inputs).map(|(weight, x)| weight * x).sum());
            }
        }
    });
    let row = to[1] * channels;
    let mut output = vec![0.0; to[0] * row];
    let windows = self::windows(from[0], to[0], how);
    output.par_chunks_mut(row).zip(&windows).for_each(|(output, window)| {
        for (&weight, input) in window.weights.iter().zip(across[window.first * row..].chunks(row)) {
            for (sum, x) in output.iter_mut().zip(input) {
                *sum += weight * x;
            }
        }
        output.iter_mut().for_each(|x| *x = how.precision.keep(*x));
    });
    output
}

/// The input pixels that make one output pixel.
struct Window {
    first: usize,
    weights: Vec<f32>,
}

/// Pillow's `precompute_coeffs`: one window per output pixel.
fn windows(from: usize, to: usize, how: Resampling) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let stretch = if how.antialias { scale.max(1.0) } else { 1.0 };
    let reach = how.filter.half_width() * stretch;
    let window = |index: usize| {
        let center = (index as f64 + 0.5) * scale;
        let first = (center - reach + 0.5).max(0.0) as usize;
        let end = ((center + reach + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end).map(|x| how.filter.at((x as f64 - center + 0.5) / stretch)).collect();
        let total: f64 = weights.iter().sum();
        Window { first, weights: weights.into_iter().map(|weight| (weight / total) as f32).collect() }
    };
    (0..to).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Resampling = Resampling { filter: Filter::Bilinear, antialias: false, precision: Precision::Float };

    #[test]
    fn constants_and_equal_sizes_are_kept() {
        let values: Vec<f32> = (0..30).map(|i| (i * i % 7) as f32).collect();
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            let how = Resampling { filter, antialias: true, precision: Precision::Float };
            assert_eq!(resample(&values, [5, 6], 1, [5, 6], how), values);
            let flat = resample(&[0.25; 2 * 5], [5, 2], 1, [3, 7], how);
            assert!(flat.iter().all(|x| (x - 0.25).abs() < 1e-6));
        }
    }

    /// `torch.nn.functional.interpolate(mode="bilinear", antialias=False)` reads only the two middle pixels of eight.
    #[test]
    fn without_antialias_only_the_centre_counts() {
        let mut row = [0.0; 16];
        row[3] = 1.0;
        row[8] = 5.0;
        assert_eq!(resample(&row, [1, 16], 1, [1, 2], PLAIN), [0.5, 0.0]);
    }

    #[test]
    fn extreme_shapes() {
        for (from, to) in [([1, 1], [7, 3]), ([5000, 1], [4, 4]), ([1, 5000], [1, 1])] {
            let output = resample(&vec![0.5; from[0] * from[1]], from, 1, to, Resampling { antialias: true, ..PLAIN });
            assert!(output.iter().all(|x| (x - 0.5).abs() < 1e-5));
        }
    }
}

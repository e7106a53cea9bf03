//! Loss and gradient in one pass.

use super::SMOOTH;
use crate::device::cpu::Buffer;
use crate::ops::elementwise::exponential::exp;
use crate::ops::parallel;

/// Pixels of one task.
const PIXELS: usize = parallel::TASK_ELEMENTS / 2;

/// The mean loss and, where wanted, its gradient with respect to the logits (empty otherwise).
pub(super) fn focal_loss(logits: &[f32], mask: &[f32], wants_gradient: bool) -> (f64, Buffer<f32>) {
    let share = 1.0 / mask.len() as f32;
    let mut gradient = Buffer::scratch(if wants_gradient { logits.len() } else { 0 });
    parallel::chunks(&mut gradient, 2 * PIXELS, |first, gradient| {
        let pixels = logits[first..].chunks_exact(2).zip(&mask[first / 2..]);
        for (gradient, (logits, &mask)) in gradient.chunks_exact_mut(2).zip(pixels) {
            let slope = share * Pixel::new(logits, mask).slope();
            let to_defect = if mask >= 0.5 { slope } else { -slope };
            gradient.copy_from_slice(&[-to_defect, to_defect]);
        }
    });
    let partial = parallel::collect(mask.len().div_ceil(PIXELS), |task| {
        let range = task * PIXELS..mask.len().min((task + 1) * PIXELS);
        let pixels = logits[2 * range.start..].chunks_exact(2).zip(&mask[range]);
        pixels.map(|(logits, &mask)| f64::from(Pixel::new(logits, mask).loss())).sum::<f64>()
    });
    (partial.iter().sum::<f64>() / mask.len() as f64, gradient)
}

/// One pixel's probabilities.
struct Pixel {
    right: f32,
    wrong: f32,
    /// 1 - p.
    miss: f32,
    /// ln p.
    logarithm: f32,
}

impl Pixel {
    fn new(logits: &[f32], mask: f32) -> Self {
        let lead = if mask >= 0.5 { logits[1] - logits[0] } else { logits[0] - logits[1] };
        let small = exp(-lead.abs());
        let (more, less) = (1.0 / (1.0 + small), small / (1.0 + small));
        let (right, wrong) = if lead >= 0.0 { (more, less) } else { (less, more) };
        let miss = (1.0 - 2.0 * SMOOTH) * wrong;
        Self { right, wrong, miss, logarithm: (-miss).ln_1p() }
    }

    fn loss(&self) -> f32 {
        -self.miss * self.miss * self.logarithm
    }

    /// The loss's derivative with respect to the right logit; that of the wrong one is its negative.
    fn slope(&self) -> f32 {
        let by_probability = 2.0 * self.miss * self.logarithm - self.miss * self.miss / (1.0 - self.miss);
        by_probability * (1.0 - 2.0 * SMOOTH) * self.right * self.wrong
    }
}

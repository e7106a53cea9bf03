//! The curves behind the threshold metrics, thinned for plots.

use super::ranking::{Ranking, Step};

/// A point of a thinned curve stands for all within this distance along either axis.
const RESOLUTION: f64 = 1.0 / 256.0;

/// True-positive rate over false-positive rate, from (0, 0) to (1, 1). Empty without positives or negatives.
pub fn roc(ranking: &Ranking) -> Vec<[f64; 2]> {
    let (positives, negatives) = (ranking.positives() as f64, ranking.negatives() as f64);
    if positives == 0.0 || negatives == 0.0 {
        return Vec::new();
    }
    let point = |step: Step| [step.false_positives as f64 / negatives, step.true_positives as f64 / positives];
    thinned(std::iter::once([0.0, 0.0]).chain(ranking.steps().map(point)))
}

/// Precision over recall, by growing recall. Empty without positives.
pub fn precision_recall(ranking: &Ranking) -> Vec<[f64; 2]> {
    if ranking.positives() == 0 {
        return Vec::new();
    }
    let point = |step: Step| {
        let selected = (step.true_positives + step.false_positives) as f64;
        [step.true_positives as f64 / ranking.positives() as f64, step.true_positives as f64 / selected]
    };
    thinned(ranking.steps().map(point))
}

/// The first and the last point, and between them each that is far enough from the last one kept.
fn thinned(points: impl Iterator<Item = [f64; 2]>) -> Vec<[f64; 2]> {
    let (mut kept, mut skipped) = (Vec::new(), None);
    for point in points {
        let far = kept.last().is_none_or(|last: &[f64; 2]| (0..2).any(|axis| (point[axis] - last[axis]).abs() >= RESOLUTION));
        if far {
            kept.push(point);
            skipped = None;
        } else {
            skipped = Some(point);
        }
    }
    kept.extend(skipped);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::random::Sampler;

    #[test]
    fn points_of_a_small_curve() {
        let ranking = Ranking::new(&[0.9, 0.8, 0.8, 0.1], &[true, false, true, false]).unwrap();
        assert_eq!(roc(&ranking), [[0.0, 0.0], [0.0, 0.5], [0.5, 1.0], [1.0, 1.0]]);
        assert_eq!(precision_recall(&ranking), [[0.5, 1.0], [1.0, 2.0 / 3.0], [1.0, 0.5]]);
        let normal = Ranking::new(&[0.5], &[false]).unwrap();
        assert!(roc(&normal).is_empty() && precision_recall(&normal).is_empty());
    }

    #[test]
    fn a_long_curve_keeps_its_ends_and_its_area() {
        let mut sampler = Sampler::new(0, "scores", &[]);
        let labels: Vec<bool> = (0..50_000).map(|index| index % 5 == 0).collect();
        let scores: Vec<f32> = labels.iter().map(|&label| sampler.uniform() + if label { 0.3 } else { 0.0 }).collect();
        let ranking = Ranking::new(&scores, &labels).unwrap();
        let curve = roc(&ranking);
        assert!((256..1024).contains(&curve.len()), "{}", curve.len());
        assert_eq!((curve[0], curve[curve.len() - 1]), ([0.0, 0.0], [1.0, 1.0]));
        let area: f64 = curve.windows(2).map(|pair| (pair[1][0] - pair[0][0]) * (pair[0][1] + pair[1][1]) / 2.0).sum();
        assert!((area - crate::evaluation::auroc::auroc(&ranking).unwrap()).abs() < 1e-3);
    }
}

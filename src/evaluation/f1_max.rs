//! The best F1 over thresholds.

use super::ranking::Ranking;

/// The definition of [`f1_max`]: every score that occurs is a threshold, as over `sklearn.metrics.precision_recall_curve`.
pub const PROTOCOL: &str = "f1-max/exact/v1";

/// The definition of [`f1_max_of_21`].
pub const PROTOCOL_OF_21: &str = "f1-max/21-thresholds/v1";

/// The largest harmonic mean of precision and recall over all thresholds, 0 to 1; `None` without positives.
pub fn f1_max(ranking: &Ranking) -> Option<f64> {
    let f1 = |hits: usize, selected: usize| (2 * hits) as f64 / (selected + ranking.positives()) as f64;
    let largest = ranking.steps().map(|step| f1(step.true_positives, step.true_positives + step.false_positives)).fold(0.0, f64::max);
    (ranking.positives() > 0).then_some(largest)
}

/// As the released program has it for pixels: thresholds 0, 0.05, …, 1, selected is what scores ABOVE one, and 1e-8 is added to each denominator
/// (`test-localization.py`). Never above [`f1_max`]; for scores that are probabilities. `None` without positives.
pub fn f1_max_of_21(ranking: &Ranking) -> Option<f64> {
    const EPSILON: f64 = 1e-8;
    let f1 = |threshold: f64| {
        let (hits, misses) = ranking.above(threshold);
        let precision = hits as f64 / ((hits + misses) as f64 + EPSILON);
        let recall = hits as f64 / (ranking.positives() as f64 + EPSILON);
        2.0 * precision * recall / (precision + recall + EPSILON)
    };
    (ranking.positives() > 0).then(|| (0..21).map(|step| f1(f64::from(step) * 0.05)).fold(0.0, f64::max))
}

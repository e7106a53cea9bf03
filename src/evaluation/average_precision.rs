//! Average precision.

use super::ranking::Ranking;

/// The definition: a step-wise sum without interpolation, as `sklearn.metrics.average_precision_score`.
pub const PROTOCOL: &str = "average-precision/steps/v1";

/// The sum over the distinct scores, highest first, of precision times the gain in recall, 0 to 1; chance is the share of positives. `None` without
/// positives (scikit-learn warns and says 0).
pub fn average_precision(ranking: &Ranking) -> Option<f64> {
    let (mut sum, mut last) = (0.0, 0);
    for step in ranking.steps() {
        let precision = step.true_positives as f64 / (step.true_positives + step.false_positives) as f64;
        sum += (step.true_positives - last) as f64 * precision;
        last = step.true_positives;
    }
    (ranking.positives() > 0).then(|| sum / ranking.positives() as f64)
}

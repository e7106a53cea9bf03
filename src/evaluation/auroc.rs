//! Area under the receiver operating characteristic.

use super::ranking::Ranking;

/// The definition: trapezoids between the distinct scores, as `sklearn.metrics.roc_auc_score`.
pub const PROTOCOL: &str = "auroc/trapezoid/v1";

/// The probability that a positive scores higher than a negative, equal scores counting half: 0.5 is chance, 1 perfect. Counted in integers, so the
/// result is the true value rounded once. `None` without positives or without negatives, where it has no meaning.
pub fn auroc(ranking: &Ranking) -> Option<f64> {
    let pairs = ranking.positives() as u128 * ranking.negatives() as u128;
    let (mut twice_area, mut last) = (0_u128, (0, 0));
    for step in ranking.steps() {
        let width = step.false_positives - last.1;
        twice_area += width as u128 * (step.true_positives + last.0) as u128;
        last = (step.true_positives, step.false_positives);
    }
    (pairs > 0).then(|| twice_area as f64 / (2 * pairs) as f64)
}

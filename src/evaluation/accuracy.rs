//! Share of right answers.

use crate::error::{Result, ensure};

/// The definition: right answers over all answers, every picture weighing the same.
pub const PROTOCOL: &str = "accuracy/pictures/v1";

/// The share of predictions that are their labels, 0 to 1; `None` of nothing.
///
/// # Errors
/// When there is not one prediction a label.
pub fn accuracy(predictions: &[usize], labels: &[usize]) -> Result<Option<f64>> {
    ensure!(predictions.len() == labels.len(), "{} predictions of {} labels", predictions.len(), labels.len());
    let right = predictions.iter().zip(labels).filter(|(prediction, label)| prediction == label).count();
    Ok((!labels.is_empty()).then(|| right as f64 / labels.len() as f64))
}

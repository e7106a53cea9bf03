//! Inception Score.

/// The definition: exp of the mean Kullback-Leibler divergence between a picture's class probabilities and their mean, over all pictures at once
/// (one split); torchvision's Inception-v3 on pictures at 299 x 299 (bilinear) in [-1, 1]. Salimans et al., arXiv 1606.03498.
pub const PROTOCOL: &str = "inception-score/torchvision-v3/one-split/v1";

/// The score of logits, one row a picture: 1 when all are alike, the number of classes at most. `None` with fewer than two pictures.
pub fn inception_score(logits: &[Vec<f32>]) -> Option<f64> {
    if logits.len() < 2 {
        return None;
    }
    let probabilities: Vec<Vec<f64>> = logits.iter().map(|row| softmax(row)).collect();
    let count = probabilities.len() as f64;
    let classes = probabilities[0].len();
    let mean: Vec<f64> = (0..classes).map(|class| probabilities.iter().map(|row| row[class]).sum::<f64>() / count).collect();
    let divergence = |row: &Vec<f64>| row.iter().zip(&mean).filter(|(p, _)| **p > 0.0).map(|(p, mean)| p * (p / mean).ln()).sum::<f64>();
    Some((probabilities.iter().map(divergence).sum::<f64>() / count).exp())
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let terms: Vec<f64> = logits.iter().map(|&x| f64::from(x - largest).exp()).collect();
    let sum: f64 = terms.iter().sum();
    terms.into_iter().map(|term| term / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_one_kind_of_picture_to_one_a_class() {
        assert!((inception_score(&[vec![0.3, 2.0], vec![0.3, 2.0]]).unwrap() - 1.0).abs() < 1e-12);
        let sure: Vec<Vec<f32>> = (0..5).map(|class| (0..5).map(|other| if other == class { 100.0 } else { -100.0 }).collect()).collect();
        assert!((inception_score(&sure).unwrap() - 5.0).abs() < 1e-9);
        // Probabilities 1/3, 2/3 and 2/3, 1/3: exp(ln 2 + (1/3) ln (1/3) + (2/3) ln (2/3)).
        let two_to_one = inception_score(&[vec![0.0, 2.0_f32.ln()], vec![2.0_f32.ln(), 0.0]]).unwrap();
        let expected = 2.0 * (1.0 / 3.0_f64).powf(1.0 / 3.0) * (2.0 / 3.0_f64).powf(2.0 / 3.0);
        assert!((two_to_one - expected).abs() < 1e-7, "{two_to_one}, {expected}");
        assert_eq!(inception_score(&[vec![1.0]]), None);
    }
}

//! Kernel Inception Distance.

use rayon::prelude::*;

/// The definition: the unbiased estimate of the squared maximum mean discrepancy between pooled features, kernel (x·y / d + 1)³, over all pictures at
/// once; torchvision's Inception-v3 as for the Inception Score. Binkowski et al., arXiv 1801.01401.
pub const PROTOCOL: &str = "kid/torchvision-v3/polynomial-3/all-pictures/v1";

/// The distance between two sets of features, one row a picture. About 0 when both are of one distribution; an unbiased estimate may be negative.
/// `None` with fewer than two pictures on a side.
pub fn kernel_distance(generated: &[Vec<f32>], real: &[Vec<f32>]) -> Option<f64> {
    if generated.len() < 2 || real.len() < 2 {
        return None;
    }
    Some(within(generated) + within(real) - 2.0 * between(generated, real))
}

/// The mean of the kernel over pairs of two different pictures.
fn within(set: &[Vec<f32>]) -> f64 {
    let row = |index: usize| (0..set.len()).filter(|&other| other != index).map(|other| kernel(&set[index], &set[other])).sum();
    let rows: Vec<f64> = (0..set.len()).into_par_iter().map(row).collect();
    rows.iter().sum::<f64>() / (set.len() * (set.len() - 1)) as f64
}

/// The mean of the kernel over pairs of one picture of each.
fn between(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let rows: Vec<f64> = a.par_iter().map(|a| b.iter().map(|b| kernel(a, b)).sum()).collect();
    rows.iter().sum::<f64>() / (a.len() * b.len()) as f64
}

fn kernel(a: &[f32], b: &[f32]) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    (product / a.len() as f64 + 1.0).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::random::Stream;

    #[test]
    fn by_hand() {
        // d = 1. Within 0, 1: k(0, 1) = 1; within 2, 3: 7³ = 343; between: (1 + 1 + 3³ + 4³) / 4.
        let found = kernel_distance(&[vec![0.0], vec![1.0]], &[vec![2.0], vec![3.0]]).unwrap();
        assert!((found - (1.0 + 343.0 - 2.0 * 93.0 / 4.0)).abs() < 1e-9, "{found}");
        assert_eq!(kernel_distance(&[vec![0.0]], &[vec![2.0], vec![3.0]]), None);
    }

    #[test]
    fn one_distribution_is_near_and_another_is_far() {
        let set = |name: &str, shift: f32| -> Vec<Vec<f32>> {
            let values = Stream::new(0, name, &[]).normal(&[60, 16]).unwrap().to_f32_vec().unwrap();
            values.chunks(16).map(|row| row.iter().map(|x| x + shift).collect()).collect()
        };
        let (near, far) = (kernel_distance(&set("a", 0.0), &set("b", 0.0)).unwrap(), kernel_distance(&set("a", 0.0), &set("b", 1.0)).unwrap());
        assert!(near.abs() < 0.05 && far > 1.0, "{near}, {far}");
    }
}

//! Scores of two classes in order: what every threshold metric here is read from, exact and fast on millions of pixels.
//!
//! Scores are compared as f32, as the networks give them. Each class is sorted once by radix, and a metric is one pass over both.

use crate::error::{Result, ensure};

/// Scores of defects (positives) and of what is normal (negatives), each in falling order.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// [`key`]s in rising order, so scores in falling order.
    positives: Vec<u32>,
    negatives: Vec<u32>,
}

/// What a threshold selects: everything with a score of at least `threshold`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// A score that occurs.
    pub threshold: f32,
    /// Positives selected.
    pub true_positives: usize,
    /// Negatives selected.
    pub false_positives: usize,
}

impl Ranking {
    /// Sorts `scores`, one for each of `labels`; true is a defect.
    ///
    /// # Errors
    /// When the numbers of scores and labels differ, or a score is not finite.
    pub fn new(scores: &[f32], labels: &[bool]) -> Result<Self> {
        ensure!(scores.len() == labels.len(), "{} scores of {} labels: expected one score a label", scores.len(), labels.len());
        let count = labels.iter().filter(|&&label| label).count();
        let (mut positives, mut negatives) = (Vec::with_capacity(count), Vec::with_capacity(labels.len() - count));
        for (&score, &label) in scores.iter().zip(labels) {
            ensure!(score.is_finite(), "a score is {score}, expected a finite number");
            if label { &mut positives } else { &mut negatives }.push(key(score));
        }
        sort(&mut positives);
        sort(&mut negatives);
        Ok(Self { positives, negatives })
    }

    /// How many positives there are.
    pub fn positives(&self) -> usize {
        self.positives.len()
    }

    /// How many negatives there are.
    pub fn negatives(&self) -> usize {
        self.negatives.len()
    }

    /// One step for each score that occurs, the highest first; the last selects everything.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        let (mut hits, mut misses) = (0, 0);
        std::iter::from_fn(move || {
            let key = [self.positives.get(hits), self.negatives.get(misses)].into_iter().flatten().min().copied()?;
            hits += self.positives[hits..].iter().take_while(|&&found| found == key).count();
            misses += self.negatives[misses..].iter().take_while(|&&found| found == key).count();
            Some(Step { threshold: score(key), true_positives: hits, false_positives: misses })
        })
    }

    /// Positives and negatives with a score ABOVE `threshold`.
    pub fn above(&self, threshold: f64) -> (usize, usize) {
        let count = |keys: &[u32]| keys.partition_point(|&key| f64::from(score(key)) > threshold);
        (count(&self.positives), count(&self.negatives))
    }
}

/// A number that rises where the score falls. Both zeros are one.
pub(super) fn key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { bits } else { !bits & 0x7FFF_FFFF }
}

/// The inverse of [`key`].
fn score(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key } else { !key & 0x7FFF_FFFF })
}

/// Radix sort, 11 bits at a time from the lowest.
pub(super) fn sort(keys: &mut Vec<u32>) {
    const BITS: u32 = 11;
    const SMALL: usize = 1 << 13;
    if keys.len() < SMALL {
        keys.sort_unstable();
        return;
    }
    let mut sorted = vec![0; keys.len()];
    for shift in [0, BITS, 2 * BITS] {
        let digit = |key: u32| (key >> shift) as usize & ((1 << BITS) - 1);
        let mut places = vec![0_usize; 1 << BITS];
        keys.iter().for_each(|&key| places[digit(key)] += 1);
        let mut first = 0;
        for place in &mut places {
            first += std::mem::replace(place, first);
        }
        for &key in keys.iter() {
            let place = &mut places[digit(key)];
            sorted[*place] = key;
            *place += 1;
        }
        std::mem::swap(keys, &mut sorted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::random::Sampler;

    #[test]
    fn keys_fall_where_scores_rise() {
        let scores = [f32::MIN, -1.5, -f32::MIN_POSITIVE, 0.0, 1e-30, 0.25, 1.0, f32::MAX];
        assert!(scores.windows(2).all(|pair| key(pair[0]) > key(pair[1])));
        assert!(scores.iter().all(|&x| score(key(x)) == x));
        assert_eq!(key(-0.0), key(0.0));
    }

    #[test]
    fn radix_is_sorting() {
        let mut sampler = Sampler::new(0, "keys", &[]);
        let mut keys: Vec<u32> = (0..20_000).map(|_| sampler.word()).collect();
        let mut expected = keys.clone();
        expected.sort_unstable();
        sort(&mut keys);
        assert_eq!(keys, expected);
    }

    #[test]
    fn steps_take_equal_scores_together() {
        let ranking = Ranking::new(&[0.5, 0.9, 0.5, -0.0, 0.0], &[true, true, false, false, true]).unwrap();
        let steps: Vec<_> = ranking.steps().map(|step| (step.threshold, step.true_positives, step.false_positives)).collect();
        assert_eq!(steps, [(0.9, 1, 0), (0.5, 2, 1), (0.0, 3, 2)]);
        assert_eq!(ranking.above(0.5), (1, 0));
        assert!(Ranking::new(&[f32::NAN], &[true]).is_err());
        assert!(Ranking::new(&[0.0], &[]).is_err());
    }
}

//! Which pairs of a type are learnt from and which are tested on.

use std::ops::Range;

/// How the pairs of a type, in natural order, are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitRule {
    /// The first third, at least one; the rest is for testing. Nothing is in both.
    Default,
    /// The paper's text: the first third. The same pairs as [`SplitRule::Default`].
    Paper,
    /// The released program's: index <= n/3 trains, index >= n/3 tests. The pair of index n/3 is in BOTH (73 of 865 over MVTec AD).
    Official,
}

/// Ranges of pair indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// For training.
    pub train: Range<usize>,
    /// For testing.
    pub test: Range<usize>,
}

/// Fewer training pairs than this deserve a warning.
pub const FEW_TRAINING_PAIRS: usize = 3;

impl Split {
    /// Splits `pairs` pairs.
    pub fn new(pairs: usize, rule: SplitRule) -> Self {
        let third = pairs / 3;
        let split = match rule {
            SplitRule::Default | SplitRule::Paper => {
                let train = third.max(1).min(pairs);
                Self { train: 0..train, test: train..pairs }
            }
            SplitRule::Official => Self { train: 0..(third + 1).min(pairs), test: third..pairs },
        };
        assert!(rule == SplitRule::Official || split.leaked().is_empty(), "{split:?} of {pairs} pairs by {rule:?} leaks");
        split
    }

    /// The indices that are in both parts: empty unless the rule is [`SplitRule::Official`].
    pub fn leaked(&self) -> Range<usize> {
        self.test.start..self.train.end.max(self.test.start)
    }

    /// The pairs that the preset validates on: the first two TEST pairs in `official`, none otherwise.
    pub fn validation(&self, rule: SplitRule) -> Range<usize> {
        match rule {
            SplitRule::Official => self.test.start..(self.test.start + 2).min(self.test.end),
            SplitRule::Default | SplitRule::Paper => self.train.end..self.train.end,
        }
    }

    /// Whether so few pairs are for training that the result will hardly vary.
    pub fn is_short(&self) -> bool {
        self.train.len() < FEW_TRAINING_PAIRS
    }
}

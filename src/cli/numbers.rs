//! Readers of the numbers on the command line: each refuses what is outside its limits before any work. The parser puts flag and value before the reason.

use std::ops::RangeInclusive;

use crate::anomaly::generated_set::MOST_PAIRS;
use crate::anomaly::presets::{MOST_ACCUMULATE, MOST_BATCH, MOST_CLOSE_UP, MOST_LOOKS, MOST_STEPS};
use crate::evaluation::classification::MOST_WIDTH;

type Read<T> = std::result::Result<T, String>;

/// Epochs of 500 pictures: half of [`MOST_STEPS`] with a batch of one.
const MOST_EPOCHS: u64 = 1_000_000;
/// The largest side of a picture in pixels.
pub(super) const MOST_SIDE: usize = 2048;
/// A learning rate; Adam moves every number by about that much.
const MOST_RATE: f64 = 1000.0;
/// A guidance; far below this, pictures are noise already.
const MOST_GUIDANCE: f64 = 1000.0;
/// Time steps that a model may be trained with.
const MOST_DENOISING_STEPS: u64 = 100_000;

/// Examples, pictures or masks computed together.
pub(super) fn batch_size(text: &str) -> Read<usize> {
    whole(text, 1..=MOST_BATCH as u64)
}

/// Batches of a step.
pub(super) fn accumulate(text: &str) -> Read<usize> {
    whole(text, 1..=MOST_ACCUMULATE as u64)
}

/// Optimisation steps.
pub(super) fn steps<T: TryFrom<u64>>(text: &str) -> Read<T> {
    whole(text, 1..=MOST_STEPS as u64)
}

/// Steps between two of something.
pub(super) fn interval(text: &str) -> Read<u64> {
    whole(text, 1..=MOST_STEPS as u64)
}

/// Steps between two of something, 0 for none.
pub(super) fn interval_or_none(text: &str) -> Read<u64> {
    whole(text, 0..=MOST_STEPS as u64)
}

/// Epochs of the localisation network.
pub(super) fn epochs(text: &str) -> Read<u64> {
    whole(text, 1..=MOST_EPOCHS)
}

/// Steps of the sampler; the model's own number may be less.
pub(super) fn denoising_steps(text: &str) -> Read<usize> {
    whole(text, 1..=MOST_DENOISING_STEPS)
}

/// Pairs or masks of a type.
pub(super) fn count<T: TryFrom<u64>>(text: &str) -> Read<T> {
    whole(text, 1..=MOST_PAIRS)
}

/// Channels of a network's first stage.
pub(super) fn width(text: &str) -> Read<usize> {
    whole(text, 1..=MOST_WIDTH as u64)
}

/// Looks of a type.
pub(super) fn looks(text: &str) -> Read<usize> {
    whole(text, 0..=MOST_LOOKS as u64)
}

/// Side of a picture in pixels; a network may ask for a multiple of something.
pub(super) fn side(text: &str) -> Read<usize> {
    whole(text, 1..=MOST_SIDE as u64)
}

/// Threads of the pool.
pub(super) fn threads(text: &str) -> Read<usize> {
    whole(text, 1..=1024)
}

/// How many times a defect is magnified.
pub(super) fn close_up(text: &str) -> Read<f64> {
    real(text, |value| (1.0..=MOST_CLOSE_UP).contains(&value), &format!("1 (whole pictures) to {MOST_CLOSE_UP}"))
}

/// A learning rate.
pub(super) fn learning_rate(text: &str) -> Read<f64> {
    real(text, |value| value > 0.0 && value <= MOST_RATE, &format!("a number above 0, at most {MOST_RATE}"))
}

/// A share of a whole.
pub(super) fn share(text: &str) -> Read<f64> {
    real(text, |value| (0.0..=1.0).contains(&value), "0 to 1")
}

/// A ratio in decibels.
pub(super) fn decibels(text: &str) -> Read<f64> {
    real(text, f64::is_finite, "a number of decibels")
}

/// A distance that nothing reaches where it is infinite.
pub(super) fn distance(text: &str) -> Read<f64> {
    real(text, |value| value > 0.0, "a number above 0, or inf")
}

/// The strength of a guidance.
pub(super) fn guidance(text: &str) -> Read<f64> {
    real(text, |value| (0.0..=MOST_GUIDANCE).contains(&value), &format!("0 to {MOST_GUIDANCE}"))
}

/// The brightness above which a pixel is set; nothing is above 1.
pub(super) fn threshold(text: &str) -> Read<f64> {
    real(text, |value| (-1.0..1.0).contains(&value), "-1 to below 1")
}

fn whole<T: TryFrom<u64>>(text: &str, range: RangeInclusive<u64>) -> Read<T> {
    let value = text.parse().ok().filter(|value| range.contains(value)).and_then(|value: u64| T::try_from(value).ok());
    value.ok_or_else(|| format!("expected a whole number, {} to {}", range.start(), range.end()))
}

fn real(text: &str, is_allowed: impl Fn(f64) -> bool, expected: &str) -> Read<f64> {
    text.parse().ok().filter(|&value| is_allowed(value)).ok_or_else(|| format!("expected {expected}"))
}

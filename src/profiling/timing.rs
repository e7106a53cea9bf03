//! Repeated measurement of one piece of work.

use std::time::Instant;

use serde::Serialize;

use crate::error::Result;
use crate::process;

/// The times of repeated runs, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// Half of the runs were faster.
    pub median: f64,
    /// The fastest run.
    pub lowest: f64,
    /// The slowest run.
    pub highest: f64,
    /// How many runs were timed.
    pub runs: usize,
    /// Mean processor time of all threads, where the kernel counts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<f64>,
}

impl Timing {
    /// Of at least one run.
    pub(super) fn new(mut milliseconds: Vec<f64>) -> Self {
        milliseconds.sort_by(f64::total_cmp);
        let middle = |index: usize| milliseconds.get(index).copied().unwrap_or(f64::NAN);
        let runs = milliseconds.len();
        Self {
            median: (middle(runs.saturating_sub(1) / 2) + middle(runs / 2)) / 2.0,
            lowest: middle(0),
            highest: middle(runs.saturating_sub(1)),
            runs,
            processor: None,
        }
    }
}

/// Runs `work` `warm_up` times unmeasured, then `runs` times measured.
pub fn measure(warm_up: usize, runs: usize, mut work: impl FnMut() -> Result<()>) -> Result<Timing> {
    (0..warm_up).try_for_each(|_| work())?;
    let mut milliseconds = Vec::with_capacity(runs);
    let before = process::processor_milliseconds();
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        work()?;
        milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let spent = process::processor_milliseconds().zip(before).map(|(after, before)| after - before);
    Ok(Timing { processor: spent.map(|spent| spent / runs.max(1) as f64), ..Timing::new(milliseconds) })
}

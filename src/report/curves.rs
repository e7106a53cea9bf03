//! Training curves from a run's log.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::chart::{Chart, Series};
use crate::error::Result;
use crate::files;
use crate::training::log::LOG;

/// A log may have this many bytes.
const MOST_BYTES: u64 = 1 << 30;

/// The numbers called `name` of a run folder's log over its steps, a running mean for each kind of entry ("train", "validation", …) that has them.
/// `None` where there are none. A torn last line is left out.
///
/// # Errors
/// When the log cannot be read (exit code 2).
pub fn log_chart(run: &Path, name: &str, title: &str) -> Result<Option<Chart>> {
    let text = files::read_limited(&run.join(LOG), MOST_BYTES)?;
    let mut kinds: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in text.split(|&byte| byte == b'\n') {
        let Ok(entry) = serde_json::from_slice::<Value>(line) else { continue };
        if let (Some(step), Some(kind), Some(value)) = (entry["step"].as_f64(), entry["kind"].as_str(), entry[name].as_f64()) {
            kinds.entry(kind.to_owned()).or_default().push((step, value));
        }
    }
    if kinds.is_empty() {
        return Ok(None);
    }
    let series = kinds.into_iter().map(|(kind, points)| Series { name: format!("{kind}, running mean"), points: running_mean(&points) });
    Ok(Some(Chart { title: title.to_owned(), x_label: "step".into(), y_label: name.replace('_', " "), series: series.collect() }))
}

/// The mean over a window of a twentieth of the run: single losses are noise, because every step draws its own time steps.
pub fn running_mean(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let window = (points.len() / 20).max(1);
    points.windows(window).map(|part| (part[window - 1].0, part.iter().map(|point| point.1).sum::<f64>() / window as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_mean_is_flat_on_a_constant_and_keeps_the_last_step() {
        let points: Vec<(f64, f64)> = (0..100).map(|step| (f64::from(step), 2.0)).collect();
        let mean = running_mean(&points);
        assert_eq!(mean.len(), 96);
        assert_eq!(mean.last(), Some(&(99.0, 2.0)));
        assert!(running_mean(&[]).is_empty());
    }

    #[test]
    fn kinds_of_entries_are_lines_and_a_torn_one_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"step\":1,\"kind\":\"train\",\"loss\":0.5}\n{\"step\":1,\"kind\":\"validation\",\"loss\":0.75}\n{\"step\":2,\"ki";
        std::fs::write(folder.path().join(LOG), text).unwrap();
        let chart = log_chart(folder.path(), "loss", "Loss").unwrap().unwrap();
        let found: Vec<_> = chart.series.iter().map(|series| (series.name.as_str(), series.points.clone())).collect();
        assert_eq!(found, [("train, running mean", vec![(1.0, 0.5)]), ("validation, running mean", vec![(1.0, 0.75)])]);
        assert!(log_chart(folder.path(), "speed", "Speed").unwrap().is_none());
    }
}

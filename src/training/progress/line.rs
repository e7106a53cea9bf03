//! One line of progress, as wide as the terminal allows.

use std::time::Duration;

/// What a line tells.
pub(super) struct Snapshot<'a> {
    pub(super) label: &'a str,
    pub(super) unit: &'a str,
    pub(super) done: u64,
    pub(super) total: u64,
    /// Units a second; `None` before the first is done.
    pub(super) rate: Option<f64>,
    pub(super) details: &'a str,
}

/// Everything, for a log.
pub(super) fn plain(snapshot: &Snapshot<'_>) -> String {
    let Pieces { label, count, percent, details, rate, left, .. } = Pieces::of(snapshot);
    join(&[&label, &count, &percent, &details, &rate, &left])
}

/// As much as fits in `width` columns: the bar goes first, then the rate, the share, the label, the details, the time left.
pub(super) fn fitted(snapshot: &Snapshot<'_>, width: usize) -> String {
    let Pieces { label, bar, count, percent, details, rate, left } = Pieces::of(snapshot);
    let choices: [&[&str]; 7] = [
        &[&label, &bar, &count, &percent, &details, &rate, &left],
        &[&label, &count, &percent, &details, &rate, &left],
        &[&label, &count, &percent, &details, &left],
        &[&label, &count, &details, &left],
        &[&count, &details, &left],
        &[&count, &left],
        &[&count],
    ];
    let lines = choices.iter().map(|pieces| join(pieces));
    let fitting = lines.into_iter().find(|line| line.chars().count() <= width);
    fitting.unwrap_or_else(|| count.chars().take(width).collect())
}

struct Pieces {
    label: String,
    bar: String,
    count: String,
    percent: String,
    details: String,
    rate: String,
    left: String,
}

impl Pieces {
    fn of(snapshot: &Snapshot<'_>) -> Self {
        const CELLS: u64 = 24;
        let total = snapshot.total.max(1);
        let done = snapshot.done.min(total);
        let filled = (u128::from(done) * u128::from(CELLS) / u128::from(total)) as usize;
        let left = snapshot.rate.filter(|&rate| rate > 0.0 && done < total).map(|rate| (total - done) as f64 / rate);
        Self {
            label: snapshot.label.to_owned(),
            bar: format!("{}{}", "━".repeat(filled), "╌".repeat(CELLS as usize - filled)),
            count: format!("{}/{}", snapshot.done, snapshot.total),
            percent: format!("{} %", u128::from(done) * 100 / u128::from(total)),
            details: snapshot.details.to_owned(),
            rate: snapshot.rate.map_or_else(String::new, |value| rate(value, snapshot.unit)),
            left: left.map_or_else(String::new, |seconds| format!("{} left", duration(seconds))),
        }
    }
}

fn join(pieces: &[&str]) -> String {
    pieces.iter().filter(|piece| !piece.is_empty()).copied().collect::<Vec<_>>().join("  ")
}

/// "8.1 steps/s", or "4.2 s/step" where a unit takes longer than a second.
pub(super) fn rate(value: f64, unit: &str) -> String {
    if value >= 1.0 || value <= 0.0 { format!("{value:.1} {unit}s/s") } else { format!("{:.1} s/{unit}", 1.0 / value) }
}

/// "12 s", "2 min 03 s", "3 h 05 min", "2 d 03 h".
pub fn duration(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.max(0.0)).map_or(u64::MAX, |duration| duration.as_secs());
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    match () {
        () if whole < 60 => format!("{whole} s"),
        () if hours < 1 => format!("{minutes} min {:02} s", whole % 60),
        () if days < 1 => format!("{hours} h {:02} min", minutes % 60),
        () => format!("{days} d {:02} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot<'static> {
        Snapshot { label: "train", unit: "step", done: 512, total: 2000, rate: Some(8.0), details: "loss 0.0123" }
    }

    #[test]
    fn a_wide_terminal_gets_everything() {
        let line = fitted(&snapshot(), 120);
        assert_eq!(line, "train  ━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  512/2000  25 %  loss 0.0123  8.0 steps/s  3 min 06 s left");
        assert_eq!(plain(&snapshot()), "train  512/2000  25 %  loss 0.0123  8.0 steps/s  3 min 06 s left");
    }

    #[test]
    fn every_width_is_kept() {
        for width in 0..130 {
            assert!(fitted(&snapshot(), width).chars().count() <= width, "{width}");
        }
        assert_eq!(fitted(&snapshot(), 26), "512/2000  3 min 06 s left");
        assert_eq!(fitted(&snapshot(), 20), "512/2000");
        assert_eq!(fitted(&snapshot(), 3), "512");
    }

    #[test]
    fn nothing_is_known_at_the_start_and_nothing_left_at_the_end() {
        let start = Snapshot { done: 0, rate: None, details: "", ..snapshot() };
        assert_eq!(plain(&start), "train  0/2000  0 %");
        let end = Snapshot { done: 2000, ..snapshot() };
        assert!(plain(&end).ends_with("8.0 steps/s"));
        assert_eq!(plain(&Snapshot { done: 0, total: 0, rate: None, details: "", ..snapshot() }), "train  0/0  0 %");
    }

    #[test]
    fn durations_and_rates() {
        assert_eq!([0.4, 59.9, 61.0, 3_700.0, 180_000.0].map(duration), ["0 s", "59 s", "1 min 01 s", "1 h 01 min", "2 d 02 h"]);
        assert!(!duration(f64::INFINITY).is_empty());
        assert_eq!(rate(0.25, "image"), "4.0 s/image");
    }
}

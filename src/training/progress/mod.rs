//! Progress on stderr: a bar on a terminal, a plain line every few seconds elsewhere. Used by every command that takes longer than a moment.
//!
//! Nothing here fails: a closed stderr is as good as any. Colour only where the terminal has it and NO_COLOR is not set.

mod line;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use console::{Term, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use line::Snapshot;
pub use line::duration;

use crate::device::cuda::Cuda;
use crate::process::{self, write_stderr};

/// Time between two plain lines.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// Time between two redraws of the bar.
const BETWEEN_DRAWS: Duration = Duration::from_millis(100);

/// The bar that is on the screen, so that notes do not tear it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Says a sentence on stderr, above the bar where there is one.
pub fn note(text: &str) {
    let shown = SHOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match shown.as_ref() {
        Some(bar) => bar.suspend(|| write_stderr(text)),
        None => write_stderr(text),
    }
}

/// How far a known amount of work has come.
pub struct Progress {
    label: String,
    unit: &'static str,
    total: u64,
    first: u64,
    done: u64,
    details: String,
    start: Instant,
    last_shown: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Work of `total` units, of which `done` were done before (a resumed run). `unit` is singular: "step", "image".
    pub fn new(label: impl Into<String>, unit: &'static str, total: u64, done: u64) -> Self {
        let bar = terminal_width().map(|_| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A template without placeholders other than the message always parses.
            bar.with_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        SHOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone_from(&bar);
        let (details, start) = (String::new(), Instant::now());
        Self { label: label.into(), unit, total, first: done, done, details, start, last_shown: None, bar }
    }

    /// `done` units are done; `details` is what else is worth seeing, such as "loss 0.0123".
    pub fn update(&mut self, done: u64, details: &str) {
        self.done = done;
        if self.details != details {
            details.clone_into(&mut self.details);
        }
        let between = if self.bar.is_some() { BETWEEN_DRAWS } else { BETWEEN_LINES };
        if done < self.total && self.last_shown.is_some_and(|last| last.elapsed() < between) {
            return;
        }
        self.last_shown = Some(Instant::now());
        match (&self.bar, terminal_width()) {
            (Some(bar), Some(width)) => bar.set_message(coloured(&line::fitted(&self.snapshot(), width))),
            (Some(_), None) => {}
            (None, _) => write_stderr(line::plain(&self.snapshot())),
        }
    }

    /// Takes the bar away and says what the work took: time, throughput, peak memory.
    pub fn finish(mut self) {
        self.close();
        let seconds = self.start.elapsed().as_secs_f64();
        let count = self.done - self.first.min(self.done);
        let plural = if count == 1 { "" } else { "s" };
        let mut text = format!("{}: {count} {}{plural} in {}", self.label, self.unit, duration(seconds));
        if let Some(rate) = self.rate() {
            text.push_str(&format!(", {}", line::rate(rate, self.unit)));
        }
        if !self.details.is_empty() {
            text.push_str(&format!(", {}", self.details));
        }
        if let Some(bytes) = process::peak_bytes() {
            text.push_str(&format!(", peak memory {} MB", bytes.div_ceil(1_000_000)));
        }
        for cuda in Cuda::opened() {
            text.push_str(&format!(", tensors on {cuda} {} MB", cuda.peak_memory().div_ceil(1_000_000)));
        }
        write_stderr(&text);
    }

    /// Units a second since the start of this process's part; `None` before the first.
    pub fn rate(&self) -> Option<f64> {
        let (count, seconds) = (self.done.saturating_sub(self.first), self.start.elapsed().as_secs_f64());
        (count > 0 && seconds > 0.0).then(|| count as f64 / seconds)
    }

    fn snapshot(&self) -> Snapshot<'_> {
        let rate = self.rate();
        Snapshot { label: &self.label, unit: self.unit, done: self.done, total: self.total, rate, details: &self.details }
    }

    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            *SHOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    /// On an error the terminal is left clean for its message.
    fn drop(&mut self) {
        self.close();
    }
}

/// Columns of the terminal on stderr; `None` when it is a file, a pipe or closed.
fn terminal_width() -> Option<usize> {
    let terminal = Term::stderr();
    let capable = terminal.is_term() && std::env::var_os("TERM").is_none_or(|name| name != "dumb");
    capable.then(|| terminal.size_checked().map_or(80, |(_, columns)| usize::from(columns).max(1)))
}

fn coloured(text: &str) -> String {
    let paint = |cells: &str| style(cells.to_owned()).for_stderr().cyan().to_string();
    match (text.find('━'), text.rfind('━')) {
        (Some(first), Some(last)) => {
            let end = last + '━'.len_utf8();
            format!("{}{}{}", &text[..first], paint(&text[first..end]), &text[end..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_rates_only_its_own_work() {
        let mut progress = Progress::new("test", "step", 100, 50);
        assert!(progress.rate().is_none());
        std::thread::sleep(Duration::from_millis(20));
        progress.update(51, "loss 1");
        let rate = progress.rate().unwrap();
        assert!(rate > 0.0 && rate <= 50.0, "{rate} a second: one step in at least 20 ms");
        note("a sentence between");
        progress.finish();
    }
}

//! `report.html` and `contact-sheet.png`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Run, pictures};
use crate::error::{Context, Result};
use crate::files;
use crate::report::{Chart, Page, Series, Table};

/// Writes both files and gives their paths.
pub(super) fn write(run: &Run) -> Result<(PathBuf, PathBuf)> {
    let (report, contact_sheet) = (run.folder.join("report.html"), run.folder.join("contact-sheet.png"));
    let sheet = pictures::contact_sheet(run)?.to_png()?;
    files::write_bytes_atomic(&contact_sheet, &sheet)?;
    let types = run.learned.metadata.kinds.len();
    let mut page = Page::new(
        "anodiff demo",
        &format!("{types} defect types learned from a handful of pictures each, and what was generated from them on the embedded base model."),
    );
    page.heading("Pictures");
    page.paragraph(
        "For each type: some of the training pictures with their masks, then generated pairs. The difference is between the generated and the normal \
         picture. Estimates are what the denoiser expected of the finished picture on the way; weights are the attention re-weighting at latent resolution.",
    );
    page.image(&sheet, "Contact sheet: training examples and generated pairs of every type");
    page.heading("Measurements");
    page.table(&alignment_table(run));
    page.paragraph(
        "Change inside the mask: share of the whole change that lies inside the mask. Mask changed: share of the mask's pixels that changed by more than \
         8 of 255 levels. Overlap: intersection over union of the changed pixels and the mask. Background: PSNR outside the mask, 99 when identical.",
    );
    page.heading("Training");
    page.svg(&loss_chart(&run.folder.join("run"))?.svg());
    page.table(&settings_table(run));
    files::write_bytes_atomic(&report, page.html().as_bytes())?;
    Ok((report, contact_sheet))
}

fn alignment_table(run: &Run) -> Table {
    let headings = ["object", "type", "pairs", "change inside", "mask changed", "overlap", "background dB"];
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let rows = run.measured.iter().map(|row| {
        let found = &row.alignment;
        vec![
            row.object.clone(),
            row.defect.clone(),
            row.pairs.to_string(),
            percent(found.change_inside),
            percent(found.mask_changed),
            percent(found.overlap),
            format!("{:.1}", found.background_psnr),
        ]
    });
    Table { caption: "Mean over the generated pairs of each type".into(), headings: headings.map(String::from).to_vec(), rows: rows.collect() }
}

fn settings_table(run: &Run) -> Table {
    let metadata = &run.learned.metadata;
    let preset = &metadata.preset;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = vec![
        row("base model", format!("{} ({:.1} M parameters)", metadata.base_model, run.base.parameter_count() as f64 / 1e6)),
        row("preset", format!("{:?}", preset.name).to_lowercase()),
        row("picture size", format!("{0} x {0}", metadata.resolution)),
        row("training", format!("{} steps of {} in {:.0} s", preset.training.steps, preset.training.batch_size, run.training_seconds)),
        row("generation", format!("{} denoising steps an image, {:.0} s in all", preset.generation.steps, run.generation_seconds)),
        row("re-weighting", preset.generation.reweighting.mode.name().to_owned()),
        row("seed", metadata.seed.to_string()),
    ];
    Table { caption: "Settings".into(), headings: vec!["setting".into(), "value".into()], rows }
}

/// The run's loss over its steps, with a running mean, from the log.
fn loss_chart(run: &Path) -> Result<Chart> {
    let path = run.join("log.jsonl");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut points = Vec::new();
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))?;
        if let (Some(step), Some(loss)) = (entry["step"].as_f64(), entry["loss"].as_f64()) {
            points.push((step, loss));
        }
    }
    let series = Series { name: "masked loss, running mean".into(), points: running_mean(&points) };
    Ok(Chart { title: "Training loss".into(), x_label: "step".into(), y_label: "masked loss".into(), series: vec![series] })
}

/// The mean over a window of a twentieth of the run: single losses are noise, because every step draws its own time steps.
fn running_mean(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let window = (points.len() / 20).max(1);
    points.windows(window).map(|part| (part[window - 1].0, part.iter().map(|point| point.1).sum::<f64>() / window as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::running_mean;

    #[test]
    fn the_running_mean_is_flat_on_a_constant_and_keeps_the_last_step() {
        let points: Vec<(f64, f64)> = (0..100).map(|step| (f64::from(step), 2.0)).collect();
        let mean = running_mean(&points);
        assert_eq!(mean.len(), 96);
        assert_eq!(mean.last(), Some(&(99.0, 2.0)));
        assert!(running_mean(&[]).is_empty());
    }
}

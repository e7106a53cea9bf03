//! `report.html` and `contact-sheet.png`.

use std::path::PathBuf;

use super::{Run, pictures};
use crate::error::Result;
use crate::files;
use crate::report::{Page, Table, log_chart};

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
         picture. Defects are drawn in a close-up of the normal picture; estimates are what the denoiser expected of it on the way, weights are the attention \
         re-weighting at its latent resolution.",
    );
    page.image(&sheet, "Contact sheet: training examples and generated pairs of every type");
    page.heading("Measurements");
    page.table(&alignment_table(run));
    page.paragraph(
        "Change inside the mask: share of the whole change that lies inside the mask. Mask changed: share of the mask's pixels that changed by more than \
         8 of 255 levels. Overlap: intersection over union of the changed pixels and the mask. Background: PSNR outside the mask, 99 when identical.",
    );
    page.heading("Training");
    if let Some(chart) = log_chart(&run.folder.join("run"), "loss", "Masked loss")? {
        page.svg(&chart.title, &chart.svg());
    }
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

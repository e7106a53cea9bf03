//! The lists and the table of a filtering.

use std::path::Path;

use super::Score;
use crate::error::Result;
use crate::files;

/// Images to keep, one a line.
pub const KEEP: &str = "keep.txt";
/// Images to drop, one a line.
pub const DROP: &str = "drop.txt";
/// All scores.
pub const SCORES: &str = "scores.csv";

/// Writes the two lists and the table into a folder; the list of what to keep last, so that it never belongs to other scores.
///
/// # Errors
/// When a file cannot be written (exit code 2).
pub fn write(folder: &Path, scores: &[Score]) -> Result<()> {
    files::create_folder(folder)?;
    files::write_bytes_atomic(&folder.join(SCORES), table(scores).as_bytes())?;
    files::write_bytes_atomic(&folder.join(DROP), list(scores, false).as_bytes())?;
    files::write_bytes_atomic(&folder.join(KEEP), list(scores, true).as_bytes())
}

fn list(scores: &[Score], kept: bool) -> String {
    scores.iter().filter(|score| score.is_kept() == kept).map(|score| format!("{}\n", score.image)).collect()
}

fn table(scores: &[Score]) -> String {
    let mut text = String::from("image,object,type,index,mask_changed,background_psnr,distance,relative_distance,keep,reasons\n");
    for score in scores {
        let reasons: Vec<&str> = score.reasons.iter().map(|reason| reason.name()).collect();
        let names = [&score.image, &score.object, &score.defect].map(|name| quoted(name)).join(",");
        text.push_str(&format!(
            "{names},{},{:.6},{:.4},{:.6},{:.4},{},{}\n",
            score.index,
            score.mask_changed,
            score.background_psnr,
            score.distance,
            score.relative_distance,
            score.is_kept(),
            reasons.join(" ")
        ));
    }
    text
}

/// A CSV field (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

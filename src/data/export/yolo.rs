//! YOLO's layout for segmentation (which detectors read, too): pictures, one text file of polygons each, and data.yaml.

use std::path::Path;

use super::{Exported, class, classes, extension, outlines, place};
use crate::data::dataset::Dataset;
use crate::data::mask::Mask;
use crate::error::Result;
use crate::files;

/// The file that YOLO is given.
const FILE: &str = "data.yaml";
/// Every tenth pair of a type is for validation.
const VALIDATION: usize = 10;

/// Writes `images/{train,val}`, `labels/{train,val}` and `data.yaml` into `out`. A line of a label is the class `<object>+<type>`, counted from 0, and the
/// corners of one connected region as shares of width and height; holes are filled, because a polygon has none. The normal pictures of `normals`, where
/// given, are background: pictures without a label in it.
///
/// `progress` is called after each pair and may end the work.
///
/// # Errors
/// When a file cannot be read or written (exit code 2).
pub fn yolo(pairs: &Dataset, normals: Option<&Dataset>, out: &Path, progress: &mut dyn FnMut() -> Result<()>) -> Result<Exported> {
    let mut exported = Exported { entry_points: vec![FILE.to_owned()], ..Exported::default() };
    let names = classes(pairs);
    for (number, (object, kind)) in pairs.types().enumerate() {
        for (position, pair) in kind.pairs.iter().enumerate() {
            let last_of_few = kind.pairs.len() < VALIDATION && position > 0 && position + 1 == kind.pairs.len();
            let part = if (position + 1).is_multiple_of(VALIDATION) || last_of_few { "val" } else { "train" };
            let stem = format!("{}_{position:06}", file_name(&class(object, kind)));
            place(&pair.image, &out.join(format!("images/{part}/{stem}.{}", extension(&pair.image))))?;
            write_label(out, part, &stem, &label(number, &Mask::load(&pair.mask)?))?;
            exported.pairs += 1;
            progress()?;
        }
    }
    for object in normals.iter().flat_map(|normals| &normals.objects) {
        for (position, normal) in object.normals.iter().enumerate() {
            let part = if (position + 1).is_multiple_of(VALIDATION) { "val" } else { "train" };
            let stem = format!("{}_normal_{position:06}", file_name(&object.name));
            place(normal, &out.join(format!("images/{part}/{stem}.{}", extension(normal))))?;
            write_label(out, part, &stem, "")?;
            exported.normals += 1;
        }
    }
    files::write_bytes_atomic(&out.join(FILE), description(&names).as_bytes())?;
    Ok(exported)
}

fn write_label(out: &Path, part: &str, stem: &str, text: &str) -> Result<()> {
    let folder = out.join("labels").join(part);
    files::create_folder(&folder)?;
    files::write_bytes_atomic(&folder.join(format!("{stem}.txt")), text.as_bytes())
}

/// A line for each region.
fn label(class: usize, mask: &Mask) -> String {
    let (width, height) = (mask.width() as f64, mask.height() as f64);
    let line = |corners: &[(usize, usize)]| {
        let points: Vec<String> = corners.iter().map(|&(x, y)| format!("{:.6} {:.6}", x as f64 / width, y as f64 / height)).collect();
        format!("{class} {}\n", points.join(" "))
    };
    outlines(mask).iter().map(|outline| line(&outline.corners)).collect()
}

/// The description without a path: YOLO takes the file's own folder then.
fn description(names: &[String]) -> String {
    let mut text = String::from("train: images/train\nval: images/val\nnames:\n");
    for (number, name) in names.iter().enumerate() {
        text.push_str(&format!("  {number}: {}\n", super::anomalib::quoted(name)));
    }
    text
}

/// Letters, digits, `-` and `_` of a name; what else there is becomes `-`.
fn file_name(name: &str) -> String {
    name.chars().map(|letter| if letter.is_alphanumeric() || letter == '_' { letter } else { '-' }).collect()
}

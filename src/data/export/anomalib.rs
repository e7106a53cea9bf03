//! anomalib: a folder in MVTec AD layout with its normal pictures, and for each object a configuration for `anomalib.data.Folder` and a table for
//! `anomalib.data.Tabular`.

use std::path::Path;

use super::{Exported, extension, place, relative};
use crate::data::dataset::{Dataset, Object};
use crate::data::mask::Mask;
use crate::error::Result;
use crate::files;
use crate::invalid_input;

/// Writes the pairs of a data set and the normal pictures of `normals` into `out`:
///
/// ```text
/// <object>/{train/good,test/good,test/<type>,ground_truth/<type>}/...   masks of 8 bits, 0 and 255, called <stem>_mask.png
/// <object>.yaml                                                         anomalib.data.Folder
/// <object>.csv                                                          image_path,label_index,mask_path,split
/// ```
///
/// Pictures are linked, not copied, where the file system allows it. Paths in the files are relative to `out`. `progress` is called after each pair and
/// may end the work.
///
/// # Errors
/// When an object has no normal picture, or a file cannot be read or written (exit code 2).
pub fn anomalib(pairs: &Dataset, normals: &Dataset, out: &Path, progress: &mut dyn FnMut() -> Result<()>) -> Result<Exported> {
    let mut exported = Exported::default();
    for object in pairs.objects.iter().filter(|object| !object.types.is_empty()) {
        let normal = normals.object(&object.name)?;
        if normal.normals.is_empty() {
            invalid_input!("{}: anomalib needs normal pictures, and there are none in {}", object.name, normals.root.join(&object.name).display());
        }
        let mut rows = Vec::new();
        for (split, pictures) in [("train", &normal.normals), ("test", &normal.test_normals)] {
            for (number, picture) in pictures.iter().enumerate() {
                let name = format!("{}/{split}/good/{number:06}.{}", object.name, extension(picture));
                place(picture, &out.join(&name))?;
                rows.push(row(&name, "", split));
                exported.normals += 1;
            }
        }
        exported.pairs += put_pairs(pairs, object, out, &mut rows, progress)?;
        let names = [format!("{}.yaml", object.name), format!("{}.csv", object.name)];
        let table = format!("image_path,label_index,mask_path,split\n{}", rows.concat());
        let configuration = configuration(object, !normal.test_normals.is_empty());
        files::write_bytes_atomic(&out.join(&names[0]), configuration.as_bytes())?;
        files::write_bytes_atomic(&out.join(&names[1]), table.as_bytes())?;
        exported.entry_points.extend(names);
    }
    Ok(exported)
}

fn put_pairs(pairs: &Dataset, object: &Object, out: &Path, rows: &mut Vec<String>, progress: &mut dyn FnMut() -> Result<()>) -> Result<usize> {
    let mut count = 0;
    for kind in &object.types {
        files::create_folder(&out.join(&object.name).join("ground_truth").join(&kind.name))?;
        for pair in &kind.pairs {
            let Some(stem) = pair.image.file_stem().and_then(|stem| stem.to_str()) else {
                invalid_input!("{}: expected a name in UTF-8", relative(&pair.image, &pairs.root)?)
            };
            let image = format!("{}/test/{}/{stem}.{}", object.name, kind.name, extension(&pair.image));
            let mask = format!("{}/ground_truth/{}/{stem}_mask.png", object.name, kind.name);
            place(&pair.image, &out.join(&image))?;
            Mask::load(&pair.mask)?.save(&out.join(&mask))?;
            rows.push(row(&image, &mask, "test"));
            count += 1;
            progress()?;
        }
    }
    Ok(count)
}

/// A line of the table; anomalib knows 0 as normal and 1 as abnormal, and infers its own labels from that.
fn row(image: &str, mask: &str, split: &str) -> String {
    let field = |text: &str| if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() };
    format!("{},{},{},{split}\n", field(image), u8::from(!mask.is_empty()), field(mask))
}

/// The arguments of `anomalib.data.Folder`.
fn configuration(object: &Object, has_test_normals: bool) -> String {
    let list = |folder: &str| object.types.iter().map(|kind| format!("    - {}\n", quoted(&format!("{folder}/{}", kind.name)))).collect::<String>();
    let test_normals = if has_test_normals { "  normal_test_dir: test/good\n" } else { "" };
    format!(
        "class_path: anomalib.data.Folder\ninit_args:\n  name: {name}\n  root: {name}\n  normal_dir: train/good\n{test_normals}  abnormal_dir:\n{}  mask_dir:\n{}",
        list("test"),
        list("ground_truth"),
        name = quoted(&object.name),
    )
}

/// A YAML string in double quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

//! As many new pairs of the demo's own types as one likes, in a folder as `anodiff generate` leaves it: what a perfect generator would make. Inspection
//! networks that are trained on them say how much there is to gain (docs/generation.md).
//!
//!     cargo run --release --example true_pairs -- FOLDER [PAIRS-PER-TYPE]

use std::path::PathBuf;

use anodiff::data::demo::{Plan, THINGS};
use anodiff::error::{Context, Result};
use anodiff::files::create_folder;

/// Far behind the numbers of the pairs in the data set, so that none is in both.
const FIRST: usize = 1000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("true_pairs FOLDER [PAIRS-PER-TYPE]")?);
    let count: usize = arguments.next().map_or(Ok(144), |text| text.parse().context("PAIRS-PER-TYPE"))?;
    let plan = Plan::default();
    for thing in &THINGS {
        for (kind, name) in thing.types.iter().enumerate() {
            let [images, masks] = ["test", "ground_truth"].map(|part| folder.join(thing.name).join(part).join(name));
            create_folder(&images)?;
            create_folder(&masks)?;
            for index in 0..count {
                let (picture, mask) = thing.pair(&plan, kind, FIRST + index);
                picture.save(&images.join(format!("{index:06}.png")))?;
                mask.save(&masks.join(format!("{index:06}_mask.png")))?;
            }
        }
    }
    Ok(())
}

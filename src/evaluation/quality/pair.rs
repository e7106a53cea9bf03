//! A generated pair with the normal picture that it was made from.

use std::collections::BTreeMap;
use std::path::Path;

use crate::anomaly::generated_set::{self, Entry};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::evaluation::alignment::Alignment;
use crate::invalid_input;

/// Picture, mask and normal picture, all of one size.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The generated picture.
    pub image: Picture,
    /// Where the defect is meant to be.
    pub mask: Mask,
    /// The normal picture at the generated one's size.
    pub normal: Picture,
}

impl Pair {
    /// Reads the files of an entry of the manifest of the folder `generated`; `data` is the data set's folder.
    ///
    /// # Errors
    /// When a file cannot be read, the mask is of another size, or the manifest leads out of the data set (exit code 2).
    pub fn load(generated: &Path, data: &Path, entry: &Entry) -> Result<Self> {
        entry.check_paths(generated)?;
        let (image, mask) = (Picture::load(&generated.join(&entry.image))?, Mask::load(&generated.join(&entry.mask))?);
        if (image.width(), image.height()) != (mask.width(), mask.height()) {
            let (folder, sizes) = (generated.display(), [[image.width(), image.height()], [mask.width(), mask.height()]]);
            let [image_size, mask_size] = sizes.map(|[width, height]| format!("{width}x{height}"));
            invalid_input!("{folder}: {} and {} differ in size, {image_size} and {mask_size}: generate the pair again", entry.image, entry.mask);
        }
        // Through bytes, as the image went: what was not touched is then equal, not merely close.
        let normal = Picture::load(&data.join(&entry.normal))?.resized(image.width(), image.height()).quantized();
        Ok(Self { image, mask, normal })
    }

    /// How its change lies with respect to its mask; `None` of an empty mask.
    pub fn alignment(&self) -> Result<Option<Alignment>> {
        if self.mask.is_empty() {
            return Ok(None);
        }
        Alignment::measure(self.image.pixels(), self.normal.pixels(), self.mask.pixels()).map(Some)
    }
}

/// How each picture of a generated folder was made.
#[derive(Debug, Default)]
pub struct Origins {
    entries: BTreeMap<String, Entry>,
}

impl Origins {
    /// Reads the folder's manifest; there are none without it.
    ///
    /// # Errors
    /// When a line is not an entry (exit code 2).
    pub fn read(folder: &Path) -> Result<Self> {
        let entries = generated_set::read_entries(folder)?;
        Ok(Self { entries: entries.into_iter().map(|entry| (entry.image.clone(), entry)).collect() })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of a picture, whose path is below `folder`.
    pub fn of(&self, folder: &Path, picture: &Path) -> Option<&Entry> {
        let relative = picture.strip_prefix(folder).ok()?.to_str()?.replace('\\', "/");
        self.entries.get(&relative)
    }
}

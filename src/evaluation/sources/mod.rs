//! Where pictures with defects to train on come from: generated pairs, and the baselines that need no generator.

mod crop_paste;
mod cut_paste;
mod material;
mod paste;
mod perlin;
mod specimen;
#[cfg(test)]
mod tests;

pub use material::{Amounts, Material};
pub use specimen::{Specimen, batch};

use crate::error::Result;
use crate::invalid_input;

/// A way to come by defect pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder of generated pairs.
    Generated,
    /// The generated pairs and the real training pairs that they were learned from, in one pool: what who has both would train on.
    GeneratedAndReal,
    /// The real training pairs alone, augmented as for training the generator: flips, turns, crops around the defect.
    Real,
    /// Crop&Paste (Lin et al., IECON 2021): a real training defect, turned and scaled, pasted onto a normal picture.
    CropPaste,
    /// CutPaste (Li et al., CVPR 2021): a patch or a scar of a normal picture, jittered, pasted elsewhere on it.
    CutPaste,
    /// DRAEM (Zavrtanik et al., ICCV 2021): foreign texture blended in where Perlin noise is high. The textures are procedural, in place of the
    /// photographs (DTD) that the original takes.
    Perlin,
}

impl Source {
    /// All, in the order of tables.
    pub const ALL: [Self; 6] = [Self::Generated, Self::GeneratedAndReal, Self::Real, Self::CropPaste, Self::CutPaste, Self::Perlin];

    /// The name on the command line, in folders and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::GeneratedAndReal => "generated+real",
            Self::Real => "real",
            Self::CropPaste => "crop-paste",
            Self::CutPaste => "cut-paste",
            Self::Perlin => "draem",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self> {
        let names = || Self::ALL.map(Self::name).join(", ");
        match Self::ALL.into_iter().find(|source| source.name() == text) {
            Some(source) => Ok(source),
            None => invalid_input!("--sources {text}: expected one or several of {}", names()),
        }
    }

    /// Whether it takes generated pairs.
    pub fn needs_generated(self) -> bool {
        matches!(self, Self::Generated | Self::GeneratedAndReal)
    }

    /// Whether its pictures show the data set's own types, so that a classifier can learn from them.
    pub fn has_types(self) -> bool {
        matches!(self, Self::Generated | Self::GeneratedAndReal | Self::Real | Self::CropPaste)
    }
}

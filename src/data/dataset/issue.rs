//! What a scan or an inspection has to say about a data set.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Something odd about one file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Relative to the data set's root.
    pub path: PathBuf,
    /// What it is.
    pub problem: Problem,
}

/// The kinds of oddities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", content = "detail", rename_all = "kebab-case")]
pub enum Problem {
    /// The name is not UTF-8, has control characters, or cannot be an object's or type's name; left out.
    UnusableName(String),
    /// The file or folder cannot be read, for this reason (a broken or circular link, missing permissions, a damaged picture); left out.
    Unreadable(String),
    /// A picture with a defect has no mask of its stem; left out.
    NoMask,
    /// A mask has no picture of its stem; not used.
    NoImage,
    /// Several masks have the picture's stem; this one is used.
    SeveralMasks(String),
    /// Another picture in the folder has the same stem, so that they share a mask; only the first is used.
    SameStem(String),
    /// A folder of masks has no folder of pictures beside it; not used.
    NoImages,
    /// The folder of a defect type has no usable pair; left out.
    NoPairs,
    /// The object has no normal pictures in `train/good`: it cannot be generated from.
    NoNormals,
    /// No pixel of the mask is set.
    EmptyMask,
    /// Every pixel of the mask is set.
    FullMask,
    /// Mask and picture differ in size: "mask 10x10, image 20x20"; the mask is resized.
    OtherSize(String),
    /// The mask has values between its darkest and brightest; those count as set.
    NotBinary(String),
}

impl fmt::Display for Issue {
    /// One line; the path is quoted so that no name can break it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.path, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnusableName(reason) => write!(formatter, "left out: {reason}"),
            Self::Unreadable(reason) => write!(formatter, "left out, cannot be read: {reason}"),
            Self::NoMask => formatter.write_str("left out: no mask with its stem"),
            Self::NoImage => formatter.write_str("mask without a picture of its stem"),
            Self::SeveralMasks(used) => write!(formatter, "several masks with its stem; {used:?} is used"),
            Self::SameStem(first) => write!(formatter, "left out: {first:?} has the same stem, so both would take one mask"),
            Self::NoImages => formatter.write_str("masks without a folder of pictures in test/"),
            Self::NoPairs => formatter.write_str("left out: no picture with a mask"),
            Self::NoNormals => formatter.write_str("no normal pictures in train/good: nothing can be generated for this object"),
            Self::EmptyMask => formatter.write_str("empty mask: no pixel is set"),
            Self::FullMask => formatter.write_str("full mask: every pixel is set"),
            Self::OtherSize(sizes) => write!(formatter, "sizes differ: {sizes}; the mask is resized"),
            Self::NotBinary(values) => write!(formatter, "mask is not binary: {values}"),
        }
    }
}

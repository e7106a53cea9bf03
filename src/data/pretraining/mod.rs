//! Captioned procedural pictures of industrial surfaces, parts and blemishes: what the embedded base model is trained on.
//!
//! A picture is a pure function of (seed, index, size): a subject (a material that fills the frame, or a part on a ground), in most cases one
//! kind of mark on it, a light, a camera, and a sentence that says so. Nothing here is drawn by the code of the demo's data set (`data::demo`).

mod blemish;
mod brush;
mod caption;
mod palette;
mod part;
mod relief;
mod scene;
mod surface;

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::data::picture::Picture;
use crate::tensor::random::Sampler;

/// How much of a scene a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// All of it, at every size: a larger picture shows finer detail.
    Whole,
    /// A quarter of the area, at twice the scale, with the mark in it where there is one: large, and often a patch of a material.
    CloseUp,
    /// The same, with marks between the sizes of the two others and all kinds of them alike: what a part of a larger picture looks like.
    Detail,
    /// All of an industrial part on its ground, in the middle and mostly upright as a fixed camera sees it, as often without a mark as with one.
    Part,
    /// The same in one pose: parts of a kind differ in their builds, materials and marks alone.
    Posed,
    /// A surface at twice the scale, its mark in the middle of the frame.
    Centered,
}

/// Picture `index` of the endless series named by `seed`, `size` x `size` pixels, with its caption.
pub fn example(seed: u64, index: u64, size: usize, framing: Framing) -> (Picture, String) {
    let purpose = match framing {
        Framing::Whole => "pretraining picture",
        Framing::CloseUp => "pretraining close-up",
        Framing::Detail => "pretraining detail",
        Framing::Part => "pretraining part",
        Framing::Posed => "pretraining posed part",
        Framing::Centered => "pretraining centered mark",
    };
    let sampler = &mut Sampler::new(seed, purpose, &[index, size as u64]);
    match framing {
        Framing::Whole => scene::photograph(size, scene::WHOLE, sampler),
        Framing::Part => scene::photograph(size, scene::PART, sampler),
        Framing::Posed => scene::photograph(size, scene::POSED, sampler),
        Framing::CloseUp => scene::close_up(size, scene::CLOSE, sampler),
        Framing::Detail => scene::close_up(size, scene::DETAIL, sampler),
        Framing::Centered => scene::close_up(size, scene::CENTERED, sampler),
    }
}

/// Every word that a caption may use, sorted, and common words of prompts besides.
pub fn words() -> Vec<String> {
    caption::words()
}

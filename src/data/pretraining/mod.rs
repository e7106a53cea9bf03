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

use crate::data::picture::Picture;
use crate::tensor::random::Sampler;

/// Picture `index` of the endless series named by `seed`, `size` x `size` pixels, with its caption.
///
/// The subject fills the frame at every size; a larger picture shows finer detail of it.
pub fn example(seed: u64, index: u64, size: usize) -> (Picture, String) {
    scene::photograph(size, &mut Sampler::new(seed, "pretraining picture", &[index, size as u64]))
}

/// Every word that a caption may use, sorted, and common words of prompts besides.
pub fn words() -> Vec<String> {
    caption::words()
}

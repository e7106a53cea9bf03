//! The procedural demo data set: three inspected things with two kinds of defect each, photographed by one camera, in MVTec AD layout.
//!
//! Every picture is a function of (seed, object, type, index) alone: pose, light, texture and defect differ from picture to picture, and at
//! another size the same scene is seen in other detail. Masks are exact: they come from the shape that changes the surface.
//!
//! Defects of one type differ as those of real parts do, above all in colour: there is ink of many pens, and paint of any colour. A few pairs do not show all
//! that there is, so generated ones can be worth more than copies (`docs/generation.md`).

mod camera;
mod capsule;
mod leather;
mod mark;
mod washer;
#[cfg(test)]
mod tests;

use std::path::Path;

use rayon::prelude::*;

use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::files::create_folder;
use crate::invalid_input;
use crate::tensor::random::Sampler;

/// What is drawn of one thing: without or with a defect (an index into its types).
type Draw = fn(size: usize, defect: Option<usize>, sampler: &mut Sampler) -> (Picture, Mask);

/// One inspected thing.
pub struct Thing {
    /// The object's name in the data set.
    pub name: &'static str,
    /// The names of its defect types.
    pub types: [&'static str; 2],
    draw: Draw,
}

/// All things of the data set.
pub const THINGS: [Thing; 3] = [
    Thing { name: "capsule", types: ["hole", "ink"], draw: capsule::draw },
    Thing { name: "leather", types: ["cut", "glue"], draw: leather::draw },
    Thing { name: "washer", types: ["paint", "rust"], draw: washer::draw },
];

/// How much is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Pixels a side, 16 to 4096.
    pub size: usize,
    /// Normal pictures per object in `train/good`.
    pub normals: usize,
    /// Normal pictures per object in `test/good`.
    pub test_normals: usize,
    /// Pictures with a defect, and masks, per type.
    pub pairs: usize,
    /// Names the data set.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { size: 128, normals: 20, test_normals: 6, pairs: 12, seed: 0 }
    }
}

impl Thing {
    /// The `index`-th normal picture; the test part counts on after the training part.
    pub fn normal(&self, plan: &Plan, index: usize) -> Picture {
        self.photograph(plan, None, index).0
    }

    /// The `index`-th picture with a defect of type `types[kind]`, and its mask, which is neither empty nor full.
    pub fn pair(&self, plan: &Plan, kind: usize, index: usize) -> (Picture, Mask) {
        self.photograph(plan, Some(kind), index)
    }

    fn photograph(&self, plan: &Plan, defect: Option<usize>, index: usize) -> (Picture, Mask) {
        let kind = defect.map_or("good", |kind| self.types[kind]);
        let mut sampler = Sampler::new(plan.seed, &format!("demo {} {kind}", self.name), &[index as u64]);
        (self.draw)(plan.size, defect, &mut sampler)
    }
}

/// Writes the whole data set below `root`; files that are there already are replaced. `done` is called after each picture, from any thread.
///
/// # Errors
/// Exit code 2 for a size that makes no sense and when the files cannot be written.
pub fn write(root: &Path, plan: &Plan, done: impl Fn() + Sync) -> Result<()> {
    if !(16..=4096).contains(&plan.size) {
        invalid_input!("demo pictures of {0}x{0} pixels: expected a side of 16 to 4096", plan.size);
    }
    let mut jobs = Vec::new();
    for thing in &THINGS {
        let object = root.join(thing.name);
        for folder in ["train/good", "test/good"] {
            create_folder(&object.join(folder))?;
        }
        for index in 0..plan.normals + plan.test_normals {
            let (part, number) = if index < plan.normals { ("train", index) } else { ("test", index - plan.normals) };
            jobs.push(Job { thing, defect: None, index, image: object.join(format!("{part}/good/{number:03}.png")), mask: None });
        }
        for (kind, name) in thing.types.iter().enumerate() {
            let (images, masks) = (object.join("test").join(name), object.join("ground_truth").join(name));
            create_folder(&images)?;
            create_folder(&masks)?;
            for index in 0..plan.pairs {
                let mask = Some(masks.join(format!("{index:03}_mask.png")));
                jobs.push(Job { thing, defect: Some(kind), index, image: images.join(format!("{index:03}.png")), mask });
            }
        }
    }
    jobs.par_iter().try_for_each(|job| job.run(plan).inspect(|()| done()))
}

/// How many times [`write()`] calls back.
pub fn picture_count(plan: &Plan) -> usize {
    THINGS.iter().map(|thing| plan.normals + plan.test_normals + thing.types.len() * plan.pairs).sum()
}

/// One picture to be drawn and where it goes.
struct Job<'a> {
    thing: &'a Thing,
    defect: Option<usize>,
    index: usize,
    image: std::path::PathBuf,
    mask: Option<std::path::PathBuf>,
}

impl Job<'_> {
    fn run(&self, plan: &Plan) -> Result<()> {
        let (picture, mask) = self.thing.photograph(plan, self.defect, self.index);
        picture.save(&self.image)?;
        self.mask.as_ref().map_or(Ok(()), |path| mask.save(path))
    }
}

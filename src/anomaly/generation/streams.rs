//! The random numbers of one generated image: named by (seed, object, type, index), so that nothing else about a run matters.

use crate::anomaly::learned::Kind;
use crate::tensor::random::Stream;

/// Names an image's streams.
#[derive(Clone, Debug)]
pub struct ImageStreams {
    seed: u64,
    kind: String,
    index: u64,
}

impl ImageStreams {
    /// The streams of image `index` of a type.
    pub fn new(seed: u64, kind: &Kind, index: u64) -> Self {
        Self { seed, kind: format!("{}\0{}", kind.object, kind.defect), index }
    }

    /// For what is drawn once.
    pub fn once(&self, purpose: &str) -> Stream {
        Stream::new(self.seed, &format!("generate {purpose}\0{}", self.kind), &[self.index])
    }

    /// For what is drawn at every time step.
    pub fn at(&self, purpose: &str, timestep: i32) -> Stream {
        Stream::new(self.seed, &format!("generate {purpose}\0{}", self.kind), &[self.index, timestep as u64])
    }
}

//! RGB pictures.

/// An RGB picture: `width` x `height` pixels, each of three f32 in [-1, 1], row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<f32>,
}

impl Picture {
    /// Wraps pixels that are already in order; panics when there are not `3 * width * height` of them or none.
    pub fn from_parts(width: usize, height: usize, pixels: Vec<f32>) -> Self {
        assert!(width > 0 && height > 0 && pixels.len() == 3 * width * height, "a {width}x{height} picture of {} values", pixels.len());
        Self { width, height, pixels }
    }

    /// Pixels per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, interleaved: `[height, width, 3]`.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }
}

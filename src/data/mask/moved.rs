//! Masks elsewhere in the frame.

use super::Mask;
use crate::data::similarity::Similarity;

impl Mask {
    /// Moved, by the nearest pixel; what leaves the frame is lost.
    pub fn moved(&self, how: Similarity) -> Self {
        Self::from_fn(self.width, self.height, |column, row| {
            let [x, y] = how.origin(column, row).map(f32::round);
            x >= 0.0 && y >= 0.0 && x < self.width as f32 && y < self.height as f32 && self.at(x as usize, y as usize)
        })
    }

    /// Shifted such that its bounding box begins at `left` and `top`; what leaves the frame is lost. An empty mask stays empty.
    pub fn shifted_to(&self, left: usize, top: usize) -> Self {
        let Some(extent) = self.bounding_box() else { return self.clone() };
        Self::from_fn(self.width, self.height, |column, row| {
            let inside = (left..left + extent.width).contains(&column) && (top..top + extent.height).contains(&row);
            inside && self.at(column - left + extent.left, row - top + extent.top)
        })
    }
}

//! Parts of a picture.

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Rectangle {
    /// One past the last column.
    pub fn right(&self) -> usize {
        self.left + self.width
    }

    /// One past the last row.
    pub fn bottom(&self) -> usize {
        self.top + self.height
    }

    /// Column and row of the middle, between pixels where a side is even.
    pub fn middle(&self) -> [f32; 2] {
        [self.left as f32 + (self.width - 1) as f32 / 2.0, self.top as f32 + (self.height - 1) as f32 / 2.0]
    }

    /// The smallest rectangle that holds both.
    pub fn union(&self, other: &Self) -> Self {
        let (left, top) = (self.left.min(other.left), self.top.min(other.top));
        Self { left, top, width: self.right().max(other.right()) - left, height: self.bottom().max(other.bottom()) - top }
    }

    /// Panics unless the rectangle is not empty and lies inside a `width` x `height` picture.
    pub(in crate::data) fn check_inside(&self, width: usize, height: usize) {
        assert!(
            self.width > 0 && self.height > 0 && self.right() <= width && self.bottom() <= height,
            "{self:?} does not lie inside {width}x{height} pixels"
        );
    }
}

//! Moving a part of a picture: the similarity transforms of the plane.

/// What is at `from` comes to `to` (column, row), turned, scaled and perhaps mirrored about that point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// A point before, in pixels.
    pub from: [f32; 2],
    /// The same point afterwards.
    pub to: [f32; 2],
    /// The turn, clockwise as seen with rows downwards.
    pub degrees: f32,
    /// The factor on lengths.
    pub scale: f32,
    /// Whether left and right are exchanged, before the turn.
    pub mirrored: bool,
}

impl Similarity {
    /// Where the pixel that comes to (column, row) was.
    pub fn origin(&self, column: usize, row: usize) -> [f32; 2] {
        let (sine, cosine) = self.degrees.to_radians().sin_cos();
        let (x, y) = ((column as f32 - self.to[0]) / self.scale, (row as f32 - self.to[1]) / self.scale);
        let (across, down) = (cosine * x + sine * y, cosine * y - sine * x);
        [self.from[0] + if self.mirrored { -across } else { across }, self.from[1] + down]
    }
}

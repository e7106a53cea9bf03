//! Drawing for procedural pictures: a canvas in linear light, noise, signed distances, lighting.
//!
//! A picture is a stack of shaders. Every shader maps a point (and the colour beneath it) to a colour; the canvas calls it once per sample.
//! Coordinates have their origin in the centre, x to the right and y downwards, in units of the picture's HEIGHT: y runs from -0.5 to 0.5 and
//! x from -aspect/2 to aspect/2. So a scene looks the same at any size.
//!
//! ```
//! use anodiff::data::drawing::{Canvas, Color, Noise, point, sdf};
//!
//! let noise = Noise::new(7);
//! let mut canvas = Canvas::new(64, 64, 3, Color::gray(0.2)); // 64x64 pixels, 3x3 samples each
//! canvas.paint(|p, below| below * (1.0 + 0.2 * noise.fbm(p * 12.0, 4)));
//! let softness = canvas.sample_size();
//! canvas.paint(|p, below| {
//!     let disc = sdf::circle(p - point(0.1, 0.0), 0.3);
//!     below.mix(Color::rgb(0.8, 0.3, 0.1), sdf::coverage(disc, softness))
//! });
//! let picture = canvas.finish();
//! assert_eq!((picture.width(), picture.height()), (64, 64));
//! ```

mod canvas;
mod color;
mod light;
mod noise;
mod point;
mod stroke;
pub mod sdf;

pub use canvas::{Canvas, Film};
pub use color::Color;
pub use light::{Light, Material, normal_of};
pub use noise::{Cell, Noise};
pub use point::{Placement, Point, point};
pub use stroke::{Blob, Stroke};

/// Hermite step from 0 at `low` to 1 at `high`; also falls when `low > high`.
pub fn smooth_step(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// `from` at 0, `to` at 1, linear between and beyond.
pub fn mix(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

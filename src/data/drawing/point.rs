//! Points of the plane and where shapes are put.

use std::ops::{Add, Mul, Neg, Sub};

use super::mix;

/// A point or a vector of the plane; see [`super`] for the coordinates of a canvas.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Downwards.
    pub y: f32,
}

/// The point (x, y).
pub const fn point(x: f32, y: f32) -> Point {
    Point { x, y }
}

impl Point {
    /// The unit vector at `angle` radians, clockwise from the x axis as seen on the picture.
    pub fn at_angle(angle: f32) -> Self {
        point(angle.cos(), angle.sin())
    }

    /// Euclidean length.
    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// The angle in radians, -π to π.
    pub fn angle(self) -> f32 {
        self.y.atan2(self.x)
    }

    /// Scalar product.
    pub fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y
    }

    /// Turned by `angle` radians about the origin, clockwise on the picture.
    pub fn rotated(self, angle: f32) -> Self {
        let (sine, cosine) = angle.sin_cos();
        point(cosine * self.x - sine * self.y, sine * self.x + cosine * self.y)
    }

    /// Componentwise product: stretches the plane.
    pub fn scaled(self, x: f32, y: f32) -> Self {
        point(self.x * x, self.y * y)
    }

    /// This point at 0, `other` at 1.
    pub fn mix(self, other: Self, share: f32) -> Self {
        point(mix(self.x, other.x, share), mix(self.y, other.y, share))
    }
}

impl Add for Point {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        point(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Point {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        point(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f32> for Point {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        point(self.x * factor, self.y * factor)
    }
}

impl Neg for Point {
    type Output = Self;
    fn neg(self) -> Self {
        point(-self.x, -self.y)
    }
}

/// Where an object lies: drawn around its own origin, then scaled, turned and moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Where the object's origin comes to lie.
    pub center: Point,
    /// Radians, clockwise on the picture.
    pub angle: f32,
    /// Size factor; must not be 0.
    pub scale: f32,
}

impl Placement {
    /// From canvas to object coordinates. Distances measured there are `1 / scale` times those on the canvas.
    pub fn to_object(&self, p: Point) -> Point {
        (p - self.center).rotated(-self.angle) * (1.0 / self.scale)
    }

    /// From object to canvas coordinates.
    pub fn to_canvas(&self, p: Point) -> Point {
        (p * self.scale).rotated(self.angle) + self.center
    }
}

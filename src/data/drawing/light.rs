//! Light on surfaces given as height fields.

use super::{Color, Point};

/// A far light source and what the rest of the room adds.
#[derive(Clone, Copy, Debug)]
pub struct Light {
    /// Unit vector towards the light: x right, y down, z towards the camera.
    pub direction: [f32; 3],
    /// Colour and strength of the source.
    pub color: Color,
    /// Light from everywhere.
    pub ambient: Color,
}

/// How a surface answers to light (Blinn-Phong).
#[derive(Clone, Copy, Debug)]
pub struct Material {
    /// Colour of scattered light.
    pub color: Color,
    /// Strength of the highlight: 0 matt, 1 polished.
    pub specular: f32,
    /// Sharpness of the highlight: 5 satin, 100 gloss.
    pub shininess: f32,
    /// 0 for plastics (highlight of the light's colour), 1 for metals (tinted by the surface).
    pub metal: f32,
}

impl Light {
    /// White light from `azimuth` (radians, clockwise on the picture from the right) at `elevation` above the picture plane.
    pub fn new(azimuth: f32, elevation: f32, strength: f32, ambient: f32) -> Self {
        let (across, up) = (elevation.cos(), elevation.sin());
        Self { direction: [across * azimuth.cos(), across * azimuth.sin(), up], color: Color::gray(strength), ambient: Color::gray(ambient) }
    }

    /// The colour that the camera (straight above) sees of a surface with unit `normal`; `shadow` 0 lit .. 1 hidden from the source.
    pub fn shade(&self, material: &Material, normal: [f32; 3], shadow: f32) -> Color {
        let lit = dot(normal, self.direction).max(0.0) * (1.0 - shadow);
        let half = normalized([self.direction[0], self.direction[1], self.direction[2] + 1.0]);
        let highlight = material.specular * dot(normal, half).max(0.0).powf(material.shininess) * (1.0 - shadow);
        let highlight_color = Color::WHITE.mix(material.color, material.metal);
        (self.color * lit + self.ambient).tint(material.color) + self.color.tint(highlight_color) * highlight
    }

    /// Where the shadow of something `height` above the ground falls, relative to it.
    pub fn shadow_offset(&self, height: f32) -> Point {
        let up = self.direction[2].max(0.05);
        Point { x: -self.direction[0] / up * height, y: -self.direction[1] / up * height }
    }
}

/// The unit normal of a height field at `p`, by central differences of half width `step` (about a sample's size).
pub fn normal_of(height: impl Fn(Point) -> f32, p: Point, step: f32) -> [f32; 3] {
    let slope = |offset: Point| (height(p + offset) - height(p - offset)) / (2.0 * step);
    normalized([-slope(Point { x: step, y: 0.0 }), -slope(Point { x: 0.0, y: step }), 1.0])
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn normalized(v: [f32; 3]) -> [f32; 3] {
    let length = dot(v, v).sqrt().max(f32::MIN_POSITIVE);
    v.map(|component| component / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::drawing::point;

    #[test]
    fn slopes_facing_the_light_are_brighter() {
        let light = Light::new(std::f32::consts::PI, 0.8, 1.0, 0.1); // from the left
        let matt = Material { color: Color::gray(0.5), specular: 0.0, shininess: 1.0, metal: 0.0 };
        let left = normal_of(|p| p.x, point(0.0, 0.0), 0.01); // rises to the right: faces left
        let right = normal_of(|p| -p.x, point(0.0, 0.0), 0.01);
        assert!(light.shade(&matt, left, 0.0).luminance() > 2.0 * light.shade(&matt, right, 0.0).luminance());
        assert!(light.shade(&matt, left, 1.0).luminance() < light.shade(&matt, left, 0.0).luminance());
        assert!(light.shadow_offset(0.1).x > 0.0);
    }
}

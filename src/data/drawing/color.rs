//! Colours in linear light.

use std::ops::{Add, Mul};

use super::mix;

/// Linear RGB: 0 is black, 1 is display white, more is allowed until the film clips it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Color(pub [f32; 3]);

impl Color {
    /// Display white.
    pub const WHITE: Self = Self([1.0; 3]);
    /// No light.
    pub const BLACK: Self = Self([0.0; 3]);

    /// From linear components.
    pub const fn rgb(red: f32, green: f32, blue: f32) -> Self {
        Self([red, green, blue])
    }

    /// Equal linear components.
    pub const fn gray(level: f32) -> Self {
        Self([level; 3])
    }

    /// From sRGB components in 0..=1, as colour pickers show them.
    pub fn srgb(red: f32, green: f32, blue: f32) -> Self {
        Self([red, green, blue].map(srgb_to_linear))
    }

    /// From hue in turns (0 red, 1/3 green, 2/3 blue), saturation and value in 0..=1, taken as sRGB.
    pub fn hsv(hue: f32, saturation: f32, value: f32) -> Self {
        let channel = |offset: f32| {
            let sector = ((hue + offset).rem_euclid(1.0) * 6.0 - 3.0).abs() - 1.0;
            value * mix(1.0, sector.clamp(0.0, 1.0), saturation)
        };
        Self::srgb(channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0))
    }

    /// This colour at 0, `other` at 1.
    pub fn mix(self, other: Self, share: f32) -> Self {
        self * (1.0 - share) + other * share
    }

    /// Componentwise product: light of this colour on a surface of `other`.
    pub fn tint(self, other: Self) -> Self {
        Self([self.0[0] * other.0[0], self.0[1] * other.0[1], self.0[2] * other.0[2]])
    }

    /// Relative luminance (Rec. 709).
    pub fn luminance(self) -> f32 {
        0.2126 * self.0[0] + 0.7152 * self.0[1] + 0.0722 * self.0[2]
    }

    /// The sRGB components of this colour, clipped to 0..=1.
    pub fn to_srgb(self) -> [f32; 3] {
        self.0.map(linear_to_srgb)
    }
}

impl Add for Color {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self([self.0[0] + other.0[0], self.0[1] + other.0[1], self.0[2] + other.0[2]])
    }
}

impl Mul<f32> for Color {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        Self(self.0.map(|component| component * factor))
    }
}

/// IEC 61966-2-1, decoding.
fn srgb_to_linear(encoded: f32) -> f32 {
    if encoded <= 0.04045 { encoded / 12.92 } else { ((encoded + 0.055) / 1.055).powf(2.4) }
}

/// IEC 61966-2-1, encoding, clipped.
fn linear_to_srgb(linear: f32) -> f32 {
    let linear = linear.clamp(0.0, 1.0);
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn srgb_round_trip() {
        for level in 0..=255 {
            let encoded = level as f32 / 255.0;
            assert!((Color::srgb(encoded, 0.0, 1.0).to_srgb()[0] - encoded).abs() < 1e-5);
        }
    }

    #[test]
    fn hues_name_the_primaries() {
        for (hue, expected) in [(0.0, [1.0, 0.0, 0.0]), (1.0 / 3.0, [0.0, 1.0, 0.0]), (2.0 / 3.0, [0.0, 0.0, 1.0]), (1.0, [1.0, 0.0, 0.0])] {
            let found = Color::hsv(hue, 1.0, 1.0).0;
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{hue}: {found:?}");
        }
    }
}

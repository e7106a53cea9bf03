//! Colours with the words for them.

use crate::data::drawing::Color;
use crate::tensor::random::Sampler;

/// A word and the sRGB colour that it means.
pub(super) type Named = (&'static str, [f32; 3]);

/// Colours of paints, plastics, fabrics and stains.
pub(super) const PAINTS: [Named; 18] = [
    ("black", [0.10, 0.10, 0.11]),
    ("white", [0.92, 0.92, 0.91]),
    ("gray", [0.52, 0.53, 0.54]),
    ("red", [0.78, 0.14, 0.13]),
    ("orange", [0.90, 0.48, 0.12]),
    ("yellow", [0.92, 0.80, 0.18]),
    ("green", [0.20, 0.58, 0.25]),
    ("blue", [0.15, 0.32, 0.72]),
    ("cyan", [0.22, 0.68, 0.76]),
    ("purple", [0.46, 0.22, 0.60]),
    ("pink", [0.90, 0.54, 0.64]),
    ("brown", [0.42, 0.27, 0.16]),
    ("beige", [0.82, 0.74, 0.60]),
    ("cream", [0.94, 0.89, 0.76]),
    ("olive", [0.44, 0.45, 0.20]),
    ("navy", [0.12, 0.16, 0.34]),
    ("maroon", [0.42, 0.11, 0.14]),
    ("turquoise", [0.20, 0.62, 0.56]),
];

/// Metals.
pub(super) const METALS: [Named; 7] = [
    ("steel", [0.66, 0.68, 0.71]),
    ("iron", [0.42, 0.42, 0.43]),
    ("aluminium", [0.78, 0.79, 0.81]),
    ("copper", [0.80, 0.50, 0.36]),
    ("brass", [0.80, 0.67, 0.36]),
    ("bronze", [0.60, 0.45, 0.27]),
    ("chrome", [0.84, 0.86, 0.89]),
];

/// Woods.
pub(super) const WOODS: [Named; 6] = [
    ("oak", [0.74, 0.57, 0.38]),
    ("pine", [0.86, 0.70, 0.46]),
    ("walnut", [0.44, 0.30, 0.20]),
    ("cherry", [0.64, 0.36, 0.24]),
    ("ash", [0.82, 0.76, 0.66]),
    ("teak", [0.60, 0.42, 0.25]),
];

/// Stones and casts.
pub(super) const STONES: [Named; 6] = [
    ("granite", [0.56, 0.54, 0.54]),
    ("concrete", [0.64, 0.63, 0.60]),
    ("sandstone", [0.80, 0.68, 0.50]),
    ("slate", [0.34, 0.37, 0.40]),
    ("plaster", [0.88, 0.87, 0.83]),
    ("clay", [0.70, 0.42, 0.30]),
];

/// One of the colours, a little off.
pub(super) fn pick(sampler: &mut Sampler, colors: &[Named]) -> (&'static str, Color) {
    let (name, components) = *sampler.pick(colors);
    let brightness = sampler.range(0.9, 1.1);
    let [red, green, blue] = components.map(|component| (component * brightness + sampler.range(-0.05, 0.05)).clamp(0.03, 0.97));
    (name, Color::srgb(red, green, blue))
}

/// A paint that stands out from `ground`: the most different of a few draws.
pub(super) fn contrasting(sampler: &mut Sampler, ground: Color) -> (&'static str, Color) {
    let mut best = pick(sampler, &PAINTS);
    for _ in 0..2 {
        let other = pick(sampler, &PAINTS);
        if difference(other.1, ground) > difference(best.1, ground) {
            best = other;
        }
    }
    best
}

fn difference(a: Color, b: Color) -> f32 {
    a.to_srgb().iter().zip(b.to_srgb()).map(|(x, y)| (x - y).abs()).sum()
}

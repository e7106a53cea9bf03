//! Materials: what a surface looks like and what it is called.

mod crafted;
mod natural;

use super::palette::{self, METALS, PAINTS, STONES, WOODS};
use super::relief::Relief;
use crate::data::drawing::{Color, Noise};
use crate::tensor::random::Sampler;

/// A kind of material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Woven,
    Brushed,
    Grained,
    Cast,
    Printed,
    Speckled,
    Plastic,
    Ceramic,
    Tiled,
    Rubber,
    Paper,
    Hammered,
    Perforated,
    Veined,
}

impl Surface {
    /// Materials that fill a picture.
    pub(super) const ALL: [Self; 14] = [
        Self::Woven,
        Self::Brushed,
        Self::Grained,
        Self::Cast,
        Self::Printed,
        Self::Speckled,
        Self::Plastic,
        Self::Ceramic,
        Self::Tiled,
        Self::Rubber,
        Self::Paper,
        Self::Hammered,
        Self::Perforated,
        Self::Veined,
    ];
    /// Materials that parts are made of.
    pub(super) const OF_PARTS: [Self; 8] =
        [Self::Brushed, Self::Brushed, Self::Cast, Self::Plastic, Self::Plastic, Self::Ceramic, Self::Grained, Self::Rubber];

    /// The colours that it comes in, and the words for it as a surface (the colour's name goes in front).
    fn catalogue(self) -> (&'static [palette::Named], &'static [&'static str]) {
        match self {
            Self::Woven => (&PAINTS, &["woven fabric", "woven cloth", "woven textile", "canvas"]),
            Self::Brushed => (&METALS, &["brushed *", "brushed * sheet", "polished *"]),
            Self::Grained => (&WOODS, &["grained * wood", "* board", "* wood"]),
            Self::Cast => (&METALS, &["cast *", "rough cast *", "cast * surface"]),
            Self::Printed => (&PAINTS, &["printed label", "printed pattern", "printed foil"]),
            Self::Speckled => (&STONES, &["speckled *", "* stone", "speckled * slab"]),
            Self::Plastic => (&PAINTS, &["plastic", "smooth plastic", "plastic sheet"]),
            Self::Ceramic => (&PAINTS, &["ceramic", "glazed ceramic", "porcelain"]),
            Self::Tiled => (&PAINTS, &["tiled wall", "mosaic", "tiled floor"]),
            Self::Rubber => (&PAINTS, &["rubber", "rubber mat"]),
            Self::Paper => (&PAINTS, &["paper", "cardboard", "painted wall"]),
            Self::Hammered => (&METALS, &["hammered *", "dimpled *"]),
            Self::Perforated => (&METALS, &["perforated *", "perforated * sheet"]),
            Self::Veined => (&PAINTS, &["veined marble", "marble"]),
        }
    }

    /// Every phrase that [`Surface::draw`] may use, for the vocabulary.
    pub(super) fn phrases(self) -> impl Iterator<Item = &'static str> {
        let (colors, phrases) = self.catalogue();
        colors.iter().map(|&(name, _)| name).chain(phrases.iter().copied())
    }

    /// Fills a field of `pixels` x `pixels` with the material; returns it, the words for it and its main colour.
    ///
    /// `part` asks for the words that go in front of a part's name ("brushed steel", "red plastic").
    pub(super) fn draw(self, pixels: usize, part: bool, sampler: &mut Sampler) -> (Relief, String, Color) {
        let (colors, phrases) = self.catalogue();
        let (name, color) =
            if self == Self::Rubber && sampler.chance(0.6) { ("black", Color::srgb(0.13, 0.13, 0.14)) } else { palette::pick(sampler, colors) };
        let phrase = if part { phrases[0] } else { *sampler.pick(phrases) };
        let words = if phrase.contains('*') { phrase.replace('*', name) } else { format!("{name} {phrase}") };
        let mut relief = Relief::new(pixels, color);
        // From fine (a few pixels) to coarse; the same range at any size, so that large pictures also have finer detail.
        let finest = 3.2 * relief.pixel();
        let period = finest * (0.16 / finest).powf(sampler.uniform());
        let noise = Noise::new(sampler.word());
        let paint = match self {
            Self::Woven => crafted::weave,
            Self::Brushed => crafted::brush,
            Self::Printed => crafted::print,
            Self::Tiled => crafted::tile,
            Self::Perforated => crafted::perforate,
            Self::Hammered => crafted::hammer,
            Self::Plastic | Self::Ceramic => crafted::smooth,
            Self::Grained => natural::grain,
            Self::Cast | Self::Rubber => natural::roughen,
            Self::Speckled => natural::speckle,
            Self::Paper => natural::fibre,
            Self::Veined => natural::vein,
        };
        paint(&mut relief, color, period, noise, sampler);
        let gloss = match self {
            Self::Brushed | Self::Hammered | Self::Perforated => sampler.range(0.3, 0.7),
            Self::Plastic | Self::Ceramic => sampler.range(0.2, 0.9),
            Self::Tiled | Self::Veined | Self::Printed => sampler.range(0.1, 0.4),
            Self::Cast | Self::Rubber | Self::Grained | Self::Speckled => sampler.range(0.0, 0.15),
            Self::Woven | Self::Paper => 0.0,
        };
        relief.paint(|_, sample| sample.gloss = gloss);
        (relief, words, color)
    }
}

//! Sentences for pictures, and all the words that they may use.

use super::blemish::{self, Blemish};
use super::part::Kind;
use super::surface::Surface;
use crate::data::drawing::Point;
use crate::tensor::random::Sampler;

/// What is wrong.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Nothing.
    Clean,
    /// One kind of mark.
    Marked { name: &'static str, size: Option<&'static str>, color: Option<&'static str> },
}

/// How the picture was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Camera {
    pub(super) exposure: f32,
    pub(super) grain: f32,
    pub(super) blur: f32,
    /// The word for it, where there is something to say.
    word: Option<&'static str>,
}

impl Camera {
    /// Mostly a good industrial camera.
    pub(super) fn draw(sampler: &mut Sampler) -> Self {
        let plain = Self { exposure: sampler.range(0.85, 1.15), grain: sampler.range(0.0, 0.012), blur: sampler.range(-0.15, 0.25), word: None };
        match sampler.below(16) {
            0 => Self { exposure: sampler.range(1.3, 1.6), word: Some("bright"), ..plain },
            1 => Self { exposure: sampler.range(0.4, 0.6), word: Some("dark"), ..plain },
            2 => Self { blur: sampler.range(0.7, 1.0), word: Some("blurry"), ..plain },
            3 => Self { grain: sampler.range(0.03, 0.06), word: Some("noisy"), ..plain },
            _ => plain,
        }
    }
}

const OPENINGS: [&str; 16] = [
    "a photo of",
    "a photo of",
    "a photo of",
    "a photo of",
    "a close-up photo of",
    "a cropped photo of",
    "a picture of",
    "an image of",
    "an industrial photo of",
    "a photograph of",
    "a macro photo of",
    "a good photo of",
    "a top view of",
    "an inspection photo of",
    "a rendering of",
    "",
];
const ARTICLES: [&str; 6] = ["a", "a", "a", "the", "one", "my"];
const GOOD: [&str; 6] = ["clean", "flawless", "perfect", "intact", "good", "normal"];
const BAD: [&str; 7] = ["damaged", "defective", "broken", "faulty", "bad", "anomalous", "dirty"];
const TROUBLE: [&str; 8] = ["a defect", "an anomaly", "damage", "a flaw", "an anomalous area", "a fault", "a blemish", "an abnormal spot"];
const EMPTY: [&str; 4] = ["without defects", "without damage", "with no anomaly", "in good condition"];
/// Words of other programs' prompt templates and of users, so that they have an embedding of their own.
const EXTRA: [&str; 40] = [
    "it",
    "its",
    "this",
    "that",
    "there",
    "is",
    "are",
    "to",
    "at",
    "by",
    "for",
    "from",
    "many",
    "few",
    "low",
    "high",
    "resolution",
    "rendition",
    "pixelated",
    "jpeg",
    "corrupted",
    "weird",
    "cool",
    "nice",
    "large",
    "small",
    "tiny",
    "big",
    "long",
    "short",
    "thin",
    "thick",
    "object",
    "texture",
    "surface",
    "region",
    "part",
    "product",
    "sample",
    "mask",
];

/// Rows of the words for places in the frame, a ninth of it each.
const PLACES: [[&str; 3]; 3] = [
    ["at the top left", "at the top", "at the top right"],
    ["on the left", "in the middle", "on the right"],
    ["at the bottom left", "at the bottom", "at the bottom right"],
];

/// The words for a point of the frame (-0.5 to 0.5, down and to the right).
pub(super) fn place(p: Point) -> &'static str {
    let third = |coordinate: f32| ((coordinate + 0.5) * 3.0).clamp(0.0, 2.0) as usize;
    PLACES[third(p.y)][third(p.x)]
}

/// The caption of a picture; `place` is where its mark lies.
pub(super) fn write(subject: &str, condition: &Condition, place: Option<&str>, camera: &Camera, sampler: &mut Sampler) -> String {
    let mut opening = (*sampler.pick(&OPENINGS)).to_owned();
    if let Some(word) = camera.word {
        opening = format!("a {word} photo of");
    }
    let article = *sampler.pick(&ARTICLES);
    let (adjective, ending) = match condition {
        Condition::Clean => {
            let adjective = sampler.chance(0.3).then(|| *sampler.pick(&GOOD));
            let ending = if sampler.chance(0.12) { format!(" {}", sampler.pick(&EMPTY)) } else { String::new() };
            (adjective, ending)
        }
        Condition::Marked { name, size, color } => {
            let adjective = sampler.chance(0.2).then(|| *sampler.pick(&BAD));
            let mark = with_article(&[*size, *color, Some(*name)].into_iter().flatten().collect::<Vec<_>>().join(" "));
            let ending = match sampler.below(8) {
                0 => format!(" with {}", sampler.pick(&TROUBLE)),
                1 => format!(" with {}, {mark}", sampler.pick(&TROUBLE)),
                2 => format!(", {mark}"),
                3 => format!(" and {mark} on it"),
                _ => format!(" with {mark}"),
            };
            let place = place.filter(|_| sampler.chance(0.6)).map(|place| format!(" {place}")).unwrap_or_default();
            (adjective, ending + &place)
        }
    };
    let subject = [adjective, Some(subject)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let middle = if article == "a" { with_article(&subject) } else { format!("{article} {subject}") };
    format!("{opening} {middle}{ending}").trim_start().to_owned()
}

/// "a", "an" or nothing (masses and plurals) in front of a noun.
pub(super) fn with_article(noun: &str) -> String {
    let last = noun.rsplit(' ').next().unwrap_or_default();
    let uncounted = last.ends_with('s') || matches!(last, "rust" | "glue" | "corrosion" | "contamination" | "abrasion");
    match noun.chars().next() {
        _ if uncounted => noun.to_owned(),
        Some('a' | 'e' | 'i' | 'o' | 'u') => format!("an {noun}"),
        _ => format!("a {noun}"),
    }
}

/// Every word that a caption may hold, sorted, plus common words of prompts.
pub(super) fn words() -> Vec<String> {
    let openings =
        OPENINGS.iter().chain(&ARTICLES).chain(&GOOD).chain(&BAD).chain(&TROUBLE).chain(&EMPTY).chain(&EXTRA).chain(PLACES.as_flattened()).copied();
    let surfaces = Surface::ALL.into_iter().flat_map(Surface::phrases);
    let parts = Kind::ALL.into_iter().flat_map(|kind| kind.names().iter().copied());
    let marks = Blemish::ALL.into_iter().flat_map(|blemish| blemish.names().iter().copied()).chain(blemish::color_words());
    let rest = ["bright dark blurry noisy photo small large on with and , - background of an defects cracked scratched stained"];
    let mut words: Vec<String> = openings
        .chain(surfaces)
        .chain(parts)
        .chain(marks)
        .chain(rest)
        .flat_map(|phrase| phrase.split([' ', '*', ',', '-']))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

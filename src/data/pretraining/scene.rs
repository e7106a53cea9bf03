//! One picture: what it shows, what is wrong with it, how it was taken, and the caption that says so.

use super::blemish::{Blemish, Region};
use super::caption::{self, Camera, Condition};
use super::part::{self, Kind, Part, Pose};
use super::relief::{Mark, Relief};
use super::surface::Surface;
use crate::data::drawing::{Color, Film, Light, Point, point, sdf};
use crate::data::picture::Picture;
use crate::tensor::random::Sampler;

/// What is seen before the camera: a field, the words for it, and where marks go.
struct Subject {
    relief: Relief,
    words: String,
    color: Color,
    part: Option<Part>,
}

/// A finished picture, and what its caption says of it.
struct Scene {
    picture: Picture,
    words: Words,
    /// Where there is one.
    mark: Option<Mark>,
}

/// A caption, or what it is made of.
enum Words {
    Whole(String),
    Parts { subject: String, condition: Condition, camera: Camera },
}

impl Scene {
    /// The sentence for what the frame shows, which has the mark at `place`.
    fn caption(&self, place: Option<Point>, sampler: &mut Sampler) -> String {
        match &self.words {
            Words::Whole(caption) => caption.clone(),
            Words::Parts { subject, condition, camera } => caption::write(subject, condition, place.map(caption::place), camera, sampler),
        }
    }
}

/// What is shown, how often, and how marks are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Share of silhouettes among the pictures.
    silhouettes: f32,
    /// Share of whole surfaces among the others; the rest are parts.
    surfaces: f32,
    /// How parts lie.
    pose: Pose,
    /// Share of marked ones among surfaces and parts.
    marked: f32,
    /// How many times as large as usual marks are.
    scale: f32,
    /// Share of marks that are surely patches of a material ([`Blemish::PATCHES`]).
    patches: f32,
    /// Where close-ups have the middle of their marks, at most so far from the middle of the frame; anywhere near it without this.
    spread: Option<f32>,
}

impl Style {
    /// The middle of a close-up, which has half of the scene's side; anywhere without a mark.
    fn center(&self, mark: Option<Mark>, sampler: &mut Sampler) -> Point {
        let anywhere = point(sampler.range(-0.5, 0.5), sampler.range(-0.5, 0.5));
        let (middle, spread) = match (self.spread, mark) {
            (_, None) => (anywhere, NEAR),
            (None, Some(mark)) => (mark.point, NEAR),
            (Some(spread), Some(mark)) => (mark.middle, spread),
        };
        point(middle.x + sampler.range(-spread, spread), middle.y + sampler.range(-spread, spread))
    }
}

/// How far from the middle of a close-up a mark is at most, in canvas units.
const NEAR: f32 = 0.18;

pub(super) const WHOLE: Style = Style { silhouettes: 0.03, surfaces: 0.45, pose: Pose::Free, marked: 0.8, scale: 1.0, patches: 0.0, spread: None };
/// Outlines are learned from parts as a fixed camera sees them, not always damaged.
pub(super) const PART: Style = Style { silhouettes: 0.0, surfaces: 0.0, pose: Pose::Aligned, marked: 0.5, ..WHOLE };
/// To be learned to less than a latent cell.
pub(super) const POSED: Style = Style { pose: Pose::Fixed, ..PART };
/// A network learns what a word for a mark means from pictures of which it covers a good part: these are shown at twice the scale besides.
pub(super) const CLOSE: Style = Style { scale: 2.2, patches: 0.4, ..WHOLE };
/// Marks as large as those that masks ask for later, beside their surroundings.
pub(super) const DETAIL: Style = Style { scale: 1.5, patches: 0.15, ..WHOLE };
/// As outlines are learned from parts in one pose, so words for marks are from marks in one place.
pub(super) const CENTERED: Style = Style { silhouettes: 0.0, surfaces: 1.0, marked: 0.9, patches: 0.3, spread: Some(0.015), ..WHOLE };

/// Draws the whole picture and its caption.
pub(super) fn photograph(pixels: usize, style: Style, sampler: &mut Sampler) -> (Picture, String) {
    let scene = scene(pixels, style, sampler);
    let caption = scene.caption(scene.mark.map(|mark| mark.middle), sampler);
    (scene.picture, caption)
}

/// Draws a picture of twice the side and cuts out the surroundings of its mark; any part of it where there is none.
pub(super) fn close_up(pixels: usize, style: Style, sampler: &mut Sampler) -> (Picture, String) {
    let scene = scene(2 * pixels, style, sampler);
    let middle = style.center(scene.mark, sampler);
    let start = |center: f32| ((center + 0.25) * 2.0 * pixels as f32).round().clamp(0.0, pixels as f32) as usize;
    let (left, top) = (start(middle.x), start(middle.y));
    let in_frame = |coordinate: f32, start: usize| (2.0 * (coordinate + 0.5) - start as f32 / pixels as f32 - 0.5).clamp(-0.5, 0.5);
    let place = scene.mark.map(|mark| point(in_frame(mark.middle.x, left), in_frame(mark.middle.y, top)));
    let caption = scene.caption(place, sampler);
    (cut(&scene.picture, left, top, pixels), caption)
}

/// The square of `side` pixels from column `left` and row `top` on.
fn cut(picture: &Picture, left: usize, top: usize, side: usize) -> Picture {
    let rows = (top..top + side).flat_map(|row| {
        let start = 3 * (row * picture.width() + left);
        &picture.pixels()[start..start + 3 * side]
    });
    Picture::from_parts(side, side, rows.copied().collect())
}

fn scene(pixels: usize, style: Style, sampler: &mut Sampler) -> Scene {
    if sampler.chance(style.silhouettes) {
        return silhouette(pixels, style.scale, sampler);
    }
    let light = Light::new(sampler.range(0.0, std::f32::consts::TAU), sampler.range(0.6, 1.2), sampler.range(0.7, 1.05), sampler.range(0.12, 0.35));
    let mut subject =
        if sampler.chance(style.surfaces) { whole_surface(pixels, sampler) } else { part_on_ground(pixels, style.pose, &light, sampler) };
    let (condition, mark) = if sampler.chance(style.marked) { blemished(&mut subject, style, sampler) } else { (Condition::Clean, None) };
    let camera = Camera::draw(sampler);
    let film = Film { exposure: camera.exposure, vignette: sampler.range(0.0, 0.35), grain: camera.grain, seed: sampler.word() };
    let picture = blurred(&subject.relief.develop(&light, &film), camera.blur);
    Scene { picture, words: Words::Parts { subject: subject.words, condition, camera }, mark }
}

fn whole_surface(pixels: usize, sampler: &mut Sampler) -> Subject {
    let (relief, words, color) = sampler.pick(&Surface::ALL).draw(pixels, false, sampler);
    Subject { relief, words, color, part: None }
}

/// A part with its shadow on a ground.
fn part_on_ground(pixels: usize, pose: Pose, light: &Light, sampler: &mut Sampler) -> Subject {
    let part = Part::draw(*sampler.pick(&Kind::ALL), pose, pixels, sampler);
    let (mut relief, ground) = part::ground(pixels, part.color, sampler);
    let offset = light.shadow_offset(sampler.range(0.01, 0.05));
    let (softness, strength) = (sampler.range(0.02, 0.10), sampler.range(0.3, 0.9));
    relief.paint(|p, sample| {
        let cast = sdf::coverage(part.distance(p - offset), softness);
        let contact = sdf::coverage(part.distance(p), 0.06);
        sample.shadow = strength * cast.max(0.6 * contact);
    });
    relief.overlay(&part.relief, |p| part.distance(p));
    let words = if sampler.chance(0.6) { format!("{} on a {ground}", part.words) } else { part.words.clone() };
    Subject { relief, words, color: part.color, part: Some(part) }
}

/// Draws one kind of mark onto the subject; returns the words for it and where it is.
fn blemished(subject: &mut Subject, style: Style, sampler: &mut Sampler) -> (Condition, Option<Mark>) {
    // No draw where nothing depends on it.
    let patch = style.patches > 0.0 && sampler.chance(style.patches);
    let kind = *sampler.pick(if patch { &Blemish::PATCHES[..] } else { &Blemish::ALL });
    let (word, size) = match sampler.below(4) {
        0 => (Some("small"), sampler.range(0.07, 0.12)),
        1 => (Some("large"), sampler.range(0.24, 0.38)),
        _ => (None, sampler.range(0.12, 0.26)),
    };
    let size = style.scale * size;
    let part = subject.part.take();
    let distance = |p| part.as_ref().map_or(-1.0, |part| part.distance(p));
    let soft = 1.5 * subject.relief.pixel();
    let shares = subject.relief.shares(|p| sdf::coverage(distance(p), soft));
    let (center, radius, size) = match &part {
        Some(part) => (part.center(), part.radius(), (size * 2.0 * part.radius()).max(0.05)),
        // Where a close-up can have it in its middle, if it shall.
        None => (point(0.0, 0.0), if style.spread.is_some() { 0.25 } else { 0.42 }, size),
    };
    let region = Region { distance: &distance, center, radius, shares: &shares };
    let clean = subject.relief.clone();
    let color = kind.draw(&mut subject.relief, &region, size, subject.color, sampler);
    let mark = subject.relief.changed(&clean, sampler);
    let name = *sampler.pick(kind.names());
    let condition = Condition::Marked { name, size: word.filter(|_| sampler.chance(0.7)), color: color.filter(|_| sampler.chance(0.8)) };
    (condition, mark)
}

/// A white shape on black or the reverse: what a mask looks like.
fn silhouette(pixels: usize, mark_scale: f32, sampler: &mut Sampler) -> Scene {
    let white_ground = sampler.chance(0.2);
    let (ground, ink) = if white_ground { (Color::WHITE, Color::BLACK) } else { (Color::BLACK, Color::WHITE) };
    let mut relief = Relief::new(pixels, ground);
    let kind = *sampler.pick(&[Blemish::Scratch, Blemish::Spot, Blemish::Stain, Blemish::Crack, Blemish::Hole, Blemish::Ink, Blemish::Thread]);
    let shares = relief.shares(|_| 1.0);
    let region = Region { distance: &|_| -1.0, center: point(0.0, 0.0), radius: 0.4, shares: &shares };
    let clean = relief.clone();
    kind.draw(&mut relief, &region, mark_scale * sampler.range(0.08, 0.3), ground, sampler);
    let mark = relief.changed(&clean, sampler);
    // Whatever colour the mark has becomes ink.
    let base = ground;
    relief.paint(|_, sample| {
        let changed = sample.color.0.iter().zip(base.0).any(|(a, b)| (a - b).abs() > 0.004);
        sample.color = if changed { ink } else { ground };
        sample.height = 0.0;
        sample.gloss = 0.0;
    });
    let light = Light { direction: [0.0, 0.0, 1.0], color: Color::WHITE, ambient: Color::BLACK };
    let picture = relief.develop(&light, &Film::NEUTRAL);
    let (shape, back) = if white_ground { ("black", "white") } else { ("white", "black") };
    let name = *sampler.pick(kind.names());
    let caption = match sampler.below(3) {
        0 => format!("{} on a {back} background", caption::with_article(&format!("{shape} {name}"))),
        1 => format!("a mask of {}", caption::with_article(name)),
        _ => format!("a {shape} mask of {} on a {back} background", caption::with_article(name)),
    };
    Scene { picture, words: Words::Whole(caption), mark }
}

/// A 3x3 blur of strength 0 (none) to 1.
fn blurred(picture: &Picture, strength: f32) -> Picture {
    if strength <= 0.0 {
        return picture.clone();
    }
    let (width, height, source) = (picture.width(), picture.height(), picture.pixels());
    let side = strength / (1.0 + 2.0 * strength);
    let middle = 1.0 - 2.0 * side;
    let pass = |source: &[f32], stride: usize, length: usize, lines: usize, line_stride: usize| {
        let mut output = vec![0.0; source.len()];
        for (line, position) in (0..lines).flat_map(|line| (0..length).map(move |position| (line, position))) {
            let at = |position: usize, channel: usize| source[line * line_stride + position * stride + channel];
            let (before, after) = (position.saturating_sub(1), (position + 1).min(length - 1));
            for channel in 0..3 {
                output[line * line_stride + position * stride + channel] =
                    middle * at(position, channel) + side * (at(before, channel) + at(after, channel));
            }
        }
        output
    };
    let across = pass(source, 3, width, height, 3 * width);
    Picture::from_parts(width, height, pass(&across, 3 * width, height, width, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_a_part() {
        let picture = Picture::from_parts(4, 4, (0..48).map(|value| value as f32).collect());
        assert_eq!(cut(&picture, 2, 1, 2).pixels(), [18.0, 19.0, 20.0, 21.0, 22.0, 23.0, 30.0, 31.0, 32.0, 33.0, 34.0, 35.0]);
    }

    #[test]
    fn most_close_ups_are_of_marks() {
        let marked = (0..100).filter(|&index| scene(32, CLOSE, &mut Sampler::new(1, "test", &[index])).mark.is_some()).count();
        assert!((65..95).contains(&marked), "{marked} of 100");
    }
}

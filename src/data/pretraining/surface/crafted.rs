//! Made surfaces: woven, brushed, printed, tiled, perforated, hammered, moulded.

use std::f32::consts::{PI, TAU};

use super::super::palette::{self, PAINTS};
use super::super::relief::Relief;
use crate::data::drawing::{Color, Noise, Point, point, smooth_step};
use crate::tensor::random::Sampler;

/// Mostly along the axes, as a camera over a production line sees it; sometimes turned.
fn turn(sampler: &mut Sampler) -> f32 {
    match sampler.below(4) {
        0 => sampler.range(0.0, PI),
        1 => 0.5 * PI + sampler.range(-0.06, 0.06),
        _ => sampler.range(-0.06, 0.06),
    }
}

/// Threads over and under: plain, basket or twill; each thread has its own shade.
pub(super) fn weave(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let period = period.min(0.09);
    let (angle, shift, gap) = (turn(sampler), sampler.range(0.0, 1.0), sampler.range(0.25, 0.8));
    let twill = *sampler.pick(&[2_i32, 2, 3, 4]);
    let cross = if sampler.chance(0.3) { palette::pick(sampler, &PAINTS).1 } else { color * sampler.range(0.75, 1.1) };
    relief.paint(|p, sample| {
        let q = noise.warp(p.rotated(angle) + point(shift, shift), 0.25, 0.012) * (1.0 / period);
        let (column, row) = (q.x.floor(), q.y.floor());
        let (u, v) = (q.x - column - 0.5, q.y - row - 0.5);
        let over = if twill == 2 { (column as i32 + row as i32).rem_euclid(2) == 0 } else { (column as i32 + row as i32).rem_euclid(twill) != 0 };
        // Along the upper thread it bulges where it crosses; across it is round.
        let (along, across, thread, base) =
            if over { (v, u, noise.fork(1).hash(column as i32, 0), color) } else { (u, v, noise.fork(2).hash(0, row as i32), cross) };
        let round = (1.0 - 4.0 * across * across).max(0.0).sqrt() * (0.6 + 0.4 * (PI * along).cos());
        sample.height = 0.32 * period * round;
        sample.color = base * ((0.8 + 0.35 * thread) * (1.0 - gap + gap * round));
    });
}

/// Fine parallel (or, for turned parts, circular) streaks.
pub(super) fn brush(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let (angle, strength, stretch) = (turn(sampler), sampler.range(0.08, 0.32), sampler.range(6.0, 30.0));
    let fine = 2.2 * relief.pixel() * sampler.range(0.7, 1.6);
    let center = sampler.chance(0.2).then(|| point(sampler.range(-0.3, 0.3), sampler.range(-0.3, 0.3)));
    let sheen = sampler.range(0.0, 0.25);
    relief.paint(|p, sample| {
        let q = match center {
            Some(center) => point((p - center).angle() * 0.4, (p - center).length()),
            None => p.rotated(angle),
        };
        let streak = noise.value(point(q.x / (fine * stretch), q.y / fine))
            + 0.7 * noise.fork(1).value(point(q.x / (3.0 * fine * stretch), q.y / (2.5 * fine)));
        let broad = noise.fork(2).gradient(point(q.x * 1.5, q.y / (period * 4.0)));
        sample.color = color * (1.0 + strength * streak + sheen * broad);
        sample.height = 0.25 * strength * fine * streak;
    });
}

/// Flat ink in a repeating pattern: stripes, checks, dots, diamonds, chevrons.
pub(super) fn print(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let period = (1.6 * period).max(5.0 * relief.pixel());
    let (angle, kind, share) = (turn(sampler), sampler.below(5), sampler.range(0.25, 0.6));
    let (_, ink) = palette::contrasting(sampler, color);
    let shift = point(sampler.uniform(), sampler.uniform());
    let softness = relief.pixel() / period;
    relief.paint(|p, sample| {
        let q = p.rotated(angle) * (1.0 / period) + shift;
        let f = point(q.x - q.x.floor() - 0.5, q.y - q.y.floor() - 0.5);
        let distance = match kind {
            0 => f.x.abs() - 0.5 * share,
            1 => {
                let checked = (q.x.floor() as i32 + q.y.floor() as i32).rem_euclid(2) == 0;
                let border = 0.5 - f.x.abs().max(f.y.abs());
                if checked { -border } else { border }
            }
            2 => f.length() - 0.6 * share,
            3 => f.x.abs() + f.y.abs() - 0.8 * share,
            _ => ((q.y + f.x.abs()).fract() - 0.5).abs() - 0.5 * share,
        };
        let worn = 0.06 * noise.gradient(p * 30.0);
        sample.color = color.mix(ink, smooth_step(softness, -softness, distance) * 0.95) * (1.0 + worn);
    });
}

/// Tiles with joints; each tile a little different.
pub(super) fn tile(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let pixel = relief.pixel();
    let period = (2.2 * period).max(8.0 * pixel);
    let (angle, aspect) = (turn(sampler), *sampler.pick(&[1.0, 1.0, 1.0, 2.0, 2.5]));
    let (joint, staggered, spread) = ((sampler.range(0.03, 0.09) * period).max(0.8 * pixel), sampler.chance(0.4), sampler.range(0.03, 0.3));
    let (_, grout) = palette::pick(sampler, &[PAINTS[0], PAINTS[1], PAINTS[2], PAINTS[12], PAINTS[11]]);
    let second = sampler.chance(0.25).then(|| palette::pick(sampler, &PAINTS).1);
    let shift = point(sampler.uniform(), sampler.uniform());
    relief.paint(|p, sample| {
        let mut q = p.rotated(angle).scaled(1.0 / (period * aspect), 1.0 / period) + shift;
        q.x += if staggered && (q.y.floor() as i32).rem_euclid(2) == 1 { 0.5 } else { 0.0 };
        let (column, row) = (q.x.floor() as i32, q.y.floor() as i32);
        let border = |f: f32, size: f32| (0.5 - (f - f.floor() - 0.5).abs()) * size;
        let inside = border(q.x, period * aspect).min(border(q.y, period)) - joint;
        let shade = 1.0 + spread * (noise.hash(column, row) - 0.5) + 0.05 * noise.gradient(p * 9.0);
        let base = second.filter(|_| noise.fork(3).hash(column, row) < 0.4).unwrap_or(color);
        let on_tile = smooth_step(-pixel, pixel, inside);
        sample.color = grout.mix(base, on_tile) * shade;
        sample.height = 0.018 * smooth_step(-pixel, 3.0 * pixel, inside) * (period * 6.0).min(1.0);
    });
}

/// A sheet with rows of holes.
pub(super) fn perforate(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let pixel = relief.pixel();
    let period = (1.6 * period).max(6.0 * pixel);
    let (angle, radius, square, staggered) = (turn(sampler), sampler.range(0.2, 0.36) * period, sampler.chance(0.3), sampler.chance(0.5));
    let behind = palette::pick(sampler, &PAINTS).1 * 0.25;
    relief.paint(|p, sample| {
        let mut q = p.rotated(angle) * (1.0 / period);
        q.x += if staggered && (q.y.floor() as i32).rem_euclid(2) == 1 { 0.5 } else { 0.0 };
        let f = point(q.x - q.x.floor() - 0.5, q.y - q.y.floor() - 0.5) * period;
        let distance = if square { f.x.abs().max(f.y.abs()) } else { f.length() } - radius;
        let sheet = smooth_step(-0.7 * pixel, 0.7 * pixel, distance);
        sample.color = behind.mix(color * (1.0 + 0.1 * noise.value(point(p.x * 8.0, p.y * 60.0))), sheet);
        sample.height = 0.01 * smooth_step(-0.5 * pixel, 2.0 * pixel, distance);
    });
}

/// Overlapping shallow dimples.
pub(super) fn hammer(relief: &mut Relief, color: Color, period: f32, noise: Noise, _: &mut Sampler) {
    let period = (1.3 * period).max(5.0 * relief.pixel());
    relief.paint(|p, sample| {
        let cell = noise.cellular(p * (1.0 / period), 0.8);
        sample.color = color * (0.92 + 0.16 * cell.value);
        sample.height = 0.22 * period * cell.nearest.min(0.9).powi(2);
    });
}

/// Moulded or glazed: nearly even, with slow changes of tone and faint orange peel.
pub(super) fn smooth(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let (peel, slow) = (sampler.range(0.0, 0.05), sampler.range(0.02, 0.10));
    let wave = Point::at_angle(sampler.range(0.0, TAU)) * sampler.range(0.5, 1.5);
    relief.paint(|p, sample| {
        let fine = noise.gradient(p * (1.0 / period));
        sample.color = color * (1.0 + slow * (p.dot(wave) * 2.0).sin() + slow * noise.fork(1).gradient(p * 2.5) + 0.02 * fine);
        sample.height = peel * period * fine;
    });
}

//! Grown and cast surfaces: wood, rough casts, stone, paper, marble.

use std::f32::consts::PI;

use super::super::palette::{self, PAINTS};
use super::super::relief::Relief;
use crate::data::drawing::{Color, Noise, point, smooth_step};
use crate::tensor::random::Sampler;

/// Year rings cut lengthwise, with pores along the grain and sometimes a knot.
pub(super) fn grain(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let angle = if sampler.chance(0.5) { 0.5 * PI } else { 0.0 } + sampler.range(-0.1, 0.1);
    let (contrast, wander) = (sampler.range(0.15, 0.5), sampler.range(0.3, 1.6));
    let knot = sampler.chance(0.2).then(|| point(sampler.range(-0.4, 0.4), sampler.range(-0.4, 0.4)));
    let fine = 2.0 * relief.pixel();
    relief.paint(|p, sample| {
        let q = p.rotated(angle);
        let mut across = q.y / period + wander * noise.fbm(point(q.x * 1.2, q.y * 3.0), 2);
        if let Some(knot) = knot {
            across += 2.5 * (-(q - knot).scaled(4.0, 9.0).dot((q - knot).scaled(4.0, 9.0))).exp();
        }
        let phase = across - across.floor();
        // Early wood is wide and light, late wood a narrow dark line with a sharp end.
        let ring = phase * phase * phase * smooth_step(1.0, 0.93, phase) * 1.6;
        let pores = noise.fork(1).value(point(q.x / (14.0 * fine), q.y / fine));
        sample.color = color * (1.0 - contrast * ring - 0.09 * pores.max(0.0) + 0.05 * noise.fork(2).gradient(p * 2.0));
        sample.height = 0.12 * fine * pores - 0.01 * period * ring;
    });
}

/// Rough skin of casts and rubber: bumps at two scales, some pits.
pub(super) fn roughen(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let (strength, pits) = (sampler.range(0.05, 0.30), sampler.range(0.0, 0.5));
    relief.paint(|p, sample| {
        let bumps = noise.fbm(p * (1.0 / period), 3);
        let pit = pits * smooth_step(0.45, 0.75, noise.fork(1).gradient(p * (0.8 / period)));
        sample.color = color * (0.95 + 0.10 * bumps - 0.35 * pit);
        sample.height = strength * period * (bumps - pit);
    });
}

/// Grains of two or three colours.
pub(super) fn speckle(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let period = (0.8 * period).max(2.5 * relief.pixel());
    let others = [palette::pick(sampler, &PAINTS).1, color * sampler.range(0.25, 0.6), color * sampler.range(1.2, 1.6)];
    let (share, blend) = (sampler.range(0.15, 0.6), sampler.range(0.35, 0.9));
    relief.paint(|p, sample| {
        let cell = noise.cellular(p * (1.0 / period), 1.0);
        let speck = if cell.value < share { others[(cell.value / share * 2.99) as usize] } else { color };
        let solid = blend * smooth_step(0.6, 0.35, cell.nearest);
        sample.color = color.mix(speck, solid) * (1.0 + 0.08 * noise.fork(4).gradient(p * (2.0 / period)));
        sample.height = 0.02 * period * noise.fork(5).gradient(p * (1.5 / period));
    });
}

/// Matt sheets: faint cloudiness and short fibres.
pub(super) fn fibre(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let (cloud, fibres, corrugation) =
        (sampler.range(0.02, 0.08), sampler.range(0.0, 0.12), if sampler.chance(0.3) { sampler.range(0.02, 0.08) } else { 0.0 });
    relief.paint(|p, sample| {
        let fibre = noise.fork(1).ridged(p * (0.5 / period), 2);
        let ridge = (p.y / period * PI).sin();
        sample.color = color * (1.0 + cloud * noise.fbm(p * 4.0, 2) + fibres * (fibre - 0.6) + corrugation * ridge);
        sample.height = 0.03 * period * fibre;
    });
}

/// Marble: dark or light veins through cloudy ground.
pub(super) fn vein(relief: &mut Relief, color: Color, period: f32, noise: Noise, sampler: &mut Sampler) {
    let vein = if sampler.chance(0.6) { color * sampler.range(0.15, 0.5) } else { Color::gray(sampler.range(0.7, 0.95)) };
    let size = 0.15 + 2.0 * period;
    let sharp = sampler.range(0.80, 0.92);
    relief.paint(|p, sample| {
        let q = noise.warp(p, 0.3, 0.12);
        let line = smooth_step(sharp, 1.0, noise.fork(1).ridged(q * (0.7 / size), 2));
        let ground = color * (1.0 + 0.16 * noise.fork(2).fbm(p * 5.0, 3));
        sample.color = ground.mix(vein, 0.85 * line);
    });
}

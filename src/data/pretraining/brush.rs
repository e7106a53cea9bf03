//! How each kind of mark is drawn.

use std::f32::consts::TAU;

use super::blemish::Region;
use super::relief::{Relief, Sample};
use crate::data::drawing::{Blob, Color, Noise, Point, Stroke, point, smooth_step};
use crate::tensor::random::Sampler;

/// Draws single marks into a region.
pub(super) struct Brush<'a> {
    relief: &'a mut Relief,
    region: &'a Region<'a>,
}

impl<'a> Brush<'a> {
    pub(super) fn new(relief: &'a mut Relief, region: &'a Region<'a>) -> Self {
        Self { relief, region }
    }

    /// Applies `effect` with the share to which a shape (signed distance, soft edge) covers each sample of the region.
    fn cover(&mut self, center: Point, reach: f32, softness: f32, distance: impl Fn(Point) -> f32, mut effect: impl FnMut(f32, &mut Sample)) {
        let shares = self.region.shares;
        self.relief.paint_near(center, reach, |position, p, sample| {
            let share = shares[position];
            if share > 0.0 {
                let share = share * smooth_step(softness, -softness, distance(p));
                if share > 0.0 {
                    effect(share, sample);
                }
            }
        });
    }

    pub(super) fn blob(&mut self, blob: &Blob, size: f32, softness: f32, effect: impl FnMut(f32, &mut Sample)) {
        self.cover(blob.center, 1.6 * size + softness, softness, |p| blob.distance(p), effect);
    }

    fn stroke(&mut self, stroke: &Stroke, softness: f32, effect: impl FnMut(f32, &mut Sample)) {
        let points = stroke.points();
        let sum = points.iter().fold(point(0.0, 0.0), |sum, &p| sum + p);
        let center = sum * (1.0 / points.len() as f32);
        let reach = points.iter().map(|&p| (p - center).x.abs().max((p - center).y.abs())).fold(0.0, f32::max);
        self.cover(center, reach + 0.06, softness, |p| stroke.distance(p), effect);
    }

    /// A path of `length` whose middle is inside the region.
    fn path(&self, length: f32, half_width: f32, wander: f32, sampler: &mut Sampler) -> Stroke {
        let middle = self.region.inside(sampler, 0.2 * length);
        let angle = sampler.range(0.0, TAU);
        let start = middle - Point::at_angle(angle) * (0.5 * length);
        Stroke::wandering(sampler, start, angle, length, half_width, wander)
    }

    pub(super) fn scratch(&mut self, size: f32, color: Color, sampler: &mut Sampler) {
        let pixel = self.relief.pixel();
        let wander = sampler.range(0.0, 0.8);
        let lips = sampler.chance(0.3).then(|| *sampler.pick(&[Color::gray(0.02), Color::gray(0.9)]));
        for _ in 0..*sampler.pick(&[1, 1, 1, 2, 3]) {
            let width = line_width(size, pixel, sampler);
            let length = 2.2 * size * sampler.range(0.6, 1.2);
            let stroke = self.path(length, width, wander, sampler);
            if let Some(lips) = lips {
                let wider = Stroke::new(stroke.points().to_vec(), vec![width + 1.5 * pixel; stroke.points().len()]);
                self.stroke(&wider, 0.6 * pixel, |share, sample| sample.tint(lips, 0.6 * share));
            }
            self.stroke(&stroke, 0.6 * pixel, |share, sample| {
                sample.tint(color, 0.9 * share);
                sample.height -= 0.8 * pixel * share;
            });
        }
    }

    pub(super) fn stain(&mut self, size: f32, color: Color, opacity: f32, sampler: &mut Sampler) {
        let middle = self.region.inside(sampler, 0.5 * size);
        let roughness = sampler.range(0.1, 0.6);
        let blob = irregular(sampler, middle, 0.7 * size, 0.5, roughness);
        let softness = self.relief.pixel() * sampler.range(1.0, 7.0);
        let rim = sampler.chance(0.3);
        // A liquid colours what is below: the texture stays visible.
        self.blob(&blob, size, softness, |share, sample| {
            let light = sample.color.luminance() / 0.4 + 0.35;
            let ring = if rim { 1.0 - 0.5 * (2.0 * share - 1.0).abs() } else { 1.0 };
            sample.tint(color * light.clamp(0.5, 1.3), opacity * share * ring);
        });
    }

    pub(super) fn crack(&mut self, size: f32, sampler: &mut Sampler) {
        let pixel = self.relief.pixel();
        let start = self.region.inside(sampler, 0.3 * size);
        let (heading, width) = (sampler.range(0.0, TAU), line_width(size, pixel, sampler));
        let trunk = jagged(start, heading, 2.2 * size, width, sampler);
        let mut strokes = vec![];
        for _ in 0..sampler.below(4) {
            let from = *sampler.pick(trunk.points());
            let (heading, length) = (sampler.range(0.0, TAU), size * sampler.range(0.4, 0.9));
            strokes.push(jagged(from, heading, length, 0.6 * width, sampler));
        }
        strokes.push(trunk);
        for stroke in strokes {
            self.stroke(&stroke, 0.5 * pixel, |share, sample| {
                sample.tint(Color::gray(0.01), 0.93 * share);
                sample.height -= 1.5 * pixel * share;
            });
        }
    }

    pub(super) fn hole(&mut self, size: f32, sampler: &mut Sampler) {
        let pixel = self.relief.pixel();
        let middle = self.region.inside(sampler, 0.5 * size);
        let roughness = sampler.range(0.05, 0.5);
        let blob = irregular(sampler, middle, 0.45 * size, 0.6, roughness);
        self.blob(&blob, size, 1.5 * pixel, |share, sample| {
            sample.height -= 4.0 * pixel * share;
            sample.tint(Color::gray(0.008), 0.96 * smooth_step(0.3, 0.9, share));
            sample.gloss *= 1.0 - share;
        });
    }

    pub(super) fn dent(&mut self, size: f32, depth: f32, sampler: &mut Sampler) {
        let middle = self.region.inside(sampler, 0.5 * size);
        let half = point(size, size * sampler.range(0.5, 1.0)) * 0.8;
        let angle = sampler.range(0.0, TAU);
        let shares = self.region.shares;
        self.relief.paint_near(middle, 1.5 * size, |position, p, sample| {
            let q = (p - middle).rotated(angle);
            let square = point(q.x / half.x, q.y / half.y);
            sample.height += depth * size * (-2.5 * square.dot(square)).exp() * shares[position];
        });
    }

    pub(super) fn smear(&mut self, size: f32, color: Color, sampler: &mut Sampler) {
        let width = size * sampler.range(0.15, 0.4);
        let stroke = self.path(2.0 * size, width, 1.2, sampler);
        let (noise, softness) = (Noise::new(sampler.word()), 0.25 * size);
        let opacity = sampler.range(0.5, 0.9);
        let shares = self.region.shares;
        let middle = stroke.points()[stroke.points().len() / 2];
        self.relief.paint_near(middle, 1.6 * size, |position, p, sample| {
            let (distance, along) = stroke.nearest(p);
            let streak = 0.6 + 0.4 * noise.gradient(point(along * 4.0, distance * 60.0));
            sample.tint(color, opacity * shares[position] * streak * smooth_step(softness, -softness, distance) * (1.0 - 0.6 * along));
        });
    }

    pub(super) fn dots(&mut self, size: f32, color: Color, sampler: &mut Sampler) {
        let pixel = self.relief.pixel();
        let middle = self.region.inside(sampler, 0.5 * size);
        for _ in 0..4 + sampler.below(12) {
            let center = middle + Point::at_angle(sampler.range(0.0, TAU)) * (1.3 * size * sampler.uniform().sqrt());
            let radius = (size * sampler.range(0.05, 0.22)).max(0.7 * pixel);
            self.cover(
                center,
                radius + 2.0 * pixel,
                0.7 * pixel,
                |p| (p - center).length() - radius,
                |share, sample| sample.tint(color, 0.95 * share),
            );
        }
    }

    pub(super) fn chip(&mut self, size: f32, ground: Color, sampler: &mut Sampler) {
        let pixel = self.relief.pixel();
        let middle = self.region.on_edge(sampler);
        let fresh = if sampler.chance(0.5) { ground.mix(Color::gray(0.75), 0.5) } else { ground * 0.35 };
        let blob = irregular(sampler, middle, 0.6 * size, 0.5, 0.5);
        let noise = Noise::new(sampler.word());
        self.blob(&blob, size, pixel, |share, sample| {
            sample.tint(fresh, 0.9 * share);
            sample.height += (0.02 * noise.hash((sample.height * 9e4) as i32, 3) - 2.5 * pixel) * share;
            sample.gloss *= 1.0 - share;
        });
    }

    pub(super) fn thread(&mut self, size: f32, color: Color, sampler: &mut Sampler) {
        let pixel = self.relief.pixel();
        let (width, wander) = (line_width(size, pixel, sampler), sampler.range(1.0, 5.0));
        let stroke = self.path(2.6 * size, width, wander, sampler);
        self.stroke(&stroke, 0.6 * pixel, |share, sample| {
            sample.tint(color, 0.97 * share);
            sample.height += 1.6 * pixel * share;
        });
    }

    pub(super) fn glue(&mut self, size: f32, sampler: &mut Sampler) {
        let pixel = self.relief.pixel();
        let middle = self.region.inside(sampler, 0.5 * size);
        let blob = irregular(sampler, middle, 0.6 * size, 0.6, 0.25);
        let milky = sampler.range(0.1, 0.5);
        self.blob(&blob, size, 0.35 * size, |share, sample| {
            sample.height += 0.25 * size * share.sqrt();
            sample.gloss = sample.gloss.max(smooth_step(0.1, 0.4, share));
            sample.tint(Color::gray(0.8), milky * smooth_step(0.0, 0.3, share));
        });
        self.blob(&blob, size, pixel, |share, sample| sample.color = sample.color * (1.0 - 0.12 * share));
    }

    pub(super) fn rust(&mut self, size: f32, sampler: &mut Sampler) {
        let pixel = self.relief.pixel();
        let middle = self.region.inside(sampler, 0.5 * size);
        let blob = irregular(sampler, middle, 0.8 * size, 0.5, 0.6);
        let (noise, shares) = (Noise::new(sampler.word()), self.region.shares);
        self.relief.paint_near(middle, 1.8 * size, |position, p, sample| {
            let patchy = 0.5 + 0.5 * noise.fbm(p * (2.0 / size), 3);
            let share = shares[position] * smooth_step(3.0 * pixel, -3.0 * pixel, blob.distance(p)) * smooth_step(0.25, 0.55, patchy);
            let color = Color::srgb(0.55, 0.27, 0.11).mix(Color::srgb(0.28, 0.14, 0.08), noise.fork(1).value(p * 40.0) * 0.5 + 0.5);
            sample.tint(color, 0.92 * share);
            sample.height += 0.6 * pixel * noise.fork(2).gradient(p * 45.0) * share;
            sample.gloss *= 1.0 - share;
        });
    }

    pub(super) fn scuff(&mut self, size: f32, sampler: &mut Sampler) {
        let pixel = self.relief.pixel();
        let angle = sampler.range(0.0, TAU);
        let color = Color::gray(*sampler.pick(&[0.05, 0.6, 0.8]));
        let middle = self.region.inside(sampler, 0.5 * size);
        for _ in 0..8 + sampler.below(14) {
            let start = middle + point(sampler.range(-1.0, 1.0), sampler.range(-1.0, 1.0)) * (0.6 * size);
            let (heading, length) = (angle + sampler.range(-0.25, 0.25), size * sampler.range(0.3, 0.9));
            let stroke = Stroke::wandering(sampler, start, heading, length, 0.5 * pixel, 0.2);
            self.stroke(&stroke, 0.6 * pixel, |share, sample| {
                sample.tint(color, 0.6 * share);
                sample.height -= 0.4 * pixel * share;
            });
        }
    }
}

/// Half the width of a line: from a hair's, half a pixel, to a tenth of the mark's size.
fn line_width(size: f32, pixel: f32, sampler: &mut Sampler) -> f32 {
    let thinnest = 0.5 * pixel;
    thinnest + sampler.uniform() * (0.1 * size + pixel - thinnest)
}

/// A blob of half length `half`, its width at least `flattest` of that.
pub(super) fn irregular(sampler: &mut Sampler, middle: Point, half: f32, flattest: f32, roughness: f32) -> Blob {
    let width = half * sampler.range(flattest, 1.0);
    Blob::new(sampler, middle, point(half, width), roughness)
}

/// A line that breaks its direction every few steps.
fn jagged(start: Point, angle: f32, length: f32, half_width: f32, sampler: &mut Sampler) -> Stroke {
    let steps = 6 + sampler.below(6);
    let (mut p, mut heading) = (start, angle);
    let (mut points, mut widths) = (vec![p], vec![half_width]);
    for step in 1..=steps {
        heading = angle + sampler.range(-0.9, 0.9) + 0.3 * (heading - angle);
        p = p + Point::at_angle(heading) * (length / steps as f32);
        points.push(p);
        widths.push(half_width * (1.0 - 0.8 * step as f32 / steps as f32));
    }
    Stroke::new(points, widths)
}

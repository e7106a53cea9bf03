//! Masks that are drawn, not learnt: noise patches, scratches, blobs and dots of a chosen area.
//!
//! A shape is a field of scores, and the mask is its best-scoring pixels: so an area is met exactly, and no mask is empty or full.

use crate::data::drawing::{Blob, Noise, Point, Stroke, mix, point, sdf};
use crate::data::mask::Mask;
use crate::error::Result;
use crate::invalid_input;
use crate::tensor::random::Sampler;

/// Kinds of shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Patches of Perlin noise, as DRAEM draws them (Zavrtanik et al., ICCV 2021), kept around one place.
    Perlin,
    /// One to a few thin lines.
    Scratches,
    /// One to three rounded blobs.
    Blobs,
    /// A group of small dots.
    Dots,
}

impl Shape {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Perlin, Self::Scratches, Self::Blobs, Self::Dots];
}

/// What masks are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskPlan {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The kind, or any.
    pub shape: Option<Shape>,
    /// Least share of the picture, above 0.
    pub least: f32,
    /// Largest share of the picture, below 1.
    pub most: f32,
}

impl MaskPlan {
    /// Any shape between 0.5 % and 6 % of the picture: what industrial defects mostly take.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, shape: None, least: 0.005, most: 0.06 }
    }

    /// With the areas of real masks: from their smallest to their largest share, at least one pixel. Empty masks do not count; without any the
    /// limits stay.
    pub fn with_areas_of<'a>(mut self, masks: impl IntoIterator<Item = &'a Mask>) -> Self {
        let shares: Vec<f32> = masks.into_iter().filter(|mask| !mask.is_empty() && !mask.is_full()).map(Mask::share).collect();
        if !shares.is_empty() {
            self.least = shares.iter().copied().fold(1.0, f32::min);
            self.most = shares.iter().copied().fold(0.0, f32::max);
        }
        self
    }

    /// Draws one mask, inside `foreground` when given. It covers a share between `least` and `most` (small areas are drawn more often), less only
    /// where the foreground is smaller; at least one pixel is set and at least one is not.
    ///
    /// # Errors
    /// Exit code 2 for limits that do not make sense, a picture of one pixel, and a foreground that is empty or of another size.
    pub fn draw(&self, foreground: Option<&Mask>, sampler: &mut Sampler) -> Result<Mask> {
        let allowed = self.allowed(foreground)?;
        let total = self.width * self.height;
        let share = self.least * (self.most / self.least).powf(sampler.uniform());
        let area = ((share * total as f32).round() as usize).clamp(1, total - 1).min(allowed.len());
        let shape = self.shape.unwrap_or_else(|| *sampler.pick(&Shape::ALL));
        let center = self.position(*sampler.pick(&allowed));
        // In units of the height, as the drawing code has it.
        let size = (area as f32).sqrt() / self.height as f32;
        let score = field(shape, center, size, sampler);
        let mut ranked: Vec<(f32, usize)> = allowed.iter().map(|&index| (score(self.position(index)), index)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut pixels = vec![false; total];
        ranked[..area].iter().for_each(|&(_, index)| pixels[index] = true);
        Ok(Mask::from_parts(self.width, self.height, pixels))
    }

    /// The pixels that may be set.
    fn allowed(&self, foreground: Option<&Mask>) -> Result<Vec<usize>> {
        let Self { width, height, least, most, .. } = *self;
        if !(least > 0.0 && least <= most && most < 1.0) {
            invalid_input!("masks between {least} and {most} of the picture: expected 0 < least <= most < 1");
        }
        if width * height < 2 {
            invalid_input!("a mask of {width}x{height} pixels would be empty or full; expected at least two pixels");
        }
        let Some(foreground) = foreground else { return Ok((0..width * height).collect()) };
        if (foreground.width(), foreground.height()) != (width, height) {
            invalid_input!("the foreground has {}x{} pixels, the masks {width}x{height}; expected the same", foreground.width(), foreground.height());
        }
        if foreground.is_empty() {
            invalid_input!("the foreground is empty: there is no place for a mask");
        }
        Ok((0..width * height).filter(|&index| foreground.pixels()[index]).collect())
    }

    /// The middle of a pixel in drawing units.
    fn position(&self, index: usize) -> Point {
        let scale = 1.0 / self.height as f32;
        point(((index % self.width) as f32 + 0.5) * scale, ((index / self.width) as f32 + 0.5) * scale)
    }
}

/// The score of every point for a shape of about `size` x `size` around `center`.
fn field(shape: Shape, center: Point, size: f32, sampler: &mut Sampler) -> Box<dyn Fn(Point) -> f32> {
    match shape {
        Shape::Perlin => {
            let noise = Noise::new(sampler.word());
            let grain = sampler.range(0.6, 2.2) / size;
            let reach = size * sampler.range(1.0, 2.0);
            Box::new(move |p| noise.fbm(p * grain, 4) - ((p - center).length() / reach).powi(2))
        }
        Shape::Scratches => {
            let width = sampler.range(0.010, 0.022);
            let needed = size * size / width;
            let count = 1 + sampler.below(3).max((needed / 0.7) as usize).min(8);
            let angle = sampler.range(0.0, std::f32::consts::TAU);
            let lines: Vec<Stroke> = (0..count).map(|_| scratch(center, angle, needed / count as f32, sampler)).collect();
            nearest(lines, |line, p| line.distance(p))
        }
        Shape::Blobs => {
            let count = 1 + sampler.below(3);
            let blobs = (0..count).map(|index| {
                let radius = size * if index == 0 { 0.5 } else { sampler.range(0.15, 0.4) };
                let away = if index == 0 { 0.0 } else { size * sampler.range(0.4, 1.0) };
                let stretch = sampler.range(0.7, 1.4);
                let at = center + Point::at_angle(sampler.range(0.0, std::f32::consts::TAU)) * away;
                let roughness = sampler.range(0.1, 0.5);
                Blob::new(sampler, at, point(radius * stretch, radius / stretch), roughness)
            });
            nearest(blobs.collect(), |blob: &Blob, p| blob.distance(p))
        }
        Shape::Dots => {
            let count = 4 + sampler.below(12);
            let spread = size * sampler.range(1.0, 2.5);
            let dots = (0..count).map(|_| {
                let away = spread * sampler.uniform().sqrt();
                let at = center + Point::at_angle(sampler.range(0.0, std::f32::consts::TAU)) * away;
                (at, size / (count as f32).sqrt() * sampler.range(0.3, 0.8))
            });
            nearest(dots.collect(), |&(at, radius): &(Point, f32), p| sdf::circle(p - at, radius))
        }
    }
}

fn scratch(center: Point, angle: f32, length: f32, sampler: &mut Sampler) -> Stroke {
    let angle = angle + sampler.range(-0.3, 0.3);
    let aside = Point::at_angle(angle + std::f32::consts::FRAC_PI_2) * sampler.range(-0.06, 0.06);
    let start = center + aside - Point::at_angle(angle) * (length * mix(0.2, 0.8, sampler.uniform()));
    let wander = sampler.range(0.1, 1.0);
    Stroke::wandering(sampler, start, angle, length, 0.004, wander)
}

/// Closer to any of the parts is better.
fn nearest<T: 'static>(parts: Vec<T>, distance: impl Fn(&T, Point) -> f32 + 'static) -> Box<dyn Fn(Point) -> f32> {
    Box::new(move |p| -parts.iter().map(|part| distance(part, p)).fold(f32::MAX, f32::min))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;

    #[test]
    fn areas_keep_their_limits() {
        for seed in 0..200 {
            let mut sampler = Sampler::new(seed, "procedural", &[]);
            let (width, height) = (16 + sampler.below(80), 16 + sampler.below(80));
            let plan = MaskPlan { shape: Some(Shape::ALL[seed as usize % 4]), ..MaskPlan::new(width, height) };
            let mask = plan.draw(None, &mut sampler).unwrap();
            let pixel = 1.0 / (width * height) as f32;
            assert!(mask.share() >= plan.least - pixel && mask.share() <= plan.most + pixel && !mask.is_empty(), "{mask:?}");
        }
    }

    #[test]
    fn tiny_and_extreme_plans_are_neither_empty_nor_full() {
        for (width, height) in [(2, 1), (1, 7), (3, 3), (1, 500)] {
            for (least, most) in [(1e-9, 1e-9), (0.999, 0.9999), (1e-9, 0.9999)] {
                for seed in 0..20 {
                    let plan = MaskPlan { width, height, shape: None, least, most };
                    let mask = plan.draw(None, &mut Sampler::new(seed, "procedural", &[])).unwrap();
                    assert!(!mask.is_empty() && !mask.is_full(), "{mask:?} of {plan:?}");
                }
            }
        }
    }

    #[test]
    fn masks_stay_on_the_foreground() {
        let foreground = Mask::from_fn(60, 40, |column, row| (column as f32 - 40.0).hypot(row as f32 - 20.0) < 9.0);
        for seed in 0..40 {
            let mask = MaskPlan::new(60, 40).draw(Some(&foreground), &mut Sampler::new(seed, "procedural", &[])).unwrap();
            assert_eq!(mask.intersection(&foreground), mask);
        }
        let dot = Mask::from_fn(60, 40, |column, row| column == 3 && row == 4);
        let plan = MaskPlan { least: 0.5, most: 0.5, ..MaskPlan::new(60, 40) };
        assert_eq!(plan.draw(Some(&dot), &mut Sampler::new(0, "procedural", &[])).unwrap(), dot);
    }

    #[test]
    fn real_masks_give_the_limits() {
        let masks = [Mask::from_fn(10, 10, |column, _| column == 0), Mask::from_fn(10, 10, |column, _| column < 3), Mask::empty(10, 10)];
        let plan = MaskPlan::new(10, 10).with_areas_of(&masks);
        assert_eq!((plan.least, plan.most), (0.1, 0.3));
        assert_eq!(MaskPlan::new(10, 10).with_areas_of(&masks[2..]), MaskPlan::new(10, 10));
    }

    #[test]
    fn seeds_decide_and_nonsense_is_refused() {
        let plan = MaskPlan::new(50, 50);
        let draw = |seed: u64| plan.draw(None, &mut Sampler::new(seed, "procedural", &[])).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let refused = |plan: MaskPlan, foreground: Option<&Mask>| {
            let error = plan.draw(foreground, &mut Sampler::new(0, "procedural", &[])).unwrap_err();
            assert_eq!(exit_code(&error), 2, "{error:#}");
        };
        refused(MaskPlan { least: 0.0, ..plan }, None);
        refused(MaskPlan { least: f32::NAN, ..plan }, None);
        refused(MaskPlan { most: 1.0, ..plan }, None);
        refused(MaskPlan::new(1, 1), None);
        refused(plan, Some(&Mask::empty(50, 50)));
        refused(plan, Some(&Mask::empty(5, 5).inverted()));
    }
}

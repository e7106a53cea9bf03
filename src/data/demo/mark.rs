//! Shapes of defects.

use crate::data::drawing::{Blob, Point, point};
use crate::tensor::random::Sampler;

/// A large blob with droplets around it: ink, paint, rust.
#[derive(Clone, Debug)]
pub(super) struct Splash {
    blobs: Vec<Blob>,
}

impl Splash {
    /// Around `center`; `size` is the mean half axis of the large blob.
    pub(super) fn new(sampler: &mut Sampler, center: Point, size: f32, roughness: f32, droplets: usize) -> Self {
        let stretch = sampler.range(0.75, 1.35);
        let mut blobs = vec![Blob::new(sampler, center, point(size * stretch, size / stretch), roughness)];
        for _ in 0..droplets {
            let away = Point::at_angle(sampler.range(0.0, std::f32::consts::TAU)) * (size * sampler.range(1.2, 1.6));
            let radius = sampler.range(0.032, 0.042);
            blobs.push(Blob::new(sampler, center + away, point(radius, radius), 0.3));
        }
        Self { blobs }
    }

    /// Signed distance to the nearest outline.
    pub(super) fn distance(&self, p: Point) -> f32 {
        self.blobs.iter().map(|blob| blob.distance(p)).fold(f32::MAX, f32::min)
    }
}

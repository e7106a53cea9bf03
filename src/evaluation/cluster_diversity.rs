//! IC-LPIPS: are the generated pictures different from each other, or copies of the few that were learned from?

use crate::error::{Result, ensure};
use crate::models::lpips::{Appearance, Lpips, Network};

/// Pictures of a cluster that are compared with each other.
pub const MOST_OF_A_CLUSTER: usize = 50;

/// The definition: each generated picture belongs to the nearest real training picture; the mean distance between two pictures of a cluster (its first
/// 50, in the order of their numbers), then the mean over the clusters with two or more. Ojha et al., arXiv 2104.06820; the paper's table 1.
pub fn protocol(network: Network) -> String {
    format!("ic-lpips/{}-0.1/first-50-a-cluster/v1", network.name())
}

/// Clusters of generated pictures around real ones.
#[derive(Debug)]
pub struct Clusters<'a> {
    lpips: &'a Lpips,
    clusters: Vec<Cluster>,
}

#[derive(Debug)]
struct Cluster {
    centre: Appearance,
    members: Vec<Appearance>,
    /// Sum of the distances between members.
    distances: f64,
}

impl<'a> Clusters<'a> {
    /// Empty clusters around the real training pictures.
    ///
    /// # Errors
    /// Without any.
    pub fn new(lpips: &'a Lpips, centres: Vec<Appearance>) -> Result<Self> {
        ensure!(!centres.is_empty(), "IC-LPIPS needs at least one real training picture");
        let clusters = centres.into_iter().map(|centre| Cluster { centre, members: Vec::new(), distances: 0.0 }).collect();
        Ok(Self { lpips, clusters })
    }

    /// Adds a generated picture to the nearest centre's cluster (the first of equally near ones), unless that has enough already.
    pub fn add(&mut self, picture: Appearance) -> Result<()> {
        let mut nearest = (0, f64::INFINITY);
        for (index, cluster) in self.clusters.iter().enumerate() {
            let distance = self.lpips.distance(&picture, &cluster.centre)?;
            if distance < nearest.1 {
                nearest = (index, distance);
            }
        }
        let cluster = &mut self.clusters[nearest.0];
        if cluster.members.len() < MOST_OF_A_CLUSTER {
            for member in &cluster.members {
                cluster.distances += self.lpips.distance(&picture, member)?;
            }
            cluster.members.push(picture);
        }
        Ok(())
    }

    /// The mean over clusters; `None` when none has two pictures.
    pub fn diversity(&self) -> Option<f64> {
        let means: Vec<f64> = self.clusters.iter().filter_map(Cluster::mean).collect();
        (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
    }
}

impl Cluster {
    fn mean(&self) -> Option<f64> {
        let count = self.members.len();
        (count > 1).then(|| self.distances / (count * (count - 1) / 2) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Path;
    use crate::testing::{Scattered, random};

    #[test]
    fn clusters_form_around_the_nearest_and_their_means_are_averaged() {
        let lpips = Lpips::new(&Path::root(&Scattered), Network::Alex).unwrap();
        let look = |name: &str, other: &str, share: f32| {
            let (a, b) = (random(name, &[1, 64, 64, 3]).to_f32_vec().unwrap(), random(other, &[1, 64, 64, 3]).to_f32_vec().unwrap());
            let mixed: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a * (1.0 - share) + b * share).collect();
            lpips.look(&crate::tensor::Tensor::from_f32(mixed, &[1, 64, 64, 3]).unwrap()).unwrap()
        };
        let mut clusters = Clusters::new(&lpips, vec![look("first", "first", 0.0), look("second", "second", 0.0)]).unwrap();
        assert_eq!(clusters.diversity(), None);
        let near_first = [look("first", "x", 0.1), look("first", "y", 0.1), look("first", "z", 0.2)];
        let near_second = [look("second", "x", 0.1), look("second", "y", 0.3)];
        for picture in near_first.iter().chain(&near_second) {
            clusters.add(picture.clone()).unwrap();
        }
        let distance = |a: &Appearance, b: &Appearance| lpips.distance(a, b).unwrap();
        let [a, b, c] = &near_first;
        let expected = ((distance(a, b) + distance(a, c) + distance(b, c)) / 3.0 + distance(&near_second[0], &near_second[1])) / 2.0;
        assert!((clusters.diversity().unwrap() - expected).abs() < 1e-12);
        assert!(Clusters::new(&lpips, Vec::new()).is_err());
    }
}

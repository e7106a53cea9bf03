//! The networks that judge pictures, and what they say of one type.

use std::path::Path;

use serde_json::{Value, json};

use crate::autograd::Var;
use crate::data::picture::Picture;
use crate::device::Device;
use crate::digest::hexadecimal;
use crate::error::Result;
use crate::evaluation::cluster_diversity::{self, Clusters};
use crate::evaluation::inception_score::inception_score;
use crate::evaluation::kernel_distance::kernel_distance;
use crate::models::inception::{Inception, SIDE};
use crate::models::lpips::{Lpips, Network};
use crate::ops;
use crate::training::signals;
use crate::weights::Archive;

/// LPIPS with a network.
#[derive(Debug)]
pub struct PerceptualJudge {
    /// The metric.
    pub lpips: Lpips,
    /// Its network.
    pub network: Network,
    /// Digest of its weights.
    pub digest: String,
}

/// The networks that are there.
#[derive(Debug, Default)]
pub struct Judges {
    /// Inception-v3 and the digest of its weights.
    pub inception: Option<(Inception, String)>,
    /// LPIPS.
    pub perceptual: Option<PerceptualJudge>,
}

impl Judges {
    /// Reads the weights that are given to where they shall judge, in f32.
    ///
    /// # Errors
    /// When a file cannot be read or is of another network (exit code 2).
    pub fn load(inception: Option<&Path>, lpips: Option<(&Path, Network)>, device: Device) -> Result<Self> {
        let digest = |path: &Path| -> Result<String> { Ok(hexadecimal(&Archive::open(path)?.digest()?)) };
        let inception = inception.map(|path| Ok::<_, crate::error::Error>((Inception::load(path, device)?, digest(path)?))).transpose()?;
        let perceptual = lpips
            .map(|(path, network)| {
                Ok::<_, crate::error::Error>(PerceptualJudge { lpips: Lpips::load(path, network, device)?, network, digest: digest(path)? })
            })
            .transpose()?;
        Ok(Self { inception, perceptual })
    }

    /// The id of IC-LPIPS's definition, with the network and the size that are used.
    pub fn diversity_protocol(&self, side: usize) -> String {
        let network = self.perceptual.as_ref().map_or(Network::Vgg, |judge| judge.network);
        format!("{}/{side}-pixels", cluster_diversity::protocol(network))
    }

    /// The networks by the digests of their weights.
    pub fn json(&self) -> Value {
        json!({
            "inception": self.inception.as_ref().map(|(_, digest)| digest),
            "lpips": self.perceptual.as_ref().map(|judge| json!({"network": judge.network.name(), "weights": judge.digest})),
        })
    }

    /// Inception Score, IC-LPIPS and KID of generated pictures, beside the real ones that were trained on and the real ones that were not. Each is
    /// read when it is its turn; `seen` is called after each generated one.
    pub(super) fn judge(
        &self,
        generated: &[&Path],
        (trained, held_out): (&[&Path], &[&Path]),
        side: usize,
        mut seen: impl FnMut(),
    ) -> Result<[Option<f64>; 3]> {
        let look = |judge: &PerceptualJudge, path: &Path| judge.lpips.look(&Picture::load(path)?.resized(side, side).to_tensor()?);
        let mut clusters = match &self.perceptual {
            Some(judge) if !trained.is_empty() => {
                let centres = trained.iter().map(|path| look(judge, path)).collect::<Result<_>>()?;
                Some((judge, Clusters::new(&judge.lpips, centres)?))
            }
            _ => None,
        };
        let (mut logits, mut features) = (Vec::new(), Vec::new());
        for path in generated {
            signals::check()?;
            if let Some((inception, _)) = &self.inception {
                let (answer, feature) = ask(inception, path)?;
                logits.push(answer);
                features.push(feature);
            }
            if let Some((judge, clusters)) = &mut clusters {
                clusters.add(look(judge, path)?)?;
            }
            seen();
        }
        let real = match &self.inception {
            Some((inception, _)) => held_out.iter().map(|path| Ok(ask(inception, path)?.1)).collect::<Result<Vec<_>>>()?,
            None => Vec::new(),
        };
        Ok([inception_score(&logits), clusters.and_then(|(_, clusters)| clusters.diversity()), kernel_distance(&features, &real)])
    }
}

/// Logits and features of a picture.
fn ask(inception: &Inception, path: &Path) -> Result<(Vec<f32>, Vec<f32>)> {
    let picture = ops::resize_bilinear(&Var::constant(Picture::load(path)?.to_tensor()?), SIDE, SIDE, false)?;
    let answer = inception.forward(&picture)?;
    Ok((answer.logits.to_f32_vec()?, answer.features.to_f32_vec()?))
}

//! Adaptive attention re-weighting (METHOD section 8; paper Eq. 7 and 8): where inside the mask the defect does not show yet, the attention to its
//! embeddings is raised.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::invalid_input;

/// Which formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// None.
    Off,
    /// Eq. 7 and 8: softmax of the inverse difference of decoded pixels, on the softmaxed map of every column. Decodes an image at every step.
    Paper,
    /// The released program's: normalised inverse difference of latents within [1, 1.5], on the logits of the learned columns and the first, with a
    /// mask that starts dilated and shrinks.
    Official,
    /// Ours: inverse difference of latent estimates, mean 1 over the mask and within [1/2, 2], on the softmaxed map of the learned columns.
    Default,
}

impl Mode {
    /// Reads `off | paper | official | default`.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "off" => Self::Off,
            "paper" => Self::Paper,
            "official" => Self::Official,
            "default" => Self::Default,
            other => invalid_input!("--reweight {other}: expected off, paper, official or default"),
        })
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Paper => "paper",
            Self::Official => "official",
            Self::Default => "default",
        }
    }

    /// Which columns of the context the weights apply to.
    pub fn columns(self) -> Columns {
        match self {
            Self::Off | Self::Default => Columns::Learned,
            Self::Paper => Columns::All,
            Self::Official => Columns::LearnedAndFirst,
        }
    }
}

/// Columns of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Those of e_a and e_s.
    Learned,
    /// Those and column 0, the start token.
    LearnedAndFirst,
    /// Every column.
    All,
}

/// Where the estimate of the finished image comes from, for the formulas that compare it with the normal image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimate {
    /// The prediction of the step before: free, and nothing is re-weighted in the first step.
    Previous,
    /// An un-weighted prediction at the step itself, as Eq. 7 reads: a second pass of the UNet a step.
    Current,
}

/// The re-weighting of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reweighting {
    /// Which formula.
    pub mode: Mode,
    /// Where the estimate comes from; [`Mode::Official`] uses the noisy latent instead.
    pub estimate: Estimate,
}

impl Reweighting {
    /// A formula with the estimate that belongs to it: Eq. 7 is taken at the step itself.
    pub fn new(mode: Mode) -> Self {
        Self { mode, estimate: if mode == Mode::Paper { Estimate::Current } else { Estimate::Previous } }
    }
}

/// The radius of the square (side 2r + 1) by which the released program dilates the latent mask at a time step: floor(8 (t + 100) / 1000), with 16 in
/// place of 8 when there are exactly 50 steps; for latents of 32 cells a side, in proportion for others.
pub fn official_radius(timestep: i32, steps: usize, latent_size: usize) -> usize {
    let factor = if steps == 50 { 16 } else { 8 };
    let moved = usize::try_from(timestep).unwrap_or(0) + 100;
    factor * moved * latent_size / (1000 * 32)
}

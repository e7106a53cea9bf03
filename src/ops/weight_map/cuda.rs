//! Differences of all positions, then one block an image (`kernels/weight_map.cu`).

use super::{BOUND, Formula};
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::tensor::{DType, Tensor, scratch};

pub(super) fn weight_map(cuda: &Cuda, formula: Formula, x: &Tensor, reference: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let [batch, height, width, channels] = x.dims()?;
    let positions = height * width;
    let (differences, weights) = (scratch(cuda, &[batch, positions], DType::F32)?, scratch(cuda, &[batch, height, width], DType::F32)?);
    let scale = if formula == Formula::Paper { 1.0 } else { channels as f32 };
    let launch = Launch::new(cuda, "weight_map_differences", DType::F32).grid((batch * positions).div_ceil(256), 1, 1);
    launch.tensor(x).tensor(reference).tensor(&differences).int(batch * positions).int(channels).float(scale).run()?;
    let entry = match formula {
        Formula::Paper => "weight_map_paper",
        Formula::Official => "weight_map_official",
        Formula::Balanced => "weight_map_balanced",
    };
    let launch = Launch::new(cuda, entry, DType::F32).grid(batch, 1, 1).tensor(&differences).tensor(mask).tensor(&weights).int(positions);
    if formula == Formula::Balanced {
        launch.float(BOUND as f32).run()?
    } else {
        launch.run()?
    }
    Ok(weights)
}

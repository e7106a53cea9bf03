//! Classifier-free guidance: a network asked with and without the prompt.

use crate::anomaly::conditioning::Conditioner;
use crate::autograd::Var;
use crate::error::{Error, Result};
use crate::models::unet::{AttentionWeights, PreparedContext, PreparedTimes, Unet};
use crate::ops::Outputs;
use crate::tensor::Tensor;
use crate::tensor::replay::Tensors;

/// The contexts of a batch, prepared for a network.
#[derive(Clone)]
pub(super) struct GuidedContext {
    conditional: PreparedContext,
    /// The empty prompt's; none where guidance is 1, which compares with nothing.
    unconditional: Option<PreparedContext>,
}

/// What a network says with and, when guided, without the prompt.
pub(super) struct Predicted {
    conditional: Tensor,
    unconditional: Option<Tensor>,
}

impl GuidedContext {
    /// Of `tokens [batch, length, width]`, against the empty prompt.
    pub(super) fn new(unet: &Unet, conditioner: &Conditioner, tokens: &Var, guidance: f64) -> Result<Self> {
        let unconditional = if guidance == 1.0 { None } else { Some(unet.prepare_context(&conditioner.plain("", tokens.dim(0))?)?) };
        Ok(Self { conditional: unet.prepare_context(tokens)?, unconditional })
    }

    /// The network's outputs for `latent [batch, h, w, channels]`; the attention's weights act on the first alone.
    pub(super) fn predict(&self, unet: &Unet, latent: &Tensor, times: &PreparedTimes, attention: Option<&AttentionWeights>) -> Result<Predicted> {
        let sample = Var::constant(latent.clone());
        let output = |context, attention| Ok::<_, Error>(unet.forward_prepared(&sample, times, context, attention)?.into_tensor());
        let conditional = output(&self.conditional, attention)?;
        Ok(Predicted { conditional, unconditional: self.unconditional.as_ref().map(|context| output(context, None)).transpose()? })
    }
}

impl Predicted {
    /// For the update of the latent that was asked about.
    pub(super) fn outputs<'a>(&'a self, noisy: &'a Tensor) -> Outputs<'a> {
        Outputs { noisy, conditional: &self.conditional, unconditional: self.unconditional.as_ref() }
    }
}

impl Tensors for GuidedContext {
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self { conditional: self.conditional.map_tensors(change)?, unconditional: self.unconditional.map_tensors(change)? })
    }
}

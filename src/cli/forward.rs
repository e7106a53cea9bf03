//! `anodiff forward`: one network on tensors from a file, for comparing with another framework. Tensors in files are as PyTorch has them (NCHW).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Globals, output};
use crate::autograd::Var;
use crate::error::{Error, InvalidInput, Result};
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::models::unet::AttentionWeights;
use crate::nn::Placement;
use crate::ops::{self, MaskedMean};
use crate::tensor::{DType, Tensor};
use crate::training::progress::note;
use crate::weights::{self, Archive};

/// `anodiff forward`: what to run on what.
#[derive(Debug, Args)]
#[command(after_help = "Tensors (f32, images and latents as [batch, channels, height, width]; ids and time steps i32):\n\
    \x20 text-encoder  input_ids [B,L] -> last_hidden_state [B,L,W]\n\
    \x20 unet          sample [B,C,h,w], timestep [B] or one number, encoder_hidden_states [B,L,W] -> out [B,C,h,w]\n\
    \x20               with target [B,C,h,w] and mask [B,1,h,w] also loss = mean((mask * (target - out))^2) and grad_encoder_hidden_states;\n\
    \x20               attention_weight [B,h,w] with attention_weight_columns [B,L] (0 or 1) multiplies the softmaxed cross-attention of those columns,\n\
    \x20               attention_logit_weight [B,h,w] with the same columns multiplies the scaled logits\n\
    \x20 vae-encode    image [B,3,H,W] in -1..1 -> mean, logvar [B,C,h,w], unscaled\n\
    \x20 vae-decode    latent [B,C,h,w], unscaled -> decoded [B,3,H,W]")]
pub struct Arguments {
    /// The network
    #[arg(value_enum, value_name = "PART")]
    part: Part,
    /// Base model: a folder in the diffusers layout or a checkpoint in one .safetensors file [default: the embedded one]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Safetensors file with the inputs
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Safetensors file to write the outputs to
    #[arg(long = "out", value_name = "FILE")]
    output: PathBuf,
}

/// A network, or one direction of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Token ids to hidden states
    TextEncoder,
    /// Noisy latent, time step and hidden states to the prediction
    Unet,
    /// Image to the latent's distribution
    VaeEncode,
    /// Latent to image
    VaeDecode,
}

impl Part {
    fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::TextEncoder => &["input_ids"],
            Self::Unet => &[
                "sample",
                "timestep",
                "encoder_hidden_states",
                "target",
                "mask",
                "attention_weight",
                "attention_logit_weight",
                "attention_weight_columns",
            ],
            Self::VaeEncode => &["image"],
            Self::VaeDecode => &["latent"],
        }
    }
}

/// Outputs under their names, as the file has them.
type Outputs = Vec<(String, Tensor)>;

/// Runs the command.
///
/// # Errors
/// Exit code 2 for a model or tensors that do not fit, and for a file that cannot be written.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let inputs = Inputs { archive: Archive::open(&arguments.input)? };
    inputs.note_unused(arguments.part);
    let model = arguments.model.as_deref();
    let placement = globals.placement()?;
    let start = Instant::now();
    let outputs = match arguments.part {
        Part::TextEncoder => text_encoder(model, placement, &inputs),
        Part::Unet => unet(model, placement, &inputs),
        Part::VaeEncode => vae_encode(model, placement, &inputs),
        Part::VaeDecode => vae_decode(model, placement, &inputs),
    }?;
    let seconds = start.elapsed().as_secs_f64();
    weights::save(&arguments.output, &outputs, &BTreeMap::new())?;
    let file = arguments.output.display().to_string();
    if globals.json {
        let shapes: serde_json::Map<_, _> = outputs.iter().map(|(name, tensor)| (name.clone(), json!(tensor.shape()))).collect();
        return output::json(&json!({ "out": file, "tensors": shapes, "seconds": seconds }));
    }
    let shapes: Vec<String> = outputs.iter().map(|(name, tensor)| format!("{name} {:?}", tensor.shape())).collect();
    output::line(format_args!("{file}: {}", shapes.join(", ")))
}

fn text_encoder(model: Option<&Path>, placement: Placement, inputs: &Inputs) -> Result<Outputs> {
    let ids = inputs.integers("input_ids", 2)?;
    let states = BaseModel::load_text_encoder(model, placement)?.forward(&ids).map_err(|error| inputs.refuse(error))?;
    Ok(vec![("last_hidden_state".into(), states.into_tensor())])
}

fn vae_encode(model: Option<&Path>, placement: Placement, inputs: &Inputs) -> Result<Outputs> {
    let image = inputs.image("image")?;
    let posterior = BaseModel::load_vae(model, placement)?.encode(&Var::constant(image)).map_err(|error| inputs.refuse(error))?;
    Ok(vec![("mean".into(), posterior.mean.nhwc_to_nchw()?), ("logvar".into(), posterior.log_variance.nhwc_to_nchw()?)])
}

fn vae_decode(model: Option<&Path>, placement: Placement, inputs: &Inputs) -> Result<Outputs> {
    let latent = inputs.image("latent")?;
    let decoded = BaseModel::load_vae(model, placement)?.decode(&Var::constant(latent)).map_err(|error| inputs.refuse(error))?;
    Ok(vec![("decoded".into(), decoded.nhwc_to_nchw()?)])
}

fn unet(model: Option<&Path>, placement: Placement, inputs: &Inputs) -> Result<Outputs> {
    let sample = inputs.image("sample")?;
    let [batch, height, width, _] = sample.dims()?;
    let context = inputs.floats("encoder_hidden_states", 3)?;
    let [_, tokens, _] = context.dims()?;
    inputs.expect("encoder_hidden_states", &context, &[batch, tokens, context.dim(2)])?;
    let timesteps = inputs.timesteps(batch)?;
    let weights = inputs.attention_weights([batch, height, width], tokens)?;
    let loss = inputs.loss(&sample)?;
    let unet = BaseModel::load_unet(model, placement)?;
    let context = context.to_device(placement.device)?;
    let context = if loss.is_some() { Var::leaf(context) } else { Var::constant(context) };
    let prediction = unet.forward(&Var::constant(sample), &timesteps, &context, weights.as_ref()).map_err(|error| inputs.refuse(error))?;
    let mut outputs = vec![("out".into(), prediction.nhwc_to_nchw()?)];
    if let Some((target, mask)) = loss {
        let (target, mask) = (target.to_device(placement.device)?, mask.to_device(placement.device)?);
        let loss = ops::masked_mse(&prediction, &target, &mask, MaskedMean::Elements).map_err(|error| inputs.refuse(error))?;
        let gradients = loss.backward()?;
        // A network without cross-attention does not depend on the context.
        let gradient = gradients.get(&context).cloned().unwrap_or_else(|| Tensor::zeros(context.shape()));
        outputs.push(("loss".into(), loss.into_tensor()));
        outputs.push(("grad_encoder_hidden_states".into(), gradient));
    }
    Ok(outputs)
}

/// The file of inputs: every complaint names it, the tensor, what was expected and what was found.
struct Inputs {
    archive: Archive,
}

impl Inputs {
    /// A misspelt optional input would silently change the result.
    fn note_unused(&self, part: Part) {
        let known = part.inputs();
        let unused: Vec<&str> = self.archive.names().filter(|name| !known.contains(name)).collect();
        if !unused.is_empty() {
            let (label, unused, known) = (self.archive.label(), unused.join(", "), known.join(", "));
            note(&format!("note: {label} has tensors that are no inputs here: {unused}; inputs are {known}"));
        }
    }

    /// The shapes come from the file, so what a network says of them is the user's to correct.
    fn refuse(&self, error: Error) -> Error {
        Error::new(InvalidInput(format!("{}: {error:#}", self.archive.label())))
    }

    fn expect(&self, name: &str, tensor: &Tensor, shape: &[usize]) -> Result<()> {
        if tensor.shape() != shape {
            invalid_input!("{}: tensor {name} has shape {:?}, expected {shape:?}", self.archive.label(), tensor.shape());
        }
        Ok(())
    }

    fn floats(&self, name: &str, axes: usize) -> Result<Tensor> {
        let tensor = self.archive.tensor(name)?;
        if tensor.dtype() != DType::F32 || tensor.rank() != axes {
            let found = (tensor.dtype(), tensor.shape());
            invalid_input!("{}: tensor {name} is {} {:?}, expected f32 with {axes} axes", self.archive.label(), found.0, found.1);
        }
        Ok(tensor)
    }

    fn integers(&self, name: &str, axes: usize) -> Result<Tensor> {
        let tensor = self.archive.tensor(name)?;
        if tensor.dtype() != DType::I32 || tensor.rank() != axes {
            let found = (tensor.dtype(), tensor.shape());
            invalid_input!("{}: tensor {name} is {} {:?}, expected i32 with {axes} axes", self.archive.label(), found.0, found.1);
        }
        Ok(tensor)
    }

    /// `[batch, channels, height, width]` as the engine has it.
    fn image(&self, name: &str) -> Result<Tensor> {
        self.floats(name, 4)?.nchw_to_nhwc()
    }

    /// One time step for all, or one for each of the batch.
    fn timesteps(&self, batch: usize) -> Result<Tensor> {
        let tensor = self.archive.tensor("timestep")?;
        let label = self.archive.label();
        if tensor.dtype() != DType::I32 {
            invalid_input!("{label}: tensor timestep is {}, expected i32", tensor.dtype());
        }
        match tensor.i32s()? {
            [one] => Tensor::from_i32(vec![*one; batch], &[batch]),
            all if all.len() == batch && tensor.rank() == 1 => Ok(tensor),
            _ => invalid_input!("{label}: tensor timestep has shape {:?}, expected [{batch}] or one number", tensor.shape()),
        }
    }

    /// Target and mask in the engine's layout, when both are there.
    fn loss(&self, sample: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
        let (target, mask) = (self.archive.contains("target"), self.archive.contains("mask"));
        if target != mask {
            invalid_input!("{}: target and mask belong together, found only {}", self.archive.label(), if target { "target" } else { "mask" });
        }
        if !target {
            return Ok(None);
        }
        let [batch, height, width, channels] = sample.dims()?;
        let (target, mask) = (self.floats("target", 4)?, self.floats("mask", 4)?);
        self.expect("target", &target, &[batch, channels, height, width])?;
        self.expect("mask", &mask, &[batch, 1, height, width])?;
        Ok(Some((target.nchw_to_nhwc()?, mask.nchw_to_nhwc()?)))
    }

    /// The re-weighting, when one is there.
    fn attention_weights(&self, map: [usize; 3], tokens: usize) -> Result<Option<AttentionWeights>> {
        let optional = |name: &str| -> Result<Option<Tensor>> {
            if !self.archive.contains(name) {
                return Ok(None);
            }
            let weight = self.floats(name, 3)?;
            self.expect(name, &weight, &map)?;
            Ok(Some(weight))
        };
        let (probability, logit) = (optional("attention_weight")?, optional("attention_logit_weight")?);
        let columns = "attention_weight_columns";
        match (probability.is_some() || logit.is_some(), self.archive.contains(columns)) {
            (false, false) => return Ok(None),
            (true, true) => {}
            (true, false) => invalid_input!("{}: attention weights need {columns} [{}, {tokens}]", self.archive.label(), map[0]),
            (false, true) => invalid_input!("{}: {columns} needs attention_weight or attention_logit_weight", self.archive.label()),
        }
        let columns = self.archive.tensor(columns)?;
        self.expect("attention_weight_columns", &columns, &[map[0], tokens])?;
        let marked: Vec<f32> = match columns.dtype() {
            DType::I32 => columns.i32s()?.iter().map(|&mark| mark as f32).collect(),
            _ => columns.to_f32_vec()?,
        };
        if let Some(other) = marked.iter().find(|mark| **mark != 0.0 && **mark != 1.0) {
            invalid_input!("{}: attention_weight_columns has {other}, expected 0 or 1", self.archive.label());
        }
        Ok(Some(AttentionWeights { columns: Tensor::from_f32(marked, columns.shape())?, probability, logit }))
    }
}

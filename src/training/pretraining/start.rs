//! First values of the networks. The autoencoder starts out averaging and repeating colours, so that training begins with blurred pictures rather
//! than with grey ones (after 200 steps: 30 dB rather than 19).
//!
//! Three colours travel as pairs (c, -c) through all layers: silu(c) - silu(-c) = c, so even the activations in front of the last convolutions let
//! them pass unchanged. A pair of constants beside them keeps the normalisations from dividing a picture's contrast away. Residual branches begin at
//! zero, halving layers average, doubling layers repeat; all other channels keep their random values and are free to learn.

use crate::error::Result;
use crate::nn::{Parameter, ParameterSet};

const COLORS: usize = 3;
/// Channels with a meaning: the colours, their negatives, the constants.
const PASSING: usize = 2 * COLORS + 2;
/// Measured together: with these a random picture comes back with a gain near 1.
const CONSTANT: f32 = 2.5;
const DECODER_GAIN: f32 = 0.75;
/// Random weights that would disturb the passing colours start this much smaller.
const QUIET: f32 = 0.1;
/// Of the posterior: deviation 0.05. Left at 1, its noise would drown all but the strongest of what a latent could carry, and the optimiser needs
/// thousands of steps to bring it down.
const LOG_VARIANCE: f32 = -6.0;

/// Sets the first values of an `AutoencoderKl`'s parameters; every width must be at least 8 and the latent must have at least 3 channels.
pub(super) fn pass_colors(parameters: &ParameterSet, latent_channels: usize) -> Result<()> {
    parameters.iter().try_for_each(|parameter| start(parameter, latent_channels))
}

fn start(parameter: &Parameter, latent_channels: usize) -> Result<()> {
    let shape = parameter.value().shape().to_vec();
    let name = parameter.name();
    let is = |part: &str| name.contains(part);
    // Convolutions are [out, height, width, in] here.
    let size = |axis: usize| shape.get(axis).copied().unwrap_or(1);
    let (side, inputs) = (size(1), size(3));
    let middle = side / 2;
    let at = |row: usize, y: usize, x: usize, input: usize| ((row * side + y) * side + x) * inputs + input;
    let row = side * side * inputs;
    parameter.update(|values| match name {
        "quant_conv.bias" => {
            values.fill(0.0);
            values[latent_channels..].fill(LOG_VARIANCE);
        }
        // Linear here: [out, in].
        "quant_conv.weight" => pass(values, latent_channels, values_per_row(&shape)),
        "post_quant_conv.weight" => pass(values, latent_channels, values_per_row(&shape)),
        "encoder.conv_in.bias" | "decoder.conv_in.bias" => {
            values.fill(0.0);
            (values[2 * COLORS], values[2 * COLORS + 1]) = (CONSTANT, -CONSTANT);
        }
        "encoder.conv_in.weight" | "decoder.conv_in.weight" => {
            values[..PASSING * row].fill(0.0);
            for color in 0..COLORS {
                values[at(color, middle, middle, color)] = 1.0;
                values[at(COLORS + color, middle, middle, color)] = -1.0;
            }
        }
        "encoder.conv_out.weight" | "decoder.conv_out.weight" => {
            let gain = if is("decoder") { DECODER_GAIN } else { 1.0 };
            for color in 0..COLORS {
                values[color * row..(color + 1) * row].iter_mut().for_each(|value| *value *= QUIET);
                values[at(color, middle, middle, color)] = gain;
                values[at(color, middle, middle, COLORS + color)] = -gain;
            }
        }
        _ if is("resnets") && is("conv2") => values.fill(0.0),
        _ if is("conv_shortcut.weight") => pass(values, PASSING, values_per_row(&shape)),
        _ if is("downsamplers") && is("weight") => {
            values[..PASSING * row].fill(0.0);
            for channel in 0..PASSING {
                [(0, 0), (0, 1), (1, 0), (1, 1)].iter().for_each(|&(y, x)| values[at(channel, y, x, channel)] = 0.25);
            }
        }
        _ if is("upsamplers") && is("weight") => {
            values[..PASSING * row].fill(0.0);
            (0..PASSING).for_each(|channel| values[at(channel, middle, middle, channel)] = 1.0);
        }
        _ if is("conv") && is("bias") => values.fill(0.0),
        _ => {}
    })
}

/// Starts the residual branches of a UNet's convolutions and its output at zero, as the latent diffusion program does (`zero_module`): at first every
/// block passes its input on, and high learning rates do no harm. The attention blocks keep theirs: through them alone comes the caption.
pub(super) fn quiet_branches(parameters: &ParameterSet) -> Result<()> {
    let quiet = |name: &str| (name.contains("resnets") && name.contains("conv2")) || name.starts_with("conv_out");
    parameters.iter().filter(|parameter| quiet(parameter.name())).try_for_each(|parameter| parameter.update(|values| values.fill(0.0)))
}

/// Starts a text encoder's layers small beside its embeddings, so that at first its output tells the words apart.
pub(super) fn tell_words_apart(parameters: &ParameterSet) -> Result<()> {
    parameters.iter().try_for_each(|parameter| {
        let name = parameter.name();
        let factor = match name {
            _ if name.contains("out_proj") || name.contains("fc2") => 0.05,
            _ if name.contains("position_embedding") => 0.5,
            _ => return Ok(()),
        };
        parameter.update(|values| values.iter_mut().for_each(|value| *value *= factor))
    })
}

/// Makes the first `count` rows of a 1x1 layer pass the channels of the same number.
fn pass(values: &mut [f32], count: usize, width: usize) {
    for channel in 0..count {
        values[channel * width..(channel + 1) * width].fill(0.0);
        values[channel * width + channel] = 1.0;
    }
}

fn values_per_row(shape: &[usize]) -> usize {
    shape[1..].iter().product()
}

//! Against diffusers' own numbers (`tests/fixtures/scripts/unet_vae.py`), and what is refused.

use super::*;
use crate::nn::RandomInit;
use crate::ops::{self, MaskedMean};
use crate::testing::{Fixture, assert_close, random};

/// The issue's limits: ||ours - reference|| / ||reference||.
const OUTPUT: f64 = 2e-5;
const GRADIENT: f64 = 1e-4;

fn load(name: &str) -> (Fixture, Unet) {
    let fixture = Fixture::load(&format!("unet_vae/{name}"));
    let config = UnetConfig::from_json(fixture.metadata("config"), name).unwrap();
    let unet = Unet::new(&Path::root(&fixture), &config).unwrap();
    (fixture, unet)
}

/// Output, masked loss and its gradient to the context, without and with each kind of re-weighting.
fn check(name: &str) {
    let (fixture, unet) = load(name);
    let image = |name: &str| fixture.get(name).nchw_to_nhwc().unwrap();
    let sample = Var::constant(image("sample"));
    let weights = |probability: bool, logit: bool| AttentionWeights {
        columns: fixture.get("attention_weight_columns"),
        probability: probability.then(|| fixture.get("attention_weight")),
        logit: logit.then(|| fixture.get("attention_logit_weight")),
    };
    let kinds =
        [("", None), ("probability_", Some(weights(true, false))), ("logit_", Some(weights(false, true))), ("both_", Some(weights(true, true)))];
    let mut outputs = Vec::new();
    for (kind, weights) in kinds {
        let context = Var::leaf(fixture.get("encoder_hidden_states"));
        let output = unet.forward(&sample, &fixture.get("timestep"), &context, weights.as_ref()).unwrap();
        assert_close(&output, &image(&format!("{kind}out")), OUTPUT);
        let loss = ops::masked_mse(&output, &image("target"), &image("mask"), MaskedMean::Elements).unwrap();
        assert_close(&loss, &fixture.get(&format!("{kind}loss")), OUTPUT);
        let gradients = loss.backward().unwrap();
        assert_close(gradients.get(&context).unwrap(), &fixture.get(&format!("{kind}grad_encoder_hidden_states")), GRADIENT);
        outputs.push(output.to_f32_vec().unwrap());
    }
    assert!(outputs.windows(2).all(|pair| crate::testing::relative_error(&pair[0], &pair[1]) > 1e-3), "re-weighting changes the output");
}

#[test]
fn as_diffusers_with_convolutions_around_the_transformers() {
    check("unet_sd1");
}

#[test]
fn as_diffusers_with_linear_projections_and_heads_per_level() {
    check("unet_sd2");
}

#[test]
fn as_diffusers_at_a_size_that_does_not_halve_evenly() {
    check("unet_odd");
}

#[test]
fn as_diffusers_with_deeper_transformers_and_sines_first() {
    check("unet_two");
}

#[test]
fn weight_gradients_as_autograd_of_pytorch() {
    let fixture = Fixture::load("unet_vae/unet_two");
    let config = UnetConfig::from_json(fixture.metadata("config"), "unet_two").unwrap();
    let root = Path::root(&fixture);
    let unet = Unet::new(&root, &config).unwrap();
    root.parameters().set_trainable(true);
    let image = |name: &str| fixture.get(name).nchw_to_nhwc().unwrap();
    let context = Var::constant(fixture.get("encoder_hidden_states"));
    let output = unet.forward(&Var::constant(image("sample")), &fixture.get("timestep"), &context, None).unwrap();
    let gradients = ops::masked_mse(&output, &image("target"), &image("mask"), MaskedMean::Elements).unwrap().backward().unwrap();
    let mut compared = 0;
    for parameter in root.parameters().iter() {
        let gradient = gradients.by_id(parameter.id()).unwrap_or_else(|| panic!("no gradient of {}", parameter.name()));
        let Some(expected) = fixture.find(&format!("gradient.{}", parameter.name())) else { continue };
        let gradient = crate::nn::Parameter::new(String::new(), gradient.clone(), parameter.layout()).checkpoint_value().unwrap();
        assert_close(&gradient, &expected, GRADIENT);
        compared += 1;
    }
    assert_eq!(compared, 12);
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let (fixture, unet) = load("unet_sd1");
    let sample = fixture.get("sample").nchw_to_nhwc().unwrap();
    let context = fixture.get("encoder_hidden_states");
    let run = |sample: Var, timesteps: &[i32], context: Var| {
        let timesteps = Tensor::from_i32(timesteps.to_vec(), &[timesteps.len()]).unwrap();
        unet.forward(&sample, &timesteps, &context, None).unwrap().to_f32_vec().unwrap()
    };
    let both = run(sample.clone().into(), &[999, 20], context.clone().into());
    let second = |tensor: &Tensor| ops::narrow(&Var::constant(tensor.clone()), 0, 1, 1).unwrap();
    let alone = run(second(&sample), &[20], second(&context));
    assert_eq!(both[both.len() / 2..], alone, "the second sample, bit by bit");
}

/// What is computed once for a schedule and a context gives the same bits as a pass that computes everything itself.
#[test]
fn prepared_passes_equal_whole_ones() {
    let (fixture, unet) = load("unet_two");
    let sample = Var::constant(fixture.get("sample").nchw_to_nhwc().unwrap());
    let context = Var::constant(fixture.get("encoder_hidden_states"));
    let batch = sample.dim(0);
    let (schedule, once) = ([981, 500, 1], unet.prepare_context(&context).unwrap());
    let times = unet.prepare_times(&Tensor::from_i32(schedule.to_vec(), &[3]).unwrap()).unwrap();
    for (number, timestep) in schedule.into_iter().enumerate() {
        let here = times.at(&Tensor::from_i32(vec![number as i32; batch], &[batch]).unwrap()).unwrap();
        let found = unet.forward_prepared(&sample, &here, &once, None).unwrap();
        let expected = unet.forward(&sample, &Tensor::from_i32(vec![timestep; batch], &[batch]).unwrap(), &context, None).unwrap();
        assert_eq!(found.to_f32_vec().unwrap(), expected.to_f32_vec().unwrap(), "time step {timestep}");
    }
    let other = load("unet_sd1").1;
    let foreign = other.prepare_context(&Var::constant(random("context", &[batch, 7, other.config().cross_attention_dim.at(0)]))).unwrap();
    let here = times.at(&Tensor::from_i32(vec![0; batch], &[batch]).unwrap()).unwrap();
    assert!(unet.forward_prepared(&sample, &here, &foreign, None).is_err());
}

fn sd15() -> serde_json::Value {
    serde_json::json!({
        "_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280],
        "center_input_sample": false, "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "downsample_padding": 1, "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1,
        "norm_eps": 1e-05, "norm_num_groups": 32, "out_channels": 4, "sample_size": 64,
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    })
}

#[test]
fn other_models_are_refused_by_name() {
    assert_eq!(UnetConfig::from_json(&sd15().to_string(), "x").unwrap().heads().at(3), 8);
    let cases = [
        ("addition_embed_type", serde_json::json!("text_time"), "SDXL"),
        ("_class_name", serde_json::json!("SD3Transformer2DModel"), "SD 3"),
        ("in_channels", serde_json::json!(9), "inpainting"),
        ("class_embed_type", serde_json::json!("projection"), "class_embed_type"),
        ("block_out_channels", serde_json::json!([320, 640, 1280, 1000]), "block_out_channels[3] has 1000"),
        ("block_out_channels", serde_json::json!([320, 640]), "down_block_types lists 4"),
        ("block_out_channels", serde_json::json!([1_000_000_000, 640, 1280, 1280]), "block_out_channels[0] is 1000000000"),
        ("layers_per_block", serde_json::json!(0), "layers_per_block is 0"),
        ("attention_head_dim", serde_json::json!([8, 8]), "attention_head_dim lists 2"),
        ("norm_num_groups", serde_json::json!(0), "norm_num_groups = 0"),
        ("down_block_types", serde_json::json!(["AttnDownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"]), "AttnDownBlock2D"),
        ("cross_attention_dim", serde_json::json!(-5), "whole number"),
    ];
    for (field, value, expected) in cases {
        let mut config = sd15();
        config[field] = value;
        let error = UnetConfig::from_json(&config.to_string(), "unet/config.json").unwrap_err();
        assert_eq!(crate::error::exit_code(&error), 2);
        let message = error.to_string();
        assert!(message.starts_with("unet/config.json") && message.contains(expected), "{message}");
    }
}

#[test]
fn wrong_inputs_are_refused() {
    let config = r#"{"in_channels": 4, "out_channels": 4, "block_out_channels": [4], "down_block_types": ["CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D"], "cross_attention_dim": 8, "norm_num_groups": 2, "attention_head_dim": 2}"#;
    let unet = Unet::new(&Path::root(&RandomInit { seed: 1 }), &UnetConfig::from_json(config, "config.json").unwrap()).unwrap();
    let run = |sample: &[usize], timesteps: Vec<i32>, context: &[usize]| {
        let timesteps = Tensor::from_i32(timesteps.clone(), &[timesteps.len()]).unwrap();
        unet.forward(&Tensor::zeros(sample).into(), &timesteps, &Tensor::zeros(context).into(), None).map(|output| output.shape().to_vec())
    };
    assert_eq!(run(&[2, 3, 5, 4], vec![1, 2], &[2, 7, 8]).unwrap(), [2, 3, 5, 4]);
    for (sample, timesteps, context, expected) in [
        ([2, 3, 5, 3], vec![1, 2], [2, 7, 8], "3 channels"),
        ([2, 3, 5, 4], vec![1], [2, 7, 8], "1 time steps"),
        ([2, 3, 5, 4], vec![1, 2], [1, 7, 8], "1 contexts"),
        ([2, 3, 5, 4], vec![1, 2], [2, 7, 9], "9 wide"),
        ([2, 3, 5, 4], vec![1, -2], [2, 7, 8], "-2"),
    ] {
        let message = run(&sample, timesteps, &context).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

//! `anodiff forward` and `anodiff info` as a user sees them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use anodiff::models::base::{BaseModel, Configs};
use anodiff::models::tokenizer::{self, ClipTokenizer};
use anodiff::tensor::{DType, Tensor};
use anodiff::testing::random;
use anodiff::weights::{self, Archive};

const CONFIGS: Configs = Configs {
    text_encoder: r#"{"model_type": "clip_text_model", "vocab_size": 540, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 24}"#,
    unet: r#"{"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "block_out_channels": [16, 32],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "layers_per_block": 1,
        "attention_head_dim": 2, "cross_attention_dim": 16, "norm_num_groups": 8, "sample_size": 8}"#,
    vae: r#"{"_class_name": "AutoencoderKL", "block_out_channels": [8, 16], "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 4}"#,
    scheduler: r#"{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction"}"#,
};

/// A folder with a small model in `model`.
fn setup() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (vocab, merges) = tokenizer::train(["a photo of a plate"]).unwrap();
    let model = BaseModel::random(&CONFIGS, ClipTokenizer::from_vocabulary(&vocab, &merges, 20).unwrap(), 5).unwrap();
    model.save(&folder.path().join("model"), DType::F32).unwrap();
    folder
}

fn anodiff(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anodiff")).args(arguments).current_dir(folder).output().unwrap()
}

fn forward(folder: &Path, part: &str, inputs: &[(&str, Tensor)]) -> Output {
    let inputs: Vec<(String, Tensor)> = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
    weights::save(&folder.join("in.safetensors"), &inputs, &BTreeMap::new()).unwrap();
    anodiff(&["forward", part, "--model", "model", "--in", "in.safetensors", "--out", "out.safetensors"], folder)
}

fn unet_inputs(batch: usize) -> Vec<(&'static str, Tensor)> {
    vec![
        ("sample", random("sample", &[batch, 4, 8, 6])),
        ("timestep", Tensor::from_i32(vec![7], &[1]).unwrap()),
        ("encoder_hidden_states", random("context", &[batch, 5, 16])),
    ]
}

#[test]
fn every_part_has_its_outputs() {
    let folder = setup();
    let mut with_loss = unet_inputs(2);
    with_loss.extend([("target", random("target", &[2, 4, 8, 6])), ("mask", Tensor::full(1.0, &[2, 1, 8, 6]))]);
    type Shapes = &'static [(&'static str, &'static [usize])];
    type Inputs = Vec<(&'static str, Tensor)>;
    let cases: [(&str, Inputs, Shapes); 5] = [
        ("text-encoder", vec![("input_ids", Tensor::from_i32(vec![1, 2, 3], &[1, 3]).unwrap())], &[("last_hidden_state", &[1, 3, 16])]),
        ("vae-encode", vec![("image", random("image", &[1, 3, 16, 12]))], &[("mean", &[1, 4, 8, 6]), ("logvar", &[1, 4, 8, 6])]),
        ("vae-decode", vec![("latent", random("latent", &[1, 4, 8, 6]))], &[("decoded", &[1, 3, 16, 12])]),
        ("unet", unet_inputs(2), &[("out", &[2, 4, 8, 6])]),
        ("unet", with_loss, &[("out", &[2, 4, 8, 6]), ("loss", &[]), ("grad_encoder_hidden_states", &[2, 5, 16])]),
    ];
    for (part, inputs, expected) in cases {
        let output = forward(folder.path(), part, &inputs);
        assert!(output.status.success(), "{part}: {}", String::from_utf8_lossy(&output.stderr));
        let file = Archive::open(&folder.path().join("out.safetensors")).unwrap();
        assert_eq!(file.names().count(), expected.len());
        for (name, shape) in expected {
            assert_eq!(file.shape(name), Some(*shape), "{part} {name}");
        }
    }
}

#[test]
fn the_loss_is_the_masked_mean() {
    let folder = setup();
    let mut inputs = unet_inputs(1);
    inputs.extend([("target", random("target", &[1, 4, 8, 6])), ("mask", Tensor::full(0.5, &[1, 1, 8, 6]))]);
    assert!(forward(folder.path(), "unet", &inputs).status.success());
    let file = Archive::open(&folder.path().join("out.safetensors")).unwrap();
    let (out, target) = (file.tensor("out").unwrap().to_f32_vec().unwrap(), inputs[3].1.to_f32_vec().unwrap());
    let expected = out.iter().zip(&target).map(|(a, b)| f64::from(0.5 * (b - a)).powi(2)).sum::<f64>() / out.len() as f64;
    assert!((f64::from(file.tensor("loss").unwrap().item().unwrap()) / expected - 1.0).abs() < 1e-5);
}

#[test]
fn attention_weights_change_the_marked_columns_only() {
    let folder = setup();
    let out = |columns: f32, weight: f32, name: &'static str| {
        let mut inputs = unet_inputs(1);
        inputs.extend([(name, Tensor::full(weight, &[1, 8, 6])), ("attention_weight_columns", Tensor::full(columns, &[1, 5]))]);
        let output = forward(folder.path(), "unet", &inputs);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Archive::open(&folder.path().join("out.safetensors")).unwrap().tensor("out").unwrap().to_f32_vec().unwrap()
    };
    for name in ["attention_weight", "attention_logit_weight"] {
        assert_eq!(out(1.0, 1.0, name), out(0.0, 3.0, name), "{name}: neutral");
        assert_ne!(out(1.0, 3.0, name), out(0.0, 3.0, name), "{name}: strong");
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused_and_nothing_is_written() {
    let folder = setup();
    let replaced = |name: &str, tensor: Tensor| {
        let mut inputs = unet_inputs(2);
        inputs.retain(|(known, _)| *known != name);
        inputs.push((name.to_owned().leak(), tensor));
        inputs
    };
    for (part, inputs, expected) in [
        ("unet", unet_inputs(2)[..2].to_vec(), "expected a tensor called encoder_hidden_states, found sample, timestep"),
        ("unet", replaced("sample", random("x", &[2, 3, 8, 6])), "channels"),
        ("unet", replaced("sample", random("x", &[2, 4, 8])), "expected f32 with 4 axes"),
        ("unet", replaced("sample", Tensor::from_i32(vec![0; 384], &[2, 4, 8, 6]).unwrap()), "is i32"),
        ("unet", replaced("timestep", Tensor::from_i32(vec![1, 2, 3], &[3]).unwrap()), "expected [2] or one number"),
        ("unet", replaced("timestep", Tensor::scalar(1.0)), "expected i32"),
        ("unet", replaced("encoder_hidden_states", random("x", &[1, 5, 16])), "expected [2, 5, 16]"),
        ("unet", replaced("encoder_hidden_states", random("x", &[2, 5, 7])), "16"),
        ("unet", replaced("target", random("x", &[2, 4, 8, 6])), "found only target"),
        ("unet", replaced("attention_weight", random("x", &[2, 8, 6])), "need attention_weight_columns"),
        ("unet", replaced("attention_weight_columns", random("x", &[2, 5])), "needs attention_weight or attention_logit_weight"),
        ("text-encoder", vec![("input_ids", Tensor::from_i32(vec![540], &[1, 1]).unwrap())], "540"),
        ("text-encoder", vec![("input_ids", Tensor::from_i32(vec![0; 25], &[1, 25]).unwrap())], "at most 24 tokens"),
        ("vae-encode", vec![("image", random("x", &[1, 1, 16, 16]))], "channels"),
        ("vae-decode", vec![("latent", random("x", &[1, 3, 8, 8]))], "channels"),
    ] {
        let output = forward(folder.path(), part, &inputs);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{part} {expected}: {message}");
        assert!(message.contains(expected) && message.contains("in.safetensors") && !message.contains("panicked"), "{expected}: {message}");
        assert!(!folder.path().join("out.safetensors").exists());
    }
}

#[test]
fn info_describes_a_model() {
    let folder = setup();
    let output = anodiff(&["info", "--model", "model", "--json"], folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let model = &report["model"];
    assert_eq!((&model["resolution"], &model["prediction"], &model["context_width"]), (&16.into(), &"v".into(), &16.into()));
    assert_eq!(model["hash"].as_str().unwrap().len(), 64);
    assert!(anodiff(&["info"], folder.path()).status.success());
    assert_eq!(anodiff(&["info", "--model", "nothing"], folder.path()).status.code(), Some(2));
}

//! Against diffusers' own numbers (`tests/fixtures/scripts/unet_vae.py`), and what is refused.

use super::*;
use crate::ops;
use crate::tensor::Tensor;
use crate::testing::{Fixture, assert_close};

/// The issue's limits: ||ours - reference|| / ||reference||.
const OUTPUT: f64 = 2e-5;
const GRADIENT: f64 = 1e-4;

fn check(name: &str, gradients_expected: usize) {
    let fixture = Fixture::load(&format!("unet_vae/{name}"));
    let config = VaeConfig::from_json(fixture.metadata("config"), name).unwrap();
    let root = Path::root(&fixture);
    let vae = AutoencoderKl::new(&root, &config).unwrap();
    let image = |name: &str| fixture.get(name).nchw_to_nhwc().unwrap();
    root.parameters().set_trainable(true);
    let posterior = vae.encode(&Var::constant(image("image"))).unwrap();
    assert_close(&posterior.mean, &image("mean"), OUTPUT);
    assert_close(&posterior.log_variance, &image("logvar"), OUTPUT);
    let latent = posterior.sample(&image("noise")).unwrap();
    assert_close(&latent, &image("latent"), OUTPUT);
    let decoded = vae.decode(&latent).unwrap();
    assert_close(&decoded, &image("decoded"), OUTPUT);
    // Powers of two round nothing.
    let quarter = ops::affine(&latent, 0.25, 0.0).unwrap();
    assert_eq!(vae.decode_scaled(&quarter, 4.0).unwrap().to_f32_vec().unwrap(), decoded.to_f32_vec().unwrap());
    let gradients = ops::mse(&decoded, &image("image")).unwrap().backward().unwrap();
    let mut compared = 0;
    for parameter in root.parameters().iter() {
        let gradient = gradients.by_id(parameter.id()).unwrap_or_else(|| panic!("no gradient of {}", parameter.name()));
        let Some(expected) = fixture.find(&format!("gradient.{}", parameter.name())) else { continue };
        let gradient = crate::nn::Parameter::new(String::new(), gradient.clone(), parameter.layout()).checkpoint_value().unwrap();
        assert_close(&gradient, &expected, GRADIENT);
        compared += 1;
    }
    assert_eq!(compared, gradients_expected);
}

#[test]
fn as_diffusers_with_two_levels() {
    check("vae_two", 8);
}

#[test]
fn as_diffusers_with_four_levels_and_no_quantisation_layers() {
    check("vae_four", 0);
}

#[test]
fn other_autoencoders_are_refused_by_name() {
    let good = serde_json::json!({"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "scaling_factor": 0.18215});
    let config = VaeConfig::from_json(&good.to_string(), "x").unwrap();
    assert_eq!((config.downscale(), config.latent_channels), (8, 4));
    for (field, value, expected) in [
        ("shift_factor", serde_json::json!(0.1159), "FLUX"),
        ("_class_name", serde_json::json!("AutoencoderTiny"), "AutoencoderTiny"),
        ("down_block_types", serde_json::json!(["DownEncoderBlock2D"]), "down_block_types"),
        ("block_out_channels", serde_json::json!([100]), "norm_num_groups = 32"),
        ("scaling_factor", serde_json::json!(-1), "scaling_factor is -1"),
        ("layers_per_block", serde_json::json!("two"), "invalid type"),
    ] {
        let mut config = good.clone();
        config[field] = value;
        let error = VaeConfig::from_json(&config.to_string(), "vae/config.json").unwrap_err();
        assert_eq!(crate::error::exit_code(&error), 2);
        assert!(error.to_string().starts_with("vae/config.json") && error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn wrong_inputs_are_refused() {
    let config = r#"{"block_out_channels": [4, 4], "norm_num_groups": 2}"#;
    let config = VaeConfig::from_json(config, "config.json").unwrap();
    let vae = AutoencoderKl::new(&Path::root(&crate::nn::RandomInit { seed: 1 }), &config).unwrap();
    let encode = |shape: &[usize]| vae.encode(&Tensor::zeros(shape).into()).map(|posterior| posterior.mean.shape().to_vec());
    assert_eq!(encode(&[1, 6, 5, 3]).unwrap(), [1, 3, 2, 4]);
    assert!(encode(&[1, 6, 1, 3]).unwrap_err().to_string().contains("6x1"));
    assert!(encode(&[1, 6, 4, 1]).unwrap_err().to_string().contains("1 channels"));
    assert!(vae.decode(&Tensor::zeros(&[1, 2, 2, 3]).into()).unwrap_err().to_string().contains("3 channels"));
}

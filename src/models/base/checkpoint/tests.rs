use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use super::*;
use crate::autograd::Var;
use crate::error::exit_code;
use crate::models::base::BaseModel;
use crate::nn::Placement;
use crate::tensor::{DType, Tensor};
use crate::testing::random;
use crate::weights;

/// `tests/fixtures/scripts/single_file.py`: names by the original program's classes, their counterparts by diffusers' conversion.
#[derive(Deserialize)]
struct Fixture {
    sd1: Vec<Listed>,
    sd2: Vec<Listed>,
    texts: Vec<Text>,
    vocabulary: usize,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    shape: Vec<usize>,
    /// (network, name in its diffusers folder) of each equal part of the rows.
    parts: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<i32>,
}

fn fixture() -> Fixture {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/single_file.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// CLIP's token table is the one size that the fixture's small text encoder does not share with the embedded tokenizer.
const TOKENS: usize = 49_408;

/// The checkpoint's tensors, random, with a whole token table.
fn tensors(listed: &[Listed]) -> Vec<(String, Tensor)> {
    let value = |Listed { name, shape, .. }: &Listed| {
        let shape = if name.ends_with("token_embedding.weight") { vec![TOKENS, shape[1]] } else { shape.clone() };
        // Small, so that no number grows on its way through the networks.
        let values = random(name, &shape).f32s().unwrap().iter().map(|value| 0.1 * value).collect::<Vec<_>>();
        (name.clone(), Tensor::from_f32(values, &shape).unwrap().to_dtype(DType::F16).unwrap())
    };
    listed.iter().map(value).collect()
}

struct Case {
    folder: tempfile::TempDir,
    file: PathBuf,
}

fn saved(tensors: &[(String, Tensor)], yaml: Option<&str>) -> Case {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.v2.safetensors");
    weights::save(&file, tensors, &BTreeMap::new()).unwrap();
    if let Some(yaml) = yaml {
        fs::write(folder.path().join("model.v2.yaml"), yaml).unwrap();
    }
    Case { folder, file }
}

fn refusal(tensors: &[(String, Tensor)], yaml: Option<&str>) -> String {
    let case = saved(tensors, yaml);
    let error = BaseModel::load(Some(&case.file), Placement::HOST).unwrap_err();
    assert_eq!(exit_code(&error), 2, "{error:#}");
    let text = format!("{error:#}");
    assert!(text.contains("model.v2"), "{text}");
    text
}

const VELOCITY: &str = "model:\n  params:\n    parameterization: \"v\"  # the velocity\n";

#[test]
fn every_tensor_has_the_name_that_diffusers_gives_it() {
    let Fixture { sd1, sd2, .. } = fixture();
    for (listed, yaml) in [(&sd1, None), (&sd2, Some(VELOCITY))] {
        let tensors = tensors(listed);
        let case = saved(&tensors, yaml);
        let checkpoint = Checkpoint::new(&case.file, Archive::open(&case.file).unwrap()).unwrap();
        let archives: BTreeMap<&str, Archive> = ["unet", "vae", "text_encoder"].map(|part| (part, checkpoint.part(part).unwrap().1)).into();
        let mut seen = 0;
        for (Listed { parts, name, .. }, (_, tensor)) in listed.iter().zip(&tensors) {
            let whole = tensor.bytes().unwrap();
            for ((part, renamed), bytes) in parts.iter().zip(whole.chunks(whole.len() / parts.len().max(1))) {
                let found = archives[part.as_str()].tensor(renamed).unwrap_or_else(|error| panic!("{name}: {error:#}"));
                assert!(found.to_dtype(DType::F16).unwrap().bytes().unwrap() == bytes, "{name} is not {renamed}");
                seen += 1;
            }
        }
        let all: usize = archives.values().map(|archive| archive.names().count()).sum();
        assert_eq!(seen, all, "every tensor of the networks was compared");
    }
}

#[test]
fn a_checkpoint_loads_and_its_folder_is_the_same_model() {
    let Fixture { sd1, sd2, .. } = fixture();
    for (listed, yaml, prediction, pad) in [(sd1, None, "epsilon", TOKENS as i32 - 1), (sd2, Some(VELOCITY), "v_prediction", 0)] {
        let case = saved(&tensors(&listed), yaml);
        let model = BaseModel::load(Some(&case.file), Placement::HOST).unwrap();
        assert!(model.scheduler_config.text.contains(prediction));
        assert_eq!((model.tokenizer.pad_id(), model.tokenizer.length()), (pad, 77));
        assert_eq!(model.text_encoder.config().num_hidden_layers, 2);
        let output = |model: &BaseModel| {
            let ids = model.tokenizer.encode("a photo of a cracked plate").unwrap();
            let context = model.text_encoder.forward(&Tensor::from_i32(ids, &[1, 77]).unwrap()).unwrap();
            let latent = model.vae.encode(&Var::constant(random("image", &[1, 32, 32, 3]))).unwrap().mode();
            model.unet.forward(&latent, &Tensor::from_i32(vec![7], &[1]).unwrap(), &context, None).unwrap().to_f32_vec().unwrap()
        };
        let folder = case.folder.path().join("folder");
        model.save(&folder, DType::F16).unwrap();
        let again = BaseModel::load(Some(&folder), Placement::HOST).unwrap();
        assert_eq!(output(&again), output(&model));
        assert!(output(&model).iter().any(|value| *value != 0.0));
        // A folder that holds nothing but the checkpoint is the checkpoint.
        assert_eq!(BaseModel::load(Some(case.folder.path()), Placement::HOST).unwrap().hash, model.hash);
    }
}

#[test]
fn the_embedded_vocabulary_is_clips() {
    let Fixture { texts, vocabulary, .. } = fixture();
    let tokenizer = ClipTokenizer::clip("<|endoftext|>").unwrap();
    assert_eq!(tokenizer.vocabulary_size(), vocabulary);
    for Text { text, ids } in texts {
        assert_eq!(tokenizer.encode_bare(&text).unwrap(), ids, "{text:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let Fixture { sd1, sd2, .. } = fixture();
    let (one, two) = (tensors(&sd1), tensors(&sd2));
    let text = refusal(&two, None);
    assert!(text.contains("velocity") && text.contains("v2-inference-v.yaml") && text.contains("model.v2.yaml"), "{text}");
    let text = refusal(&two, Some("parameterization: x0\n"));
    assert!(text.contains("parameterization is x0, expected eps or v"), "{text}");
    let without = |tensors: &[(String, Tensor)], part: &str| tensors.iter().filter(|(name, _)| !name.contains(part)).cloned().collect::<Vec<_>>();
    let text = refusal(&without(&one, "cond_stage_model"), None);
    assert!(text.contains("no text encoder of Stable Diffusion"), "{text}");
    let text = refusal(&without(&one, "middle_block.0.in_layers.2.weight"), None);
    assert!(text.contains("mid_block.resnets.0.conv1.weight"), "{text}");
    let text = refusal(&without(&one, "first_stage_model.encoder.conv_in"), None);
    assert!(text.contains("encoder.conv_in.weight is missing"), "{text}");
    let mut extra = one.clone();
    extra.push(("model.diffusion_model.input_blocks.0.9.strange".into(), random("x", &[2])));
    let text = refusal(&extra, None);
    assert!(text.contains("input_blocks.0.9.strange"), "{text}");
    let mut uneven = two;
    let joint = uneven.iter_mut().find(|(name, _)| name.ends_with("attn.in_proj_bias")).unwrap();
    joint.1 = random("x", &[64]);
    let text = refusal(&uneven, Some(VELOCITY));
    assert!(text.contains("in 3 equal parts, found shape [64]"), "{text}");
}

#[test]
fn averages_and_tables_beside_the_networks_are_left_alone() {
    let mut tensors = tensors(&fixture().sd1);
    for name in ["model_ema.decay", "alphas_cumprod", "model_ema.diffusion_modelinput_blocks00weight"] {
        tensors.push((name.into(), random(name, &[3])));
    }
    let case = saved(&tensors, None);
    BaseModel::load(Some(&case.file), Placement::HOST).unwrap();
}

use super::*;
use crate::error::exit_code;
use crate::nn::RandomInit;
use crate::testing::{Fixture, assert_close, random};

fn model(name: &str) -> (Fixture, ClipTextModel, crate::nn::ParameterSet) {
    let fixture = Fixture::load(name);
    let config = ClipTextConfig::from_json(fixture.metadata("config"), "fixture").unwrap();
    let path = Path::root(&fixture);
    let model = ClipTextModel::new(&path, &config).unwrap();
    let parameters = path.parameters();
    (fixture, model, parameters)
}

#[test]
fn equals_transformers() {
    for name in ["clip_quick_gelu", "clip_gelu"] {
        let (fixture, model, _) = model(name);
        assert_close(&model.forward(&fixture.get("ids")).unwrap(), &fixture.get("output"), 2e-5);
    }
}

#[test]
fn a_short_sequence_equals_transformers() {
    for name in ["clip_quick_gelu", "clip_gelu"] {
        let (fixture, model, _) = model(name);
        let (ids, short) = (fixture.get("ids"), fixture.get("short"));
        let [batch, length, _] = short.dims().unwrap();
        let ids: Vec<i32> = ids.i32s().unwrap().chunks(ids.dim(1)).flat_map(|row| row[..length].to_vec()).collect();
        assert_close(&model.forward(&Tensor::from_i32(ids, &[batch, length]).unwrap()).unwrap(), &short, 2e-5);
    }
}

#[test]
fn gradients_of_the_table_equal_transformers() {
    for name in ["clip_quick_gelu", "clip_gelu"] {
        let (fixture, model, parameters) = model(name);
        parameters.set_trainable(true);
        let gradients = model.forward(&fixture.get("ids")).unwrap().backward_from(fixture.get("loss_weights")).unwrap();
        let found = gradients.by_id(model.token_embedding().weight().id()).unwrap();
        assert_close(found, &fixture.get("table_gradient"), 1e-4);
        assert!(parameters.iter().all(|parameter| gradients.by_id(parameter.id()).is_some()), "every parameter gets a gradient");
    }
}

#[test]
fn gradients_flow_to_given_embeddings_of_a_frozen_model() {
    let (_, model, _) = model("clip_gelu");
    let embeddings = Var::leaf(random("embeddings", &[2, 5, 40]));
    let output = model.forward_embeddings(&embeddings).unwrap();
    // Row 1 depends on rows 0 and 1 only: the mask is causal.
    let mut weights = Tensor::zeros(output.shape());
    weights.f32s_mut().unwrap()[40..80].copy_from_slice(&random("weights", &[40]).to_f32_vec().unwrap());
    let gradients = output.backward_from(weights).unwrap();
    let found = gradients.get(&embeddings).unwrap().to_f32_vec().unwrap();
    let moves = |row: usize| found[row * 40..(row + 1) * 40].iter().any(|value| *value != 0.0);
    assert_eq!([0, 1, 2, 4, 5].map(moves), [true, true, false, false, false]);
}

#[test]
fn a_row_of_a_batch_is_the_row_alone() {
    let (fixture, model, _) = model("clip_gelu");
    let ids = fixture.get("ids");
    let both = model.forward(&ids).unwrap().to_f32_vec().unwrap();
    let second = Tensor::from_i32(ids.i32s().unwrap()[19..].to_vec(), &[1, 19]).unwrap();
    assert_eq!(model.forward(&second).unwrap().to_f32_vec().unwrap(), both[19 * 40..]);
}

#[test]
fn too_long_and_unknown_tokens_are_refused() {
    let source = RandomInit { seed: 1 };
    let config = ClipTextConfig {
        vocab_size: 10,
        hidden_size: 8,
        intermediate_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        max_position_embeddings: 4,
        ..ClipTextConfig::default()
    };
    let model = ClipTextModel::new(&Path::root(&source), &config).unwrap();
    assert!(model.forward(&Tensor::from_i32(vec![0; 5], &[1, 5]).unwrap()).unwrap_err().to_string().contains("at most 4 tokens, found 5"));
    assert!(model.forward(&Tensor::from_i32(vec![10], &[1, 1]).unwrap()).is_err());
    assert!(model.forward_embeddings(&Var::constant(Tensor::zeros(&[1, 2, 7]))).is_err());
}

#[test]
fn configs_that_do_not_fit_are_refused() {
    for (text, expected) in [
        ("{", "not a usable model config"),
        (r#"{"model_type": "t5"}"#, "T5 belongs to SD 3"),
        (r#"{"hidden_size": 0}"#, "hidden_size is 0"),
        (r#"{"hidden_size": 1000000000}"#, "hidden_size is 1000000000"),
        (r#"{"hidden_size": -3}"#, "invalid value"),
        (r#"{"hidden_size": 512, "num_attention_heads": 7}"#, "num_attention_heads = 7 does not divide"),
        (r#"{"num_attention_heads": 0}"#, "num_attention_heads is 0"),
        (r#"{"num_hidden_layers": 5000}"#, "expected at most 1000"),
        (r#"{"layer_norm_eps": 0}"#, "layer_norm_eps is 0"),
        (r#"{"hidden_act": "relu"}"#, "unknown variant `relu`, expected `quick_gelu` or `gelu`"),
    ] {
        let error = ClipTextConfig::from_json(text, "text_encoder/config.json").unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains(expected) && error.to_string().contains("text_encoder/config.json"), "{text}: {error}");
    }
    assert_eq!(ClipTextConfig::from_json("{}", "x").unwrap(), ClipTextConfig::default());
}

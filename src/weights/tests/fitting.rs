use super::bytes;
use crate::error::exit_code;
use crate::nn::{Conv2d, Init, Linear, ParameterSource, Path};
use crate::ops::Conv2dOptions;
use crate::tensor::Tensor;
use crate::testing::random;
use crate::weights::Archive;

#[test]
fn a_fitting_file_loads() {
    let weight = random("weight", &[3, 2, 1, 1]);
    let archive = Archive::from_bytes("test", bytes(&[("conv.weight", weight.clone()), ("conv.bias", random("bias", &[3]))])).unwrap();
    let path = Path::root(&archive);
    Conv2d::new(&path.child("conv"), 2, 3, 1, Conv2dOptions::new(1, 0)).unwrap();
    archive.finish().unwrap();
    let parameters = path.parameters();
    let loaded = parameters.iter().find(|parameter| parameter.name() == "conv.weight").unwrap();
    assert_eq!(loaded.checkpoint_value().unwrap().to_f32_vec().unwrap(), weight.to_f32_vec().unwrap());
}

#[test]
fn old_names_and_one_by_one_convolutions_are_accepted() {
    let archive = Archive::from_bytes(
        "test",
        bytes(&[
            ("attentions.0.query.weight", random("w", &[4, 4, 1, 1])),
            ("attentions.0.query.bias", random("b", &[4])),
            ("text_model.embeddings.position_ids", Tensor::from_i32(vec![0, 1], &[1, 2]).unwrap()),
        ]),
    )
    .unwrap();
    let path = Path::root(&archive);
    Linear::new(&path.child("attentions.0.to_q"), 4, 4).unwrap();
    archive.finish().unwrap();
}

#[test]
fn every_fault_is_in_one_message() {
    let archive = Archive::from_bytes(
        "weights.safetensors",
        bytes(&[
            ("mid.atention.weight", random("a", &[2, 2])),
            ("out.weight", random("b", &[3, 2])),
            ("ids", Tensor::from_i32(vec![0], &[1]).unwrap()),
            ("stray", random("c", &[1])),
        ]),
    )
    .unwrap();
    for (name, shape) in [("mid.attention.weight", &[2, 2][..]), ("out.weight", &[2, 3]), ("ids", &[1])] {
        assert_eq!(archive.fetch(name, shape, Init::Zeros).unwrap().shape(), shape, "a placeholder of the shape asked for");
    }
    let error = archive.finish().unwrap_err();
    assert_eq!(exit_code(&error), 2);
    let text = error.to_string();
    for part in [
        "weights.safetensors does not fit",
        "1 missing, 2 left over, 2 of another shape or type",
        "missing: mid.attention.weight [2, 2], perhaps called mid.atention.weight",
        "left over: stray",
        "other shape: out.weight expected [2, 3], found [3, 2]",
        "other shape: ids expected [1], found [1] of I32",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn an_absurd_model_is_not_allocated() {
    let archive = Archive::from_bytes("small.safetensors", bytes(&[("x", Tensor::scalar(1.0))])).unwrap();
    let error = archive.fetch("x", &[1 << 30, 1 << 30, 1 << 30], Init::Zeros).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("much larger than these weights"), "{error}");
    let error = archive.tensor("y").unwrap_err().to_string();
    assert!(error.contains("expected a tensor called y, found x"), "{error}");
}

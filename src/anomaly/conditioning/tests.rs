use super::*;
use crate::models::base::BaseModel;
use crate::nn::Placement;
use crate::testing::{miniature, random};

const ROWS: usize = 5;

fn base() -> BaseModel {
    let folder = tempfile::tempdir().unwrap();
    miniature::model(folder.path(), 1);
    BaseModel::load(Some(folder.path()), Placement::HOST).unwrap()
}

fn conditioner<'a>(base: &'a BaseModel, sentences: &[&str], mode: ConditioningMode) -> Result<Conditioner<'a>> {
    let templates = Templates::new(sentences.iter().map(|text| (*text).to_owned()).collect(), "test")?;
    Conditioner::new(&base.text_encoder, &base.tokenizer, &templates, mode, ROWS)
}

fn samples(anomalies: &[Var]) -> Vec<Sample> {
    anomalies.iter().enumerate().map(|(template, anomaly)| Sample { template, anomaly: anomaly.clone() }).collect()
}

#[test]
fn rows_of_words_give_the_text_that_has_them() {
    // "abc" is three tokens; put their embeddings in place of the placeholder and compare with the plain text.
    let base = base();
    let conditioner =
        Conditioner::new(&base.text_encoder, &base.tokenizer, &Templates::new(vec!["on {} top".into()], "test").unwrap(), ConditioningMode::Text, 3)
            .unwrap();
    let ids = base.tokenizer.encode_bare("abc").unwrap();
    assert_eq!(ids.len(), 3);
    let rows = base.text_encoder.token_embedding().forward(&Tensor::from_i32(ids, &[3]).unwrap()).unwrap();
    let width = rows.dim(1);
    let (anomaly, spatial) = (ops::narrow(&rows, 0, 0, 1).unwrap(), ops::narrow(&rows, 0, 1, 2).unwrap());
    let spatial = ops::reshape(&spatial, &[1, 2, width]).unwrap();
    let context = conditioner.context(&samples(&[anomaly]), &spatial).unwrap();
    let plain = conditioner.plain("on abc top", 1).unwrap();
    assert_eq!(context.tokens.to_f32_vec().unwrap(), plain.to_f32_vec().unwrap());
    assert_eq!(context.tokens.shape(), [1, base.tokenizer.length(), width]);
}

#[test]
fn columns_are_those_of_the_learned_rows() {
    let base = base();
    let conditioner = conditioner(&base, &["{}", "ab {} c"], ConditioningMode::Text).unwrap();
    let anomalies = [random("a", &[2, 24]), random("b", &[2, 24])].map(Var::constant);
    let context = conditioner.context(&samples(&anomalies), &Var::constant(random("s", &[2, 3, 24]))).unwrap();
    let marked = |which: Columns, sample: usize| -> Vec<usize> {
        let columns = context.columns(which).unwrap();
        let length = columns.dim(1);
        let row = columns.to_f32_vec().unwrap()[sample * length..(sample + 1) * length].to_vec();
        (0..length).filter(|&column| row[column] == 1.0).collect()
    };
    assert_eq!(marked(Columns::Learned, 0), [1, 2, 3, 4, 5]);
    assert_eq!(marked(Columns::Learned, 1), [3, 4, 5, 6, 7]);
    assert_eq!(marked(Columns::LearnedAndFirst, 1), [0, 3, 4, 5, 6, 7]);
    assert_eq!(marked(Columns::All, 0).len(), base.tokenizer.length());
}

#[test]
fn gradients_reach_both_embeddings() {
    let base = base();
    let conditioner = conditioner(&base, &["a {}"], ConditioningMode::Text).unwrap();
    let inputs = [random("a", &[2, 24]), random("s", &[1, 3, 24])];
    crate::testing::assert_gradients(&inputs, 1e-2, 2e-2, |inputs| {
        Ok(conditioner.context(&[Sample { template: 0, anomaly: inputs[0].clone() }], &inputs[1])?.tokens)
    });
}

#[test]
fn direct_mode_is_the_rows_themselves() {
    let base = base();
    let conditioner = conditioner(&base, &["a {}"], ConditioningMode::Direct).unwrap();
    let (anomaly, spatial) = (random("a", &[2, 24]), random("s", &[1, 3, 24]));
    let context = conditioner.context(&samples(&[Var::constant(anomaly.clone())]), &Var::constant(spatial.clone())).unwrap();
    assert_eq!(context.tokens.shape(), [1, ROWS, 24]);
    let expected = [anomaly.to_f32_vec().unwrap(), spatial.to_f32_vec().unwrap()].concat();
    assert_eq!(context.tokens.to_f32_vec().unwrap(), expected);
    assert_eq!(context.columns(Columns::Learned).unwrap().to_f32_vec().unwrap(), [1.0; ROWS]);
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let base = base();
    let conditioner = conditioner(&base, &["a {}", "the {} there", "{}"], ConditioningMode::Text).unwrap();
    let anomalies = ["a", "b", "c"].map(|name| Var::constant(random(name, &[2, 24])));
    let spatial = random("s", &[3, 3, 24]);
    let all = conditioner.context(&samples(&anomalies), &Var::constant(spatial.clone())).unwrap().tokens.to_f32_vec().unwrap();
    let last = Tensor::from_f32(spatial.to_f32_vec().unwrap()[2 * 72..].to_vec(), &[1, 3, 24]).unwrap();
    let sample = Sample { template: 2, anomaly: anomalies[2].clone() };
    let alone = conditioner.context(&[sample], &Var::constant(last)).unwrap().tokens.to_f32_vec().unwrap();
    assert_eq!(all[2 * alone.len()..], alone[..]);
}

#[test]
fn a_template_without_room_is_refused() {
    let base = base();
    let long = format!("{} {{}}", "x ".repeat(base.tokenizer.length()));
    let error = conditioner(&base, &[&long], ConditioningMode::Text).err().expect("no room");
    assert_eq!(crate::error::exit_code(&error), 2);
    assert!(error.to_string().contains("tokens before the placeholder"), "{error}");
}

#[test]
fn initial_rows_are_the_words_embedding() {
    let base = base();
    let rows = word_rows(&base.text_encoder, &base.tokenizer, "a", 3).unwrap();
    let id = base.tokenizer.encode_bare("a").unwrap();
    let expected = base.text_encoder.token_embedding().forward(&Tensor::from_i32(id, &[1]).unwrap()).unwrap().to_f32_vec().unwrap();
    assert_eq!(rows.to_f32_vec().unwrap(), expected.repeat(3));
    assert!(embedding_scale(&base.text_encoder).unwrap() > 0.0);
}

use super::*;
use crate::anomaly::presets::PresetName;
use crate::error::exit_code;
use crate::models::resnet::{ResNetClassifier, ResNetConfig};
use crate::testing::{Scattered, miniature};

fn base(folder: &FilePath, seed: u64) -> BaseModel {
    miniature::model(folder, seed);
    BaseModel::load(Some(folder), Placement::HOST).unwrap()
}

fn kinds() -> Vec<Kind> {
    vec![Kind::new("plate", "dot"), Kind::new("plate", "line.long")]
}

fn create(base: &BaseModel, name: PresetName) -> Learned {
    let preset = Preset::new(name);
    let templates = Templates::built_in(preset.templates);
    Learned::create(base, preset, templates, kinds(), 32, 3).unwrap()
}

#[test]
fn a_file_gives_back_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(&folder.path().join("model"), 1);
    let path = folder.path().join("learned.safetensors");
    for name in [PresetName::Default, PresetName::Paper, PresetName::Official] {
        let mut learned = create(&base, name);
        learned.metadata.steps = 12;
        learned.anomaly(1).update(|values| values[3] = 0.25).unwrap();
        learned.save(&path).unwrap();
        let loaded = Learned::load(&path, &base).unwrap();
        assert_eq!(loaded.metadata, learned.metadata);
        let bytes = |learned: &Learned| -> Vec<(String, Vec<u8>)> {
            learned.tensors().unwrap().into_iter().map(|(name, tensor)| (name, tensor.bytes().unwrap().into_owned())).collect()
        };
        assert_eq!(bytes(&loaded), bytes(&learned));
        assert!(bytes(&loaded).iter().any(|(name, _)| name == "anomaly.plate+line.long"));
        assert!(bytes(&loaded).iter().any(|(name, _)| name.starts_with("spatial.")));
        assert_eq!(bytes(&loaded).iter().any(|(name, _)| name == "look.plate+dot"), name == PresetName::Default);
    }
}

#[test]
fn embeddings_start_from_the_word() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(folder.path(), 1);
    for (preset, words) in [(PresetName::Default, ["dot", "line.long"]), (PresetName::Official, ["anomaly", "anomaly"])] {
        let learned = create(&base, preset);
        for (kind, word) in words.into_iter().enumerate() {
            let rows = word_rows(&base.text_encoder, &base.tokenizer, word, 4).unwrap();
            assert_eq!(learned.anomaly(kind).value().to_f32_vec().unwrap(), rows.to_f32_vec().unwrap());
        }
    }
}

#[test]
fn a_mixture_of_looks_is_added_to_the_embedding() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(folder.path(), 1);
    let learned = create(&base, PresetName::Default);
    let plain = learned.anomaly(1).value().to_f32_vec().unwrap();
    let mixed = |learned: &Learned, mixture: &[LookShare]| learned.looking_like(1, mixture).unwrap().to_f32_vec().unwrap();
    let mixture = [LookShare { pair: 2, share: 1.25 }, LookShare { pair: 17, share: -0.25 }];
    assert_eq!(mixed(&learned, &mixture), plain, "looks start from nothing");
    let rows = plain.len();
    learned.looks[1].update(|values| values.iter_mut().enumerate().for_each(|(index, value)| *value = (index / rows) as f32)).unwrap();
    // Of 16 looks, pair 17 has the second.
    let expected: Vec<f32> = plain.iter().map(|x| x + 1.25 * 2.0 - 0.25).collect();
    assert!(mixed(&learned, &mixture).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    let official = create(&base, PresetName::Official);
    assert_eq!(mixed(&official, &mixture), official.anomaly(1).value().to_f32_vec().unwrap());
}

#[test]
fn mixtures_vary_as_much_as_the_pairs() {
    let mut sampler = Sampler::new(0, "looks", &[]);
    assert_eq!(LookShare::draw(0, &mut sampler), []);
    let (mut sums, mut squares) = (0.0, 0.0);
    for _ in 0..4000 {
        let mixture = LookShare::draw(1000, &mut sampler);
        assert!(mixture.iter().all(|look| look.pair < 1000 && (-0.25..=1.25).contains(&look.share)));
        sums += mixture.iter().map(|look| look.share).sum::<f32>() / 4000.0;
        squares += mixture.iter().map(|look| look.share.powi(2)).sum::<f32>() / 4000.0;
    }
    assert!((sums - 1.0).abs() < 1e-4, "{sums}");
    assert!((squares - 0.875).abs() < 0.03, "the variance of a mixture over that of the pairs: {squares}");
}

#[test]
fn another_base_model_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = base(&folder.path().join("first"), 1);
    let second = base(&folder.path().join("second"), 2);
    let path = folder.path().join("learned.safetensors");
    create(&first, PresetName::Default).save(&path).unwrap();
    let error = Learned::load(&path, &second).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    let text = error.to_string();
    assert!(text.contains(&first.hash) && text.contains(&second.hash) && text.contains("learned.safetensors"), "{text}");
    let error = Learned::load(&folder.path().join("first/unet/diffusion_pytorch_model.safetensors"), &first).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("not a learned file"), "{error}");
}

#[test]
fn an_unknown_type_is_named_with_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(folder.path(), 1);
    let learned = create(&base, PresetName::Default);
    assert_eq!(learned.position(&Kind::new("plate", "dot")).unwrap(), 0);
    let error = learned.position(&Kind::new("plate", "dots")).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    let text = error.to_string();
    assert!(text.contains("did you mean plate+dot") && text.contains("plate+line.long"), "{text}");
}

#[test]
fn metadata_of_another_format_is_refused_by_name() {
    let error = Metadata::parse(r#"{"format": 99}"#, "old.safetensors").unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("format 99"), "{error}");
    for text in ["", "{}", "[1]", r#"{"format": 1}"#, r#"{"format": 1, "version": 3}"#] {
        assert_eq!(exit_code(&Metadata::parse(text, "x").unwrap_err()), 2, "{text}");
    }
}

#[test]
fn the_encoder_starts_from_imagenet_weights_that_fit() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(&folder.path().join("model"), 1);
    let learned = create(&base, PresetName::Default);
    let SpatialEncoderConfig::ResnetFpn(config) = &learned.metadata.encoder else { panic!("{:?}", learned.metadata.encoder) };
    let write = |name: &str, config: &ResNetConfig| {
        let root = Path::root(&Scattered);
        ResNetClassifier::new(&root, config, 3).unwrap();
        weights::save(&folder.path().join(name), &root.parameters().tensors().unwrap(), &BTreeMap::new()).unwrap();
        folder.path().join(name)
    };
    let fits = write("fits.safetensors", &config.backbone);
    let before = learned.tensors().unwrap();
    learned.start_encoder_from(&fits).unwrap();
    let file = Archive::open(&fits).unwrap();
    for ((name, before), (_, after)) in before.iter().zip(learned.tensors().unwrap()) {
        let [before, after] = [before, &after].map(|tensor| tensor.to_f32_vec().unwrap());
        match name.strip_prefix("spatial.").filter(|name| file.contains(name)) {
            Some("conv1.weight" | "bn1.running_mean") => assert_ne!(after, before, "{name}"),
            Some(published) => assert_eq!(after, file.tensor(published).unwrap().to_f32_vec().unwrap(), "{name}"),
            None => assert_eq!(after, before, "{name}: not part of the file"),
        }
    }
    let error = learned.start_encoder_from(&write("wide.safetensors", &ResNetConfig::resnet34())).unwrap_err();
    assert!(exit_code(&error) == 2 && format!("{error:#}").contains("wide.safetensors"), "{error:#}");
    let error = create(&base, PresetName::Official).start_encoder_from(&fits).unwrap_err();
    assert!(exit_code(&error) == 2 && format!("{error:#}").contains("--preset"), "{error:#}");
}

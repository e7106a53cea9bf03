use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::autograd::Var;
use crate::error::exit_code;
use crate::models::tokenizer;
use crate::nn::Placement;
use crate::tensor::Tensor;
use crate::tensor::random::Sampler;
use crate::testing::random;
use crate::weights::{self, EmbeddedFile, Folder};

const TEXT: &str = r#"{"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "vocab_size": 540, "hidden_size": 16, "intermediate_size": 32,
    "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 24, "hidden_act": "quick_gelu"}"#;
const UNET: &str = r#"{"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "block_out_channels": [16, 32],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "layers_per_block": 1,
    "attention_head_dim": 2, "cross_attention_dim": 16, "norm_num_groups": 8, "sample_size": 8}"#;
const VAE: &str = r#"{"_class_name": "AutoencoderKL", "block_out_channels": [8, 16], "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 4,
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"], "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"]}"#;
const SCHEDULER: &str = r#"{"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}"#;
const CONFIGS: Configs = Configs { text_encoder: TEXT, unet: UNET, vae: VAE, scheduler: SCHEDULER };

fn model() -> BaseModel {
    let (vocab, merges) = tokenizer::train(["a photo of a plate"]).unwrap();
    BaseModel::random(&CONFIGS, ClipTokenizer::from_vocabulary(&vocab, &merges, 20).unwrap(), 5).unwrap()
}

/// The model in a folder of its own.
fn saved() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    model().save(folder.path(), DType::F32).unwrap();
    folder
}

/// One number that depends on every network.
fn output(model: &BaseModel) -> Vec<f32> {
    let ids = model.tokenizer.encode("a photo of a plate").unwrap();
    let context = model.text_encoder.forward(&Tensor::from_i32(ids, &[1, 20]).unwrap()).unwrap();
    let latent = model.vae.encode(&Var::constant(random("image", &[1, 16, 16, 3]))).unwrap().mode();
    model.unet.forward(&latent, &Tensor::from_i32(vec![7], &[1]).unwrap(), &context, None).unwrap().to_f32_vec().unwrap()
}

#[track_caller]
fn refusal(folder: &FilePath) -> String {
    let error = BaseModel::load(Some(folder), Placement::HOST).unwrap_err();
    assert_eq!(exit_code(&error), 2, "{error:#}");
    format!("{error:#}")
}

#[test]
fn a_saved_model_loads_as_it_was() {
    let (model, folder) = (model(), saved());
    let again = BaseModel::load(Some(folder.path()), Placement::HOST).unwrap();
    assert_eq!(output(&again), output(&model));
    assert_eq!((&again.hash, again.parameter_count()), (&model.hash, model.parameter_count()));
    assert_eq!((again.resolution(), again.details.unet.stored.as_deref()), (16, Some("F32")));
    assert_eq!(again.scheduler_config.text, SCHEDULER);
    let half = tempfile::tempdir().unwrap();
    model.save(half.path(), DType::F16).unwrap();
    let half = BaseModel::load(Some(half.path()), Placement::HOST).unwrap();
    assert_ne!(half.hash, model.hash);
    assert!(crate::testing::relative_error(&output(&half), &output(&model)) < 1e-2);
}

#[test]
fn an_embedded_model_loads_like_a_folder() {
    let folder = saved();
    let read = |name: &str| -> EmbeddedFile { (name.to_owned().leak(), fs::read(folder.path().join(name)).unwrap().leak()) };
    let files: &'static [EmbeddedFile] = vec![read("unet/config.json"), read("unet/diffusion_pytorch_model.safetensors")].leak();
    let (unet, part) = parts::unet(&Source::Folder(Folder::embedded(files)), Placement::HOST).unwrap();
    assert_eq!((unet.config(), part.parameters.elements()), (model().unet.config(), model().details.unet.parameters.elements()));
    let error = parts::vae(&Source::Folder(Folder::embedded(files)), Placement::HOST).unwrap_err().to_string();
    assert!(error.contains("the embedded model has no vae folder"), "{error}");
    if !BaseModel::is_embedded() {
        assert!(BaseModel::load(None, Placement::HOST).unwrap_err().to_string().contains("the embedded base model is not part of this build"));
    }
}

#[test]
fn parts_load_alone() {
    let folder = saved();
    fs::remove_dir_all(folder.path().join("vae")).unwrap();
    BaseModel::load_unet(Some(folder.path()), Placement::HOST).unwrap();
    BaseModel::load_text_encoder(Some(folder.path()), Placement::HOST).unwrap();
    assert!(BaseModel::load_vae(Some(folder.path()), Placement::HOST).unwrap_err().to_string().contains("has no vae folder"));
}

#[test]
fn missing_and_damaged_files_are_named() {
    for name in [
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "vae/config.json",
        "tokenizer/vocab.json",
        "scheduler/scheduler_config.json",
    ] {
        let folder = saved();
        let path = folder.path().join(name);
        let whole = fs::read(&path).unwrap();
        if name != "scheduler/scheduler_config.json" {
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            assert!(refusal(folder.path()).contains(name), "{name}: {}", refusal(folder.path()));
        }
        fs::remove_file(&path).unwrap();
        let (part, text) = (name.split('/').next().unwrap(), refusal(folder.path()));
        assert!(text.contains(part), "{name}: {text}");
    }
}

#[test]
fn parts_that_do_not_fit_together() {
    let with = |text: &str, field: &str, value: Value| {
        let mut config: Value = serde_json::from_str(text).unwrap();
        config[field] = value;
        config.to_string()
    };
    let (vocab, merges) = tokenizer::train(["a photo"]).unwrap();
    let refusal = |configs: Configs, length: usize| {
        let error = BaseModel::random(&configs, ClipTokenizer::from_vocabulary(&vocab, &merges, length).unwrap(), 0).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        error.to_string()
    };
    let wide = with(TEXT, "hidden_size", json!(32));
    assert!(
        refusal(Configs { text_encoder: &wide, ..CONFIGS }, 20).contains("cross_attention_dim is 16, expected the text encoder's hidden_size 32")
    );
    let deep = with(VAE, "latent_channels", json!(8));
    assert!(refusal(Configs { vae: &deep, ..CONFIGS }, 20).contains("latent_channels is 8, expected the UNet's in_channels 4"));
    let few = with(TEXT, "vocab_size", json!(100));
    assert!(refusal(Configs { text_encoder: &few, ..CONFIGS }, 20).contains("expected at most the text encoder's vocab_size 100"));
    let vast = with(UNET, "sample_size", json!(1_000_000_000));
    assert!(refusal(Configs { unet: &vast, ..CONFIGS }, 20).contains("sample_size is 1000000000, expected 1 to 4096"));
    assert!(refusal(CONFIGS, 77).contains("model_max_length is 77, expected at most the text encoder's max_position_embeddings 24"));
}

/// Every field of every config with every kind of nonsense: refused with a sentence, or harmless; never a panic, never a giant allocation.
#[test]
fn nonsense_in_configs() {
    let folder = saved();
    let nonsense =
        [json!(0), json!(-1), json!(1_000_000_000), json!(1e300), json!(""), json!(null), json!([]), json!([0, 0]), json!({}), json!(true), json!(3)];
    let mut refused = 0;
    for (name, text) in [("text_encoder", TEXT), ("unet", UNET), ("vae", VAE)] {
        let config: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
        for (field, value) in config.keys().flat_map(|field| nonsense.iter().map(move |value| (field, value))) {
            let mut changed = config.clone();
            changed.insert(field.clone(), value.clone());
            fs::write(folder.path().join(name).join("config.json"), serde_json::to_vec(&changed).unwrap()).unwrap();
            let loaded = match name {
                "text_encoder" => BaseModel::load_text_encoder(Some(folder.path()), Placement::HOST).map(drop),
                "unet" => BaseModel::load_unet(Some(folder.path()), Placement::HOST).map(drop),
                _ => BaseModel::load_vae(Some(folder.path()), Placement::HOST).map(drop),
            };
            if let Err(error) = loaded {
                assert_eq!(exit_code(&error), 2, "{name} {field} {value}: {error:#}");
                assert!(format!("{error:#}").contains(name) || format!("{error:#}").contains("expected"), "{name} {field} {value}: {error:#}");
                refused += 1;
            }
        }
        fs::write(folder.path().join(name).join("config.json"), text).unwrap();
    }
    assert!(refused > 150, "{refused}");
    BaseModel::load(Some(folder.path()), Placement::HOST).unwrap();
}

#[test]
fn broken_json_in_configs() {
    let folder = saved();
    let path = folder.path().join("unet/config.json");
    let mut sampler = Sampler::new(4, "config mutants", &[]);
    for _ in 0..200 {
        let mut text = UNET.as_bytes().to_vec();
        let at = sampler.below(text.len());
        match sampler.below(3) {
            0 => text.truncate(at),
            1 => text[at] = b"0{}[]\",:-\xff"[sampler.below(10)],
            _ => drop(text.remove(at)),
        }
        fs::write(&path, text).unwrap();
        if let Err(error) = BaseModel::load_unet(Some(folder.path()), Placement::HOST) {
            assert_eq!(exit_code(&error), 2, "{error:#}");
        }
    }
}

#[test]
fn foreign_models_are_named() {
    let file = |tensors: &[(&str, &[usize])]| {
        let folder = tempfile::tempdir().unwrap();
        let tensors: Vec<(String, Tensor)> = tensors.iter().map(|(name, shape)| ((*name).to_owned(), Tensor::zeros(shape))).collect();
        weights::save(&folder.path().join("model.safetensors"), &tensors, &Default::default()).unwrap();
        folder
    };
    type Tensors = &'static [(&'static str, &'static [usize])];
    let cases: [(Tensors, &str); 10] = [
        (&[("lora_unet_down_blocks_0.lora_down.weight", &[1, 1])], "a LoRA"),
        (&[("unet.down_blocks.0.attn1.to_q.lora_A.weight", &[1, 1])], "a LoRA"),
        (&[("conditioner.embedders.0.x", &[1]), ("model.diffusion_model.input_blocks.0.0.weight", &[1, 4, 1, 1])], "an SDXL model"),
        (&[("model.diffusion_model.joint_blocks.0.x", &[1])], "a Stable Diffusion 3 model"),
        (&[("transformer_blocks.0.norm1_context.linear.weight", &[1])], "a Stable Diffusion 3 model"),
        (&[("double_blocks.0.img_attn.qkv.weight", &[1])], "a FLUX model"),
        (&[("model.diffusion_model.input_blocks.0.0.weight", &[1, 9, 1, 1])], "an inpainting model"),
        (&[("text_model.embeddings.token_embedding.weight", &[1, 1])], "a text encoder alone"),
        (&[("encoder.down_blocks.0.resnets.0.conv1.weight", &[1])], "an autoencoder (VAE) alone"),
        (&[("something", &[1])], "1 tensors of an unknown kind"),
    ];
    for (tensors, expected) in cases {
        let folder = file(tensors);
        for path in [folder.path().to_owned(), folder.path().join("model.safetensors")] {
            let text = refusal(&path);
            assert!(text.contains(expected) && text.contains("expected a Stable Diffusion 1.x or 2.x"), "{tensors:?}: {text}");
        }
    }
}

#[test]
fn foreign_folders_are_named() {
    let folder = |class: Option<&str>, parts: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        if let Some(class) = class {
            fs::write(folder.path().join("model_index.json"), json!({ "_class_name": class }).to_string()).unwrap();
        }
        parts.iter().for_each(|part| fs::create_dir(folder.path().join(part)).unwrap());
        folder
    };
    for (class, parts, expected) in [
        (Some("StableDiffusionXLPipeline"), &["unet"][..], "an SDXL model"),
        (Some("StableDiffusionXLInpaintPipeline"), &["unet"], "an SDXL model"),
        (Some("StableDiffusion3Pipeline"), &["transformer"], "a Stable Diffusion 3 model"),
        (Some("FluxPipeline"), &["transformer"], "a FLUX model"),
        (Some("StableDiffusionInpaintPipeline"), &["unet"], "an inpainting model"),
        (Some("LDMTextToImagePipeline"), &["unet"], "BERT text encoder"),
        (None, &["transformer", "text_encoder", "text_encoder_2", "text_encoder_3"], "a Stable Diffusion 3 model"),
        (None, &["transformer", "text_encoder_2"], "a FLUX model"),
        (None, &["unet", "text_encoder_2"], "an SDXL model"),
        (None, &["text_encoder", "tokenizer"], "a text encoder without a UNet"),
        (None, &[], "it has no unet folder"),
    ] {
        let text = refusal(folder(class, parts).path());
        assert!(text.contains(expected), "{class:?} {parts:?}: {text}");
    }
    assert!(refusal(FilePath::new("/no/such/model")).contains("there is no such folder"));
}

#[test]
fn foreign_weights_in_the_right_folder_are_named() {
    let folder = saved();
    let path = folder.path().join("unet/diffusion_pytorch_model.safetensors");
    fs::copy(folder.path().join("vae/diffusion_pytorch_model.safetensors"), &path).unwrap();
    assert!(refusal(folder.path()).contains("holds an autoencoder (VAE) alone"));
    let tensors = vec![("conv_in.weight".to_owned(), Tensor::zeros(&[16, 9, 3, 3]))];
    weights::save(&path, &tensors, &Default::default()).unwrap();
    assert!(refusal(folder.path()).contains("an inpainting model"));
}

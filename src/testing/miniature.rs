//! A complete base model in the diffusers layout with random weights, and a small data set in MVTec AD layout: what tests of whole commands run on.
//! Panics on anything unexpected.

use std::fs;
use std::path::Path as FilePath;

use serde_json::json;

#[cfg(test)]
use crate::data::dataset::Dataset;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::models::base::{BaseModel, Configs};
use crate::models::tokenizer::ClipTokenizer;
#[cfg(test)]
use crate::nn::Placement;
use crate::tensor::DType;
use crate::tensor::random::Sampler;

/// Side of the images that the model is for.
pub const RESOLUTION: usize = 32;

/// Writes the model: 32-pixel images, latents of 4 channels and 8x8 cells, 64 tokens of width 24.
pub fn model(folder: &FilePath, seed: u64) {
    let text = json!({"architectures": ["CLIPTextModel"], "vocab_size": 514, "hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 64, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
        "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513})
    .to_string();
    let unet = json!({"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "block_out_channels": [16, 32],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "layers_per_block": 1, "attention_head_dim": 2, "cross_attention_dim": 24, "norm_num_groups": 8, "sample_size": 8})
    .to_string();
    let vae = json!({"_class_name": "AutoencoderKL", "block_out_channels": [8, 16, 16], "latent_channels": 4, "layers_per_block": 1,
        "norm_num_groups": 4, "scaling_factor": 0.5,
        "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
        "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]})
    .to_string();
    let scheduler = json!({"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000, "prediction_type": "epsilon", "steps_offset": 1, "set_alpha_to_one": false, "clip_sample": false})
    .to_string();
    let configs = Configs { text_encoder: &text, unet: &unet, vae: &vae, scheduler: &scheduler };
    let base = BaseModel::random(&configs, tokenizer(), seed).expect("a model of these configs");
    base.save(folder, DType::F32).expect("a writable folder");
}

/// Writes a data set: object `plate` with types `dot` and `line`, `pairs` pairs each, four normal pictures.
pub fn data_set(root: &FilePath, pairs: usize) {
    let mut sampler = Sampler::new(0, "miniature data", &[]);
    let base = |sampler: &mut Sampler| -> Vec<f32> { (0..40 * 36 * 3).map(|_| sampler.range(-0.1, 0.3)).collect() };
    for number in 0..4 {
        let picture = Picture::from_parts(40, 36, base(&mut sampler));
        save(root, &format!("plate/train/good/{number:03}.png"), &picture.to_png().expect("a PNG"));
    }
    for (name, is_line) in [("dot", false), ("line", true)] {
        for number in 0..pairs {
            let (column, row) = (8 + sampler.below(20), 8 + sampler.below(18));
            let mask = Mask::from_fn(40, 36, |x, y| {
                let (dx, dy) = (x.abs_diff(column), y.abs_diff(row));
                if is_line { dy < 2 && dx < 8 } else { dx * dx + dy * dy < 20 }
            });
            let mut pixels = base(&mut sampler);
            for (index, value) in pixels.iter_mut().enumerate() {
                if mask.pixels()[index / 3] {
                    *value = if is_line { 0.9 } else { -0.9 };
                }
            }
            let picture = Picture::from_parts(40, 36, pixels);
            save(root, &format!("plate/test/{name}/{number:03}.png"), &picture.to_png().expect("a PNG"));
            save(root, &format!("plate/ground_truth/{name}/{number:03}_mask.png"), &mask.to_png().expect("a PNG"));
        }
    }
}

/// CLIP's byte alphabet with and without the word's end, no merges: every text is spelled out.
fn tokenizer() -> ClipTokenizer {
    let visible = |byte: u32| (33..=126).contains(&byte) || (161..=172).contains(&byte) || (174..=255).contains(&byte);
    let mut symbols: Vec<char> = (0..256).filter(|&byte| visible(byte)).filter_map(char::from_u32).collect();
    let hidden = (0..256).filter(|&byte| !visible(byte)).count() as u32;
    symbols.extend((256..256 + hidden).filter_map(char::from_u32));
    let words = symbols.iter().map(|symbol| format!("{symbol}</w>"));
    let special = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let mut vocabulary = serde_json::Map::new();
    for token in symbols.iter().map(char::to_string).chain(words).chain(special) {
        vocabulary.insert(token, vocabulary.len().into());
    }
    let vocabulary = serde_json::Value::Object(vocabulary).to_string();
    ClipTokenizer::from_vocabulary(&vocabulary, "#version: 0.2\n", 64).expect("CLIP's alphabet")
}

fn save(folder: &FilePath, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
    fs::write(path, bytes).expect("a writable file");
}

/// A folder with the model in `model`, loaded, and a data set of six pairs a type in `data`, scanned.
#[cfg(test)]
pub struct World {
    /// Removed with the world.
    pub folder: tempfile::TempDir,
    /// The model.
    pub base: BaseModel,
    /// The data set.
    pub dataset: Dataset,
}

#[cfg(test)]
impl World {
    /// The world of seed 1.
    #[allow(clippy::new_without_default)] // it writes files
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        model(&folder.path().join("model"), 1);
        data_set(&folder.path().join("data"), 6);
        let base = BaseModel::load(Some(&folder.path().join("model")), Placement::HOST).expect("the model");
        let dataset = Dataset::scan(&folder.path().join("data")).expect("the data set");
        Self { folder, base, dataset }
    }
}

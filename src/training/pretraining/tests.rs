use super::*;
use crate::autograd::Var;
use crate::data::pretraining::Framing;
use crate::device::Device;
use crate::models::base::BaseModel;
use crate::nn::Placement;
use crate::training::pretraining::latents::Latents;
use crate::training::pretraining::recipe::{DenoiserRecipe, Emphasis};

fn run(folder: &Path) -> Pretraining {
    Pretraining { recipe: Recipe::smoke(), seed: 3, folder: folder.to_owned(), checkpoint_every: 2, preview_every: 100, device: Device::Cpu }
}

#[test]
fn the_autoencoder_loss_depends_on_the_step_alone() {
    let recipe = Recipe::smoke();
    let config = VaeConfig::from_json(recipe.vae, "smoke").unwrap();
    let stage = AutoencoderStage::new(&recipe.autoencoder, &config, 1, &RandomInit { seed: 1 }).unwrap();
    let loss = |step| stage.loss(step).unwrap().value.item().unwrap();
    assert_eq!(loss(3), loss(3));
    assert_ne!(loss(3), loss(4));
}

#[test]
fn a_run_makes_a_model_and_stopping_between_the_stages_changes_nothing() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let finish = |run: &Pretraining| {
        let autoencoder = run.autoencoder().unwrap();
        let denoiser = run.denoiser(autoencoder.vae()).unwrap();
        run.export(&autoencoder, &denoiser).unwrap()
    };
    let expected = finish(&run(whole.path()));
    let model = BaseModel::load(Some(&expected), Placement::HOST).unwrap();
    let picture = Tensor::from_f32((0..32 * 32 * 3).map(|index| (index % 7) as f32 / 7.0).collect::<Vec<_>>(), &[1, 32, 32, 3]).unwrap();
    let posterior = model.vae.encode(&Var::constant(picture)).unwrap();
    assert!(posterior.log_variance.tensor().f32s().unwrap().iter().all(|&value| value == -30.0), "the finished model's latents carry no noise");
    assert_eq!(model.resolution(), 32);
    assert_eq!(model.tokenizer.encode_bare("a photo of a broken plate").unwrap().len(), 6, "every word of the captions is one token");
    drop(run(parts.path()).autoencoder().unwrap());
    let found = finish(&run(parts.path()));
    assert_eq!(BaseModel::load(Some(&found), Placement::HOST).unwrap().hash, model.hash);
}

#[test]
fn refining_trains_the_unet_and_where_the_recipe_says_so_the_text_encoder_before_or_with_it_and_a_finished_run_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let start = {
        let run = run(&folder.path().join("start"));
        let autoencoder = run.autoencoder().unwrap();
        let denoiser = run.denoiser(autoencoder.vae()).unwrap();
        run.export(&autoencoder, &denoiser).unwrap()
    };
    let load = |folder: &Path| BaseModel::load(Some(folder), Placement::HOST).unwrap();
    let values = |part: &crate::models::base::Part| weights::digest(&part.tensors().unwrap()).unwrap();
    for (refines_text, text_rate) in [(false, 0.0), (true, 0.0), (false, 0.3)] {
        let mut run = run(&folder.path().join(format!("refined {refines_text} {text_rate}")));
        run.recipe.refines_text = refines_text;
        run.recipe.denoiser = DenoiserRecipe { text_rate, first_picture: 99, small_framings: &[Framing::Detail], ..run.recipe.denoiser };
        let refined = || load(&run.refine(&load(&start)).unwrap());
        let (before, after) = (load(&start), refined());
        assert_eq!(values(&after.details.vae), values(&before.details.vae));
        assert_eq!(values(&after.details.text_encoder) != values(&before.details.text_encoder), refines_text || text_rate > 0.0);
        assert_ne!(values(&after.details.unet), values(&before.details.unet));
        assert_eq!(after.vae.config().scaling_factor, before.vae.config().scaling_factor);
        assert_eq!(refined().hash, after.hash);
    }
}

#[test]
fn an_untrained_autoencoder_passes_colors() {
    let recipe = Recipe::tiny();
    let config = VaeConfig::from_json(recipe.vae, "tiny").unwrap();
    let stage = AutoencoderStage::new(&recipe.autoencoder, &config, 1, &RandomInit { seed: 1 }).unwrap();
    let (_, ratio) = preview::reconstructions(stage.vae(), 32, 8).unwrap();
    assert!(ratio > 18.0, "{ratio:.1} dB before the first step");
}

#[test]
fn a_picture_s_latent_is_its_part_of_all() {
    let values = Tensor::from_f32((0..2 * 4 * 4 * 2).map(|value| value as f32).collect::<Vec<_>>(), &[2, 4, 4, 2]).unwrap();
    let latents = Latents::new(values.to_dtype(crate::tensor::DType::F16).unwrap(), Tensor::from_i32(vec![7, 8, 9, 10], &[2, 2]).unwrap()).unwrap();
    let mut latent = Vec::new();
    latents.append(1, 0.5, &mut latent).unwrap();
    assert_eq!(latent, (32..64).map(|value| 0.5 * value as f32).collect::<Vec<_>>());
    assert_eq!(latents.caption(1).unwrap(), [9, 10]);
    assert!(latents.append(2, 1.0, &mut latent).is_err());
}

#[test]
fn smoothness_and_divergence_of_known_values() {
    let ramp = Tensor::from_f32(vec![0.0, 1.0, 0.0, 1.0], &[1, 2, 2, 1]).unwrap();
    assert_eq!(autoencoder::roughness(&Var::constant(ramp)).unwrap().item().unwrap(), 0.5, "1 across, 0 down");
    let zeros = Var::constant(Tensor::zeros(&[1, 2, 2, 4]));
    assert_eq!(autoencoder::divergence(&zeros, &zeros).unwrap().item().unwrap(), 0.0);
    let off = autoencoder::peak_signal_to_noise(&Tensor::full(0.2, &[1, 8, 8, 3]), &Tensor::zeros(&[1, 8, 8, 3])).unwrap();
    assert!((off - 20.0).abs() < 1e-4, "an error of a tenth of the range is 20 dB, found {off}");
}

#[test]
fn emphasised_time_steps_are_drawn_oftener() {
    for emphasis in [Emphasis { from: 0.2, to: 0.8, density: 2.5 }, Emphasis { from: 0.65, to: 1.0, density: 4.0 }] {
        assert_eq!(emphasis.of(0.0), 0.0);
        assert!((emphasis.of(1.0) - 1.0).abs() < 1e-6);
        let drawn: Vec<f32> = (0..10_000).map(|index| emphasis.of((index as f32 + 0.5) / 10_000.0)).collect();
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        let density = |from: f32, to: f32| drawn.iter().filter(|&&position| (from..to).contains(&position)).count() as f32 / (to - from);
        let ratio = density(emphasis.from, emphasis.to) / density(0.0, emphasis.from);
        assert!((ratio - emphasis.density).abs() < 0.05, "{emphasis:?}: {ratio}");
    }
}

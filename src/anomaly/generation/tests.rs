use super::*;
use crate::anomaly::presets::{Preset, PresetName};
use crate::anomaly::reweighting::Reweighting;
use crate::anomaly::templates::Templates;
use crate::nn::Placement;
use crate::testing::{miniature, random};

const SIDE: usize = miniature::RESOLUTION;

fn setup(name: PresetName) -> (BaseModel, Learned) {
    let folder = tempfile::tempdir().unwrap();
    miniature::model(folder.path(), 1);
    let base = BaseModel::load(Some(folder.path()), Placement::HOST).unwrap();
    let preset = Preset::new(name);
    let templates = Templates::built_in(preset.templates);
    let learned = Learned::create(&base, preset, templates, vec![kind()], SIDE, 5).unwrap();
    (base, learned)
}

fn kind() -> Kind {
    Kind::new("plate", "dot")
}

fn settings(mode: Mode) -> GenerationPreset {
    GenerationPreset { steps: 6, coarse_noise: 1.0, reweighting: Reweighting::new(mode), ..Preset::new(PresetName::Default).generation }
}

fn normal(index: u64) -> Picture {
    let noise = random(&format!("normal {index}"), &[SIDE, SIDE, 3]);
    Picture::from_parts(SIDE, SIDE, noise.to_f32_vec().unwrap().iter().map(|x| ((0.3 * x).clamp(-1.0, 1.0) * 127.5).round() / 127.5).collect())
}

fn mask(index: u64) -> Mask {
    let center = 8 + 3 * index as usize;
    Mask::from_fn(SIDE, SIDE, |x, y| x.abs_diff(center) < 5 && y.abs_diff(16) < 4)
}

fn jobs(generator: &Generator, indices: &[u64]) -> Vec<Job> {
    let masks: Vec<Mask> = indices.iter().map(|&index| mask(index)).collect();
    let spatial = generator.embed(&masks.iter().collect::<Vec<_>>()).unwrap();
    let job = |((&index, mask), spatial): ((&u64, Mask), Tensor)| Job {
        normal: normal(index),
        mask,
        spatial,
        template: index as usize % 3,
        look: Vec::new(),
        index,
    };
    indices.iter().zip(masks).zip(spatial).map(job).collect()
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    for mode in [Mode::Off, Mode::Paper, Mode::Official, Mode::Default] {
        let (base, learned) = setup(PresetName::Default);
        let settings = GenerationPreset { guidance: 1.5, coarse_noise: 0.3, ..settings(mode) };
        let generator = Generator::new(&base, &learned, kind(), settings, 9).unwrap();
        let together = generator.generate(&jobs(&generator, &[0, 1, 2, 3]), 0, &|| None).unwrap();
        for index in [3, 1] {
            let alone = generator.generate(&jobs(&generator, &[index]), 0, &|| None).unwrap();
            assert_eq!(alone[0].image, together[index as usize].image, "{mode:?}, image {index}");
        }
        assert_ne!(together[0].image, together[1].image);
    }
}

#[test]
fn a_look_changes_the_defect() {
    let (base, learned) = setup(PresetName::Default);
    let looks = learned.parameters().iter().find(|parameter| parameter.name() == "look.plate+dot").unwrap();
    let values = random("looks", looks.value().shape()).to_f32_vec().unwrap();
    looks.update(|looks| looks.copy_from_slice(&values)).unwrap();
    let generator = Generator::new(&base, &learned, kind(), settings(Mode::Off), 9).unwrap();
    let image = |look: Vec<LookShare>| {
        let job = Job { look, ..jobs(&generator, &[0]).remove(0) };
        generator.generate(&[job], 0, &|| None).unwrap().remove(0).image
    };
    let share = |pair: usize| vec![LookShare { pair, share: 1.0 }];
    assert_eq!(image(share(1)), image(share(1)));
    assert_ne!(image(share(1)), image(share(2)));
    assert_ne!(image(share(1)), image(Vec::new()));
}

#[test]
fn seed_type_and_index_name_the_noise() {
    let streams = ImageStreams::new(1, &kind(), 0);
    let reference = streams.at("step noise", 11);
    assert_eq!(reference, ImageStreams::new(1, &kind(), 0).at("step noise", 11));
    for other in [
        ImageStreams::new(2, &kind(), 0).at("step noise", 11),
        ImageStreams::new(1, &kind(), 1).at("step noise", 11),
        ImageStreams::new(1, &Kind::new("plate", "line"), 0).at("step noise", 11),
        ImageStreams::new(1, &Kind::new("plat", "edot"), 0).at("step noise", 11),
        streams.at("step noise", 12),
        streams.at("background noise", 11),
        streams.once("initial noise"),
    ] {
        assert_ne!(reference, other);
    }
}

#[test]
fn the_background_keeps_its_bytes_and_the_mask_does_not() {
    let (base, learned) = setup(PresetName::Default);
    let generator = Generator::new(&base, &learned, kind(), settings(Mode::Default), 9).unwrap();
    let jobs = jobs(&generator, &[0, 1]);
    for (job, generated) in jobs.iter().zip(generator.generate(&jobs, 0, &|| None).unwrap()) {
        let (old, new) = (job.normal.to_bytes(), generated.image.to_bytes());
        // The default feather is 1/64 of the side: half a pixel here, so nothing beyond one pixel changes.
        let near = job.mask.dilated(1);
        let mut changed = 0;
        for (index, inside) in near.pixels().iter().enumerate() {
            let differs = old[3 * index..3 * index + 3] != new[3 * index..3 * index + 3];
            assert!(*inside || !differs, "pixel {index} outside of the mask changed");
            changed += usize::from(differs);
        }
        assert!(changed * 2 > job.mask.area(), "{changed} of {} pixels changed", job.mask.area());
    }
}

#[test]
fn paste_is_exact_on_both_sides_of_its_edge() {
    let (generated, normal, mask) = (normal(7), normal(8), mask(1));
    let pasted = paste(&generated, &normal, &mask, 0.1);
    let distances = mask.distances();
    let mut between = 0;
    for (index, distance) in distances.iter().enumerate() {
        let pixel = |picture: &Picture| picture.pixels()[3 * index..3 * index + 3].to_vec();
        if *distance == 0.0 {
            assert_eq!(pixel(&pasted), pixel(&generated));
        } else if *distance >= 3.2 {
            assert_eq!(pixel(&pasted), pixel(&normal));
        } else {
            between += 1;
        }
    }
    assert!(between > 0);
}

#[test]
fn traces_hold_weights_and_estimates_and_change_nothing() {
    let (base, learned) = setup(PresetName::Default);
    for (mode, first) in [(Mode::Off, false), (Mode::Default, false), (Mode::Paper, true), (Mode::Official, true)] {
        let generator = Generator::new(&base, &learned, kind(), settings(mode), 9).unwrap();
        let jobs = jobs(&generator, &[0]);
        let traced = generator.generate(&jobs, 6, &|| None).unwrap();
        assert_eq!(traced[0].image, generator.generate(&jobs, 0, &|| None).unwrap()[0].image);
        let trace = &traced[0].trace;
        assert_eq!(trace.len(), 6);
        assert!(trace.windows(2).all(|pair| pair[0].timestep > pair[1].timestep));
        assert_eq!(trace[0].weights.is_some(), first, "{mode:?}: the first step");
        assert_eq!(trace[1].weights.is_some(), mode != Mode::Off, "{mode:?}");
    }
    let generator = Generator::new(&base, &learned, kind(), settings(Mode::Off), 9).unwrap();
    assert_eq!(generator.generate(&jobs(&generator, &[0]), 2, &|| None).unwrap()[0].trace.len(), 2);
}

/// The released order written out by hand for one image without re-weighting.
#[test]
fn steps_follow_the_released_order() {
    let (base, learned) = setup(PresetName::Paper);
    let settings = GenerationPreset { steps: 4, reweighting: Reweighting::new(Mode::Off), ..Preset::new(PresetName::Paper).generation };
    let generator = Generator::new(&base, &learned, kind(), settings.clone(), 3).unwrap();
    let jobs = jobs(&generator, &[2]);
    let found = generator.generate(&jobs, 0, &|| None).unwrap().remove(0).image;

    let streams = ImageStreams::new(3, &kind(), 2);
    let schedule = &Schedule::of(&base).unwrap();
    let z0 = latents::encode(&base.vae, &[&jobs[0].normal], settings.latent, &[streams.once("normal latent")]).unwrap();
    let shape = z0.shape().to_vec();
    let mask = Mask::stack(&[&jobs[0].mask.resized(shape[2], shape[1], learned.metadata.preset.cells)]).unwrap();
    let anomaly = Var::constant(learned.anomaly(0).value());
    let spatial = jobs[0].spatial.reshape(&[1, jobs[0].spatial.dim(0), jobs[0].spatial.dim(1)]).unwrap();
    let samples = [Sample { template: jobs[0].template, anomaly }];
    let context = generator.conditioner.context(&samples, &Var::constant(spatial)).unwrap().tokens;
    let mut z = streams.once("initial noise").normal(&shape).unwrap();
    for step in ddim::steps(schedule, 4).unwrap() {
        let t = Tensor::from_i32(vec![step.timestep], &[1]).unwrap();
        let noisy = schedule.add_noise(&z0, &streams.at("background noise", step.timestep).normal(&shape).unwrap(), &t).unwrap();
        z = ops::blend(&z, &ops::Background { mask: &mask, normal: &noisy }, None).unwrap();
        let output = base.unet.forward(&Var::constant(z.clone()), &t, &context, None).unwrap();
        z = step.update(&output, &z, 1.0, &streams.at("step noise", step.timestep).normal(&shape).unwrap()).unwrap();
    }
    let expected = Picture::from_tensor(&latents::decode(&base.vae, &z).unwrap()).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn a_signal_ends_a_batch_between_steps() {
    let (base, learned) = setup(PresetName::Default);
    let generator = Generator::new(&base, &learned, kind(), settings(Mode::Off), 9).unwrap();
    let steps = std::cell::Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        (steps.get() == 4).then_some(15)
    };
    let error = generator.generate(&jobs(&generator, &[0]), 0, &stop).unwrap_err();
    assert_eq!((crate::error::exit_code(&error), steps.get()), (143, 4));
}

#[test]
fn unknown_types_and_impossible_steps_are_refused() {
    let (base, learned) = setup(PresetName::Default);
    let error = Generator::new(&base, &learned, Kind::new("plate", "dott"), settings(Mode::Off), 0).err().expect("unknown");
    assert!(error.to_string().contains("plate+dot"), "{error}");
    let error = Generator::new(&base, &learned, kind(), GenerationPreset { steps: 2000, ..settings(Mode::Off) }, 0).err().expect("too many");
    assert_eq!(crate::error::exit_code(&error), 2);
}

#[test]
fn a_damaged_network_stops_with_the_step_and_is_named() {
    for (network, wanted) in [("UNet", "conv_out.bias"), ("autoencoder", "decoder.conv_out.bias")] {
        let (base, learned) = setup(PresetName::Default);
        let part = if network == "UNet" { &base.details.unet } else { &base.details.vae };
        let weight = part.parameters.iter().find(|parameter| parameter.name() == wanted).unwrap();
        weight.update(|elements| elements[0] = f32::NAN).unwrap();
        let generator = Generator::new(&base, &learned, kind(), settings(Mode::Off), 9).unwrap();
        let error = generator.generate(&jobs(&generator, &[0]), 0, &|| None).unwrap_err();
        let (message, steps) = (error.to_string(), &generator.steps);
        assert_eq!(crate::error::exit_code(&error), 2, "{message}");
        assert!(message.contains(&format!("the {network}'s {wanted} are not finite")), "{message}");
        let between = format!("between time steps {} and {}", steps[0].timestep, steps[steps.len() - 1].timestep);
        assert_eq!(message.contains(&between), network == "UNet", "{message}");
    }
}

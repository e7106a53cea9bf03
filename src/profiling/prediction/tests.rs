use super::*;
use crate::profiling::arithmetic;

fn configs() -> (Preset, UnetConfig, VaeConfig) {
    let preset = Preset::find("sd15").unwrap();
    (preset, UnetConfig::from_json(preset.unet, "sd15").unwrap(), VaeConfig::from_json(preset.vae, "sd15").unwrap())
}

fn gflop(plan: &[Op]) -> f64 {
    plan.iter().map(Op::operations).sum::<f64>() / 1e9
}

#[test]
fn the_plan_is_the_models_arithmetic() {
    let (preset, unet, vae) = configs();
    // Keys and values of the context, which the plan leaves out, of 16 transformers; a few hundredths.
    let found = gflop(&plan::unet(&unet, 32, 32, preset.tokens));
    let expected = arithmetic::unet(&unet, 32, 32, preset.tokens) / 1e9;
    assert!((0.97..1.0).contains(&(found / expected)), "{found} of {expected}");
    assert!((gflop(&plan::vae_decoder(&vae, 32, 32)) / (arithmetic::vae_decoder(&vae, 32, 32) / 1e9) - 1.0).abs() < 1e-4);
    // As PyTorch's FlopCounterMode counts diffusers' encoder at 256 pixels, with its normalisations.
    assert!((gflop(&plan::vae_encoder(&vae, 32, 32)) / 273.4 - 1.0).abs() < 0.01, "{}", gflop(&plan::vae_encoder(&vae, 32, 32)));
}

#[test]
fn the_floor_is_that_of_the_counted_shapes() {
    let (preset, ..) = configs();
    let compiled = Compiled::uniform(128);
    // Counted by hooks on the diffusers modules: 2.27, 37.1 ms for the UNet, 7.63, 123 ms for the decoder. Sums of attention and of its inputs apart.
    for (size, batch, unet, decoder) in [(256, 8, 2.27, 7.63), (512, 32, 37.1, 123.0)] {
        let found = Prediction::new(&preset, size, batch, &compiled).unwrap();
        let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.2, "{size} {batch}: {found} ms, expected {expected}");
        near(found.unet.floor, unet);
        near(found.decoder.floor, decoder);
        assert!(found.unet.milliseconds > found.unet.floor && found.decoder.milliseconds > found.decoder.floor);
        let sum: f64 = found.unet.kernels.iter().map(|row| row.milliseconds).sum();
        assert!((sum / found.unet.milliseconds - 1.0).abs() < 1e-9);
        assert!(found.one_pass > found.two_passes && found.two_passes > found.exact);
    }
}

/// Against what the emulated device recorded of `anodiff profile --random sd15 --size 256 --batch 8 --parts unet-backward --dtype f16`: its launches, and
/// the operations of its products.
#[test]
fn the_training_step_is_the_one_that_was_recorded() {
    let (preset, unet, _) = configs();
    let plan = plan::unet_training(&unet, 32, 32, preset.tokens);
    let products = |op: &&Op| matches!(op, Op::Conv { .. } | Op::Linear { .. } | Op::ConvToInput(_) | Op::LinearToInput(_));
    let found = 8.0 * plan.iter().filter(products).map(Op::operations).sum::<f64>() / 1e9;
    assert!((found / 2704.1 - 1.0).abs() < 0.01, "{found} GFLOP");
    let found = Prediction::new(&preset, 256, 8, &Compiled::uniform(128)).unwrap().training;
    let calls = |name: &str| found.kernels.iter().filter(|row| row.name.starts_with(name)).map(|row| row.calls).sum::<usize>();
    let recorded = [
        ("tensor_add", 154),
        ("group_norm_gradient_sums", 58),
        ("layer_norm_forward", 48),
        ("layer_norm_gradient", 46),
        ("shape_copy", 47),
        ("geglu_gradient", 16),
        ("attention_corrections", 31),
        ("attention_to_q_40", 8),
        ("attention_to_k_v_40", 9),
        ("attention_to_k_v_160", 12),
        ("upsample_gradient", 3),
    ];
    for (name, expected) in recorded {
        assert_eq!(calls(name), expected, "{name}");
    }
    assert!(found.floor < found.milliseconds && calls("product_multicast_across") > 100, "{found:?}");
}

#[test]
fn fewer_threads_on_a_multiprocessor_take_longer() {
    let (preset, ..) = configs();
    let time = |registers| Prediction::new(&preset, 256, 8, &Compiled::uniform(registers)).unwrap().decoder.milliseconds;
    assert!(time(255) > 1.05 * time(32));
}

#[test]
fn products_take_hoppers_tiles_where_those_can_compute_them() {
    let (preset, ..) = configs();
    let found = Prediction::new(&preset, 256, 32, &Compiled::uniform(128)).unwrap();
    for network in [&found.unet, &found.decoder] {
        let gflop = |prefix: &str| network.kernels.iter().filter(|row| row.name.starts_with(prefix)).map(|row| row.gflop).sum::<f64>();
        let (hopper, portable) = (gflop("product_"), gflop("conv2d_forward") + gflop("linear_forward"));
        assert!(
            gflop("product_multicast_128x256") > 0.0 && portable > 0.0 && portable < 0.5 * hopper,
            "{hopper} GFLOP by wgmma, {portable} by others"
        );
        for row in &network.kernels {
            assert!(row.roofline.is_none_or(|share| share <= 1.0), "{row:?} is faster than its floor");
        }
    }
    // What a cluster's blocks share is read once: without that the second-level cache leaves 52 and 56 %.
    let all_resident = Prediction::new(&preset, 256, 32, &Compiled::uniform(32)).unwrap();
    for network in [&all_resident.unet, &all_resident.decoder] {
        let share = network.floor / network.milliseconds;
        assert!((0.6..0.8).contains(&share), "{share} of the roofline");
    }
    // Strides, and the ends of the networks: four and three channels.
    let calls = |name: &str| found.unet.kernels.iter().filter(|row| row.name.starts_with(name)).map(|row| row.calls).sum::<usize>();
    assert!(calls("conv2d_forward_plain") == 1 && calls("conv2d_forward_") >= 5, "{:?}", found.unet.kernels);
}

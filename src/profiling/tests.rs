use super::operations::operations;
use super::*;
use crate::autograd::Var;
use crate::device::recording::{self, Detail, KernelShape, Piece};
use crate::error::Result;
use crate::models::unet::UnetConfig;
use crate::models::vae::VaeConfig;
use crate::nn::{Init, ParameterSource};
use crate::ops::{self, Conv2dOptions, Epilogue};
use crate::testing::random;

#[test]
fn the_median_of_an_even_and_an_odd_number_of_runs() {
    let timing = Timing::new(vec![4.0, 1.0, 2.0, 10.0]);
    assert_eq!((timing.median, timing.lowest, timing.highest, timing.runs), (3.0, 1.0, 10.0, 4));
    assert_eq!(Timing::new(vec![3.0, 9.0, 1.0]).median, 3.0);
    let mut calls = 0;
    let counted = measure(2, 3, || {
        calls += 1;
        Ok(())
    });
    assert_eq!((counted.unwrap().runs, calls), (3, 5));
}

/// As PyTorch's FlopCounterMode counts diffusers' models of these shapes.
#[test]
fn arithmetic_of_the_presets() {
    let preset = Preset::find("sd15").unwrap();
    let unet = UnetConfig::from_json(preset.unet, "sd15").unwrap();
    let vae = VaeConfig::from_json(preset.vae, "sd15").unwrap();
    let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.005, "{found:e} and {expected:e}");
    close(arithmetic::unet(&unet, 32, 32, 77), 180.106e9);
    close(arithmetic::vae_decoder(&vae, 32, 32), 622.187e9);
    assert!(Preset::find("sd3").unwrap_err().to_string().contains("sd15 or sd21"));
}

#[test]
fn noise_is_as_wide_as_the_initial_values_it_stands_for() {
    let values = FastNoise.fetch("any", &[300, 1000], Init::Uniform(0.5)).unwrap().to_f32_vec().unwrap();
    let variance = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((variance - 0.25 / 3.0).abs() < 0.002 && values.iter().all(|x| x.abs() <= 0.5), "variance {variance}");
    assert_eq!(FastNoise.fetch("any", &[3], Init::Ones).unwrap().to_f32_vec().unwrap(), [1.0; 3]);
}

/// A piece for each op of this work on the CPU.
fn pieces(work: impl FnOnce() -> Result<()>) -> Vec<Piece> {
    let mut pieces = recording::record(None, work).unwrap();
    pieces.retain(|piece| !matches!(piece.detail, Detail::Other));
    pieces
}

#[test]
fn arithmetic_of_single_ops_is_that_of_their_definition() {
    let (x, weight) = (Var::leaf(random("x", &[2, 5, 7, 3])), Var::leaf(random("weight", &[4, 3, 2, 3])));
    let found = pieces(|| {
        let y = ops::conv2d(&x, &weight, None, Conv2dOptions::new(2, 1), Epilogue::default())?;
        assert_eq!(y.shape(), [2, 3, 4, 4]);
        ops::sum(&y)?.backward().map(drop)
    });
    let conv: Vec<_> = found.iter().filter(|piece| piece.name == "conv2d").collect();
    // Two for each multiply-add: 2 x 3 x 4 positions of 4 channels, a window of 3 x 2 x 3.
    let once = 2.0 * (2 * 3 * 4) as f64 * 4.0 * 18.0;
    assert_eq!(conv.iter().map(|piece| (piece.pass, operations(piece))).collect::<Vec<_>>(), [("forward", once), ("backward", 2.0 * once)]);
    assert_eq!([conv[0].read, conv[0].written], [4 * (2 * 5 * 7 * 3 + 4 * 3 * 2 * 3), 4 * 2 * 3 * 4 * 4]);

    let (x, weight, bias) = (Var::leaf(random("x", &[2, 6, 5])), Var::constant(random("weight", &[7, 5])), Var::constant(random("bias", &[7])));
    let found = pieces(|| ops::sum(&ops::linear(&x, &weight, Some(&bias))?)?.backward().map(drop));
    let linear: Vec<_> = found.iter().filter(|piece| piece.name == "linear").map(|piece| (piece.pass, operations(piece))).collect();
    let once = 2.0 * 12.0 * 5.0 * 7.0;
    assert_eq!(linear, [("forward", once), ("backward", once)], "the frozen weight costs nothing backward");

    let (q, k) = (Var::constant(random("q", &[2, 6, 8])), Var::constant(random("k", &[2, 5, 8])));
    let found = pieces(|| ops::attention(&q, &k, &k, 2, false).map(drop));
    assert_eq!(operations(&found[0]), 2.0 * 2.0 * (2 * 6 * 5 * 8) as f64);
}

#[test]
fn a_view_moves_no_bytes() {
    let x = Var::constant(random("x", &[4, 6]));
    let found = pieces(|| ops::reshape(&x, &[24]).map(drop));
    assert_eq!((found[0].name, found[0].read, found[0].written), ("reshape", 0, 0));
}

#[test]
fn kernels_count_by_their_arguments() {
    let kernel = |numbers: &[(&'static str, i64)], batch| KernelShape { grid: [1, 1, batch], numbers: numbers.to_vec(), ..KernelShape::default() };
    let piece =
        |name, kernel| Piece { name, detail: Detail::Kernel(kernel), ..pieces(|| ops::silu(&Var::constant(random("x", &[1]))).map(drop)).remove(0) };
    for (name, numbers, batch, expected) in [
        ("linear_forward_64x64", &[("rows", 10), ("inputs", 3), ("outputs", 5)][..], 1, 300.0),
        ("linear_column_sums", &[("rows", 10), ("columns", 3)], 1, 0.0),
        (
            "conv2d_to_weight_plain",
            &[("batch", 2), ("out_height", 3), ("out_width", 4), ("outputs", 5), ("kernel_height", 3), ("kernel_width", 1), ("inputs", 6)],
            1,
            2.0 * 24.0 * 5.0 * 18.0,
        ),
        (
            "product_128x160",
            &[("images", 2), ("height", 3), ("width", 4), ("taps_y", 3), ("taps_x", 1), ("channels", 8), ("outputs", 16), ("splits", 2)],
            1,
            2.0 * 24.0 * 16.0 * 24.0,
        ),
        ("cross_attention_40", &[("heads", 8), ("rows", 64), ("columns", 77)], 2, 4.0 * 2.0 * 8.0 * 64.0 * 77.0 * 40.0),
        ("attention_plain_to_v", &[("heads", 1), ("rows", 4), ("columns", 3), ("width", 6)], 1, 4.0 * 4.0 * 3.0 * 6.0),
        ("attention_to_k_v_160", &[("heads", 1), ("rows", 4), ("columns", 3)], 1, 8.0 * 4.0 * 3.0 * 160.0),
    ] {
        assert_eq!(operations(&piece(name, kernel(numbers, batch))), expected, "{name}");
    }
}

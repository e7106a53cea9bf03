use super::{Conv2dOptions, Epilogue, Source, conv2d};
use crate::autograd::Var;
use crate::error::exit_code;
use crate::ops;
use crate::tensor::{DType, Tensor};
use crate::testing::{assert_close, assert_devices_agree, assert_devices_agree_on_values, assert_gradients, random};

/// The definition, one output at a time.
fn naive(x: &Tensor, weight: &Tensor, options: Conv2dOptions) -> Tensor {
    let [batch, height, width, inputs] = x.dims().unwrap();
    let [outputs, kernel_height, kernel_width, _] = weight.dims().unwrap();
    let (image, weights) = (x.to_f32_vec().unwrap(), weight.to_f32_vec().unwrap());
    let [top, bottom, left, right] = options.padding;
    let out_height = (height + top + bottom - kernel_height) / options.stride + 1;
    let out_width = (width + left + right - kernel_width) / options.stride + 1;
    let pixel = |b: usize, y: usize, x: usize, c: usize| -> f64 {
        let inside = (top..top + height).contains(&y) && (left..left + width).contains(&x);
        if inside { f64::from(image[((b * height + y - top) * width + x - left) * inputs + c]) } else { 0.0 }
    };
    let mut output = Vec::new();
    for b in 0..batch {
        for oy in 0..out_height {
            for ox in 0..out_width {
                for o in 0..outputs {
                    let mut sum = 0.0;
                    for ky in 0..kernel_height {
                        for kx in 0..kernel_width {
                            for c in 0..inputs {
                                let weight = f64::from(weights[((o * kernel_height + ky) * kernel_width + kx) * inputs + c]);
                                sum += weight * pixel(b, oy * options.stride + ky, ox * options.stride + kx, c);
                            }
                        }
                    }
                    output.push(sum as f32);
                }
            }
        }
    }
    Tensor::from_f32(output, &[batch, out_height, out_width, outputs]).unwrap()
}

fn constant(tensor: &Tensor) -> Var {
    Var::constant(tensor.clone())
}

const VAE_DOWNSAMPLER: Conv2dOptions = Conv2dOptions { stride: 2, padding: [0, 1, 0, 1] };

#[test]
fn values() {
    for channels in [1, 3, 4, 5, 17, 64] {
        for outputs in [1, 4, 33, 64] {
            for (kernel, options) in [
                ([1, 1], Conv2dOptions::new(1, 0)),
                ([1, 1], Conv2dOptions::new(2, 0)),
                ([3, 3], Conv2dOptions::new(1, 1)),
                ([3, 3], Conv2dOptions::new(2, 1)),
                ([3, 3], VAE_DOWNSAMPLER),
                ([7, 7], Conv2dOptions::new(2, 3)),
                ([3, 2], Conv2dOptions { stride: 3, padding: [2, 0, 0, 1] }),
            ] {
                let x = random("x", &[2, 9, 6, channels]);
                let weight = random("w", &[outputs, kernel[0], kernel[1], channels]);
                let found = conv2d(&constant(&x), &constant(&weight), None, options, Epilogue::default()).unwrap();
                assert_close(&found, &naive(&x, &weight, options), 2e-6);
            }
        }
    }
}

/// What multiplies products in these tests.
const SCALE: f32 = 0.7;

/// Images large enough for Winograd's algorithm, with ragged tiles, channels and paddings.
#[test]
fn values_of_large_images() {
    for (size, channels, outputs, padding) in
        [([8, 8], 16, 16, [1; 4]), ([11, 14], 20, 33, [1; 4]), ([12, 9], 150, 40, [0, 2, 2, 1]), ([16, 64], 33, 17, [2, 0, 1, 1])]
    {
        let options = Conv2dOptions { stride: 1, padding };
        let x = random("x", &[3, size[0], size[1], channels]);
        let weight = random("w", &[outputs, 3, 3, channels]);
        let expected = naive(&x, &weight, options);
        let residual = random("r", expected.shape());
        let sum: Vec<f32> = expected.to_f32_vec().unwrap().iter().zip(residual.to_f32_vec().unwrap()).map(|(a, b)| SCALE * a + b).collect();
        let residual = constant(&residual);
        let epilogue = Epilogue { scale: SCALE, residual: Some(&residual), ..Epilogue::default() };
        let found = conv2d(&constant(&x), &constant(&weight), None, options, epilogue).unwrap();
        assert_close(&found, &Tensor::from_f32(sum, expected.shape()).unwrap(), 2e-6);
        // Convolution is linear in both: <conv(x, w), g> = <x, gradient of x> = <w, gradient of w> for any g.
        let leaves = [Var::leaf(x.clone()), Var::leaf(weight.clone())];
        let output = conv2d(&leaves[0], &leaves[1], None, options, Epilogue { scale: SCALE, ..Epilogue::default() }).unwrap();
        let gradients = output.backward_from(expected.clone()).unwrap();
        let dot = |a: &Tensor, b: &Tensor| -> f64 {
            a.to_f32_vec().unwrap().iter().zip(b.to_f32_vec().unwrap()).map(|(&a, b)| f64::from(a) * f64::from(b)).sum()
        };
        let forward = dot(&output, &expected);
        for (leaf, value) in leaves.iter().zip([&x, &weight]) {
            let backward = dot(value, gradients.get(leaf).unwrap());
            assert!((forward - backward).abs() < 1e-6 * forward.abs(), "{forward} {backward}");
        }
    }
}

#[test]
fn everything_behind_it_is_multiplied_and_added() {
    let (x, weight) = (random("x", &[2, 5, 4, 3]), random("w", &[6, 3, 3, 3]));
    let options = Conv2dOptions::new(1, 1);
    let (bias, per_channel, residual) = (random("b", &[6]), random("t", &[2, 6]), random("r", &[2, 5, 4, 6]));
    let mut expected = naive(&x, &weight, options).to_f32_vec().unwrap();
    let (b, t, r) = (bias.to_f32_vec().unwrap(), per_channel.to_f32_vec().unwrap(), residual.to_f32_vec().unwrap());
    for (index, value) in expected.iter_mut().enumerate() {
        *value = SCALE * *value + b[index % 6] + t[index / 120 * 6 + index % 6] + r[index];
    }
    let (per_channel, residual) = (constant(&per_channel), constant(&residual));
    let epilogue = Epilogue { scale: SCALE, per_channel: Some(&per_channel), residual: Some(&residual) };
    let found = conv2d(&constant(&x), &constant(&weight), Some(&constant(&bias)), options, epilogue).unwrap();
    assert_close(&found, &Tensor::from_f32(expected, &[2, 5, 4, 6]).unwrap(), 2e-6);
}

#[test]
fn gradients() {
    for (size, kernel, options) in [
        ([4, 3], [1, 1], Conv2dOptions::new(1, 0)),
        ([4, 5], [1, 1], Conv2dOptions::new(2, 0)),
        ([5, 4], [3, 3], Conv2dOptions::new(1, 1)),
        ([5, 6], [3, 3], Conv2dOptions::new(2, 1)),
        ([6, 4], [3, 3], VAE_DOWNSAMPLER),
        ([7, 5], [3, 2], Conv2dOptions { stride: 3, padding: [2, 0, 0, 1] }),
        ([6, 5], [7, 7], Conv2dOptions::new(2, 3)),
    ] {
        let x = random("x", &[2, size[0], size[1], 3]);
        let weight = random("w", &[5, kernel[0], kernel[1], 3]);
        let output = naive(&x, &weight, options);
        let inputs = [x, weight, random("b", &[5]), random("t", &[2, 5]), random("r", output.shape())];
        assert_gradients(&inputs, 1e-1, 2e-4, |vars| {
            let epilogue = Epilogue { scale: SCALE, per_channel: Some(&vars[3]), residual: Some(&vars[4]) };
            conv2d(&vars[0], &vars[1], Some(&vars[2]), options, epilogue)
        });
    }
}

/// Shapes on both sides of every choice of algorithm.
const SHAPES: [([usize; 3], usize, Conv2dOptions); 4] = [
    ([8, 8, 64], 64, Conv2dOptions::new(1, 1)),
    ([33, 32, 32], 48, Conv2dOptions::new(1, 1)),
    ([16, 16, 5], 3, Conv2dOptions::new(1, 1)),
    ([16, 15, 40], 64, VAE_DOWNSAMPLER),
];

#[test]
fn images_of_a_batch_do_not_influence_each_other() {
    for ([height, width, channels], outputs, options) in SHAPES {
        let x = random("x", &[4, height, width, channels]);
        let weight = constant(&random("w", &[outputs, 3, 3, channels]));
        let batch = conv2d(&constant(&x), &weight, None, options, Epilogue::default()).unwrap();
        let whole = batch.to_f32_vec().unwrap();
        let pixels = x.to_f32_vec().unwrap();
        for (image, expected) in pixels.chunks(pixels.len() / 4).zip(whole.chunks(whole.len() / 4)) {
            let image = Tensor::from_f32(image.to_vec(), &[1, height, width, channels]).unwrap();
            let alone = conv2d(&constant(&image), &weight, None, options, Epilogue::default()).unwrap();
            assert!(alone.to_f32_vec().unwrap() == expected, "{height} x {width} x {channels}");
        }
    }
}

#[test]
fn threads_change_nothing() {
    for ([height, width, channels], outputs, options) in SHAPES {
        let run = || {
            let x = Var::leaf(random("x", &[3, height, width, channels]));
            let weight = Var::leaf(random("w", &[outputs, 3, 3, channels]));
            let output = conv2d(&x, &weight, None, options, Epilogue::default()).unwrap();
            let gradients = output.backward_from(random("g", output.shape())).unwrap();
            [output.to_f32_vec(), gradients.get(&x).unwrap().to_f32_vec(), gradients.get(&weight).unwrap().to_f32_vec()].map(Result::unwrap)
        };
        let with = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
        assert!(with(1) == with(2) && with(1) == with(5), "{height} x {width} x {channels}");
    }
}

#[test]
fn the_element_type_of_x_is_kept() {
    let x = random("x", &[1, 4, 4, 3]).to_dtype(DType::BF16).unwrap();
    let weight = random("w", &[2, 3, 3, 3]);
    let options = Conv2dOptions::new(1, 1);
    let found = conv2d(&constant(&x), &constant(&weight), None, options, Epilogue::default()).unwrap();
    assert_eq!(found.dtype(), DType::BF16);
    assert_close(&found, &naive(&x, &weight, options), 5e-3);
}

#[test]
fn refuses_shapes_that_do_not_fit() {
    let var = |shape: &[usize]| Var::constant(Tensor::zeros(shape));
    let refused = |x: &[usize], weight: &[usize], bias: usize, options: Conv2dOptions| {
        let error = conv2d(&var(x), &var(weight), Some(&var(&[bias])), options, Epilogue::default()).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        error.to_string()
    };
    let same = Conv2dOptions::new(1, 1);
    assert!(refused(&[1, 4, 4, 3], &[2, 3, 3, 4], 2, same).contains("takes 4 channels"));
    assert!(refused(&[4, 4, 3], &[2, 3, 3, 3], 2, same).contains("[batch, height, width, in]"));
    assert!(refused(&[1, 4, 4, 3], &[2, 3, 3], 2, same).contains("[out, kernel height, kernel width, in]"));
    assert!(refused(&[1, 4, 4, 3], &[2, 3, 3, 3], 3, same).contains("a bias of shape [2], found [3]"));
    assert!(refused(&[1, 4, 4, 3], &[2, 3, 3, 3], 2, Conv2dOptions::new(0, 1)).contains("stride 0"));
    assert!(refused(&[1, 2, 4, 3], &[2, 3, 3, 3], 2, Conv2dOptions::new(1, 0)).contains("larger than the padded image of 2 x 4"));
    let residual = var(&[1, 4, 4, 3]);
    let epilogue = Epilogue { residual: Some(&residual), ..Epilogue::default() };
    let error = conv2d(&var(&[1, 4, 4, 3]), &var(&[2, 3, 3, 3]), None, same, epilogue).unwrap_err().to_string();
    assert!(error.contains("a residual of shape [1, 4, 4, 2], found [1, 4, 4, 3]"), "{error}");
}

#[test]
fn gpus_agree_on_ragged_shapes() {
    // x, outputs, window, stride, padding.
    let cases = [
        ([1, 5, 7, 8], 16, [3, 3], 1, [1, 1, 1, 1]),
        ([3, 4, 4, 16], 8, [3, 3], 2, [1, 1, 1, 1]),
        ([2, 5, 6, 24], 16, [3, 3], 2, [0, 1, 0, 1]),
        ([1, 6, 5, 40], 72, [1, 1], 1, [0; 4]),
        ([1, 4, 4, 136], 64, [3, 3], 1, [1, 1, 1, 1]),
        ([2, 5, 4, 4], 6, [3, 3], 1, [1, 1, 1, 1]),
        ([1, 7, 7, 3], 5, [7, 7], 2, [3, 3, 3, 3]),
        ([1, 3, 4, 2], 3, [2, 3], 3, [1, 2, 0, 1]),
    ];
    for (size, outputs, window, stride, padding) in cases {
        let options = Conv2dOptions { stride, padding };
        let weight = random("w", &[outputs, window[0], window[1], size[3]]);
        let x = Var::constant(random("x", &size));
        let output = conv2d(&x, &Var::constant(weight.clone()), None, options, Epilogue::default()).unwrap();
        let inputs =
            [random("x", &size), weight, random("b", &[outputs]), random("per channel", &[size[0], outputs]), random("residual", output.shape())];
        assert_devices_agree(&inputs, |v, _| {
            let epilogue = Epilogue { scale: SCALE, per_channel: Some(&v[3]), residual: Some(&v[4]) };
            conv2d(&v[0], &v[1], Some(&v[2]), options, epilogue)
        });
        assert_devices_agree(&inputs[..2], |v, _| conv2d(&v[0], &v[1], None, options, Epilogue::default()));
    }
}

/// Channels of two tensors, and pixels that are met twice, are read as if they had been written: the same bits, with and without a gradient.
#[test]
fn what_is_read_in_place_is_what_would_be_written() {
    // Both algorithms; channels that end within a vector, a tile or a chunk of either.
    for (size, channels, outputs, kernel, stride) in [
        ([5, 4], [3, 4], 6, 3, 1),
        ([9, 12], [20, 13], 33, 3, 1),
        ([16, 18], [130, 41], 40, 3, 1),
        ([6, 5], [24, 16], 8, 1, 1),
        ([9, 8], [5, 7], 3, 3, 2),
    ] {
        let image = |name: &str, channels: usize| random(name, &[2, size[0], size[1], channels]);
        let (first, second) = (constant(&image("a", channels[0])), constant(&image("b", channels[1])));
        let weight = random("w", &[outputs, kernel, kernel, channels[0] + channels[1]]);
        let bias = constant(&random("b", &[outputs]));
        let options = Conv2dOptions::new(stride, kernel / 2);
        let apply = |x: Source, weight: &Var| conv2d(x, weight, Some(&bias), options, Epilogue::default()).unwrap();
        let joined = ops::concat(&[&first, &second], 3).unwrap();
        for weight in [Var::constant(weight.clone()), Var::leaf(weight)] {
            let (found, expected) = (apply([&first, &second].into(), &weight), apply((&joined).into(), &weight));
            assert_eq!(found.wants_gradient(), weight.wants_gradient());
            assert_eq!(found.to_f32_vec().unwrap(), expected.to_f32_vec().unwrap());
        }
    }
    for (size, channels, outputs, kernel, stride) in [([5, 4], 3, 6, 3, 1), ([9, 11], 20, 33, 3, 1), ([12, 10], 140, 40, 3, 1), ([4, 3], 5, 3, 2, 2)]
    {
        let x = random("x", &[2, size[0], size[1], channels]);
        let weight = constant(&random("w", &[outputs, kernel, kernel, channels]));
        let options = Conv2dOptions::new(stride, 1);
        for end in [[2 * size[0], 2 * size[1]], [2 * size[0] - 1, 2 * size[1]], [2 * size[0] - 1, 2 * size[1] - 1]] {
            for x in [Var::constant(x.clone()), Var::leaf(x.clone())] {
                let found = conv2d(Source::doubled(&x, end), &weight, None, options, Epilogue::default()).unwrap();
                let written = Source::doubled(&x, end).written().unwrap();
                let expected = conv2d(&written, &weight, None, options, Epilogue::default()).unwrap();
                assert_eq!(found.shape(), expected.shape());
                assert_eq!(found.to_f32_vec().unwrap(), expected.to_f32_vec().unwrap());
                assert_eq!(found.wants_gradient(), x.wants_gradient());
            }
        }
    }
}

#[test]
fn refuses_images_that_do_not_lie_beside_each_other() {
    let var = |shape: &[usize]| Var::constant(Tensor::zeros(shape));
    let refused = |x: Source| conv2d(x, &var(&[2, 3, 3, 5]), None, Conv2dOptions::new(1, 1), Epilogue::default()).unwrap_err().to_string();
    let (x, narrow) = (var(&[1, 4, 4, 3]), var(&[1, 4, 3, 2]));
    assert!(refused([&x, &narrow].into()).contains("[1, 4, 4, 3] and [1, 4, 3, 2] do not lie beside each other"));
    let half = Var::constant(Tensor::zeros(&[1, 4, 4, 2]).to_dtype(DType::F16).unwrap());
    assert!(refused([&x, &half].into()).contains("f32 and f16"));
    let five = var(&[1, 4, 4, 5]);
    assert!(refused(Source::doubled(&five, [9, 8])).contains("repeated twice do not end at 9 x 8"));
}

#[test]
fn gpus_agree_on_what_they_read_in_place() {
    // Whole packs and odd channels, first channels that end within a box, one tap and many; every route.
    for (size, channels, outputs, kernel, stride) in [
        ([5, 7], [8, 16], 16, 3, 1),
        ([4, 4], [72, 64], 24, 3, 1),
        ([6, 5], [40, 24], 72, 1, 1),
        ([9, 6], [136, 8], 8, 3, 1),
        ([5, 6], [24, 8], 16, 3, 2),
        ([4, 5], [3, 5], 7, 3, 1),
    ] {
        let image = |name: &str, channels: usize| random(name, &[3, size[0], size[1], channels]);
        let weight = random("w", &[outputs, kernel, kernel, channels[0] + channels[1]]);
        let inputs = [image("a", channels[0]), image("b", channels[1]), weight, random("bias", &[outputs])];
        let options = Conv2dOptions::new(stride, kernel / 2);
        let joined = |v: &[Var]| conv2d([&v[0], &v[1]], &v[2], Some(&v[3]), options, Epilogue::default());
        assert_devices_agree_on_values(&inputs, |v, _| joined(v));
    }
    for (half, end, channels, outputs, kernel) in [
        ([4, 4], [8, 8], 16, 24, 3),
        ([3, 7], [6, 14], 72, 40, 3),
        ([11, 9], [22, 18], 8, 72, 3),
        ([4, 3], [7, 6], 24, 16, 3),
        ([4, 3], [7, 5], 5, 6, 3),
        ([5, 4], [10, 8], 40, 8, 2),
    ] {
        let weight = random("w", &[outputs, kernel, kernel, channels]);
        let inputs = [random("x", &[2, half[0], half[1], channels]), weight, random("bias", &[outputs]), random("time", &[2, outputs])];
        assert_devices_agree_on_values(&inputs, |v, _| {
            let epilogue = Epilogue { per_channel: Some(&v[3]), ..Epilogue::default() };
            conv2d(Source::doubled(&v[0], end), &v[1], Some(&v[2]), Conv2dOptions::new(1, 1), epilogue)
        });
    }
}

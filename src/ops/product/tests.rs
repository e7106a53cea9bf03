use std::sync::{Arc, Mutex};

use super::cuda::{Tiles, Windows, claims};
use super::tuning::{Runs, Trial, Tuner, tune_by};
use super::{Activation, Lies, Route, Shape, Tiling};
use crate::autograd::Var;
use crate::device::{Device, recording};
use crate::error::Result;
use crate::ops::{self, Conv2dOptions, Epilogue, LinearEpilogue};
use crate::tensor::DType;
use crate::testing::{assert_devices_agree, devices, random};

const H100: usize = 132;

fn matrix(rows: usize, channels: usize) -> Windows {
    Windows::of_matrix(rows, channels)
}

fn image(cells: [usize; 3], channels: usize) -> Windows {
    Windows {
        cells,
        image: [cells[1], cells[2]],
        taps: [3, 3],
        before: [1, 1],
        channels,
        first_channels: channels,
        doubled: false,
        right: Lies::Along,
    }
}

#[test]
fn tiles_of_the_heavy_shapes_fill_the_device_and_fit_their_images() {
    // GEGLU and attention of the UNet's first level at batch 8; a residual block of it; the decoder's widest at batch 1.
    let tiles = |windows: &Windows, columns: usize, nominal| Tiles::choose(1, H100, windows, columns, nominal);
    assert_eq!(
        tiles(&matrix(8192, 320), 2560, 8192),
        Tiles { columns: 256, cells: [1, 1, 128], right: Lies::Along, splits: 1, cluster: 1, blocks: H100 }
    );
    assert_eq!(
        tiles(&matrix(8192, 320), 320, 8192),
        Tiles { columns: 160, cells: [1, 1, 128], right: Lies::Along, splits: 1, cluster: 1, blocks: 128 }
    );
    assert_eq!(
        tiles(&image([8, 32, 32], 320), 320, 8192),
        Tiles { columns: 160, cells: [1, 4, 32], right: Lies::Along, splits: 1, cluster: 1, blocks: 128 }
    );
    assert_eq!(
        tiles(&image([1, 512, 512], 128), 128, 8 * 512 * 512),
        Tiles { columns: 128, cells: [1, 1, 128], right: Lies::Along, splits: 1, cluster: 1, blocks: H100 }
    );
    // Few cells and a long depth: the depth is divided.
    let small = tiles(&image([8, 4, 4], 1280), 1280, 128);
    assert_eq!((small.cells, small.splits), ([8, 4, 4], 13));
    assert!(small.blocks > 100, "{small:?}");
    // Ragged images: five boxes of two columns of all three, where wide ones would be six.
    assert_eq!(tiles(&image([3, 11, 9], 64), 64, 8 * 99).cells, [4, 16, 2]);
}

#[test]
fn parts_of_the_depth_do_not_depend_on_the_batch_and_none_is_empty() {
    for channels in [64, 328, 1280, 2560] {
        for columns in [64, 320, 1280] {
            let splits: Vec<usize> =
                [1, 2, 8, 32].map(|batch| Tiles::choose(1, H100, &image([batch, 8, 8], channels), columns, 8 * 64).splits).to_vec();
            assert!(splits.windows(2).all(|pair| pair[0] == pair[1]), "{splits:?}");
            let steps = 9 * channels.div_ceil(64);
            assert!((splits[0] - 1) * steps.div_ceil(splits[0]) < steps, "{channels} channels in {} parts", splits[0]);
        }
    }
}

#[test]
fn clusters_have_whole_pairs_of_tiles() {
    for rows in [1, 128, 129, 700, 8192] {
        for (columns, activation) in [(320, Activation::None), (2560, Activation::Geglu), (72, Activation::Silu)] {
            let windows = matrix(rows, 320);
            let of = |route| Tiles::of_product(route, H100, &windows, columns, 8192, activation).unwrap();
            let (single, clusters) = (of(Route::Hopper), of(Route::Multicast));
            assert!(clusters.blocks.is_multiple_of(2) && clusters.items(&windows, columns).is_multiple_of(2), "{rows} {columns}");
            assert_eq!((clusters.splits, clusters.cluster), (single.splits, 2));
            assert!(clusters.blocks <= H100 && clusters.blocks >= single.blocks.min(H100 - 1), "{clusters:?} {single:?}");
        }
    }
    assert_eq!(Tiles::of_product(Route::TensorCores, H100, &matrix(7, 8), 8, 56, Activation::None), None);
    // An odd number of multiprocessors leaves one without work.
    assert_eq!(Tiles::of_product(Route::Multicast, 7, &matrix(8192, 320), 320, 8192, Activation::None).map(|tiles| tiles.blocks), Some(6));
}

#[test]
fn odd_channels_stay_with_other_routes() {
    assert!(claims(&matrix(7, 24), 40));
    assert!(!claims(&matrix(7, 20), 40) && !claims(&matrix(7, 24), 4) && !claims(&matrix(7, 0), 8));
}

#[test]
fn plain_tiles_are_for_the_plain_route() {
    assert_eq!(Tiling::choose(Route::Plain, [8192, 640, 640], 8192).name, "plain");
    assert_eq!(Tiling::choose(Route::TensorCores, [8192, 640, 640], 8192).name, "128x128");
}

/// The fastest route that `f` takes on a GPU in f16, of those that are not faster than `most`.
fn taken(device: Device, most: Route, f: impl Fn(&[Var]) -> Var, shapes: &[&[usize]]) -> Option<Route> {
    let there = |shape: &&[usize]| Var::constant(random("x", shape).to_dtype(DType::F16).unwrap().to_device(device).unwrap());
    let inputs: Vec<Var> = shapes.iter().map(there).collect();
    most.at_most(|| f(&inputs)).1
}

#[test]
fn gpus_agree_on_every_route_and_take_the_fastest_that_may_be() {
    let linear = |x: &[Var]| ops::linear(&x[0], &x[1], None).unwrap();
    let strided = |x: &[Var]| ops::conv2d(&x[0], &x[1], None, Conv2dOptions::new(2, 1), Epilogue::default()).unwrap();
    let shapes: [&[usize]; 2] = [&[3, 40], &[48, 40]];
    for device in devices() {
        let Device::Cuda(cuda) = device else {
            assert_eq!(taken(device, Route::Multicast, linear, &shapes), None);
            continue;
        };
        let fastest = Route::ALL.into_iter().rfind(|route| route.is_on(cuda, DType::F16)).unwrap();
        for route in Route::ALL.into_iter().filter(|route| *route <= fastest) {
            assert_eq!(taken(device, route, linear, &shapes), Some(route));
        }
        assert_eq!(taken(device, Route::Multicast, strided, &[&[1, 6, 6, 8], &[8, 3, 3, 8]]), Some(fastest.min(Route::TensorCores)));
        // A route that was refused is passed over, for that op and type alone. The plain one, the only one of an old device, has none to stand for it.
        let next = Route::ALL.into_iter().rfind(|route| *route < fastest).unwrap_or(Route::Plain);
        let last = |dtype| Route::usable(cuda, "an op of this test", dtype, [Route::TensorCores, Route::Hopper, Route::Multicast].map(Some)).pop();
        fastest.refuse(cuda, "an op of this test", DType::F16);
        assert_eq!([DType::F16, DType::BF16, DType::F32].map(last), [Some(next), Some(fastest), Some(Route::Plain)]);
    }
}

/// Columns of the product that [`Backwards`] times; no other test has so many.
const TIMED: usize = 5000;

/// Says that plain kernels are the fastest.
#[derive(Default)]
struct Backwards {
    runs: Mutex<Vec<Runs>>,
}

impl Tuner for Backwards {
    fn kept(&self, _: &Shape) -> Option<Vec<Trial>> {
        None
    }

    fn tune(&self, shape: &Shape, routes: &[Route], measure: &mut dyn FnMut(Route) -> Result<Runs>) -> Vec<Trial> {
        if shape.columns != TIMED {
            return Vec::new();
        }
        self.runs.lock().unwrap().extend(routes.iter().map(|route| measure(*route).unwrap()));
        routes.iter().map(|&route| Trial { route, milliseconds: 1.0 + f64::from(route as u8), error: None }).collect()
    }
}

#[test]
fn gpus_agree_on_the_route_that_was_fastest_in_every_batch() {
    for device in devices() {
        let Device::Cuda(cuda) = device else { continue };
        let tuner = Arc::new(Backwards::default());
        tune_by(cuda, Arc::<Backwards>::clone(&tuner));
        let there = |shape: &[usize]| Var::constant(random("x", shape).to_dtype(DType::F16).unwrap().to_device(device).unwrap());
        let weight = there(&[TIMED, 16]);
        let linear = |rows: usize| ops::linear(&there(&[rows, 16]), &weight, None).unwrap();
        linear(3);
        let routes = Route::ALL.into_iter().filter(|route| route.is_on(cuda, DType::F16)).count();
        {
            let runs = tuner.runs.lock().unwrap();
            assert_eq!(runs.len(), if routes > 1 { routes } else { 0 });
            for Runs { milliseconds, error } in runs.iter() {
                assert!((3..=21).contains(&milliseconds.len()) && milliseconds.iter().all(|time| *time > 0.0), "{milliseconds:?}");
                assert!(error.unwrap() <= DType::F16.tolerance());
            }
        }
        let pieces = recording::record(Some(cuda), || {
            linear(300);
            Ok(())
        });
        let launched: Vec<&str> = pieces.unwrap().iter().map(|piece| piece.name).filter(|name| name.starts_with("linear")).collect();
        assert_eq!(launched, ["linear_forward_plain"]);
        assert_eq!(tuner.runs.lock().unwrap().len(), if routes > 1 { routes } else { 0 }, "it is timed once");
        // Who tells the routes is obeyed.
        assert_eq!(Route::Multicast.at_most(|| linear(2)).1, Route::ALL.into_iter().rfind(|route| route.is_on(cuda, DType::F16)));
    }
}

/// Tiles that reach over the ends of rows, columns and depth, more tiles than blocks, divided depths, windows that reach over all edges; clusters of which
/// one block has no rows, in the first band of tiles and in a later one.
#[test]
fn gpus_agree_on_products_of_hopper() {
    for route in [Route::Hopper, Route::Multicast] {
        route.at_most(products_on_hopper);
    }
}

fn products_on_hopper() {
    for (rows, inputs, outputs) in [(1, 8, 8), (130, 72, 200), (3, 2080, 24), (129, 64, 328), (700, 16, 72), (1300, 16, 72)] {
        let inputs = [random("x", &[rows, inputs]), random("w", &[outputs, inputs]), random("b", &[outputs])];
        assert_devices_agree(&inputs, |v, _| ops::linear_with(&v[0], &v[1], Some(&v[2]), LinearEpilogue::Scale(0.6)));
    }
    for (cells, channels, outputs, kernel, padding) in [
        ([1, 5, 7], 8, 16, [3, 3], [1, 1, 1, 1]),
        ([3, 11, 9], 72, 72, [3, 3], [1, 1, 1, 1]),
        ([3, 4, 4], 264, 24, [3, 3], [1, 1, 1, 1]),
        ([1, 9, 6], 40, 8, [2, 5], [2, 0, 0, 3]),
        ([3, 12, 17], 24, 40, [1, 1], [0, 0, 0, 0]),
    ] {
        let [batch, height, width] = cells;
        let x = random("x", &[batch, height, width, channels]);
        let out = [height + padding[0] + padding[1] - kernel[0] + 1, width + padding[2] + padding[3] - kernel[1] + 1];
        let weight = random("w", &[outputs, kernel[0], kernel[1], channels]);
        let terms = [random("b", &[outputs]), random("t", &[batch, outputs]), random("r", &[batch, out[0], out[1], outputs])];
        let [bias, time, residual] = terms;
        assert_devices_agree(&[x, weight, bias, time, residual], |v, _| {
            let epilogue = Epilogue { scale: 0.6, per_channel: Some(&v[3]), residual: Some(&v[4]) };
            ops::conv2d(&v[0], &v[1], Some(&v[2]), Conv2dOptions { stride: 1, padding }, epilogue)
        });
    }
}

/// Clusters add in the same order as single blocks.
#[test]
fn gpus_agree_to_the_bit_with_and_without_clusters() {
    for device in devices() {
        let Device::Cuda(cuda) = device else { continue };
        if !Route::Multicast.is_on(cuda, DType::F16) {
            continue;
        }
        let there = |name: &str, shape: &[usize]| Var::constant(random(name, shape).to_dtype(DType::F16).unwrap().to_device(device).unwrap());
        let [rows, gated, image, window] =
            [("x", &[300, 136][..]), ("w", &[272, 136]), ("i", &[3, 11, 9, 72]), ("k", &[328, 3, 3, 72])].map(|(name, shape)| there(name, shape));
        let products: [&dyn Fn() -> Result<Var>; 2] = [&|| ops::linear_with(&rows, &gated, None, LinearEpilogue::Geglu), &|| {
            ops::conv2d(&image, &window, None, Conv2dOptions::new(1, 1), Epilogue::default())
        }];
        for product in products {
            let [single, clusters] = [Route::Hopper, Route::Multicast].map(|route| {
                let (result, taken) = route.at_most(product);
                assert_eq!(taken, Some(route));
                result.unwrap().to_f32_vec().unwrap()
            });
            assert!(single == clusters && single.iter().any(|value| *value != 0.0));
        }
    }
}

/// Of stride 1, with channels in whole packs.
#[test]
fn gpus_agree_that_gradients_of_inputs_take_hoppers_kernels() {
    for device in devices() {
        let Device::Cuda(cuda) = device else { continue };
        let there = |name: &str, shape: &[usize]| random(name, shape).to_dtype(DType::F16).unwrap().to_device(device).unwrap();
        let (x, weight) = (Var::leaf(there("x", &[3, 5, 6, 16])), Var::constant(there("w", &[24, 3, 3, 16])));
        let by = |route: Route| {
            let pass = || -> Result<()> {
                let y = ops::conv2d(&x, &weight, None, Conv2dOptions::new(1, 1), Epilogue::default())?;
                y.backward_from(there("g", y.shape())).map(drop)
            };
            let pieces = recording::record(Some(cuda), || route.at_most(pass).0).unwrap();
            pieces.iter().map(|piece| piece.name).filter(|name| name.starts_with("product_")).collect::<Vec<_>>()
        };
        for (route, expected) in [
            (Route::TensorCores, [].as_slice()),
            (Route::Hopper, &["product_128x64", "product_across_128x64"]),
            (Route::Multicast, &["product_multicast_128x64", "product_multicast_across_128x64"]),
        ] {
            assert_eq!(by(route), if route.is_on(cuda, DType::F16) { expected } else { &[] }, "{route}");
        }
    }
}

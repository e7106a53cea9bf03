//! What is compared: every op, in shapes that reach each of its kernels: whole and ragged tiles, every head width of attention, odd channels.

use super::random;
use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::ops::{self, Activation, BatchNormMode, Conv2dOptions, Epilogue, Formula, LinearEpilogue, MaskedMean, Reweighting, Source};
use crate::tensor::random::Stream;
use crate::tensor::replay::numbers;
use crate::tensor::{DType, Tensor};

type Run = Box<dyn Fn(&[Var], Device) -> Result<Var>>;

/// One comparison.
pub(super) struct Case {
    /// The op and its shape.
    pub op: String,
    /// The op as its routes know it, where it has several kernels.
    pub routed: Option<&'static str>,
    /// Whether its inputs have gradients.
    pub gradients: bool,
    /// The op.
    pub run: Run,
    shapes: Vec<Vec<usize>>,
    /// Every device gives the same bits; f32 alone.
    exact: bool,
}

impl Case {
    fn new(op: impl Into<String>, shapes: &[&[usize]], run: impl Fn(&[Var], Device) -> Result<Var> + 'static) -> Self {
        let shapes = shapes.iter().map(|shape| shape.to_vec()).collect();
        Self { op: op.into(), routed: None, gradients: true, run: Box::new(run), shapes, exact: false }
    }

    /// Without gradients, as in a pass that wants none: then what can be is read in place.
    fn value(op: impl Into<String>, shapes: &[&[usize]], run: impl Fn(&[Var], Device) -> Result<Var> + 'static) -> Self {
        Self { gradients: false, ..Self::new(op, shapes, run) }
    }

    fn exact(op: &str, shapes: &[&[usize]], run: impl Fn(&[Var], Device) -> Result<Var> + 'static) -> Self {
        Self { gradients: false, exact: true, ..Self::new(op, shapes, run) }
    }

    fn routed(self, name: &'static str) -> Self {
        Self { routed: Some(name), ..self }
    }

    /// Random inputs.
    pub(super) fn inputs(&self) -> Vec<Tensor> {
        let input = |(position, shape): (usize, &Vec<usize>)| random(&format!("{} {position}", self.op), shape);
        self.shapes.iter().enumerate().filter_map(|shape| input(shape).ok()).collect()
    }

    /// The element types that the op computes in.
    pub(super) fn dtypes(&self) -> &'static [DType] {
        if self.exact { &[DType::F32] } else { &[DType::F32, DType::F16, DType::BF16] }
    }

    /// What the relative error may be.
    pub(super) fn tolerance(&self, dtype: DType) -> f64 {
        if self.exact { 0.0 } else { dtype.tolerance() }
    }
}

/// A constant beside the inputs: 0 or 1.
fn marks(shape: &[usize], device: Device) -> Result<Tensor> {
    let count = shape.iter().product();
    Tensor::from_f32((0..count).map(|index: usize| f32::from(u8::from(index % 3 != 1))).collect::<Vec<_>>(), shape)?.to_device(device)
}

/// Every comparison, for a device of so many multiprocessors.
pub(super) fn all(processors: usize) -> Vec<Case> {
    [products(), matrices_in_every_tile(processors), attentions(), norms(), elements(), images(), losses(), sampling()]
        .into_iter()
        .flatten()
        .collect()
}

fn products() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, inputs, outputs] in [[130, 96, 72], [7, 33, 17], [4, 320, 640]] {
        let shapes: [&[usize]; 3] = [&[2, rows, inputs], &[outputs, inputs], &[outputs]];
        let case = Case::new(format!("linear {rows}x{inputs}->{outputs}"), &shapes, |x, _| ops::linear(&x[0], &x[1], Some(&x[2])));
        cases.push(case.routed("linear"));
    }
    for [rows, inputs, outputs] in [[130, 96, 144], [7, 33, 34], [4, 320, 640]] {
        let shapes: [&[usize]; 3] = [&[2, rows, inputs], &[outputs, inputs], &[outputs]];
        let behind = [
            ("silu", LinearEpilogue::Silu),
            ("gelu", LinearEpilogue::Gelu),
            ("quick_gelu", LinearEpilogue::QuickGelu),
            ("geglu", LinearEpilogue::Geglu),
        ];
        for (name, epilogue) in behind {
            let case = Case::value(format!("linear and {name} {rows}x{inputs}->{outputs}"), &shapes, move |x, _| {
                ops::linear_with(&x[0], &x[1], Some(&x[2]), epilogue)
            });
            cases.push(case.routed("linear"));
        }
        let shapes: [&[usize]; 4] = [&[2, rows, inputs], &[outputs, inputs], &[outputs], &[2, rows, outputs]];
        let case = Case::new(format!("linear and a residual {rows}x{inputs}->{outputs}"), &shapes, |x, _| {
            ops::linear_with(&x[0], &x[1], Some(&x[2]), LinearEpilogue::Residual(&x[3]))
        });
        cases.push(case.routed("linear"));
    }
    for ([inputs, outputs], kernel, stride) in [([16, 24], 3, 1), ([32, 64], 3, 2), ([3, 20], 3, 1), ([40, 4], 3, 1), ([64, 48], 1, 1)] {
        let shapes: [&[usize]; 3] = [&[2, 11, 9, inputs], &[outputs, kernel, kernel, inputs], &[outputs]];
        let options = Conv2dOptions::new(stride, kernel / 2);
        let case = Case::new(format!("conv2d {kernel}x{kernel}/{stride} {inputs}->{outputs}"), &shapes, move |x, _| {
            ops::conv2d(&x[0], &x[1], Some(&x[2]), options, Epilogue::default())
        });
        cases.push(case.routed("conv2d"));
    }
    // Whole tiles and ragged ones, channels of two tensors, pixels that are met twice; odd sizes leave the last half of them out.
    let joined: [&[usize]; 4] = [&[2, 9, 7, 72], &[2, 9, 7, 40], &[48, 3, 3, 112], &[48]];
    let case = Case::value("conv2d of two tensors", &joined, |x, _| {
        ops::conv2d([&x[0], &x[1]], &x[2], Some(&x[3]), Conv2dOptions::new(1, 1), Epilogue::default())
    });
    cases.push(case.routed("conv2d"));
    for size in [[12, 10], [11, 9]] {
        let shapes: [&[usize]; 3] = [&[2, 6, 5, 40], &[48, 3, 3, 40], &[48]];
        let case = Case::value(format!("conv2d of pixels repeated to {}x{}", size[0], size[1]), &shapes, move |x, _| {
            ops::conv2d(Source::doubled(&x[0], size), &x[1], Some(&x[2]), Conv2dOptions::new(1, 1), Epilogue::default())
        });
        cases.push(case.routed("conv2d"));
    }
    // The second has a depth that is divided.
    for (size, channels) in [(8, 32), (4, 136)] {
        let image: &[usize] = &[2, size, size, channels];
        let shapes: [&[usize]; 5] = [image, &[channels, 3, 3, channels], &[channels], &[2, channels], image];
        let case = Case::new(format!("conv2d with time and residual, {channels} channels"), &shapes, |x, _| {
            let epilogue = Epilogue { per_channel: Some(&x[3]), residual: Some(&x[4]), ..Epilogue::default() };
            ops::conv2d(&x[0], &x[1], Some(&x[2]), Conv2dOptions::new(1, 1), epilogue)
        });
        cases.push(case.routed("conv2d"));
    }
    cases
}

/// Tiles are chosen by how well they fill a device: the largest are taken for matrices that are large for it.
fn matrices_in_every_tile(processors: usize) -> Vec<Case> {
    let rows = processors.div_ceil(2) * 128;
    let case = |outputs: usize| {
        let shapes: [&[usize]; 3] = [&[rows, 24], &[outputs, 24], &[outputs]];
        Case::new(format!("linear {rows}x24->{outputs}"), &shapes, |x, _| ops::linear(&x[0], &x[1], Some(&x[2]))).routed("linear")
    };
    [256, 320, 512].map(case).into()
}

fn attentions() -> Vec<Case> {
    let mut cases = Vec::new();
    for width in [40, 64, 80, 128, 160] {
        let channels = 2 * width;
        let own: [&[usize]; 3] = [&[1, 130, channels], &[1, 130, channels], &[1, 130, channels]];
        let case = Case::new(format!("attention of width {width}"), &own, |x, _| ops::attention(&x[0], &x[1], &x[2], 2, false));
        cases.push(case.routed("attention"));
        let crossed: [&[usize]; 3] = [&[2, 70, channels], &[2, 77, channels], &[2, 77, channels]];
        let case = Case::new(format!("cross-attention of width {width}"), &crossed, |x, device| {
            let logit = Some(random("logit", &[2, 70])?.to_device(device)?);
            let probability = Some(random("probability", &[2, 70])?.to_device(device)?);
            ops::cross_attention(&x[0], &x[1], &x[2], 2, &Reweighting { columns: marks(&[2, 77], device)?, probability, logit })
        });
        cases.push(case.routed("cross_attention"));
    }
    let wide: [&[usize]; 3] = [&[1, 70, 512], &[1, 70, 512], &[1, 70, 512]];
    cases.push(Case::new("attention of width 512", &wide, |x, _| ops::attention(&x[0], &x[1], &x[2], 1, false)).routed("attention"));
    let text: [&[usize]; 3] = [&[2, 77, 64], &[2, 77, 64], &[2, 77, 64]];
    cases.push(Case::new("causal attention", &text, |x, _| ops::attention(&x[0], &x[1], &x[2], 2, true)).routed("attention"));
    cases
}

fn norms() -> Vec<Case> {
    let group = |size: usize| {
        let shapes: [&[usize]; 3] = [&[2, size, size, 64], &[64], &[64]];
        Case::new(format!("group_norm of {size}x{size}"), &shapes, |x, _| ops::group_norm(&x[0], &x[1], &x[2], 8, 1e-5, Activation::Silu))
    };
    let joined = |size: usize| {
        let shapes: [&[usize]; 4] = [&[2, size, size, 40], &[2, size, size, 24], &[64], &[64]];
        Case::value(format!("group_norm of {size}x{size}, two tensors"), &shapes, |x, _| {
            ops::group_norm([&x[0], &x[1]], &x[2], &x[3], 4, 1e-5, Activation::Silu)
        })
    };
    vec![
        group(8),
        group(40),
        joined(8),
        joined(40),
        Case::new("layer_norm", &[&[3, 7, 320], &[320], &[320]], |x, _| ops::layer_norm(&x[0], &x[1], &x[2], 1e-5)),
        Case::new("batch_norm", &[&[3, 8, 8, 24], &[24], &[24]], |x, _| Ok(ops::batch_norm(&x[0], &x[1], &x[2], BatchNormMode::Batch, 1e-5)?.0)),
        Case::new("softmax", &[&[5, 3, 77]], |x, _| ops::softmax(&x[0])),
    ]
}

fn elements() -> Vec<Case> {
    type Unary = fn(&Var) -> Result<Var>;
    let unary: [(&str, Unary); 6] = [
        ("silu", ops::silu),
        ("gelu", ops::gelu),
        ("quick_gelu", ops::quick_gelu),
        ("sigmoid", ops::sigmoid),
        ("tanh", ops::tanh),
        ("exp", ops::exp),
    ];
    let mut cases: Vec<Case> = unary.into_iter().map(|(name, op)| Case::new(name, &[&[1030]], move |x, _| op(&x[0]))).collect();
    cases.push(Case::new("geglu", &[&[3, 5, 64]], |x, _| ops::geglu(&x[0])));
    cases.push(Case::new("prelu", &[&[5, 3, 7], &[7]], |x, _| ops::prelu(&x[0], &x[1])));
    cases.push(Case::new("broadcast_mul", &[&[3, 70, 33], &[3, 1, 33]], |x, _| ops::broadcast_mul(&x[0], &x[1])));
    cases.push(Case::new("concat and narrow", &[&[2, 3, 5], &[2, 3, 8]], |x, _| ops::narrow(&ops::concat(&[&x[0], &x[1]], 2)?, 2, 3, 7)));
    cases.push(Case::new("embedding", &[&[50, 24]], |x, _| {
        ops::embedding(&x[0], &Tensor::from_i32((0..30).map(|index| index * 7 % 50).collect::<Vec<_>>(), &[30])?)
    }));
    cases
}

fn images() -> Vec<Case> {
    let image: &[&[usize]] = &[&[2, 6, 9, 5]];
    vec![
        Case::new("upsample_nearest", image, |x, _| ops::upsample_nearest(&x[0], 2)),
        Case::new("resize_bilinear", image, |x, _| ops::resize_bilinear(&x[0], 13, 7, false)),
        Case::new("area_pool", image, |x, _| ops::area_pool(&x[0], 4, 4)),
        Case::new("average_pool", image, |x, _| ops::average_pool(&x[0], 3)),
        Case::new("max_pool", image, |x, _| ops::max_pool(&x[0], 3, 2, 1)),
    ]
}

fn losses() -> Vec<Case> {
    vec![
        Case::new("masked_mse", &[&[2, 9, 7, 4]], |x, device| {
            let target = random("target", &[2, 9, 7, 4])?.to_dtype(DType::BF16)?.to_dtype(DType::F32)?.to_device(device)?;
            ops::masked_mse(&x[0], &target, &marks(&[2, 9, 7, 1], device)?, MaskedMean::MaskArea)
        }),
        Case::new("focal_loss", &[&[2, 9, 7, 2]], |x, device| ops::focal_loss(&x[0], &marks(&[2, 9, 7, 1], device)?)),
        Case::new("softmax_cross_entropy", &[&[6, 5]], |x, device| {
            ops::softmax_cross_entropy(&x[0], &Tensor::from_i32(vec![0, 4, 2, 2, 1, 3], &[6])?.to_device(device)?)
        }),
    ]
}

/// What lies between two passes of the network, and the optimiser.
fn sampling() -> Vec<Case> {
    const LATENT: &[usize] = &[2, 9, 7, 4];
    let mut cases = vec![
        Case::exact("normal", &[], |_, device| {
            Ok(Var::constant(ops::normal(&[Stream::new(1, "a", &[]), Stream::new(2, "b", &[])], &[5001], device)?))
        }),
        Case::exact("denoise", &[LATENT, LATENT, LATENT], |x, device| {
            let streams = [Stream::new(1, "a", &[]), Stream::new(2, "b", &[])];
            let (epsilon, outside) = ([0.375, 0.75], [0.8, 0.6]);
            let weights = ops::Update { guidance: 2.5, clean: [1.25, -0.5], epsilon, previous: [0.875, 0.4375], deviation: 0.3, outside };
            let first = ops::PlannedUpdate { weights, inside: streams.to_vec(), outside: streams.to_vec() };
            let second = ops::PlannedUpdate { weights: ops::Update { deviation: 0.1, ..weights }, ..first.clone() };
            let updates = ops::Updates::new(&[first, second], 2, device)?;
            let background = ops::Background { mask: &marks(&[2, 9, 7, 1], device)?, normal: &x[2] };
            let outputs = ops::Outputs { noisy: &x[0], conditional: &x[1], unconditional: Some(&x[2]) };
            let found = ops::denoise(outputs, &updates, &numbers(1, 1, device)?, Some(&background))?;
            Ok(Var::constant(found.blended.unwrap_or(found.latent)))
        }),
        Case::exact("adamw", &[&[9001], &[9001], &[9001]], |x, _| {
            let own = ops::adamw::Own { keep: 0.999, decay: 0.01, correction: 0.3, step: -0.02 };
            let common = ops::adamw::Common { scale: 0.5, beta2: 0.99, one_minus_beta1: 0.1, one_minus_beta2: 0.01, epsilon: 1e-8 };
            let second = ops::mul(&x[1], &x[1])?.into_tensor();
            let parameter = ops::adamw::Parameter {
                value: x[0].tensor().clone(),
                first: x[1].tensor().clone(),
                second,
                gradient: Some(x[2].tensor().clone()),
                own,
            };
            Ok(Var::constant(ops::adamw::adamw(&[parameter], &common)?.remove(0).value))
        }),
    ];
    for (name, formula) in [("paper", Formula::Paper), ("official", Formula::Official), ("balanced", Formula::Balanced)] {
        let run = move |x: &[Var], device: Device| {
            let there = |tensor: &Tensor| tensor.to_dtype(DType::F32);
            let mask = marks(&[2, 9, 7, 1], device)?;
            Ok(Var::constant(ops::weight_map(formula, &there(&x[0])?, &there(&x[1])?, &mask)?))
        };
        cases.push(Case::value(format!("weight_map, {name}"), &[LATENT, LATENT], run));
    }
    cases
}

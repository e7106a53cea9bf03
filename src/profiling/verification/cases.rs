//! What is compared: every op, in shapes that reach each of its kernels: whole and ragged tiles, every head width of attention, odd channels.

use serde_json::{Value, json};

use super::random;
use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::ops::{self, Activation, BatchNormMode, Conv2dOptions, Epilogue, Formula, LinearEpilogue, MaskedMean, Reweighting, Source};
use crate::tensor::random::Stream;
use crate::tensor::replay::numbers;
use crate::tensor::{DType, Tensor};

/// Of products that are scaled: no power of two, whose products would be exact.
const SCALE: f32 = 5.49;

type Run = Box<dyn Fn(&[Var], Device) -> Result<Var>>;

/// One comparison.
pub(super) struct Case {
    /// The op, which is the first word, and its shape.
    pub op: String,
    /// The op as its routes know it, where it has several kernels.
    pub routed: Option<&'static str>,
    /// Whether its inputs have gradients.
    pub gradients: bool,
    /// The op on its operands: the inputs, then the constants.
    pub run: Run,
    /// What the op is told beside its operands, for others who compute it (`benches/ops_pytorch.py`).
    pub parameters: Value,
    shapes: Vec<Vec<usize>>,
    constants: Vec<Tensor>,
    /// Every device gives the same bits; f32 alone.
    exact: bool,
}

impl Case {
    fn new(op: impl Into<String>, shapes: &[&[usize]], run: impl Fn(&[Var], Device) -> Result<Var> + 'static) -> Self {
        let shapes = shapes.iter().map(|shape| shape.to_vec()).collect();
        let (op, run) = (op.into(), Box::new(run));
        Self { op, routed: None, gradients: true, run, parameters: json!({}), shapes, constants: Vec::new(), exact: false }
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

    fn with(self, parameters: Value) -> Self {
        Self { parameters, ..self }
    }

    /// Operands behind the inputs that no gradient flows to, in numbers that every element type holds exactly.
    fn and(self, constants: impl Into<Vec<Tensor>>) -> Self {
        Self { constants: constants.into(), ..self }
    }

    /// Random inputs.
    ///
    /// # Errors
    /// When a shape has too many elements.
    pub(super) fn inputs(&self) -> Result<Vec<Tensor>> {
        self.shapes.iter().enumerate().map(|(position, shape)| random(&format!("{} {position}", self.op), shape)).collect()
    }

    /// The operands behind the inputs.
    pub(super) fn constants(&self) -> &[Tensor] {
        &self.constants
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

/// 0 or 1.
fn marks(shape: &[usize]) -> Result<Tensor> {
    let count = shape.iter().product();
    Tensor::from_f32((0..count).map(|index: usize| f32::from(u8::from(index % 3 != 1))).collect::<Vec<_>>(), shape)
}

/// Random numbers that every element type holds exactly.
fn coarse(name: &str, shape: &[usize]) -> Result<Tensor> {
    random(name, shape)?.to_dtype(DType::BF16)?.to_dtype(DType::F32)
}

/// Every comparison, for a device of so many multiprocessors.
///
/// # Errors
/// Never, since every shape is small.
pub(super) fn all(processors: usize) -> Result<Vec<Case>> {
    let families = [products(), matrices_in_every_tile(processors), attentions()?, norms(), elements()?, images(), losses()?, sampling()?];
    Ok(families.into_iter().flatten().collect())
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
            cases.push(case.routed("linear").with(json!({"epilogue": name})));
        }
        let shapes: [&[usize]; 4] = [&[2, rows, inputs], &[outputs, inputs], &[outputs], &[2, rows, outputs]];
        let case = Case::new(format!("linear and a residual {rows}x{inputs}->{outputs}"), &shapes, |x, _| {
            ops::linear_with(&x[0], &x[1], Some(&x[2]), LinearEpilogue::Residual(&x[3]))
        });
        cases.push(case.routed("linear").with(json!({"epilogue": "residual"})));
        let case = Case::new(format!("linear and a scale {rows}x{inputs}->{outputs}"), &shapes[..3], |x, _| {
            ops::linear_with(&x[0], &x[1], Some(&x[2]), LinearEpilogue::Scale(SCALE))
        });
        cases.push(case.routed("linear").with(json!({"scale": SCALE})));
    }
    for ([inputs, outputs], kernel, stride) in [([16, 24], 3, 1), ([32, 64], 3, 2), ([3, 20], 3, 1), ([40, 4], 3, 1), ([64, 48], 1, 1)] {
        let shapes: [&[usize]; 3] = [&[2, 11, 9, inputs], &[outputs, kernel, kernel, inputs], &[outputs]];
        let options = Conv2dOptions::new(stride, kernel / 2);
        let case = Case::new(format!("conv2d {kernel}x{kernel}/{stride} {inputs}->{outputs}"), &shapes, move |x, _| {
            ops::conv2d(&x[0], &x[1], Some(&x[2]), options, Epilogue::default())
        });
        cases.push(case.routed("conv2d").with(json!({"stride": stride, "padding": kernel / 2})));
        let case = Case::new(format!("conv2d scaled {kernel}x{kernel}/{stride} {inputs}->{outputs}"), &shapes, move |x, _| {
            ops::conv2d(&x[0], &x[1], Some(&x[2]), options, Epilogue { scale: SCALE, ..Epilogue::default() })
        });
        cases.push(case.routed("conv2d").with(json!({"stride": stride, "padding": kernel / 2, "scale": SCALE})));
    }
    // Whole tiles and ragged ones, channels of two tensors, pixels that are met twice; odd sizes leave the last half of them out.
    let joined: [&[usize]; 4] = [&[2, 9, 7, 72], &[2, 9, 7, 40], &[48, 3, 3, 112], &[48]];
    let case = Case::value("conv2d of two tensors", &joined, |x, _| {
        ops::conv2d([&x[0], &x[1]], &x[2], Some(&x[3]), Conv2dOptions::new(1, 1), Epilogue::default())
    });
    cases.push(case.routed("conv2d").with(json!({"stride": 1, "padding": 1, "sources": 2})));
    for size in [[12, 10], [11, 9]] {
        let shapes: [&[usize]; 3] = [&[2, 6, 5, 40], &[48, 3, 3, 40], &[48]];
        let case = Case::value(format!("conv2d of pixels repeated to {}x{}", size[0], size[1]), &shapes, move |x, _| {
            ops::conv2d(Source::doubled(&x[0], size), &x[1], Some(&x[2]), Conv2dOptions::new(1, 1), Epilogue::default())
        });
        cases.push(case.routed("conv2d").with(json!({"stride": 1, "padding": 1, "repeated_to": size})));
    }
    // The second has a depth that is divided.
    for (size, channels) in [(8, 32), (4, 136)] {
        let image: &[usize] = &[2, size, size, channels];
        let shapes: [&[usize]; 5] = [image, &[channels, 3, 3, channels], &[channels], &[2, channels], image];
        let case = Case::new(format!("conv2d with time and residual, {channels} channels"), &shapes, |x, _| {
            let epilogue = Epilogue { per_channel: Some(&x[3]), residual: Some(&x[4]), ..Epilogue::default() };
            ops::conv2d(&x[0], &x[1], Some(&x[2]), Conv2dOptions::new(1, 1), epilogue)
        });
        cases.push(case.routed("conv2d").with(json!({"stride": 1, "padding": 1})));
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

fn attentions() -> Result<Vec<Case>> {
    const HEADS: usize = 2;
    let mut cases = Vec::new();
    for width in [40, 64, 80, 128, 160] {
        let channels = HEADS * width;
        let own: [&[usize]; 3] = [&[1, 130, channels], &[1, 130, channels], &[1, 130, channels]];
        let case = Case::new(format!("attention of width {width}"), &own, |x, _| ops::attention(&x[0], &x[1], &x[2], HEADS, false));
        cases.push(case.routed("attention").with(json!({"heads": HEADS})));
        let crossed: [&[usize]; 3] = [&[2, 70, channels], &[2, 77, channels], &[2, 77, channels]];
        let case = Case::new(format!("cross-attention of width {width}"), &crossed, |x, _| {
            let [columns, probability, logit] = [3, 4, 5].map(|constant| x[constant].tensor().clone());
            let reweighting = Reweighting { columns, probability: Some(probability), logit: Some(logit) };
            ops::cross_attention(&x[0], &x[1], &x[2], HEADS, &reweighting)
        });
        let constants = [marks(&[2, 77])?, coarse("probability", &[2, 70])?, coarse("logit", &[2, 70])?];
        cases.push(case.routed("cross_attention").with(json!({"heads": HEADS})).and(constants));
    }
    let wide: [&[usize]; 3] = [&[1, 70, 512], &[1, 70, 512], &[1, 70, 512]];
    let case = Case::new("attention of width 512", &wide, |x, _| ops::attention(&x[0], &x[1], &x[2], 1, false));
    cases.push(case.routed("attention").with(json!({"heads": 1})));
    let text: [&[usize]; 3] = [&[2, 77, 64], &[2, 77, 64], &[2, 77, 64]];
    let case = Case::new("attention, causal", &text, |x, _| ops::attention(&x[0], &x[1], &x[2], HEADS, true));
    cases.push(case.routed("attention").with(json!({"heads": HEADS, "causal": true})));
    Ok(cases)
}

fn norms() -> Vec<Case> {
    const EPSILON: f32 = 1e-5;
    let group = |size: usize| {
        let shapes: [&[usize]; 3] = [&[2, size, size, 64], &[64], &[64]];
        let case =
            Case::new(format!("group_norm of {size}x{size}"), &shapes, |x, _| ops::group_norm(&x[0], &x[1], &x[2], 8, EPSILON, Activation::Silu));
        case.with(json!({"groups": 8, "epsilon": EPSILON}))
    };
    let joined = |size: usize| {
        let shapes: [&[usize]; 4] = [&[2, size, size, 40], &[2, size, size, 24], &[64], &[64]];
        let case = Case::value(format!("group_norm of {size}x{size}, two tensors"), &shapes, |x, _| {
            ops::group_norm([&x[0], &x[1]], &x[2], &x[3], 4, EPSILON, Activation::Silu)
        });
        case.with(json!({"groups": 4, "epsilon": EPSILON}))
    };
    let layer = Case::new("layer_norm", &[&[3, 7, 320], &[320], &[320]], |x, _| ops::layer_norm(&x[0], &x[1], &x[2], EPSILON));
    let batch =
        Case::new("batch_norm", &[&[3, 8, 8, 24], &[24], &[24]], |x, _| Ok(ops::batch_norm(&x[0], &x[1], &x[2], BatchNormMode::Batch, EPSILON)?.0));
    let [layer, batch] = [layer, batch].map(|case| case.with(json!({"epsilon": EPSILON})));
    let softmax = Case::new("softmax", &[&[5, 3, 77]], |x, _| ops::softmax(&x[0]));
    vec![group(8), group(40), joined(8), joined(40), layer, batch, softmax]
}

fn elements() -> Result<Vec<Case>> {
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
    let (axis, start, length) = (2, 3, 7);
    let case =
        Case::new("concat and narrow", &[&[2, 3, 5], &[2, 3, 8]], move |x, _| ops::narrow(&ops::concat(&[&x[0], &x[1]], axis)?, axis, start, length));
    cases.push(case.with(json!({"axis": axis, "start": start, "length": length})));
    let ids = Tensor::from_i32((0..30).map(|index| index * 7 % 50).collect::<Vec<_>>(), &[30])?;
    cases.push(Case::new("embedding", &[&[50, 24]], |x, _| ops::embedding(&x[0], &x[1])).and([ids]));
    Ok(cases)
}

fn images() -> Vec<Case> {
    let image: &[&[usize]] = &[&[2, 6, 9, 5]];
    vec![
        Case::new("upsample_nearest", image, |x, _| ops::upsample_nearest(&x[0], 2)).with(json!({"factor": 2})),
        Case::new("resize_bilinear", image, |x, _| ops::resize_bilinear(&x[0], 13, 7, false)).with(json!({"size": [13, 7]})),
        Case::new("area_pool", image, |x, _| ops::area_pool(&x[0], 4, 4)).with(json!({"size": [4, 4]})),
        Case::new("average_pool", image, |x, _| ops::average_pool(&x[0], 3)).with(json!({"kernel": 3})),
        Case::new("max_pool", image, |x, _| ops::max_pool(&x[0], 3, 2, 1)).with(json!({"kernel": 3, "stride": 2, "padding": 1})),
    ]
}

fn losses() -> Result<Vec<Case>> {
    let pixels = [2, 9, 7, 1];
    let masked = Case::new("masked_mse", &[&[2, 9, 7, 4]], |x, _| ops::masked_mse(&x[0], &x[1], &x[2], MaskedMean::MaskArea));
    let focal = Case::new("focal_loss", &[&[2, 9, 7, 2]], |x, _| ops::focal_loss(&x[0], &x[1]));
    let entropy = Case::new("softmax_cross_entropy", &[&[6, 5]], |x, _| ops::softmax_cross_entropy(&x[0], &x[1]));
    Ok(vec![
        masked.and([coarse("target", &[2, 9, 7, 4])?, marks(&pixels)?]),
        focal.and([marks(&pixels)?]),
        entropy.and([Tensor::from_i32(vec![0, 4, 2, 2, 1, 3], &[6])?]),
    ])
}

/// What lies between two passes of the network, and the optimiser.
fn sampling() -> Result<Vec<Case>> {
    const LATENT: &[usize] = &[2, 9, 7, 4];
    let mask = marks(&[2, 9, 7, 1])?;
    let streams = [Stream::new(1, "a", &[]), Stream::new(2, "b", &[])];
    let named = streams.each_ref().map(|stream| [stream.key, stream.nonce].concat());
    let numbers_of = streams.clone();
    let normal = Case::exact("normal", &[], move |_, device| Ok(Var::constant(ops::normal(&numbers_of, &[5001], device)?)));
    let mut cases = vec![normal.with(json!({"streams": named, "size": 5001})), denoise(LATENT, streams).and([mask.clone()]), adamw()];
    for (name, formula) in [("paper", Formula::Paper), ("official", Formula::Official), ("balanced", Formula::Balanced)] {
        let run = move |x: &[Var], _: Device| {
            let there = |tensor: &Tensor| tensor.to_dtype(DType::F32);
            Ok(Var::constant(ops::weight_map(formula, &there(&x[0])?, &there(&x[1])?, &x[2])?))
        };
        cases.push(Case::value(format!("weight_map, {name}"), &[LATENT, LATENT], run).with(json!({"formula": name})).and([mask.clone()]));
    }
    Ok(cases)
}

/// The second step of two. The unconditional output stands for the normal image, too.
fn denoise(latent: &[usize], streams: [Stream; 2]) -> Case {
    let (epsilon, outside) = ([0.375, 0.75], [0.8, 0.6]);
    let first = ops::Update { guidance: 2.5, clean: [1.25, -0.5], epsilon, previous: [0.875, 0.4375], deviation: 0.3, outside };
    let second = ops::Update { deviation: 0.1, ..first };
    let parameters = json!({
        "guidance": second.guidance, "clean": second.clean, "epsilon": second.epsilon, "previous": second.previous, "deviation": second.deviation,
        "outside": second.outside, "streams": streams.each_ref().map(|stream| [stream.key, stream.nonce].concat()),
    });
    let run = move |x: &[Var], device: Device| {
        let planned = |weights| ops::PlannedUpdate { weights, inside: streams.to_vec(), outside: streams.to_vec() };
        let updates = ops::Updates::new(&[planned(first), planned(second)], 2, device)?;
        let background = ops::Background { mask: &x[3], normal: &x[2] };
        let outputs = ops::Outputs { noisy: &x[0], conditional: &x[1], unconditional: Some(&x[2]) };
        let found = ops::denoise(outputs, &updates, &numbers(1, 1, device)?, Some(&background))?;
        Ok(Var::constant(found.blended.unwrap_or(found.latent)))
    };
    Case::exact("denoise", &[latent; 3], run).with(parameters)
}

/// The squares of the mean of gradients stand for the mean of their squares.
fn adamw() -> Case {
    let own = ops::adamw::Own { keep: 0.999, decay: 0.01, correction: 0.3, step: -0.02 };
    let common = ops::adamw::Common { scale: 0.5, beta2: 0.99, one_minus_beta1: 0.1, one_minus_beta2: 0.01, epsilon: 1e-8 };
    let parameters = json!({
        "keep": own.keep, "decay": own.decay, "correction": own.correction, "step": own.step, "scale": common.scale, "beta2": common.beta2,
        "one_minus_beta1": common.one_minus_beta1, "one_minus_beta2": common.one_minus_beta2, "epsilon": common.epsilon,
    });
    let run = move |x: &[Var], _: Device| {
        let second = ops::mul(&x[1], &x[1])?.into_tensor();
        let [value, first, gradient] = [0, 1, 2].map(|input| x[input].tensor().clone());
        let parameter = ops::adamw::Parameter { value, first, second, gradient: Some(gradient), own };
        Ok(Var::constant(ops::adamw::adamw(&[parameter], &common)?.remove(0).value))
    };
    Case::exact("adamw", &[&[9001], &[9001], &[9001]], run).with(parameters)
}

//! Multi-head scaled dot-product attention.

pub(in crate::ops) mod cpu;
pub(in crate::ops) mod cuda;
#[cfg(test)]
pub(in crate::ops) mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::ops::Reweighting;
use crate::ops::group_norm::cuda::in_types;
use crate::tensor::Tensor;

/// Sizes of an attention: q `[batch, rows, heads · width]`, k and v `[batch, columns, heads · width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct Geometry {
    pub batch: usize,
    pub heads: usize,
    pub rows: usize,
    pub columns: usize,
    pub width: usize,
    pub causal: bool,
}

impl Geometry {
    /// Checks the shapes of the three inputs.
    pub fn new(op: &str, q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, causal: bool) -> Result<Self> {
        let [batch, rows, channels] = q.dims()?;
        let [_, columns, _] = k.dims()?;
        ensure!(
            k.shape() == [batch, columns, channels] && v.shape() == k.shape() && columns > 0,
            "{op}: q {:?} needs k and v of one shape [{batch}, columns, {channels}], found {:?} and {:?}",
            q.shape(),
            k.shape(),
            v.shape()
        );
        ensure!(heads > 0 && channels > 0 && channels.is_multiple_of(heads), "{op}: {heads} heads do not divide {channels} channels");
        ensure!(!causal || rows == columns, "{op}: causal attention is square, found {rows} rows and {columns} columns");
        Ok(Self { batch, heads, rows, columns, width: channels / heads, causal })
    }

    /// Elements from one position to the next.
    pub fn channels(&self) -> usize {
        self.heads * self.width
    }

    /// What the logits are multiplied by.
    pub fn scale(&self) -> f32 {
        (1.0 / (self.width as f64).sqrt()) as f32
    }
}

/// softmax(q kᵀ / sqrt(d)) v per head, d = channels / heads.
///
/// # Shapes
/// `q [batch, n, channels]`, `k`, `v [batch, m, channels]` -> `[batch, n, channels]`; head `h` owns channels `h·d .. (h+1)·d`. With `causal`, row i sees
/// columns 0..=i (n = m).
pub fn attention(q: &Var, k: &Var, v: &Var, heads: usize, causal: bool) -> Result<Var> {
    apply(Geometry::new("attention", q, k, v, heads, causal)?, q, k, v, None)
}

/// Attention with optional weights, which were checked.
pub(in crate::ops) fn apply(geometry: Geometry, q: &Var, k: &Var, v: &Var, weights: Option<&Reweighting>) -> Result<Var> {
    match q.device() {
        Device::Cpu => on_cpu(geometry, q, k, v, weights),
        Device::Cuda(device) => {
            let (inputs, types) = (cuda::Inputs::new(device, geometry, [q, k, v], weights)?, [q.dtype(), k.dtype(), v.dtype()]);
            let (output, statistics) = inputs.forward()?;
            let result = output.clone();
            Ok(Var::record(output, [q, k, v], move |gradient, wanted| in_types(inputs.backward(&result, &statistics, gradient, wanted)?, types)))
        }
    }
}

fn on_cpu(geometry: Geometry, q: &Var, k: &Var, v: &Var, weights: Option<&Reweighting>) -> Result<Var> {
    let inputs = [q.tensor().clone(), k.tensor().clone(), v.tensor().clone()];
    let (output, statistics) = {
        let (elements, weights) = (Elements::of(&inputs)?, weights.map(WeightElements::of).transpose()?);
        cpu::forward(&elements.view(geometry, weights.as_ref()))
    };
    let output = Tensor::from_f32_as(output, q.shape(), q.dtype())?;
    let (result, weights) = (output.clone(), weights.cloned());
    Ok(Var::record(output, [q, k, v], move |gradient, wanted| {
        let (elements, weights) = (Elements::of(&inputs)?, weights.as_ref().map(WeightElements::of).transpose()?);
        let shares = cpu::backward(&elements.view(geometry, weights.as_ref()), &result.f32s()?, &gradient.f32s()?, &statistics, wanted);
        let mut given = [None, None, None];
        for ((given, share), input) in given.iter_mut().zip(shares).zip(&inputs) {
            *given = share.map(|share| Tensor::from_f32_as(share, input.shape(), input.dtype())).transpose()?;
        }
        Ok(given)
    }))
}

/// q, k and v as f32.
struct Elements<'a>([std::borrow::Cow<'a, [f32]>; 3]);

impl<'a> Elements<'a> {
    fn of([q, k, v]: &'a [Tensor; 3]) -> Result<Self> {
        Ok(Self([q.f32s()?, k.f32s()?, v.f32s()?]))
    }

    fn view<'b>(&'b self, geometry: Geometry, weights: Option<&'b WeightElements<'_>>) -> cpu::Inputs<'b> {
        let [q, k, v] = &self.0;
        cpu::Inputs { geometry, q, k, v, weights: weights.map(WeightElements::view) }
    }
}

/// The weights as f32.
struct WeightElements<'a> {
    columns: std::borrow::Cow<'a, [f32]>,
    probability: Option<std::borrow::Cow<'a, [f32]>>,
    logit: Option<std::borrow::Cow<'a, [f32]>>,
}

impl<'a> WeightElements<'a> {
    fn of(weights: &'a Reweighting) -> Result<Self> {
        let optional = |tensor: &'a Option<Tensor>| tensor.as_ref().map(Tensor::f32s).transpose();
        Ok(Self { columns: weights.columns.f32s()?, probability: optional(&weights.probability)?, logit: optional(&weights.logit)? })
    }

    fn view(&self) -> cpu::Weights<'_> {
        cpu::Weights { columns: &self.columns, probability: self.probability.as_deref(), logit: self.logit.as_deref() }
    }
}

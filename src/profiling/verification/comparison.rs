//! What an op gives on a device by each of its kernels, and what the CPU gives for the same operands.

use super::cases::Case;
use super::{Kernels, Verdict, random};
use crate::autograd::Var;
use crate::device::Device;
use crate::device::cuda::poisoned;
use crate::error::{Context, Result};
use crate::ops::Route;
use crate::tensor::{DType, Tensor};

/// A value, and behind it the gradient of each input of a weighted sum of it, where gradients are wanted. On the CPU.
type Results = Vec<Tensor>;

/// A case in one element type.
pub(super) struct Comparison {
    /// The inputs, rounded to the element type.
    pub inputs: Vec<Tensor>,
    /// What the CPU gives for them, in f32.
    pub expected: Results,
    /// What each route gives that computes the case, in the element type; without a route where the op has one kernel.
    pub found: Vec<(Option<Route>, Result<Results>)>,
}

impl Comparison {
    /// # Errors
    /// When the CPU cannot compute the case.
    pub fn new(case: &Case, device: Device, dtype: DType) -> Result<Self> {
        let inputs = rounded(&case.inputs()?, dtype)?;
        let run = |device: Device, dtype: DType| {
            results(&inputs, device, dtype, case.gradients, |inputs, device| {
                let constants = case.constants().iter().map(|constant| Ok(Var::constant(constant.to_device(device)?)));
                let operands = inputs.iter().cloned().map(Ok).chain(constants).collect::<Result<Vec<_>>>()?;
                (case.run)(&operands, device)
            })
        };
        let expected = run(Device::Cpu, DType::F32)?;
        let run = || poisoned(|| run(device, dtype));
        let found = match device {
            Device::Cuda(cuda) if case.routed.is_some() => {
                let routes = Route::ALL.into_iter().filter(|route| route.is_on(cuda, dtype));
                let by_route = routes.map(|route| (route, route.at_most(run)));
                // A route that does not take the shape leaves it to one that computed it already.
                by_route.filter_map(|(route, (found, taken))| (taken == Some(route)).then_some((Some(route), found))).collect()
            }
            _ => vec![(None, run())],
        };
        Ok(Self { inputs, expected, found })
    }

    /// What is to be said about each route.
    pub fn verdicts(&self, case: &Case, dtype: DType) -> Vec<Verdict> {
        let verdict = |(route, found): &(Option<Route>, Result<Results>)| {
            let errors = found
                .as_ref()
                .map_err(|error| format!("{error:#}"))
                .and_then(|found| differences(found, &self.expected).map_err(|error| format!("{error:#}")));
            let variant = case.routed.zip(*route).map(|(op, route)| Kernels { op: op.to_owned(), route });
            let (errors, failure) = match errors {
                Ok(errors) => (errors.into_iter().map(|error| error.is_finite().then_some(error)).collect(), None),
                Err(failure) => (Vec::new(), Some(failure)),
            };
            Verdict { op: case.op.clone(), dtype: dtype.to_string(), errors, tolerance: case.tolerance(dtype), failure, variant }
        };
        self.found.iter().map(verdict).collect()
    }
}

fn rounded(inputs: &[Tensor], dtype: DType) -> Result<Vec<Tensor>> {
    inputs.iter().map(|input| input.to_dtype(dtype)).collect()
}

/// The relative errors of `f` on `device` in `dtype` against the CPU's f32 on the same, rounded inputs: of the value, and with `gradients` of the gradient
/// of each input of a weighted sum of it. Tensors that `f` uses beside its inputs it brings to the device that it is told.
///
/// # Errors
/// When `f` fails on either device or an input has no gradient.
pub fn errors(inputs: &[Tensor], device: Device, dtype: DType, gradients: bool, f: impl Fn(&[Var], Device) -> Result<Var>) -> Result<Vec<f64>> {
    let inputs = rounded(inputs, dtype)?;
    let found = poisoned(|| results(&inputs, device, dtype, gradients, &f))?;
    differences(&found, &results(&inputs, Device::Cpu, DType::F32, gradients, &f)?)
}

fn results(rounded: &[Tensor], device: Device, dtype: DType, gradients: bool, f: impl Fn(&[Var], Device) -> Result<Var>) -> Result<Results> {
    // What is read in place where no gradient is wanted takes other kernels then.
    let var = if gradients { Var::leaf } else { Var::constant };
    let leaf = |input: &Tensor| Ok(var(input.to_dtype(dtype)?.to_device(device)?));
    let leaves = rounded.iter().map(leaf).collect::<Result<Vec<_>>>()?;
    let output = f(&leaves, device)?;
    let mut found = vec![output.to_device(Device::Cpu)?];
    if gradients {
        let shares = output.backward_from(weights(output.shape())?.to_dtype(output.dtype())?.to_device(device)?)?;
        for leaf in &leaves {
            found.push(shares.get(leaf).context("an input has no gradient")?.to_device(Device::Cpu)?);
        }
    }
    Ok(found)
}

/// The weights of the sum whose gradients are looked at: numbers that every element type holds exactly.
pub(super) fn weights(shape: &[usize]) -> Result<Tensor> {
    random("weights", shape)?.to_dtype(DType::BF16)?.to_dtype(DType::F32)
}

fn differences(found: &[Tensor], expected: &[Tensor]) -> Result<Vec<f64>> {
    found.iter().zip(expected).map(|(found, expected)| Ok(relative_error(&found.to_f32_vec()?, &expected.to_f32_vec()?))).collect()
}

/// ||found - expected|| / ||expected||; infinite when the numbers of elements differ.
fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let square = |difference: f64| difference * difference;
    let difference: f64 = found.iter().zip(expected).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let norm: f64 = expected.iter().map(|&b| square(f64::from(b))).sum();
    if norm == 0.0 { difference.sqrt() } else { (difference / norm).sqrt() }
}

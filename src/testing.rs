//! What tests share: tolerances, random tensors, finite differences, fixtures. Public so that the tests under `tests/` use the same.

pub mod fuzzing;
pub mod miniature;
mod scattered;

use std::collections::BTreeMap;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::nn::{Init, Parameter, ParameterSource, Path, Placement};
use crate::profiling::verification::errors;
use crate::tensor::random::Stream;
use crate::tensor::{DType, Tensor};
use crate::weights::Archive;

pub use scattered::Scattered;

/// The devices that tests run ops on: the CPU, and the first GPU where the driver is present, be it a real one or an emulated one that
/// LD_LIBRARY_PATH names (tests/emulator). A driver that is present and cannot be used fails the test.
pub fn devices() -> Vec<Device> {
    let mut devices = vec![Device::Cpu];
    if !matches!(crate::device::cuda::devices(), Err(error) if error.to_string().contains("no NVIDIA driver found")) {
        devices.push(Device::parse("cuda").unwrap_or_else(|error| panic!("{error:#}")));
    }
    devices
}

/// Standard normal test data, named by `name`.
pub fn random(name: &str, shape: &[usize]) -> Tensor {
    Stream::new(0, name, &[]).normal(shape).expect("a shape's own element count")
}

/// ||found - expected|| / ||expected||, in f64.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len(), "number of elements");
    let mut difference = 0.0;
    let mut norm = 0.0;
    for (&a, &b) in found.iter().zip(expected) {
        difference += (f64::from(a) - f64::from(b)).powi(2);
        norm += f64::from(b).powi(2);
    }
    if norm == 0.0 { difference.sqrt() } else { (difference / norm).sqrt() }
}

/// Panics when shapes differ or the relative error exceeds `tolerance`; the message says what share of the tolerance was used.
#[track_caller]
pub fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "shape");
    let error = relative_error(&found.to_f32_vec().expect("floats"), &expected.to_f32_vec().expect("floats"));
    // Written so that NaN fails.
    assert!(error <= tolerance, "relative error {error:.3e} is {:.1} times the tolerance {tolerance:.1e}", error / tolerance);
}

/// Compares the gradient of `sum(weights · f(inputs))` (fixed random weights) with central differences, for every input.
///
/// `step` is the half width of a difference; about 1e-2 suits smooth f32 functions of unit-sized inputs. The error is relative per input.
#[track_caller]
pub fn assert_gradients(inputs: &[Tensor], step: f32, tolerance: f64, f: impl Fn(&[Var]) -> Result<Var>) {
    let leaves: Vec<Var> = inputs.iter().map(|input| Var::leaf(input.clone())).collect();
    let output = f(&leaves).expect("forward");
    let weights = random("gradient check", output.shape());
    let gradients = output.backward_from(weights.clone()).expect("backward");
    let weights = weights.to_f32_vec().expect("floats");
    let value = |inputs: &[Tensor]| -> f64 {
        let constants: Vec<Var> = inputs.iter().map(|input| Var::constant(input.clone())).collect();
        let output = f(&constants).expect("forward").to_f32_vec().expect("floats");
        output.iter().zip(&weights).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    for (position, (input, leaf)) in inputs.iter().zip(&leaves).enumerate() {
        let found = gradients.get(leaf).unwrap_or_else(|| panic!("no gradient for input {position}")).to_f32_vec().expect("floats");
        let mut expected = Vec::with_capacity(found.len());
        for element in 0..input.elements() {
            let moved = |delta: f32| {
                let mut values = input.to_f32_vec().expect("floats");
                values[element] += delta;
                let mut moved = inputs.to_vec();
                moved[position] = Tensor::from_f32(values, input.shape()).expect("same shape");
                value(&moved)
            };
            expected.push(((moved(step) - moved(-step)) / (2.0 * f64::from(step))) as f32);
        }
        let error = relative_error(&found, &expected);
        assert!(error <= tolerance, "gradient of input {position}: relative error {error:.3e}, tolerance {tolerance:.1e}");
    }
}

/// Reference values of another framework: a safetensors file under `tests/fixtures`, made by the script of the same name under
/// `tests/fixtures/scripts`. Panics on anything unexpected.
#[derive(Debug)]
pub struct Fixture {
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
}

impl Fixture {
    /// Reads `tests/fixtures/<name>.safetensors`.
    pub fn load(name: &str) -> Self {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.safetensors"));
        let archive = Archive::open(&path).unwrap_or_else(|error| panic!("{error:#}"));
        let tensors = archive.names().map(|name| (name.to_owned(), archive.tensor(name).expect("a readable tensor"))).collect();
        Self { tensors, metadata: archive.metadata() }
    }

    /// A tensor of the file.
    #[track_caller]
    pub fn get(&self, name: &str) -> Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", self.tensors.keys())).clone()
    }

    /// A tensor that the file may hold.
    pub fn find(&self, name: &str) -> Option<Tensor> {
        self.tensors.get(name).cloned()
    }

    /// A string of the file's metadata.
    #[track_caller]
    pub fn metadata(&self, name: &str) -> &str {
        self.metadata.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", self.metadata.keys()))
    }
}

/// The file's `weights.*` as the parameters of a model.
impl ParameterSource for Fixture {
    fn fetch(&self, name: &str, shape: &[usize], _: Init) -> Result<Tensor> {
        let found = self.get(&format!("weights.{name}"));
        assert_eq!(found.shape(), shape, "shape of {name}");
        Ok(found)
    }
}

/// Checks on every GPU, in every element type, that `f` gives what it gives on the CPU for the same (rounded) inputs, and the same gradients of
/// `sum(weights · f(inputs))` for fixed random weights. Tensors that `f` uses beside its inputs it moves to the device that it is told.
#[track_caller]
pub fn assert_devices_agree(inputs: &[Tensor], f: impl Fn(&[Var], Device) -> Result<Var>) {
    assert_agreement(inputs, true, f);
}

/// As [`assert_devices_agree`] of values alone, computed as where no gradient is wanted.
#[track_caller]
pub fn assert_devices_agree_on_values(inputs: &[Tensor], f: impl Fn(&[Var], Device) -> Result<Var>) {
    assert_agreement(inputs, false, f);
}

#[track_caller]
fn assert_agreement(inputs: &[Tensor], gradients: bool, f: impl Fn(&[Var], Device) -> Result<Var>) {
    for device in devices().into_iter().filter(|device| *device != Device::Cpu) {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let tolerance = dtype.tolerance();
            let errors = errors(inputs, device, dtype, gradients, &f).unwrap_or_else(|error| panic!("{device} in {dtype}: {error:#}"));
            for (index, error) in errors.into_iter().enumerate() {
                let what = if index == 0 { "the output".to_owned() } else { format!("the gradient of input {}", index - 1) };
                assert!(error <= tolerance, "{device} in {dtype}: {what} differs from the CPU's by {error:.3e}, tolerance {tolerance:.1e}");
            }
        }
    }
}

/// Checks on every GPU that a training of a network has the loss, the gradients of all parameters and the moved running statistics that it has on the
/// CPU, in f32. `build` makes the network under a path; `loss` finds its parameters on the device that it is told, and computes there.
///
/// A parameter's gradient may differ by a thousandth of its length, or of a thousandth of the length of all gradients: one in front of a normalisation
/// is zero but for rounding, which each device does in its own order.
#[track_caller]
pub fn assert_training_agrees<N>(source: &dyn ParameterSource, build: impl Fn(&Path) -> Result<N>, loss: impl Fn(&N, Device) -> Result<Var>) {
    let run = |device: Device| {
        let root = Path::root(source);
        let network = build(&root).expect("a network");
        let parameters = root.parameters();
        parameters.place(Placement::f32(device)).expect("room");
        parameters.set_trainable(true);
        let loss = loss(&network, device).unwrap_or_else(|error| panic!("{device}: {error:#}"));
        let gradients = loss.backward().unwrap_or_else(|error| panic!("{device}: {error:#}"));
        let of = |parameter: &Parameter| gradients.by_id(parameter.id()).map(|gradient| gradient.to_f32_vec().expect("floats"));
        let values = |parameter: &Parameter| parameter.value().to_f32_vec().expect("floats");
        let found = parameters.iter().map(|parameter| (parameter.name().to_owned(), of(parameter).unwrap_or_else(|| values(parameter))));
        std::iter::once(("the loss".to_owned(), vec![loss.item().expect("one number")])).chain(found).collect::<Vec<_>>()
    };
    let expected = run(Device::Cpu);
    let length = |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let floor = 1e-3 * expected.iter().skip(1).map(|(_, values)| length(values).powi(2)).sum::<f64>().sqrt();
    for device in devices().into_iter().filter(|device| *device != Device::Cpu) {
        for ((name, found), (_, expected)) in run(device).iter().zip(&expected) {
            let difference: Vec<f32> = found.iter().zip(expected).map(|(found, expected)| found - expected).collect();
            let allowed = if name == "the loss" { 1e-5 * length(expected) } else { 1e-3 * length(expected).max(floor) };
            let difference = length(&difference);
            assert!(difference <= allowed, "{name} on {device}: differs by {difference:.3e}, allowed {allowed:.3e}, length {:.3e}", length(expected));
        }
    }
}

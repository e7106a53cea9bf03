//! The CUDA device layer on the emulated device: memory, launches, the family of elementwise ops against the CPU, and what is said when a GPU cannot
//! be used.

mod emulator;

use std::path::Path;
use std::process::Output;

use anodiff::autograd::Var;
use anodiff::device::Device;
use anodiff::device::cuda::Launch;
use anodiff::error::{Result, exit_code};
use anodiff::ops;
use anodiff::tensor::replay::{Repetition, Tensors, numbers};
use anodiff::tensor::{DType, Tensor, scratch};
use anodiff::testing::{assert_close, devices, random};
use emulator::{Emulator, Order, Sanitizer, WAYS, cuda, emulated, emulated_pooled, emulated_with, emulated_with_memory, is_emulated};

#[test]
fn elements_come_back_and_types_round_as_on_the_cpu() {
    emulated_with(&WAYS, || {
        assert_eq!(devices().len(), 2);
        let device = Device::parse("cuda:0").unwrap();
        for count in [0, 1, 3, 4, 1023, 1025, 5000] {
            let x = random("transfer", &[count, 1]);
            let there = x.to_device(device).unwrap();
            assert_eq!((there.device(), there.shape(), there.dtype()), (device, x.shape(), DType::F32));
            assert_eq!(there.to_f32_vec().unwrap(), x.to_f32_vec().unwrap());
            for dtype in [DType::F16, DType::BF16] {
                let rounded = there.to_dtype(dtype).unwrap();
                assert_eq!(rounded.bytes().unwrap(), x.to_dtype(dtype).unwrap().bytes().unwrap(), "{count} elements to {dtype}");
                assert_eq!(rounded.to_dtype(DType::F32).unwrap().to_f32_vec().unwrap(), rounded.to_f32_vec().unwrap());
            }
        }
        let ids = Tensor::from_i32(vec![1, -2, 3], &[3]).unwrap();
        assert_eq!(ids.to_device(device).unwrap().to_device(Device::Cpu).unwrap().i32s().unwrap(), [1, -2, 3]);
        let matrix = random("permuted", &[2, 3]).to_device(device).unwrap();
        assert_eq!(matrix.permute(&[1, 0]).unwrap().device(), device);
    });
}

/// Value and gradients of `op` on the GPU against the CPU, in every element type. `tolerance` is for f32.
fn compare(name: &str, inputs: &[Tensor], tolerance: f64, op: impl Fn(&[Var]) -> Result<Var>) {
    let device = Device::parse("cuda").unwrap();
    for (dtype, tolerance) in [(DType::F32, tolerance), (DType::F16, 2e-3), (DType::BF16, 1.6e-2)] {
        let run = |device: Device| {
            let place = |input: &Tensor| Var::leaf(input.to_dtype(dtype).unwrap().to_device(device).unwrap());
            let leaves: Vec<Var> = inputs.iter().map(place).collect();
            let output = op(&leaves).unwrap_or_else(|error| panic!("{name} in {dtype} on {device}: {error:#}"));
            assert_eq!((output.device(), output.dtype()), (device, dtype), "{name}");
            let weights = random("weights", output.shape()).to_dtype(dtype).unwrap().to_device(device).unwrap();
            let gradients = output.backward_from(weights).unwrap();
            let gradients = leaves.iter().map(|leaf| gradients.get(leaf).unwrap().to_device(Device::Cpu).unwrap());
            std::iter::once(output.to_device(Device::Cpu).unwrap()).chain(gradients).collect::<Vec<_>>()
        };
        for (position, (found, expected)) in run(device).iter().zip(&run(Device::Cpu)).enumerate() {
            eprintln!("{name} in {dtype}, {}", if position == 0 { "value".to_owned() } else { format!("gradient {position}") });
            assert_close(found, expected, tolerance);
        }
    }
}

#[test]
fn elementwise_ops_equal_the_cpu() {
    emulated_with(&WAYS, || {
        type Unary = fn(&Var) -> Result<Var>;
        let unary: [(&str, Unary); 9] = [
            ("silu", ops::silu),
            ("gelu", ops::gelu),
            ("quick_gelu", ops::quick_gelu),
            ("relu", ops::relu),
            ("sigmoid", ops::sigmoid),
            ("tanh", ops::tanh),
            ("exp", ops::exp),
            ("abs", ops::abs),
            ("clamp", |x| ops::clamp(x, -0.5, 0.75)),
        ];
        for count in [1, 7, 1030] {
            let (a, b) = (random("a", &[count]), random("b", &[count]));
            for (name, op) in unary {
                compare(name, std::slice::from_ref(&a), 1e-6, |x| op(&x[0]));
            }
            compare("leaky_relu", std::slice::from_ref(&a), 1e-6, |x| ops::leaky_relu(&x[0], 0.3));
            compare("affine", std::slice::from_ref(&a), 1e-6, |x| ops::affine(&x[0], -2.0, 0.5));
            compare("add", &[a.clone(), b.clone()], 0.0, |x| ops::add(&x[0], &x[1]));
            compare("sub", &[a.clone(), b.clone()], 0.0, |x| ops::sub(&x[0], &x[1]));
            compare("mul", &[a.clone(), b.clone()], 0.0, |x| ops::mul(&x[0], &x[1]));
            compare("a value used twice", std::slice::from_ref(&a), 1e-6, |x| ops::add(&ops::silu(&x[0])?, &ops::abs(&x[0])?));
        }
        compare("geglu", &[random("geglu", &[3, 5, 14])], 1e-6, |x| ops::geglu(&x[0]));
        compare("prelu", &[random("x", &[5, 3, 7]), random("slope", &[7])], 1e-6, |x| ops::prelu(&x[0], &x[1]));
    });
}

#[test]
fn broadcast_ops_equal_the_cpu() {
    emulated_with(&WAYS, || {
        for (x, y) in [
            (vec![2, 3, 2, 4], vec![2, 4]),
            (vec![2, 3, 5], vec![5]),
            (vec![2, 3, 4], vec![3, 4]),
            (vec![3, 9, 33], vec![3, 1, 33]),
            (vec![2, 3, 41], vec![2, 3, 1]),
            (vec![300, 7], vec![7]),
        ] {
            let inputs = [random("x", &x), random("y", &y)];
            compare(&format!("broadcast_add {x:?} {y:?}"), &inputs, 1e-6, |v| ops::broadcast_add(&v[0], &v[1]));
            compare(&format!("broadcast_mul {x:?} {y:?}"), &inputs, 1e-6, |v| ops::broadcast_mul(&v[0], &v[1]));
        }
    });
}

#[test]
fn a_launch_that_does_not_fit_its_kernel_is_refused() {
    emulated(|| {
        let (cuda, x) = (cuda(), random("x", &[2, 3]));
        let device = Device::Cuda(cuda);
        let there = x.to_device(device).unwrap();
        let output = scratch(&cuda, &[2, 3], DType::F32).unwrap();
        let start = || Launch::new(&cuda, "tensor_to_f32", DType::F32).tensor(&there);
        let message = |launch: Launch| launch.run().unwrap_err().to_string();
        for (found, parts) in [
            (message(start().tensor(&output)), &["tensor_to_f32", "x [2, 3]", "found 2 arguments"][..]),
            (message(start().tensor(&output).int(6).int(6)), &["one too many"]),
            (message(start().tensor(&output).float(6.0)), &["argument 3 (count", "the float 6"]),
            (message(start().int(6)), &["argument 2 (y", "the whole number 6"]),
            (message(start().tensor(&x)), &["argument 2", "[2, 3] is in host memory"]),
            (message(start().tensor(&scratch(&cuda, &[6], DType::F16).unwrap()).int(6)), &["y takes f32, found f16 [6]"]),
            (message(start().tensor(&output).int(6).threads(2048)), &["2048 threads", "at most 1024 threads"]),
            (message(start().tensor(&output).int(6).grid(1, 70_000, 1)), &["1x70000x1 blocks"]),
            (message(start().tensor(&output).int(6).shared(1 << 20)), &["1048576 bytes of shared memory", "at most"]),
            (message(Launch::new(&cuda, "tensor_to_f23", DType::F32).tensor(&x)), &["no kernel has an entry point tensor_to_f23"]),
        ] {
            parts.iter().for_each(|part| assert!(found.contains(part), "expected {part:?} in: {found}"));
        }
        let shared = output.clone();
        let found = message(start().tensor(&shared).int(6));
        assert!(found.contains("y is written to, but other tensors share the elements"), "{found}");
        drop(shared);
        start().tensor(&output).int(6).run().unwrap();
        assert_eq!(output.to_f32_vec().unwrap(), x.to_f32_vec().unwrap());
    });
}

#[test]
fn full_memory_is_the_users_to_correct() {
    emulated(|| {
        let error = scratch(&cuda(), &[3 << 30], DType::F32).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        let message = error.to_string();
        assert!(message.contains("is full: 12288 MiB wanted") && message.contains("--batch-size"), "{message}");
        assert_eq!(random("after", &[9]).to_device(Device::parse("cuda").unwrap()).unwrap().to_f32_vec().unwrap().len(), 9);
    });
}

#[test]
fn unused_memory_makes_room_for_tensors_of_other_sizes() {
    const MEGABYTE: usize = 1 << 20;
    emulated_with_memory(8 * MEGABYTE, || {
        let (cuda, megabytes) = (cuda(), |count: usize| scratch(&cuda(), &[count * MEGABYTE / 4], DType::F32));
        drop(megabytes(5).unwrap());
        let used = megabytes(6).unwrap();
        assert_eq!(cuda.peak_memory(), 6 * MEGABYTE, "never both");
        let message = megabytes(4).unwrap_err().to_string();
        assert!(message.contains("is full: 4 MiB wanted, 2 of 8 MiB free"), "{message}");
        drop(used);
        cuda.reset_peak_memory();
        assert_eq!(cuda.peak_memory(), 0, "nothing is used");
        let (_used, _other) = (megabytes(4).unwrap(), megabytes(3).unwrap());
        assert_eq!(cuda.peak_memory(), 7 * MEGABYTE);
    });
}

/// x and y of a step x, y = silu(x + a), x · row of the table.
#[derive(Clone)]
struct Pair(Tensor, Tensor);

impl Tensors for Pair {
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self(change(&self.0)?, change(&self.1)?))
    }
}

/// The pair behind each step of two batches: one after the other or, with `repeated`, as the engine repeats steps.
fn pairs(device: Device, width: usize, repetition: &mut Option<Repetition<Pair, Pair>>) -> Vec<Vec<u32>> {
    let there = |name: &str, rows: usize| random(name, &[rows, width]).to_device(device).unwrap();
    let step = |inputs: &Pair, state: &Pair, number: &Tensor| {
        let x = Var::constant(state.0.clone());
        let row = Var::constant(ops::rows(&inputs.1, number)?);
        Ok(Pair(ops::silu(&ops::add(&x, &Var::constant(inputs.0.clone()))?)?.into_tensor(), ops::mul(&x, &row)?.into_tensor()))
    };
    let mut found = Vec::new();
    for batch in ["first", "second"] {
        let inputs = Pair(there(batch, 1), there("table", 5));
        let mut state = Pair(there("start", 1), there("start", 1));
        if let Some(repetition) = repetition {
            repetition.begin();
        }
        for number in 0..5 {
            state = match repetition {
                Some(repetition) => repetition.step(&inputs, &state, number, 1, step).unwrap(),
                None => step(&inputs, &state, &numbers(number, 1, device).unwrap()).unwrap(),
            };
            let values = [state.0.to_f32_vec().unwrap(), state.1.to_f32_vec().unwrap()].concat();
            found.push(values.into_iter().map(f32::to_bits).collect());
        }
    }
    found
}

#[test]
fn repeated_steps_are_captured_and_give_the_same_bits() {
    emulated_pooled(&WAYS, || {
        let device = Device::Cuda(cuda());
        assert!(cuda().captures());
        let mut repetition = Some(Repetition::default());
        for width in [1030, 7, 1030] {
            assert_eq!(pairs(device, width, &mut repetition), pairs(device, width, &mut None), "{width}");
        }
        assert_eq!(pairs(Device::Cpu, 7, &mut Some(Repetition::default())).len(), 10);
    });
}

#[test]
fn what_a_graph_cannot_hold_is_refused_and_leaves_the_device_usable() {
    emulated_pooled(&WAYS[..2], || {
        let (cuda, x) = (cuda(), random("x", &[700]).to_device(Device::Cuda(cuda())).unwrap());
        let (there, twice) = (Var::constant(x.clone()), |x: &Var| ops::add(x, x));
        // The step's memory is there when it is captured.
        drop(twice(&Var::constant(Tensor::zeros(&[700]).to_device(Device::Cuda(cuda)).unwrap())).unwrap());
        let captured = cuda.capture(|| twice(&there)).unwrap().0;
        assert_eq!(captured.to_f32_vec().unwrap(), [0.0; 700], "nothing has run");
        let message = |result: Result<()>| result.unwrap_err().to_string();
        let refused = |work: &dyn Fn() -> Result<()>| message(cuda.capture(work).map(drop));
        assert!(refused(&|| x.to_f32_vec().map(drop)).contains("a copy to the host while a graph is captured"));
        assert!(refused(&|| random("y", &[3]).to_device(Device::Cuda(cuda)).map(drop)).contains("a copy from the host while"));
        assert!(refused(&|| cuda.synchronize()).contains("waiting while a graph is captured"));
        assert!(refused(&|| scratch(&cuda, &[54_321], DType::F32).map(drop)).contains("that the step before it did not"));
        assert!(refused(&|| cuda.capture(|| Ok(())).map(drop)).contains("being captured already"));
        let elsewhere = || std::thread::scope(|scope| scope.spawn(|| scratch(&cuda, &[700], DType::F32)).join().unwrap()).map(drop);
        assert!(refused(&elsewhere).contains("two threads use it"));
        assert_eq!(twice(&there).unwrap().to_f32_vec().unwrap()[1], 2.0 * x.to_f32_vec().unwrap()[1]);
    });
}

#[test]
fn freed_memory_serves_the_next_tensor_of_its_size() {
    let repeated = |count: usize| {
        let device = Device::parse("cuda").unwrap();
        let x = Var::constant(random("x", &[5000]).to_device(device).unwrap());
        for _ in 0..count {
            ops::silu(&ops::add(&x, &x).unwrap()).unwrap().to_f32_vec().unwrap();
        }
    };
    emulated_pooled(&WAYS[..2], || repeated(9));
    if !is_emulated() {
        // What the driver counts when the process ends.
        let rig = Emulator::new(Sanitizer::None);
        let run = |pooled: bool| {
            let mut command = rig.command(std::env::current_exe().unwrap(), Order::LateAndForward);
            command.env("EMULATOR_TRACE", "1");
            if pooled {
                emulator::pooled(&mut command);
            }
            let output = command.args(["freed_memory_serves_the_next_tensor_of_its_size", "--exact", "--nocapture"]).output().unwrap();
            emulator::traced(&output, "allocations of device memory")
        };
        assert_eq!((run(true), run(false)), (3, 19), "x and two more, or two for each time");
    }
}

#[test]
fn every_reason_not_to_use_a_gpu_is_one_sentence() {
    let rig = Emulator::new(Sanitizer::None);
    let ask = |device: &str, variable: &str, value: &str| -> Output {
        let mut command = rig.command(env!("CARGO_BIN_EXE_anodiff"), Order::LateAndForward);
        command.env(variable, value).args(["check", "--data", "missing", "--device", device]).output().unwrap()
    };
    for (device, variable, value, expected) in [
        ("cuda", "EMULATOR_DRIVER_VERSION", "11080", "too old: it knows CUDA 11.8, expected 12.0 or later"),
        ("cuda", "EMULATOR_DRIVER_VERSION", "12040", "libnvrtc 13 makes binaries that this driver (CUDA 12.4) does not load"),
        ("cuda", "EMULATOR_DEVICES", "0", "there is no NVIDIA GPU"),
        ("cuda:3", "EMULATOR_DEVICES", "2", "there is no cuda:3: this machine has 2 GPUs"),
        ("cuda", "EMULATOR_CAPABILITY", "7.0", "compute capability 7.0, expected 7.5"),
        ("cuda", "ANODIFF_LIBNVRTC", "/no/such/file", "ANODIFF_LIBNVRTC names /no/such/file, which cannot be opened"),
        // This row tells about machines without a driver: with one, that is found instead and another refusal follows.
        (
            "cuda",
            "LD_LIBRARY_PATH",
            "/no/such/folder",
            if anodiff::device::cuda::devices().is_err() { "no NVIDIA driver found" } else { "--device cuda" },
        ),
    ] {
        let output = ask(device, variable, value);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{variable}={value}: {message}");
        assert!(message.contains(expected) && !message.contains("panicked"), "{variable}={value}: expected {expected:?} in: {message}");
        assert_eq!(message.trim().lines().count(), 1, "{message}");
    }
}

#[test]
fn info_shows_the_device_and_the_compiler() {
    let output = Emulator::new(Sanitizer::None).anodiff(&["info", "--json"], Path::new("."));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["cuda"]["devices"][0]["capability"], 90);
    assert_eq!(report["cuda"]["compiler"]["version"], serde_json::json!([13, 99]));
    assert!(report["cuda"]["problem"].is_null());
}

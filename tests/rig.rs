//! The emulated CUDA device itself: what it understands of CUDA is right, and each class of mistake that it is there to find is found.

mod emulator;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anodiff::device::cuda::Compiler;
use anodiff::tensor::random::Stream;
use emulator::{Emulator, Order, Sanitizer, emulated_with, is_emulated};
use sha2::{Digest, Sha256};

const ORDERS: [Order; 2] = [Order::LateAndForward, Order::EagerAndReverse];

/// Cases of `check/` that must end well, with their arguments: 1 is f16, 2 is bf16.
const CONFORMANCE: [(&str, &[i32]); 14] = [
    ("widening", &[1, 2]),
    ("narrowing", &[1, 2]),
    ("reduction", &[0]),
    ("products", &[1, 2]),
    ("copy_groups", &[0]),
    ("boxes", &[1, 2]),
    ("turns", &[0]),
    ("warpgroup_products", &[1, 2]),
    ("shared_boxes", &[0]),
    ("exchanges", &[0]),
    ("places", &[0]),
    ("events", &[0]),
    ("graphs", &[0]),
    ("copies", &[0]),
];

/// Wrong results, an error with this in its text, or a sanitizer's report with this in it.
#[derive(Clone, Copy)]
enum Found {
    Wrong,
    Error(&'static str),
    Report(&'static str),
}

use Found::{Error, Report, Wrong};

/// Mistakes that both orders show.
const MISTAKES: [(&str, Found); 46] = [
    ("unwritten_shared", Wrong),
    ("unwritten_dynamic", Wrong),
    ("unset_local", Wrong),
    ("missing_wait", Wrong),
    ("short_wait", Wrong),
    ("read_beyond_global", Wrong),
    ("write_beyond_global", Error("kernel write_beyond_global: wrote outside the 512 bytes that parameter 0 points into")),
    ("write_beyond_dynamic", Error("kernel write_beyond_dynamic, block (0, 0, 0): wrote outside its 512 bytes of dynamic shared memory")),
    ("wild_write", Error("kernel wild_write, block (0, 0, 0), thread (")),
    ("endless_recursion", Error("access to address")),
    ("division_by_zero", Error("division of an integer by zero")),
    ("divergent_barrier", Error("divergent barrier: this thread is at the __syncthreads() of line")),
    ("deadlock", Error("deadlock: 64 threads wait at barrier 0")),
    ("absent_lane", Error("__shfl_sync reads lane 31, which takes no part")),
    ("misaligned_rows", Error("ldmatrix: the shared address is not aligned to 16 bytes")),
    ("rows_outside_shared", Error("ldmatrix: 16 bytes at an address that is not shared memory of this block")),
    ("boxes_misread", Wrong),
    ("wrong_swizzle", Wrong),
    ("factor_misread", Error("wgmma: a factor lies outside the dynamic shared memory of this block")),
    ("missing_products_fence", Error("wgmma: no wgmma.fence since this thread could use its sums")),
    ("missing_publication", Error("its barrier was made, but not published to the copy engine")),
    ("too_many_bytes", Error("deadlock: 64 threads wait for a phase of a barrier in shared memory")),
    ("missing_arrival", Error("deadlock: 64 threads wait for a phase of a barrier in shared memory")),
    ("different_factors", Error("wgmma: the threads of the warpgroup give different factors")),
    ("half_a_warpgroup", Error("64 in a warp operation")),
    ("too_many_registers", Error("setmaxnreg: the warpgroups wait for 73728 registers for ever, there are 65536")),
    ("early_overwrite_of_a_block", Wrong),
    ("early_start_of_a_cluster", Error("there is no barrier at this address (mbarrier.init has not made one)")),
    ("early_end_of_a_block", Error("of the cluster has ended")),
    ("missing_arrival_at_a_block", Error("66 threads wait for a phase of a barrier in shared memory")),
    ("missing_block", Error("66 threads wait for a phase of a barrier in shared memory")),
    ("bytes_of_one_block", Error("emulator: kernel shared_boxes, block (")),
    ("static_memory_of_a_cluster", Error("have static shared memory, of which the emulator has one copy")),
    ("half_a_cluster", Error("grid (3, 1, 1) is not made of whole clusters of 2 blocks")),
    ("odd_stride", Error("a tensor map with stride 18 in dimension 1: it must be a multiple of 16 bytes")),
    ("large_box", Error("a tensor map with a box of size 257 in dimension 1: there are 1 to 256")),
    ("too_many_threads", Error("block (129, 1, 1), at most 128 threads")),
    ("too_much_dynamic", Error("65536 bytes of dynamic shared memory, the function's attribute allows 49152")),
    ("use_after_free", Error("parameter 1 points into freed memory")),
    ("double_free", Error("freed an address that is not the start of a live allocation")),
    ("copy_beyond", Error("516 bytes at")),
    ("allocation_in_capture", Error("a captured step must not allocate")),
    ("unjoined_capture", Error("CUDA_ERROR_STREAM_CAPTURE_UNJOINED")),
    ("wait_in_capture", Error("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED")),
    ("unlaunchable_image", Error("an image for sm_80 on a device of sm_90")),
    ("out_of_memory", Error("CUDA_ERROR_OUT_OF_MEMORY")),
];

/// Mistakes that only one order shows.
const MISTAKES_OF_ONE_ORDER: [(&str, Order); 8] = [
    ("missing_barrier_ahead", Order::LateAndForward),
    ("missing_barrier_behind", Order::EagerAndReverse),
    ("missing_event", Order::LateAndForward),
    ("early_overwrite", Order::LateAndForward),
    ("early_read", Order::LateAndForward),
    ("missing_box_wait", Order::LateAndForward),
    ("missing_products_wait", Order::LateAndForward),
    ("early_release", Order::LateAndForward),
];

/// Requires that a mistake is found, and that the same work without the mistake is right.
fn require_found(rig: &Emulator, case: &str, found: Found, order: Order) {
    let right = rig.check(case, 0, order);
    assert_eq!(right.code, Some(0), "{case} without a mistake, {order:?}: {}", right.err);
    let wrong = rig.check(case, 1, order);
    let is_found = match found {
        Wrong => wrong.code == Some(3),
        Error(text) => wrong.code == Some(4) && wrong.err.contains(text),
        Report(text) => wrong.code != Some(0) && wrong.err.contains(text),
    };
    assert!(is_found, "{case} was not found, {order:?}: {:?} {}", wrong.code, wrong.err);
}

fn require_conformance(rig: &Emulator, order: Order) {
    for (case, arguments) in CONFORMANCE {
        for argument in arguments {
            let checked = rig.check(case, *argument, order);
            assert_eq!(checked.code, Some(0), "{case} {argument}, {order:?}: {}", checked.err);
        }
    }
}

#[test]
fn functions_mean_what_cuda_says() {
    let rig = Emulator::new(Sanitizer::None);
    ORDERS.into_iter().for_each(|order| require_conformance(&rig, order));
}

#[test]
fn mistakes_are_found() {
    let rig = Emulator::new(Sanitizer::None);
    for order in ORDERS {
        MISTAKES.into_iter().for_each(|(case, found)| require_found(&rig, case, found, order));
    }
    MISTAKES_OF_ONE_ORDER.into_iter().for_each(|(case, order)| require_found(&rig, case, Wrong, order));
}

#[test]
fn accesses_out_of_bounds_are_found() {
    let rig = Emulator::new(Sanitizer::AddressAndUndefined);
    require_conformance(&rig, Order::LateAndForward);
    for (case, text) in [
        ("write_beyond_global", "AddressSanitizer: use-after-poison"),
        ("read_beyond_global", "AddressSanitizer: use-after-poison"),
        ("write_beyond_dynamic", "AddressSanitizer: use-after-poison"),
        ("read_beyond_static", "index 128 out of bounds"),
        ("misaligned_access", "misaligned address"),
    ] {
        require_found(&rig, case, Report(text), Order::LateAndForward);
    }
}

#[test]
fn races_are_found() {
    let rig = Emulator::new(Sanitizer::Thread);
    require_conformance(&rig, Order::LateAndForward);
    for case in ["missing_barrier_ahead", "missing_barrier_behind", "late_barrier"] {
        require_found(&rig, case, Report("ThreadSanitizer: data race"), Order::LateAndForward);
    }
}

#[test]
fn random_numbers_are_those_of_the_cpu() {
    let mut expected = vec![0.0; 100_000];
    Stream { key: [1, 2], nonce: [3, 4] }.fill_normal(&mut expected);
    let checked = Emulator::new(Sanitizer::None).check("normal", 100_000, Order::LateAndForward);
    let found: Vec<u32> = checked.out.lines().map(|line| u32::from_str_radix(line, 16).unwrap()).collect();
    let bits: Vec<u32> = expected.iter().map(|value: &f32| value.to_bits()).collect();
    assert!(found == bits, "{}", checked.err);
    let digest: String = Sha256::digest(&checked.out).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(include_str!("emulator/check/on-gpu").contains(&digest), "the digest in tests/emulator/check/on-gpu must be {digest}");
}

/// The script for real GPUs builds the checks and runs them, here on the emulated device; `nvidia-smi` is what says which cases a GPU has.
#[test]
fn the_script_for_real_gpus_runs() {
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("nvidia-smi");
    fs::write(&tool, "#!/bin/sh\necho 9.0\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let rig = Emulator::new(Sanitizer::None);
    let mut command = rig.command(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator/check/on-gpu"), Order::LateAndForward);
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    // A folder that does not exist, as NVIDIA's containers have it.
    let output = command.arg(rig.libraries()).env("PATH", path).env("LD_LIBRARY_PATH", "/no/such/folder").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !out.contains("NOT RUN") && !out.contains("WRONG"), "{out}{err}");
    let expected: usize = CONFORMANCE.iter().map(|(_, arguments)| arguments.len()).sum();
    // And the normal numbers.
    assert_eq!(out.matches("right  ").count(), expected + 1, "{out}");
}

#[test]
fn a_test_runs_again_on_the_emulated_device() {
    let mut ran_here = false;
    emulated_with(&ORDERS.map(|order| (Sanitizer::None, order)), || {
        ran_here = true;
        assert_eq!(Compiler::find().unwrap().version, (13, 99));
    });
    assert_eq!(ran_here, is_emulated());
}

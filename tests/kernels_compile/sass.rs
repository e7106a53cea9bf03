//! The machine code of the tensor-core kernels: products on the tensor cores (HMMA), operands by `ldmatrix` (LDSM), copies that do not wait (LDGSTS); on
//! Hopper products of a warpgroup (HGMMA), boxes by the copy engine (UTMALDG), registers that change hands (USETMAXREG), and of clusters boxes for both blocks
//! (UTMALDG.MULTICAST). NVIDIA's disassembler prints it; its wheel is fetched where the machine has none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{binaries, fetched, not_run, report};

/// One of each kind of tensor-core machine, and both element types: the assembler writes much the same code for the others.
const WITH_TENSOR_CORES: [&str; 4] = ["f16-sm_80", "f16-sm_90a", "f16-sm_120", "bf16-sm_90a"];
/// No tensor cores compute in f32, and sm_75 has not the instructions. Kernels that are for tensor cores only claim neither.
const WITHOUT: [&str; 2] = ["f32-sm_90a", "f16-sm_75"];
const EXPECTED: [&str; 3] = ["HMMA", "LDSM", "LDGSTS"];

/// Hopper's: what its kernels have, barriers in shared memory (SYNCS) among it, and what they must not have: memory that is local to a thread, products
/// of a single warp.
const ON_HOPPER: [&str; 8] = ["HGMMA", "UTMALDG", "USETMAXREG", "WARPGROUP", "SYNCS", "LDL", "STL", "HMMA"];
/// Of clusters: boxes for all their blocks, waits for all their threads, fences for the whole GPU.
const OF_CLUSTERS: [&str; 3] = ["UTMALDG.MULTICAST", "UCGABAR_WAIT", "MEMBAR.GPU"];

/// How many of each of some instructions every entry point has.
type Counts<const N: usize> = BTreeMap<String, [usize; N]>;

fn disassembler() -> Option<PathBuf> {
    let on_path = Command::new("nvdisasm").arg("--version").output().is_ok_and(|output| output.status.success());
    if on_path { Some("nvdisasm".into()) } else { fetched("nvidia-cuda-nvdisasm", "nvidia/cu13/bin/nvdisasm") }
}

fn instructions<const N: usize>(disassembler: &Path, binary: &Path, names: [&str; N]) -> Counts<N> {
    let output = Command::new(disassembler).arg("-c").arg(binary).output().expect("the disassembler starts");
    assert!(output.status.success(), "{}: {}", binary.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut counts, mut entry) = (Counts::<N>::new(), String::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(".text.").and_then(|rest| rest.strip_suffix(':')) {
            entry = name.to_owned();
            counts.insert(entry.clone(), [0; N]);
        } else if let Some(found) = counts.get_mut(&entry) {
            // "/*0a30*/   @!P0 LDGSTS.E.BYPASS ...": the operation is the first word that is no predicate.
            let code = line.split_once("*/").map_or("", |(_, rest)| rest);
            let operation = code.split_whitespace().find(|word| !word.starts_with('@')).unwrap_or("");
            names.iter().zip(found).filter(|(expected, _)| is(operation, expected)).for_each(|(_, count)| *count += 1);
        }
    }
    assert!(!counts.is_empty(), "{}: no code", binary.display());
    counts
}

/// Whether an operation, `UTMALDG.3D.MULTICAST`, is of a name and has its modifiers: `UTMALDG`, `UTMALDG.MULTICAST`.
fn is(operation: &str, expected: &str) -> bool {
    let (name, modifiers) = operation.split_once('.').unwrap_or((operation, ""));
    let mut wanted = expected.split('.');
    wanted.next() == Some(name) && wanted.all(|modifier| modifiers.split('.').any(|found| found == modifier))
}

/// Whether an entry point is named for its tile (128x64) or for its heads' width (64): those are the tensor-core ones.
pub(super) fn is_for_tensor_cores(entry: &str) -> bool {
    let size = entry.rsplit('_').next().unwrap_or("");
    !size.is_empty() && size.split('x').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[test]
fn tensor_core_kernels_compute_on_tensor_cores() {
    if report().is_none() {
        return;
    }
    let Some(disassembler) = disassembler() else {
        not_run("the look into the machine code", "there is no nvdisasm here and none could be fetched with pip");
        return;
    };
    let mut seen = 0;
    for kernel in ["linear", "conv2d", "attention", "cross_attention"] {
        let code = |variant: &str| {
            let binary = binaries().join(format!("{kernel}-{variant}.cubin"));
            binary.is_file().then(|| instructions(&disassembler, &binary, EXPECTED))
        };
        for variant in WITH_TENSOR_CORES {
            let counts = code(variant).unwrap_or_else(|| panic!("{kernel} was not compiled for {variant}"));
            for (entry, found) in counts {
                let place = format!("{entry} in {variant}: {EXPECTED:?} {found:?} times");
                if is_for_tensor_cores(&entry) {
                    seen += 1;
                    assert!(found.iter().all(|&count| count > 0), "{place}, expected all of them");
                } else {
                    assert_eq!(found[0], 0, "{place}, expected a kernel without tensor cores");
                }
            }
        }
        for variant in WITHOUT {
            let counts = code(variant).unwrap_or_default();
            assert!(counts.values().all(|found| found[0] == 0), "{kernel}-{variant}: {counts:?}");
        }
    }
    assert!(seen >= 100, "only {seen} tensor-core entry points were seen");
}

#[test]
fn hopper_kernels_multiply_as_warpgroups_what_the_copy_engine_brings() {
    if report().is_none() {
        return;
    }
    let Some(disassembler) = disassembler() else {
        not_run("the look into Hopper's machine code", "there is no nvdisasm here and none could be fetched with pip");
        return;
    };
    // Boxes of the right factor in a tile of so many columns: one, and two for gated layers, or of a cluster its half; across the depth 64 columns each.
    let boxes = |kernel: &str, columns: usize| match kernel {
        "product_hopper" => 3,
        "product_multicast" => 1,
        _ => columns.div_ceil(64),
    };
    for kernel in ["product_hopper", "product_multicast", "product_hopper_across", "product_multicast_across"] {
        for element in ["f16", "bf16"] {
            let binary = binaries().join(format!("{kernel}-{element}-sm_90a.cubin"));
            let mut shared = instructions(&disassembler, &binary, OF_CLUSTERS);
            let counts = instructions(&disassembler, &binary, ON_HOPPER);
            assert_eq!(counts.len(), 4, "{:?}", counts.keys());
            for (entry, found) in counts {
                let place = format!("{entry} in {element}: {ON_HOPPER:?} {found:?} times");
                let right = boxes(kernel, entry.rsplit('x').next().and_then(|columns| columns.parse().ok()).expect("a tile in the name"));
                // Boxes of the left factor are two, of the first and the second tensor. Four products of 16 a step; a change of registers for each role; a fence and two waits. The assembler would wait after every product if
                // the sums were touched while they are on their way.
                assert_eq!(found[..4], [4, 2 + right, 2, 3], "{place}");
                assert!(found[4] > 0 && found[5..] == [0; 3], "{place}");
                // Clusters wait for each other at the start and at the end, and there alone fence the whole GPU.
                let expected = if kernel.contains("multicast") { [right, 2, 2] } else { [0; 3] };
                assert_eq!(shared.remove(&entry), Some(expected), "{entry} in {element}: {OF_CLUSTERS:?}");
            }
        }
    }
}

//! What a kernel may be off by: 1e-5 in f32; in f16 and bf16 twice as much as a plain PyTorch implementation in the same precision, whose errors on the same
//! operands are in `tests/fixtures/pytorch_errors.json`. Every case of `anodiff kernels verify`, by each of its kernels, on the emulated device.
//!
//! Ours are measured against the CPU's f32 on the rounded operands, which is within 1e-5 of PyTorch's f64 (`benches/ops_pytorch.py`).

mod emulator;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Output;

use anodiff::weights::Archive;
use emulator::{Emulator, Order, Sanitizer};
use serde::Deserialize;

/// As in `benches/ops_pytorch.py`.
const F32_BOUND: f64 = 1e-5;
const FACTOR: f64 = 2.0;

#[derive(Deserialize)]
struct Fixture {
    /// Of each case in each element type: of the value and of each gradient.
    errors: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

#[derive(Deserialize)]
struct Verification {
    verdicts: Vec<Verdict>,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    op: String,
    dtype: String,
    errors: Vec<Option<f64>>,
    variant: Option<serde_json::Value>,
}

impl Verdict {
    /// Whether every result is within its bound.
    fn is_within(&self, bounds: &[f64]) -> bool {
        self.errors.len() == bounds.len() && self.errors.iter().zip(bounds).all(|(error, bound)| error.is_some_and(|error| error <= *bound))
    }
}

impl Fixture {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytorch_errors.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// What the errors of a verdict may be.
    fn bounds(&self, verdict: &Verdict) -> Vec<f64> {
        if verdict.dtype == "f32" {
            return vec![F32_BOUND; verdict.errors.len()];
        }
        let of_pytorch = self.errors.get(&verdict.op).and_then(|types| types.get(&verdict.dtype));
        let Some(of_pytorch) = of_pytorch else {
            panic!("PyTorch's errors in {} in {} are unknown: write the fixture anew (benches/ops_pytorch.py)", verdict.op, verdict.dtype)
        };
        // PyTorch may be exact by luck.
        of_pytorch.iter().map(|error| F32_BOUND.max(FACTOR * error)).collect()
    }
}

fn verify(arguments: &[&str]) -> Output {
    let mut command = Emulator::new(Sanitizer::None).command(env!("CARGO_BIN_EXE_anodiff"), Order::LateAndForward);
    command.args(["kernels", "verify", "--json"]).args(arguments).output().unwrap()
}

fn verdicts() -> Vec<Verdict> {
    let output = verify(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Verification>(&output.stdout).unwrap().verdicts
}

#[test]
fn no_kernel_errs_more_than_twice_as_much_as_pytorch() {
    let (fixture, verdicts) = (Fixture::read(), verdicts());
    let above: Vec<String> = verdicts
        .iter()
        .filter(|verdict| !verdict.is_within(&fixture.bounds(verdict)))
        .map(|verdict| format!("{verdict:?}, bounds {:?}", fixture.bounds(verdict)))
        .collect();
    assert!(above.is_empty(), "{} of {}:\n{}", above.len(), verdicts.len(), above.join("\n"));
    let routes: BTreeSet<&str> = verdicts.iter().filter_map(|verdict| verdict.variant.as_ref()?["route"].as_str()).collect();
    assert_eq!(routes, BTreeSet::from(["plain", "tensor-cores", "hopper", "multicast"]), "a route that nothing was computed by");
    let known: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.op.as_str()).collect();
    let unknown: Vec<&String> = fixture.errors.keys().filter(|op| !known.contains(op.as_str())).collect();
    assert!(unknown.is_empty(), "the fixture has cases that are no more: {unknown:?}");
}

/// What `benches/ops_pytorch.py` reads.
#[test]
fn operands_and_results_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let arguments = ["--op", "linear 7x33->17,masked_mse", "--record", record.to_str().unwrap()];
    assert!(verify(&arguments).status.success());
    let files: Vec<Archive> = (1..=6).map(|number| Archive::open(&record.join(format!("{number:04}.safetensors"))).unwrap()).collect();
    let said = |file: &Archive, name: &str| file.metadata()[name].clone();
    let cases: Vec<[String; 3]> = files.iter().map(|file| ["op", "dtype", "variables"].map(|name| said(file, name))).collect();
    let expected = [("linear 7x33->17", "3"), ("masked_mse", "1")]
        .iter()
        .flat_map(|(op, variables)| ["f32", "f16", "bf16"].map(|dtype| [op, dtype, variables].map(str::to_owned)))
        .collect::<Vec<_>>();
    assert_eq!(cases, expected);
    let names = |file: &Archive| file.names().map(str::to_owned).collect::<BTreeSet<_>>();
    let numbered = |name: &str, count: usize| (0..count).map(|index| format!("{name}/{index}")).collect::<Vec<_>>();
    let of_linear = [numbered("operand", 3), numbered("cpu", 4), numbered("plain", 4), vec!["weights".to_owned()]].concat();
    assert_eq!(names(&files[1]), of_linear.into_iter().collect());
    let of_loss = [numbered("operand", 3), numbered("cpu", 2), numbered("kernel", 2), vec!["weights".to_owned()]].concat();
    assert_eq!(names(&files[4]), of_loss.into_iter().collect());
    assert_eq!(files[1].shape("plain/1"), files[1].shape("operand/0"));
    // Another record is never mixed with it.
    let refused = verify(&arguments);
    assert!(refused.status.code() == Some(2) && String::from_utf8_lossy(&refused.stderr).contains("is not empty"), "{refused:?}");
}

#[test]
fn more_than_twice_pytorchs_error_is_seen() {
    let fixture = Fixture { errors: BTreeMap::from([("op".to_owned(), BTreeMap::from([("f16".to_owned(), vec![3e-4, 0.0])]))]) };
    let is_within = |dtype: &str, errors: &[Option<f64>]| {
        let verdict = Verdict { op: "op".to_owned(), dtype: dtype.to_owned(), errors: errors.to_vec(), variant: None };
        verdict.is_within(&fixture.bounds(&verdict))
    };
    assert!(is_within("f16", &[Some(6e-4), Some(0.0)]) && is_within("f16", &[Some(0.0), Some(1e-5)]) && is_within("f32", &[Some(1e-5)]));
    assert!(!is_within("f16", &[Some(6.1e-4), Some(0.0)]) && !is_within("f16", &[Some(3e-4), Some(1.1e-5)]));
    assert!(!is_within("f16", &[None, Some(0.0)]) && !is_within("f16", &[]) && !is_within("f32", &[Some(1.1e-5)]));
}

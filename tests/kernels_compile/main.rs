//! Every kernel compiles through the real NVRTC for every architecture and element type that it claims, within the registers, spills and stack of
//! `kernel_limits.txt`; the tensor-core kernels' machine code uses tensor cores; and the build script refuses kernels that could not be launched, and
//! names what computes.

mod digest;
mod sass;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

#[allow(dead_code)] // the build script uses the rest
#[path = "../../build/kernels.rs"]
mod kernels;

/// One of each generation for which the kernels differ: Turing without asynchronous copies, Ampere, Hopper, Blackwell.
const ARCHITECTURES: &str = "sm_75,sm_80,sm_90a,sm_120";
const ALL_ARCHITECTURES: &str = "sm_75,sm_80,sm_86,sm_89,sm_90a,sm_100,sm_120";
/// Registers are given out in steps of eight; another version of the compiler may need one step more.
const STEP: u64 = 8;

/// `target/`, from the place of the running test.
fn target() -> PathBuf {
    env::current_exe().expect("this program").ancestors().nth(3).expect("target").to_owned()
}

/// Where the binaries are written.
fn binaries() -> PathBuf {
    target().join("cubins")
}

fn compile(architectures: &str, compiler: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anodiff"));
    // What was compiled for an earlier run of the same content need not be compiled again.
    command.env("ANODIFF_CACHE", target().join("kernel-cache"));
    if let Some(path) = compiler {
        command.env("ANODIFF_LIBNVRTC", path);
    }
    command.args(["kernels", "compile", "--arch", architectures, "--json", "--out"]).arg(binaries()).output().expect("the program starts")
}

/// A file of one of NVIDIA's wheels, fetched with pip into `target/` once; none without network.
fn fetched(wheel: &str, file: &str) -> Option<PathBuf> {
    let folder = target().join(wheel);
    let found = || {
        let path = folder.join(file);
        path.is_file().then_some(path)
    };
    found().or_else(|| {
        let building = tempfile::tempdir_in(target()).expect("a folder in target");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(building.path()).arg(format!("{wheel}>=13,<14"));
        let installed = pip.output().is_ok_and(|output| output.status.success());
        if installed {
            // Another test process may have been faster.
            let _ = fs::rename(building.keep(), &folder);
        }
        found()
    })
}

/// Says what was not run and why; where CI runs, that is a failure.
fn not_run(what: &str, why: &str) {
    let strict = env::var_os("CI").is_some() || env::var_os("ANODIFF_CI").is_some_and(|value| value == "1");
    assert!(!strict, "{what}: {why}");
    eprintln!("NOT RUN: {what}; {why}");
}

/// What compiling every kernel gave; none where there is no compiler.
fn compiled(architectures: &str) -> Option<Value> {
    let mut output = compile(architectures, None);
    if String::from_utf8_lossy(&output.stderr).contains("no libnvrtc found") {
        let Some(compiler) = fetched("nvidia-cuda-nvrtc", "nvidia/cu13/lib/libnvrtc.so.13") else {
            not_run("the compilation of every kernel", "there is no libnvrtc here and none could be fetched with pip");
            return None;
        };
        output = compile(architectures, Some(&compiler));
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// [`compiled`] for [`ARCHITECTURES`], once for all tests.
fn report() -> Option<&'static Value> {
    static REPORT: OnceLock<Option<Value>> = OnceLock::new();
    REPORT.get_or_init(|| compiled(ARCHITECTURES)).as_ref()
}

#[test]
fn every_kernel_compiles_within_its_limits() {
    if let Some(report) = report() {
        check_limits(&needs(report));
    }
}

#[test]
#[ignore = "two minutes more, for three more architectures: .ci/run does it"]
fn every_kernel_compiles_within_its_limits_everywhere() {
    if let Some(report) = compiled(ALL_ARCHITECTURES) {
        check_limits(&needs(&report));
    }
}

/// What an entry point takes, at most over all architectures and element types.
#[derive(Clone, Copy, Debug, Default)]
struct Need {
    /// Of a thread.
    registers: u64,
    /// Bytes that a thread stores and loads because registers ran out.
    spilled: u64,
    /// Bytes of a thread's stack: what is spilled, and arrays that are indexed by a variable.
    stack: u64,
}

impl Need {
    fn most(self, other: Self) -> Self {
        Self { registers: self.registers.max(other.registers), spilled: self.spilled.max(other.spilled), stack: self.stack.max(other.stack) }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} {} {}", self.registers, self.spilled, self.stack)
    }
}

/// What each entry point takes.
fn needs(report: &Value) -> BTreeMap<String, Need> {
    let mut found: BTreeMap<String, Need> = BTreeMap::new();
    for row in report["kernels"].as_array().expect("a list") {
        let number = |name: &str| row[name].as_u64().expect("a number");
        let spilled = number("spill_stores") + number("spill_loads");
        let need = Need { registers: number("registers").next_multiple_of(STEP), spilled, stack: number("stack") };
        let most = found.entry(row["entry"].as_str().expect("a name").to_owned()).or_default();
        *most = most.most(need);
    }
    assert!(!found.is_empty(), "nothing was compiled");
    found
}

/// Compares with `tests/kernel_limits.txt`, or writes it anew with ANODIFF_UPDATE_LIMITS=1.
fn check_limits(found: &BTreeMap<String, Need>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel_limits.txt");
    if env::var_os("ANODIFF_UPDATE_LIMITS").is_some_and(|value| value == "1") {
        let mut text = String::from(
            "# Most registers, spilled bytes and bytes of stack of a thread of each entry point, over all architectures and element types.\n",
        );
        text += "# Written by: ANODIFF_UPDATE_LIMITS=1 cargo test --release --test kernels_compile -- everywhere --ignored\n";
        found.iter().for_each(|(entry, need)| text += &format!("{entry} {need}\n"));
        fs::write(&path, text).expect("a writable file");
        return;
    }
    let text = fs::read_to_string(&path).expect("tests/kernel_limits.txt");
    let limits: BTreeMap<&str, Need> = text.lines().filter(|line| !line.starts_with('#')).map(limit).collect();
    for entry in limits.keys() {
        assert!(found.contains_key(*entry), "kernel_limits.txt has {entry}, which no kernel has");
    }
    for (entry, need) in found {
        let Some(most) = limits.get(entry.as_str()) else {
            panic!("{entry} has no limits: add `{entry} {need}` to tests/kernel_limits.txt");
        };
        let Need { registers, spilled, stack } = need;
        // Whatever the limits say: a main loop that goes to memory for its own variables is a mistake.
        assert!(
            !sass::is_for_tensor_cores(entry) || spilled + stack == 0,
            "{entry} spills {spilled} bytes and has {stack} bytes of stack, and is for tensor cores"
        );
        assert!(*registers <= most.registers + STEP, "{entry} needs {registers} registers, the limit is {}", most.registers);
        assert!(*spilled <= most.spilled, "{entry} spills {spilled} bytes, the limit is {}", most.spilled);
        assert!(*stack <= most.stack, "{entry} has {stack} bytes of stack, the limit is {}", most.stack);
    }
}

/// A line of `tests/kernel_limits.txt`.
fn limit(line: &str) -> (&str, Need) {
    match line.split(' ').collect::<Vec<_>>()[..] {
        [entry, registers, spilled, stack] => {
            let [registers, spilled, stack] = [registers, spilled, stack].map(|number| number.parse().expect("a number"));
            (entry, Need { registers, spilled, stack })
        }
        _ => panic!("kernel_limits.txt: expected an entry point and three numbers, found {line}"),
    }
}

/// A repository with one kernel `sum`.
fn repository(kernel: &str, with_launcher: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).and_then(|()| fs::write(path, text)).expect("a writable folder");
    };
    write("kernels/sum.cu", kernel);
    write("kernels/common/a.cuh", "#pragma once\n#include \"common/b.cuh\"\nint a;\n");
    write("kernels/common/b.cuh", "#pragma once\nint b;\n");
    if with_launcher {
        write("src/ops/sum/cuda.rs", "");
    }
    folder
}

const FIRST: &str = "// Launched by src/ops/sum/cuda.rs.\n";

#[test]
fn headers_are_put_in_once_and_parameters_are_read() {
    let source = format!(
        "{FIRST}// supports: sm_80+, sm_90a; f16, bf16\n#include \"common/b.cuh\"\n#include \"common/a.cuh\"\n// extern \"C\" __global__ void no(int a);\n\
         extern \"C\" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(256, 2)\nsum(const element* __restrict__ x, float *y, /* rows */ int n, size_t m, uint2 key, const __grid_constant__ TensorMap map) {{}}\n"
    );
    let folder = repository(&source, true);
    let found = kernels::read(folder.path()).expect("a fitting kernel");
    let [kernel] = &found[..] else { panic!("{found:?}") };
    assert_eq!((kernel.name.as_str(), kernel.launched_by.as_str()), ("sum", "src/ops/sum/cuda.rs"));
    assert_eq!((kernel.architectures.join(" "), kernel.elements.join(" ")), ("sm_80+ sm_90a".to_owned(), "f16 bf16".to_owned()));
    assert_eq!(kernel.text.matches("int b;").count(), 1);
    assert!(kernel.text.find("int b;") < kernel.text.find("int a;"));
    assert!(kernel.text.contains("#line 5 \"kernels/sum.cu\"") && !kernel.text.contains("#include"));
    let [entry] = &kernel.entries[..] else { panic!("{:?}", kernel.entries) };
    let kinds: Vec<String> = entry.parameters.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    assert_eq!(
        kinds,
        [
            "x: Kind::Pointer { to: Pointee::Element, writes: false }",
            "y: Kind::Pointer { to: Pointee::Exactly(DType::F32), writes: true }",
            "n: Kind::I32",
            "m: Kind::U64",
            "key: Kind::U32Pair",
            "map: Kind::TensorMap"
        ]
    );
}

#[test]
fn the_fields_of_a_struct_are_parameters() {
    let source = format!(
        "{FIRST}#include \"common/a.cuh\"\nstruct Sizes {{\n    TensorMap x, second;\n    const element *bias, *residual; // null where absent\n    float *parts, scale;\n    \
         int rows, columns;\n    int cells() const {{ return rows * columns; }}\n}};\n\
         extern \"C\" __global__ void sum(const __grid_constant__ Sizes sizes) {{}}\nextern \"C\" __global__ void other(int rows) {{}}\n"
    );
    let found = kernels::read(repository(&source, true).path()).expect("a fitting kernel");
    let [sum, other] = &found[0].entries[..] else { panic!("{found:?}") };
    assert!(sum.in_struct && !other.in_struct);
    let kinds: Vec<String> = sum.parameters.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    assert_eq!(
        kinds,
        [
            "x: Kind::TensorMap",
            "second: Kind::TensorMap",
            "bias: Kind::Pointer { to: Pointee::Element, writes: false }",
            "residual: Kind::Pointer { to: Pointee::Element, writes: false }",
            "parts: Kind::Pointer { to: Pointee::Exactly(DType::F32), writes: true }",
            "scale: Kind::F32",
            "rows: Kind::I32",
            "columns: Kind::I32"
        ]
    );
}

#[test]
fn kernels_that_could_not_be_launched_are_refused() {
    let entry = "extern \"C\" __global__ void sum(float* x) {}\n";
    for (kernel, with_launcher, expected) in [
        (format!("{FIRST}{entry}"), false, "there is no src/ops/sum/cuda.rs to launch it"),
        (entry.to_owned(), true, "the first line must name the file that launches it, src/ops/sum/cuda.rs"),
        (FIRST.to_owned(), true, "no entry point"),
        (format!("{FIRST}#include <cuda_fp16.h>\n{entry}"), true, "line 2: kernels include nothing but files of kernels/common"),
        (format!("{FIRST}// supports: sm_8x\n{entry}"), true, "found sm_8x"),
        (format!("{FIRST}// supports: sm_80+; f64\n{entry}"), true, "found f64"),
        (format!("{FIRST}extern \"C\" __global__ void sum(double x) {{}}\n"), true, "sum: x has a type that a launch cannot pass: double"),
        (
            format!("{FIRST}struct Sizes {{ int rows, *columns; double x; }};\nextern \"C\" __global__ void sum(const Sizes sizes) {{}}\n"),
            true,
            "sum: x has a type that a launch cannot pass: double",
        ),
        (format!("{FIRST}{entry}extern \"C\" __global__ void sum(int x) {{}}\n"), true, "declared twice"),
    ] {
        let error = kernels::read(repository(&kernel, with_launcher).path()).expect_err(expected);
        assert!(error.contains(expected) && error.contains("kernels/sum.cu"), "expected {expected:?} in: {error}");
    }
}

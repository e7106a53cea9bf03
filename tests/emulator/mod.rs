//! A CUDA device without a GPU, for tests: builds the emulated driver and compiler (README.md in this folder) with g++, once per content, into
//! `target/`, and runs programs with them in place of the real ones.
//!
//! ```ignore
//! mod emulator;
//!
//! #[test]
//! fn sums_on_the_device() {
//!     emulator::emulated(|| {
//!         // runs in a process of its own, in which Device::parse("cuda") finds the emulated device
//!     });
//! }
//! ```

#![allow(dead_code)] // each test binary uses its part

use std::any::type_name_of_val;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anodiff::device::Device;
use anodiff::device::cuda::Cuda;
use sha2::{Digest, Sha256};

/// Set in processes that run on the emulator.
const MARK: &str = "ANODIFF_EMULATED";

/// What else is looked for while kernels run. Out-of-bounds accesses and undefined behaviour; data races between the threads of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitizer {
    None,
    AddressAndUndefined,
    Thread,
}

/// In which of its allowed orders the emulated device does things. What is right in one by luck is often wrong in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Streams work as late as they may; first threads and blocks first.
    LateAndForward,
    /// Streams work at once; last threads and blocks first.
    EagerAndReverse,
}

/// One way in which the device may order its work, and another; with the checks of addresses.
pub const WAYS: [(Sanitizer, Order); 3] =
    [(Sanitizer::None, Order::LateAndForward), (Sanitizer::None, Order::EagerAndReverse), (Sanitizer::AddressAndUndefined, Order::LateAndForward)];

impl Sanitizer {
    /// For g++, when it compiles kernels and the parts of the engine that touch their memory.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::AddressAndUndefined => &["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g1"],
            Self::Thread => &["-fsanitize=thread", "-g1"],
        }
    }

    /// For the rest of the engine and the driver, which call the sanitizer's functions.
    fn definition(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::AddressAndUndefined => Some("-DEMULATOR_ADDRESS_SANITIZER"),
            Self::Thread => Some("-DEMULATOR_THREAD_SANITIZER"),
        }
    }

    /// The library that must be in a process before all others.
    fn runtime(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::AddressAndUndefined => Some("libasan.so"),
            Self::Thread => Some("libtsan.so"),
        }
    }
}

/// The built rig: a folder with `lib/` and `include/`, and the kernels compiled so far.
#[derive(Clone, Debug)]
pub struct Emulator {
    root: PathBuf,
    sanitizer: Sanitizer,
}

impl Emulator {
    /// Builds the rig if no test process has done so for these sources.
    pub fn new(sanitizer: Sanitizer) -> Self {
        let folder = target().join("emulator");
        fs::create_dir_all(&folder).unwrap();
        let root = folder.join(key(sanitizer));
        let lock = File::create(root.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if !root.is_dir() {
            let building = tempfile::tempdir_in(&folder).unwrap();
            build(building.path(), sanitizer);
            fs::rename(building.keep(), &root).unwrap();
        }
        Self { root, sanitizer }
    }

    /// A copy in `folder` whose `__syncthreads()` does nothing: to see that races are found.
    pub fn without_barriers(&self, folder: &Path) -> Self {
        run(Command::new("cp").arg("-r").args([self.root.join("lib"), self.root.join("include")]).arg(folder));
        let header = folder.join("include/emulator/engine.h");
        let text = fs::read_to_string(&header).unwrap();
        let (before, barrier) = text.split_once("#define __syncthreads() ").unwrap();
        let behind = barrier.split_once('\n').unwrap().1;
        fs::write(&header, format!("{before}#define __syncthreads() ((void)0)\n{behind}")).unwrap();
        Self { root: folder.to_owned(), sanitizer: self.sanitizer }
    }

    /// The folder with libcuda.so.1, libnvrtc.so and libemulator.so.
    pub fn libraries(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// A program that finds the emulated device, and keeps its caches beside the rig: ANODIFF_CACHE points there. Each tensor's memory goes back to the
    /// driver at once, which sees what is used after its end; see [`pooled`].
    pub fn command(&self, program: impl AsRef<Path>, order: Order) -> Command {
        let mut command = Command::new(program.as_ref());
        let late = order == Order::LateAndForward;
        command
            .env(MARK, "1")
            .env("LD_LIBRARY_PATH", self.libraries())
            .env("ANODIFF_LIBNVRTC", self.libraries().join("libnvrtc.so"))
            .env("ANODIFF_CACHE", self.root.join("cache"))
            .env("ANODIFF_POOL", "0")
            .env("EMULATOR_STREAMS", if late { "lazy" } else { "eager" })
            .env("EMULATOR_ORDER", if late { "forward" } else { "reverse" });
        if let Some(runtime) = self.sanitizer.runtime() {
            let path = Command::new("g++").arg(format!("-print-file-name={runtime}")).output().unwrap().stdout;
            command.env("LD_PRELOAD", String::from_utf8(path).unwrap().trim());
            // Memory that the program keeps to its end is not what is looked for; a preloaded runtime comes late for a Rust program's first threads.
            command.env("ASAN_OPTIONS", "detect_leaks=0").env("TSAN_OPTIONS", "ignore_noninstrumented_modules=1");
        }
        command
    }

    /// The program `anodiff` on the emulated device.
    pub fn anodiff(&self, arguments: &[&str], folder: &Path) -> Output {
        let mut command = self.command(binary("anodiff"), Order::LateAndForward);
        command.args(arguments).current_dir(folder).output().unwrap()
    }
}

/// Lets the program keep freed memory and capture steps as graphs, as it does for its users.
pub fn pooled(command: &mut Command) {
    command.env_remove("ANODIFF_POOL");
}

/// A number that the driver counted in a process that ran with EMULATOR_TRACE=1.
pub fn traced(output: &Output, what: &str) -> u64 {
    let err = String::from_utf8_lossy(&output.stderr);
    let count = err.lines().find_map(|line| line.strip_prefix("emulated driver: ")?.split_once(what)?.0.trim().parse().ok());
    count.unwrap_or_else(|| panic!("no {what} in: {err}"))
}

/// How the program `check/` ended in one of its cases.
#[derive(Clone, Debug)]
pub struct Checked {
    /// 0: nothing was wrong; 3: wrong results; 4: the driver refused something; another: a sanitizer ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Emulator {
    /// Runs a case of `check/`.
    pub fn check(&self, case: &str, argument: i32, order: Order) -> Checked {
        let output = self.command(self.root.join("check"), order).args([case, &argument.to_string()]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Checked { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs `body` on the emulated device: the calling test starts itself again in a process of its own, and fails if that fails. `body` must be a closure
/// written in the test function, which is found by its name. The usual order, no sanitizer.
pub fn emulated(body: impl FnOnce()) {
    emulated_with(&[(Sanitizer::None, Order::LateAndForward)], body);
}

/// As [`emulated`], once for each of `ways`.
pub fn emulated_with(ways: &[(Sanitizer, Order)], body: impl FnOnce()) {
    emulated_as(ways, |_| (), body);
}

/// As [`emulated_with`], with freed memory kept: [`pooled`].
pub fn emulated_pooled(ways: &[(Sanitizer, Order)], body: impl FnOnce()) {
    emulated_as(ways, pooled, body);
}

/// As [`emulated_pooled`], on a device of so many bytes of memory.
pub fn emulated_with_memory(bytes: usize, body: impl FnOnce()) {
    let change = |command: &mut Command| {
        pooled(command);
        command.env("EMULATOR_MEMORY", bytes.to_string());
    };
    emulated_as(&WAYS[..2], change, body);
}

fn emulated_as<F: FnOnce()>(ways: &[(Sanitizer, Order)], change: impl Fn(&mut Command), body: F) {
    if is_emulated() {
        return body();
    }
    let closure = type_name_of_val(&body);
    let test = closure.split_once("::").unwrap().1.split("::{{closure}}").next().unwrap();
    for (sanitizer, order) in ways {
        let mut command = Emulator::new(*sanitizer).command(std::env::current_exe().unwrap(), *order);
        change(&mut command);
        let output = command.args([test, "--exact", "--nocapture", "--include-ignored"]).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(out.contains("1 passed") && output.status.success(), "{test} on the emulator, {sanitizer:?}, {order:?}:\n{out}{err}");
    }
}

/// Whether this process was started on the emulated device.
pub fn is_emulated() -> bool {
    std::env::var_os(MARK).is_some()
}

/// The device, in a process that was started on it.
pub fn cuda() -> Cuda {
    match Device::parse("cuda") {
        Ok(Device::Cuda(cuda)) => cuda,
        other => panic!("no device: {other:?}"),
    }
}

/// `target/`, from the place of the running test: `target/release/deps/name-hash`.
fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// A program of this package, beside the running test.
fn binary(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join(name)
}

/// This folder in the sources.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator")
}

/// Every file below `folder` with one of the endings, sorted.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if path.extension().is_some_and(|extension| endings.iter().any(|ending| extension == *ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Names everything that the built rig depends on; its checks know their kernels by their path.
fn key(sanitizer: Sanitizer) -> String {
    let mut hash = Sha256::new();
    hash.update(sources().as_os_str().as_encoded_bytes());
    for path in files(&sources(), &["cpp", "h", "rs"]) {
        hash.update(path.strip_prefix(sources()).unwrap().to_str().unwrap());
        hash.update(fs::read(&path).unwrap());
    }
    hash.update(format!("{sanitizer:?}"));
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Compiles the libraries and the checks into `root`.
fn build(root: &Path, sanitizer: Sanitizer) {
    let library = |name: &str| root.join("lib").join(name);
    fs::create_dir_all(root.join("lib")).unwrap();
    for header in files(&sources().join("include"), &["h"]) {
        let copy = root.join(header.strip_prefix(sources()).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&header, &copy).unwrap();
    }
    let kernel_flags = format!("-DEMULATOR_KERNEL_FLAGS=\"{}\"", sanitizer.flags().join(" "));
    compile(root, "engine", &library("libemulator.so"), sanitizer, &["-Wl,-soname,libemulator.so"]);
    compile(root, "compiler", &library("libnvrtc.so"), sanitizer, &["-fvisibility=hidden", "-ldl", &kernel_flags]);
    compile(root, "driver", &library("libcuda.so.1"), sanitizer, &["-fvisibility=hidden", "-Wl,-soname,libcuda.so.1", "-lemulator", "-ldl"]);
    std::os::unix::fs::symlink("libcuda.so.1", library("libcuda.so")).unwrap();
    compile_check(root);
}

/// One library from the sources in a folder of this one.
fn compile(root: &Path, folder: &str, library: &Path, sanitizer: Sanitizer, flags: &[&str]) {
    const FLAGS: [&str; 7] = ["-std=c++17", "-O2", "-march=x86-64-v3", "-Wall", "-Wextra", "-Werror", "-fPIC"];
    let mut objects = Vec::new();
    for source in files(&sources().join(folder), &["cpp"]) {
        // Of the engine, only `memory/` is compiled as kernels are: what stands there acts for them.
        let acts_for_kernels = source.parent().unwrap().ends_with("memory");
        let object = root.join(source.file_stem().unwrap()).with_extension("o");
        let mut command = Command::new("g++");
        command.args(FLAGS).arg("-I").arg(root.join("include")).arg("-I").arg(sources().join(folder)).args(sanitizer.definition());
        command.args(flags.iter().filter(|flag| flag.starts_with("-D") || flag.starts_with("-f")));
        command.args(if acts_for_kernels { sanitizer.flags() } else { &[] });
        run(command.arg("-c").arg(&source).arg("-o").arg(&object));
        objects.push(object);
    }
    let mut command = Command::new("g++");
    command.arg("-shared").args(&objects).arg("-o").arg(library).arg(format!("-L{}", root.join("lib").display())).arg("-Wl,-rpath,$ORIGIN");
    run(command.args(flags));
    objects.iter().for_each(|object| fs::remove_file(object).unwrap());
}

/// The program `check`. It knows where its kernels stand in the sources.
fn compile_check(root: &Path) {
    let define = |name: &str, folder: PathBuf| format!("-D{name}=\"{}\"", folder.display());
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let mut command = Command::new("g++");
    command.args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"]).args(files(&sources().join("check"), &["cpp"]));
    command.args([define("CHECK_FOLDER", sources().join("check")), define("KERNELS_FOLDER", kernels)]);
    // Symbols of a sanitizer come with the library that is loaded before all others.
    command.args(["-lcuda", "-lnvrtc", "-Wl,--allow-shlib-undefined"]).arg(format!("-L{}", root.join("lib").display()));
    run(command.arg("-o").arg(root.join("check")));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("the emulator needs g++: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

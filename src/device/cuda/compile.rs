//! A kernel's source becomes a binary for one architecture and element type, once per machine: results are kept on disk.

use std::fmt;
use std::time::Instant;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::architecture::Architecture;
use super::cache::{self, Cache};
use super::nvrtc::Compiler;
use super::resources::Resources;
use super::sources::{KERNELS, Kernel};
use crate::device::DType;
use crate::digest::hexadecimal;
use crate::error::{Result, bail};
use crate::invalid_input;
use crate::process::write_stderr;

/// One compilation: a kernel for an element type and an architecture.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// The source.
    pub kernel: &'static Kernel,
    /// What `element` is in it.
    pub element: DType,
    /// What it is compiled for.
    pub architecture: Architecture,
}

/// What a compilation gave.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The binary that the driver loads.
    pub binary: Vec<u8>,
    /// What compiler and assembler said.
    pub log: String,
    /// Whether it was on disk already.
    pub cached: bool,
    /// How long it took.
    pub seconds: f64,
}

impl Compiled {
    /// What each kernel takes, by the assembler's account.
    pub fn resources(&self) -> Vec<Resources> {
        Resources::of_log(&self.log)
    }
}

impl Variant {
    /// Every variant of the program for these architectures: each kernel in each of its element types, where it claims to run.
    pub fn all(architectures: &[Architecture]) -> Vec<Self> {
        let pairs = KERNELS.iter().flat_map(|kernel| architectures.iter().map(move |&architecture| (kernel, architecture)));
        let supported = pairs.filter(|(kernel, architecture)| kernel.supports(*architecture));
        supported.flat_map(|(kernel, architecture)| kernel.elements.iter().map(move |&element| Self { kernel, element, architecture })).collect()
    }

    /// Compiles, or takes the result from `cache`. A cache that cannot be written costs time at the next start and nothing else.
    ///
    /// # Errors
    /// When there is no compiler or it does not know the architecture (exit code 2), and when the kernel does not compile: with the compiler's log.
    pub fn compile(&self, compiler: &Compiler, cache: Option<&Cache>) -> Result<Compiled> {
        let started = Instant::now();
        let options = self.options();
        let name = self.file_name(compiler, &options);
        if let Some(cache::Entry { binary, log }) = cache.and_then(|cache| cache.read(&name)) {
            return Ok(Compiled { binary, log, cached: true, seconds: started.elapsed().as_secs_f64() });
        }
        let outcome = compiler.compile(&format!("kernels/{}.cu", self.kernel.name), self.kernel.text, &options)?;
        let (major, minor) = compiler.version;
        let binary = match outcome.binary {
            Ok(binary) => binary,
            Err(_) if outcome.log.contains("--gpu-architecture") => {
                invalid_input!("libnvrtc {major}.{minor} ({}) does not compile for {}: install a version that does", compiler.file, self.architecture)
            }
            Err(error) => bail!("{self} does not compile with libnvrtc {major}.{minor}: {error}\n{}", outcome.log),
        };
        let entry = cache::Entry { binary, log: outcome.log };
        if let Some(error) = cache.and_then(|cache| cache.write(&name, &entry).err()) {
            write_stderr(format_args!("note: compiled kernels are not kept: {error:#}"));
        }
        Ok(Compiled { binary: entry.binary, log: entry.log, cached: false, seconds: started.elapsed().as_secs_f64() })
    }

    /// Whether the result is on disk.
    pub fn is_cached(&self, compiler: &Compiler, cache: &Cache) -> bool {
        cache.holds(&self.file_name(compiler, &self.options()))
    }

    fn options(&self) -> Vec<String> {
        let element = match self.element {
            DType::F32 | DType::I32 => 0,
            DType::F16 => 1,
            DType::BF16 => 2,
        };
        // The line table costs nothing at run time and lets a profiler show the source.
        let fixed = ["-std=c++17", "-default-device", "-lineinfo", "--ptxas-options=-v"];
        let chosen = [format!("-arch={}", self.architecture), format!("-DELEMENT={element}")];
        fixed.iter().map(ToString::to_string).chain(chosen).collect()
    }

    /// Named for people by kernel, element type and architecture, for the machine by everything that the result hangs on.
    fn file_name(&self, compiler: &Compiler, options: &[String]) -> String {
        let (major, minor) = compiler.version;
        let mut hash = Sha256::new();
        // The library's file is part of it: an emulated compiler must never answer for a real one.
        for part in [self.kernel.text, &options.join(" "), &format!("{major}.{minor}"), &compiler.file] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hexadecimal(&hash.finalize()[..16]);
        format!("{}-{}-{}-{digest}.cubin", self.kernel.name, self.element, self.architecture)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "kernels/{}.cu for {} in {}", self.kernel.name, self.architecture, self.element)
    }
}

/// Compiles many variants on all threads of the pool, results in the order of `variants`. `done` is called as each ends.
pub fn compile_all(variants: &[Variant], cache: Option<&Cache>, done: impl Fn(&Variant) + Sync) -> Result<Vec<Result<Compiled>>> {
    let compiler = Compiler::find()?;
    let compiled = variants.par_iter().map(|variant| {
        let result = variant.compile(compiler, cache);
        done(variant);
        result
    });
    Ok(compiled.collect())
}

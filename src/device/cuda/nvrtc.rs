//! NVIDIA's run-time compiler: one source with options to a binary for one architecture, with the log of compiler and assembler.

use std::ffi::{CStr, CString};
use std::sync::OnceLock;

use cudarc::nvrtc::{result, sys};

use serde::Serialize;

use super::libraries;
use crate::error::{Result, anyhow};
use crate::input_error;

/// The compiler of this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compiler {
    /// Its version: 13, 2.
    pub version: (u32, u32),
    /// The library's file.
    pub file: String,
}

/// What a compilation left.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The binary, or the compiler's own name for what went wrong.
    pub binary: Result<Vec<u8>, String>,
    /// Messages of the compiler; with `--ptxas-options=-v` also the assembler's account of each kernel's resources.
    pub log: String,
}

impl Compiler {
    /// The compiler of this machine.
    ///
    /// # Errors
    /// When no libnvrtc is found; the message says where it was searched and how to get it (exit code 2).
    pub fn find() -> Result<&'static Self> {
        static FOUND: OnceLock<Result<Compiler, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let file = libraries::compiler()?;
            let (mut major, mut minor) = (0, 0);
            // SAFETY: the library is present; both pointers are valid for the call.
            unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().map_err(|error| format!("{file} does not tell its version: {error}"))?;
            Ok(Compiler { version: (major.unsigned_abs(), minor.unsigned_abs()), file })
        });
        found.as_ref().map_err(|sentence| input_error!("{sentence}"))
    }

    /// Compiles a source whose messages call it `name`. Many threads may compile at once.
    pub(super) fn compile(&self, name: &str, source: &str, options: &[String]) -> Result<Outcome> {
        let (name, source) = (CString::new(name)?, CString::new(source)?);
        let failed = |step: &'static str| move |error: result::NvrtcError| anyhow!("libnvrtc cannot {step}: {error:?}");
        let program = Program(result::create_program(&source, Some(&name)).map_err(failed("begin a compilation"))?);
        // SAFETY: the program is alive until the end of this function, and so are the source and the name that it refers to.
        let compiled = unsafe { result::compile_program(program.0, options) };
        // SAFETY: as above; cudarc returns a buffer that ends with a zero byte, or an empty one.
        let log = unsafe { result::get_program_log(program.0) }.map_err(failed("give its log"))?;
        let bytes: Vec<u8> = log.iter().map(|&byte| byte as u8).collect();
        let log = CStr::from_bytes_until_nul(&bytes).map(|text| text.to_string_lossy().trim_end().to_owned()).unwrap_or_default();
        let binary = match compiled {
            Ok(()) => Ok(program.binary().map_err(failed("give the binary"))?),
            Err(error) => Err(format!("{error:?}")),
        };
        Ok(Outcome { binary, log })
    }
}

/// A program of the compiler, destroyed when dropped.
struct Program(sys::nvrtcProgram);

impl Program {
    fn binary(&self) -> Result<Vec<u8>, result::NvrtcError> {
        let mut size = 0;
        // SAFETY: the program is alive and was compiled for a real architecture; the buffer has the size that the library asked for.
        unsafe {
            sys::nvrtcGetCUBINSize(self.0, &mut size).result()?;
            let mut binary = vec![0_u8; size];
            sys::nvrtcGetCUBIN(self.0, binary.as_mut_ptr().cast()).result()?;
            Ok(binary)
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: created by `create_program`, destroyed once; a failure would leak some memory.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

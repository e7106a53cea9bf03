//! NVIDIA GPUs: the run-time compiler, opened when first needed, so that one program serves machines with and without it.
//! Nothing outside this folder calls NVIDIA's libraries, and nothing outside it is `unsafe` for their sake.
#![allow(unsafe_code)] // Foreign functions; each call says why it is sound.

mod architecture;
mod cache;
mod compile;
mod libraries;
mod nvrtc;
mod resources;
mod sources;

pub use architecture::Architecture;
pub use cache::{Cache, FOLDER_VARIABLE};
pub use compile::{Compiled, Variant, compile_all};
pub use libraries::COMPILER_VARIABLE;
pub use nvrtc::Compiler;
pub use resources::Resources;
pub use sources::{Entry, KERNELS, Kernel, Kind, Parameter, Pointee};

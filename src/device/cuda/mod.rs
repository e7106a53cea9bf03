//! NVIDIA GPUs: the driver and the run-time compiler, both opened when first needed, so that one program serves machines with and without them.
//! Nothing outside this folder calls NVIDIA's libraries, and nothing outside it is `unsafe` for their sake.
#![allow(unsafe_code)] // Foreign functions; each call says why it is sound.

mod architecture;
mod arguments;
mod cache;
mod compile;
mod context;
mod failure;
mod graph;
mod interval;
mod launch;
mod libraries;
mod memory;
mod nvrtc;
mod pool;
mod ranges;
mod resources;
mod sources;
mod staging;
mod tensor_map;

pub use architecture::Architecture;
pub use cache::{Cache, FOLDER_VARIABLE};
pub use compile::{Compiled, Variant, compile_all};
pub use context::{Cuda, Properties, devices};
pub use graph::Graph;
pub use interval::Interval;
pub use launch::{Launch, Resident};
pub use libraries::COMPILER_VARIABLE;
pub use memory::{CudaStorage, poisoned};
pub use nvrtc::Compiler;
pub use ranges::Ranges;
pub use resources::Resources;
pub use sources::{Entry, KERNELS, Kernel, Kind, Parameter, Pointee};
pub use staging::Staging;

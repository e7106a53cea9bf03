//! The kernels inside the program: their sources with headers put in, and the parameter list of every entry point, as the build script read them.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::architecture::Architecture;
use crate::device::DType;
use crate::error::{Result, anyhow};

/// One `kernels/<name>.cu`.
#[derive(Debug)]
pub struct Kernel {
    /// The op's name.
    pub name: &'static str,
    /// The source file that launches it.
    pub launched_by: &'static str,
    /// Where it runs: `sm_80+` means that architecture and every later one, `sm_90a` that one alone.
    pub architectures: &'static [&'static str],
    /// Element types that it is compiled for.
    pub elements: &'static [DType],
    /// The whole source.
    pub text: &'static str,
    /// What can be launched.
    pub entries: &'static [Entry],
}

/// An `extern "C" __global__` function. Some exist for some element types or architectures only, as the source's `#if` say.
#[derive(Debug)]
pub struct Entry {
    /// Its name, unique among all kernels.
    pub name: &'static str,
    /// Its parameters in order, or the fields of the one struct that it takes.
    pub parameters: &'static [Parameter],
    /// Whether they are such fields.
    pub in_struct: bool,
}

/// A parameter of an entry point.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in the source.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An address on the device.
    Pointer {
        /// What lies there.
        to: Pointee,
        /// Whether the kernel may write there: the source says no `const`.
        writes: bool,
    },
    /// The address of a table of addresses on the device, one for each of several tensors; null for a tensor that is not there.
    Table {
        /// What lies there.
        of: DType,
        /// Whether the kernel may write there.
        writes: bool,
    },
    /// `int`.
    I32,
    /// `unsigned`.
    U32,
    /// `long long`.
    I64,
    /// `unsigned long long`, `size_t`.
    U64,
    /// `uint2`: a key or a nonce of random numbers.
    U32Pair,
    /// `float`.
    F32,
    /// `TensorMap` of `kernels/common/hopper.cuh`: boxes of a tensor.
    TensorMap,
}

impl Kind {
    /// Bytes of a field, and of what its place in a struct is a multiple (CUDA programming guide, "Built-in Vector Types" and "Tensor Map").
    pub(super) fn size_and_alignment(self) -> (usize, usize) {
        match self {
            Self::I32 | Self::U32 | Self::F32 => (4, 4),
            Self::Pointer { .. } | Self::Table { .. } | Self::I64 | Self::U64 | Self::U32Pair => (8, 8),
            Self::TensorMap => (128, 64),
        }
    }
}

/// What lies at a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointee {
    /// The element type that the kernel is compiled for.
    Element,
    /// One type whatever the kernel is compiled for.
    Exactly(DType),
    /// Bytes of any type.
    Bytes,
}

/// Every kernel of the program, sorted by name.
pub static KERNELS: &[Kernel] = include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

impl Kernel {
    /// Whether the kernel claims to run on an architecture.
    pub fn supports(&self, architecture: Architecture) -> bool {
        self.architectures.iter().any(|claim| match claim.strip_suffix('+') {
            Some(first) => Architecture::parse(first).is_ok_and(|first| architecture.number >= first.number),
            None => Architecture::parse(claim).is_ok_and(|only| architecture == only),
        })
    }

    /// The kernel of a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<&'static Self> {
        KERNELS.iter().find(|kernel| kernel.name == name).ok_or_else(|| anyhow!("no kernel {name} in this program"))
    }

    /// The kernel that holds an entry point, and the entry point.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn of_entry(entry: &str) -> Result<(&'static Self, &'static Entry)> {
        static BY_NAME: LazyLock<HashMap<&str, (&'static Kernel, &'static Entry)>> = LazyLock::new(|| {
            let entries = KERNELS.iter().flat_map(|kernel| kernel.entries.iter().map(move |entry| (entry.name, (kernel, entry))));
            entries.collect()
        });
        BY_NAME.get(entry).copied().ok_or_else(|| anyhow!("no kernel has an entry point {entry}"))
    }
}

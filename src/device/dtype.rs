//! Element types.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::invalid_input;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit float.
    F32,
    /// IEEE half precision: 5 exponent bits, 11 significant bits.
    F16,
    /// Brain float: 8 exponent bits, 8 significant bits.
    BF16,
    /// 32-bit signed integer.
    I32,
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// What the relative error of a result may be that is computed in f32 from the same inputs and stored in this type: a few roundings.
    pub fn tolerance(self) -> f64 {
        match self {
            Self::F32 | Self::I32 => 1e-5,
            Self::F16 => 3e-3,
            Self::BF16 => 2.4e-2,
        }
    }

    /// Reads `f32 | f16 | bf16`.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "f32" => Self::F32,
            "f16" => Self::F16,
            "bf16" => Self::BF16,
            other => invalid_input!("element type {other}: expected f32, f16 or bf16"),
        })
    }
}

impl fmt::Display for DType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I32 => "i32",
        })
    }
}

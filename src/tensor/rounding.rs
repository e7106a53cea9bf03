//! Rounding to an element type.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::device::DType;
use crate::device::cpu::{Buffer, CpuStorage};
use crate::error::{Result, bail};

/// Rounds f32 elements to a floating-point type.
pub(super) fn round(elements: Buffer<f32>, dtype: DType) -> Result<CpuStorage> {
    Ok(match dtype {
        DType::F32 => CpuStorage::F32(elements),
        DType::F16 => {
            let mut rounded = Buffer::<f16>::scratch(elements.len());
            rounded.convert_from_f32_slice(&elements);
            CpuStorage::F16(rounded)
        }
        DType::BF16 => {
            let mut rounded = Buffer::<bf16>::scratch(elements.len());
            rounded.convert_from_f32_slice(&elements);
            CpuStorage::BF16(rounded)
        }
        DType::I32 => bail!("expected a floating-point element type, found i32"),
    })
}

//! Tensors as the copy engine of compute capability 9.0 takes them: a kernel's parameter that says where a tensor lies and which boxes are copied out of
//! it (CUtensorMap; `kernels/common/hopper.cuh` says how a box then lies in shared memory).

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::{LazyLock, Mutex, PoisonError};

use cudarc::driver::{DriverError, sys};

use crate::device::DType;

/// The most dimensions that a tensor map has.
const MOST_DIMENSIONS: usize = 5;
/// Maps that are kept: more than one model's layers have in a few shapes.
const MOST_KEPT: usize = 4096;

/// Everything that a map says, which is why an old one stays true whatever the memory holds by now.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Description {
    address: u64,
    dtype: DType,
    dimensions: usize,
    /// Elements along each dimension, innermost first; they lie without gaps.
    sizes: [u64; MOST_DIMENSIONS],
    /// The same of a box.
    window: [u32; MOST_DIMENSIONS],
}

impl Description {
    /// Of elements at `address`; none when the copy engine has no such tensors or boxes.
    pub fn new(address: u64, dtype: DType, sizes: &[usize], window: &[usize]) -> Option<Self> {
        let fits = (1..=MOST_DIMENSIONS).contains(&sizes.len()) && sizes.len() == window.len() && matches!(dtype, DType::F16 | DType::BF16);
        if !fits {
            return None;
        }
        let mut description = Self { address, dtype, dimensions: sizes.len(), sizes: [1; MOST_DIMENSIONS], window: [1; MOST_DIMENSIONS] };
        for (at, (&size, &extent)) in sizes.iter().zip(window).enumerate() {
            description.sizes[at] = size as u64;
            description.window[at] = u32::try_from(extent).ok()?;
        }
        Some(description)
    }

    /// The map, made by the driver or kept from before.
    pub fn encode(&self) -> Result<sys::CUtensorMap, DriverError> {
        static KEPT: LazyLock<Mutex<HashMap<Description, sys::CUtensorMap>>> = LazyLock::new(Mutex::default);
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = kept.get(self) {
            return Ok(*map);
        }
        let map = self.made()?;
        if kept.len() == MOST_KEPT {
            kept.clear();
        }
        kept.insert(*self, map);
        Ok(map)
    }

    fn made(&self) -> Result<sys::CUtensorMap, DriverError> {
        let dtype = match self.dtype {
            DType::BF16 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
            _ => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
        };
        let mut strides = [0; MOST_DIMENSIONS - 1];
        let mut bytes = self.dtype.bytes() as u64;
        for (stride, size) in strides.iter_mut().zip(&self.sizes) {
            bytes *= size;
            *stride = bytes;
        }
        let steps = [1_u32; MOST_DIMENSIONS];
        let mut map = MaybeUninit::<sys::CUtensorMap>::uninit();
        // SAFETY: a device is open, so the driver is there, and it is new enough to have the function. All arrays have as many elements as dimensions, and
        // the map's alignment is that of its type; the address is only written down. The map is whole when the call succeeds.
        unsafe {
            sys::cuTensorMapEncodeTiled(
                map.as_mut_ptr(),
                dtype,
                self.dimensions as u32,
                self.address as *mut _,
                self.sizes.as_ptr(),
                strides.as_ptr(),
                self.window.as_ptr(),
                steps.as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
            .result()?;
            Ok(map.assume_init())
        }
    }
}

//! The driver's errors as sentences.

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

/// What an error of the driver means, with its own name for looking it up.
pub(super) fn sentence(error: DriverError) -> String {
    let meaning = match error.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => "the GPU's memory is full",
        CUresult::CUDA_ERROR_NO_DEVICE => "there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it",
        CUresult::CUDA_ERROR_INVALID_DEVICE => "there is no such GPU",
        CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => "the GPU is in use by another process that keeps it to itself",
        CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => "the driver's library and its kernel module are of different versions: restart the machine",
        CUresult::CUDA_ERROR_SYSTEM_NOT_READY => "the system that connects the GPUs is not ready (nvidia-fabricmanager)",
        CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU | CUresult::CUDA_ERROR_INVALID_IMAGE => {
            "the driver does not load this binary: libnvrtc is newer than the driver"
        }
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS => "a kernel before used an address outside its tensors (ANODIFF_SYNC=1 shows which)",
        CUresult::CUDA_ERROR_MISALIGNED_ADDRESS => "a kernel before used a misaligned address (ANODIFF_SYNC=1 shows which)",
        CUresult::CUDA_ERROR_LAUNCH_FAILED => "a kernel before failed (ANODIFF_SYNC=1 shows which)",
        CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES => "the kernel needs more registers or threads than the GPU has",
        CUresult::CUDA_ERROR_ECC_UNCORRECTABLE => "the GPU's memory is faulty",
        _ => "the driver reports an error",
    };
    format!("{meaning} ({:?})", error.0)
}

/// Whether memory ran out.
pub(super) fn is_out_of_memory(error: DriverError) -> bool {
    error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY
}

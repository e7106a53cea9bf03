//! Reading and writing safetensors: mapped, checked, atomic.

//! A name for weights: SHA-256 over their names, element types, shapes and bytes.

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::tensor::Tensor;
use crate::weights::stored::StoredType;

/// The digest of tensors in memory: that of the file that [`save`](crate::weights::save) writes of them.
pub fn digest(tensors: &[(String, Tensor)]) -> Result<[u8; 32]> {
    let mut order: Vec<&(String, Tensor)> = tensors.iter().collect();
    order.sort_by_key(|(name, _)| name);
    let parts: Vec<[u8; 32]> = order
        .iter()
        .map(|(name, tensor)| Ok(begin(name, StoredType::of(tensor.dtype()), tensor.shape()).chain_update(tensor.bytes()?).finalize().into()))
        .collect::<Result<_>>()?;
    Ok(of_all(&parts))
}

/// Begins a tensor's digest; its bytes follow.
pub(super) fn begin(name: &str, stored: StoredType, shape: &[usize]) -> Sha256 {
    Sha256::new().chain_update(format!("{name}\0{stored} {shape:?}\0"))
}

/// The digest of all tensors, from each one's in the order of their names.
pub(super) fn of_all(parts: &[[u8; 32]]) -> [u8; 32] {
    let mut all = Sha256::new();
    parts.iter().for_each(|part| all.update(part));
    all.finalize().into()
}

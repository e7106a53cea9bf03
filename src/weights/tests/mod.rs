//! Round trips, fitting a model, files from strangers.

mod fitting;
mod hostile;
mod round_trip;

use std::collections::BTreeMap;

use crate::tensor::Tensor;

/// A file of these tensors.
fn bytes(tensors: &[(&str, Tensor)]) -> Vec<u8> {
    let tensors: Vec<(String, Tensor)> = tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
    let mut bytes = Vec::new();
    super::write(&mut bytes, &tensors, &BTreeMap::new()).unwrap();
    bytes
}

/// A file of this header and so many zero bytes behind it.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

//! Writing safetensors: the same tensors and metadata always give the same bytes.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Result, ensure};
use crate::files;
use crate::tensor::Tensor;
use crate::weights::stored::StoredType;

/// Writes tensors under their names, in their own element types, all or nothing (see [`files::write_atomic`]).
///
/// # Errors
/// When two tensors have one name, a tensor has no elements, or the file cannot be written (exit code 2).
pub fn save(path: &Path, tensors: &[(String, Tensor)], metadata: &BTreeMap<String, String>) -> Result<()> {
    files::write_atomic(path, |writer| write(writer, tensors, metadata))
}

/// [`save`] to anything that takes bytes.
pub fn write(writer: &mut impl Write, tensors: &[(String, Tensor)], metadata: &BTreeMap<String, String>) -> Result<()> {
    // Wide elements first, so that every tensor is aligned to its elements whatever the sizes.
    let mut order: Vec<&(String, Tensor)> = tensors.iter().collect();
    order.sort_by_key(|(name, tensor)| (std::cmp::Reverse(tensor.dtype().bytes()), name));
    let header = header(&order, metadata)?;
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(&header)?;
    for (_, tensor) in order {
        writer.write_all(&tensor.bytes()?)?;
    }
    Ok(())
}

fn header(order: &[&(String, Tensor)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".into(), json!(metadata));
    }
    let mut position = 0;
    for (name, tensor) in order {
        ensure!(tensor.elements() > 0, "tensor {name} of shape {:?} has no elements and cannot be saved", tensor.shape());
        let end = position + tensor.elements() * tensor.dtype().bytes();
        let entry = json!({
            "dtype": StoredType::of(tensor.dtype()).to_string(),
            "shape": tensor.shape(),
            "data_offsets": [position, end],
        });
        ensure!(entries.insert(name.clone(), entry).is_none(), "two tensors are called {name}");
        position = end;
    }
    let mut header = serde_json::to_vec(&Value::Object(entries))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

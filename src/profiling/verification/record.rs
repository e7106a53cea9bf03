//! Operands and results of the compared cases as files, for others who compute the same (`benches/ops_pytorch.py`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::cases::Case;
use super::comparison::{Comparison, weights};
use crate::error::Result;
use crate::files;
use crate::invalid_input;
use crate::tensor::{DType, Tensor};
use crate::weights::save;

/// A folder with a safetensors file for each case and element type. Its tensors: `operand/0`, `operand/1`, … (inputs, then constants), `weights` of the sum
/// whose gradients are looked at, and results, the value and behind it the gradients: `cpu/0`, … in f32 and `<route>/0`, …, where an op with one kernel has
/// the route `kernel`. Its metadata: `op`, `dtype`, `parameters` as JSON, and `variables`, how many operands have gradients.
#[derive(Debug)]
pub(super) struct Record {
    folder: PathBuf,
    files: usize,
}

impl Record {
    /// # Errors
    /// When the folder is not empty or cannot be made (exit code 2).
    pub fn new(folder: &Path) -> Result<Self> {
        files::create_folder(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            invalid_input!(
                "the folder {} is not empty, so its files could be taken for those of this record; choose another --record",
                folder.display()
            );
        }
        Ok(Self { folder: folder.to_owned(), files: 0 })
    }

    /// Adds a case. A route that failed is left out: its verdict says why.
    ///
    /// # Errors
    /// When the file cannot be written (exit code 2).
    pub fn add(&mut self, case: &Case, dtype: DType, comparison: &Comparison) -> Result<()> {
        let Comparison { inputs, expected, found } = comparison;
        let operands: Vec<Tensor> = inputs.iter().chain(case.constants()).cloned().collect();
        let mut tensors = numbered("operand", &operands);
        tensors.extend(numbered("cpu", expected));
        for (route, found) in found {
            let route = route.map_or_else(|| "kernel".to_owned(), |route| route.to_string());
            tensors.extend(found.iter().flat_map(|found| numbered(&route, found)));
        }
        if case.gradients {
            tensors.push(("weights".to_owned(), weights(expected[0].shape())?));
        }
        let variables = if case.gradients { inputs.len() } else { 0 };
        let metadata = [
            ("op", case.op.clone()),
            ("dtype", dtype.to_string()),
            ("parameters", case.parameters.to_string()),
            ("variables", variables.to_string()),
        ];
        let metadata: BTreeMap<String, String> = metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.files += 1;
        save(&self.folder.join(format!("{:04}.safetensors", self.files)), &tensors, &metadata)
    }
}

fn numbered(name: &str, tensors: &[Tensor]) -> Vec<(String, Tensor)> {
    tensors.iter().enumerate().map(|(index, tensor)| (format!("{name}/{index}"), tensor.clone())).collect()
}

//! Learned embeddings as files that other programs load as textual inversions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::files;
use crate::tensor::Tensor;
use crate::weights;

/// Whose file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingFormat {
    /// diffusers' `load_textual_inversion`: `<name>/learned_embeds.safetensors` with one tensor, called as the token `<name>`.
    Diffusers,
    /// AUTOMATIC1111's web UI and kohya's scripts: `<name>.safetensors` with one tensor `emb_params`; the file's name is the token.
    EmbParams,
}

/// Writes one file for each embedding, `[rows, width]`, whose names in a learned file are `anomaly.<object>+<type>` or `mask.<object>+<type>`; others are
/// left out. The names of the files have `-` in place of the `.` and the `+`. Gives the files, relative to `out`.
///
/// # Errors
/// When a file cannot be written (exit code 2).
pub fn write_embeddings(tensors: &[(String, Tensor)], format: EmbeddingFormat, out: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (name, tensor) in tensors.iter().filter(|(name, _)| name.starts_with("anomaly.") || name.starts_with("mask.")) {
        let name: String = name.chars().map(|letter| if letter.is_alphanumeric() || letter == '_' { letter } else { '-' }).collect();
        let (file, key) = match format {
            EmbeddingFormat::Diffusers => (Path::new(&name).join("learned_embeds.safetensors"), format!("<{name}>")),
            EmbeddingFormat::EmbParams => (PathBuf::from(format!("{name}.safetensors")), "emb_params".to_owned()),
        };
        let path = out.join(&file);
        if let Some(folder) = path.parent() {
            files::create_folder(folder)?;
        }
        weights::save(&path, &[(key, tensor.clone())], &BTreeMap::new())?;
        written.push(file);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Archive;

    #[test]
    fn each_embedding_has_its_file_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let tensor = |value: f32| Tensor::from_f32(vec![value; 6], &[2, 3]).unwrap();
        let tensors = [
            ("anomaly.plate+thin line".to_owned(), tensor(1.0)),
            ("mask.plate+dot".to_owned(), tensor(2.0)),
            ("spatial.stem".to_owned(), tensor(3.0)),
        ];
        let written = write_embeddings(&tensors, EmbeddingFormat::Diffusers, folder.path()).unwrap();
        assert_eq!(
            written,
            [Path::new("anomaly-plate-thin-line/learned_embeds.safetensors"), Path::new("mask-plate-dot/learned_embeds.safetensors")]
        );
        let archive = Archive::open(&folder.path().join(&written[0])).unwrap();
        assert_eq!(archive.names().collect::<Vec<_>>(), ["<anomaly-plate-thin-line>"]);
        assert_eq!(archive.tensor("<anomaly-plate-thin-line>").unwrap().to_f32_vec().unwrap(), [1.0; 6]);
        let written = write_embeddings(&tensors, EmbeddingFormat::EmbParams, folder.path()).unwrap();
        let archive = Archive::open(&folder.path().join(&written[1])).unwrap();
        assert_eq!(written[1], Path::new("mask-plate-dot.safetensors"));
        assert_eq!(archive.shape("emb_params"), Some(&[2, 3][..]));
    }
}

//! The file: safetensors whose metadata holds a SHA-256 over every other byte.
//!
//! The digest's 64 hexadecimal digits stand at a fixed place, right behind the header's first words. They are computed over the whole file with
//! zeros in that place, so that no byte is left unprotected, header and length included.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::device::cpu::{Buffer, CpuStorage, Element};
use crate::digest::hexadecimal;
use crate::error::{Result, bail, ensure};
use crate::files;
use crate::tensor::{DType, Tensor};

/// How a checkpoint's header begins, up to the digest.
const OPENING: &str = r#"{"__metadata__":{"sha256":""#;
const DIGITS: usize = 64;
const DIGEST_AT: usize = size_of::<u64>() + OPENING.len();
/// As the safetensors library has it.
const LARGEST_HEADER: u64 = 100_000_000;

/// Writes named tensors and metadata entries; see [`files::write_atomic`].
pub(super) fn write(path: &Path, entries: &[(&str, String)], tensors: &[(String, Tensor)]) -> Result<()> {
    let header = header(entries, tensors);
    files::write_atomic(path, |writer| write_to(writer, &header, tensors))
}

fn write_to(writer: &mut BufWriter<File>, header: &[u8], tensors: &[(String, Tensor)]) -> Result<()> {
    let mut hash = Sha256::new();
    let length = (header.len() as u64).to_le_bytes();
    let mut part = |bytes: &[u8]| {
        hash.update(bytes);
        writer.write_all(bytes)
    };
    part(&length)?;
    part(header)?;
    for (_, tensor) in tensors {
        part(&tensor.bytes()?)?;
    }
    writer.seek(SeekFrom::Start(DIGEST_AT as u64))?;
    writer.write_all(hexadecimal(&hash.finalize()).as_bytes())?;
    Ok(writer.flush()?)
}

/// The header with zeros for the digest, padded so that the data is aligned.
fn header(entries: &[(&str, String)], tensors: &[(String, Tensor)]) -> Vec<u8> {
    let mut metadata = Map::new();
    metadata.insert("sha256".to_owned(), json!("0".repeat(DIGITS)));
    metadata.extend(entries.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    let mut root = Map::new();
    root.insert("__metadata__".to_owned(), Value::Object(metadata));
    let mut end = 0;
    for (name, tensor) in tensors {
        let start = end;
        end += tensor.elements() * tensor.dtype().bytes();
        let dtype = tensor.dtype().to_string().to_uppercase();
        root.insert(name.clone(), json!({"dtype": dtype, "shape": tensor.shape(), "data_offsets": [start, end]}));
    }
    let mut text = Value::Object(root).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    text
}

/// What a checkpoint file holds.
pub(super) struct Content {
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<(String, Tensor)>,
}

/// Reads a whole file and refuses one that is truncated, damaged, or no checkpoint of this program.
pub(super) fn read(path: &Path) -> Result<Content> {
    let mut source = Source::open(path)?;
    let metadata: Metadata = serde_json::from_slice(&source.header)?;
    let expected = metadata.data_len() as u64;
    ensure!(source.data == expected, "the header describes {expected} bytes of tensors, found {}", source.data);
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { bail!("the header lists {name} without describing it") };
        tensors.push((name, source.tensor(info)?));
    }
    source.finish()?;
    Ok(Content { metadata, tensors })
}

/// Reads a whole file and compares its digest, without keeping anything.
pub(super) fn verify(path: &Path) -> Result<()> {
    let mut source = Source::open(path)?;
    let mut block = vec![0; 1 << 20];
    let mut left = source.data;
    while left > 0 {
        let count = left.min(block.len() as u64) as usize;
        source.fill(&mut block[..count])?;
        left -= count as u64;
    }
    source.finish()
}

/// A file that is hashed as it is read.
struct Source {
    reader: BufReader<File>,
    hash: Sha256,
    header: Vec<u8>,
    recorded: String,
    /// Bytes behind the header.
    data: u64,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let (file, size) = files::open_regular(path)?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut length = [0; 8];
        ensure!(size > length.len() as u64, "it has {size} bytes, too few for a header");
        reader.read_exact(&mut length)?;
        let header_length = u64::from_le_bytes(length);
        let most = size - length.len() as u64;
        ensure!(header_length <= most.min(LARGEST_HEADER), "it is truncated or damaged: a header of {header_length} bytes, {most} present");
        let mut header = vec![0; header_length as usize];
        reader.read_exact(&mut header)?;
        let digest = OPENING.len()..OPENING.len() + DIGITS;
        ensure!(header.starts_with(OPENING.as_bytes()) && header.len() > digest.end, "it is no checkpoint of this program");
        let recorded = String::from_utf8_lossy(&header[digest.clone()]).into_owned();
        header[digest].fill(b'0');
        let mut hash = Sha256::new();
        hash.update(length);
        hash.update(&header);
        Ok(Self { reader, hash, header, recorded, data: most - header_length })
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.reader.read_exact(bytes)?;
        self.hash.update(&*bytes);
        Ok(())
    }

    fn elements<T: Element + bytemuck::Pod>(&mut self, count: usize) -> Result<Buffer<T>> {
        let mut elements = Buffer::scratch(count);
        self.fill(bytemuck::cast_slice_mut::<T, u8>(&mut elements))?;
        Ok(elements)
    }

    fn tensor(&mut self, info: &TensorInfo) -> Result<Tensor> {
        let bytes = info.data_offsets.1 - info.data_offsets.0;
        let storage = match info.dtype {
            Dtype::F32 => CpuStorage::F32(self.elements(bytes / DType::F32.bytes())?),
            Dtype::F16 => CpuStorage::F16(self.elements(bytes / DType::F16.bytes())?),
            Dtype::BF16 => CpuStorage::BF16(self.elements(bytes / DType::BF16.bytes())?),
            Dtype::I32 => CpuStorage::I32(self.elements(bytes / DType::I32.bytes())?),
            other => bail!("it holds elements of type {other:?}, which no checkpoint has"),
        };
        Tensor::new(storage, &info.shape)
    }

    fn finish(self) -> Result<()> {
        let found = hexadecimal(&self.hash.finalize());
        ensure!(found == self.recorded, "it is damaged: SHA-256 {found}, recorded {}", self.recorded);
        Ok(())
    }
}

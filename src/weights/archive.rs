//! One or more safetensors files as one set of named tensors, and as the source of a model's parameters.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rayon::prelude::*;
use sha2::Digest;

use crate::device::Device;
use crate::device::cuda::{Cuda, Staging};
use crate::error::{Context, Result};
use crate::nn::{Init, Layout, ParameterSource, Placement};
use crate::tensor::Tensor;
use crate::weights::alias::{aliases, is_ignorable, same_elements};
use crate::weights::digest;
use crate::weights::fit::{Fit, Misshaped};
use crate::weights::folder::{Bytes, Folder};
use crate::weights::header::{Entry, Header, PREFIX, header_length, shown};
use crate::weights::stored::{Precision, StoredType, read_tensor};
use crate::weights::upload::{BUFFER, upload};
use crate::{input_error, invalid_input};

/// The tensors of one or more safetensors files. Only headers are in memory; a tensor is read when it is asked for.
#[derive(Debug)]
pub struct Archive {
    label: String,
    files: Arc<Vec<WeightFile>>,
    tensors: BTreeMap<String, Place>,
    precision: Precision,
    placement: Placement,
    fit: Mutex<Fit>,
    /// What parameters go to a GPU through, from the first one on.
    staging: Mutex<Option<Staging>>,
}

#[derive(Debug)]
struct WeightFile {
    label: String,
    bytes: Bytes,
    metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Place {
    file: usize,
    entry: Entry,
}

impl Archive {
    /// Opens a `.safetensors` file, or all files of a `.safetensors.index.json`.
    ///
    /// # Errors
    /// When a file cannot be read or its header does not hold up (exit code 2); the message names file, tensor, what was expected and found.
    pub fn open(path: &Path) -> Result<Self> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            invalid_input!("cannot read {}: expected a .safetensors file", path.display());
        };
        let folder = Folder::disk(path.parent().unwrap_or(Path::new("")));
        if name.ends_with(".json") { super::locate::open_index(&folder, name) } else { Self::from_files(&folder, &[name.to_owned()]) }
    }

    /// Opens the weights called `stem` in a folder: `<stem>.safetensors`, its shards, or a variant such as `<stem>.fp16.safetensors`.
    ///
    /// # Errors
    /// As [`Archive::open`], and when there are none.
    pub fn in_folder(folder: &Folder, stem: &str) -> Result<Self> {
        super::locate::open_stem(folder, stem)
    }

    /// Several files of one folder as one archive.
    pub fn from_files(folder: &Folder, names: &[String]) -> Result<Self> {
        let mut opened = Vec::with_capacity(names.len());
        for name in names {
            opened.push((folder.show(name), folder.open(name)?));
        }
        let label = if opened.len() == 1 { opened[0].0.clone() } else { folder.to_string() };
        Self::from_bytes_of_files(label, opened)
    }

    /// A file's content in memory; `label` names it in messages.
    pub fn from_bytes(label: &str, bytes: Vec<u8>) -> Result<Self> {
        Self::from_bytes_of_files(label.to_owned(), vec![(label.to_owned(), Bytes::Owned(bytes))])
    }

    /// A file compiled into the program.
    pub fn from_static(label: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::from_bytes_of_files(label.to_owned(), vec![(label.to_owned(), Bytes::Static(bytes))])
    }

    fn from_bytes_of_files(label: String, opened: Vec<(String, Bytes)>) -> Result<Self> {
        let mut files: Vec<WeightFile> = Vec::with_capacity(opened.len());
        let mut tensors: BTreeMap<String, Place> = BTreeMap::new();
        for (file, (label, bytes)) in opened.into_iter().enumerate() {
            let header = read_header(&label, &bytes)?;
            for entry in header.entries {
                if let Some(other) = tensors.get(&entry.name) {
                    invalid_input!("tensor {} is in {} and in {label}", shown(&entry.name), files[other.file].label);
                }
                tensors.insert(entry.name.clone(), Place { file, entry });
            }
            files.push(WeightFile { label, bytes, metadata: header.metadata });
        }
        Ok(Self {
            label,
            files: Arc::new(files),
            tensors,
            precision: Precision::Widened,
            placement: Placement::HOST,
            fit: Mutex::default(),
            staging: Mutex::default(),
        })
    }

    /// Some of the tensors under other names: `rename` gives the new names of each, none for one to leave out, several for one whose rows are that many
    /// tensors of equal size. The files stay shared.
    ///
    /// # Errors
    /// When the rows cannot be shared out, or two tensors get one name (exit code 2).
    pub fn renamed(&self, label: String, rename: impl Fn(&str) -> Vec<String>) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (name, place) in &self.tensors {
            let names = rename(name);
            let parts = split_rows(place, names.len()).ok_or_else(|| {
                let shape = &place.entry.shape;
                input_error!("{}: expected {} in {} equal parts, found shape {shape:?}", self.label, shown(name), names.len())
            })?;
            for (renamed, mut part) in names.into_iter().zip(parts) {
                part.entry.name = renamed.clone();
                if tensors.insert(renamed.clone(), part).is_some() {
                    invalid_input!("{}: {} is there under two names, one of them {}", self.label, shown(&renamed), shown(name));
                }
            }
        }
        let (files, precision, placement) = (Arc::clone(&self.files), self.precision, self.placement);
        Ok(Self { label, files, tensors, precision, placement, fit: Mutex::default(), staging: Mutex::default() })
    }

    /// Sets how floating-point elements come into memory; widened to f32 unless said.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Sets where a model's parameters go and in what: into host memory as f32 unless said. To a GPU they go in pieces, so that none of them is in host
    /// memory as a whole.
    pub fn with_placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// How messages call it: the file, or the folder of several.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of exactly this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor, without reading it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|place| place.entry.shape.as_slice())
    }

    /// The element type of a tensor in its file.
    pub fn stored_type(&self, name: &str) -> Option<StoredType> {
        self.tensors.get(name).map(|place| place.entry.stored)
    }

    /// The text entries of the header (of all files; the first to name a key wins).
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (key, value) in self.files.iter().flat_map(|file| &file.metadata) {
            all.entry(key.clone()).or_insert_with(|| value.clone());
        }
        all
    }

    /// How many numbers all tensors have together.
    pub fn elements(&self) -> usize {
        self.tensors.values().map(|place| place.entry.shape.iter().product::<usize>()).sum()
    }

    /// Reads a tensor. Floating-point elements come as [`Archive::with_precision`] says, integers as i32.
    ///
    /// # Errors
    /// When there is none of this name or its bytes cannot be read.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let place = self.tensors.get(name).ok_or_else(|| {
            let names: Vec<String> = self.names().take(20).map(shown).collect();
            input_error!("{}: expected a tensor called {name}, found {}", self.label, if names.is_empty() { "none".into() } else { names.join(", ") })
        })?;
        self.read(place)
    }

    fn read(&self, place: &Place) -> Result<Tensor> {
        let (entry, read) = (&place.entry, |offset, part: &mut [u8]| self.read_at(place, offset, part));
        read_tensor(entry.stored, &entry.shape, self.precision, read).with_context(|| self.name_of(place))
    }

    /// As a parameter of this shape and layout, on a GPU.
    fn upload(&self, cuda: Cuda, place: &Place, shape: &[usize], layout: Layout) -> Result<Tensor> {
        let mut staging = self.staging.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let staging = match &mut *staging {
            Some(staging) => staging,
            none => none.insert(Staging::new(cuda, self.buffer_bytes())?),
        };
        let read = |offset, part: &mut [u8]| self.read_at(place, offset, part);
        upload(staging, place.entry.stored, shape, (layout, self.placement.dtype), read).with_context(|| self.name_of(place))
    }

    /// What a buffer for the largest tensor needs, if that is less than [`BUFFER`].
    fn buffer_bytes(&self) -> usize {
        let largest = self.tensors.values().map(|place| place.entry.shape.iter().product::<usize>()).max().unwrap_or(0);
        (largest * self.placement.dtype.bytes()).clamp(1, BUFFER)
    }

    fn read_at(&self, place: &Place, offset: u64, part: &mut [u8]) -> Result<()> {
        let file = &self.files[place.file];
        file.bytes.read_at(&file.label, place.entry.bytes.start + offset, part)
    }

    fn name_of(&self, place: &Place) -> String {
        format!("{}: tensor {}", self.files[place.file].label, shown(&place.entry.name))
    }

    /// SHA-256 over every tensor's name, element type, shape and bytes, in the order of their names: the same for any split into files.
    pub fn digest(&self) -> Result<[u8; 32]> {
        let parts: Vec<[u8; 32]> = self.tensors.par_iter().map(|(_, place)| self.digest_of(place)).collect::<Result<_>>()?;
        Ok(digest::of_all(&parts))
    }

    fn digest_of(&self, place: &Place) -> Result<[u8; 32]> {
        let (file, entry) = (&self.files[place.file], &place.entry);
        let mut hash = digest::begin(&entry.name, entry.stored, &entry.shape);
        let mut chunk = vec![0; (entry.bytes.end - entry.bytes.start).min(1 << 20) as usize];
        let mut position = entry.bytes.start;
        while position < entry.bytes.end {
            let length = chunk.len().min((entry.bytes.end - position) as usize);
            file.bytes.read_at(&file.label, position, &mut chunk[..length])?;
            hash.update(&chunk[..length]);
            position += length as u64;
        }
        Ok(hash.finalize().into())
    }

    /// Says whether the files fitted the model that took its parameters from here.
    ///
    /// # Errors
    /// One message with every missing, left-over and mis-shaped tensor, and the nearest names (exit code 2).
    pub fn finish(&self) -> Result<()> {
        self.finish_except(|_| false)
    }

    /// [`Archive::finish`], where tensors for which `unneeded` is true may be left over.
    pub fn finish_except(&self, unneeded: impl Fn(&str) -> bool) -> Result<()> {
        let fit = self.fit();
        let left_over = self.names().filter(|name| !fit.used.contains(*name) && !is_ignorable(name) && !unneeded(name));
        match fit.complaint(&self.label, &left_over.collect::<Vec<_>>()) {
            Some(complaint) => invalid_input!("{complaint}"),
            None => Ok(()),
        }
    }

    /// The tensor under its own name or one that other versions gave it.
    fn find(&self, name: &str) -> Option<&Place> {
        self.tensors.get(name).or_else(|| aliases(name).iter().find_map(|alias| self.tensors.get(alias)))
    }

    /// The tensor that a model asks for, if it is there and fits; that it was asked for, and what is wrong with it, is noted.
    fn fitting(&self, name: &str, shape: &[usize]) -> Option<&Place> {
        let Some(place) = self.find(name) else {
            self.fit().missing.push((name.to_owned(), shape.to_vec()));
            return None;
        };
        let entry = &place.entry;
        self.fit().used.insert(entry.name.clone());
        if same_elements(shape, &entry.shape) && entry.stored.is_float() {
            return Some(place);
        }
        let found = if entry.stored.is_float() { format!("{:?}", entry.shape) } else { format!("{:?} of {}", entry.shape, entry.stored) };
        self.fit().misshaped.push(Misshaped { name: entry.name.clone(), expected: shape.to_vec(), found });
        None
    }

    fn fit(&self) -> MutexGuard<'_, Fit> {
        self.fit.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Zeros in place of a tensor that does not fit, so that the model goes on asking and all faults are found. A configuration that is larger than
    /// the file by far must not make us allocate it: the faults up to there are reported then.
    fn placeholder(&self, shape: &[usize]) -> Result<Tensor> {
        const ALWAYS_ALLOWED: usize = 64 << 20;
        let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).unwrap_or(usize::MAX);
        let total = {
            let mut fit = self.fit();
            fit.placeholders = fit.placeholders.saturating_add(count);
            fit.placeholders
        };
        if total > self.elements().max(ALWAYS_ALLOWED) {
            let complaint = self.fit().complaint(&self.label, &[]).unwrap_or_default();
            invalid_input!("{complaint}\nThe configuration describes a model much larger than these weights; the comparison stopped there");
        }
        Ok(Tensor::zeros(shape))
    }
}

impl ParameterSource for Archive {
    fn fetch(&self, name: &str, shape: &[usize], _init: Init) -> Result<Tensor> {
        match self.fitting(name, shape) {
            Some(place) => self.read(place)?.reshape(shape),
            None => self.placeholder(shape),
        }
    }

    fn fetch_as(&self, name: &str, shape: &[usize], init: Init, layout: Layout) -> Result<Tensor> {
        let Device::Cuda(cuda) = self.placement.device else { return layout.from_checkpoint(self.fetch(name, shape, init)?) };
        match self.fitting(name, shape) {
            Some(place) => self.upload(cuda, place, shape, layout),
            None => layout.from_checkpoint(self.placeholder(shape)?),
        }
    }
}

/// `count` tensors of equal size, one behind the other in the file, that together are the one at `place`; `None` where the rows are no multiple.
fn split_rows(place: &Place, count: usize) -> Option<Vec<Place>> {
    let Place { file, entry } = place;
    if count <= 1 {
        return Some(vec![Place { file: *file, entry: entry.clone() }; count]);
    }
    let rows = *entry.shape.first().filter(|rows| rows.is_multiple_of(count))?;
    let size = (entry.bytes.end - entry.bytes.start) / count as u64;
    let part = |index: usize| {
        let start = entry.bytes.start + index as u64 * size;
        let shape = [&[rows / count], &entry.shape[1..]].concat();
        Place { file: *file, entry: Entry { shape, bytes: start..start + size, ..entry.clone() } }
    };
    Some((0..count).map(part).collect())
}

fn read_header(label: &str, bytes: &Bytes) -> Result<Header> {
    let file_length = bytes.len();
    let mut prefix = vec![0; PREFIX.min(file_length) as usize];
    bytes.read_at(label, 0, &mut prefix)?;
    let length = header_length(label, &prefix, file_length)?;
    let mut json = vec![0; length as usize];
    bytes.read_at(label, PREFIX, &mut json)?;
    Header::parse(label, &json, file_length - PREFIX - length)
}

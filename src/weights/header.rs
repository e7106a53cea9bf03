//! The header of a safetensors file: eight bytes of length, then JSON. Files come from strangers, so everything is checked here, once, before a
//! tensor is allocated.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::Result;
use crate::invalid_input;
use crate::weights::stored::StoredType;

/// Bytes before the header: its length.
pub(super) const PREFIX: u64 = 8;
/// The format's own limit on the header.
const LONGEST_HEADER: u64 = 100_000_000;
/// More tensors than any model of the families that this program runs, by a factor of ten; a parsed one takes a few times its text.
const MOST_TENSORS: usize = 20_000;
const MOST_METADATA: usize = 10_000;
const MOST_AXES: usize = 8;
const METADATA: &str = "__metadata__";

/// What a header says of one tensor, checked.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub stored: StoredType,
    pub shape: Vec<usize>,
    /// Position in the file.
    pub bytes: Range<u64>,
}

/// A checked header.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// In the order of the file.
    pub entries: Vec<Entry>,
    pub metadata: BTreeMap<String, String>,
}

/// The length of the header, from the file's first bytes.
///
/// # Errors
/// When the file is too short for it or it is beyond the format's limit.
pub(super) fn header_length(file: &str, prefix: &[u8], file_length: u64) -> Result<u64> {
    let Ok(prefix) = <[u8; PREFIX as usize]>::try_from(prefix) else {
        invalid_input!("{file} is not a safetensors file: it has {file_length} bytes, expected at least {PREFIX}");
    };
    let length = u64::from_le_bytes(prefix);
    if length > LONGEST_HEADER {
        invalid_input!("{file} is not a safetensors file: its header claims {length} bytes, the format allows {LONGEST_HEADER}");
    }
    let room = file_length - PREFIX;
    if length > room {
        invalid_input!("{file} is truncated: its header claims {length} bytes, the file has {room} after the length; fetch it again");
    }
    Ok(length)
}

impl Header {
    /// Reads and checks the JSON of a header; the tensors' bytes are the `data_length` bytes behind it.
    pub fn parse(file: &str, json: &[u8], data_length: u64) -> Result<Self> {
        let text = match std::str::from_utf8(json) {
            Ok(text) => text,
            Err(error) => invalid_input!("{file} is damaged: its header is not UTF-8 at byte {}", error.valid_up_to()),
        };
        let raw: RawHeader = match serde_json::from_str(text) {
            Ok(raw) => raw,
            Err(error) => invalid_input!("{file} is damaged: its header is not what safetensors has: {error}"),
        };
        let data_start = PREFIX + json.len() as u64;
        let mut entries = Vec::with_capacity(raw.tensors.len());
        for (name, tensor) in raw.tensors {
            entries.push(check_tensor(file, name, tensor, data_start, data_length)?);
        }
        refuse_duplicates(file, &entries)?;
        entries.sort_by_key(|entry| entry.bytes.start);
        check_coverage(file, &entries, data_start, data_start + data_length)?;
        Ok(Self { entries, metadata: raw.metadata })
    }
}

/// Checks one tensor by itself.
fn check_tensor(file: &str, name: String, raw: RawTensor, data_start: u64, data_length: u64) -> Result<Entry> {
    let shown = shown(&name);
    let Some(stored) = StoredType::parse(&raw.dtype) else {
        invalid_input!("{file}: tensor {shown} has the element type \"{}\", expected one of {}", shorten(&raw.dtype), StoredType::names());
    };
    let shape = raw.shape.sizes();
    if shape.contains(&0) {
        invalid_input!("{file}: tensor {shown} has no elements, its shape is {shape:?}");
    }
    let bytes = shape.iter().try_fold(stored.bytes(), |product, &size| product.checked_mul(size));
    let Some(bytes) = bytes else {
        invalid_input!("{file}: tensor {shown} claims the shape {shape:?}, whose size overflows");
    };
    let [start, end] = raw.data_offsets;
    if start > end || end > data_length {
        invalid_input!("{file}: tensor {shown} claims the bytes {start}..{end}, the file has 0..{data_length}: it is truncated or damaged");
    }
    if end - start != bytes {
        invalid_input!("{file}: tensor {shown} of shape {shape:?} and type {stored} needs {bytes} bytes, found {}", end - start);
    }
    // Sizes fit in memory's address range: their product in bytes is at most the file's length.
    let shape = shape.iter().map(|&size| size as usize).collect();
    Ok(Entry { name, stored, shape, bytes: data_start + start..data_start + end })
}

fn refuse_duplicates(file: &str, entries: &[Entry]) -> Result<()> {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        invalid_input!("{file} is damaged: its header has the tensor {} twice", shown(pair[0]));
    }
    Ok(())
}

/// Sorted entries follow each other without holes or overlaps up to the end of the file.
fn check_coverage(file: &str, entries: &[Entry], data_start: u64, file_length: u64) -> Result<()> {
    let mut position = data_start;
    for entry in entries {
        let start = entry.bytes.start;
        if start < position {
            invalid_input!("{file} is damaged: tensor {} starts at byte {start}, inside the one before it", shown(&entry.name));
        }
        if start > position {
            invalid_input!("{file} is damaged: {} bytes before tensor {} belong to none", start - position, shown(&entry.name));
        }
        position = entry.bytes.end;
    }
    if position != file_length {
        invalid_input!("{file} is damaged: the last {} bytes belong to no tensor", file_length - position);
    }
    Ok(())
}

/// A name as an error message shows it: escaped, and cut when very long.
pub(super) fn shown(name: &str) -> String {
    shorten(&name.escape_debug().to_string())
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 160;
    if text.chars().count() <= LONGEST { text.to_owned() } else { text.chars().take(LONGEST).chain("…".chars()).collect() }
}

#[derive(Deserialize)]
struct RawTensor {
    dtype: String,
    shape: RawShape,
    data_offsets: [u64; 2],
}

/// Sizes without an allocation: a header cannot make us allocate by a long list.
struct RawShape {
    sizes: [u64; MOST_AXES],
    axes: usize,
}

impl RawShape {
    fn sizes(&self) -> &[u64] {
        &self.sizes[..self.axes]
    }
}

impl<'de> Deserialize<'de> for RawShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = RawShape;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "a list of at most {MOST_AXES} sizes")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawShape, A::Error> {
                let mut shape = RawShape { sizes: [0; MOST_AXES], axes: 0 };
                while let Some(size) = list.next_element()? {
                    let Some(slot) = shape.sizes.get_mut(shape.axes) else {
                        return Err(A::Error::custom(format_args!("a shape has more than {MOST_AXES} axes")));
                    };
                    *slot = size;
                    shape.axes += 1;
                }
                Ok(shape)
            }
        }
        deserializer.deserialize_seq(Sizes)
    }
}

/// Text entries, of a bounded number.
struct RawMetadata(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for RawMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawMetadata;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMetadata, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    if entries.len() == MOST_METADATA {
                        return Err(A::Error::custom(format_args!("it has more than {MOST_METADATA} entries")));
                    }
                    entries.insert(key, value);
                }
                Ok(RawMetadata(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[derive(Default)]
struct RawHeader {
    tensors: Vec<(String, RawTensor)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawHeader;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let (mut header, mut metadata_seen) = (RawHeader::default(), false);
                while let Some(name) = map.next_key::<String>()? {
                    let in_entry = |error| A::Error::custom(format_args!("{}: {error}", shown(&name)));
                    if name == METADATA {
                        if metadata_seen {
                            return Err(A::Error::custom(format_args!("it has {METADATA} twice")));
                        }
                        metadata_seen = true;
                        header.metadata = map.next_value::<RawMetadata>().map_err(in_entry)?.0;
                        continue;
                    }
                    if header.tensors.len() == MOST_TENSORS {
                        return Err(A::Error::custom(format_args!("it has more than {MOST_TENSORS} tensors")));
                    }
                    let tensor = map.next_value().map_err(in_entry)?;
                    header.tensors.push((name, tensor));
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

//! What is fuzzed (fuzz/): every reader of files that come from strangers, and the CPU's matrix product, whose kernel is `unsafe`. Each takes any bytes.
//! `cargo test` feeds them what fuzzing has gathered.
//!
//! A reader may refuse, which must be exit code 2. A panic, an abort or memory out of proportion is a finding.

use std::fs;
use std::path::Path;

use crate::anomaly::generated_set::{self, read_entries};
use crate::anomaly::learned::Metadata;
use crate::anomaly::learned_masks::MaskMetadata;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::device::cpu::gemm::{Finish, MatrixMut, MatrixRef, gemm, gemm_parallel};
use crate::diffusion::{Schedule, ScheduleConfig};
use crate::error::{Result, exit_code};
use crate::models::clip::ClipTextConfig;
use crate::models::tokenizer::ClipTokenizer;
use crate::models::unet::UnetConfig;
use crate::models::vae::VaeConfig;
use crate::training::checkpoint::{self, Checkpoint};
use crate::weights::{Archive, Folder};

/// Takes `bytes` and says whether they were accepted; `folder` is for files of its own. Panics on a finding.
pub type Target = fn(folder: &Path, bytes: &[u8]) -> bool;

/// All of them by name, which is also that of the fuzz target and of the corpus' folder.
pub const TARGETS: [(&str, Target); 8] = [
    ("safetensors", safetensors),
    ("config", config),
    ("tokenizer", tokenizer),
    ("picture", picture),
    ("manifest", manifest),
    ("checkpoint", checkpoint),
    ("learned", learned),
    ("product", product),
];

/// The target `name`.
///
/// # Panics
/// When there is none.
pub fn target(name: &str) -> Target {
    let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) else { panic!("no target {name}") };
    *target
}

/// Takes what was read, or sees that the refusal is one that the user can correct.
fn taken<T>(result: Result<T>) -> Option<T> {
    result.map_err(|error| assert_eq!(exit_code(&error), 2, "a refusal of input with another exit code: {error:#}")).ok()
}

/// A weight file: header, then every tensor.
fn safetensors(_: &Path, bytes: &[u8]) -> bool {
    let Some(archive) = taken(Archive::from_bytes("fuzzed.safetensors", bytes.to_vec())) else { return false };
    let names: Vec<String> = archive.names().map(str::to_owned).collect();
    let read = names.iter().filter_map(|name| taken(archive.tensor(name))).count();
    read == names.len() && taken(archive.digest()).is_some() && taken(archive.finish()).is_some()
}

/// A JSON file of a model folder, taken for each part in turn.
fn config(_: &Path, bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    [
        taken(UnetConfig::from_json(text, "fuzzed.json")).is_some(),
        taken(VaeConfig::from_json(text, "fuzzed.json")).is_some(),
        taken(ClipTextConfig::from_json(text, "fuzzed.json")).is_some(),
        taken(ScheduleConfig::from_json(text, "fuzzed.json")).map(Schedule::new).is_some(),
    ]
    .contains(&true)
}

/// The files of a tokenizer, one after the other with a zero byte between: tokenizer.json alone, or vocab.json, merges.txt and tokenizer_config.json.
fn tokenizer(folder: &Path, bytes: &[u8]) -> bool {
    let parts: Vec<&[u8]> = bytes.split(|&byte| byte == 0).collect();
    let names: &[&str] = if parts.len() == 1 { &["tokenizer.json"] } else { &["vocab.json", "merges.txt", "tokenizer_config.json"] };
    for name in ["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"] {
        let place = names.iter().position(|given| *given == name).and_then(|place| parts.get(place));
        put(folder, name, place.copied());
    }
    let Some(tokenizer) = taken(ClipTokenizer::load(&Folder::disk(folder))) else { return false };
    let ids = taken(tokenizer.encode("A photo of 12 leather-cuts,\u{e9}<|endoftext|> \u{1f600}"));
    ids.map(|ids| assert_eq!(ids.len(), tokenizer.length(), "a text's ids fill the context")).is_some()
}

/// An image file, as a picture and as a mask.
fn picture(folder: &Path, bytes: &[u8]) -> bool {
    let path = put(folder, "fuzzed.png", Some(bytes));
    let picture = taken(Picture::load(&path));
    let mask = taken(Mask::load_counting(&path));
    let (Some(picture), Some((mask, _))) = (picture, mask) else { return false };
    assert_eq!((picture.width(), picture.height()), (mask.width(), mask.height()), "one file, one size");
    true
}

/// The list of a folder of pairs.
fn manifest(folder: &Path, bytes: &[u8]) -> bool {
    put(folder, generated_set::NAME, Some(bytes));
    let Some(entries) = taken(read_entries(folder)) else { return false };
    let inside = |path: &str| !path.starts_with('/') && path.split('/').all(|part| part != "..");
    assert!(entries.iter().all(|entry| inside(&entry.image) && inside(&entry.mask)), "an accepted path leads out of the folder");
    !entries.is_empty()
}

/// The state of a run.
fn checkpoint(folder: &Path, bytes: &[u8]) -> bool {
    put(folder, checkpoint::CURRENT, Some(bytes));
    taken(Checkpoint::load(folder)).is_some()
}

/// What a learned file's header says, of embeddings and of masks.
fn learned(_: &Path, bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    taken(Metadata::parse(text, "fuzzed.safetensors")).is_some() | taken(MaskMetadata::parse(text, "fuzzed.safetensors")).is_some()
}

/// The most rows, columns and depth of a fuzzed product: more than two tiles, more than a block.
const MOST: [usize; 3] = [30, 66, 400];

/// A matrix product of any sizes, orders and strides, in slices that end with the last element: two bytes for the rows, columns and depth each, then flags
/// and the gaps between rows.
fn product(_: &Path, bytes: &[u8]) -> bool {
    let Some((&[a, b, c, d, e, f, flags, gaps], _)) = bytes.split_first_chunk() else { return false };
    let sizes = [[a, b], [c, d], [e, f]].map(u16::from_le_bytes).map(usize::from);
    let [m, n, k]: [usize; 3] = std::array::from_fn(|side| sizes[side] % (MOST[side] + 1));
    let flag = |bit: u8| flags >> bit & 1 == 1;
    let gap = |shift: u8| usize::from(gaps >> shift & 3);
    let values = |rows: usize, columns: usize, gap: usize| {
        let stride = columns + gap;
        let length = if rows == 0 { 0 } else { (rows - 1) * stride + columns };
        ((0..length).map(|index| (index * 37 % 64) as f32 / 32.0 - 1.0).collect::<Vec<f32>>(), stride)
    };
    let matrix = |rows: usize, columns: usize, transposed: bool, gap: usize| {
        let [rows, columns] = if transposed { [columns, rows] } else { [rows, columns] };
        values(rows, columns, gap)
    };
    let ((left, left_stride), (right, right_stride)) = (matrix(m, k, flag(0), gap(0)), matrix(k, n, flag(1), gap(2)));
    let order = |data, stride, transposed| {
        let matrix = MatrixRef::row_major(data, stride);
        if transposed { matrix.transposed() } else { matrix }
    };
    let (left, right) = (order(&left, left_stride, flag(0)), order(&right, right_stride, flag(1)));
    let (mut out, row_stride) = values(m, n, gap(4));
    let before = out.clone();
    let (bias, residual, groups) = (values(1, n, 0).0, values(m, n, 0).0, values(m.div_ceil(3), n, 0).0);
    let finish = Finish {
        scale: if flag(2) { 0.5 } else { 1.0 },
        accumulate: flag(3),
        bias: flag(4).then_some(&bias),
        per_group: flag(5).then_some((&groups, 3)),
        residual: flag(6).then_some(&residual),
    };
    let run = if flag(7) { gemm_parallel } else { gemm };
    run([m, n, k], left, right, MatrixMut { data: &mut out, row_stride }, &finish);
    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
        let at = |matrix: &MatrixRef, row: usize, column: usize| f64::from(matrix.data[row * matrix.row_stride + column * matrix.column_stride]);
        let mut expected = f64::from(finish.scale) * (0..k).map(|depth| at(&left, row, depth) * at(&right, depth, column)).sum::<f64>();
        let terms = [
            finish.accumulate.then(|| before[row * row_stride + column]),
            finish.bias.map(|bias| bias[column]),
            finish.per_group.map(|(groups, size)| groups[row / size * n + column]),
            finish.residual.map(|residual| residual[row * n + column]),
        ];
        expected += terms.into_iter().flatten().map(f64::from).sum::<f64>();
        let found = f64::from(out[row * row_stride + column]);
        assert!(
            (found - expected).abs() < 1e-3,
            "[{m}, {n}, {k}] at ({row}, {column}): {found}, expected {expected}; flags {flags:08b}, gaps {gaps:08b}"
        );
    }
    let between = (0..out.len()).filter(|index| index % row_stride.max(1) >= n);
    between.for_each(|index| assert!(out[index] == before[index], "an element between the rows was written"));
    true
}

/// Writes a file of `folder`, or sees that it is not there.
fn put(folder: &Path, name: &str, content: Option<&[u8]>) -> std::path::PathBuf {
    let path = folder.join(name);
    match content {
        Some(content) => fs::write(&path, content).expect("the scratch folder can be written"),
        None => drop(fs::remove_file(&path)),
    }
    path
}

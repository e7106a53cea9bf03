//! Reads `kernels/`: puts each kernel and its headers into one text, lists the entry points with their parameters, and refuses what the engine could
//! not launch. Shared by the build script and by `tests/kernels_compile.rs`, which tests it.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

/// One `kernels/<name>.cu`.
#[derive(Debug)]
pub struct Kernel {
    /// The file's name without its ending: the op's name.
    pub name: String,
    /// The source file that launches it, as the first line says.
    pub launched_by: String,
    /// Architectures, as the line `// supports:` says: `sm_80+`, `sm_90a`.
    pub architectures: Vec<String>,
    /// Element types, after the architectures and a semicolon: `; f16, bf16`.
    pub elements: Vec<String>,
    /// The source with its headers put in.
    pub text: String,
    /// What can be launched.
    pub entries: Vec<Entry>,
}

/// An `extern "C" __global__` function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, unique among all kernels.
    pub name: String,
    /// Its parameters in order, or the fields of the one struct that it takes: name, kind (an expression of `src/device/cuda/sources.rs`).
    pub parameters: Vec<(String, String)>,
    /// Whether they are such fields.
    pub in_struct: bool,
}

/// All kernels under `root/kernels`, sorted by name.
///
/// # Errors
/// One sentence about the first thing that does not fit.
pub fn read(root: &Path) -> Result<Vec<Kernel>, String> {
    let folder = root.join("kernels");
    let Ok(list) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<_> = list.collect::<io::Result<Vec<_>>>().map_err(|error| error.to_string())?.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "cu"));
    paths.sort();
    let kernels = paths.iter().map(|path| kernel(root, path)).collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<(&str, &str)> = kernels.iter().flat_map(|kernel| kernel.entries.iter().map(|entry| (&*entry.name, &*kernel.name))).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => {
            Err(format!("kernels/{}.cu and kernels/{}.cu both have an entry point {}: its name must be unique", pair[0].1, pair[1].1, pair[0].0))
        }
        None => Ok(kernels),
    }
}

fn kernel(root: &Path, path: &Path) -> Result<Kernel, String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let file = format!("kernels/{name}.cu");
    let source = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
    // An op whose kernels are of several kinds has a file for each: <op>_<kind>.cu, where a kind may have several words.
    let ops_of_kind = name.match_indices('_').map(|(end, _)| format!("src/ops/{}/cuda.rs", &name[..end]));
    let allowed: Vec<String> = [format!("src/ops/{name}/cuda.rs"), format!("src/{name}/cuda.rs")].into_iter().chain(ops_of_kind).collect();
    let first = source.lines().next().unwrap_or_default();
    let Some(launched_by) = allowed.iter().find(|launcher| first.starts_with("//") && first.contains(launcher.as_str())) else {
        return Err(format!("{file}: the first line must name the file that launches it, {}; found: {first}", allowed[0]));
    };
    if !root.join(launched_by).is_file() {
        return Err(format!("{file}: there is no {launched_by} to launch it; write it or remove the kernel"));
    }
    let mut included = Vec::new();
    let text = splice(&root.join("kernels"), &format!("{name}.cu"), &mut included)?;
    let (architectures, elements) = supports(&source).map_err(|error| format!("{file}: {error}"))?;
    let entries = entries(&text).map_err(|error| format!("{file}: {error}"))?;
    if entries.is_empty() {
        return Err(format!("{file}: no entry point; expected extern \"C\" __global__ void name(parameters)"));
    }
    Ok(Kernel { name, launched_by: launched_by.clone(), architectures, elements, text, entries })
}

/// Puts headers in place of their `#include "common/…"`, each once; `#line` keeps the compiler's messages true.
fn splice(folder: &Path, file: &str, included: &mut Vec<String>) -> Result<String, String> {
    included.push(file.to_owned());
    let source = fs::read_to_string(folder.join(file)).map_err(|error| format!("kernels/{file}: {error}"))?;
    let mut text = format!("#line 1 \"kernels/{file}\"\n");
    for (number, line) in source.lines().enumerate() {
        let Some(rest) = line.trim_start().strip_prefix("#include") else {
            text.push_str(if line.trim() == "#pragma once" { "" } else { line });
            text.push('\n');
            continue;
        };
        let header = rest.trim().strip_prefix('"').and_then(|rest| rest.split_once('"')).map_or("", |(header, _)| header);
        if !header.starts_with("common/") || !folder.join(header).is_file() {
            return Err(format!("kernels/{file}, line {}: kernels include nothing but files of kernels/common; found {line}", number + 1));
        }
        if included.iter().all(|known| known != header) {
            text.push_str(&splice(folder, header, included)?);
        }
        let _ = writeln!(text, "#line {} \"kernels/{file}\"", number + 2);
    }
    Ok(text)
}

/// Reads `// supports: sm_80+, sm_90a; f16, bf16`; without it, everything that the engine runs on.
fn supports(source: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let words = |text: &str| text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect::<Vec<_>>();
    let line = source.lines().find_map(|line| line.trim().strip_prefix("// supports:")).unwrap_or("sm_75+").trim_end_matches('.');
    let (architectures, elements) = line.split_once(';').unwrap_or((line, "f32, f16, bf16"));
    let (architectures, elements) = (words(architectures), words(elements));
    let known = |word: &str| {
        let digits = word.strip_prefix("sm_").unwrap_or_default().trim_end_matches(['a', '+']);
        (2..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    match architectures.iter().find(|word| !known(word)).or(elements.iter().find(|word| !["f32", "f16", "bf16"].contains(&word.as_str()))) {
        Some(word) => {
            Err(format!("supports: expected architectures like sm_80+ or sm_90a, then perhaps a semicolon and f32, f16, bf16; found {word}"))
        }
        None => Ok((architectures, elements)),
    }
}

/// The entry points of a source, headers included: they may declare the struct that an entry point takes.
pub fn entries(source: &str) -> Result<Vec<Entry>, String> {
    let text = without_comments(source);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found: Vec<Entry> = Vec::new();
    for rest in text.split("extern \"C\" __global__ void ").skip(1) {
        let rest = ["__cluster_dims__", "__launch_bounds__"].iter().fold(rest, |rest, attribute| match rest.strip_prefix(attribute) {
            Some(rest) => rest.split_once(')').map_or("", |(_, rest)| rest.trim_start()),
            None => rest,
        });
        let Some((name, rest)) = rest.split_once('(') else { return Err(format!("an entry point without parameters: {rest}")) };
        let (name, list) = (name.trim(), rest.split(')').next().unwrap_or_default());
        let fields = fields(&text, list);
        let in_struct = fields.is_some();
        let declared = fields.unwrap_or_else(|| list.split(',').map(|text| text.trim().to_owned()).collect());
        let parameters = declared.iter().map(|text| parameter(text).map_err(|error| format!("{name}: {error}"))).collect::<Result<_, _>>()?;
        let entry = Entry { name: name.to_owned(), parameters, in_struct };
        match found.iter().find(|known| known.name == entry.name) {
            Some(known) if *known != entry => return Err(format!("{name} is declared twice with different parameters")),
            Some(_) => {}
            None => found.push(entry),
        }
    }
    Ok(found)
}

fn without_comments(source: &str) -> String {
    let lines = source.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut parts = lines.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once("*/").map_or("", |(_, rest)| rest))
}

/// The fields of the struct that is the only parameter of `list`, `const __grid_constant__ Sizes sizes`, each declared by itself. Its functions come after
/// them. None when `text` declares no such struct.
fn fields(text: &str, list: &str) -> Option<Vec<String>> {
    let mut words = list.split_whitespace().filter(|word| !["const", "__grid_constant__"].contains(word));
    let (Some(structure), Some(_), None) = (words.next(), words.next(), words.next()) else { return None };
    let (_, body) = text.split_once(&format!("struct {structure} {{ "))?;
    let mut found = Vec::new();
    for declaration in body.split(';').take_while(|declaration| !declaration.contains(['(', '}'])) {
        let declaration = declaration.trim();
        let mut declarators = declaration.split(',');
        let first = declarators.next().unwrap_or_default();
        // `const element *x, *y`: what stands before the first star or name belongs to all of them.
        let shared = first.split('*').next().filter(|shared| shared.len() < first.len()).or(first.rsplit_once(' ').map(|(shared, _)| shared));
        found.push(first.to_owned());
        found.extend(declarators.map(|declarator| format!("{} {}", shared.unwrap_or_default(), declarator.trim())));
    }
    Some(found)
}

/// `const element* x` as (name, kind).
fn parameter(text: &str) -> Result<(String, String), String> {
    let text = text.replace('*', " * ").replace("__restrict__", " ").replace("__grid_constant__", " ");
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let Some(name) = words.pop().filter(|name| name.chars().all(|character| character.is_alphanumeric() || character == '_')) else {
        return Err(format!("a parameter without a name: {text}"));
    };
    let (stars, constants) = (words.iter().filter(|word| **word == "*").count(), words.iter().filter(|word| **word == "const").count());
    // `const float* const* x` is a table of addresses that are read, `float* const* x` one of addresses that are written to.
    let (pointer, table, writes) = (stars == 1, stars == 2 && constants >= 1, stars >= 1 && constants < stars);
    words.retain(|word| !["*", "const"].contains(word));
    let value = words.join(" ");
    let kind = match (pointer, value.as_str()) {
        (true, "element") => format!("Kind::Pointer {{ to: Pointee::Element, writes: {writes} }}"),
        (true, "float") => format!("Kind::Pointer {{ to: Pointee::Exactly(DType::F32), writes: {writes} }}"),
        (true, "f16") => format!("Kind::Pointer {{ to: Pointee::Exactly(DType::F16), writes: {writes} }}"),
        (true, "bf16") => format!("Kind::Pointer {{ to: Pointee::Exactly(DType::BF16), writes: {writes} }}"),
        (true, "int") => format!("Kind::Pointer {{ to: Pointee::Exactly(DType::I32), writes: {writes} }}"),
        (true, "void" | "unsigned char") => format!("Kind::Pointer {{ to: Pointee::Bytes, writes: {writes} }}"),
        _ if table && value == "float" => format!("Kind::Table {{ of: DType::F32, writes: {writes} }}"),
        _ if stars > 1 => return Err(format!("{name}: tables of addresses are `const float* const* {name}` or `float* const* {name}`")),
        (false, "int") => "Kind::I32".to_owned(),
        (false, "unsigned" | "unsigned int") => "Kind::U32".to_owned(),
        (false, "long long") => "Kind::I64".to_owned(),
        (false, "unsigned long long" | "size_t") => "Kind::U64".to_owned(),
        (false, "uint2") => "Kind::U32Pair".to_owned(),
        (false, "float") => "Kind::F32".to_owned(),
        (false, "TensorMap") => "Kind::TensorMap".to_owned(),
        _ => return Err(format!("{name} has a type that a launch cannot pass: {value}; the known ones are in build/kernels.rs, fn parameter")),
    };
    Ok((name.to_owned(), kind))
}

/// The kernels as a Rust expression over the types of `src/device/cuda/sources.rs`; `text_of` says where the text of each was written.
pub fn expression(kernels: &[Kernel], text_of: impl Fn(&Kernel) -> String) -> String {
    let mut list = String::from("&[\n");
    for kernel in kernels {
        let Kernel { name, launched_by, architectures, elements, entries, .. } = kernel;
        let elements = elements.iter().map(|element| format!("DType::{}", element.to_uppercase())).collect::<Vec<_>>().join(", ");
        let _ = writeln!(list, "Kernel {{ name: {name:?}, launched_by: {launched_by:?}, architectures: &{architectures:?}, elements: &[{elements}],");
        let _ = writeln!(list, "text: include_str!({:?}), entries: &[", text_of(kernel));
        for entry in entries {
            let _ = write!(list, "    Entry {{ name: {:?}, in_struct: {}, parameters: &[", entry.name, entry.in_struct);
            for (name, kind) in &entry.parameters {
                let _ = write!(list, "Parameter {{ name: {name:?}, kind: {kind} }}, ");
            }
            list.push_str("] },\n");
        }
        list.push_str("] },\n");
    }
    list + "]\n"
}

//! The scan: four levels of folders, no recursion, so that circular links cannot trap it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Dataset, DefectType, Issue, Object, Pair, Problem, check_name, natural_order};
use crate::error::Result;
use crate::{input_error, invalid_input};

const NORMAL: &str = "good";
/// Names that end like this are taken for pictures; what they really are is found on loading.
const EXTENSIONS: [&str; 14] = ["png", "jpg", "jpeg", "jpe", "bmp", "dib", "tif", "tiff", "webp", "pnm", "pbm", "pgm", "ppm", "pam"];

/// See [`Dataset::scan`].
pub(super) fn scan(root: &Path) -> Result<Dataset> {
    let metadata = fs::metadata(root).map_err(|error| input_error!("cannot read the data set {root:?}: {error}"))?;
    if !metadata.is_dir() {
        invalid_input!("the data set {root:?} is not a folder; expected one in MVTec AD layout");
    }
    fs::read_dir(root).map_err(|error| input_error!("cannot read the data set {root:?}: {error}"))?;
    let mut scanner = Scanner { root, issues: Vec::new() };
    let objects: Vec<Object> = scanner.folders(root, "object").into_iter().filter_map(|(name, path)| scanner.object(name, &path)).collect();
    if objects.is_empty() {
        return Err(nothing_found(root, &scanner.issues));
    }
    Ok(Dataset { root: root.to_path_buf(), objects, issues: scanner.issues })
}

fn nothing_found(root: &Path, issues: &[Issue]) -> crate::error::Error {
    let hint = if root.join("train").is_dir() || root.join("test").is_dir() {
        "; this looks like one object's folder: pass the folder above it".to_string()
    } else if let Some(issue) = issues.first() {
        format!("; {} oddities, the first: {issue}", issues.len())
    } else {
        String::new()
    };
    input_error!(
        "no object found in {root:?}: expected <object>/train/good/*.png, <object>/test/<type>/*.png and <object>/ground_truth/<type>/*_mask.png{hint}"
    )
}

struct Scanner<'a> {
    root: &'a Path,
    issues: Vec<Issue>,
}

impl Scanner<'_> {
    /// One object's folder; `None` when it holds nothing in this layout.
    fn object(&mut self, name: String, path: &Path) -> Option<Object> {
        let normals = self.pictures(&path.join("train").join(NORMAL));
        let (tests, truths) = (path.join("test"), path.join("ground_truth"));
        let test_normals = self.pictures(&tests.join(NORMAL));
        let types: Vec<DefectType> = self
            .folders(&tests, "type")
            .into_iter()
            .filter(|(kind, _)| kind != NORMAL)
            .filter_map(|(kind, folder)| self.defect_type(kind, &folder, &truths))
            .collect();
        for (kind, folder) in self.folders(&truths, "type") {
            if kind != NORMAL && !tests.join(&kind).is_dir() {
                self.report(&folder, Problem::NoImages);
            }
        }
        if normals.is_empty() && test_normals.is_empty() && types.is_empty() {
            return None;
        }
        if normals.is_empty() {
            self.report(path, Problem::NoNormals);
        }
        Some(Object { name, normals, test_normals, types })
    }

    fn defect_type(&mut self, name: String, folder: &Path, truths: &Path) -> Option<DefectType> {
        let images = by_stem(self.pictures(folder));
        let mut masks = by_stem(self.pictures(&truths.join(&name)));
        let mut pairs = Vec::new();
        for (stem, files) in images {
            let (image, others) = files.split_first()?;
            for other in others {
                self.report(other, Problem::SameStem(file_name(image)));
            }
            // `001_mask.png` is the mask of `001.png`; one called `001.png` comes second.
            let found: Vec<PathBuf> = [format!("{stem}_mask"), stem].iter().filter_map(|mask| masks.remove(mask.as_str())).flatten().collect();
            match found.first() {
                Some(mask) => {
                    if found.len() > 1 {
                        self.report(image, Problem::SeveralMasks(file_name(mask)));
                    }
                    pairs.push(Pair { image: image.clone(), mask: mask.clone() });
                }
                None => self.report(image, Problem::NoMask),
            }
        }
        for mask in masks.into_values().flatten() {
            self.report(&mask, Problem::NoImage);
        }
        if pairs.is_empty() {
            self.report(folder, Problem::NoPairs);
            return None;
        }
        pairs.sort_by(|a, b| natural_order(&file_name(&a.image), &file_name(&b.image)));
        Some(DefectType { name, pairs })
    }

    /// The usable folders in `parent`, in natural order; nothing when it does not exist.
    fn folders(&mut self, parent: &Path, kind: &str) -> Vec<(String, PathBuf)> {
        let mut folders = Vec::new();
        for (name, path) in self.entries(parent) {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => match check_name(kind, &name) {
                    Ok(()) => folders.push((name, path)),
                    Err(error) => self.report(&path, Problem::UnusableName(error.to_string())),
                },
                Ok(_) => {}
                Err(error) => self.report(&path, Problem::Unreadable(error.to_string())),
            }
        }
        folders
    }

    /// The picture files in `folder`, in natural order; nothing when it does not exist.
    fn pictures(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut pictures = Vec::new();
        for (name, path) in self.entries(folder) {
            let extension = Path::new(&name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if !EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)) {
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => pictures.push(path),
                Ok(_) => self.report(&path, Problem::Unreadable("expected a file, found a folder or a device".into())),
                Err(error) => self.report(&path, Problem::Unreadable(error.to_string())),
            }
        }
        pictures
    }

    /// What is in a folder by names that can be printed, in natural order. Hidden entries are skipped (`.DS_Store`, `._000.png`).
    fn entries(&mut self, folder: &Path) -> Vec<(String, PathBuf)> {
        let listing = match fs::read_dir(folder) {
            Ok(listing) => listing,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    self.report(folder, Problem::Unreadable(error.to_string()));
                }
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for entry in listing {
            match entry {
                Ok(entry) => match entry.file_name().into_string() {
                    Ok(name) if name.starts_with('.') => {}
                    Ok(name) if name.chars().any(char::is_control) => {
                        self.report(&entry.path(), Problem::UnusableName("the name contains control characters; rename it".into()));
                    }
                    Ok(name) => entries.push((name, entry.path())),
                    Err(_) => self.report(&entry.path(), Problem::UnusableName("the name is not UTF-8; rename it".into())),
                },
                Err(error) => self.report(folder, Problem::Unreadable(error.to_string())),
            }
        }
        entries.sort_by(|a, b| natural_order(&a.0, &b.0));
        // A folder lists in any order; so do the reports about it until here.
        self.issues.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    fn report(&mut self, path: &Path, problem: Problem) {
        let path = path.strip_prefix(self.root).unwrap_or(path).to_path_buf();
        self.issues.push(Issue { path, problem });
    }
}

/// Files by name without extension; each stem's files in natural order.
fn by_stem(files: Vec<PathBuf>) -> BTreeMap<String, Vec<PathBuf>> {
    let mut stems: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        stems.entry(stem).or_default().push(file);
    }
    stems
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

//! `anodiff check`: a dry look at a data set.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Globals, output};
use crate::data::dataset::{Dataset, DefectType, Issue, Object, Sizes, Split, SplitRule, inspect_normals, inspect_type};
use crate::error::Result;
use crate::invalid_input;

/// `anodiff check`: what to look at.
#[derive(Debug, Args)]
#[command(
    after_help = "Layout (MVTec AD): ROOT/<object>/train/good/*, ROOT/<object>/test/<type>/*, ROOT/<object>/ground_truth/<type>/<stem>_mask.*\n\
    Masks are matched to pictures by stem. A picture may have 100 megapixels of up to 16-bit RGB, and more as far as loading it takes at most 2 GiB.\n\
    Exit code 2 when no defect type has a usable pair of picture and mask."
)]
pub struct Arguments {
    /// Data set in MVTec AD layout
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// How pairs are split into training and test: default or paper (first third, disjoint), official (as the released program: one pair in both)
    #[arg(long, value_name = "PRESET", default_value = "default", value_parser = ["default", "paper", "official"])]
    preset: String,
}

/// The whole result, as `--json` prints it.
#[derive(Serialize)]
struct Report {
    root: String,
    preset: String,
    objects: Vec<ObjectReport>,
    issues: Vec<IssueReport>,
    usable_types: usize,
}

#[derive(Serialize)]
struct ObjectReport {
    name: String,
    normals: usize,
    test_normals: usize,
    sizes: Vec<SizeReport>,
    types: Vec<TypeReport>,
}

#[derive(Serialize)]
struct TypeReport {
    name: String,
    pairs: usize,
    usable: usize,
    train: usize,
    test: usize,
    leaked: usize,
    sizes: Vec<SizeReport>,
    /// Smallest and largest share of the picture that a mask sets.
    mask_share: Option<[f32; 2]>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct SizeReport {
    width: usize,
    height: usize,
    pictures: usize,
}

#[derive(Serialize)]
struct IssueReport {
    path: String,
    #[serde(flatten)]
    problem: crate::data::dataset::Problem,
    message: String,
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 when the folder is no data set or nothing in it can be used; the report is printed before.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let dataset = Dataset::scan(&arguments.data)?;
    let rule = match arguments.preset.as_str() {
        "official" => SplitRule::Official,
        "paper" => SplitRule::Paper,
        _ => SplitRule::Default,
    };
    let report = Report::new(&dataset, rule, &arguments.preset);
    if globals.json {
        output::json(&report)?
    } else {
        output::line(report.table())?
    }
    if report.usable_types == 0 {
        invalid_input!(
            "nothing in {:?} can be used: no defect type has a readable picture with a mask that is neither empty nor full",
            arguments.data
        );
    }
    Ok(())
}

impl Report {
    fn new(dataset: &Dataset, rule: SplitRule, preset: &str) -> Self {
        let mut issues = dataset.issues.clone();
        let objects: Vec<ObjectReport> = dataset.objects.iter().map(|object| ObjectReport::new(dataset, object, rule, &mut issues)).collect();
        let usable_types = objects.iter().flat_map(|object| &object.types).filter(|kind| kind.usable > 0).count();
        let issues = issues.into_iter().map(IssueReport::new).collect();
        Self { root: dataset.root.to_string_lossy().into_owned(), preset: preset.into(), objects, issues, usable_types }
    }

    fn table(&self) -> String {
        let mut lines = vec![format!("{}  (split: {})", self.root, self.preset)];
        let width =
            self.objects.iter().flat_map(|object| object.types.iter().map(|kind| kind.name.chars().count() + 2).chain([object.name.chars().count()]));
        let width = width.chain([6]).max().unwrap_or_default();
        lines.push(format!("{:<width$}  {:>6} {:>6} {:>6}  {:<13} sizes", "object", "images", "train", "test", "mask area"));
        for object in &self.objects {
            let (all, sizes) = (object.normals + object.test_normals, sizes_text(&object.sizes));
            lines.push(format!("{:<width$}  {all:>6} {:>6} {:>6}  {:<13} {sizes}", object.name, object.normals, object.test_normals, "(normal)"));
            for kind in &object.types {
                let area = kind.mask_share.map_or("-".into(), |[least, most]| format!("{:.1}-{:.1} %", 100.0 * least, 100.0 * most));
                let name = format!("  {}", kind.name);
                lines.push(format!("{name:<width$}  {:>6} {:>6} {:>6}  {area:<13} {}", kind.pairs, kind.train, kind.test, sizes_text(&kind.sizes)));
            }
        }
        for object in &self.objects {
            lines.extend(
                object.types.iter().flat_map(|kind| kind.warnings.iter().map(|text| format!("warning: {}/{}: {text}", object.name, kind.name))),
            );
        }
        lines.extend(self.issues.iter().map(|issue| format!("warning: {}", issue.message)));
        let types: usize = self.objects.iter().map(|object| object.types.len()).sum();
        let pairs: usize = self.objects.iter().flat_map(|object| &object.types).map(|kind| kind.usable).sum();
        lines.push(format!("{} objects, {types} types, {pairs} usable pairs, {} files or folders to look at", self.objects.len(), self.issues.len()));
        lines.join("\n")
    }
}

impl ObjectReport {
    fn new(dataset: &Dataset, object: &Object, rule: SplitRule, issues: &mut Vec<Issue>) -> Self {
        let (mut sizes, found) = inspect_normals(&dataset.root, &object.normals);
        issues.extend(found);
        let (test_sizes, found) = inspect_normals(&dataset.root, &object.test_normals);
        issues.extend(found);
        for (size, count) in test_sizes {
            *sizes.entry(size).or_default() += count;
        }
        Self {
            name: object.name.clone(),
            normals: object.normals.len(),
            test_normals: object.test_normals.len(),
            sizes: size_reports(&sizes),
            types: object.types.iter().map(|kind| TypeReport::new(dataset, kind, rule, issues)).collect(),
        }
    }
}

impl TypeReport {
    fn new(dataset: &Dataset, kind: &DefectType, rule: SplitRule, issues: &mut Vec<Issue>) -> Self {
        let look = inspect_type(&dataset.root, kind);
        let split = Split::new(kind.pairs.len(), rule);
        let mut warnings = Vec::new();
        if split.is_short() {
            warnings.push(format!("only {} of {} pairs are for training; results will vary little below 3", split.train.len(), kind.pairs.len()));
        }
        if split.test.is_empty() {
            warnings.push("no pair is left for testing".to_string());
        }
        if !split.leaked().is_empty() {
            warnings.push(format!("{} pair is in both training and test, as in the released program", split.leaked().len()));
        }
        let mask_share = look.shares.iter().copied().reduce(f32::min).zip(look.shares.iter().copied().reduce(f32::max));
        let report = Self {
            name: kind.name.clone(),
            pairs: kind.pairs.len(),
            usable: look.usable,
            train: split.train.len(),
            test: split.test.len(),
            leaked: split.leaked().len(),
            sizes: size_reports(&look.sizes),
            mask_share: mask_share.map(|(least, most)| [least, most]),
            warnings,
        };
        issues.extend(look.issues);
        report
    }
}

impl IssueReport {
    fn new(issue: Issue) -> Self {
        let message = issue.to_string();
        Self { path: issue.path.to_string_lossy().into_owned(), problem: issue.problem, message }
    }
}

fn size_reports(sizes: &Sizes) -> Vec<SizeReport> {
    sizes.iter().map(|(&(width, height), &pictures)| SizeReport { width, height, pictures }).collect()
}

/// "1024x1024", or the most frequent size and how many others there are.
fn sizes_text(sizes: &[SizeReport]) -> String {
    let Some(most) = sizes.iter().max_by_key(|size| size.pictures) else { return "-".into() };
    let others = if sizes.len() > 1 { format!(" and {} other sizes", sizes.len() - 1) } else { String::new() };
    format!("{}x{}{others}", most.width, most.height)
}

//! `anodiff export`: pairs and embeddings as other programs want them.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::folders::outside_of_data;
use super::generate::learned_file;
use super::train_masks::mask_file;
use super::{Globals, output};
use crate::anomaly::embedding_files::{EmbeddingFormat, write_embeddings};
use crate::anomaly::learned::Learned;
use crate::anomaly::learned_masks::LearnedMasks;
use crate::data::dataset::{Dataset, KeepList};
use crate::data::export::{self, Exported};
use crate::error::{Context, Result};
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::nn::Placement;
use crate::training::progress::Progress;
use crate::training::signals;

/// The command's flags.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Formats of pairs (--generated):\n  \
    anomalib    a folder with the normal pictures of --data, and for each object OBJECT.yaml (anomalib.data.Folder) and OBJECT.csv (anomalib.data.Tabular);\n              \
    paths are relative to OUT; the folder is also one for anomalib.data.MVTecAD\n  \
    coco        instances.json: an instance with exact run lengths for each connected region; pictures stay where they are, below DIR\n  \
    yolo        images/, labels/ with polygons, data.yaml; every tenth pair is for validation; normal pictures of --data are background\n\n\
    Formats of embeddings (--learned):\n  \
    diffusers   NAME/learned_embeds.safetensors, for load_textual_inversion\n  \
    emb-params  NAME.safetensors, for AUTOMATIC1111's web UI and kohya's scripts\n\
    In those programs an embedding says what a defect looks like, not where it is: that is in the spatial encoder, which only this program runs.")]
pub struct Arguments {
    /// What to write: anomalib, coco, yolo, diffusers or emb-params
    #[arg(long, value_name = "FORMAT", value_parser = ["anomalib", "coco", "yolo", "diffusers", "emb-params"])]
    format: String,
    /// Folder of generated pairs, or any data set in MVTec AD layout
    #[arg(long, value_name = "DIR")]
    generated: Option<PathBuf>,
    /// List of the pairs to export, as `anodiff filter` writes it [default: all]
    #[arg(long, value_name = "FILE", requires = "generated")]
    keep: Option<PathBuf>,
    /// Data set with the normal pictures
    #[arg(long, value_name = "ROOT")]
    data: Option<PathBuf>,
    /// Run folder of `anodiff train`, or its learned.safetensors; learned masks beside it are exported, too
    #[arg(long, value_name = "RUN")]
    learned: Option<PathBuf>,
    /// Base model that the run was trained with [default: the embedded one]
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Folder for the files
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
}

/// The result on stdout.
#[derive(Serialize)]
struct Outcome {
    out: PathBuf,
    format: String,
    pairs: usize,
    normals: usize,
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let outcome = match arguments.format.as_str() {
        "diffusers" => arguments.embeddings(EmbeddingFormat::Diffusers)?,
        "emb-params" => arguments.embeddings(EmbeddingFormat::EmbParams)?,
        _ => arguments.pairs()?,
    };
    if globals.json {
        return output::json(&outcome);
    }
    for file in &outcome.files {
        output::line(outcome.out.join(file).display())?;
    }
    Ok(())
}

impl Arguments {
    fn embeddings(&self, format: EmbeddingFormat) -> Result<Outcome> {
        let Some(run) = &self.learned else {
            invalid_input!("--format {} needs --learned RUN, the folder that `anodiff train --out` filled", self.format);
        };
        let base = BaseModel::load(self.model.as_deref(), Placement::HOST)?;
        let mut tensors = Learned::load(&learned_file(run), &base)?.tensors()?;
        let masks = mask_file(run);
        if masks.is_file() && masks != *run {
            tensors.extend(LearnedMasks::load(&masks, &base)?.tensors()?);
        }
        let files = write_embeddings(&tensors, format, &self.out)?;
        Ok(self.outcome(Exported::default(), files))
    }

    fn pairs(&self) -> Result<Outcome> {
        let Some(generated) = &self.generated else {
            invalid_input!("--format {} needs --generated DIR, the folder that `anodiff generate --out` filled", self.format);
        };
        outside_of_data(&self.out, generated)?;
        let mut pairs = Dataset::scan(generated).context("--generated")?;
        if let Some(list) = &self.keep {
            KeepList::load(list)?.apply(&mut pairs).context("--keep")?;
        }
        let normals = self.data.as_deref().map(|data| self.normals(data)).transpose()?;
        signals::install()?;
        let total = pairs.types().map(|(_, kind)| kind.pairs.len() as u64).sum();
        let mut progress = Progress::new("export", "pair", total, 0);
        let mut done = 0;
        let mut advance = || {
            done += 1;
            progress.update(done, "");
            signals::check()
        };
        let exported = match self.format.as_str() {
            "coco" => export::coco(&pairs, &self.out, &mut advance)?,
            "yolo" => export::yolo(&pairs, normals.as_ref(), &self.out, &mut advance)?,
            _ => match &normals {
                Some(normals) => export::anomalib(&pairs, normals, &self.out, &mut advance)?,
                None => invalid_input!("--format anomalib needs --data ROOT, the data set with the normal pictures"),
            },
        };
        progress.finish();
        let files = exported.entry_points.iter().map(PathBuf::from).collect();
        Ok(self.outcome(exported, files))
    }

    fn normals(&self, data: &Path) -> Result<Dataset> {
        outside_of_data(&self.out, data)?;
        Dataset::scan(data)
    }

    fn outcome(&self, exported: Exported, files: Vec<PathBuf>) -> Outcome {
        Outcome { out: self.out.clone(), format: self.format.clone(), pairs: exported.pairs, normals: exported.normals, files }
    }
}

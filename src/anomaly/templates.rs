//! Prompt templates: sentences with one placeholder for the learned embeddings (METHOD section 3). Training and generation draw from the same list.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::files;
use crate::invalid_input;
use crate::tensor::random::Sampler;

/// Where the learned embeddings go.
pub const PLACEHOLDER: &str = "{}";

/// A user's file of templates may have this many bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Which list of templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateSet {
    /// Few and close to what inspection pictures are.
    Inspection,
    /// 81 sentences in the manner of the zero-shot ImageNet prompts, the kind that the released program draws from.
    ImageNet,
}

/// What a defect picture is called in inspection.
const INSPECTION: [&str; 8] = [
    "a photo of a {}",
    "a close-up photo of a {}",
    "an inspection photo of a {}",
    "a surface with a {}",
    "a part with a {}",
    "a product that shows a {}",
    "a damaged surface, a {}",
    "a picture of a {}",
];

/// The first half of a sentence in the ImageNet manner: 27 of them ...
const OPENINGS: [&str; 27] = [
    "a photo of",
    "a picture of",
    "an image of",
    "a rendering of",
    "a sharp photo of",
    "a blurry photo of",
    "a bright photo of",
    "a dark photo of",
    "a cropped photo of",
    "a close-up photo of",
    "a low resolution photo of",
    "a high resolution photo of",
    "a noisy photo of",
    "a grainy photo of",
    "a compressed photo of",
    "a pixelated photo of",
    "a good photo of",
    "a bad photo of",
    "a clear photo of",
    "a black and white photo of",
    "a colour photo of",
    "a centred photo of",
    "a tilted photo of",
    "a photo from above of",
    "a photo from the side of",
    "a detailed photo of",
    "a photo showing",
];

/// ... times 3 ways to name the thing.
const NAMINGS: [&str; 3] = ["a {}", "the {}", "one {}"];

impl TemplateSet {
    /// The sentences.
    pub fn sentences(self) -> Vec<String> {
        match self {
            Self::Inspection => INSPECTION.map(str::to_owned).to_vec(),
            Self::ImageNet => OPENINGS.iter().flat_map(|opening| NAMINGS.map(|naming| format!("{opening} {naming}"))).collect(),
        }
    }
}

/// A checked list of templates: at least one, each with the placeholder exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Templates {
    sentences: Vec<String>,
}

impl Templates {
    /// Checks the sentences; `origin` names them in errors.
    pub fn new(sentences: Vec<String>, origin: &str) -> Result<Self> {
        if sentences.is_empty() {
            invalid_input!("{origin}: no prompt template, expected at least one line with {PLACEHOLDER} in it");
        }
        for sentence in &sentences {
            let found = sentence.matches(PLACEHOLDER).count();
            if found != 1 {
                invalid_input!("{origin}: template {sentence:?} has {found} placeholders, expected {PLACEHOLDER} exactly once");
            }
        }
        Ok(Self { sentences })
    }

    /// One of the built-in lists.
    pub fn built_in(set: TemplateSet) -> Self {
        Self { sentences: set.sentences() }
    }

    /// A text file, one template a line; empty lines and lines that start with `#` are left out.
    pub fn load(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let bytes = files::read_limited(path, MOST_BYTES)?;
        let Ok(text) = String::from_utf8(bytes) else { invalid_input!("{origin}: expected UTF-8 text, one prompt template a line") };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self::new(lines.map(str::to_owned).collect(), &origin)
    }

    /// The sentences, in order.
    pub fn sentences(&self) -> &[String] {
        &self.sentences
    }

    /// A uniformly random position in the list.
    pub fn draw(&self, sampler: &mut Sampler) -> usize {
        sampler.below(self.sentences.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;

    #[test]
    fn built_in_lists_are_valid_and_without_repetition() {
        for (set, count) in [(TemplateSet::Inspection, 8), (TemplateSet::ImageNet, 81)] {
            let templates = Templates::new(set.sentences(), "built in").unwrap();
            assert_eq!(templates, Templates::built_in(set));
            let distinct: std::collections::BTreeSet<_> = templates.sentences().iter().collect();
            assert_eq!(distinct.len(), count);
        }
    }

    #[test]
    fn a_users_file_is_read_and_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.txt");
        std::fs::write(&path, "# ours\n\n a weld with a {} \nthe {} in a weld\n").unwrap();
        assert_eq!(Templates::load(&path).unwrap().sentences(), ["a weld with a {}", "the {} in a weld"]);
        for (text, reason) in [("a {} and a {}", "2 placeholders"), ("nothing", "0 placeholders"), ("# only this", "no prompt template")] {
            std::fs::write(&path, text).unwrap();
            let error = Templates::load(&path).unwrap_err();
            assert_eq!(exit_code(&error), 2);
            assert!(error.to_string().contains("prompts.txt") && error.to_string().contains(reason), "{error}");
        }
    }
}

//! CLIP's tokenizer: byte-level pair encoding of lower-cased words, between a start and an end token, padded to a fixed length. Reference:
//! transformers `models/clip/tokenization_clip.py`, class `CLIPTokenizer`.

mod files;
mod pipeline;
mod train;
mod vocabulary;
#[cfg(test)]
mod tests;

pub use train::train;

use std::fmt;

use tokenizers::Tokenizer;

use crate::error::{Result, anyhow};
use crate::invalid_input;
use crate::weights::Folder;
use files::Vocabulary;

/// Text to token ids.
#[derive(Clone)]
pub struct ClipTokenizer {
    pipeline: Tokenizer,
    length: usize,
    start: i32,
    end: i32,
    pad: i32,
    size: usize,
    files: Vec<(String, Vec<u8>)>,
}

impl ClipTokenizer {
    /// From a folder with `vocab.json` and `merges.txt`, or `tokenizer.json`; `tokenizer_config.json` and `special_tokens_map.json` are heeded where
    /// present.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another kind of tokenizer (exit code 2), naming file and field.
    pub fn load(folder: &Folder) -> Result<Self> {
        Self::build(files::read(folder)?)
    }

    /// From the contents of `vocab.json` and `merges.txt`, as [`train`] gives them, with CLIP's own special tokens.
    pub fn from_vocabulary(vocab_json: &str, merges_txt: &str, length: usize) -> Result<Self> {
        Self::build(Vocabulary::from_texts(vocab_json, merges_txt, length, files::END)?)
    }

    /// OpenAI CLIP's own, of 49,408 tokens and length 77, which checkpoints in one file do without because every program has it. `pad` fills short
    /// texts: `<|endoftext|>` in Stable Diffusion 1.x, `!` in 2.x.
    pub fn clip(pad: &str) -> Result<Self> {
        Self::build(Vocabulary::from_texts(&vocabulary::clip()?, vocabulary::CLIP_MERGES, files::DEFAULT_LENGTH, pad)?)
    }

    fn build(vocabulary: Vocabulary) -> Result<Self> {
        let pipeline = pipeline::build(&vocabulary)?;
        Ok(Self {
            pipeline,
            length: vocabulary.length,
            start: vocabulary.id(&vocabulary.start)?,
            end: vocabulary.id(&vocabulary.end)?,
            pad: vocabulary.id(&vocabulary.pad)?,
            size: vocabulary.size(),
            files: vocabulary.files,
        })
    }

    /// The ids of a text between start and end token, cut and padded to [`ClipTokenizer::length`].
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        Ok(self.frame(&self.encode_bare(text)?))
    }

    /// The ids of a text alone: no start, end or padding, any length.
    pub fn encode_bare(&self, text: &str) -> Result<Vec<i32>> {
        let encoding = self.pipeline.encode(text, false).map_err(|error| anyhow!("cannot tokenize {text:?}: {error}"))?;
        encoding.get_ids().iter().map(|&id| Ok(i32::try_from(id)?)).collect()
    }

    /// Puts bare ids between start and end token, cut and padded to [`ClipTokenizer::length`].
    pub fn frame(&self, bare: &[i32]) -> Vec<i32> {
        let kept = &bare[..bare.len().min(self.length - 2)];
        let mut ids = Vec::with_capacity(self.length);
        ids.push(self.start);
        ids.extend_from_slice(kept);
        ids.push(self.end);
        ids.resize(self.length, self.pad);
        ids
    }

    /// The id of a word that is exactly one token, such as the one whose embedding starts a new concept.
    ///
    /// # Errors
    /// When it is more or fewer than one token (exit code 2).
    pub fn single_token(&self, word: &str) -> Result<i32> {
        match self.encode_bare(word)?[..] {
            [id] => Ok(id),
            ref ids => invalid_input!("expected a word that is one token of the text encoder, found {word:?}, which is {} tokens", ids.len()),
        }
    }

    /// The length that texts are padded and cut to: 77 for Stable Diffusion.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The token before a text.
    pub fn start_id(&self) -> i32 {
        self.start
    }

    /// The token behind a text.
    pub fn end_id(&self) -> i32 {
        self.end
    }

    /// The token that fills the rest: the end token in SD 1.x, `!` in SD 2.x.
    pub fn pad_id(&self) -> i32 {
        self.pad
    }

    /// One more than the largest id.
    pub fn vocabulary_size(&self) -> usize {
        self.size
    }

    /// The files that it was read from, as (name, content).
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }
}

impl fmt::Debug for ClipTokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClipTokenizer of {} tokens, length {}, start {}, end {}, pad {}", self.size, self.length, self.start, self.end, self.pad)
    }
}

//! Learned embeddings into the context of every cross-attention (METHOD section 3; paper Eq. 4 and 8).

mod prompt;

#[cfg(test)]
mod tests;

use crate::anomaly::presets::ConditioningMode;
use crate::anomaly::reweighting::Columns;
use crate::anomaly::templates::Templates;
use crate::autograd::Var;
use crate::error::{Result, ensure};
use crate::models::clip::ClipTextModel;
use crate::models::tokenizer::ClipTokenizer;
use crate::ops;
use crate::tensor::Tensor;
use prompt::Prompt;

/// What a batch of samples is conditioned on.
#[derive(Clone, Debug)]
pub struct Context {
    /// `[batch, length, width]`.
    pub tokens: Var,
    /// First column of the learned rows, for each sample.
    first: Vec<usize>,
    /// How many learned rows each sample has: k + n.
    rows: usize,
}

impl Context {
    /// `[batch, length]`: 1 for the columns that are asked for.
    pub fn columns(&self, which: Columns) -> Result<Tensor> {
        let [batch, length, _] = self.tokens.dims()?;
        let marked = |sample: usize, column: usize| match which {
            Columns::All => true,
            Columns::LearnedAndFirst if column == 0 => true,
            _ => (self.first[sample]..self.first[sample] + self.rows).contains(&column),
        };
        let elements = (0..batch * length).map(|index| f32::from(u8::from(marked(index / length, index % length))));
        Tensor::from_f32(elements.collect::<Vec<_>>(), &[batch, length])
    }

    /// The samples of both contexts, in order. No gradient flows through the result.
    pub fn detached(&self) -> Self {
        Self { tokens: self.tokens.detach(), first: self.first.clone(), rows: self.rows }
    }

    /// The samples at these positions, without history.
    pub fn select(&self, samples: &[usize]) -> Result<Self> {
        let [batch, length, width] = self.tokens.dims()?;
        ensure!(samples.iter().all(|&sample| sample < batch), "samples {samples:?} of a batch of {batch}");
        let all = self.tokens.f32s()?;
        let size = length * width;
        let elements: Vec<f32> = samples.iter().flat_map(|&sample| all[sample * size..(sample + 1) * size].iter().copied()).collect();
        let tokens = Var::constant(Tensor::from_f32(elements, &[samples.len(), length, width])?);
        Ok(Self { tokens, first: samples.iter().map(|&sample| self.first[sample]).collect(), rows: self.rows })
    }
}

/// One sample of a batch.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which template.
    pub template: usize,
    /// e_a of its type, `[k, width]`.
    pub anomaly: Var,
}

/// Puts learned embeddings into prompts and runs the frozen text transformer over them.
pub struct Conditioner<'a> {
    text: &'a ClipTextModel,
    tokenizer: &'a ClipTokenizer,
    prompts: Vec<Prompt>,
    mode: ConditioningMode,
    rows: usize,
}

impl<'a> Conditioner<'a> {
    /// Tokenises the templates for `rows` = k + n learned rows.
    ///
    /// # Errors
    /// When a template leaves no room for them (exit code 2).
    pub fn new(text: &'a ClipTextModel, tokenizer: &'a ClipTokenizer, templates: &Templates, mode: ConditioningMode, rows: usize) -> Result<Self> {
        let prompts = templates.sentences().iter().map(|sentence| Prompt::new(tokenizer, sentence, rows)).collect::<Result<_>>()?;
        Ok(Self { text, tokenizer, prompts, mode, rows })
    }

    /// The context of a batch: each sample's prompt with its placeholder replaced by [e_a; e_s] in token-embedding space, cut back to the text
    /// encoder's length, through the transformer. Gradients flow to e_a and to `spatial`.
    ///
    /// # Shapes
    /// `spatial [batch, n, width]` -> `[batch, length, width]`; `[batch, k + n, width]` when direct.
    pub fn context(&self, samples: &[Sample], spatial: &Var) -> Result<Context> {
        let [batch, tokens, width] = spatial.dims()?;
        ensure!(batch == samples.len(), "{} samples and {batch} spatial embeddings", samples.len());
        let mut learned = Vec::with_capacity(batch);
        for (index, sample) in samples.iter().enumerate() {
            let rows = match tokens {
                0 => sample.anomaly.clone(),
                _ => ops::concat(&[&sample.anomaly, &ops::reshape(&ops::narrow(spatial, 0, index, 1)?, &[tokens, width])?], 0)?,
            };
            learned.push((sample.template, rows));
        }
        self.context_of(&learned)
    }

    /// The context of a batch of learned rows alone, each `[rows, width]` with its template: as [`Conditioner::context`], which puts two embeddings
    /// together, where there is only one.
    pub fn context_of(&self, samples: &[(usize, Var)]) -> Result<Context> {
        ensure!(!samples.is_empty(), "a batch needs at least one sample");
        let (mut rows, mut first) = (Vec::with_capacity(samples.len()), Vec::with_capacity(samples.len()));
        for (template, learned) in samples {
            ensure!(learned.dim(0) == self.rows, "{} learned rows, expected {}", learned.dim(0), self.rows);
            let row = match self.mode {
                ConditioningMode::Direct => learned.clone(),
                ConditioningMode::Text => self.insert(&self.prompts[*template], learned)?,
            };
            first.push(if self.mode == ConditioningMode::Text { self.prompts[*template].before.len() } else { 0 });
            rows.push(ops::reshape(&row, &[1, row.dim(0), row.dim(1)])?);
        }
        let rows = ops::concat(&rows.iter().collect::<Vec<_>>(), 0)?;
        let tokens = if self.mode == ConditioningMode::Text { self.text.forward_embeddings(&rows)? } else { rows };
        Ok(Context { tokens, first, rows: self.rows })
    }

    /// Learned rows between the prompt's halves: `[length, width]`.
    fn insert(&self, prompt: &Prompt, learned: &Var) -> Result<Var> {
        let embed = |ids: &[i32]| self.text.embed(&Tensor::from_i32(ids.to_vec(), &[ids.len()])?);
        let before = embed(&prompt.before)?;
        // Learned rows may be in host memory still, where their file was read.
        let learned = ops::place(learned, before.device(), before.dtype())?;
        ops::concat(&[&before, &learned, &embed(&prompt.after)?], 0)
    }

    /// The context of a plain text for a batch, as guidance needs for the empty prompt: `[batch, length, width]`.
    pub fn plain(&self, text: &str, batch: usize) -> Result<Var> {
        let ids = self.tokenizer.encode(text)?;
        let row = self.text.forward(&Tensor::from_i32(ids.clone(), &[1, ids.len()])?)?;
        ops::concat(&vec![&row; batch], 0)
    }
}

/// The embedding of one word, repeated: `[rows, width]`, where training starts. Of a word of several pieces, their mean.
pub fn word_rows(text: &ClipTextModel, tokenizer: &ClipTokenizer, word: &str, rows: usize) -> Result<Tensor> {
    let ids = tokenizer.encode_bare(word)?;
    ensure!(!ids.is_empty(), "the tokenizer makes nothing of the initial word {word:?}");
    let pieces = text.embed(&Tensor::from_i32(ids.clone(), &[ids.len()])?)?;
    let (width, elements) = (pieces.dim(1), pieces.to_f32_vec()?);
    let mean = |column: usize| elements.iter().skip(column).step_by(width).sum::<f32>() / ids.len() as f32;
    let row: Vec<f32> = (0..width).map(mean).collect();
    Tensor::from_f32(row.repeat(rows), &[rows, width])
}

/// Root mean square of the token-embedding table: the scale of a word.
pub fn embedding_scale(text: &ClipTextModel) -> Result<f32> {
    let table = text.token_embedding().weight().value();
    let sum: f64 = table.to_f32_vec()?.iter().map(|&element| f64::from(element).powi(2)).sum();
    Ok((sum / table.elements().max(1) as f64).sqrt() as f32)
}

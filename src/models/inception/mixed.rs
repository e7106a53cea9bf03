//! The blocks of parallel branches, as tables: torchvision's `InceptionA` to `InceptionE`.

use super::BasicConv;
use crate::autograd::Var;
use crate::error::Result;
use crate::nn::Path;
use crate::ops::{self, Conv2dOptions};

/// A convolution of a branch: name, output channels, kernel `[height, width]`, stride. With stride 1 the size is kept, with stride 2 nothing is padded.
type Row<'a> = (&'a str, usize, [usize; 2], usize);

/// What happens to the input before a branch's convolutions.
#[derive(Clone, Copy, Debug)]
enum Pool {
    None,
    /// Mean of 3x3 around each pixel.
    Average,
    /// Maximum of 3x3 with stride 2.
    Maximum,
}

#[derive(Clone, Debug)]
struct Branch {
    pool: Pool,
    layers: Vec<BasicConv>,
    /// Convolutions side by side behind the layers, their outputs joined.
    fan: Vec<BasicConv>,
}

/// Branches on one input, their outputs joined along the channels.
#[derive(Clone, Debug)]
pub(super) struct Mixed {
    branches: Vec<Branch>,
}

impl Mixed {
    pub(super) fn forward(&self, x: &Var) -> Result<Var> {
        let outputs = self.branches.iter().map(|branch| branch.forward(x)).collect::<Result<Vec<_>>>()?;
        ops::concat(&outputs.iter().collect::<Vec<_>>(), 3)
    }
}

impl Branch {
    fn forward(&self, x: &Var) -> Result<Var> {
        let mut x = match self.pool {
            Pool::None => x.clone(),
            Pool::Average => ops::average_pool(x, 3)?,
            Pool::Maximum => ops::max_pool(x, 3, 2, 0)?,
        };
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        if self.fan.is_empty() {
            return Ok(x);
        }
        let parts = self.fan.iter().map(|layer| layer.forward(&x)).collect::<Result<Vec<_>>>()?;
        ops::concat(&parts.iter().collect::<Vec<_>>(), 3)
    }
}

/// A block under construction.
struct Builder<'a> {
    path: Path<'a>,
    inputs: usize,
    outputs: usize,
    branches: Vec<Branch>,
}

impl<'a> Builder<'a> {
    fn new(path: Path<'a>, inputs: usize) -> Self {
        Self { path, inputs, outputs: 0, branches: Vec::new() }
    }

    fn layer(&self, inputs: usize, &(name, outputs, kernel, stride): &Row) -> Result<BasicConv> {
        let [vertical, horizontal] = if stride == 1 { [kernel[0] / 2, kernel[1] / 2] } else { [0, 0] };
        let options = Conv2dOptions { stride, padding: [vertical, vertical, horizontal, horizontal] };
        BasicConv::new(&self.path.child(name), inputs, outputs, kernel, options)
    }

    fn branch(self, rows: &[Row]) -> Result<Self> {
        self.fanned(Pool::None, rows, &[])
    }

    fn fanned(mut self, pool: Pool, rows: &[Row], fan: &[Row]) -> Result<Self> {
        let (mut layers, mut channels) = (Vec::with_capacity(rows.len()), self.inputs);
        for row in rows {
            layers.push(self.layer(channels, row)?);
            channels = row.1;
        }
        let fan_layers = fan.iter().map(|row| self.layer(channels, row)).collect::<Result<_>>()?;
        self.outputs += if fan.is_empty() { channels } else { fan.iter().map(|row| row.1).sum() };
        self.branches.push(Branch { pool, layers, fan: fan_layers });
        Ok(self)
    }
}

/// 35 x 35 cells at 299 pixels.
fn a(block: Builder, pooled: usize) -> Result<Builder> {
    block
        .branch(&[("branch1x1", 64, [1, 1], 1)])?
        .branch(&[("branch5x5_1", 48, [1, 1], 1), ("branch5x5_2", 64, [5, 5], 1)])?
        .branch(&[("branch3x3dbl_1", 64, [1, 1], 1), ("branch3x3dbl_2", 96, [3, 3], 1), ("branch3x3dbl_3", 96, [3, 3], 1)])?
        .fanned(Pool::Average, &[("branch_pool", pooled, [1, 1], 1)], &[])
}

/// To 17 x 17 cells.
fn b(block: Builder) -> Result<Builder> {
    block
        .branch(&[("branch3x3", 384, [3, 3], 2)])?
        .branch(&[("branch3x3dbl_1", 64, [1, 1], 1), ("branch3x3dbl_2", 96, [3, 3], 1), ("branch3x3dbl_3", 96, [3, 3], 2)])?
        .fanned(Pool::Maximum, &[], &[])
}

/// 17 x 17 cells; 7x7 windows as a row and a column of seven.
fn c(block: Builder, width: usize) -> Result<Builder> {
    block
        .branch(&[("branch1x1", 192, [1, 1], 1)])?
        .branch(&[("branch7x7_1", width, [1, 1], 1), ("branch7x7_2", width, [1, 7], 1), ("branch7x7_3", 192, [7, 1], 1)])?
        .branch(&[
            ("branch7x7dbl_1", width, [1, 1], 1),
            ("branch7x7dbl_2", width, [7, 1], 1),
            ("branch7x7dbl_3", width, [1, 7], 1),
            ("branch7x7dbl_4", width, [7, 1], 1),
            ("branch7x7dbl_5", 192, [1, 7], 1),
        ])?
        .fanned(Pool::Average, &[("branch_pool", 192, [1, 1], 1)], &[])
}

/// To 8 x 8 cells.
fn d(block: Builder) -> Result<Builder> {
    block
        .branch(&[("branch3x3_1", 192, [1, 1], 1), ("branch3x3_2", 320, [3, 3], 2)])?
        .branch(&[
            ("branch7x7x3_1", 192, [1, 1], 1),
            ("branch7x7x3_2", 192, [1, 7], 1),
            ("branch7x7x3_3", 192, [7, 1], 1),
            ("branch7x7x3_4", 192, [3, 3], 2),
        ])?
        .fanned(Pool::Maximum, &[], &[])
}

/// 8 x 8 cells.
fn e(block: Builder) -> Result<Builder> {
    let doubled = [("branch3x3dbl_1", 448, [1, 1], 1), ("branch3x3dbl_2", 384, [3, 3], 1)];
    block
        .branch(&[("branch1x1", 320, [1, 1], 1)])?
        .fanned(Pool::None, &[("branch3x3_1", 384, [1, 1], 1)], &[("branch3x3_2a", 384, [1, 3], 1), ("branch3x3_2b", 384, [3, 1], 1)])?
        .fanned(Pool::None, &doubled, &[("branch3x3dbl_3a", 384, [1, 3], 1), ("branch3x3dbl_3b", 384, [3, 1], 1)])?
        .fanned(Pool::Average, &[("branch_pool", 192, [1, 1], 1)], &[])
}

/// All eleven, in order, on `channels` channels.
pub(super) fn blocks(path: &Path, mut channels: usize) -> Result<Vec<Mixed>> {
    type Make = fn(Builder) -> Result<Builder>;
    let rows: [(&str, Make); 11] = [
        ("Mixed_5b", |block| a(block, 32)),
        ("Mixed_5c", |block| a(block, 64)),
        ("Mixed_5d", |block| a(block, 64)),
        ("Mixed_6a", b),
        ("Mixed_6b", |block| c(block, 128)),
        ("Mixed_6c", |block| c(block, 160)),
        ("Mixed_6d", |block| c(block, 160)),
        ("Mixed_6e", |block| c(block, 192)),
        ("Mixed_7a", d),
        ("Mixed_7b", e),
        ("Mixed_7c", e),
    ];
    let mut blocks = Vec::with_capacity(rows.len());
    for (name, make) in rows {
        let block = make(Builder::new(path.child(name), channels))?;
        channels = block.outputs;
        blocks.push(Mixed { branches: block.branches });
    }
    Ok(blocks)
}

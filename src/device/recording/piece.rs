//! One kernel of a GPU, or one op of the CPU.

use crate::device::DType;

/// What the CPU does between ops and outside of networks.
pub(super) const BETWEEN: &str = "(between ops)";

/// Folders of `src/ops` that hold several ops.
const FAMILIES: [&str; 5] = ["elementwise", "resize", "shape", "loss", "softmax"];

/// What was computed at once.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The kernel's entry point, or the op.
    pub name: &'static str,
    /// `forward` or `backward` of an op; nothing for a kernel, whose name says it.
    pub pass: &'static str,
    /// The path of the layer's weights, or of what holds the layers around it; empty outside of networks.
    pub layer: String,
    /// Element type of the kernel, or of the op's output.
    pub element: Option<DType>,
    /// Bytes of the tensors that are read, each counted once.
    pub read: u64,
    /// Bytes of the tensors that are written, each counted once.
    pub written: u64,
    /// Milliseconds since the beginning.
    pub start: f64,
    /// How long it took.
    pub milliseconds: f64,
    /// What its arithmetic and its occupancy follow from.
    pub detail: Detail,
}

/// What the arithmetic of a piece follows from.
#[derive(Clone, Debug)]
pub enum Detail {
    /// An op on the CPU.
    Op {
        /// Shapes of the inputs.
        inputs: Vec<Vec<usize>>,
        /// Shape of the output.
        output: Vec<usize>,
        /// In the backward pass: which inputs' gradients were computed.
        gradients: Option<Vec<bool>>,
    },
    /// A kernel.
    Kernel(KernelShape),
    /// None of both.
    Other,
}

/// The size of a launch.
#[derive(Clone, Debug, Default)]
pub struct KernelShape {
    /// Blocks in x, y and z.
    pub grid: [usize; 3],
    /// Threads of a block.
    pub threads: usize,
    /// Bytes of shared memory of a block, static and dynamic.
    pub shared: usize,
    /// Registers of a thread.
    pub registers: usize,
    /// The whole numbers among its arguments, by the names in the source.
    pub numbers: Vec<(&'static str, i64)>,
}

/// A tensor that an op takes or gives.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its element type.
    pub element: Option<DType>,
    /// Bytes of its elements.
    pub bytes: u64,
    /// Whether it is another operand under another shape.
    pub is_view: bool,
}

impl Detail {
    pub(super) fn op(inputs: &[Operand], output: &Operand, gradients: Option<Vec<bool>>) -> Self {
        Self::Op { inputs: inputs.iter().map(|input| input.shape.clone()).collect(), output: output.shape.clone(), gradients }
    }
}

impl Piece {
    pub(super) fn new(name: &'static str, pass: &'static str, element: Option<DType>, [read, written]: [u64; 2], detail: Detail) -> Self {
        Self { name, pass, layer: String::new(), element, read, written, start: 0.0, milliseconds: 0.0, detail }
    }
}

/// `anodiff::ops::conv2d::conv2d::{{closure}}` is conv2d, `anodiff::ops::shape::concat::{{closure}}` is concat.
pub(super) fn op_name(function: &'static str) -> &'static str {
    // A function that records for several ops is given each one's closures: the first among its types says which.
    let function = function.split_once('<').map_or(function, |(_, types)| types);
    let path = function.split_once("::ops::").map_or(function, |(_, path)| path);
    let path = path.split("::{{closure}}").next().unwrap_or(path);
    match path.split_once("::") {
        Some((folder, _)) if !FAMILIES.contains(&folder) => folder,
        Some((_, function)) => function.split_once("::").filter(|(file, name)| file == name).map_or(function, |(_, name)| name),
        None => path,
    }
}

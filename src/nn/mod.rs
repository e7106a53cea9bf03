//! Layers: parameters and a forward pass, one layer per file. A layer is built from a [`Path`], which is where checkpoint names come from.

mod batch_norm;
mod conv2d;
mod embedding;
mod init;
mod layer_norm;
mod group_norm;
mod linear;
mod parameter;
mod path;
mod placement;

pub use batch_norm::BatchNorm2d;
pub use conv2d::Conv2d;
pub use embedding::Embedding;
pub use group_norm::GroupNorm;
pub use init::{Init, RandomInit};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use parameter::{Layout, Parameter, ParameterSet};
pub use path::{ParameterSource, Path};
pub use placement::Placement;

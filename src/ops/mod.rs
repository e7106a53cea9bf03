//! The engine's operations: one folder each, with the CPU's forward and backward and the gradient recorded where the forward is. This file is the
//! only existing one that a new op edits.
//!
//! A backward closure holds tensors, never [`Var`](crate::autograd::Var)s: holding history from inside history would keep graphs alive.

pub mod adamw;
pub mod attention;
pub mod batch_norm;
pub mod conv2d;
pub mod cross_attention;
pub mod denoise;
pub mod elementwise;
pub mod focal_loss;
pub mod group_norm;
pub mod joined;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub(crate) mod parallel;
pub mod place;
pub mod product;
pub mod random;
pub(crate) mod reduction;
pub mod resize;
pub mod shape;
pub mod softmax;
pub mod weight_map;

pub use attention::attention;
pub use batch_norm::{BatchNormMode, BatchStatistics, batch_norm};
pub use conv2d::{Conv2dOptions, Epilogue, Source, conv2d};
pub use cross_attention::{Reweighting, cross_attention};
pub use denoise::{Background, BackgroundNoise, Denoised, Outputs, PlannedUpdate, Update, Updates, blend, denoise};
pub use elementwise::{
    abs, add, affine, broadcast_add, broadcast_mul, clamp, exp, geglu, gelu, leaky_relu, mul, prelu, quick_gelu, relu, sigmoid, silu, sub, tanh,
};
pub use focal_loss::focal_loss;
pub use group_norm::{Activation, group_norm};
pub use joined::Joined;
pub use layer_norm::layer_norm;
pub use linear::{LinearEpilogue, linear, linear_with};
pub use loss::{MaskedMean, masked_mse, mean, mse, sum};
pub use place::place;
pub use product::{Route, tuning};
pub use random::normal;
pub use resize::{area_pool, average_pool, max_pool, resize_bilinear, upsample_nearest};
pub use shape::{concat, embedding, narrow, reshape, rows};
pub use softmax::{softmax, softmax_cross_entropy};
pub use weight_map::{Formula, weight_map};

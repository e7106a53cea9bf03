//! The base model that is compiled into the program.

use crate::weights::EmbeddedFile;

/// The files of `weights/tiny/`, listed by `build.rs`; none when the folder was empty.
pub(super) static FILES: &[EmbeddedFile] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

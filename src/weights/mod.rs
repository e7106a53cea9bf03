//! Reading and writing safetensors: checked before anything is allocated, read by position (for a GPU in pieces, on their way there), written all or
//! nothing.
//!
//! [`Archive`] is the source of a model's parameters; it notes what does not fit and [`Archive::finish`] reports all of it. [`save`] writes.

mod alias;
mod archive;
mod digest;
mod fit;
mod folder;
mod header;
mod locate;
mod save;
mod stored;
mod upload;
#[cfg(test)]
mod tests;

pub use archive::Archive;
pub use digest::digest;
pub use folder::{EmbeddedFile, Folder};
pub use save::{save, write};
pub use stored::{Precision, StoredType};

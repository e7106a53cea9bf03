//! Pictures, plots and the HTML page that show a run: what was learned, what was generated, how it measures.

mod chart;
mod heat;
mod page;
mod sheet;

pub use chart::{Chart, Series};
pub use heat::heat_map;
pub use page::{Page, Table};
pub use sheet::{Cell, Sheet};

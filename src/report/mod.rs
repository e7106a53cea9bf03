//! Pictures, plots and the HTML page that show a run: what was learned, what was generated, how it measures.

mod bars;
mod chart;
mod curves;
pub mod folder;
mod heat;
mod page;
mod pairs;
mod sheet;
mod table;

pub use bars::Bars;
pub use chart::{Chart, Series};
pub use curves::{log_chart, running_mean};
pub use heat::heat_map;
pub use page::Page;
pub use pairs::{HEADINGS, intermediates, row, shown};
pub use sheet::{Cell, Sheet};
pub use table::Table;

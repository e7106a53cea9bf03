//! Measurements of generated data, one metric per file.

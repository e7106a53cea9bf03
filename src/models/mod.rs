//! The networks: one folder each, config struct on top.

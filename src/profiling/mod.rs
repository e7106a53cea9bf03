//! Timers and benchmarks.

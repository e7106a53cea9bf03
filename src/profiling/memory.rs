//! The process's memory as the kernel counts it.

use std::fs;

/// The most memory that the process has held at once, in bytes, since its start or the last [`reset_peak`]; `None` where the kernel does not say.
pub fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

/// Starts the peak anew from what is held now. Without effect where the kernel does not offer it.
pub fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

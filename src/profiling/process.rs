//! The process's memory and processor time as the kernel counts them.

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

/// Processor time of all threads since the start, in milliseconds, in steps of 10; `None` where the kernel does not say. On a busy machine it says
/// more about the work than the clock on the wall.
pub fn processor_milliseconds() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses; user and system time are fields 14 and 15, in hundredths of a second.
    let mut fields = status.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some(10.0 * (ticks()? + ticks()?))
}

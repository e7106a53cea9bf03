//! The process's stderr and what may stand on a terminal, its memory and processor time as Linux counts them, and the memory that is left.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};

/// Writes [`printable`] text and a line end to stderr. Where that fails, because it is a closed pipe or a file on a full disk, nothing happens: `eprintln!`
/// would panic and hide the exit code.
pub fn write_stderr(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
}

/// `text` with control characters spelled out: names in strangers' files and folders could otherwise move a terminal's cursor, hide a message or write
/// another one. Line ends and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let spelled = |character: char| if harmless(character) { character.to_string() } else { character.escape_default().to_string() };
    Cow::Owned(text.chars().map(spelled).collect())
}

/// The most memory that the process has held at once, in bytes, since its start or the last [`reset_peak`]; `None` where the kernel does not say.
pub fn peak_bytes() -> Option<u64> {
    in_kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Memory of its own that the process holds now, in bytes: without the files that are mapped into it; `None` where the kernel does not say.
pub fn private_bytes() -> Option<u64> {
    in_kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
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

/// Bytes that the process can take before the machine, or the control group (container, batch job) that it runs in, is full, or its own limit on addresses
/// (`ulimit -v`) is reached; `None` where the kernel does not say.
pub fn available_bytes() -> Option<u64> {
    let free = in_kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let of_group = |limit: &str, used: &str| Some(number(limit)?.saturating_sub(number(used)?));
    let group = of_group("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current")
        .or_else(|| of_group("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"));
    Some([group, addresses_left()].into_iter().flatten().fold(free, u64::min))
}

/// What the process's limit on addresses leaves; `None` without a limit.
fn addresses_left() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let limit: u64 = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(in_kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmSize:")?))
}

/// Whether the system would give as much memory now: where it does not, the allocator ends the program without a word.
pub fn would_get(bytes: usize) -> bool {
    let mut memory = Vec::<u8>::new();
    let given = memory.try_reserve_exact(bytes).is_ok();
    // The compiler must not leave out what is never used.
    black_box(&memory);
    given
}

/// The line that begins with `name`, in bytes.
fn in_kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(printable("plain\n\ttext äé"), "plain\n\ttext äé");
        assert_eq!(printable("a\u{1b}[2J\rb\u{9b}c\u{7f}"), "a\\u{1b}[2J\\rb\\u{9b}c\\u{7f}");
    }

    #[test]
    fn processor_time_passes_while_working() {
        let Some(before) = processor_milliseconds() else { return };
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < 1_000 && processor_milliseconds().unwrap() < before + 30.0 {}
        let spent = processor_milliseconds().unwrap() - before;
        assert!((10.0..60_000.0).contains(&spent), "{spent} ms of work");
    }

    #[test]
    fn the_peak_of_memory_grows_with_what_is_held() {
        let Some(before) = peak_bytes() else { return };
        let held = vec![1u8; 64 << 20];
        assert!(peak_bytes().unwrap() >= before, "a peak never shrinks by itself");
        assert_eq!(held.iter().map(|&byte| u64::from(byte)).sum::<u64>(), 64 << 20);
    }

    #[test]
    fn what_is_left_is_less_than_there_is() {
        let Some(left) = available_bytes() else { return };
        let all = in_kilobytes(&fs::read_to_string("/proc/meminfo").unwrap(), "MemTotal:").unwrap();
        assert!((1 << 20..all).contains(&left), "{left} of {all}");
    }
}

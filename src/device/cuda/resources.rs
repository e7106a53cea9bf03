//! What the assembler says about a kernel's use of the multiprocessor (`--ptxas-options=-v`).

use serde::{Deserialize, Serialize};

/// What one kernel takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// The entry point.
    pub entry: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes that a thread stores because registers ran out.
    pub spill_stores: u32,
    /// Bytes that a thread loads because registers ran out.
    pub spill_loads: u32,
    /// Bytes of a thread's stack: spills and arrays that are indexed by a variable.
    pub stack: u32,
    /// Bytes of static shared memory of a block.
    pub shared: u32,
}

impl Resources {
    /// Reads the assembler's log; sorted by entry point.
    pub fn of_log(log: &str) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for line in log.lines() {
            if let Some(rest) = line.split_once("Compiling entry function '").map(|(_, rest)| rest) {
                found.push(Self { entry: rest.split('\'').next().unwrap_or_default().to_owned(), ..Self::default() });
                continue;
            }
            let Some(current) = found.last_mut() else { continue };
            if line.contains("bytes stack frame") {
                current.stack = before(line, " bytes stack frame");
                current.spill_stores = before(line, " bytes spill stores");
                current.spill_loads = before(line, " bytes spill loads");
            } else if line.contains("Used ") && line.contains(" registers") {
                current.registers = before(line, " registers");
                current.shared = before(line, " bytes smem");
            }
        }
        found.sort_by(|a, b| a.entry.cmp(&b.entry));
        found
    }
}

/// The number in front of `unit`, 0 where the line has none.
fn before(line: &str, unit: &str) -> u32 {
    line.split_once(unit).and_then(|(head, _)| head.rsplit([' ', ',']).next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As NVRTC 13.2 and 12.4 print it.
    #[test]
    fn a_log_is_read() {
        let log = "ptxas info    : 0 bytes gmem\n\
            ptxas info    : Compiling entry function 'second' for 'sm_90a'\n\
            ptxas info    : Function properties for second\n\
            ptxas         .     256 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads\n\
            ptxas info    : Used 30 registers, used 0 barriers, 256 bytes cumulative stack size\n\
            ptxas info    : Compile time = 24.409 ms\n\
            ptxas info    : Compiling entry function 'first' for 'sm_90a'\n\
            ptxas info    : Function properties for first\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
            ptxas info    : Used 12 registers, used 1 barriers, 512 bytes smem, 380 bytes cmem[0]\n";
        let expected = [
            Resources { entry: "first".to_owned(), registers: 12, shared: 512, ..Resources::default() },
            Resources { entry: "second".to_owned(), registers: 30, spill_stores: 12, spill_loads: 8, stack: 256, shared: 0 },
        ];
        assert_eq!(Resources::of_log(log), expected);
        assert!(Resources::of_log("error: nothing was compiled").is_empty());
    }
}

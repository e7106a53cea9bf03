//! How many of a multiprocessor's warps a kernel can have there at once (CUDA programming guide, "Technical specifications"; the granularities are
//! those of NVIDIA's occupancy calculator).

/// What one multiprocessor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Processor {
    warps: usize,
    blocks: usize,
    /// Bytes of shared memory.
    shared: usize,
    /// Bytes of shared memory that the system takes of each block's.
    reserved: usize,
}

const REGISTERS: usize = 65_536;
const THREADS_OF_WARP: usize = 32;
/// Registers come to a warp in pieces of so many.
const REGISTER_UNIT: usize = 256;
/// Shared memory comes to a block in pieces of so many bytes.
const SHARED_UNIT: usize = 128;

fn processor(capability: u32) -> Processor {
    let (warps, blocks, kilobytes) = match capability {
        ..80 => (32, 16, 64),
        80..86 => (64, 32, 164),
        86..89 => (48, 16, 100),
        89 => (48, 24, 100),
        90..120 => (64, 32, 228),
        _ => (48, 24, 100),
    };
    Processor { warps, blocks, shared: kilobytes << 10, reserved: if capability < 80 { 0 } else { 1024 } }
}

/// Blocks that a multiprocessor holds at once; none when the registers are not known, as on an emulated device.
pub fn blocks(capability: u32, threads: usize, registers: usize, shared: usize) -> Option<usize> {
    if registers == 0 || threads == 0 {
        return None;
    }
    let Processor { warps: most_warps, blocks, shared: most_shared, reserved } = processor(capability);
    let warps = threads.div_ceil(THREADS_OF_WARP);
    let registers_of_warp = (registers * THREADS_OF_WARP).next_multiple_of(REGISTER_UNIT);
    // Registers are divided among the four schedulers of a multiprocessor.
    let warps_by_registers = REGISTERS / 4 / registers_of_warp * 4;
    let by_shared = most_shared / (shared + reserved).next_multiple_of(SHARED_UNIT).max(1);
    Some(blocks.min(most_warps / warps).min(warps_by_registers / warps).min(by_shared))
}

/// The share of the multiprocessor's warps.
pub fn occupancy(capability: u32, threads: usize, registers: usize, shared: usize) -> Option<f64> {
    let blocks = blocks(capability, threads, registers, shared)?;
    Some((blocks * threads.div_ceil(THREADS_OF_WARP)) as f64 / processor(capability).warps as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As NVIDIA's occupancy calculator has it.
    #[test]
    fn of_known_kernels() {
        for (capability, threads, registers, shared, expected) in [
            (90, 256, 32, 0, 8),
            (90, 256, 128, 0, 2),
            (90, 128, 168, 0, 3),
            (90, 256, 255, 0, 1),
            (90, 256, 64, 98_304, 2),
            (80, 256, 64, 82_944, 2),
            (80, 256, 64, 83_072, 1),
            (86, 128, 40, 0, 12),
            (75, 1024, 64, 0, 1),
            (75, 64, 16, 0, 16),
        ] {
            assert_eq!(blocks(capability, threads, registers, shared), Some(expected), "sm_{capability} {threads} {registers} {shared}");
        }
        assert_eq!(occupancy(90, 256, 128, 0), Some(0.25));
        assert_eq!(blocks(90, 256, 0, 0), None);
    }
}

//! Batches that fit into a GPU's memory.

use crate::error::{Error, Result, is_memory_full};

/// Half of a batch that did not fit, which `tell` hears of: nothing that is made in a batch depends on its size.
///
/// # Errors
/// `error` itself, where it is another or the batch was of one.
pub(super) fn halved(batch_size: usize, error: Error, tell: impl FnOnce(&Error, usize)) -> Result<usize> {
    if !is_memory_full(&error) || batch_size == 1 {
        return Err(error);
    }
    let half = batch_size.div_ceil(2);
    tell(&error, half);
    Ok(half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{MemoryFull, anyhow};

    #[test]
    fn only_full_memory_halves_a_batch_and_not_one_of_one() {
        let full = || Error::new(MemoryFull("no room".to_owned())).context("a batch");
        let mut told = 0;
        assert_eq!(halved(7, full(), |_, half| told = half).unwrap(), 4);
        assert_eq!(told, 4);
        assert!(halved(1, full(), |_, _| panic!("told")).is_err());
        assert!(halved(7, anyhow!("another"), |_, _| panic!("told")).is_err());
    }
}

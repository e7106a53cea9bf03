//! Digests as text.

/// Two lowercase digits a byte.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_their_zeros() {
        assert_eq!(hexadecimal(&[0, 10, 255]), "000aff");
    }
}

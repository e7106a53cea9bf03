//! GPU architectures as the compiler names them.

use std::fmt;

use crate::error::Result;
use crate::input_error;

/// `sm_80`, `sm_90a`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Architecture {
    /// Compute capability times ten: 75, 90, 120.
    pub number: u32,
    /// The `a`: instructions of this one architecture (wgmma, TMA descriptors in registers), binaries that run on no other.
    pub specific: bool,
}

impl Architecture {
    /// The oldest that the engine runs on (Turing).
    pub const OLDEST: Self = Self { number: 75, specific: false };

    /// Reads `sm_80` or `sm_90a`.
    ///
    /// # Errors
    /// When the text is of another form or older than [`Architecture::OLDEST`] (exit code 2).
    pub fn parse(text: &str) -> Result<Self> {
        let digits = text.strip_prefix("sm_").map(|rest| (rest.strip_suffix('a').unwrap_or(rest), rest.ends_with('a')));
        digits
            .and_then(|(digits, specific)| Some(Self { number: digits.parse().ok()?, specific }))
            .filter(|found| (Self::OLDEST.number..1000).contains(&found.number))
            .ok_or_else(|| input_error!("architecture {text}: expected sm_75 or later, such as sm_80, sm_89 or sm_90a"))
    }

    /// The architecture to compile for on a device: with the instructions of its own where there are any.
    pub fn of_capability(major: u32, minor: u32) -> Self {
        let number = major * 10 + minor;
        Self { number, specific: number >= 90 }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sm_{}{}", self.number, if self.specific { "a" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for text in ["sm_75", "sm_89", "sm_90a", "sm_120"] {
            assert_eq!(Architecture::parse(text).unwrap().to_string(), text);
        }
        for text in ["sm_70", "90", "sm_", "sm_90b", "compute_90", "sm_9000"] {
            assert!(Architecture::parse(text).is_err(), "{text}");
        }
        assert_eq!(Architecture::of_capability(9, 0).to_string(), "sm_90a");
        assert_eq!(Architecture::of_capability(8, 6).to_string(), "sm_86");
    }
}

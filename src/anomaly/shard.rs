//! A share of a run: work is divided over processes by the numbers of images, with no coordination.
//!
//! Shares are dealt in blocks of [`GROUP`] numbers, because a preset may look at the masks of a block together.

use std::fmt;

use crate::anomaly::presets::GROUP;
use crate::error::Result;
use crate::invalid_input;

/// One of `count` equal shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 0.
    index: u64,
    count: u64,
}

/// The most shares.
const MOST: u64 = 100_000;

impl Shard {
    /// All of a run.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Reads `i/n` (the first of four is 1/4), `auto` (from the environment of Slurm, Kubernetes or torchrun; all of the run without one) or `auto/n`
    /// (the number from the environment, of n shares). `variable` looks a name up in the environment.
    ///
    /// # Errors
    /// When it is none of these or the numbers make no sense (exit code 2).
    pub fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |text: &str| text.parse::<u64>().ok();
        let shard = match text.split_once('/') {
            None if text == "auto" => Self::from_environment(None, &variable)?,
            Some(("auto", count)) => match number(count) {
                Some(count) => Self::from_environment(Some(count), &variable)?,
                None => invalid_input!("--shard {text}: expected i/n, auto or auto/n"),
            },
            Some((index, count)) => match (number(index), number(count)) {
                (Some(index), Some(count)) if index >= 1 => Self { index: index - 1, count },
                _ => invalid_input!("--shard {text}: expected i/n with i from 1 to n, as in 1/4"),
            },
            None => invalid_input!("--shard {text}: expected i/n, as in 1/4, auto or auto/n"),
        };
        if shard.count == 0 || shard.count > MOST || shard.index >= shard.count {
            invalid_input!("--shard {text}: share {} of {}; expected 1 to n of at most {MOST}", shard.index.saturating_add(1), shard.count);
        }
        Ok(shard)
    }

    /// Slurm's job arrays, Kubernetes' indexed jobs (which do not say how many there are), torchrun, in this order.
    fn from_environment(count: Option<u64>, variable: &impl Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |name: &str| -> Result<Option<u64>> {
            match variable(name).map(|text| (text.trim().parse(), text)) {
                None => Ok(None),
                Some((Ok(value), _)) => Ok(Some(value)),
                Some((Err(_), text)) => invalid_input!("--shard auto: {name} is {text:?}, expected a whole number"),
            }
        };
        if let Some(task) = number("SLURM_ARRAY_TASK_ID")? {
            // An array may start anywhere and leave numbers out: --array=5-20:5.
            let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            let Some(count) = count.or(number("SLURM_ARRAY_TASK_COUNT")?) else {
                invalid_input!("--shard auto: SLURM_ARRAY_TASK_ID without SLURM_ARRAY_TASK_COUNT; give --shard auto/n")
            };
            let index = task.checked_sub(first).map(|offset| offset / step);
            return Ok(Self { index: index.unwrap_or(u64::MAX), count });
        }
        if let Some(index) = number("JOB_COMPLETION_INDEX")? {
            let Some(count) = count else {
                invalid_input!(
                    "--shard auto: JOB_COMPLETION_INDEX is set, but Kubernetes does not tell the number of completions; give --shard auto/n"
                )
            };
            return Ok(Self { index, count });
        }
        if let Some(index) = number("RANK")? {
            let Some(count) = count.or(number("WORLD_SIZE")?) else { invalid_input!("--shard auto: RANK without WORLD_SIZE; give --shard auto/n") };
            return Ok(Self { index, count });
        }
        match count {
            None | Some(1) => Ok(Self::WHOLE),
            Some(count) => invalid_input!(
                "--shard auto/{count}: none of SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX and RANK is set, so which of {count} this is is not known"
            ),
        }
    }

    /// Whether this is all of the run.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// Whether an image belongs to this share.
    pub fn contains(self, index: u64) -> bool {
        index / GROUP as u64 % self.count == self.index
    }

    /// All shares of the run that this is one of.
    pub fn all(self) -> impl Iterator<Item = Self> {
        (0..self.count).map(move |index| Self { index, ..self })
    }

    /// What names of this share's own files end with: nothing for all of a run, `-1-of-4` for the first of four.
    pub fn suffix(self) -> String {
        if self.is_whole() { String::new() } else { format!("-{}-of-{}", self.index + 1, self.count) }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index + 1, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Shard> {
        Shard::parse(text, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn shares_come_from_the_flag_or_the_scheduler() {
        let second_of_four = Shard { index: 1, count: 4 };
        assert_eq!(parse("2/4", &[]).unwrap(), second_of_four);
        assert_eq!(parse("1/1", &[]).unwrap(), Shard::WHOLE);
        assert_eq!(parse("auto", &[]).unwrap(), Shard::WHOLE);
        assert_eq!(parse("auto", &[("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "4")]).unwrap(), second_of_four);
        let stepped = [("SLURM_ARRAY_TASK_ID", "10"), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "5"), ("SLURM_ARRAY_TASK_STEP", "5")];
        assert_eq!(parse("auto", &stepped).unwrap(), second_of_four);
        assert_eq!(parse("auto/4", &[("JOB_COMPLETION_INDEX", "1")]).unwrap(), second_of_four);
        assert_eq!(parse("auto", &[("RANK", "1"), ("WORLD_SIZE", "4")]).unwrap(), second_of_four);
        for (text, variables) in [
            ("0/4", &[][..]),
            ("5/4", &[]),
            ("1/0", &[]),
            ("a/b", &[]),
            ("3", &[]),
            ("auto/4", &[]),
            ("auto", &[("JOB_COMPLETION_INDEX", "1")]),
            ("auto", &[("RANK", "4"), ("WORLD_SIZE", "4")]),
            ("auto", &[("RANK", "x"), ("WORLD_SIZE", "4")]),
            ("auto", &[("SLURM_ARRAY_TASK_ID", "1")]),
        ] {
            let error = parse(text, variables).unwrap_err();
            assert_eq!(exit_code(&error), 2, "{text} {variables:?}");
            assert!(error.to_string().contains("--shard"), "{error}");
        }
    }

    #[test]
    fn every_image_belongs_to_one_share() {
        for count in 1..7 {
            let shards: Vec<Shard> = (1..=count).map(|index| parse(&format!("{index}/{count}"), &[]).unwrap()).collect();
            for image in 0..100 {
                assert_eq!(shards.iter().filter(|shard| shard.contains(image)).count(), 1);
                let together = |shard: &Shard| shard.contains(image) == shard.contains(image / 8 * 8);
                assert!(shards.iter().all(together), "a block is not cut");
            }
        }
        assert_eq!((Shard::WHOLE.suffix(), parse("2/4", &[]).unwrap().suffix()), (String::new(), "-2-of-4".into()));
    }
}

//! Eight f32 side by side: what transforms that must stay in registers are written with, where the compiler does not find the vectors by itself.
//!
//! With AVX and fused multiply-add at compile time (`.cargo/config.toml` asks for them on x86-64) it is one register, otherwise an array.
#![allow(unsafe_code)]

use std::ops::{Add, Mul, Sub};

/// How many f32 there are in a [`Lanes`].
pub const LANES: usize = 8;

#[cfg(not(all(target_arch = "x86_64", target_feature = "avx", target_feature = "fma")))]
use array::Inner;
#[cfg(all(target_arch = "x86_64", target_feature = "avx", target_feature = "fma"))]
use avx::Inner;

/// Eight f32.
#[derive(Clone, Copy, Debug)]
pub struct Lanes(Inner);

impl Lanes {
    /// The same number eight times.
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self(Inner::load(&[value; LANES]))
    }

    /// Up to eight numbers; what is missing is zero.
    #[inline(always)]
    pub fn load(from: &[f32]) -> Self {
        match from.first_chunk::<LANES>() {
            Some(lanes) => Self(Inner::load(lanes)),
            None => {
                let mut lanes = [0.0; LANES];
                lanes.iter_mut().zip(from).for_each(|(lane, &value)| *lane = value);
                Self(Inner::load(&lanes))
            }
        }
    }

    /// Stores the first `to.len()` numbers, at most eight.
    #[inline(always)]
    pub fn store(self, to: &mut [f32]) {
        match to.first_chunk_mut::<LANES>() {
            Some(lanes) => self.0.store(lanes),
            None => {
                let mut lanes = [0.0; LANES];
                self.0.store(&mut lanes);
                to.iter_mut().zip(lanes).for_each(|(to, lane)| *to = lane);
            }
        }
    }

    /// `self * factor + term`
    #[inline(always)]
    pub fn times_plus(self, factor: f32, term: Self) -> Self {
        Self(self.0.multiply_add(Self::splat(factor).0, term.0))
    }

    /// Rows become columns.
    #[inline(always)]
    pub fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        Inner::transpose(rows.map(|row| row.0)).map(Self)
    }
}

/// Asks for the cache line of `from[ahead]`, which need not exist: for reads in a pattern that the processor does not foresee.
#[inline(always)]
pub fn prefetch(from: &[f32], ahead: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address reads nothing and never faults; SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(ahead).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, ahead);
}

impl Add for Lanes {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0.add(other.0))
    }
}

impl Sub for Lanes {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.0.sub(other.0))
    }
}

impl Mul<f32> for Lanes {
    type Output = Self;
    #[inline(always)]
    fn mul(self, factor: f32) -> Self {
        Self(self.0.multiply(Self::splat(factor).0))
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "avx", target_feature = "fma"))]
mod avx {
    use std::arch::x86_64::*;

    use super::LANES;

    pub(super) type Inner = Register;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Register(__m256);

    // SAFETY, of all blocks below: this module exists only in programs compiled for AVX and FMA, and the arrays have eight elements.
    impl Register {
        #[inline(always)]
        pub(super) fn load(from: &[f32; LANES]) -> Self {
            Self(unsafe { _mm256_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        pub(super) fn store(self, to: &mut [f32; LANES]) {
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        pub(super) fn add(self, other: Self) -> Self {
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        pub(super) fn sub(self, other: Self) -> Self {
            Self(unsafe { _mm256_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        pub(super) fn multiply(self, other: Self) -> Self {
            Self(unsafe { _mm256_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        pub(super) fn multiply_add(self, factor: Self, term: Self) -> Self {
            Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, term.0) })
        }

        #[inline(always)]
        pub(super) fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
            let r = rows.map(|row| row.0);
            unsafe {
                // Pairs of rows, then fours, then halves.
                let low = |a, b| _mm256_unpacklo_ps(a, b);
                let high = |a, b| _mm256_unpackhi_ps(a, b);
                let pairs = [low(r[0], r[1]), high(r[0], r[1]), low(r[2], r[3]), high(r[2], r[3])];
                let more = [low(r[4], r[5]), high(r[4], r[5]), low(r[6], r[7]), high(r[6], r[7])];
                let fours = |p: [__m256; 4]| {
                    [
                        _mm256_shuffle_ps::<0x44>(p[0], p[2]),
                        _mm256_shuffle_ps::<0xEE>(p[0], p[2]),
                        _mm256_shuffle_ps::<0x44>(p[1], p[3]),
                        _mm256_shuffle_ps::<0xEE>(p[1], p[3]),
                    ]
                };
                let (upper, lower) = (fours(pairs), fours(more));
                let first = |i: usize| Self(_mm256_permute2f128_ps::<0x20>(upper[i], lower[i]));
                let second = |i: usize| Self(_mm256_permute2f128_ps::<0x31>(upper[i], lower[i]));
                [first(0), first(1), first(2), first(3), second(0), second(1), second(2), second(3)]
            }
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "avx", target_feature = "fma")))]
mod array {
    use super::LANES;

    pub(super) type Inner = Array;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Array([f32; LANES]);

    impl Array {
        #[inline(always)]
        pub(super) fn load(from: &[f32; LANES]) -> Self {
            Self(*from)
        }

        #[inline(always)]
        pub(super) fn store(self, to: &mut [f32; LANES]) {
            *to = self.0;
        }

        #[inline(always)]
        fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
            let mut result = self;
            result.0.iter_mut().zip(other.0).for_each(|(a, b)| *a = f(*a, b));
            result
        }

        #[inline(always)]
        pub(super) fn add(self, other: Self) -> Self {
            self.zip(other, |a, b| a + b)
        }

        #[inline(always)]
        pub(super) fn sub(self, other: Self) -> Self {
            self.zip(other, |a, b| a - b)
        }

        #[inline(always)]
        pub(super) fn multiply(self, other: Self) -> Self {
            self.zip(other, |a, b| a * b)
        }

        #[inline(always)]
        pub(super) fn multiply_add(self, factor: Self, term: Self) -> Self {
            if cfg!(target_arch = "aarch64") {
                let mut result = self;
                result.0.iter_mut().zip(factor.0).zip(term.0).for_each(|((a, b), c)| *a = a.mul_add(b, c));
                return result;
            }
            self.multiply(factor).add(term)
        }

        #[inline(always)]
        pub(super) fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
            let mut columns = rows;
            for (i, row) in rows.iter().enumerate() {
                for (column, &value) in columns.iter_mut().zip(&row.0) {
                    column.0[i] = value;
                }
            }
            columns
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(lanes: Lanes) -> [f32; LANES] {
        let mut values = [0.0; LANES];
        lanes.store(&mut values);
        values
    }

    #[test]
    fn arithmetic_goes_lane_by_lane() {
        let a = Lanes::load(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 99.0]);
        let b = Lanes::splat(2.0);
        assert_eq!(values(a + b)[..2], [3.0, 4.0]);
        assert_eq!(values(a - b)[6..], [5.0, 6.0]);
        assert_eq!(values(a * 3.0)[..2], [3.0, 6.0]);
        assert_eq!(values(a.times_plus(2.0, b))[..3], [4.0, 6.0, 8.0]);
    }

    #[test]
    fn short_slices_are_padded_and_cut() {
        let lanes = Lanes::load(&[1.0, 2.0]);
        assert_eq!(values(lanes), [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let mut to = [9.0; 2];
        lanes.store(&mut to[..1]);
        assert_eq!(to, [1.0, 9.0]);
    }

    #[test]
    fn transposing_exchanges_rows_and_columns() {
        let mut rows = [Lanes::splat(0.0); LANES];
        for (i, row) in rows.iter_mut().enumerate() {
            let mut numbers = [0.0; LANES];
            numbers.iter_mut().enumerate().for_each(|(j, number)| *number = (i * LANES + j) as f32);
            *row = Lanes::load(&numbers);
        }
        for (i, column) in Lanes::transpose(rows).into_iter().enumerate() {
            values(column).iter().enumerate().for_each(|(j, &number)| assert_eq!(number, (j * LANES + i) as f32));
        }
    }
}

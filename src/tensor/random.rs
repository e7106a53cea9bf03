//! Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! A [`Stream`] is named by a seed, a purpose and indices; its element `i` is a pure function of that name and `i`. So an image's noise does not
//! depend on batch size, order, device or restart. Normal variates use only correctly rounded f32 operations (add, multiply, fused multiply-add,
//! division, square root) in a fixed order, so that a GPU kernel of the same formula gives the same bits.

use sha2::{Digest, Sha256};

use crate::device::cpu::Buffer;
use crate::error::Result;
use crate::tensor::Tensor;

/// A named, infinite sequence of random numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The two key words of Philox.
    pub key: [u32; 2],
    /// The upper two counter words; the lower two count blocks of four numbers.
    pub nonce: [u32; 2],
}

impl Stream {
    /// The stream of `seed` for one purpose ("noise", "timestep", …) and any number of indices (object, type, image, step).
    pub fn new(seed: u64, purpose: &str, indices: &[u64]) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update((purpose.len() as u64).to_le_bytes());
        hash.update(purpose.as_bytes());
        for index in indices {
            hash.update(index.to_le_bytes());
        }
        let digest = hash.finalize();
        let word = |i: usize| u32::from_le_bytes([digest[4 * i], digest[4 * i + 1], digest[4 * i + 2], digest[4 * i + 3]]);
        Self { key: [word(0), word(1)], nonce: [word(2), word(3)] }
    }

    /// Words `4 * block .. 4 * block + 4` of the stream.
    pub fn block(&self, block: u64) -> [u32; 4] {
        philox([block as u32, (block >> 32) as u32, self.nonce[0], self.nonce[1]], self.key)
    }

    /// `shape` standard normal numbers: elements 0, 1, … of the stream.
    pub fn normal(&self, shape: &[usize]) -> Result<Tensor> {
        let mut buffer = Buffer::scratch(shape.iter().product());
        self.fill_normal(&mut buffer);
        Tensor::from_f32(buffer, shape)
    }

    /// Fills `output` with standard normal numbers: elements 0, 1, … of the stream.
    pub fn fill_normal(&self, output: &mut [f32]) {
        for (block, four) in output.chunks_mut(4).enumerate() {
            let words = self.block(block as u64);
            let (a, b) = normal_pair(words[0], words[1]);
            let (c, d) = normal_pair(words[2], words[3]);
            four.copy_from_slice(&[a, b, c, d][..four.len()]);
        }
    }

    /// Draws numbers one after the other.
    pub fn sampler(self) -> Sampler {
        Sampler { stream: self, position: 0, words: [0; 4] }
    }
}

/// Draws from a [`Stream`] one after the other.
#[derive(Clone, Debug)]
pub struct Sampler {
    stream: Stream,
    position: u64,
    words: [u32; 4],
}

impl Sampler {
    /// The sampler at the start of a named stream; see [`Stream::new`].
    pub fn new(seed: u64, purpose: &str, indices: &[u64]) -> Self {
        Stream::new(seed, purpose, indices).sampler()
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        let lane = (self.position % 4) as usize;
        if lane == 0 {
            self.words = self.stream.block(self.position / 4);
        }
        self.position += 1;
        self.words[lane]
    }

    /// Uniform in [0, 1): 24 bits.
    pub fn uniform(&mut self) -> f32 {
        (self.word() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in 0..count (bias under 2^-32 · count); `count` must be at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.word()) * count as u64) >> 32) as usize
    }

    /// True with probability `share`.
    pub fn chance(&mut self, share: f32) -> bool {
        self.uniform() < share
    }

    /// One standard normal number.
    pub fn normal(&mut self) -> f32 {
        let (first, second) = (self.word(), self.word());
        normal_pair(first, second).0
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A uniformly random order of 0..count (Fisher-Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

/// Ten rounds of Philox4x32.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let first = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [(second >> 32) as u32 ^ counter[1] ^ key[0], second as u32, (first >> 32) as u32 ^ counter[3] ^ key[1], first as u32];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// Box-Muller on two words.
fn normal_pair(first: u32, second: u32) -> (f32, f32) {
    // (0, 1]: the logarithm stays finite; 24 bits give |x| up to 5.77.
    let uniform = ((first >> 8) + 1) as f32 * (1.0 / 16_777_216.0);
    let radius = (-2.0 * natural_logarithm(uniform)).sqrt();
    let (sine, cosine) = sine_cosine_of_turns((second >> 8) as f32 * (1.0 / 16_777_216.0));
    (radius * cosine, radius * sine)
}

/// ln(x) for normal positive x, after Cephes `logf`: relative error about 2^-23.
fn natural_logarithm(x: f32) -> f32 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 23) as i32 - 126;
    let mut mantissa = f32::from_bits((bits & 0x007F_FFFF) | 0x3F00_0000);
    if mantissa < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1;
        mantissa += mantissa;
    }
    let f = mantissa - 1.0;
    let square = f * f;
    const COEFFICIENTS: [f32; 8] =
        [-1.151_461e-1, 1.167_699_9e-1, -1.242_014_1e-1, 1.424_932_3e-1, -1.666_805_8e-1, 2.000_071_5e-1, -2.499_999_4e-1, 3.333_333e-1];
    let mut polynomial = 7.037_683_6e-2_f32;
    for coefficient in COEFFICIENTS {
        polynomial = polynomial.mul_add(f, coefficient);
    }
    let exponent = exponent as f32;
    let tail = (polynomial * f) * square;
    let tail = exponent.mul_add(-2.121_944_4e-4, tail);
    let tail = square.mul_add(-0.5, tail);
    exponent.mul_add(0.693_359_375, f + tail)
}

/// (sin 2πu, cos 2πu) for u in [0, 1), by an exact reduction to an eighth of a turn and Cephes' polynomials.
fn sine_cosine_of_turns(turns: f32) -> (f32, f32) {
    let quadrant = (turns * 4.0 + 0.5) as i32;
    let x = (turns - quadrant as f32 * 0.25) * std::f32::consts::TAU;
    let square = x * x;
    let mut sine = -1.951_529_6e-4_f32;
    sine = sine.mul_add(square, 8.332_161e-3);
    sine = sine.mul_add(square, -1.666_665_5e-1);
    let sine = (sine * square).mul_add(x, x);
    let mut cosine = 2.443_315_7e-5_f32;
    cosine = cosine.mul_add(square, -1.388_731_6e-3);
    cosine = cosine.mul_add(square, 4.166_664_6e-2);
    let cosine = (cosine * square).mul_add(square, square.mul_add(-0.5, 1.0));
    match quadrant & 3 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 distribution (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn logarithm_and_circle_are_accurate() {
        for i in 1..=100_000 {
            let x = i as f32 / 100_000.0;
            let exact = f64::from(x).ln();
            assert!((f64::from(natural_logarithm(x)) - exact).abs() <= 2e-7 * exact.abs().max(1e-2), "ln {x}");
            let turns = (i - 1) as f32 / 100_000.0;
            let (sine, cosine) = sine_cosine_of_turns(turns);
            let angle = f64::from(turns) * std::f64::consts::TAU;
            assert!((f64::from(sine) - angle.sin()).abs() < 5e-7, "sin {turns}");
            assert!((f64::from(cosine) - angle.cos()).abs() < 5e-7, "cos {turns}");
        }
    }

    #[test]
    fn normal_moments() {
        let mut numbers = vec![0.0; 400_000];
        Stream::new(1, "moments", &[]).fill_normal(&mut numbers);
        let count = numbers.len() as f64;
        let moment = |power: i32| numbers.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / count;
        assert!(moment(1).abs() < 0.006);
        assert!((moment(2) - 1.0).abs() < 0.01);
        assert!(moment(3).abs() < 0.02);
        assert!((moment(4) - 3.0).abs() < 0.06);
    }

    #[test]
    fn streams_differ_by_every_part_of_their_name() {
        let reference = Stream::new(1, "noise", &[2, 3]);
        assert_eq!(reference, Stream::new(1, "noise", &[2, 3]));
        for other in
            [Stream::new(2, "noise", &[2, 3]), Stream::new(1, "mask", &[2, 3]), Stream::new(1, "noise", &[3, 2]), Stream::new(1, "noise", &[2])]
        {
            assert_ne!(reference.block(0), other.block(0));
        }
    }
}

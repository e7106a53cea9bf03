//! exp and what follows from it, written so that the compiler vectorises a loop over them: no branches, no tables, no calls.
//!
//! Errors, measured over the whole range by the tests: exp 1.2e-7 relative, tanh 2e-7 relative, erf 1e-7 absolute. NaN stays NaN.

/// log2(e).
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts, the first exact in few bits so that its multiples are exact.
const LN2_HIGH: f32 = 0.693_359_375;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// 1.5 · 2^23: adding it rounds to an integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;
/// Below this, e^x is under the smallest normal number and taken as 0.
const LOWEST: f32 = -87.336_54;
/// Above this, e^x is infinite in f32.
const HIGHEST: f32 = 88.722_83;

/// e^x; 0 where the result would be subnormal.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let inside = exp_inside(x);
    let inside = if x < LOWEST { 0.0 } else { inside };
    if x > HIGHEST { f32::INFINITY } else { inside }
}

/// e^x of x that is not positive (a logit less its maximum); 0 where the result would be subnormal.
#[inline(always)]
pub(crate) fn exp_nonpositive(x: f32) -> f32 {
    if x < LOWEST { 0.0 } else { exp_inside(x) }
}

/// e^x with x limited to where the result is a normal number: never 0, never infinite. For what absorbs the difference.
#[inline(always)]
fn exp_inside(x: f32) -> f32 {
    let x = if x < LOWEST { LOWEST } else { x };
    let x = if x > HIGHEST { HIGHEST } else { x };
    let shifted = x.mul_add(LOG2_E, ROUND);
    let power = shifted - ROUND;
    let rest = power.mul_add(-LN2_LOW, power.mul_add(-LN2_HIGH, x));
    // Polynomial of e^r on [-ln 2 / 2, ln 2 / 2] (Cephes expf).
    let p = rest.mul_add(1.987_569_1e-4, 1.398_199_9e-3);
    let p = p.mul_add(rest, 8.333_452e-3);
    let p = p.mul_add(rest, 4.166_579_6e-2);
    let p = p.mul_add(rest, 1.666_666_5e-1);
    let p = p.mul_add(rest, 5.000_000_1e-1);
    let p = p.mul_add(rest, 1.0).mul_add(rest, 1.0);
    // Times 2^power: added to the exponent.
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp_inside(-x))
}

/// Hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let large = 1.0 - 2.0 / (exp_inside(2.0 * size) + 1.0);
    // Near 0 the difference above cancels; a polynomial in x² takes over (Cephes tanhf).
    let square = x * x;
    let p = square.mul_add(-5.704_988_7e-3, 2.063_908_9e-2);
    let p = p.mul_add(square, -5.373_971_4e-2);
    let p = p.mul_add(square, 1.333_144_2e-1);
    let p = p.mul_add(square, -3.333_328e-1);
    let small = (p * square).mul_add(x, x);
    if size < 0.625 { small } else { large.copysign(x) }
}

/// Error function, to 1e-7 absolute: 1 - e^-q with q a polynomial of |x|, fitted so that the error of the result is even over [0, 4]
/// (Lawson's weighted least squares).
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let size = x.abs();
    let q = size.mul_add(3.144_007_5e-5, -3.088_014e-4);
    let q = q.mul_add(size, 1.032_398_9e-3);
    let q = q.mul_add(size, 5.369_381_4e-4);
    let q = q.mul_add(size, -1.958_396_5e-2);
    let q = q.mul_add(size, 1.029_196_16e-1);
    let q = q.mul_add(size, 6.365_977_5e-1);
    let q = q.mul_add(size, 1.128_380_3);
    (1.0 - exp_inside(-q * size)).copysign(x)
}

/// Φ(x), the normal distribution function.
#[inline(always)]
pub(crate) fn normal_cumulative(x: f32) -> f32 {
    0.5 + 0.5 * erf(x * std::f32::consts::FRAC_1_SQRT_2)
}

/// x · Φ(x).
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    x * normal_cumulative(x)
}

/// The derivative of [`gelu`]: Φ(x) + x φ(x).
#[inline(always)]
pub(crate) fn gelu_slope(x: f32) -> f32 {
    const FACTOR: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
    (x * FACTOR).mul_add(exp_inside(-0.5 * x * x), normal_cumulative(x))
}

/// The derivative of x · sigmoid(scale · x).
#[inline(always)]
pub(crate) fn swish_slope(x: f32, scale: f32) -> f32 {
    let gate = sigmoid(scale * x);
    gate * (scale * x).mul_add(1.0 - gate, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest |f - exact| / max(|exact|, floor) over evenly spaced points.
    fn worst(range: (f64, f64), floor: f64, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        const POINTS: usize = 400_000;
        let mut worst = 0.0f64;
        for point in 0..=POINTS {
            let x = (range.0 + (range.1 - range.0) * point as f64 / POINTS as f64) as f32;
            let expected = exact(f64::from(x));
            worst = worst.max((f64::from(f(x)) - expected).abs() / expected.abs().max(floor));
        }
        worst
    }

    /// erf by its Maclaurin series (small x) or the continued fraction of erfc, in f64.
    fn erf_exact(x: f64) -> f64 {
        let size = x.abs();
        if size < 2.5 {
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            return sum * 2.0 / std::f64::consts::PI.sqrt();
        }
        let fraction = (1..=200).rev().fold(0.0, |tail, n| f64::from(n) / 2.0 / (size + tail));
        (1.0 - (-size * size).exp() / ((size + fraction) * std::f64::consts::PI.sqrt())).copysign(x)
    }

    #[test]
    fn errors_are_those_of_f32_itself() {
        let errors = [
            ("exp", worst((-87.3, 88.7), 0.0, exp, f64::exp), 1.2e-7),
            ("sigmoid", worst((-80.0, 20.0), 0.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp())), 3e-7),
            ("tanh", worst((-12.0, 12.0), 1e-30, tanh, f64::tanh), 2e-7),
            ("erf", worst((-6.0, 6.0), 1.0, erf, erf_exact), 1.2e-7),
            ("gelu", worst((-8.0, 8.0), 1.0, gelu, |x| x * 0.5 * (1.0 + erf_exact(x / 2f64.sqrt()))), 3e-7),
        ];
        for (name, error, limit) in errors {
            println!("{name}: {error:.2e}");
            assert!(error <= limit, "{name}: error {error:.3e}, limit {limit:.1e}");
        }
    }

    #[test]
    fn extremes() {
        assert_eq!([exp(f32::NEG_INFINITY), exp(-200.0), exp(0.0), exp(89.0)], [0.0, 0.0, 1.0, f32::INFINITY]);
        assert_eq!([exp_nonpositive(f32::NEG_INFINITY), exp_nonpositive(-200.0), exp_nonpositive(0.0)], [0.0, 0.0, 1.0]);
        assert_eq!([sigmoid(200.0), tanh(-90.0), tanh(0.0), erf(0.0), erf(9.0), erf(f32::NEG_INFINITY)], [1.0, -1.0, 0.0, 0.0, 1.0, -1.0]);
        assert!(sigmoid(-200.0) < 1e-37 && sigmoid(f32::NEG_INFINITY) < 1e-37);
        assert!([exp(f32::NAN), sigmoid(f32::NAN), tanh(f32::NAN), erf(f32::NAN)].iter().all(|value| value.is_nan()));
    }
}

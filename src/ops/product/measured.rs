//! A product by one route after the other, on its own operands: how long each takes, and how far its result is from the plain route's.

use super::tuning::Runs;
use super::{Product, Route};
use crate::autograd::Var;
use crate::device::cuda::{Cuda, Interval, poisoned};
use crate::error::Result;
use crate::ops;
use crate::tensor::{Tensor, scratch};

/// Milliseconds of runs that are enough, and how many runs there are at least and at most.
const ENOUGH: f64 = 10.0;
const LEAST_RUNS: usize = 3;
const MOST_RUNS: usize = 21;

/// The runs of a product.
pub(super) struct Measured<'a> {
    product: &'a Product<'a>,
    device: &'a Cuda,
    /// Of the result.
    shape: &'a [usize],
    /// What the plain route gave.
    plain: Option<Tensor>,
}

impl<'a> Measured<'a> {
    pub fn new(product: &'a Product, device: &'a Cuda, shape: &'a [usize]) -> Self {
        Self { product, device, shape, plain: None }
    }

    /// Runs a route: once to load its kernels and to see what it gives, then for its time. The plain one comes first.
    pub fn run(&mut self, route: Route) -> Result<Runs> {
        let output = poisoned(|| {
            let output = scratch(self.device, self.shape, self.product.factors[0].dtype())?;
            self.product.run_by(self.device, route, &output).map(|()| output)
        })?;
        let error = match &self.plain {
            Some(plain) => relative_error(&output, plain)?,
            None => Some(0.0),
        };
        let mut milliseconds = vec![self.time(route, &output)?];
        let enough = (ENOUGH / milliseconds[0].max(f64::MIN_POSITIVE)) as usize;
        for _ in 1..enough.clamp(LEAST_RUNS, MOST_RUNS) {
            milliseconds.push(self.time(route, &output)?);
        }
        if route == Route::Plain {
            self.plain = Some(output);
        }
        Ok(Runs { milliseconds, error })
    }

    /// Milliseconds of one run whose operands are in no cache, as a layer's weights in a network are not.
    fn time(&self, route: Route, output: &Tensor) -> Result<f64> {
        self.device.flush_cache()?;
        let interval = Interval::now(self.device)?;
        self.product.run_by(self.device, route, output)?;
        interval.end()?;
        interval.milliseconds()
    }
}

/// ||found - expected|| / ||expected||, computed where they are; none when `expected` has elements that are not finite.
fn relative_error(found: &Tensor, expected: &Tensor) -> Result<Option<f64>> {
    let expected = Var::constant(expected.clone());
    let nothing = ops::affine(&expected, 0.0, 0.0)?;
    let square = f64::from(ops::mse(&expected, nothing.tensor())?.item()?);
    let difference = f64::from(ops::mse(&Var::constant(found.clone()), expected.tensor())?.item()?);
    // Not a number, which `found` may hold, is larger than everything.
    let error = if difference.is_nan() { f64::INFINITY } else { difference.sqrt() };
    Ok(square.is_finite().then(|| if square == 0.0 { error } else { error / square.sqrt() }))
}

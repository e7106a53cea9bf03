//! Time on a GPU, taken by its own clock: events before and after a kernel.

use cudarc::driver::CudaEvent;
use cudarc::driver::sys::CUevent_flags;

use super::context::Cuda;
use crate::error::Result;

/// Two points in the order of the GPU's work.
#[derive(Debug)]
pub struct Interval {
    cuda: Cuda,
    start: CudaEvent,
    end: CudaEvent,
}

impl Interval {
    /// Begins where all work that is queued so far has ended; ends there too until [`Interval::end`].
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn now(cuda: &Cuda) -> Result<Self> {
        let event = || cuda.context().new_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).map_err(|error| cuda.error("making an event", error));
        let interval = Self { cuda: *cuda, start: event()?, end: event()? };
        interval.start.record(cuda.stream()).map_err(|error| cuda.error("recording an event", error))?;
        interval.end()?;
        Ok(interval)
    }

    /// Ends where all work that is queued so far has ended.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn end(&self) -> Result<()> {
        self.end.record(self.cuda.stream()).map_err(|error| self.cuda.error("recording an event", error))
    }

    /// How long it was, in milliseconds. Waits until it has ended.
    ///
    /// # Errors
    /// When a kernel before failed.
    pub fn milliseconds(&self) -> Result<f64> {
        self.between(&self.start, &self.end)
    }

    /// Its start after the start of `origin`, and how long it was, in milliseconds. Waits until it has ended.
    ///
    /// # Errors
    /// When a kernel before failed.
    pub fn since(&self, origin: &Self) -> Result<[f64; 2]> {
        Ok([self.between(&origin.start, &self.start)?, self.milliseconds()?])
    }

    fn between(&self, from: &CudaEvent, to: &CudaEvent) -> Result<f64> {
        from.elapsed_ms(to).map(f64::from).map_err(|error| self.cuda.error("reading an event", error))
    }
}

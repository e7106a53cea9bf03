//! Time on a GPU, taken by its own clock: events before and after a kernel.

use cudarc::driver::sys::{self, CUevent_flags};
use cudarc::driver::{CudaEvent, DriverError};

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
        let read = || {
            self.cuda.context().bind_to_thread()?;
            from.synchronize()?;
            to.synchronize()?;
            elapsed(from, to)
        };
        read().map(f64::from).map_err(|error: DriverError| self.cuda.error("reading an event", error))
    }
}

/// Milliseconds between two events that have come. cudarc calls the function's second version, which drivers before CUDA 12.8 do not have.
fn elapsed(from: &CudaEvent, to: &CudaEvent) -> Result<f32, DriverError> {
    type Function = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;
    let mut milliseconds = 0.0;
    // SAFETY: the driver is open, since it made the events, which are alive; the type is that of cuda.h; the pointer is valid for the call.
    unsafe {
        let function = sys::culib().get::<Function>(b"cuEventElapsedTime").map_err(|_| DriverError(sys::CUresult::CUDA_ERROR_NOT_FOUND))?;
        function(&raw mut milliseconds, from.cu_event(), to.cu_event()).result()?;
    }
    Ok(milliseconds)
}

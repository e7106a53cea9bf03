//! Names for stretches of time that Nsight shows (NVTX), by NVIDIA's small library where there is one.

use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;

use libloading::{Library, Symbol};

/// Names under which the library is known: CUDA 12's toolkit and the wheel nvidia-nvtx-cu12.
const LIBRARIES: [&str; 2] = ["libnvToolsExt.so.1", "libnvToolsExt.so"];

/// The two functions that are needed: `nvtxRangePushA` and `nvtxRangePop`.
struct Nvtx {
    push: unsafe extern "C" fn(*const c_char) -> c_int,
    pop: unsafe extern "C" fn() -> c_int,
}

fn nvtx() -> Option<&'static Nvtx> {
    static FOUND: OnceLock<Option<Nvtx>> = OnceLock::new();
    FOUND.get_or_init(|| LIBRARIES.into_iter().find_map(open)).as_ref()
}

fn open(name: &str) -> Option<Nvtx> {
    // SAFETY: runs the initialisers of NVIDIA's library; it is never closed, so its functions stay. Their types are those of nvToolsExt.h.
    unsafe {
        let library = Library::new(name).ok()?;
        let push: Symbol<unsafe extern "C" fn(*const c_char) -> c_int> = library.get(b"nvtxRangePushA").ok()?;
        let pop: Symbol<unsafe extern "C" fn() -> c_int> = library.get(b"nvtxRangePop").ok()?;
        let found = Nvtx { push: *push, pop: *pop };
        std::mem::forget(library);
        Some(found)
    }
}

/// The open ranges, one a part of a layer's path.
#[derive(Debug, Default)]
pub struct Ranges {
    open: Vec<String>,
}

impl Ranges {
    /// Whether the library is there, so that ranges are seen.
    pub fn are_available() -> bool {
        nvtx().is_some()
    }

    /// Closes and opens ranges until they are the parts of `path`; nothing without the library.
    pub(in crate::device) fn show(&mut self, path: &str) {
        let Some(nvtx) = nvtx() else { return };
        let wanted: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
        let kept = self.open.iter().zip(&wanted).take_while(|(open, wanted)| open == *wanted).count();
        for _ in kept..self.open.len() {
            // SAFETY: takes nothing; each call closes what a push opened.
            unsafe { (nvtx.pop)() };
        }
        self.open.truncate(kept);
        for part in &wanted[kept..] {
            if let Ok(text) = CString::new(*part) {
                // SAFETY: the text ends with 0 and is copied by the library.
                unsafe { (nvtx.push)(text.as_ptr()) };
                self.open.push((*part).to_owned());
            }
        }
    }
}

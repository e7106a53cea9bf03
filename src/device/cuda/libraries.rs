//! Where NVIDIA's libraries are. cudarc opens them by name at the first call and panics when they are missing, so everything asks here first.
//! A library that lies elsewhere is opened by its path before: cudarc's search by name then finds it open.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

use libloading::Library;

/// Names the compiler's library by its path.
pub const COMPILER_VARIABLE: &str = "ANODIFF_LIBNVRTC";

/// Makes the driver's library available; the error is one sentence.
pub(super) fn driver() -> Result<(), String> {
    // SAFETY: opens the library by its names, nothing more.
    if unsafe { cudarc::driver::sys::is_culib_present() } {
        return Ok(());
    }
    Err("no NVIDIA driver found (libcuda.so.1 is not on this machine); install the driver from nvidia.com/drivers or use --device cpu".to_owned())
}

/// Makes the compiler's library available and says where it was found; the error is one sentence.
pub(super) fn compiler() -> Result<String, String> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            named_by(COMPILER_VARIABLE)?;
            if present() || candidates().any(|path| open(&path).is_ok() && present()) {
                // SAFETY: the library is present, and lives as long as the process; it exports the symbol.
                return Ok(file_of(unsafe { cudarc::nvrtc::sys::culib() }, b"nvrtcVersion"));
            }
            Err(format!(
                "no libnvrtc found, which compiles the CUDA kernels on this machine (searched: the loader's paths with LD_LIBRARY_PATH, the CUDA toolkit \
                 under CUDA_HOME, CUDA_PATH and /usr/local, the site-packages of python3); get it with `pip install nvidia-cuda-nvrtc` or with the CUDA \
                 toolkit, or name the file in {COMPILER_VARIABLE}"
            ))
        })
        .clone()
}

fn present() -> bool {
    // SAFETY: opens the library by its names, nothing more.
    unsafe { cudarc::nvrtc::sys::is_culib_present() }
}

/// Opens what an environment variable names, if it is set.
fn named_by(variable: &str) -> Result<(), String> {
    match env::var_os(variable) {
        None => Ok(()),
        Some(path) => {
            open(Path::new(&path)).map_err(|error| format!("{variable} names {}, which cannot be opened: {error}", Path::new(&path).display()))
        }
    }
}

/// Opens a library for the rest of the process.
fn open(path: &Path) -> Result<(), libloading::Error> {
    // SAFETY: runs the initialisers of a library that the user installed (or named) as NVIDIA's; it is never closed, so no symbol can dangle.
    let library = unsafe { Library::new(path) }?;
    std::mem::forget(library);
    Ok(())
}

/// The file that an open library came from, empty where the system does not say.
fn file_of(library: &Library, symbol: &[u8]) -> String {
    // SAFETY: only the symbol's address is used; dladdr writes a struct that is valid when it returns non-zero, whose name lives as long as the library.
    unsafe {
        let Ok(address) = library.get::<unsafe extern "C" fn()>(symbol) else { return String::new() };
        let mut information: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(*address as *const libc::c_void, &mut information) == 0 || information.dli_fname.is_null() {
            return String::new();
        }
        CStr::from_ptr(information.dli_fname).to_string_lossy().into_owned()
    }
}

/// Every libnvrtc of the toolkit's and pip's places, the most likely first; each place is looked at only when those before it failed.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let toolkit = ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"].into_iter().filter_map(env::var_os).map(PathBuf::from).chain(installed_toolkits());
    let toolkit = toolkit.flat_map(|root| [root.join("lib64"), root.join("lib"), root.join("targets/x86_64-linux/lib")]);
    let wheels = std::iter::once_with(site_packages).flatten().flat_map(|root| {
        let nvidia = root.join("nvidia");
        let versions = sorted(&nvidia, "cu1").into_iter().map(|folder| folder.join("lib"));
        versions.chain([nvidia.join("cuda_nvrtc/lib")]).collect::<Vec<_>>()
    });
    toolkit.chain(wheels).flat_map(|folder| sorted(&folder, "libnvrtc.so"))
}

/// `/usr/local/cuda`, then `/usr/local/cuda-*` with the newest first, then `/opt/cuda`.
fn installed_toolkits() -> impl Iterator<Item = PathBuf> {
    [PathBuf::from("/usr/local/cuda")].into_iter().chain(sorted(Path::new("/usr/local"), "cuda-")).chain([PathBuf::from("/opt/cuda")])
}

/// The entries of a folder whose names begin so, the last name first; none where there is no such folder.
fn sorted(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: BTreeSet<PathBuf> =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path()).collect();
    names.into_iter().rev().collect()
}

/// Where `python3` looks for packages.
fn site_packages() -> Vec<PathBuf> {
    let output = Command::new("python3").args(["-c", "import sys; print('\\n'.join(sys.path))"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect()
}

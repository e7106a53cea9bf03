//! The emulated CUDA device itself: what it understands of CUDA is right, and each class of mistake that it is there to find is found.

mod emulator;

use emulator::{Emulator, Sanitizer};

#[test]
fn the_rig_builds() {
    let rig = Emulator::new(Sanitizer::None);
    for library in ["libemulator.so", "libcuda.so.1", "libnvrtc.so"] {
        assert!(rig.libraries().join(library).is_file(), "{library}");
    }
}

//! Weights on their way from files to the emulated device: in pieces, through pinned buffers, by a stream of their own.

mod emulator;

use std::collections::BTreeMap;
use std::path::Path;

use anodiff::autograd::Var;
use anodiff::device::Device;
use anodiff::device::cpu::CpuStorage;
use anodiff::device::cuda::{CudaStorage, Staging};
use anodiff::error::{ensure, exit_code};
use anodiff::nn::{Init, Layout, ParameterSource, Placement};
use anodiff::ops;
use anodiff::tensor::{DType, Tensor};
use anodiff::testing::{assert_close, random};
use anodiff::weights::{self, Archive};
use emulator::{Emulator, Order, Sanitizer, WAYS, cuda, emulated_pooled, emulated_with, is_emulated};

/// What a model takes from a file: names, element types there, shapes and layouts.
const WEIGHTS: [(&str, DType, &[usize], Layout); 6] = [
    ("deep", DType::F32, &[1031, 5081], Layout::Plain),
    ("convolution", DType::F16, &[900, 512, 3, 3], Layout::ConvWeight),
    ("pointwise", DType::BF16, &[2111, 2048, 1, 1], Layout::PointwiseWeight),
    ("odd", DType::F32, &[7, 3, 5, 3], Layout::ConvWeight),
    ("half", DType::F16, &[4_321_001], Layout::Plain),
    ("bias", DType::BF16, &[3], Layout::Plain),
];

/// A file of [`WEIGHTS`], the large ones of several buffers.
fn weight_file() -> tempfile::NamedTempFile {
    let tensors = WEIGHTS.map(|(name, dtype, shape, _)| {
        let value = |index: usize| (index.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 4096.0 - 8.0;
        let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        (name.to_owned(), Tensor::from_f32(values, shape).unwrap().to_dtype(dtype).unwrap())
    });
    let file = tempfile::Builder::new().suffix(".safetensors").tempfile().unwrap();
    weights::save(file.path(), &tensors, &BTreeMap::new()).unwrap();
    file
}

/// All of them as parameters in a place.
fn read_weights(file: &Path, placement: Placement) -> Vec<Tensor> {
    let archive = Archive::open(file).unwrap().with_placement(placement);
    let fetch = |(name, _, shape, layout)| archive.fetch_as(name, shape, Init::Zeros, layout).unwrap();
    let found = WEIGHTS.map(fetch).to_vec();
    archive.finish().unwrap();
    found
}

#[test]
fn weights_come_in_pieces_and_equal_those_of_the_cpu() {
    emulated_with(&WAYS, || {
        let (device, file) = (Device::Cuda(cuda()), weight_file());
        let expected = read_weights(file.path(), Placement::HOST);
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let found = read_weights(file.path(), Placement { device, dtype });
            for ((found, expected), (name, ..)) in found.iter().zip(&expected).zip(WEIGHTS) {
                assert_eq!((found.device(), found.dtype(), found.shape()), (device, dtype, expected.shape()), "{name}");
                assert!(found.bytes().unwrap() == expected.to_dtype(dtype).unwrap().bytes().unwrap(), "{name} in {dtype}");
            }
        }
    });
    if !is_emulated() {
        // What the driver counted when the process ended.
        let mut command = Emulator::new(Sanitizer::None).command(std::env::current_exe().unwrap(), Order::LateAndForward);
        command.env("EMULATOR_TRACE", "1").args(["weights_come_in_pieces_and_equal_those_of_the_cpu", "--exact", "--nocapture"]);
        let output = command.output().unwrap();
        let pinned = ["at most", "at the end"].map(|when| emulator::traced(&output, &format!("bytes of pinned memory {when}")));
        assert_eq!(pinned, [16 << 20, 0], "two buffers, of a tensor of 21 MB");
    }
}

#[test]
fn buffers_of_weights_are_filled_again_after_their_copies_and_in_the_order_of_the_gpus_work() {
    emulated_pooled(&WAYS, || {
        let device = Device::Cuda(cuda());
        let mut staging = Staging::new(cuda(), 1000).unwrap();
        let mut upload = |elements: usize, row: usize, start: u32| {
            staging.upload(elements, row, DType::F32, |position, piece| {
                assert!(piece.len() <= 1000 && piece.len().is_multiple_of(4 * row), "{}", piece.len());
                let values = piece.chunks_exact_mut(4).enumerate();
                values.for_each(|(index, value)| value.copy_from_slice(&((start + (position + index) as u32) as f32).to_le_bytes()));
                Ok(())
            })
        };
        let values = |storage: CudaStorage| match storage.download().unwrap() {
            CpuStorage::F32(values) => values.to_vec(),
            other => panic!("{other:?}"),
        };
        let counted = |start: u32, elements: usize| (0..elements as u32).map(|index| (start + index) as f32).collect::<Vec<_>>();
        for (elements, row) in [(1, 1), (249, 1), (250, 1), (251, 1), (7 * 143, 7), (5000, 250), (0, 1)] {
            assert_eq!(values(upload(elements, row, 3).unwrap()), counted(3, elements), "{elements} in rows of {row}");
        }
        // The kernel that reads x has not run when x's memory is given to new weights.
        let x = random("x", &[5000]).to_device(device).unwrap();
        let expected = ops::silu(&Var::constant(x.to_device(Device::Cpu).unwrap())).unwrap();
        let found = ops::silu(&Var::constant(x)).unwrap();
        let later = upload(5000, 1, 9).unwrap();
        assert_close(&found, &expected, 1e-6);
        assert_eq!(values(later), counted(9, 5000));
        let error = upload(502, 251, 0).unwrap_err();
        assert!(exit_code(&error) == 2 && error.to_string().contains("rows of at most 1000 bytes, found 1004"), "{error}");
        let mut left = 3;
        let broken = staging.upload(1000, 1, DType::F32, |_, piece| {
            piece.fill(0xff);
            left -= 1;
            ensure!(left > 0, "the file ends");
            Ok(())
        });
        assert_eq!(broken.unwrap_err().to_string(), "the file ends");
        // The broken tensor's memory has gone to the next one of its size.
        let x = random("x", &[1000]);
        assert_eq!(x.to_device(device).unwrap().to_f32_vec().unwrap(), x.to_f32_vec().unwrap());
    });
}

#[test]
fn memory_that_cannot_be_pinned_is_named() {
    if !is_emulated() {
        let mut command = Emulator::new(Sanitizer::None).command(std::env::current_exe().unwrap(), Order::LateAndForward);
        command.env("EMULATOR_PINNED", "100000").args(["memory_that_cannot_be_pinned_is_named", "--exact", "--nocapture"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let error = Staging::new(cuda(), 60_000).unwrap_err();
    assert!(exit_code(&error) == 2 && error.to_string().contains("cannot pin 118 KiB of host memory"), "{error}");
    Staging::new(cuda(), 50_000).unwrap();
}

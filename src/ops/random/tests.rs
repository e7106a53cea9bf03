use crate::device::Device;
use crate::ops::normal;
use crate::tensor::random::Stream;
use crate::testing::devices;

fn streams(count: u64) -> Vec<Stream> {
    (0..count).map(|index| Stream::new(u64::MAX - index, "test", &[index])).collect()
}

#[test]
fn each_sample_has_its_own_stream() {
    let together = normal(&streams(3), &[2, 5], Device::Cpu).unwrap();
    assert_eq!(together.shape(), [3, 2, 5]);
    for (stream, found) in streams(3).iter().zip(together.to_f32_vec().unwrap().chunks(10)) {
        assert_eq!(stream.normal(&[10]).unwrap().to_f32_vec().unwrap(), found);
    }
    assert_eq!(normal(&[], &[4], Device::Cpu).unwrap().shape(), [0, 4]);
}

/// Bits, not closeness: the same seed gives the same noise everywhere.
#[test]
fn gpus_agree_in_every_bit() {
    for device in devices() {
        for (count, size) in [(1, 1), (3, 7), (2, 4099), (1, 0)] {
            let bits =
                |device| normal(&streams(count), &[size], device).unwrap().to_f32_vec().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(device), bits(Device::Cpu), "{count} streams of {size} on {device}");
        }
    }
}

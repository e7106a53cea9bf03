use crate::autograd::Var;
use crate::device::Device;
use crate::ops::{add, place};
use crate::tensor::DType;
use crate::testing::{devices, random};

#[test]
fn gpus_agree_on_values_and_gradients_come_back() {
    let x = random("x", &[2, 3]);
    for device in devices() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let leaf = Var::leaf(x.clone());
            let placed = place(&leaf, device, dtype).unwrap();
            assert_eq!((placed.device(), placed.dtype()), (device, dtype));
            assert_eq!(placed.to_f32_vec().unwrap(), x.to_dtype(dtype).unwrap().to_f32_vec().unwrap());
            let weights = random("weights", &[2, 3]).to_dtype(dtype).unwrap();
            let gradients = add(&placed, &placed).unwrap().backward_from(weights.to_device(device).unwrap()).unwrap();
            let gradient = gradients.get(&leaf).unwrap();
            assert_eq!((gradient.device(), gradient.dtype()), (Device::Cpu, DType::F32));
            let twice: Vec<f32> = weights.to_f32_vec().unwrap().iter().map(|weight| 2.0 * weight).collect();
            assert_eq!(gradient.to_f32_vec().unwrap(), twice);
        }
    }
}

#[test]
fn nothing_to_do_records_nothing() {
    let leaf = Var::leaf(random("x", &[4]));
    let placed = place(&leaf, Device::Cpu, DType::F32).unwrap();
    assert!(placed.wants_gradient());
    assert_eq!(placed.backward_from(random("weights", &[4])).unwrap().get(&leaf).unwrap().elements(), 4);
}

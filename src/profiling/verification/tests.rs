use super::*;
use crate::ops;
use crate::testing::devices;

fn verdict(error: Option<f64>) -> Verdict {
    Verdict { op: "op".to_owned(), dtype: "f32".to_owned(), error, tolerance: 1e-5, failure: None }
}

#[test]
fn only_small_errors_are_right() {
    assert!(verdict(Some(1e-5)).is_right() && verdict(Some(0.0)).is_right());
    assert!(!verdict(Some(1.1e-5)).is_right() && !verdict(Some(f64::NAN)).is_right() && !verdict(None).is_right());
}

#[test]
fn a_wrong_op_is_seen_in_its_value_and_in_its_gradient() {
    let x = random("x", &[40]).unwrap();
    let error = |f: &dyn Fn(&[Var]) -> Result<Var>| {
        // As if one of two devices computed something else.
        let turns = std::cell::Cell::new(0);
        let alternating = |inputs: &[Var], _: Device| {
            turns.set(turns.get() + 1);
            if turns.get() == 1 { f(inputs) } else { ops::silu(&inputs[0]) }
        };
        errors(std::slice::from_ref(&x), Device::Cpu, DType::F32, true, alternating).unwrap()
    };
    assert_eq!(error(&|x| ops::silu(&x[0])), [0.0, 0.0]);
    assert!(error(&|x| ops::affine(&ops::silu(&x[0])?, 1.001, 0.0)).iter().all(|error| (5e-4..2e-3).contains(error)));
    // The value of silu, but no gradient through the half of it.
    let halved = |x: &[Var]| {
        let y = ops::affine(&ops::silu(&x[0])?, 0.5, 0.0)?;
        ops::add(&y, &y.detach())
    };
    let found = error(&halved);
    assert!(found[0] < 1e-6 && found[1] > 0.4, "{found:?}");
    assert!(error(&|x| ops::affine(&x[0], f32::NAN, 0.0))[0].is_nan());
}

/// Every case runs and has inputs; on a GPU, emulated or not, every op of a few families is right.
#[test]
fn gpus_agree_on_what_is_verified() {
    for case in cases::all() {
        assert_eq!(judge(&case, Device::Cpu, DType::F32).error, Some(0.0), "{}", case.op);
    }
    for device in devices().into_iter().filter(|device| *device != Device::Cpu) {
        for case in cases::all().iter().filter(|case| case.op.starts_with("linear") || case.op.starts_with("weight_map") || case.op == "adamw") {
            for &dtype in case.dtypes() {
                let verdict = judge(case, device, dtype);
                assert!(verdict.is_right(), "{verdict:?}");
            }
        }
    }
}

use super::*;
use crate::autograd::Var;
use crate::ops;
use crate::testing::devices;

fn verdict(error: Option<f64>) -> Verdict {
    Verdict { op: "op".to_owned(), dtype: "f32".to_owned(), errors: vec![Some(0.0), error], tolerance: 1e-5, failure: None, variant: None }
}

#[test]
fn only_small_errors_are_right() {
    assert!(verdict(Some(1e-5)).is_right() && verdict(Some(0.0)).is_right());
    assert!(!verdict(Some(1.1e-5)).is_right() && !verdict(Some(f64::NAN)).is_right() && !verdict(None).is_right());
    let failed = Verdict { errors: Vec::new(), ..verdict(None) };
    assert!(!failed.is_right());
    assert_eq!([verdict(Some(0.5)), verdict(None), failed].map(|verdict| verdict.largest_error()), [Some(0.5), Some(f64::INFINITY), None]);
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

/// Every case runs and has inputs; on a GPU, emulated or not, every op of a few families is right, by each of its kernels.
#[test]
fn gpus_agree_on_what_is_verified() {
    for case in cases::all(4).unwrap() {
        let verdicts = Comparison::new(&case, Device::Cpu, DType::F32).unwrap().verdicts(&case, DType::F32);
        assert_eq!(verdicts.iter().map(Verdict::largest_error).collect::<Vec<_>>(), [Some(0.0)], "{}", case.op);
    }
    for device in devices() {
        let Device::Cuda(cuda) = device else { continue };
        let cases = cases::all(cuda.properties().processors as usize).unwrap();
        let families = ["linear", "conv2d", "attention", "cross-attention", "weight_map", "adamw"];
        let mut seen = Vec::new();
        for case in cases.iter().filter(|case| families.iter().any(|family| case.op.starts_with(family))) {
            let verdicts = |&dtype: &DType| Comparison::new(case, device, dtype).unwrap().verdicts(case, dtype);
            for verdict in case.dtypes().iter().flat_map(verdicts) {
                assert!(verdict.is_right(), "{verdict:?}");
                seen.extend(verdict.variant.map(|kernels| (kernels.op, kernels.route)));
            }
        }
        let of_ops = |op: &'static str| Route::ALL.map(|route| (op, route));
        for (op, route) in ["linear", "conv2d", "attention", "cross_attention"].into_iter().flat_map(of_ops) {
            // Attention has no kernels of Hopper's own.
            let expected = route.is_on(cuda, DType::F16) && (route < Route::Hopper || !op.ends_with("attention"));
            assert_eq!(seen.contains(&(op.to_owned(), route)), expected, "{op} by {route}");
        }
    }
}

/// What is wrong and has a substitute is refused and named once; what has none is not.
#[test]
fn gpus_agree_without_kernels_that_are_wrong() {
    let of =
        |op: &str, route, error| Verdict { dtype: "f16".to_owned(), variant: Some(Kernels { op: op.to_owned(), route }), ..verdict(Some(error)) };
    let verdicts = vec![
        of("a product", Route::Hopper, 1.0),
        of("a product", Route::Hopper, f64::NAN),
        of("a product", Route::TensorCores, 1e-6),
        of("another", Route::Plain, 1.0),
        verdict(Some(1.0)),
    ];
    let verification = Verification { device: "a GPU".to_owned(), driver: (13, 0), verdicts };
    let hopeless = verification.wrong().iter().filter(|verdict| !verdict.has_substitute()).count();
    assert_eq!((verification.wrong().len(), hopeless), (4, 2));
    for device in devices() {
        if let Device::Cuda(cuda) = device {
            assert_eq!(verification.substitute(cuda).unwrap(), ["a product by wgmma in f16"]);
        }
    }
}

use crate::autograd::Var;
use crate::error::Result;
use crate::ops::*;
use crate::tensor::{DType, Tensor};
use crate::testing::{assert_close, assert_gradients, random};

fn constant(values: &[f32]) -> Var {
    Var::constant(Tensor::from_f32(values.to_vec(), &[values.len()]).unwrap())
}

fn values(result: Result<Var>) -> Vec<f32> {
    result.unwrap().to_f32_vec().unwrap()
}

#[track_caller]
fn assert_values(result: Result<Var>, expected: &[f32]) {
    let result = result.unwrap();
    assert_close(&result, &Tensor::from_f32(expected.to_vec(), result.shape()).unwrap(), 3e-7);
}

#[test]
fn known_values() {
    let x = constant(&[-2.0, -0.5, 0.0, 1.0, 3.0]);
    // The formulas in f64, by Python's math module.
    assert_values(silu(&x), &[-0.238_405_84, -0.188_770_33, 0.0, 0.731_058_6, 2.857_722_3]);
    assert_values(gelu(&x), &[-0.045_500_264, -0.154_268_77, 0.0, 0.841_344_77, 2.995_950_3]);
    assert_values(quick_gelu(&x), &[-0.064_341_377, -0.149_611_56, 0.0, 0.845_795_77, 2.981_928_7]);
    assert_values(tanh(&x), &[-0.964_027_6, -0.462_117_16, 0.0, 0.761_594_2, 0.995_054_8]);
    assert_values(sigmoid(&x), &[0.119_202_92, 0.377_540_68, 0.5, 0.731_058_6, 0.952_574_1]);
    assert_values(exp(&x), &[0.135_335_28, 0.606_530_7, 1.0, 2.718_281_7, 20.085_537]);
    assert_eq!(values(relu(&x)), [0.0, 0.0, 0.0, 1.0, 3.0]);
    assert_eq!(values(leaky_relu(&x, 0.5)), [-1.0, -0.25, 0.0, 1.0, 3.0]);
    assert_eq!(values(abs(&x)), [2.0, 0.5, 0.0, 1.0, 3.0]);
    assert_eq!(values(clamp(&x, -1.0, 1.0)), [-1.0, -0.5, 0.0, 1.0, 1.0]);
    assert_eq!(values(affine(&x, 2.0, 1.0)), [-3.0, 0.0, 1.0, 3.0, 7.0]);
    assert_eq!(values(sub(&x, &relu(&x).unwrap())), [-2.0, -0.5, 0.0, 0.0, 0.0]);
}

#[test]
fn unary_gradients() {
    let x = random("unary", &[3, 7]);
    let smooth: [fn(&Var) -> Result<Var>; 6] = [silu, gelu, quick_gelu, sigmoid, tanh, exp];
    for op in smooth {
        assert_gradients(std::slice::from_ref(&x), 1e-2, 2e-4, |v| op(&v[0]));
    }
    // Kinks at 0 and ±1: no element lies within a step of them.
    let kinked = Tensor::from_f32(vec![-2.0, -0.7, -0.2, 0.3, 0.8, 1.5], &[6]).unwrap();
    assert_gradients(std::slice::from_ref(&kinked), 1e-2, 1e-4, |v| relu(&v[0]));
    assert_gradients(std::slice::from_ref(&kinked), 1e-2, 1e-4, |v| leaky_relu(&v[0], 0.3));
    assert_gradients(std::slice::from_ref(&kinked), 1e-2, 1e-4, |v| abs(&v[0]));
    assert_gradients(std::slice::from_ref(&kinked), 1e-2, 1e-4, |v| clamp(&v[0], -1.0, 1.0));
    assert_gradients(&[kinked], 1e-2, 1e-4, |v| affine(&v[0], -3.0, 0.5));
}

#[test]
fn binary_gradients_and_refusal() {
    let inputs = [random("a", &[2, 5]), random("b", &[2, 5])];
    assert_gradients(&inputs, 1e-2, 1e-4, |v| add(&v[0], &v[1]));
    assert_gradients(&inputs, 1e-2, 1e-4, |v| sub(&v[0], &v[1]));
    assert_gradients(&inputs, 1e-2, 1e-4, |v| mul(&v[0], &v[1]));
    let error = add(&inputs[0].clone().into(), &random("c", &[5, 2]).into()).unwrap_err().to_string();
    assert!(error.contains("[2, 5] and [5, 2]"), "{error}");
}

#[test]
fn broadcast_values() {
    let x = Var::constant(Tensor::from_f32((0..8).map(|i| i as f32).collect::<Vec<_>>(), &[2, 2, 1, 2]).unwrap());
    let y = |values: &[f32], shape: &[usize]| Var::constant(Tensor::from_f32(values.to_vec(), shape).unwrap());
    assert_eq!(values(broadcast_add(&x, &y(&[10.0, 20.0], &[2]))), [10., 21., 12., 23., 14., 25., 16., 27.]);
    assert_eq!(values(broadcast_add(&x, &y(&[10.0, 20.0, 30.0, 40.0], &[2, 2]))), [10., 21., 12., 23., 34., 45., 36., 47.]);
    assert_eq!(values(broadcast_add(&x, &y(&[10.0, 20.0, 30.0, 40.0], &[2, 1, 2]))), [10., 21., 32., 43., 14., 25., 36., 47.]);
    assert_eq!(values(broadcast_mul(&x, &y(&[1.0, 0.0, 0.0, 2.0], &[2, 2, 1, 1]))), [0., 1., 0., 0., 0., 0., 12., 14.]);
    let square = Var::constant(random("square", &[3, 3, 2]));
    let table = Var::constant(random("table", &[3, 2]));
    let sum = broadcast_add(&square, &table).unwrap();
    // [3, 2] against [3, 3, 2] is the trailing part, never [batch, channels].
    let expected = square.to_f32_vec().unwrap()[2] + table.to_f32_vec().unwrap()[2];
    assert_eq!(sum.to_f32_vec().unwrap()[2], expected);
    for (x, y) in [(vec![2, 3, 4], vec![2, 4]), (vec![2, 3, 3, 4], vec![3, 4]), (vec![2, 3], vec![2, 3, 1]), (vec![4], vec![3])] {
        assert!(broadcast_add(&Tensor::zeros(&x).into(), &Tensor::zeros(&y).into()).is_err(), "{x:?} and {y:?}");
    }
}

#[test]
fn broadcast_gradients() {
    for (x, y) in [
        (vec![2, 3, 2, 4], vec![2, 4]),
        (vec![2, 3, 4], vec![4]),
        (vec![2, 3, 4], vec![3, 4]),
        (vec![2, 3, 4], vec![2, 1, 4]),
        (vec![2, 3, 4], vec![2, 3, 1]),
        (vec![2, 3], vec![2, 3]),
    ] {
        let inputs = [random("x", &x), random("y", &y)];
        assert_gradients(&inputs, 1e-2, 1e-4, |v| broadcast_add(&v[0], &v[1]));
        assert_gradients(&inputs, 1e-2, 1e-4, |v| broadcast_mul(&v[0], &v[1]));
    }
}

#[test]
fn prelu_and_geglu() {
    let x = Tensor::from_f32(vec![-2.0, 1.0, -0.5, 3.0, 0.4, -1.0], &[3, 2]).unwrap();
    let slope = Tensor::from_f32(vec![0.5, 0.1], &[2]).unwrap();
    let y = prelu(&x.clone().into(), &slope.clone().into());
    assert_values(y, &[-1.0, 1.0, -0.25, 3.0, 0.4, -0.1]);
    assert_gradients(&[x.clone(), slope], 1e-2, 1e-4, |v| prelu(&v[0], &v[1]));
    assert!(prelu(&x.into(), &Tensor::zeros(&[3]).into()).is_err());
    let x = random("geglu", &[3, 2, 8]);
    let wide = Var::constant(x.clone());
    let product = mul(&narrow(&wide, 2, 0, 4).unwrap(), &gelu(&narrow(&wide, 2, 4, 4).unwrap()).unwrap()).unwrap();
    assert_close(&geglu(&wide).unwrap(), &product, 0.0);
    assert_gradients(&[x], 1e-2, 2e-4, |v| geglu(&v[0]));
    assert!(geglu(&Tensor::zeros(&[2, 3]).into()).is_err());
}

#[test]
fn half_precision_is_rounded_f32() {
    let x = random("half", &[1000]).to_dtype(DType::F16).unwrap();
    let wide = x.to_dtype(DType::F32).unwrap();
    let expected = silu(&wide.into()).unwrap().to_dtype(DType::F16).unwrap();
    assert_close(&silu(&x.into()).unwrap(), &expected, 0.0);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let (x, bias) = (random("threads", &[2, 70, 33, 17]), random("bias", &[17]));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (x, bias) = (Var::leaf(x.clone()), Var::leaf(bias.clone()));
            let y = silu(&broadcast_mul(&x, &bias).unwrap()).unwrap();
            let gradients = sum(&y).unwrap().backward().unwrap();
            [y.to_f32_vec().unwrap(), gradients.get(&x).unwrap().to_f32_vec().unwrap(), gradients.get(&bias).unwrap().to_f32_vec().unwrap()]
        })
    };
    assert_eq!(run(1), run(3));
}

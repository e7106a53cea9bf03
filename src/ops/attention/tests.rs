use crate::autograd::Var;
use crate::ops::{Reweighting, attention, cross_attention};
use crate::tensor::Tensor;
use crate::testing::{assert_devices_agree, assert_gradients, random, relative_error};

/// The sizes of a case: batch, rows, columns, heads, width of a head.
type Sizes = [usize; 5];

fn inputs([batch, rows, columns, heads, width]: Sizes) -> [Tensor; 3] {
    let channels = heads * width;
    [random("q", &[batch, rows, channels]), random("k", &[batch, columns, channels]), random("v", &[batch, columns, channels])]
}

/// The definition and its gradients for the output's gradient `upstream`, in f64: output, dq, dk, dv. `weights(sample, row, column)` are the factors of
/// logit and probability.
pub(in crate::ops) fn reference(
    sizes: Sizes,
    tensors: &[Tensor; 3],
    upstream: &Tensor,
    causal: bool,
    weights: impl Fn(usize, usize, usize) -> (f64, f64),
) -> [Vec<f32>; 4] {
    let [batch, rows, columns, heads, width] = sizes;
    let [q, k, v, g] = [&tensors[0], &tensors[1], &tensors[2], upstream].map(|t| t.to_f32_vec().unwrap());
    let mut results = [vec![0.0f64; q.len()], vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; k.len()]];
    let scale = 1.0 / (width as f64).sqrt();
    for (sample, head, row) in (0..batch).flat_map(|b| (0..heads).flat_map(move |h| (0..rows).map(move |r| (b, h, r)))) {
        let at_row = |c: usize| (sample * rows + row) * heads * width + head * width + c;
        let at_column = |column: usize, c: usize| (sample * columns + column) * heads * width + head * width + c;
        let seen = if causal { row + 1 } else { columns };
        let dot = |a: &[f32], b: &[f32], column: usize| (0..width).map(|c| f64::from(a[at_row(c)]) * f64::from(b[at_column(column, c)])).sum::<f64>();
        let logits: Vec<f64> = (0..seen).map(|column| dot(&q, &k, column) * scale * weights(sample, row, column).0).collect();
        let maximum = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - maximum).exp()).sum();
        let p: Vec<f64> = logits.iter().map(|logit| (logit - maximum).exp() / sum).collect();
        let dp: Vec<f64> = (0..seen).map(|column| dot(&g, &v, column) * weights(sample, row, column).1).collect();
        let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
        for column in 0..seen {
            let (logit_weight, weight) = weights(sample, row, column);
            let ds = p[column] * (dp[column] - mean) * scale * logit_weight;
            for c in 0..width {
                results[0][at_row(c)] += p[column] * weight * f64::from(v[at_column(column, c)]);
                results[1][at_row(c)] += ds * f64::from(k[at_column(column, c)]);
                results[2][at_column(column, c)] += ds * f64::from(q[at_row(c)]);
                results[3][at_column(column, c)] += p[column] * weight * f64::from(g[at_row(c)]);
            }
        }
    }
    results.map(|result| result.iter().map(|&value| value as f32).collect())
}

/// Output, dq, dk, dv of an op.
pub(in crate::ops) fn run(tensors: &[Tensor; 3], upstream: &Tensor, op: impl Fn(&Var, &Var, &Var) -> Var) -> [Vec<f32>; 4] {
    let [q, k, v] = tensors.clone().map(Var::leaf);
    let output = op(&q, &k, &v);
    let gradients = output.backward_from(upstream.clone()).unwrap();
    let gradient = |leaf: &Var| gradients.get(leaf).unwrap().to_f32_vec().unwrap();
    [output.to_f32_vec().unwrap(), gradient(&q), gradient(&k), gradient(&v)]
}

#[test]
fn values_and_gradients_follow_the_definition_across_tiles() {
    for (sizes, causal) in [
        ([1, 3, 5, 1, 2], false),
        ([2, 200, 77, 3, 5], false),
        ([1, 300, 600, 1, 40], false),
        ([2, 77, 77, 2, 8], true),
        ([1, 400, 400, 1, 16], true),
    ] {
        let tensors = inputs(sizes);
        let upstream = random("upstream", tensors[0].shape());
        let found = run(&tensors, &upstream, |q, k, v| attention(q, k, v, sizes[3], causal).unwrap());
        let expected = reference(sizes, &tensors, &upstream, causal, |_, _, _| (1.0, 1.0));
        for ((name, found), expected) in ["output", "dq", "dk", "dv"].iter().zip(&found).zip(&expected) {
            let error = relative_error(found, expected);
            assert!(error < 2e-6, "{sizes:?} causal {causal}, {name}: {error:.2e}");
        }
    }
}

#[test]
fn gradients_by_differences() {
    assert_gradients(&inputs([2, 3, 4, 2, 2]), 1e-2, 5e-4, |v| attention(&v[0], &v[1], &v[2], 2, false));
    assert_gradients(&inputs([1, 4, 4, 1, 3]), 1e-2, 5e-4, |v| attention(&v[0], &v[1], &v[2], 1, true));
}

#[test]
fn large_logits_stay_finite() {
    let [q, k, v] = inputs([1, 40, 300, 1, 8]).map(|tensor| {
        let values: Vec<f32> = tensor.to_f32_vec().unwrap().iter().map(|value| value * 40.0).collect();
        Var::constant(Tensor::from_f32(values, tensor.shape()).unwrap())
    });
    assert!(attention(&q, &k, &v, 1, false).unwrap().to_f32_vec().unwrap().iter().all(|value| value.is_finite()));
}

#[test]
fn neither_threads_nor_other_samples_change_the_bits() {
    let sizes = [3, 150, 300, 2, 8];
    let tensors = inputs(sizes);
    let upstream = random("upstream", tensors[0].shape());
    let in_pool = |threads: usize, tensors: &[Tensor; 3], upstream: &Tensor| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(tensors, upstream, |q, k, v| attention(q, k, v, 2, false).unwrap()))
    };
    let all = in_pool(3, &tensors, &upstream);
    assert_eq!(all, in_pool(1, &tensors, &upstream));
    let second = |tensor: &Tensor| {
        let length = tensor.elements() / 3;
        let shape = [1, tensor.dim(1), tensor.dim(2)];
        Tensor::from_f32(tensor.to_f32_vec().unwrap()[length..2 * length].to_vec(), &shape).unwrap()
    };
    let alone = in_pool(2, &[second(&tensors[0]), second(&tensors[1]), second(&tensors[2])], &second(&upstream));
    for (all, alone) in all.iter().zip(&alone) {
        assert_eq!(all[alone.len()..2 * alone.len()], alone[..]);
    }
}

#[test]
fn refusals() {
    let zeros = |shape: &[usize]| Var::constant(Tensor::zeros(shape));
    let error = attention(&zeros(&[1, 2, 6]), &zeros(&[1, 3, 6]), &zeros(&[1, 3, 6]), 4, false).unwrap_err().to_string();
    assert!(error.contains("4 heads do not divide 6 channels"), "{error}");
    assert!(attention(&zeros(&[1, 2, 6]), &zeros(&[1, 3, 6]), &zeros(&[1, 3, 6]), 2, true).is_err());
    assert!(attention(&zeros(&[1, 2, 6]), &zeros(&[1, 3, 6]), &zeros(&[1, 4, 6]), 2, false).is_err());
    assert!(attention(&zeros(&[2, 2, 6]), &zeros(&[1, 3, 6]), &zeros(&[1, 3, 6]), 2, false).is_err());
    assert!(attention(&zeros(&[1, 2, 6]), &zeros(&[1, 0, 6]), &zeros(&[1, 0, 6]), 2, false).is_err());
    let none = Reweighting { columns: Tensor::zeros(&[1, 3]), probability: None, logit: None };
    assert!(cross_attention(&zeros(&[1, 2, 6]), &zeros(&[1, 3, 6]), &zeros(&[1, 3, 6]), 2, &none).is_ok());
}

#[test]
fn gpus_agree_on_every_head_width() {
    for (sizes, causal) in [
        ([1, 3, 5, 1, 2], false),
        ([2, 130, 130, 1, 64], true),
        ([1, 33, 90, 2, 40], false),
        ([1, 65, 129, 1, 80], false),
        ([3, 17, 100, 1, 128], false),
        ([1, 40, 83, 2, 160], false),
        ([1, 40, 65, 1, 512], false),
        ([2, 50, 50, 1, 512], true),
        ([1, 20, 20, 1, 37], true),
    ] {
        assert_devices_agree(&inputs(sizes), |v, _| attention(&v[0], &v[1], &v[2], sizes[3], causal));
    }
}

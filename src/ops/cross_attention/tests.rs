use crate::autograd::Var;
use crate::ops::attention::tests::{reference, run};
use crate::ops::{Reweighting, attention, cross_attention};
use crate::tensor::Tensor;
use crate::testing::{assert_devices_agree, assert_gradients, random, relative_error};

/// batch, rows, columns, heads, width of a head.
const SIZES: [usize; 5] = [2, 130, 77, 2, 8];

fn inputs([batch, rows, columns, heads, width]: [usize; 5]) -> [Tensor; 3] {
    let channels = heads * width;
    [random("q", &[batch, rows, channels]), random("k", &[batch, columns, channels]), random("v", &[batch, columns, channels])]
}

/// Weights between 0.5 and 2.5, some 0; every third column marked.
fn reweighting([batch, rows, columns, ..]: [usize; 5]) -> Reweighting {
    let values = |count: usize, f: fn(usize) -> f32| (0..count).map(f).collect::<Vec<f32>>();
    Reweighting {
        columns: Tensor::from_f32(values(batch * columns, |i| f32::from(i % 3 == 1)), &[batch, columns]).unwrap(),
        probability: Some(
            Tensor::from_f32(values(batch * rows, |i| if i % 7 == 3 { 0.0 } else { 0.5 + (i % 5) as f32 / 2.0 }), &[batch, rows]).unwrap(),
        ),
        logit: Some(Tensor::from_f32(values(batch * rows, |i| 1.0 + (i % 4) as f32 / 3.0), &[batch, rows]).unwrap()),
    }
}

#[test]
fn values_and_gradients_follow_the_definition() {
    let (tensors, all) = (inputs(SIZES), reweighting(SIZES));
    let upstream = random("upstream", tensors[0].shape());
    let only_probability = Reweighting { logit: None, ..all.clone() };
    let only_logit = Reweighting { probability: None, ..all.clone() };
    for weights in [all, only_probability, only_logit] {
        let found = run(&tensors, &upstream, |q, k, v| cross_attention(q, k, v, SIZES[3], &weights).unwrap());
        let marks = weights.columns.to_f32_vec().unwrap();
        let of = |tensor: &Option<Tensor>| tensor.as_ref().map(|tensor| tensor.to_f32_vec().unwrap());
        let (probability, logit) = (of(&weights.probability), of(&weights.logit));
        let expected = reference(SIZES, &tensors, &upstream, false, |sample, row, column| {
            let weight = |weights: &Option<Vec<f32>>| weights.as_ref().map_or(1.0, |weights| f64::from(weights[sample * SIZES[1] + row]));
            if marks[sample * SIZES[2] + column] == 1.0 { (weight(&logit), weight(&probability)) } else { (1.0, 1.0) }
        });
        for ((name, found), expected) in ["output", "dq", "dk", "dv"].iter().zip(&found).zip(&expected) {
            let error = relative_error(found, expected);
            assert!(error < 2e-6, "{name}: {error:.2e}");
        }
    }
}

#[test]
fn weights_of_one_or_none_leave_plain_attention() {
    let (tensors, mut weights) = (inputs(SIZES), reweighting(SIZES));
    let upstream = random("upstream", tensors[0].shape());
    let plain = run(&tensors, &upstream, |q, k, v| attention(q, k, v, SIZES[3], false).unwrap());
    let ones = Tensor::full(1.0, &SIZES[..2]);
    for weight in [Some(ones), None] {
        (weights.probability, weights.logit) = (weight.clone(), weight);
        assert_eq!(plain, run(&tensors, &upstream, |q, k, v| cross_attention(q, k, v, SIZES[3], &weights).unwrap()));
    }
}

#[test]
fn gradients_by_differences() {
    let sizes = [2, 3, 4, 2, 2];
    let weights = reweighting(sizes);
    assert_gradients(&inputs(sizes), 1e-2, 5e-4, |v| cross_attention(&v[0], &v[1], &v[2], 2, &weights));
}

#[test]
fn refusals_name_the_weights() {
    let [q, k, v] = inputs(SIZES).map(Var::constant);
    let refused = |change: fn(&mut Reweighting)| {
        let mut weights = reweighting(SIZES);
        change(&mut weights);
        cross_attention(&q, &k, &v, 2, &weights).unwrap_err().to_string()
    };
    assert!(refused(|weights| weights.columns = Tensor::zeros(&[2, 76])).contains("marks [2, 77]"));
    assert!(refused(|weights| weights.probability = Some(Tensor::zeros(&[2, 77]))).contains("probability weights [2, 130]"));
    assert!(refused(|weights| weights.logit = Some(Tensor::zeros(&[130]))).contains("logit weights [2, 130]"));
}

#[test]
fn gpus_agree_with_and_without_weights() {
    for sizes in
        [[1, 3, 5, 1, 40], [3, 70, 77, 2, 64], [1, 65, 80, 1, 80], [2, 17, 2, 1, 128], [1, 50, 77, 1, 160], [1, 20, 100, 1, 40], [2, 9, 77, 3, 5]]
    {
        let all = reweighting(sizes);
        let (only_probability, only_logit) = (Reweighting { logit: None, ..all.clone() }, Reweighting { probability: None, ..all.clone() });
        for weights in [all, only_probability, only_logit] {
            assert_devices_agree(&inputs(sizes), |v, device| {
                let there = |tensor: &Option<Tensor>| tensor.as_ref().map(|tensor| tensor.to_device(device)).transpose();
                let (probability, logit) = (there(&weights.probability)?, there(&weights.logit)?);
                let weights = Reweighting { columns: weights.columns.to_device(device)?, probability, logit };
                cross_attention(&v[0], &v[1], &v[2], sizes[3], &weights)
            });
        }
        assert_devices_agree(&inputs(sizes), |v, _| attention(&v[0], &v[1], &v[2], sizes[3], false));
    }
}

#[test]
fn gpus_agree_on_a_single_column() {
    let sizes = [2, 17, 1, 1, 128];
    let [q, k, v] = inputs(sizes);
    let weights = reweighting(sizes);
    // The softmax of one number is 1 whatever q and k are: their gradients are rounding, so only v's is compared.
    assert_devices_agree(&[v], |v, device| {
        let there = |tensor: &Tensor| tensor.to_device(device);
        let like_v = |tensor: &Tensor| Ok::<_, crate::error::Error>(Var::constant(there(tensor)?.to_dtype(v[0].dtype())?));
        let optional = |tensor: &Option<Tensor>| tensor.as_ref().map(there).transpose();
        let (probability, logit) = (optional(&weights.probability)?, optional(&weights.logit)?);
        let weights = Reweighting { columns: there(&weights.columns)?, probability, logit };
        cross_attention(&like_v(&q)?, &like_v(&k)?, &v[0], sizes[3], &weights)
    });
}

use crate::autograd::Var;
use crate::error::Result;
use crate::ops::{area_pool, average_pool, max_pool, resize_bilinear, upsample_nearest};
use crate::tensor::Tensor;
use crate::testing::{assert_close, assert_devices_agree, assert_gradients, random};

/// `(i * i) % 7` as a 3 x 4 picture.
fn picture() -> Var {
    Var::constant(Tensor::from_f32((0..12).map(|i| (i * i % 7) as f32).collect::<Vec<_>>(), &[1, 3, 4, 1]).unwrap())
}

#[track_caller]
fn assert_values(found: Result<Var>, [height, width]: [usize; 2], expected: &[f32]) {
    assert_close(&found.unwrap(), &Tensor::from_f32(expected.to_vec(), &[1, height, width, 1]).unwrap(), 3e-7);
}

// Expected numbers: torch.nn.functional.interpolate, adaptive_avg_pool2d, avg_pool2d and max_pool2d (PyTorch 2.x) on picture().

#[test]
fn bilinear_is_that_of_pytorch() {
    let x = picture();
    let corners = [0.0, 2.5, 2.0, 1.0, 2.5, 1.0, 2.0, 2.5, 0.0, 1.5, 2.75, 1.0, 1.0, 3.0, 2.0];
    assert_values(resize_bilinear(&x, 5, 3, true), [5, 3], &corners);
    #[rustfmt::skip]
    let centres = [
        0.166_666_69, 2.5, 2.333_333, 1.033_333_4, 2.5, 1.466_666_3, 2.333_333_5, 2.5, 0.166_666_5, 1.833_333_3, 2.8, 1.266_666_9, 1.500_000_2, 3.0, 2.0,
    ];
    assert_values(resize_bilinear(&x, 5, 3, false), [5, 3], &centres);
    #[rustfmt::skip]
    let wide = [
        0.5, 0.946_428_66, 1.660_714_4, 2.5, 3.124_999_5, 2.124_999_8, 1.5, 1.25, 2.232_143, 3.803_571_5, 2.874_999_8, 1.732_142_8, 1.589_285_6, 1.5,
    ];
    assert_values(resize_bilinear(&x, 2, 7, false), [2, 7], &wide);
    assert_values(resize_bilinear(&x, 1, 1, true), [1, 1], &[0.0]);
    assert_close(&resize_bilinear(&x, 3, 4, false).unwrap(), &x, 0.0);
}

#[test]
fn pools_are_those_of_pytorch() {
    let x = picture();
    assert_values(area_pool(&x, 2, 3), [2, 3], &[1.75, 2.5, 1.75, 2.75, 2.75, 1.25]);
    #[rustfmt::skip]
    let larger = [
        0.0, 0.5, 1.0, 4.0, 3.0, 2.0, 1.0, 1.75, 2.5, 2.5, 1.75, 1.0, 1.5, 2.75, 4.0, 1.5, 1.25, 1.0, 1.0, 2.5, 4.0, 2.0, 2.0, 2.0,
    ];
    assert_values(area_pool(&x, 4, 6), [4, 6], &larger);
    #[rustfmt::skip]
    let around = [
        0.777_777_8, 1.333_333_4, 1.333_333_4, 0.777_777_8, 1.333_333_4, 2.111_111_2, 2.222_222_3, 1.222_222_2, 1.222_222_2, 1.555_555_6, 1.444_444_4,
        0.555_555_6,
    ];
    assert_values(average_pool(&x, 3), [3, 4], &around);
    assert_values(max_pool(&x, 3, 2, 1), [2, 2], &[4.0; 4]);
    assert_values(max_pool(&x, 2, 2, 0), [1, 2], &[4.0; 2]);
    let mut same = [4.0; 12];
    same[11] = 2.0;
    assert_values(max_pool(&x, 3, 1, 1), [3, 4], &same);
    let negative = Var::constant(Tensor::full(-3.0, &[1, 2, 2, 1]));
    assert_values(max_pool(&negative, 3, 1, 1), [2, 2], &[-3.0; 4]);
}

#[test]
fn nearest_repeats_pixels() {
    let x = Var::constant(Tensor::from_f32(vec![1.0, 2.0, 3.0, 4.0], &[1, 1, 2, 2]).unwrap());
    assert_eq!(upsample_nearest(&x, 2).unwrap().shape(), [1, 2, 4, 2]);
    let row = [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0];
    assert_eq!(upsample_nearest(&x, 2).unwrap().to_f32_vec().unwrap(), [row, row].concat());
}

#[test]
fn gradients() {
    let x = random("x", &[2, 3, 4, 2]);
    assert_gradients(std::slice::from_ref(&x), 1e-2, 1e-4, |v| upsample_nearest(&v[0], 3));
    for (height, width) in [(5, 3), (2, 7), (1, 1), (6, 8)] {
        for align_corners in [false, true] {
            assert_gradients(std::slice::from_ref(&x), 1e-2, 1e-4, |v| resize_bilinear(&v[0], height, width, align_corners));
        }
        assert_gradients(std::slice::from_ref(&x), 1e-2, 1e-4, |v| area_pool(&v[0], height, width));
    }
    assert_gradients(std::slice::from_ref(&x), 1e-2, 1e-4, |v| average_pool(&v[0], 3));
    // Distinct values, far apart: no maximum changes hands within a step.
    let distinct = Tensor::from_f32((0..48).map(|i| (i * 29 % 48) as f32).collect::<Vec<_>>(), &[2, 3, 4, 2]).unwrap();
    for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1)] {
        assert_gradients(std::slice::from_ref(&distinct), 0.25, 1e-4, |v| max_pool(&v[0], kernel, stride, padding));
    }
}

#[test]
fn the_first_of_equal_maxima_gets_the_gradient() {
    let x = Var::leaf(Tensor::full(1.0, &[1, 2, 2, 1]));
    let gradients = max_pool(&x, 2, 2, 0).unwrap().backward().unwrap();
    assert_eq!(gradients.get(&x).unwrap().to_f32_vec().unwrap(), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn samples_do_not_touch_each_other() {
    let x = random("x", &[2, 5, 7, 3]);
    let second = Var::constant(Tensor::from_f32(x.to_f32_vec().unwrap()[105..].to_vec(), &[1, 5, 7, 3]).unwrap());
    let both = Var::constant(x);
    let ops: [fn(&Var) -> Result<Var>; 4] =
        [|x| upsample_nearest(x, 2), |x| resize_bilinear(x, 9, 4, false), |x| area_pool(x, 3, 2), |x| max_pool(x, 3, 2, 1)];
    for op in ops {
        let (both, alone) = (op(&both).unwrap().to_f32_vec().unwrap(), op(&second).unwrap().to_f32_vec().unwrap());
        assert_eq!(both[alone.len()..], alone);
    }
}

#[test]
fn refusals() {
    let x = picture();
    assert!(upsample_nearest(&x, 0).is_err());
    assert!(upsample_nearest(&x, usize::MAX).is_err());
    assert!(resize_bilinear(&x, 0, 3, false).is_err());
    assert!(area_pool(&Tensor::zeros(&[1, 0, 3, 1]).into(), 1, 1).is_err());
    assert!(average_pool(&x, 2).is_err());
    assert!(max_pool(&x, 4, 1, 0).is_err());
    assert!(max_pool(&x, 2, 1, 2).is_err());
    let error = max_pool(&Tensor::zeros(&[3, 4]).into(), 2, 2, 0).unwrap_err().to_string();
    assert!(error.contains("4 axes"), "{error}");
}

#[test]
fn gpus_agree_on_every_pair_of_sizes() {
    for size in [[1, 1, 1, 1], [3, 3, 5, 4], [2, 7, 4, 3]] {
        let x = [random("x", &size)];
        for factor in [1, 2, 3] {
            assert_devices_agree(&x, |v, _| upsample_nearest(&v[0], factor));
        }
        for [height, width] in [[1, 1], [2 * size[1], 2 * size[2]], [5, 3], [2, 9], [13, 11]] {
            for align_corners in [false, true] {
                assert_devices_agree(&x, |v, _| resize_bilinear(&v[0], height, width, align_corners));
            }
            assert_devices_agree(&x, |v, _| area_pool(&v[0], height, width));
        }
        assert_devices_agree(&x, |v, _| average_pool(&v[0], 3));
        for (kernel, stride, padding) in [(3, 2, 1), (1, 3, 0), (3, 1, 1)] {
            assert_devices_agree(&x, |v, _| max_pool(&v[0], kernel, stride, padding));
        }
    }
}

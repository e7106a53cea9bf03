use super::kernel::{COLUMNS, DEPTH, Isa, LeftOrder, Panels, ROWS, Target, multiply};
use super::{AcrossDepth, AlongDepth, Finish, MatrixMut, MatrixRef, gemm, gemm_parallel, product_contiguous, product_on_this_thread};
use crate::testing::{random, relative_error};

fn naive([m, n, k]: [usize; 3], a: MatrixRef, b: MatrixRef) -> Vec<f32> {
    let mut out = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            let term =
                |d: usize| f64::from(a.data[i * a.row_stride + d * a.column_stride]) * f64::from(b.data[d * b.row_stride + j * b.column_stride]);
            out.push((0..k).map(term).sum::<f64>() as f32);
        }
    }
    out
}

/// Both storage orders of a matrix `[rows, columns]` filled from `data`.
fn orders(data: &[f32], rows: usize, columns: usize) -> [MatrixRef<'_>; 2] {
    [MatrixRef::row_major(data, columns), MatrixRef::row_major(data, rows).transposed()]
}

#[test]
fn every_size_and_order_matches_the_definition() {
    for sizes in [
        [1, 1, 1],
        [3, 5, 7],
        [14, 32, 256],
        [15, 33, 257],
        [29, 16, 300],
        [64, 17, 40],
        [130, 800, 70],
        [1, 300, 600],
        [63, 257, 130],
        [200, 3, 520],
    ] {
        let [m, n, k] = sizes;
        let left = random("left", &[m, k]).to_f32_vec().unwrap();
        let right = random("right", &[k, n]).to_f32_vec().unwrap();
        for a in orders(&left, m, k) {
            for b in orders(&right, k, n) {
                let expected = naive(sizes, a, b);
                let mut found = vec![f32::NAN; m * n];
                gemm(sizes, a, b, MatrixMut { data: &mut found, row_stride: n }, &Finish::default());
                let error = relative_error(&found, &expected);
                assert!(error < 1e-6, "{sizes:?}: {error:.2e}");
                let mut parallel = vec![f32::NAN; m * n];
                gemm_parallel(sizes, a, b, MatrixMut { data: &mut parallel, row_stride: n }, &Finish::default());
                assert_eq!(found, parallel, "{sizes:?}");
            }
        }
    }
}

/// Every instruction set that this machine has, every size of a tile: the same bits, one chain of multiply-adds for each element, and nothing written
/// beside the tile.
#[test]
fn tiles_are_the_same_on_every_instruction_set() {
    const STEPS: usize = 37;
    let stride = STEPS.max(ROWS) + 3;
    let left = random("left", &[stride * stride]).to_f32_vec().unwrap();
    let right = random("right", &[STEPS * COLUMNS]).to_f32_vec().unwrap();
    let before = random("before", &[ROWS * 40]).to_f32_vec().unwrap();
    let found: Vec<Isa> = Isa::available().collect();
    assert_eq!((found.first(), found.last()), (Some(&Isa::detect()), Some(&Isa::Portable)));
    for (rows, columns, depth) in (1..=ROWS).flat_map(|rows| (1..=COLUMNS).flat_map(move |columns| [0, 1, STEPS].map(|depth| (rows, columns, depth))))
    {
        for (order, add) in [(LeftOrder::ByRow, false), (LeftOrder::ByStep, true), (LeftOrder::ByRow, true)] {
            let (scale, offset) = (0.75, 3);
            let mut expected = before.clone();
            for (row, out) in expected.chunks_exact_mut(40).take(rows).enumerate() {
                for (column, out) in out[offset..offset + columns].iter_mut().enumerate() {
                    let at = |step: usize| if order == LeftOrder::ByRow { row * stride + step } else { step * stride + row };
                    let sum = (0..depth).fold(0.0_f32, |sum, step| left[at(step)].mul_add(right[step * COLUMNS + column], sum));
                    *out = if add { sum.mul_add(scale, *out) } else { sum * scale };
                }
            }
            for &isa in &found {
                let mut out = before.clone();
                let panels = Panels { left: &left, order, stride, right: &right, depth };
                let mut tile: Vec<&mut [f32]> = out.chunks_exact_mut(40).take(rows).collect();
                multiply(isa, &panels, &mut Target { rows: &mut tile, offset, columns, scale, add });
                assert_eq!(out, expected, "{isa:?}: {rows} x {columns}, depth {depth}, {order:?}, add {add}");
            }
        }
    }
}

/// The product is what nearly all time goes into, and a compiler that does not find the vectors costs twenty times of it: a chain of scalar multiply-adds
/// must be far behind.
#[test]
fn tiles_are_computed_in_vectors_on_every_instruction_set() {
    let left = random("left", &[ROWS * DEPTH]).to_f32_vec().unwrap();
    let right = random("right", &[DEPTH * COLUMNS]).to_f32_vec().unwrap();
    let shortest = |run: &mut dyn FnMut()| {
        let time = |_| {
            let start = std::time::Instant::now();
            run();
            start.elapsed()
        };
        (0..40).map(time).min().unwrap()
    };
    let mut out = vec![0.0; ROWS * COLUMNS];
    let scalar = shortest(&mut || {
        for (row, out) in out.chunks_exact_mut(COLUMNS).enumerate() {
            for (column, out) in out.iter_mut().enumerate() {
                *out = (0..DEPTH).fold(0.0, |sum, step| left[row * DEPTH + step].mul_add(right[step * COLUMNS + column], sum));
            }
        }
        std::hint::black_box(&mut out);
    });
    for isa in Isa::available() {
        let vectors = shortest(&mut || {
            let panels = Panels { left: &left, order: LeftOrder::ByRow, stride: DEPTH, right: &right, depth: DEPTH };
            let mut rows: Vec<&mut [f32]> = out.chunks_exact_mut(COLUMNS).collect();
            multiply(isa, &panels, &mut Target { rows: &mut rows, offset: 0, columns: COLUMNS, scale: 1.0, add: false });
            std::hint::black_box(&mut out);
        });
        assert!(3 * vectors < scalar, "{isa:?}: {vectors:?} a tile; one element after the other takes {scalar:?}");
    }
}

#[test]
fn a_row_alone_gives_the_same_bits() {
    let [m, n, k] = [45, 70, 611];
    let left = random("left", &[m, k]).to_f32_vec().unwrap();
    let right = random("right", &[k, n]).to_f32_vec().unwrap();
    let mut whole = vec![0.0; m * n];
    let (a, b) = (MatrixRef::row_major(&left, k), MatrixRef::row_major(&right, n));
    gemm([m, n, k], a, b, MatrixMut { data: &mut whole, row_stride: n }, &Finish::default());
    for row in 0..m {
        let mut alone = vec![0.0; n];
        let a = MatrixRef::row_major(&left[row * k..], k);
        gemm([1, n, k], a, b, MatrixMut { data: &mut alone, row_stride: n }, &Finish::default());
        assert_eq!(alone, whole[row * n..(row + 1) * n]);
    }
    // Few rows and many columns: the factors are exchanged.
    let right = random("right", &[300, k]).to_f32_vec().unwrap();
    let b = MatrixRef::row_major(&right, k).transposed();
    let (mut few, mut many) = (vec![0.0; 2 * 300], vec![0.0; m * 300]);
    let finish = Finish { scale: 0.3, ..Finish::default() };
    gemm_parallel([2, 300, k], a, b, MatrixMut { data: &mut few, row_stride: 300 }, &finish);
    gemm([m, 300, k], a, b, MatrixMut { data: &mut many, row_stride: 300 }, &finish);
    assert!(few == many[..few.len()]);
}

/// More rows than one part has, which lie one after another: what any set of rows gets, with all that comes behind the product in its place.
#[test]
fn many_contiguous_rows_are_what_they_are_apart() {
    let [m, n, k] = [5000, 8, 27];
    let numbers = |name: &str, length: usize| random(name, &[length]).to_f32_vec().unwrap();
    let (left, right) = (numbers("left", m * k), numbers("right", k * n));
    let (bias, groups, residual) = (numbers("bias", n), numbers("groups", 2 * n), numbers("residual", m * n));
    let finish = Finish { scale: 0.5, accumulate: true, bias: Some(&bias), per_group: Some((&groups, m / 2)), residual: Some(&residual) };
    let (a, b) = (AlongDepth { data: &left, lane_stride: k, depth_stride: 1 }, AcrossDepth { data: &right, depth_stride: n });
    let mut together = numbers("before", m * n);
    let mut apart = together.clone();
    product_contiguous(&a, &b, k, &mut together, n, &finish);
    product_on_this_thread(&a, &b, k, &mut apart.chunks_mut(n).collect::<Vec<_>>(), &finish);
    assert!(together == apart);
    product_contiguous(&a, &b, k, &mut [], n, &finish);
}

#[test]
fn a_column_alone_gives_the_same_bits() {
    let [m, n, k] = [45, 70, 611];
    let left = random("left", &[m, k]).to_f32_vec().unwrap();
    let right = random("right", &[k, n]).to_f32_vec().unwrap();
    let mut whole = vec![0.0; m * n];
    let (a, b) = (MatrixRef::row_major(&left, k), MatrixRef::row_major(&right, n));
    gemm([m, n, k], a, b, MatrixMut { data: &mut whole, row_stride: n }, &Finish::default());
    for column in 0..n {
        let mut alone = vec![0.0; m];
        let b = MatrixRef { data: &right[column..], row_stride: n, column_stride: 1 };
        gemm([m, 1, k], a, b, MatrixMut { data: &mut alone, row_stride: 1 }, &Finish::default());
        assert!((0..m).all(|row| alone[row] == whole[row * n + column]));
    }
}

#[test]
fn finish_scales_accumulates_and_adds() {
    let [m, n, k] = [20, 40, 300];
    let numbers = |name: &str, length: usize| random(name, &[length]).to_f32_vec().unwrap();
    let (left, right) = (numbers("left", m * k), numbers("right", k * n));
    let (bias, groups, residual, before) = (numbers("bias", n), numbers("groups", 2 * n), numbers("residual", m * n), numbers("before", m * n));
    let (a, b) = (MatrixRef::row_major(&left, k), MatrixRef::row_major(&right, n));
    let mut expected = naive([m, n, k], a, b);
    for (index, value) in expected.iter_mut().enumerate() {
        let (row, column) = (index / n, index % n);
        *value = 0.5 * *value + before[index] + bias[column] + groups[row / 10 * n + column] + residual[index];
    }
    let mut found = before;
    let finish = Finish { scale: 0.5, accumulate: true, bias: Some(&bias), per_group: Some((&groups, 10)), residual: Some(&residual) };
    gemm_parallel([m, n, k], a, b, MatrixMut { data: &mut found, row_stride: n }, &finish);
    assert!(relative_error(&found, &expected) < 1e-6);
}

#[test]
fn rows_with_gaps_leave_the_gaps_alone() {
    let mut found = vec![9.0; 11];
    let finish = Finish::default();
    gemm(
        [3, 2, 1],
        MatrixRef::row_major(&[1.0, 2.0, 3.0], 1),
        MatrixRef::row_major(&[10.0, 20.0], 2),
        MatrixMut { data: &mut found, row_stride: 4 },
        &finish,
    );
    assert_eq!(found, [10.0, 20.0, 9.0, 9.0, 20.0, 40.0, 9.0, 9.0, 30.0, 60.0, 9.0]);
}

#[test]
fn no_depth_gives_zero() {
    let mut found = vec![9.0; 4];
    gemm([2, 2, 0], MatrixRef::row_major(&[], 0), MatrixRef::row_major(&[], 2), MatrixMut { data: &mut found, row_stride: 2 }, &Finish::default());
    assert_eq!(found, [0.0; 4]);
}

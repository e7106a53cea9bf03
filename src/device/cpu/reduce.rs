//! Sums in an order that depends on sizes only, never on threads.

use rayon::prelude::*;

use super::Buffer;

/// Rows that are summed one after the other; the partial sums of such groups are then added in order.
const GROUP: usize = 512;

/// The sum over the rows of `data [rows, columns]`: `[columns]`.
pub fn column_sums(data: &[f32], columns: usize) -> Buffer<f32> {
    let mut sums = Buffer::zeros(columns);
    if columns == 0 {
        return sums;
    }
    let partial: Vec<Vec<f32>> = data.par_chunks(GROUP * columns).map(|rows| group_sums(rows, columns)).collect();
    for group in &partial {
        add(&mut sums, group);
    }
    sums
}

fn group_sums(rows: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0.0; columns];
    rows.chunks_exact(columns).for_each(|row| add(&mut sums, row));
    sums
}

fn add(sums: &mut [f32], terms: &[f32]) {
    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_columns_across_groups() {
        let rows = 2 * GROUP + 3;
        let data: Vec<f32> = (0..rows).flat_map(|row| [1.0, (row % 2) as f32, -0.5]).collect();
        assert_eq!(&column_sums(&data, 3)[..], [rows as f32, (rows / 2) as f32, -0.5 * rows as f32]);
        assert!(column_sums(&[], 0).is_empty());
    }
}

//! The measured peak of matrix products, which `mfu` refers to.

use super::matmul::Packed;
use super::precision::Precision;
use crate::machine::clock::Moment;

/// Operations per second of one thread on matrices that fit in the cache. Takes some milliseconds.
pub fn measured_peak(precision: Precision) -> f64 {
    product_rate(precision, [128, 256, 256])
}

/// Operations per second of one thread on cached products of `rows` × `k` by `k` × `n`: the best of several rounds.
pub fn product_rate(precision: Precision, [rows, k, n]: [usize; 3]) -> f64 {
    let x = vec![1.0; rows * k];
    let mut y = vec![0.0; rows * n];
    let mut packed = Packed::default();
    packed.pack_transposed(precision, &vec![1.0; n * k], k, n, k);
    let rates = (0..8).map(|_| {
        let started = Moment::now();
        for _ in 0..4 {
            packed.product(&x, k, &mut y, n, rows, false);
        }
        (4 * 2 * rows * k * n) as f64 / started.elapsed().wall_s
    });
    rates.fold(0.0, f64::max)
}

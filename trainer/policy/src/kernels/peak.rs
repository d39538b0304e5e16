//! The operations a second that products reach here: the yardstick of `mfu`.

use super::matmul::Packed;
use super::precision::Precision;
use crate::machine::clock::Moment;

/// The operations a second that one thread's products reach on matrices that fit the cache; takes some milliseconds.
///
/// The yardstick of `mfu`: measured, since the rated peak of an unknown processor is not known.
pub fn measured_peak(precision: Precision) -> f64 {
    product_rate(precision, [128, 256, 256])
}

/// The operations a second of one thread at products of `rows` × `k` by `k` × `n` that it finds in its caches, the best of
/// several.
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

//! Sums and products of vectors.

use super::{keep_lanes, multiply_add};

dispatch! {
    /// `sum += x`.
    pub fn add(sum: &mut [f32], x: &[f32]) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    }
}

dispatch! {
    /// `sum += factor · x`.
    pub fn add_scaled(sum: &mut [f32], factor: f32, x: &[f32]) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum = multiply_add::<FUSED>(factor, *x, *sum);
        }
    }
}

dispatch! {
    /// `Σ x · y` in sixteen lanes, then `x = factor · y`.
    pub fn dot_then_scale(x: &mut [f32], factor: f32, y: &[f32]) -> f32 {
        let mut lanes = [0.0f32; 16];
        let ((chunks, x), (others, y)) = (x.as_chunks_mut::<16>(), y.as_chunks::<16>());
        for (x, y) in chunks.iter_mut().zip(others) {
            keep_lanes();
            for lane in 0..16 {
                lanes[lane] = multiply_add::<FUSED>(x[lane], y[lane], lanes[lane]);
                x[lane] = factor * y[lane];
            }
        }
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane = multiply_add::<FUSED>(*x, *y, *lane);
            *x = factor * y;
        }
        lanes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::twin::{assert_near, random, single};

    #[test]
    fn they_agree_with_the_twin() {
        for length in [1, 15, 16, 37, 256] {
            let (x, y) = (random(length, 1), random(length, 2));
            let mut sum = single(&x);
            super::add(&mut sum, &single(&y));
            super::add_scaled(&mut sum, -2.0, &single(&y));
            assert_near(&sum, &x.iter().zip(&y).map(|(x, y)| x - y).collect::<Vec<_>>(), 1e-6, "sum");
            let mut scaled = single(&x);
            let dot = super::dot_then_scale(&mut scaled, 0.5, &single(&y));
            let exact: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
            assert_near(&[dot], &[exact], 1e-5, "dot");
            assert_near(&scaled, &y.iter().map(|y| 0.5 * y).collect::<Vec<_>>(), 1e-6, "scaled");
        }
    }
}

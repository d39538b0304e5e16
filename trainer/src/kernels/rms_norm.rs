//! RMSNorm: `y = x / rms(x) · w`.

/// Sum of `f(i)` over `0..length` in sixteen lanes, so that it vectorises; the order is fixed.
#[inline(always)]
fn lane_sum(length: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let whole = length / 16 * 16;
    for start in (0..whole).step_by(16) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(start + lane);
        }
    }
    for index in whole..length {
        lanes[index % 16] += f(index);
    }
    lanes.iter().sum()
}

dispatch! {
    /// Normalises each row of `x` (`[rows, width]`, rows `x_stride` apart) into `y` (`[rows, width]`).
    ///
    /// Leaves `1 / rms` of each row in `inverse` for the backward. Source: Zhang & Sennrich 2019.
    pub fn forward(
        x: &[f32], x_stride: usize, weight: &[f32], epsilon: f32, y: &mut [f32], inverse: &mut [f32],
    ) {
        let width = weight.len();
        for ((row, y), inverse) in y.chunks_exact_mut(width).enumerate().zip(inverse) {
            let x = &x[row * x_stride..row * x_stride + width];
            let mean = lane_sum(width, |i| x[i] * x[i]) / width as f32;
            *inverse = 1.0 / (mean + epsilon).sqrt();
            for i in 0..width {
                y[i] = x[i] * *inverse * weight[i];
            }
        }
    }
}

dispatch! {
    /// Adds the gradients of `x` and of `weight` to `dx` (rows `x_stride` apart, as `x`) and `dweight`.
    pub fn backward(
        dy: &[f32], x: &[f32], x_stride: usize, weight: &[f32], inverse: &[f32], dx: &mut [f32], dweight: &mut [f32],
    ) {
        let width = weight.len();
        for ((row, dy), inverse) in dy.chunks_exact(width).enumerate().zip(inverse) {
            let x = &x[row * x_stride..row * x_stride + width];
            let dx = &mut dx[row * x_stride..row * x_stride + width];
            let dweight = &mut dweight[..width];
            let along = lane_sum(width, |i| dy[i] * weight[i] * x[i]) / width as f32;
            let along = along * inverse * inverse * inverse;
            for i in 0..width {
                dweight[i] += dy[i] * x[i] * inverse;
                dx[i] += dy[i] * weight[i] * inverse - x[i] * along;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::twin::{assert_near, gradient, random, single};

    const EPSILON: f64 = 1e-3;

    /// The twin: `weight` follows the rows in `x`.
    fn plain(x: &[f64], width: usize) -> Vec<f64> {
        let (rows, weight) = x.split_at(x.len() - width);
        rows.chunks(width)
            .flat_map(|row| {
                let root = (row.iter().map(|x| x * x).sum::<f64>() / width as f64 + EPSILON).sqrt();
                row.iter().zip(weight).map(move |(x, weight)| x / root * weight).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn value_and_gradient_agree_with_the_twin() {
        for width in [1, 5, 16, 37, 64] {
            let rows = 3;
            let x = random((rows + 1) * width, width as u64);
            let dy = random(rows * width, 99);
            let (input, weight) = (single(&x[..rows * width]), single(&x[rows * width..]));
            let (mut y, mut inverse) = (vec![0.0; rows * width], vec![0.0; rows]);
            super::forward(&input, width, &weight, EPSILON as f32, &mut y, &mut inverse);
            assert_near(&y, &plain(&x, width), 1e-6, "value");
            let (mut dx, mut dweight) = (vec![0.0; rows * width], vec![0.0; width]);
            super::backward(&single(&dy), &input, width, &weight, &inverse, &mut dx, &mut dweight);
            let exact = gradient(&x, &dy, |x| plain(x, width));
            assert_near(&[dx, dweight].concat(), &exact, 1e-5, "gradient");
        }
    }
}

//! RMSNorm: `y = x / rms(x) · w`.

/// Sum of `term` over the numbers at each index, in sixteen lanes and a fixed order.
#[inline(always)]
fn lane_sum<const N: usize>(operands: [&[f32]; N], term: impl Fn([f32; N]) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let operands = operands.map(|numbers| numbers.as_chunks::<16>());
    for at in 0..operands[0].0.len() {
        let chunks = operands.map(|(chunks, _)| chunks[at]);
        for lane in 0..16 {
            lanes[lane] += term(std::array::from_fn(|operand| chunks[operand][lane]));
        }
    }
    for lane in 0..operands[0].1.len() {
        lanes[lane] += term(operands.map(|(_, rest)| rest[lane]));
    }
    lanes.iter().sum()
}

dispatch! {
    /// Normalises each row of `x` (`[rows, width]`, rows `x_stride` apart) into `y` (`[rows, width]`).
    ///
    /// Writes `1 / rms` of each row to `inverse` for the backward. Source: Zhang & Sennrich 2019.
    pub fn forward(
        x: &[f32], x_stride: usize, weight: &[f32], epsilon: f32, y: &mut [f32], inverse: &mut [f32],
    ) {
        let width = weight.len();
        for ((row, y), inverse) in y.chunks_exact_mut(width).enumerate().zip(inverse) {
            let x = &x[row * x_stride..row * x_stride + width];
            let mean = lane_sum([x], |[x]| x * x) / width as f32;
            *inverse = 1.0 / (mean + epsilon).sqrt();
            for i in 0..width {
                y[i] = x[i] * *inverse * weight[i];
            }
        }
    }
}

dispatch! {
    /// Adds the gradients of `x` and of `weight` to `dx` (rows `x_stride` apart) and `dweight`.
    pub fn backward(
        dy: &[f32], x: &[f32], x_stride: usize, weight: &[f32], inverse: &[f32], dx: &mut [f32], dweight: &mut [f32],
    ) {
        let width = weight.len();
        for ((row, dy), inverse) in dy.chunks_exact(width).enumerate().zip(inverse) {
            let x = &x[row * x_stride..row * x_stride + width];
            let dx = &mut dx[row * x_stride..row * x_stride + width];
            let dweight = &mut dweight[..width];
            let along = lane_sum([dy, weight, x], |[dy, weight, x]| dy * weight * x) / width as f32;
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

//! SwiGLU's activation: `silu(gate) · up`.

use super::exponential::sigmoid;

dispatch! {
    /// `[rows, 2 · width]` (gate, then up) to `[rows, width]`.
    pub fn forward(gate_up: &[f32], width: usize, out: &mut [f32]) {
        for (gate_up, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = gate_up.split_at(width);
            for i in 0..width {
                out[i] = gate[i] * sigmoid::<FUSED>(gate[i]) * up[i];
            }
        }
    }
}

dispatch! {
    /// Overwrites `gate_up` with its gradient, given the gradient of the output.
    pub fn backward(dout: &[f32], width: usize, gate_up: &mut [f32]) {
        for (gate_up, dout) in gate_up.chunks_exact_mut(2 * width).zip(dout.chunks_exact(width)) {
            let (gate, up) = gate_up.split_at_mut(width);
            for i in 0..width {
                let share = sigmoid::<FUSED>(gate[i]);
                let silu = gate[i] * share;
                gate[i] = dout[i] * up[i] * (share + silu * (1.0 - share));
                up[i] = dout[i] * silu;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::twin::{assert_near, gradient, random, single};

    fn plain(gate_up: &[f64], width: usize) -> Vec<f64> {
        gate_up
            .chunks(2 * width)
            .flat_map(|row| {
                (0..width).map(|i| row[i] / (1.0 + (-row[i]).exp()) * row[width + i]).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn value_and_gradient_agree_with_the_twin() {
        for width in [1, 7, 16, 33] {
            let x = random(3 * 2 * width, width as u64);
            let dy = random(3 * width, 98);
            let mut gate_up = single(&x);
            let mut y = vec![0.0; 3 * width];
            super::forward(&gate_up, width, &mut y);
            assert_near(&y, &plain(&x, width), 1e-6, "value");
            super::backward(&single(&dy), width, &mut gate_up);
            assert_near(&gate_up, &gradient(&x, &dy, |x| plain(x, width)), 1e-5, "gradient");
        }
    }

    #[test]
    fn large_gates_do_not_overflow() {
        let mut y = [0.0; 2];
        super::forward(&[200.0, -200.0, 3.0, 3.0], 2, &mut y);
        assert!((y[0] - 600.0).abs() < 1e-3 && y[1].abs() < 1e-30, "{y:?}");
    }
}

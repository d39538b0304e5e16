//! SwiGLU's activation: `silu(gate) · up`.

use super::exponential::sigmoid;

dispatch! {
    /// `[rows, 2 · width]` (gate, then up) to `[rows, width]`.
    pub fn forward(gate_up: &[f32], width: usize, out: &mut [f32]) {
        for (gate_up, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = gate_up.split_at(width);
            for i in 0..width {
                out[i] = gate[i] * sigmoid(gate[i]) * up[i];
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
                let share = sigmoid(gate[i]);
                let silu = gate[i] * share;
                gate[i] = dout[i] * up[i] * (share + silu * (1.0 - share));
                up[i] = dout[i] * silu;
            }
        }
    }
}

//! Rotary positions.

/// Cosines and sines of every position and frequency.
///
/// Source: Su et al. 2021. DeepSeek-V3 turns neighbouring numbers (interleaved), Llama and Qwen turn number `i` with
/// number `i + dim / 2` (halves).
#[derive(Clone, Debug)]
pub struct Rotary {
    dim: usize,
    is_interleaved: bool,
    /// `[positions, dim / 2]` pairs of cosine and sine.
    turns: Vec<(f32, f32)>,
}

impl Rotary {
    /// A table for `positions` places and heads with `dim` turning numbers.
    pub fn new(dim: usize, theta: f32, positions: usize, is_interleaved: bool) -> Self {
        let half = dim / 2;
        let turns = (0..positions * half)
            .map(|at| {
                let frequency = f64::from(theta).powf(-2.0 * (at % half) as f64 / dim as f64);
                let angle = (at / half) as f64 * frequency;
                (angle.cos() as f32, angle.sin() as f32)
            })
            .collect();
        Self { dim, is_interleaved, turns }
    }

    /// Turns one head at `position` in place.
    pub fn turn(&self, head: &mut [f32], position: usize) {
        self.apply(head, position, 1.0);
    }

    /// Turns a gradient back: the transpose of [`Rotary::turn`].
    pub fn turn_back(&self, head: &mut [f32], position: usize) {
        self.apply(head, position, -1.0);
    }

    fn apply(&self, head: &mut [f32], position: usize, direction: f32) {
        let half = self.dim / 2;
        let turns = &self.turns[position * half..(position + 1) * half];
        for (i, (cosine, sine)) in turns.iter().enumerate() {
            let (first, second) = if self.is_interleaved { (2 * i, 2 * i + 1) } else { (i, i + half) };
            let (x, y) = (head[first], head[second]);
            head[first] = x * cosine - y * sine * direction;
            head[second] = y * cosine + x * sine * direction;
        }
    }
}

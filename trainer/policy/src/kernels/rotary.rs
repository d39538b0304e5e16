//! Rotary positions.

/// Cosines and sines of every position and frequency.
///
/// Source: Su et al. 2021. DeepSeek-V3 rotates pairs of neighbours (interleaved); Llama and Qwen pair number `i` with number
/// `i + dim / 2` (halves).
#[derive(Clone, Debug)]
pub struct Rotary {
    dim: usize,
    is_interleaved: bool,
    /// `[positions, 2, dim / 2]`: the cosines of a position, then its sines.
    turns: Vec<f32>,
}

impl Rotary {
    /// A table for `positions` positions and heads with `dim` rotated numbers.
    pub fn new(dim: usize, theta: f32, positions: usize, is_interleaved: bool) -> Self {
        let half = dim / 2;
        let frequencies: Vec<f64> =
            (0..half).map(|at| f64::from(theta).powf(-2.0 * at as f64 / dim as f64)).collect();
        let angles = |position: usize| frequencies.iter().map(move |frequency| position as f64 * frequency);
        let turns = (0..positions)
            .flat_map(|at| angles(at).map(f64::cos).chain(angles(at).map(f64::sin)))
            .map(|turn| turn as f32)
            .collect();
        Self { dim, is_interleaved, turns }
    }

    /// Rotates one head in place.
    pub fn turn(&self, head: &mut [f32], position: usize) {
        self.apply(head, position, 1.0);
    }

    /// Rotates a gradient back: the transpose of [`Rotary::turn`].
    pub fn turn_back(&self, head: &mut [f32], position: usize) {
        self.apply(head, position, -1.0);
    }

    fn apply(&self, head: &mut [f32], position: usize, direction: f32) {
        let half = self.dim / 2;
        let turns = self.turns[2 * position * half..2 * (position + 1) * half].split_at(half);
        if self.is_interleaved {
            turn_neighbours(&mut head[..2 * half], turns, direction);
        } else {
            turn_halves(&mut head[..2 * half], turns, direction);
        }
    }
}

dispatch! {
    fn turn_neighbours(head: &mut [f32], turns: (&[f32], &[f32]), direction: f32) {
        for ([x, y], (cosine, sine)) in head.as_chunks_mut().0.iter_mut().zip(turns.0.iter().zip(turns.1)) {
            (*x, *y) = turned(*x, *y, *cosine, *sine * direction);
        }
    }
}

dispatch! {
    fn turn_halves(head: &mut [f32], turns: (&[f32], &[f32]), direction: f32) {
        let (first, second) = head.split_at_mut(head.len() / 2);
        for ((x, y), (cosine, sine)) in first.iter_mut().zip(second).zip(turns.0.iter().zip(turns.1)) {
            (*x, *y) = turned(*x, *y, *cosine, *sine * direction);
        }
    }
}

#[inline(always)]
fn turned(x: f32, y: f32, cosine: f32, sine: f32) -> (f32, f32) {
    (x * cosine - y * sine, y * cosine + x * sine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_depend_on_the_distance_alone_and_turning_back_undoes() {
        for is_interleaved in [true, false] {
            let rotary = Rotary::new(6, 100.0, 20, is_interleaved);
            let (query, key) = ([0.3, -1.0, 0.7, 2.0, 0.1, 0.5], [1.0, 0.2, -0.4, 0.9, 1.5, -2.0]);
            let score = |q: usize, k: usize| {
                let (mut query, mut key) = (query, key);
                rotary.turn(&mut query, q);
                rotary.turn(&mut key, k);
                query.iter().zip(key).map(|(q, k)| q * k).sum::<f32>()
            };
            assert!((score(3, 1) - score(17, 15)).abs() < 1e-5);
            assert!((score(3, 1) - score(4, 1)).abs() > 1e-3);
            let mut turned = query;
            rotary.turn(&mut turned, 7);
            assert_ne!(turned, query);
            rotary.turn_back(&mut turned, 7);
            assert!(turned.iter().zip(query).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    #[test]
    fn pairs_turn_by_their_own_angle() {
        for (dim, is_interleaved) in [(6, true), (6, false), (40, true), (40, false)] {
            let rotary = Rotary::new(dim, 100.0, 20, is_interleaved);
            let head: Vec<f32> = (0..dim).map(|at| (at as f32 * 0.7).sin()).collect();
            let mut still = head.clone();
            rotary.turn(&mut still, 0);
            assert_eq!(still, head);
            let mut turned = head.clone();
            rotary.turn(&mut turned, 13);
            for i in 0..dim / 2 {
                let (first, second) = if is_interleaved { (2 * i, 2 * i + 1) } else { (i, i + dim / 2) };
                let angle = 13.0 * 100f64.powf(-2.0 * i as f64 / dim as f64);
                let (x, y) = (f64::from(head[first]), f64::from(head[second]));
                assert!((f64::from(turned[first]) - (x * angle.cos() - y * angle.sin())).abs() < 1e-6);
                assert!((f64::from(turned[second]) - (y * angle.cos() + x * angle.sin())).abs() < 1e-6);
            }
        }
    }
}

//! Log-probability and entropy of target tokens, with the logits of one block of rows in memory at a time.

use super::count_surplus;
use super::exponential::exp;
use super::matmul::{Packed, add_outer};
use super::precision::Precision;

const BLOCK: usize = 128;

/// The output head: `[vocabulary, hidden]`, packed for both directions.
pub struct Head<'a> {
    /// Packed for `hidden · headᵀ`.
    pub forward: &'a Packed,
    /// Packed for `dlogits · head`.
    pub backward: &'a Packed,
    /// Number of tokens.
    pub vocabulary: usize,
    /// Width of a row.
    pub hidden: usize,
    /// One over the temperature: the factor of the logits.
    pub inverse_temperature: f32,
}

/// Turns logits into probabilities. Returns the greatest scaled logit, the log of the sum and the entropy.
#[inline(always)]
fn normalise<const FUSED: bool>(row: &mut [f32], inverse_temperature: f32) -> (f32, f32, f32) {
    for value in row.iter_mut() {
        *value *= inverse_temperature;
    }
    let top = row.iter().fold(f32::NEG_INFINITY, |top, value| if *value > top { *value } else { top });
    let (mut sum, mut along) = (0.0, 0.0);
    for value in row.iter_mut() {
        let shifted = *value - top;
        *value = exp::<FUSED>(shifted);
        sum += *value;
        // A logit of minus infinity has probability 0, and 0 times infinity is not 0.
        along += if *value > 0.0 { *value * shifted } else { 0.0 };
    }
    for value in row {
        *value /= sum;
    }
    let log_sum = sum.ln();
    (top, log_sum, log_sum - along / sum)
}

dispatch! {
    /// Turns one row of logits into probabilities. Returns the entropy in nats.
    pub fn probabilities(row: &mut [f32], inverse_temperature: f32) -> f32 {
        normalise::<FUSED>(row, inverse_temperature).2
    }
}

dispatch! {
    /// The log-probability of the target and the entropy of each row. Turns `logits` into probabilities.
    fn log_probabilities(
        logits: &mut [f32], vocabulary: usize, inverse_temperature: f32, targets: &[u32],
        chosen: &mut [f32], entropies: &mut [f32],
    ) {
        let rows = logits.chunks_exact_mut(vocabulary).zip(targets).zip(chosen).zip(entropies);
        for (((row, target), chosen), entropy) in rows {
            let target = row[*target as usize] * inverse_temperature;
            let (top, log_sum, row_entropy) = normalise::<FUSED>(row, inverse_temperature);
            *chosen = target - top - log_sum;
            *entropy = row_entropy;
        }
    }
}

impl Head<'_> {
    fn probabilities(
        &self,
        hidden: &[f32],
        targets: &[u32],
        logits: &mut Vec<f32>,
        out: (&mut [f32], &mut [f32]),
    ) {
        logits.resize(targets.len() * self.vocabulary, 0.0);
        self.forward.product(hidden, self.hidden, logits, self.vocabulary, targets.len(), false);
        log_probabilities(logits, self.vocabulary, self.inverse_temperature, targets, out.0, out.1);
    }

    /// Fills `chosen` and `entropies` (`[rows]`) for `hidden` (`[rows, hidden]`).
    pub fn forward(
        &self,
        hidden: &[f32],
        targets: &[u32],
        chosen: &mut [f32],
        entropies: &mut [f32],
        logits: &mut Vec<f32>,
    ) {
        for start in (0..targets.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(targets.len());
            let rows = &hidden[start * self.hidden..end * self.hidden];
            let out = (&mut chosen[start..end], &mut entropies[start..end]);
            self.probabilities(rows, &targets[start..end], logits, out);
        }
    }

    /// Overwrites `dhidden` and adds to `dhead`, given the gradient of the log-probabilities.
    pub fn backward(
        &self,
        hidden: &[f32],
        targets: &[u32],
        dchosen: &[f32],
        dhidden: &mut [f32],
        dhead: &mut [f32],
        logits: &mut Vec<f32>,
    ) {
        let mut ignored = [[0.0; BLOCK]; 2];
        for start in (0..targets.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(targets.len());
            let rows = &hidden[start * self.hidden..end * self.hidden];
            let targets = &targets[start..end];
            let [chosen, entropies] = &mut ignored;
            self.probabilities(rows, targets, logits, (chosen, entropies));
            count_surplus(2 * targets.len() * self.hidden * self.vocabulary);
            for ((row, target), dchosen) in
                logits.chunks_exact_mut(self.vocabulary).zip(targets).zip(&dchosen[start..end])
            {
                let factor = dchosen * self.inverse_temperature;
                for value in row.iter_mut() {
                    *value *= -factor;
                }
                row[*target as usize] += factor;
            }
            let dhidden = &mut dhidden[start * self.hidden..end * self.hidden];
            self.backward.product(logits, self.vocabulary, dhidden, self.hidden, targets.len(), false);
            let shape = (targets.len(), self.vocabulary, self.hidden);
            add_outer(Precision::Float32, logits, rows, self.hidden, dhead, shape);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::twin::{assert_near, gradient, random, single};
    use super::*;

    /// The twin: the rows of `hidden`, then the head.
    fn plain(x: &[f64], targets: &[u32], hidden: usize, vocabulary: usize, temperature: f64) -> Vec<f64> {
        let (rows, head) = x.split_at(x.len() - vocabulary * hidden);
        rows.chunks(hidden)
            .zip(targets)
            .map(|(row, target)| {
                let logits: Vec<f64> = head
                    .chunks(hidden)
                    .map(|column| row.iter().zip(column).map(|(x, w)| x * w).sum::<f64>() / temperature)
                    .collect();
                logits[*target as usize] - logits.iter().map(|logit| logit.exp()).sum::<f64>().ln()
            })
            .collect()
    }

    #[test]
    fn value_and_gradient_agree_with_the_twin() {
        let (rows, hidden, vocabulary, temperature) = (BLOCK + 3, 6, 11, 0.7);
        let x = random((rows + vocabulary) * hidden, 1);
        let targets: Vec<u32> = (0..rows as u32).map(|row| row * 7 % vocabulary as u32).collect();
        let numbers = single(&x);
        let (input, weight) = numbers.split_at(rows * hidden);
        let (mut forward, mut backward) = (Packed::default(), Packed::default());
        forward.pack_transposed(Precision::Float32, weight, hidden, vocabulary, hidden);
        backward.pack_straight(Precision::Float32, weight, hidden, vocabulary, hidden);
        let head = Head {
            forward: &forward,
            backward: &backward,
            vocabulary,
            hidden,
            inverse_temperature: 1.0 / temperature as f32,
        };
        let (mut chosen, mut entropies, mut logits) = (vec![0.0; rows], vec![0.0; rows], Vec::new());
        head.forward(input, &targets, &mut chosen, &mut entropies, &mut logits);
        let twin = |x: &[f64]| plain(x, &targets, hidden, vocabulary, temperature);
        assert_near(&chosen, &twin(&x), 2e-6, "value");
        // The entropy is the mean surprise, over all tokens as targets.
        let surprise = |target: u32| plain(&x, &vec![target; rows], hidden, vocabulary, temperature);
        let all: Vec<Vec<f64>> = (0..vocabulary as u32).map(surprise).collect();
        let exact: Vec<f64> =
            (0..rows).map(|row| all.iter().map(|of| -of[row].exp() * of[row]).sum()).collect();
        assert_near(&entropies, &exact, 2e-6, "entropy");
        let dchosen = random(rows, 2);
        let (mut dhidden, mut dhead) = (vec![0.0; rows * hidden], vec![0.0; vocabulary * hidden]);
        head.backward(input, &targets, &single(&dchosen), &mut dhidden, &mut dhead, &mut logits);
        assert_near(&[dhidden, dhead].concat(), &gradient(&x, &dchosen, twin), 1e-5, "gradient");
    }

    #[test]
    fn an_impossible_token_has_no_entropy_and_no_nan() {
        let mut row = [0.0, f32::NEG_INFINITY, 0.0];
        assert!((probabilities(&mut row, 1.0) - 2f32.ln()).abs() < 1e-6);
        assert_eq!(row, [0.5, 0.0, 0.5]);
    }
}

//! Routed experts: which expert gets which token, and the product of each expert with its tokens.

use std::ops::Range;

use super::exponential::sigmoid;
use super::matmul::{Packed, add_outer};
use super::{elementwise, swiglu};

/// Added to the sum of gates, which is 0 if all of them underflow, as in DeepSeek-V3's code.
const TINY: f32 = 1e-20;

/// The routing rule of a layer.
///
/// Source: DeepSeek-V3 §2.1.2. Affinities are sigmoids; the greatest sums of affinity and bias are chosen; gates come from
/// the affinities alone. No token is dropped.
#[derive(Clone, Copy, Debug)]
pub struct RoutingRule {
    /// Routed experts.
    pub experts: usize,
    /// Experts per token.
    pub chosen: usize,
    /// Whether the gates are divided by their sum.
    pub normalise: bool,
    /// Factor of the gates.
    pub scale: f32,
}

dispatch! {
    /// Turns router logits into affinities.
    pub fn affinities(logits: &mut [f32]) {
        for logit in logits {
            *logit = sigmoid::<FUSED>(*logit);
        }
    }
}

impl RoutingRule {
    /// The chosen experts of each row, best first, ties to the lower number.
    /// Shapes: `affinities` `[rows, experts]`, `bias` `[experts]`, `choices` `[rows, chosen]`.
    pub fn choose(&self, affinities: &[f32], bias: &[f32], choices: &mut [u16]) {
        for (row, choices) in affinities.chunks_exact(self.experts).zip(choices.chunks_exact_mut(self.chosen))
        {
            for place in 0..self.chosen {
                let mut best: Option<(usize, f32)> = None;
                for (expert, (affinity, bias)) in row.iter().zip(bias).enumerate() {
                    let score = affinity + bias;
                    let is_taken = choices[..place].contains(&(expert as u16));
                    // A NaN is never greater: where all are NaN, the first free expert is chosen.
                    if !is_taken && best.is_none_or(|(_, top)| score > top) {
                        best = Some((expert, score));
                    }
                }
                choices[place] = best.map_or(0, |(expert, _)| expert as u16);
            }
        }
    }

    /// The gates of the chosen experts, `[rows, chosen]`.
    pub fn gates(&self, affinities: &[f32], choices: &[u16], gates: &mut [f32]) {
        let rows = affinities.chunks_exact(self.experts).zip(choices.chunks_exact(self.chosen));
        for ((row, choices), gates) in rows.zip(gates.chunks_exact_mut(self.chosen)) {
            let mut sum = 0.0;
            for (gate, choice) in gates.iter_mut().zip(choices) {
                *gate = row[usize::from(*choice)];
                sum += *gate;
            }
            let factor = if self.normalise { self.scale / (sum + TINY) } else { self.scale };
            for gate in gates {
                *gate *= factor;
            }
        }
    }

    /// Adds the gradient through the gates to `gradient`, `[rows, experts]`.
    pub fn gates_backward(&self, affinities: &[f32], choices: &[u16], dgates: &[f32], gradient: &mut [f32]) {
        let rows = affinities.chunks_exact(self.experts).zip(choices.chunks_exact(self.chosen));
        let gradients = dgates.chunks_exact(self.chosen).zip(gradient.chunks_exact_mut(self.experts));
        for ((row, choices), (dgates, daffinities)) in rows.zip(gradients) {
            let (mut sum, mut along) = (TINY, 0.0);
            for (choice, dgate) in choices.iter().zip(dgates) {
                sum += row[usize::from(*choice)];
                along += row[usize::from(*choice)] * dgate;
            }
            for (choice, dgate) in choices.iter().zip(dgates) {
                let gradient = if self.normalise {
                    self.scale / sum * (dgate - along / sum)
                } else {
                    self.scale * dgate
                };
                daffinities[usize::from(*choice)] += gradient;
            }
        }
    }

    /// Adds the gradient of the sequence-wise balance loss `weight · Σ f P` of the rows of one sequence.
    /// Source: DeepSeek-V3 eq. 17–20; `f` counts choices and has no gradient.
    pub fn balance_backward(&self, affinities: &[f32], choices: &[u16], weight: f32, gradient: &mut [f32]) {
        let rows = affinities.len() / self.experts;
        let mut share = vec![0.0f32; self.experts];
        for choice in choices {
            share[usize::from(*choice)] += self.experts as f32 / (self.chosen * rows) as f32;
        }
        let rows_of_gradient = gradient.chunks_exact_mut(self.experts);
        for (row, daffinities) in affinities.chunks_exact(self.experts).zip(rows_of_gradient) {
            let sum: f32 = row.iter().sum();
            let along: f32 = row.iter().zip(&share).map(|(affinity, share)| affinity * share).sum();
            for (daffinity, share) in daffinities.iter_mut().zip(&share) {
                *daffinity += weight / (rows as f32 * sum) * (share - along / sum);
            }
        }
    }
}

/// The rows of a batch, sorted by expert.
#[derive(Debug, Default)]
pub struct Dispatch {
    /// For each slot, in the order of experts: `row · chosen + place`.
    pub slots: Vec<u32>,
    /// Where the slots of each expert start, and the end of the last.
    pub starts: Vec<u32>,
}

impl Dispatch {
    /// Sorts the choices (`[rows, chosen]`) by expert; within an expert by row.
    pub fn sort(&mut self, choices: &[u16], experts: usize) {
        self.starts.clear();
        self.starts.resize(experts + 1, 0);
        for choice in choices {
            self.starts[usize::from(*choice) + 1] += 1;
        }
        for expert in 0..experts {
            self.starts[expert + 1] += self.starts[expert];
        }
        self.slots.clear();
        self.slots.resize(choices.len(), 0);
        let mut next = self.starts.clone();
        for (at, choice) in choices.iter().enumerate() {
            let slot = &mut next[usize::from(*choice)];
            self.slots[*slot as usize] = at as u32;
            *slot += 1;
        }
    }

    /// The slots of an expert.
    pub fn of(&self, expert: usize) -> Range<usize> {
        self.starts[expert] as usize..self.starts[expert + 1] as usize
    }
}

/// One expert's weights, packed for both directions.
#[derive(Default)]
pub struct Expert {
    /// `x · gate_upᵀ`.
    pub gate_up: Packed,
    /// `activation · downᵀ`.
    pub down: Packed,
    /// `dgate_up · gate_up`.
    pub gate_up_backward: Packed,
    /// `dy · down`.
    pub down_backward: Packed,
}

/// The activations that the backward needs, in the order of slots.
#[derive(Debug, Default)]
pub struct Saved {
    /// The inputs, gathered: `[slots, hidden]`.
    pub inputs: Vec<f32>,
    /// `[slots, 2 · width]`.
    pub gate_up: Vec<f32>,
    /// `[slots, width]`.
    pub activation: Vec<f32>,
    /// The experts' outputs before the gates: `[slots, hidden]`.
    pub outputs: Vec<f32>,
}

/// Sizes of the grouped product.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Width of a row.
    pub hidden: usize,
    /// Width of an expert.
    pub width: usize,
    /// Experts per token.
    pub chosen: usize,
}

/// Adds `Σ gate · expert(x)` to `out`. Shapes: `x` and `out` `[rows, hidden]`, `gates` `[rows, chosen]`.
pub fn forward(
    size: Size,
    experts: &[Expert],
    dispatch: &Dispatch,
    x: &[f32],
    gates: &[f32],
    out: &mut [f32],
    saved: &mut Saved,
) {
    let Size { hidden, width, chosen } = size;
    let slots = dispatch.slots.len();
    saved.inputs.resize(slots * hidden, 0.0);
    saved.gate_up.resize(slots * 2 * width, 0.0);
    saved.activation.resize(slots * width, 0.0);
    saved.outputs.resize(slots * hidden, 0.0);
    for (slot, input) in dispatch.slots.iter().zip(saved.inputs.chunks_exact_mut(hidden)) {
        let row = *slot as usize / chosen;
        input.copy_from_slice(&x[row * hidden..(row + 1) * hidden]);
    }
    for (number, expert) in experts.iter().enumerate() {
        let Range { start, end } = dispatch.of(number);
        let rows = end - start;
        let gate_up = &mut saved.gate_up[start * 2 * width..end * 2 * width];
        let activation = &mut saved.activation[start * width..end * width];
        expert.gate_up.product(&saved.inputs[start * hidden..], hidden, gate_up, 2 * width, rows, false);
        swiglu::forward(gate_up, width, activation);
        let outputs = &mut saved.outputs[start * hidden..end * hidden];
        expert.down.product(activation, width, outputs, hidden, rows, false);
    }
    // In the order of choices, so that the sum of a row does not depend on the batch.
    let mut place = vec![0u32; slots];
    for (at, slot) in dispatch.slots.iter().enumerate() {
        place[*slot as usize] = at as u32;
    }
    for ((row, out), gates) in out.chunks_exact_mut(hidden).enumerate().zip(gates.chunks_exact(chosen)) {
        for (choice, gate) in gates.iter().enumerate() {
            let at = place[row * chosen + choice] as usize;
            let output = &saved.outputs[at * hidden..(at + 1) * hidden];
            elementwise::add_scaled(out, *gate, output);
        }
    }
}

/// Where the gradient of one expert lies.
pub struct ExpertGradient {
    /// `[2 · width, hidden]`.
    pub gate_up: Range<usize>,
    /// `[hidden, width]`.
    pub down: Range<usize>,
}

/// Adds to the gradients of `x` (`[rows, hidden]`) and of the experts' weights, and overwrites `dgates`.
#[allow(clippy::too_many_arguments, reason = "the forward's operands and the gradients of each")]
pub fn backward(
    size: Size,
    experts: &[Expert],
    dispatch: &Dispatch,
    gates: &[f32],
    dout: &[f32],
    dx: &mut [f32],
    dgates: &mut [f32],
    places: impl Fn(usize) -> ExpertGradient,
    gradient: &mut [f32],
    saved: &mut Saved,
) {
    let Size { hidden, width, chosen } = size;
    let mut dactivation = Vec::new();
    for (number, expert) in experts.iter().enumerate() {
        let Range { start, end } = dispatch.of(number);
        let rows = end - start;
        let outputs = &mut saved.outputs[start * hidden..end * hidden];
        for (slot, output) in dispatch.slots[start..end].iter().zip(outputs.chunks_exact_mut(hidden)) {
            let slot = *slot as usize;
            let dout = &dout[slot / chosen * hidden..(slot / chosen + 1) * hidden];
            dgates[slot] = elementwise::dot_then_scale(output, gates[slot], dout);
        }
        let doutputs = &*outputs;
        let ExpertGradient { gate_up: gate_up_place, down: down_place } = places(number);
        let activation = &saved.activation[start * width..end * width];
        let precision = expert.down.precision();
        let shape = (rows, hidden, width);
        add_outer(precision, doutputs, activation, width, &mut gradient[down_place], shape);
        dactivation.resize(rows * width, 0.0);
        expert.down_backward.product(doutputs, hidden, &mut dactivation, width, rows, false);
        let gate_up = &mut saved.gate_up[start * 2 * width..end * 2 * width];
        swiglu::backward(&dactivation, width, gate_up);
        let inputs = &mut saved.inputs[start * hidden..end * hidden];
        let shape = (rows, 2 * width, hidden);
        add_outer(precision, gate_up, inputs, hidden, &mut gradient[gate_up_place], shape);
        expert.gate_up_backward.product(gate_up, 2 * width, inputs, hidden, rows, false);
        for (slot, dinput) in dispatch.slots[start..end].iter().zip(inputs.chunks_exact(hidden)) {
            let row = *slot as usize / chosen;
            elementwise::add(&mut dx[row * hidden..(row + 1) * hidden], dinput);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::precision::Precision;
    use super::super::twin::{assert_near, random, single};
    use super::*;

    const RULE: RoutingRule = RoutingRule { experts: 4, chosen: 2, normalise: true, scale: 2.5 };

    #[test]
    fn the_bias_changes_who_is_chosen_and_never_the_gate() {
        let affinities = [0.1, 0.9, 0.5, 0.4];
        let (mut plain, mut biased) = ([0; 2], [0; 2]);
        RULE.choose(&affinities, &[0.0; 4], &mut plain);
        RULE.choose(&affinities, &[1.0, 0.0, 0.0, 0.0], &mut biased);
        assert_eq!((plain, biased), ([1, 2], [0, 1]));
        let mut gates = [0.0; 2];
        RULE.gates(&affinities, &biased, &mut gates);
        assert!((gates[0] - 2.5 * 0.1).abs() < 1e-6 && (gates[1] - 2.5 * 0.9).abs() < 1e-6);
        assert!((gates.iter().sum::<f32>() - RULE.scale).abs() < 1e-6);
    }

    #[test]
    fn nan_affinities_still_choose_distinct_experts() {
        let mut choices = [9; 2];
        RULE.choose(&[f32::NAN; 4], &[0.0; 4], &mut choices);
        assert_eq!(choices, [0, 1]);
    }

    #[test]
    fn dispatch_keeps_every_choice_once() {
        let choices = [3, 1, 0, 3, 1, 2];
        let mut dispatch = Dispatch::default();
        dispatch.sort(&choices, 4);
        assert_eq!(dispatch.slots, [2, 1, 4, 5, 0, 3]);
        assert_eq!((0..4).map(|expert| dispatch.of(expert).len()).collect::<Vec<_>>(), [1, 2, 1, 2]);
    }

    /// Sizes of the twin: the expert in the middle gets every row and the last one none.
    const ROWS: usize = 36;
    const HIDDEN: usize = 20;

    fn choices() -> Vec<u16> {
        (0..ROWS).flat_map(|row| [1, if row % 5 == 0 { 2 } else { 0 }]).collect()
    }

    /// The layer in plain float64: rows, logits, then the weights of each expert, gate and up before down.
    fn plain(operands: &[f64], width: usize) -> Vec<f64> {
        let (x, rest) = operands.split_at(ROWS * HIDDEN);
        let (logits, weights) = rest.split_at(ROWS * RULE.experts);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut out = vec![0.0; ROWS * HIDDEN];
        for (row, choices) in choices().chunks(RULE.chosen).enumerate() {
            let affinity = |expert: u16| 1.0 / (1.0 + (-logits[row * RULE.experts + expert as usize]).exp());
            let sum: f64 = choices.iter().map(|expert| affinity(*expert)).sum();
            for expert in choices {
                let weights = &weights[usize::from(*expert) * 3 * width * HIDDEN..][..3 * width * HIDDEN];
                let (gate_up, down) = weights.split_at(2 * width * HIDDEN);
                let x = &x[row * HIDDEN..][..HIDDEN];
                let both: Vec<f64> = gate_up.chunks(HIDDEN).map(|weight| dot(weight, x)).collect();
                let activation: Vec<f64> =
                    (0..width).map(|at| both[at] / (1.0 + (-both[at]).exp()) * both[width + at]).collect();
                let gate = f64::from(RULE.scale) * affinity(*expert) / sum;
                for (out, weight) in out[row * HIDDEN..].iter_mut().zip(down.chunks(width)) {
                    *out += gate * dot(weight, &activation);
                }
            }
        }
        out
    }

    /// The layer's value, and its gradient in the order of [`plain`], by the kernels.
    fn ours(operands: &[f32], dout: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
        let (x, rest) = operands.split_at(ROWS * HIDDEN);
        let (logits, weights) = rest.split_at(ROWS * RULE.experts);
        let length = 3 * width * HIDDEN;
        let experts: Vec<Expert> = weights
            .chunks(length)
            .map(|weights| {
                let (gate_up, down) = weights.split_at(2 * width * HIDDEN);
                let mut expert = Expert::default();
                let exact = Precision::Float32;
                expert.gate_up.pack_transposed(exact, gate_up, HIDDEN, 2 * width, HIDDEN);
                expert.down.pack_transposed(exact, down, width, HIDDEN, width);
                expert.gate_up_backward.pack_straight(exact, gate_up, HIDDEN, 2 * width, HIDDEN);
                expert.down_backward.pack_straight(exact, down, width, HIDDEN, width);
                expert
            })
            .collect();
        let choices = choices();
        let mut dispatch = Dispatch::default();
        dispatch.sort(&choices, RULE.experts);
        let mut affinities = logits.to_vec();
        super::affinities(&mut affinities);
        let mut gates = vec![0.0; choices.len()];
        RULE.gates(&affinities, &choices, &mut gates);
        let size = Size { hidden: HIDDEN, width, chosen: RULE.chosen };
        let (mut out, mut saved) = (vec![0.0; x.len()], Saved::default());
        forward(size, &experts, &dispatch, x, &gates, &mut out, &mut saved);

        let (mut dx, mut dgates) = (vec![0.0; x.len()], vec![0.0; gates.len()]);
        let mut dweights = vec![0.0; weights.len()];
        let places = |expert: usize| {
            let (start, middle) = (expert * length, expert * length + 2 * width * HIDDEN);
            ExpertGradient { gate_up: start..middle, down: middle..start + length }
        };
        let (dispatch, saved) = (&dispatch, &mut saved);
        backward(size, &experts, dispatch, &gates, dout, &mut dx, &mut dgates, places, &mut dweights, saved);
        let mut dlogits = vec![0.0; affinities.len()];
        RULE.gates_backward(&affinities, &choices, &dgates, &mut dlogits);
        for (dlogit, affinity) in dlogits.iter_mut().zip(&affinities) {
            *dlogit *= affinity * (1.0 - affinity);
        }
        (out, [dx, dlogits, dweights].concat())
    }

    #[test]
    fn value_and_gradient_agree_with_the_twin() {
        for width in [16, 32, 37] {
            let length = ROWS * (HIDDEN + RULE.experts) + RULE.experts * 3 * width * HIDDEN;
            let small = |number: &f64| 0.5 * number;
            let operands: Vec<f64> = random(length, width as u64).iter().map(small).collect();
            let dout = random(ROWS * HIDDEN, 7);
            let (value, gradient) = ours(&single(&operands), &single(&dout), width);
            assert_near(&value, &plain(&operands, width), 1e-5, "value");
            // Every seventh number: all of them would take ten times as long as the other tests.
            for at in (width % 7..length).step_by(7) {
                let moved = |by: f64| {
                    let mut operands = operands.clone();
                    operands[at] += by;
                    plain(&operands, width).iter().zip(&dout).map(|(out, dout)| out * dout).sum::<f64>()
                };
                let quotient = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert_near(&gradient[at..=at], &[quotient], 1e-5, &format!("gradient {at}, width {width}"));
            }
        }
    }

    fn balance(affinities: &[f32], choices: &[u16]) -> f64 {
        let rows = affinities.len() / RULE.experts;
        (0..RULE.experts)
            .map(|expert| {
                let count = choices.iter().filter(|choice| usize::from(**choice) == expert).count();
                let f = (RULE.experts * count) as f64 / (RULE.chosen * rows) as f64;
                let p: f64 = affinities
                    .chunks_exact(RULE.experts)
                    .map(|row| f64::from(row[expert]) / row.iter().map(|a| f64::from(*a)).sum::<f64>())
                    .sum::<f64>()
                    / rows as f64;
                f * p
            })
            .sum()
    }

    #[test]
    fn the_balance_loss_is_one_at_balance_and_its_gradient_is_the_difference_quotient() {
        let even = [0.5; 8];
        assert!((balance(&even, &[0, 1, 2, 3]) - 1.0).abs() < 1e-9);
        // All choices on two experts: the worst case, experts / chosen.
        let collapsed = [0.5, 0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0];
        assert!((balance(&collapsed, &[0, 1, 1, 0]) - 2.0).abs() < 1e-9);
        let affinities = [0.2, 0.7, 0.4, 0.9, 0.6, 0.1, 0.8, 0.3];
        let choices = [3, 1, 2, 0];
        let mut gradient = [0.0; 8];
        RULE.balance_backward(&affinities, &choices, 3.0, &mut gradient);
        for at in 0..8 {
            let moved = |by: f32| {
                let mut affinities = affinities;
                affinities[at] += by;
                3.0 * balance(&affinities, &choices)
            };
            let quotient = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!((quotient - f64::from(gradient[at])).abs() < 1e-3, "{at}: {quotient} {}", gradient[at]);
        }
    }
}

//! The feed-forward of a sparse layer: a router, routed experts and shared experts.

use std::ops::Range;

use super::dense::{self, Dense};
use super::{Builder, Gradients, Linear, Routing, Training, sized, zeroed};
use crate::kernels::experts::{self, Dispatch, Expert, ExpertGradient, RoutingRule, Saved, Size};
use crate::kernels::precision::Precision;
use crate::kernels::profile::{self, Part};
use crate::policy::layout::Place;
use crate::policy::{Config, Parameters};

pub(crate) struct Experts {
    /// The number of this layer among the sparse layers.
    pub(crate) number: usize,
    rule: RoutingRule,
    size: Size,
    /// `[experts, hidden]`.
    router: Linear,
    routed: Vec<Expert>,
    places: Vec<[Place; 2]>,
    /// The shared experts as one SwiGLU.
    shared: Option<Dense>,
}

/// The activations that the backward needs.
#[derive(Default)]
pub(crate) struct Tape {
    affinities: Vec<f32>,
    /// `[rows, chosen]`.
    pub(crate) choices: Vec<u16>,
    gates: Vec<f32>,
    dispatch: Dispatch,
    saved: Saved,
    /// The tape of the shared experts or of a dense feed-forward; a decoder uses one tape for all layers.
    pub(super) dense: dense::Tape,
}

/// Parameters of a sparse layer with `used` routed experts.
pub(crate) fn count(config: &Config, used: usize) -> u64 {
    let router = config.hidden_size as u64 * config.n_routed_experts as u64;
    let expert = dense::count(config.hidden_size, config.moe_intermediate_size);
    router + expert * (config.n_shared_experts + used) as u64
}

impl Experts {
    pub(super) fn new(config: &Config, layer: usize, prefix: &str, builder: &mut Builder) -> Self {
        let (hidden, width, experts) =
            (config.hidden_size, config.moe_intermediate_size, config.n_routed_experts);
        let (chosen, normalise) = (config.num_experts_per_tok, config.norm_topk_prob);
        let scale = config.routed_scaling_factor;
        let router = Linear::new(builder, &format!("{prefix}.gate"), experts, hidden);
        let places = (0..experts)
            .map(|expert| dense::places(hidden, width, &format!("{prefix}.experts.{expert}"), builder))
            .collect();
        let joint = config.n_shared_experts * width;
        let shared =
            (joint > 0).then(|| Dense::new(hidden, joint, &format!("{prefix}.shared_experts"), builder));
        Self {
            number: config.sparse_layers().take_while(|sparse| *sparse < layer).count(),
            rule: RoutingRule { experts, chosen, normalise, scale },
            size: Size { hidden, width, chosen },
            router,
            routed: (0..experts).map(|_| Expert::default()).collect(),
            places,
            shared,
        }
    }

    pub(super) fn pack(&mut self, precision: Precision, parameters: &Parameters) {
        self.router.pack(Precision::Float32, parameters);
        let Size { hidden, width, .. } = self.size;
        for (expert, [gate_up, down]) in self.routed.iter_mut().zip(&self.places) {
            let (gate_up, down) = (parameters.at(gate_up), parameters.at(down));
            expert.gate_up.pack_transposed(precision, gate_up, hidden, 2 * width, hidden);
            expert.gate_up_backward.pack_straight(precision, gate_up, hidden, 2 * width, hidden);
            expert.down.pack_transposed(precision, down, width, hidden, width);
            expert.down_backward.pack_straight(precision, down, width, hidden, width);
        }
        if let Some(shared) = &mut self.shared {
            shared.pack(precision, parameters);
        }
    }

    /// Uses the recorded routes of sequences; all other rows choose anew.
    pub(super) fn forward(&self, x: &[f32], out: &mut [f32], routing: Routing<'_>, tape: &mut Tape) {
        let scope = profile::enter(Part::Router);
        let RoutingRule { experts, chosen, .. } = self.rule;
        let rows = x.len() / self.size.hidden;
        let affinities = sized(&mut tape.affinities, rows * experts);
        self.router.apply(x, affinities, false);
        experts::affinities(affinities);
        tape.choices.resize(rows * chosen, 0);
        let Routing { sequences, biases } = routing;
        let mut choose = |rows: Range<usize>, routes: Option<&[u16]>| {
            let choices = &mut tape.choices[rows.start * chosen..rows.end * chosen];
            let Some(routes) = routes else {
                let affinities = &affinities[rows.start * experts..rows.end * experts];
                return self.rule.choose(affinities, &biases[self.number], choices);
            };
            for (row, choices) in choices.chunks_exact_mut(chosen).enumerate() {
                let at = (row * biases.len() + self.number) * chosen;
                choices.copy_from_slice(&routes[at..at + chosen]);
            }
        };
        let mut start = 0;
        for sequence in sequences {
            choose(start..start + sequence.rows(), sequence.routes);
            start += sequence.rows();
        }
        choose(start..rows, None);
        drop(scope);
        let _scope = profile::enter(Part::Experts);
        let gates = sized(&mut tape.gates, rows * chosen);
        self.rule.gates(affinities, &tape.choices, gates);
        tape.dispatch.sort(&tape.choices, experts);
        if let Some(shared) = &self.shared {
            shared.forward(x, out, &mut tape.dense);
        }
        experts::forward(self.size, &self.routed, &tape.dispatch, x, gates, out, &mut tape.saved);
    }

    /// The number of choices of each expert in the last forward.
    pub(crate) fn loads<'t>(&self, tape: &'t Tape) -> impl Iterator<Item = u64> + use<'t> {
        (0..self.rule.experts).map(|expert| tape.dispatch.of(expert).len() as u64)
    }

    pub(super) fn backward(
        &self,
        gradients: Gradients<'_>,
        balance: f32,
        Training { spans, scratch, .. }: &mut Training<'_>,
        tape: &mut Tape,
    ) {
        let Gradients { x, dout, dx, weights } = gradients;
        if let Some(shared) = &self.shared {
            shared.backward(Gradients { x, dout, dx, weights }, &mut tape.dense, scratch);
        }
        let _scope = profile::enter(Part::Experts);
        let RoutingRule { experts, chosen, .. } = self.rule;
        let dgates = sized(&mut scratch.dgates, tape.choices.len());
        experts::backward(
            self.size,
            &self.routed,
            &tape.dispatch,
            &tape.gates,
            dout,
            dx,
            dgates,
            |expert| {
                let [gate_up, down] = self.places[expert].clone();
                ExpertGradient { gate_up, down }
            },
            weights,
            &mut tape.saved,
        );
        let _scope = profile::enter(Part::Router);
        let affinities = &tape.affinities;
        let dlogits = zeroed(&mut scratch.daffinities, affinities.len());
        self.rule.gates_backward(affinities, &tape.choices, dgates, dlogits);
        if balance != 0.0 {
            for span in *spans {
                let all = span.start * experts..span.end * experts;
                let choices = &tape.choices[span.start * chosen..span.end * chosen];
                let dlogits = &mut dlogits[all.clone()];
                self.rule.balance_backward(&affinities[all], choices, balance, dlogits);
            }
        }
        for (dlogit, affinity) in dlogits.iter_mut().zip(affinities) {
            *dlogit *= affinity * (1.0 - affinity);
        }
        self.router.backward(dlogits, x, dx, true, weights);
    }
}

//! The backward: layer by layer from the last, from what the forward left on the tape.

use super::{LayerTape, Scratch, Tape, sized, zeroed};
use crate::kernels::attention::{self, Heads, HeadsMut};
use crate::kernels::experts::{self, ExpertGradient};
use crate::kernels::profile::{self, Part};
use crate::kernels::rms_norm;
use crate::policy::parameters::{AttentionPlaces, FeedForwardPlaces, LayerPlaces};
use crate::policy::transformer::{FeedForward, Layer, Projections, Transformer};

impl Transformer {
    /// Adds to `gradient` (of the parameters' layout), given the gradient of the log-probabilities of the last forward.
    ///
    /// `balance_weight` is the weight of each sequence's balance loss; 0 leaves it out.
    pub fn backward(
        &self,
        dlog_probabilities: &[f32],
        balance_weight: f32,
        tape: &mut Tape,
        gradient: &mut [f32],
    ) {
        let hidden = self.config.hidden_size;
        let layout = &self.parameters.layout;
        let rows = tape.rows();
        let targets = tape.targets.len();
        assert_eq!(dlog_probabilities.len(), targets);
        let mut scratch = std::mem::take(&mut tape.scratch);
        let head = profile::enter(Part::Head);
        let dnormed = sized(&mut scratch.dnormed, targets * hidden);
        self.head_kernel(tape.temperature).backward(
            &tape.last_norm.output,
            &tape.targets,
            dlog_probabilities,
            dnormed,
            &mut gradient[layout.head.clone()],
            &mut scratch.logits,
        );
        let dgathered = zeroed(&mut scratch.gathered, targets * hidden);
        let norm = self.parameters.at(&layout.norm);
        tape.last_norm.backward(dnormed, norm, dgathered, &mut gradient[layout.norm.clone()]);
        let dstream = zeroed(&mut scratch.dstream, rows * hidden);
        for (row, dgathered) in tape.target_rows.iter().zip(dgathered.chunks_exact(hidden)) {
            let at = *row as usize * hidden;
            dstream[at..at + hidden].copy_from_slice(dgathered);
        }
        drop(head);
        for (number, (layer, places)) in self.layers.iter().zip(&layout.layers).enumerate().rev() {
            let mut layer_tape = std::mem::take(&mut tape.layers[number]);
            self.feed_forward_backward(
                layer,
                places,
                balance_weight,
                tape,
                &mut layer_tape,
                &mut scratch,
                gradient,
            );
            self.attend_backward(layer, places, tape, &mut layer_tape, &mut scratch, gradient);
            tape.layers[number] = layer_tape;
        }
        let dstream = &scratch.dstream;
        add_rows(dstream, &tape.tokens, &mut gradient[layout.embedding.clone()], hidden);
        if let Some(place) = &layout.positions {
            add_rows(dstream, &tape.positions, &mut gradient[place.clone()], hidden);
        }
        tape.scratch = scratch;
    }

    #[allow(clippy::too_many_arguments, reason = "a layer's weights, its tape, and where the gradients go")]
    fn feed_forward_backward(
        &self,
        layer: &Layer,
        places: &LayerPlaces,
        balance_weight: f32,
        tape: &Tape,
        layer_tape: &mut LayerTape,
        scratch: &mut Scratch,
        gradient: &mut [f32],
    ) {
        let rows = tape.rows();
        let Scratch { dstream, dnormed, dinner, dgates, daffinities, .. } = scratch;
        let dnormed = zeroed(dnormed, rows * self.config.hidden_size);
        let x = &layer_tape.feed_forward_norm.output;
        match (&layer.feed_forward, &places.feed_forward) {
            (FeedForward::Dense(swiglu), _) => {
                layer_tape.dense.backward(swiglu, dstream, x, dnormed, rows, dinner, gradient);
            }
            (
                FeedForward::Experts { router, routed, shared },
                FeedForwardPlaces::Experts { routed: places, .. },
            ) => {
                if let Some(shared) = shared {
                    layer_tape.dense.backward(shared, dstream, x, dnormed, rows, dinner, gradient);
                }
                let _scope = profile::enter(Part::Experts);
                let rule = self.rule();
                let dgates = sized(dgates, rows * rule.chosen);
                experts::backward(
                    self.expert_size(),
                    routed,
                    &layer_tape.dispatch,
                    &layer_tape.gates,
                    dstream,
                    dnormed,
                    dgates,
                    |expert| ExpertGradient {
                        gate_up: places[expert].gate_up.clone(),
                        down: places[expert].down.clone(),
                    },
                    gradient,
                    &mut layer_tape.saved,
                );
                let _scope = profile::enter(Part::Router);
                let affinities = &layer_tape.affinities[..rows * rule.experts];
                let choices = &layer_tape.choices;
                let dlogits = zeroed(daffinities, rows * rule.experts);
                rule.gates_backward(affinities, choices, dgates, dlogits);
                if balance_weight != 0.0 {
                    for span in &tape.spans {
                        let (all, chosen) = (
                            span.start * rule.experts..span.end * rule.experts,
                            span.start * rule.chosen..span.end * rule.chosen,
                        );
                        let dlogits = &mut dlogits[all.clone()];
                        rule.balance_backward(&affinities[all], &choices[chosen], balance_weight, dlogits);
                    }
                }
                for (dlogit, affinity) in dlogits.iter_mut().zip(affinities) {
                    *dlogit *= affinity * (1.0 - affinity);
                }
                router.backward(dlogits, x, dnormed, rows, true, gradient);
            }
            _ => unreachable!("layers are built from the same places"),
        }
        let place = &places.feed_forward_norm;
        let norm = self.parameters.at(place);
        layer_tape.feed_forward_norm.backward(dnormed, norm, dstream, &mut gradient[place.clone()]);
    }

    fn attend_backward(
        &self,
        layer: &Layer,
        places: &LayerPlaces,
        tape: &Tape,
        layer_tape: &mut LayerTape,
        scratch: &mut Scratch,
        gradient: &mut [f32],
    ) {
        let _scope = profile::enter(Part::Projections);
        let config = &self.config;
        let shape = self.attention_shape();
        let (heads, query_dim, value_dim) = (shape.heads, shape.query_dim, shape.value_dim);
        let rows = tape.rows();
        let Scratch {
            attention, gathered, dstream, dnormed, dinner, dlatent, dquery, dkey, dkey_value, ..
        } = scratch;
        let dattended = sized(dinner, rows * heads * value_dim);
        layer.output.backward(dstream, &layer_tape.attended, dattended, rows, false, gradient);
        let dquery = sized(dquery, rows * heads * query_dim);
        let dkey = sized(dkey, rows * shape.key_heads * query_dim);
        let dvalue = sized(dkey_value, rows * shape.key_heads * value_dim);
        for span in &tape.spans {
            let operands = (&layer_tape.query[..], &layer_tape.key[..], &layer_tape.key_value[..]);
            let (query, key, value) = self.heads(operands, span.start);
            let width = heads * value_dim;
            let _scope = profile::enter(Part::Attention);
            attention::backward(
                shape,
                span.len(),
                query,
                key,
                value,
                Heads { data: &dattended[span.start * width..], row: width, head: value_dim },
                HeadsMut::packed(dquery, span.start, heads, query_dim),
                HeadsMut::packed(dkey, span.start, shape.key_heads, query_dim),
                HeadsMut::packed(dvalue, span.start, shape.key_heads, value_dim),
                attention,
            );
        }
        let dnormed = sized(dnormed, rows * config.hidden_size);
        let normed = &layer_tape.attention_norm.output;
        match (&layer.projections, &places.attention) {
            (
                Projections::Mla { query_down, query_up, key_value_down, key_value_up, .. },
                AttentionPlaces::Mla { query_down: query_places, key_value_norm, .. },
            ) => {
                let (rank, rope, nope) =
                    (config.kv_lora_rank, config.qk_rope_head_dim, config.qk_nope_head_dim);
                let dlatent = zeroed(dlatent, rows * (rank + rope));
                // The forward's buffers are read no more, so the gradients of key and value take their place.
                let dup = &mut layer_tape.key_value;
                for row in 0..rows {
                    let position = tape.positions[row] as usize;
                    let drotary = &mut dlatent[row * (rank + rope) + rank..][..rope];
                    for head in 0..heads {
                        let at = (row * heads + head) * query_dim;
                        self.rotary.turn_back(&mut dquery[at + nope..at + query_dim], position);
                        let up_at = (row * heads + head) * (nope + value_dim);
                        dup[up_at..up_at + nope].copy_from_slice(&dkey[at..at + nope]);
                        let value_at = (row * heads + head) * value_dim;
                        dup[up_at + nope..up_at + nope + value_dim]
                            .copy_from_slice(&dvalue[value_at..value_at + value_dim]);
                        for (sum, dkey) in drotary.iter_mut().zip(&dkey[at + nope..at + query_dim]) {
                            *sum += dkey;
                        }
                    }
                    self.rotary.turn_back(drotary, position);
                }
                let dlow = sized(dinner, rows * rank);
                key_value_up.backward(dup, &layer_tape.latent_normed, dlow, rows, false, gradient);
                rms_norm::backward(
                    dlow,
                    &layer_tape.latent,
                    rank + rope,
                    self.parameters.at(key_value_norm),
                    &layer_tape.latent_inverse,
                    dlatent,
                    &mut gradient[key_value_norm.clone()],
                );
                key_value_down.backward(dlatent, normed, dnormed, rows, false, gradient);
                if let (Some(down), Some((_, place))) = (query_down, query_places) {
                    let dlow = sized(dinner, rows * down.out);
                    query_up.backward(dquery, &layer_tape.query_norm.output, dlow, rows, false, gradient);
                    let dlow_input = zeroed(gathered, rows * down.out);
                    let norm = self.parameters.at(place);
                    layer_tape.query_norm.backward(dlow, norm, dlow_input, &mut gradient[place.clone()]);
                    down.backward(dlow_input, normed, dnormed, rows, true, gradient);
                } else {
                    query_up.backward(dquery, normed, dnormed, rows, true, gradient);
                }
            }
            (Projections::Gqa(linear), _) => {
                let joint = &mut layer_tape.query;
                let (query_width, key_width) = (heads * query_dim, shape.key_heads * query_dim);
                for (row, joint) in joint.chunks_exact_mut(linear.out).enumerate() {
                    joint[..query_width].copy_from_slice(&dquery[row * query_width..(row + 1) * query_width]);
                    joint[query_width..query_width + key_width]
                        .copy_from_slice(&dkey[row * key_width..(row + 1) * key_width]);
                    joint[query_width + key_width..]
                        .copy_from_slice(&dvalue[row * key_width..(row + 1) * key_width]);
                    for head in joint.chunks_exact_mut(query_dim).take(heads + shape.key_heads) {
                        self.rotary.turn_back(head, tape.positions[row] as usize);
                    }
                }
                linear.backward(joint, normed, dnormed, rows, false, gradient);
            }
            _ => unreachable!("layers are built from the same places"),
        }
        let place = &places.attention_norm;
        layer_tape.attention_norm.backward(
            dnormed,
            self.parameters.at(place),
            dstream,
            &mut gradient[place.clone()],
        );
    }
}

/// Adds each row of `rows` to the row of `table` that its index names.
fn add_rows(rows: &[f32], indices: &[u32], table: &mut [f32], width: usize) {
    for (row, index) in rows.chunks_exact(width).zip(indices) {
        let at = *index as usize * width;
        for (sum, value) in table[at..at + width].iter_mut().zip(row) {
            *sum += value;
        }
    }
}

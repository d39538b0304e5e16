//! Gradient accumulation over a batch.
//!
//! The shards and micro-batches of a batch, and the order of the sum of gradients, are the same for any number of threads. So the
//! bits of an update depend on the batch alone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Tape, Transformer};
use crate::kernels::profile::{self, Part};
use crate::kernels::{elementwise, flops_executed, surplus_executed};
use crate::machine::work::Amount;
use crate::policy::Sequence;
use crate::policy::balance::add_loads;

/// Parts of a batch, each with a separate gradient.
const SHARDS: usize = 8;
/// Rows of a micro-batch: a feed-forward stays in the cache; more rows need memory and are not faster.
const DENSE_ROWS: usize = 320;
/// The same in a mixture of experts, where an expert processes only a part of the rows.
const EXPERTS_ROWS: usize = 640;

/// Buffers of the update, kept from step to step.
#[derive(Default)]
pub(super) struct Workspace {
    gradient: Vec<f32>,
    free: Mutex<Vec<Vec<f32>>>,
    tapes: Mutex<Vec<Tape>>,
}

/// The sum of the shards so far, in their order.
struct Merged<'a, S> {
    gradient: &'a mut Vec<f32>,
    whole: Parts<S>,
    /// Number of shards in the sum.
    count: usize,
    /// Shards that wait for an earlier one.
    early: BTreeMap<usize, (Vec<f32>, Parts<S>)>,
    failure: Option<candle_core::Error>,
}

impl<S> Merged<'_, S> {
    /// Adds shard `number`, and returns the buffers that are free now.
    fn take(&mut self, number: usize, gradient: Vec<f32>, pass: Parts<S>) -> Vec<Vec<f32>> {
        let _scope = profile::enter(Part::Optimizer);
        self.early.insert(number, (gradient, pass));
        let mut free = Vec::new();
        while let Some((gradient, pass)) = self.early.remove(&self.count) {
            if self.count == 0 {
                free.push(std::mem::replace(self.gradient, gradient));
            } else {
                elementwise::add(self.gradient, &gradient);
                free.push(gradient);
            }
            self.whole.parts.extend(pass.parts);
            add_loads(&mut self.whole.expert_loads, &pass.expert_loads);
            self.whole.forward += pass.forward;
            self.whole.backward += pass.backward;
            self.count += 1;
        }
        free
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The results of the shards of a batch besides the gradient.
#[derive(Default)]
pub(super) struct Parts<S> {
    /// The record of each micro-batch, in order.
    pub(super) parts: Vec<S>,
    pub(super) expert_loads: Vec<Vec<u64>>,
    pub(super) forward: Amount,
    pub(super) backward: Amount,
}

/// The gradient of each log-probability of a micro-batch (`None`: no backward), and a record.
pub(super) type Wanted<S> = candle_core::Result<(Option<Vec<f32>>, S)>;

/// Cuts `sequences` into shards with about equal numbers of rows.
fn shards(sequences: &[Sequence<'_>]) -> Vec<Range<usize>> {
    let total: usize = sequences.iter().map(Sequence::rows).sum();
    let mut cuts = Vec::with_capacity(SHARDS);
    let (mut start, mut rows) = (0, 0);
    for (at, sequence) in sequences.iter().enumerate() {
        rows += sequence.rows();
        if rows * SHARDS >= total * (cuts.len() + 1) {
            cuts.push(start..at + 1);
            start = at + 1;
        }
    }
    cuts
}

/// Cuts a shard into micro-batches of at most `most_rows` rows.
fn micro_batches(sequences: &[Sequence<'_>], shard: Range<usize>, most_rows: usize) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let (mut start, mut rows) = (shard.start, 0);
    for at in shard.clone() {
        let more = sequences[at].rows();
        if rows > 0 && rows + more > most_rows {
            cuts.push(start..at);
            (start, rows) = (at, 0);
        }
        rows += more;
    }
    if start < shard.end {
        cuts.push(start..shard.end);
    }
    cuts
}

impl Workspace {
    /// The gradient of the last [`Workspace::run`], in the parameters' layout.
    pub(super) fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Runs every sequence forward and, with the gradient that `loss` gives for a micro-batch, backward.
    ///
    /// `loss` gets the range of the micro-batch in `sequences` and its tape.
    pub(super) fn run<S: Send + Default>(
        &mut self,
        policy: &Transformer,
        sequences: &[Sequence<'_>],
        temperature: f32,
        balance_weight: f32,
        loss: impl Fn(Range<usize>, &Tape) -> Wanted<S> + Sync,
    ) -> candle_core::Result<Parts<S>> {
        let cuts = shards(sequences);
        let Self { gradient, free, tapes } = self;
        let next = AtomicUsize::new(0);
        let merged = Mutex::new(Merged {
            gradient,
            whole: Parts::default(),
            count: 0,
            early: BTreeMap::new(),
            failure: None,
        });
        let most_rows = if policy.config.has_experts() { EXPERTS_ROWS } else { DENSE_ROWS };
        rayon::broadcast(|_| {
            let mut tape = locked(tapes).pop().unwrap_or_default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(shard) = cuts.get(number) else { break };
                let mut gradient = locked(free).pop().unwrap_or_default();
                gradient.clear();
                gradient.resize(policy.parameters.layout.len, 0.0);
                let pass = micro_batches(sequences, shard.clone(), most_rows).into_iter().try_fold(
                    Parts::default(),
                    |mut pass, micro_batch| {
                        let started = counted();
                        policy.forward(&sequences[micro_batch.clone()], temperature, &mut tape);
                        let forwarded = counted();
                        let (wanted, part) = loss(micro_batch, &tape)?;
                        add_loads(&mut pass.expert_loads, &tape.expert_loads);
                        if let Some(wanted) = wanted {
                            policy.backward(&wanted, balance_weight, &mut tape, &mut gradient);
                        }
                        pass.parts.push(part);
                        let done = counted();
                        pass.forward += between(started, forwarded);
                        pass.backward += between(forwarded, done);
                        Ok(pass)
                    },
                );
                let mut merged = locked(&merged);
                match pass {
                    Ok(pass) => locked(free).extend(merged.take(number, gradient, pass)),
                    Err(error) => {
                        merged.failure.get_or_insert(error);
                    }
                }
            }
            locked(tapes).push(tape);
        });
        let Merged { whole, failure, .. } = merged.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) => Err(error),
            None => Ok(whole),
        }
    }
}

/// This thread's operations so far: those that the model requires, and the others.
fn counted() -> (u64, u64) {
    (flops_executed() - surplus_executed(), surplus_executed())
}

fn between(start: (u64, u64), end: (u64, u64)) -> Amount {
    Amount { flops: end.0 - start.0, surplus_flops: end.1 - start.1, tokens: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{policy, random_tokens, small};

    #[test]
    fn the_cuts_cover_everything_once_and_do_not_know_threads() {
        for count in [1, 3, 8, 50] {
            let lengths: Vec<usize> = (0..count).map(|at| 2 + (at * 37) % 300).collect();
            let tokens = random_tokens(&lengths, 5);
            let sequences: Vec<Sequence<'_>> =
                tokens.iter().map(|tokens| Sequence { tokens, first_target: 1, routes: None }).collect();
            let all: Vec<usize> = shards(&sequences)
                .into_iter()
                .flat_map(|shard| {
                    let parts = micro_batches(&sequences, shard, DENSE_ROWS);
                    assert!(parts.iter().all(|part| {
                        part.len() == 1
                            || sequences[part.clone()].iter().map(Sequence::rows).sum::<usize>() <= DENSE_ROWS
                    }));
                    parts.into_iter().flatten().collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
            assert!(shards(&sequences).len() <= SHARDS);
        }
    }

    #[test]
    fn the_gradient_has_the_same_bits_on_any_number_of_threads() {
        let config = small();
        let policy = policy(&config, 5);
        let tokens = random_tokens(&[40, 3, 80, 21, 60, 9, 33, 70, 12, 55], config.vocab_size);
        let sequences: Vec<Sequence<'_>> =
            tokens.iter().map(|tokens| Sequence { tokens, first_target: 1, routes: None }).collect();
        let gradients: Vec<Vec<f32>> = [1, 2, 4]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut workspace = Workspace::default();
                let loss =
                    |_: Range<usize>, tape: &Tape| Ok((Some(vec![-0.01; tape.log_probabilities.len()]), ()));
                // Twice, to test reused buffers.
                for _ in 0..2 {
                    pool.install(|| workspace.run(&policy, &sequences, 1.0, 0.1, loss)).unwrap();
                }
                workspace.gradient().to_vec()
            })
            .to_vec();
        assert!(gradients[0].iter().any(|value| *value != 0.0));
        assert_eq!(gradients[0], gradients[1]);
        assert_eq!(gradients[0], gradients[2]);
    }
}

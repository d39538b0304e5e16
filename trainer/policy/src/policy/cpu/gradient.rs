//! Gradient accumulation over a batch.
//!
//! The leaves and micro-batches of a batch, and the tree that sums their gradients, are the same for any number of threads
//! and ranks. So the bits of an update depend on the batch alone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Tape, Transformer};
use crate::kernels::profile::{self, Part};
use crate::kernels::{flops_executed, surplus_executed};
use crate::machine::work::Amount;
use crate::policy::Sequence;
use crate::policy::balance::add_loads;
use crate::policy::collective::{Collective, Tree, leaves};

/// Rows of a micro-batch: a feed-forward stays in the cache; more rows need memory and are not faster.
const DENSE_ROWS: usize = 320;
/// The same in a mixture of experts, where an expert processes only a part of the rows.
const EXPERTS_ROWS: usize = 640;

/// Buffers of the update, kept from step to step.
#[derive(Default)]
pub(super) struct Workspace {
    gradient: Vec<f32>,
    tapes: Mutex<Vec<Tape>>,
}

/// What the leaves have given so far.
struct Merged<S> {
    tree: Tree,
    parts: BTreeMap<usize, Parts<S>>,
    failure: Option<candle_core::Error>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The results of the leaves of a batch besides the gradient.
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

/// Cuts a leaf into micro-batches of at most so many rows.
fn micro_batches(sequences: &[Sequence<'_>], leaf: Range<usize>, most_rows: usize) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let (mut start, mut rows) = (leaf.start, 0);
    for at in leaf.clone() {
        let more = sequences[at].rows();
        if rows > 0 && rows + more > most_rows {
            cuts.push(start..at);
            (start, rows) = (at, 0);
        }
        rows += more;
    }
    if start < leaf.end {
        cuts.push(start..leaf.end);
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
        ranks: &dyn Collective,
        loss: impl Fn(Range<usize>, &Tape) -> Wanted<S> + Sync,
    ) -> candle_core::Result<Parts<S>> {
        let cuts = leaves(sequences);
        let Self { gradient, tapes } = self;
        // Gradients of leaves, for use again. They are given back at the end: a rollout takes as much memory as they do.
        let free = Mutex::new(vec![std::mem::take(gradient)]);
        let own = ranks.leaves();
        let next = AtomicUsize::new(own.start);
        let merged =
            Mutex::new(Merged { tree: Tree::over(cuts.len()), parts: BTreeMap::new(), failure: None });
        let most_rows = if policy.config.has_experts() { EXPERTS_ROWS } else { DENSE_ROWS };
        // Threads take leaves in order, so that few wait to be summed.
        rayon::broadcast(|_| {
            let mut tape = locked(tapes).pop().unwrap_or_default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(leaf) = cuts.get(number).filter(|_| number < own.end) else { break };
                let mut gradient = Vec::new();
                let pass = micro_batches(sequences, leaf.clone(), most_rows).into_iter().try_fold(
                    Parts::default(),
                    |mut pass, micro_batch| {
                        let started = counted();
                        policy.forward(&sequences[micro_batch.clone()], temperature, &mut tape);
                        let forwarded = counted();
                        let (wanted, part) = loss(micro_batch, &tape)?;
                        add_loads(&mut pass.expert_loads, &tape.expert_loads);
                        if let Some(wanted) = wanted {
                            if gradient.is_empty() {
                                gradient = locked(&free).pop().unwrap_or_default();
                                gradient.clear();
                                gradient.resize(policy.parameters.layout.len, 0.0);
                            }
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
                    Ok(pass) => {
                        let _scope = profile::enter(Part::Optimizer);
                        locked(&free).extend(merged.tree.add(number, gradient));
                        merged.parts.insert(number, pass);
                    }
                    Err(error) => {
                        merged.failure.get_or_insert(error);
                    }
                }
            }
            locked(tapes).push(tape);
        });
        let Merged { tree, parts, failure } = merged.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = failure {
            return Err(error);
        }
        let sum = tree.sum();
        let is_evaluated_only = sum.as_ref().is_some_and(Vec::is_empty);
        *gradient = match sum.filter(|sum| !sum.is_empty()) {
            Some(sum) => sum,
            // The last gradient stays where no leaf asked for one.
            None => free.into_inner().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default(),
        };
        if !is_evaluated_only {
            if parts.is_empty() {
                // A rank without a leaf adds nothing to the others' sum.
                gradient.clear();
                gradient.resize(policy.parameters.layout.len, 0.0);
            }
            ranks.sum_tree(gradient)?;
        }
        let mut whole = Parts::default();
        for part in parts.into_values() {
            whole.parts.extend(part.parts);
            add_loads(&mut whole.expert_loads, &part.expert_loads);
            whole.forward += part.forward;
            whole.backward += part.backward;
        }
        Ok(whole)
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
    use crate::policy::collective::{Alone, LEAVES};
    use crate::policy::tests::{policy, random_tokens, small};

    #[test]
    fn the_cuts_cover_everything_once_and_do_not_know_threads() {
        for count in [1, 3, 8, 50] {
            let lengths: Vec<usize> = (0..count).map(|at| 2 + (at * 37) % 300).collect();
            let tokens = random_tokens(&lengths, 5);
            let sequences: Vec<Sequence<'_>> =
                tokens.iter().map(|tokens| Sequence { tokens, first_target: 1, routes: None }).collect();
            let all: Vec<usize> = leaves(&sequences)
                .into_iter()
                .flat_map(|leaf| {
                    let parts = micro_batches(&sequences, leaf, DENSE_ROWS);
                    assert!(parts.iter().all(|part| {
                        part.len() == 1
                            || sequences[part.clone()].iter().map(Sequence::rows).sum::<usize>() <= DENSE_ROWS
                    }));
                    parts.into_iter().flatten().collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
            assert!(leaves(&sequences).len() <= LEAVES);
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
                    pool.install(|| workspace.run(&policy, &sequences, 1.0, 0.1, &Alone, loss)).unwrap();
                }
                workspace.gradient().to_vec()
            })
            .to_vec();
        assert!(gradients[0].iter().any(|value| *value != 0.0));
        assert_eq!(gradients[0], gradients[1]);
        assert_eq!(gradients[0], gradients[2]);
    }

    /// Threads that act as ranks: each puts its values down, and sums those of all.
    struct Threads<'a> {
        rank: usize,
        ranks: usize,
        barrier: &'a std::sync::Barrier,
        values: &'a Mutex<BTreeMap<usize, Vec<f32>>>,
    }

    impl Collective for Threads<'_> {
        fn rank(&self) -> usize {
            self.rank
        }

        fn ranks(&self) -> usize {
            self.ranks
        }

        fn sum_tree(&self, values: &mut [f32]) -> candle_core::Result<()> {
            locked(self.values).insert(self.rank, values.to_vec());
            self.barrier.wait();
            let mut level: Vec<Vec<f32>> = locked(self.values).values().cloned().collect();
            while level.len() > 1 {
                level = level
                    .chunks_exact(2)
                    .map(|pair| pair[0].iter().zip(&pair[1]).map(|(left, right)| left + right).collect())
                    .collect();
            }
            values.copy_from_slice(&level[0]);
            Ok(())
        }
    }

    #[test]
    fn the_gradient_has_the_same_bits_on_any_number_of_ranks() {
        let config = small();
        let policy = policy(&config, 5);
        let loss = |_: Range<usize>, tape: &Tape| Ok((Some(vec![-0.01; tape.log_probabilities.len()]), ()));
        for lengths in [&[40, 3, 80, 21, 60, 9, 33, 70, 12, 55][..], &[30, 20, 25], &[9]] {
            let tokens = random_tokens(lengths, config.vocab_size);
            let sequences: Vec<Sequence<'_>> =
                tokens.iter().map(|tokens| Sequence { tokens, first_target: 1, routes: None }).collect();
            let mut alone = Workspace::default();
            alone.run(&policy, &sequences, 1.0, 0.1, &Alone, loss).unwrap();
            for ranks in [2, 4, 8] {
                let (barrier, values) = (std::sync::Barrier::new(ranks), Mutex::new(BTreeMap::new()));
                std::thread::scope(|scope| {
                    for rank in 0..ranks {
                        let (policy, sequences, expected) = (&policy, &sequences, alone.gradient());
                        let threads = Threads { rank, ranks, barrier: &barrier, values: &values };
                        scope.spawn(move || {
                            let mut workspace = Workspace::default();
                            workspace.run(policy, sequences, 1.0, 0.1, &threads, loss).unwrap();
                            assert_eq!(workspace.gradient(), expected, "rank {rank} of {ranks}");
                        });
                    }
                });
            }
        }
    }
}

//! The time of a step by part of the policy; off by default.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::flops_executed;
use crate::machine::clock::Stopwatch;

/// Parts of a step. The time of an inner part does not count for the part around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Linear layers of the attention.
    Projections,
    /// Scores, softmax and weighted sums, with the packing of keys and values.
    Attention,
    /// Dense and shared feed-forwards.
    FeedForward,
    /// Affinities, choices, gates.
    Router,
    /// The grouped product of the routed experts.
    Experts,
    /// RMSNorm.
    Norms,
    /// Output head, log-probabilities, entropies.
    Head,
    /// Drawing tokens.
    Sampling,
    /// Summing the leaves' gradients, AdamW, packing the weights again.
    Optimizer,
    /// Everything else.
    Other,
}

impl Part {
    /// Every part, in the order of the data.
    pub const ALL: [Self; 10] = [
        Self::Projections,
        Self::Attention,
        Self::FeedForward,
        Self::Router,
        Self::Experts,
        Self::Norms,
        Self::Head,
        Self::Sampling,
        Self::Optimizer,
        Self::Other,
    ];

    /// The name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Projections => "projections",
            Self::Attention => "attention",
            Self::FeedForward => "feed_forward",
            Self::Router => "router",
            Self::Experts => "experts",
            Self::Norms => "norms",
            Self::Head => "head",
            Self::Sampling => "sampling",
            Self::Optimizer => "optimizer",
            Self::Other => "other",
        }
    }
}

/// What one part took on all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Taken {
    /// Seconds.
    pub seconds: f64,
    /// Operations of products.
    pub flops: u64,
}

static IS_ON: AtomicBool = AtomicBool::new(false);
static NANOSECONDS: [AtomicU64; Part::ALL.len()] = [const { AtomicU64::new(0) }; Part::ALL.len()];
static FLOPS: [AtomicU64; Part::ALL.len()] = [const { AtomicU64::new(0) }; Part::ALL.len()];

thread_local! {
    /// Nanoseconds and operations of the parts inside the current one.
    static INNER: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Starts counting from 0, or stops it.
pub fn switch(on: bool) {
    for count in NANOSECONDS.iter().chain(&FLOPS) {
        count.store(0, Ordering::Relaxed);
    }
    IS_ON.store(on, Ordering::Relaxed);
}

/// What each part has taken so far, in the order of [`Part::ALL`].
pub fn taken() -> [Taken; Part::ALL.len()] {
    std::array::from_fn(|part| Taken {
        seconds: NANOSECONDS[part].load(Ordering::Relaxed) as f64 / 1e9,
        flops: FLOPS[part].load(Ordering::Relaxed),
    })
}

/// Counts for a part until it is dropped.
pub struct Scope(Option<Running>);

struct Running {
    part: Part,
    started: Stopwatch,
    flops: u64,
    outside: (u64, u64),
}

/// Counts for `part` until the result is dropped.
pub fn enter(part: Part) -> Scope {
    if !IS_ON.load(Ordering::Relaxed) {
        return Scope(None);
    }
    let outside = INNER.replace((0, 0));
    Scope(Some(Running { part, started: Stopwatch::start(), flops: flops_executed(), outside }))
}

impl Drop for Scope {
    fn drop(&mut self) {
        let Some(Running { part, started, flops, outside }) = self.0.take() else { return };
        let (nanoseconds, flops) = (started.nanoseconds(), flops_executed() - flops);
        let inner = INNER.replace((outside.0 + nanoseconds, outside.1 + flops));
        NANOSECONDS[part as usize].fetch_add(nanoseconds.saturating_sub(inner.0), Ordering::Relaxed);
        FLOPS[part as usize].fetch_add(flops.saturating_sub(inner.1), Ordering::Relaxed);
    }
}

//! Sums of gradients that come out the same, bit by bit, on any number of threads and ranks.
//!
//! A batch is cut into at most [`LEAVES`] leaves, and their gradients are summed as a fixed binary tree: leaf 0 with leaf
//! 1, leaf 2 with leaf 3, then these two sums, and so on. Whoever holds a whole subtree gets the same sum of it, so 1, 2,
//! 4 or 8 ranks may share the leaves.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Sequence;
use crate::kernels::elementwise;

/// Parts of a batch, each with a gradient of its own.
pub const LEAVES: usize = 8;

/// The processes that train together. Each computes the leaves of its own rank.
pub trait Collective: Send + Sync {
    /// This process's number, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are: 1, 2, 4 or 8.
    fn ranks(&self) -> usize;

    /// Sums `values` over all ranks as the upper levels of the tree, and gives every rank the sum.
    ///
    /// # Errors
    /// When another rank cannot be reached.
    fn sum_tree(&self, values: &mut [f32]) -> candle_core::Result<()>;

    /// The leaves that this rank computes.
    fn leaves(&self) -> Range<usize> {
        assert!(LEAVES.is_multiple_of(self.ranks()), "1, 2, 4 or 8 ranks share the leaves");
        let share = LEAVES / self.ranks();
        self.rank() * share..(self.rank() + 1) * share
    }
}

/// One process alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn ranks(&self) -> usize {
        1
    }

    fn sum_tree(&self, _values: &mut [f32]) -> candle_core::Result<()> {
        Ok(())
    }
}

/// Cuts `sequences` into leaves of about equally many rows.
pub fn leaves(sequences: &[Sequence<'_>]) -> Vec<Range<usize>> {
    let total: usize = sequences.iter().map(Sequence::rows).sum();
    let mut cuts = Vec::with_capacity(LEAVES);
    let (mut start, mut rows) = (0, 0);
    for (at, sequence) in sequences.iter().enumerate() {
        rows += sequence.rows();
        if rows * LEAVES >= total * (cuts.len() + 1) {
            cuts.push(start..at + 1);
            start = at + 1;
        }
    }
    cuts
}

/// The gradients of leaves, summed pair by pair as they come.
#[derive(Debug)]
pub struct Tree {
    /// Sums that wait for their sibling, by level and place.
    waiting: BTreeMap<(u32, usize), Vec<f32>>,
    /// Leaves of the whole batch; a leaf that is not there adds nothing.
    leaves: usize,
}

impl Tree {
    /// A tree over the first `leaves` of [`LEAVES`] leaves.
    pub fn over(leaves: usize) -> Self {
        Self { waiting: BTreeMap::new(), leaves }
    }

    /// Adds the gradient of leaf `leaf`; gives the buffers that are free now.
    pub fn add(&mut self, leaf: usize, gradient: Vec<f32>) -> Vec<Vec<f32>> {
        let (mut level, mut place, mut sum, mut free) = (0, leaf, gradient, Vec::new());
        loop {
            let sibling = place ^ 1;
            // Only a right sibling can lie beyond the last leaf.
            if (sibling << level) < self.leaves {
                match self.waiting.remove(&(level, sibling)) {
                    Some(other) => {
                        let (mut left, right) = if sibling > place { (sum, other) } else { (other, sum) };
                        assert_eq!(left.len(), right.len(), "all leaves have a gradient, or none has");
                        elementwise::add(&mut left, &right);
                        free.push(right);
                        sum = left;
                    }
                    None => {
                        self.waiting.insert((level, place), sum);
                        return free;
                    }
                }
            } else if place == 0 {
                self.waiting.insert((LEAVES.ilog2(), 0), sum);
                return free;
            }
            (level, place) = (level + 1, place / 2);
        }
    }

    /// The sum of the leaves of one rank, which are all in; `None` where it has none.
    pub fn sum(self) -> Option<Vec<f32>> {
        self.waiting.into_values().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum as the definition has it: the left half of the leaves, then the right half.
    fn plain(leaves: &[f32], all: usize) -> Option<f32> {
        if all == 1 {
            return leaves.first().copied();
        }
        let (left, right) = leaves.split_at(leaves.len().min(all / 2));
        match (plain(left, all / 2), plain(right, all / 2)) {
            (Some(left), Some(right)) => Some(left + right),
            (left, right) => left.or(right),
        }
    }

    #[test]
    fn leaves_are_summed_as_a_tree_in_whatever_order_they_come() {
        let leaf = |at: usize| 0.1f32 + (at as f32).powi(5) * 1.37e-3;
        let left_to_right: f32 = (0..LEAVES).map(leaf).sum();
        assert_ne!(Some(left_to_right), plain(&(0..LEAVES).map(leaf).collect::<Vec<_>>(), LEAVES));
        for count in 1..=LEAVES {
            let values: Vec<f32> = (0..count).map(leaf).collect();
            for turn in 0..count {
                let mut tree = Tree::over(count);
                let forward = (0..count).map(|at| (at + turn) % count);
                let order: Vec<usize> =
                    if turn % 2 == 0 { forward.collect() } else { forward.rev().collect() };
                let freed: usize = order.iter().map(|at| tree.add(*at, vec![values[*at]]).len()).sum();
                assert_eq!(freed, count - 1);
                assert_eq!(tree.sum().map(|sum| sum[0]), plain(&values, LEAVES), "{count} leaves, {order:?}");
            }
        }
    }
}

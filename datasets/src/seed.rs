//! Counter-based random streams: every draw has an address. So resuming repeats no draws, and the number of threads
//! changes nothing.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// The stream of random numbers that belongs to an address.
///
/// Its draws are implemented here instead of in a distribution crate, because a question's text must not change when a
/// dependency changes how it rounds.
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream at (`purpose`, `seed`, `address`). They are hashed, not added, so neighbouring streams are
    /// independent.
    pub fn at(purpose: &str, seed: u64, address: &[u64]) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(&(purpose.len() as u64).to_le_bytes());
        hash.update(purpose.as_bytes());
        hash.update(&seed.to_le_bytes());
        for part in address {
            hash.update(&part.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(*hash.finalize().as_bytes()))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform number in `0..bound`, or 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        let limit = u64::MAX - (u64::MAX - bound + 1) % bound;
        loop {
            let bits = self.bits();
            if bits <= limit {
                return bits % bound;
            }
        }
    }

    /// An index in `0..length`, or 0 if `length` is 0.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A whole number in `low..=high`, or `low` if the range is empty.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        if high <= low {
            return low;
        }
        low.wrapping_add(self.below(high.wrapping_sub(low) as u64 + 1) as i64)
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `items`, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Shuffles `items` (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// A normally distributed number with mean 0 and standard deviation 1 (Box–Muller, cosine branch).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// The position of `index` in the random order of `0..count` that belongs to an address. The order is not stored as a
/// list.
///
/// A Feistel network over the next even number of bits, repeated until the value is in range (Black and Rogaway 2002).
pub fn permuted(purpose: &str, seed: u64, address: &[u64], index: u64, count: u64) -> u64 {
    const ROUNDS: usize = 4;
    let half = (u64::BITS - count.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    let mut keys = Stream::at(purpose, seed, address);
    let keys: [u64; ROUNDS] = std::array::from_fn(|_| keys.bits());
    let mut place = index;
    loop {
        let (mut left, mut right) = (place >> half, place & mask);
        for key in keys {
            (left, right) = (right, left ^ (Stream::at("feistel", key, &[right]).bits() & mask));
        }
        place = left << half | right;
        if place < count {
            return place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_visits_each_place_once_in_an_order_of_its_own() {
        for count in [1, 2, 3, 7, 64, 65, 1000] {
            let order = |epoch| -> Vec<u64> {
                (0..count).map(|index| permuted("test", 5, &[epoch], index, count)).collect()
            };
            let mut sorted = order(0);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            assert!(count < 10 || (order(0) != sorted && order(0) != order(1)));
        }
    }

    #[test]
    fn an_address_is_a_stream_of_its_own() {
        let draw = |purpose, seed, address: &[u64]| Stream::at(purpose, seed, address).bits();
        assert_eq!(draw("a", 1, &[2, 3]), draw("a", 1, &[2, 3]));
        // If addresses were added, these pairs would be equal.
        assert_ne!(draw("a", 1, &[2]), draw("a", 2, &[1]));
        assert_ne!(draw("a", 1, &[2, 3]), draw("a", 1, &[3, 2]));
        assert_ne!(draw("a", 1, &[]), draw("b", 1, &[]));
    }

    #[test]
    fn bits_are_frozen() {
        assert_eq!(Stream::at("frozen", 7, &[1, 2]).below(1_000_000), FROZEN);
    }
    const FROZEN: u64 = 194_116;

    #[test]
    fn draws_stay_in_their_bounds() {
        let mut stream = Stream::at("bounds", 0, &[]);
        let mut seen = [false; 7];
        for _ in 0..1000 {
            seen[stream.below(7) as usize] = true;
            assert!((-3..=5).contains(&stream.between(-3, 5)));
            assert!((0.0..1.0).contains(&stream.unit()));
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(stream.between(i64::MIN, i64::MIN), i64::MIN);
    }
}

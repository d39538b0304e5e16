//! Points and primes at which two answers are compared. They follow from both texts through a cryptographic hash, so the
//! same item always gets the same verdict, but nobody can write an answer for points that he knows.

use num_bigint::BigInt;
use sha2::{Digest, Sha256};

use super::number::Rational;

/// Random numbers that depend on the texts of both answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed([u8; 32]);

impl Seed {
    /// The seed of a right answer and an answer.
    pub(super) fn of(gold: &str, answer: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((gold.len() as u64).to_le_bytes());
        hash.update(gold);
        hash.update(answer);
        Self(hash.finalize().into())
    }

    /// The random number of a purpose and an index.
    fn number(self, purpose: &str, index: u64) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(purpose);
        hash.update(index.to_le_bytes());
        let bytes: [u8; 32] = hash.finalize().into();
        bytes[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// The prime with number `index`: at least `2^60`, below `2^61`, and one less than a multiple of 4.
    pub(super) fn prime(self, index: u64) -> u64 {
        let start = self.number("prime", index);
        (0..).map(|step| (mix(start ^ mix(step)) >> 4) | 1 << 60 | 3).find(|odd| is_prime(*odd)).unwrap_or(3)
    }

    /// The key from which the values of all names at one point follow.
    pub(super) fn key(self, purpose: &str, index: u64) -> u64 {
        self.number(purpose, index)
    }
}

/// A well-mixed number that depends only on its inputs (splitmix64).
pub(super) fn mix(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The number of a text under a key.
pub(super) fn hash(key: u64, text: &str) -> u64 {
    text.bytes().fold(mix(key), |state, byte| mix(state ^ u64::from(byte)))
}

/// The product modulo `modulus`.
pub(super) fn multiply(left: u64, right: u64, modulus: u64) -> u64 {
    (u128::from(left) * u128::from(right) % u128::from(modulus)) as u64
}

/// The power modulo `modulus`.
pub(super) fn power(mut base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(result, base, modulus);
        }
        base = multiply(base, base, modulus);
        exponent >>= 1;
    }
    result
}

/// Whether an odd number is prime (Miller–Rabin with bases that decide every number below `2^64`).
fn is_prime(odd: u64) -> bool {
    const SMALL: [u64; 20] = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73];
    // Found by Jim Sinclair.
    const BASES: [u64; 7] = [2, 325, 9375, 28178, 450_775, 9_780_504, 1_795_265_022];
    if let Some(factor) = SMALL.into_iter().find(|factor| odd.is_multiple_of(*factor)) {
        return odd == factor;
    }
    let turns = (odd - 1).trailing_zeros();
    BASES.into_iter().all(|base| {
        let mut value = power(base % odd, (odd - 1) >> turns, odd);
        if value == 1 || value == odd - 1 || value == 0 {
            return true;
        }
        for _ in 1..turns {
            value = multiply(value, value, odd);
            if value == odd - 1 {
                return true;
            }
        }
        false
    })
}

/// Where the values of names lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Positive numbers below 1.
    Small,
    /// Numbers between 1 and 4.
    Medium,
    /// Numbers between -4 and -1/2.
    Negative,
    /// Numbers between 1/2 and 4 of both signs.
    Mixed,
    /// Positive numbers near a power of two.
    Far(i32),
    /// Negative numbers near a power of two.
    FarNegative(i32),
    /// Numbers of both signs near a power of two.
    FarMixed(i32),
    /// Complex numbers.
    Complex,
    /// Whole numbers from 2 to 15.
    Few,
    /// Whole numbers from 16 to 40.
    Many,
    /// Whole numbers with up to 60 bits.
    Whole,
}

impl Place {
    /// Whether a value may be negative. Below 0, conventions differ for the branches of roots and logarithms.
    pub(super) fn is_negative(self) -> bool {
        matches!(self, Self::Negative | Self::Mixed | Self::FarNegative(_) | Self::FarMixed(_))
    }

    /// Whether the values are whole numbers.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Few | Self::Many | Self::Whole)
    }

    /// Whether the point is only there to tell expressions apart that agree at the others.
    pub(super) fn is_far(self) -> bool {
        matches!(self, Self::Far(_) | Self::FarNegative(_) | Self::FarMixed(_))
    }
}

/// A point: a place, and the key from which the values of names follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Where the values lie.
    pub(super) place: Place,
    key: u64,
}

impl Point {
    /// The point with number `index` at a place.
    pub(super) fn new(seed: Seed, place: Place, index: usize) -> Self {
        Self { place, key: seed.key("point", index as u64) }
    }

    /// The values of a name: its real and its imaginary part.
    pub(super) fn value(self, spelling: &str) -> (Rational, Rational) {
        let random = hash(self.key, spelling);
        // The last bit gives the sign, the others a number in [0, 1).
        let (sign, part) = (if random & 1 == 1 { 1 } else { -1 }, BigInt::from(random >> 4));
        let unit = BigInt::from(1_u64 << 60);
        let ratio =
            |top: BigInt, bottom: BigInt| Rational::new(top, bottom).unwrap_or_else(|_| Rational::from(2));
        let real = match self.place {
            Place::Small => ratio(part + (&unit >> 10), &unit + (&unit >> 9)),
            Place::Medium => ratio(&unit + part * 3, unit.clone()),
            Place::Negative => ratio((&unit + part * 7) * -1, &unit << 1),
            Place::Mixed | Place::Complex => ratio((&unit + part * 7) * sign, &unit << 1),
            Place::Far(bits) | Place::FarNegative(bits) | Place::FarMixed(bits) => {
                let sign = match self.place {
                    Place::Far(_) => 1,
                    Place::FarNegative(_) => -1,
                    _ => sign,
                };
                let (top, up) = ((&unit + part) * sign, bits.unsigned_abs());
                if bits >= 0 { ratio(top << up, unit.clone()) } else { ratio(top, &unit << up) }
            }
            Place::Few => Rational::from(2 + (random >> 4) as i64 % 14),
            Place::Many => Rational::from(16 + (random >> 4) as i64 % 25),
            Place::Whole => Rational::integer(part >> (random % 50)),
        };
        let imaginary = match self.place {
            Place::Complex => ratio(BigInt::from(mix(random) >> 4) + (&unit >> 3), unit),
            _ => Rational::from(0),
        };
        (real, imaginary)
    }

    /// A number from 0 to 1 for an unknown function of known arguments.
    pub(super) fn opaque(self, name: &str, index: usize) -> Rational {
        let random = hash(self.key, name) ^ mix(index as u64);
        Rational::new(BigInt::from(mix(random) >> 4 | 1), BigInt::from(1_u64 << 60))
            .unwrap_or_else(|_| Rational::from(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_prime() {
        for odd in (75..20_000).step_by(2) {
            let divisor = (3..odd).step_by(2).take_while(|divisor| divisor * divisor <= odd);
            assert_eq!(is_prime(odd), divisor.into_iter().all(|divisor| odd % divisor != 0), "{odd}");
        }
        // Strong pseudoprimes to many small bases, and a prime.
        assert!(!is_prime(3_825_123_056_546_413_051));
        assert!(!is_prime(341_550_071_728_321));
        assert!(is_prime((1 << 61) - 1));
        let seed = Seed::of("x+1", "1+x");
        for index in 0..20 {
            let prime = seed.prime(index);
            assert!(is_prime(prime) && prime % 4 == 3 && prime >> 60 == 1, "{prime}");
        }
    }

    #[test]
    fn points_follow_from_both_texts() {
        let value = |gold: &str, answer: &str| {
            Point::new(Seed::of(gold, answer), Place::Medium, 0).value("x").0.numerator().clone()
        };
        assert_eq!(value("x", "y"), value("x", "y"));
        assert_ne!(value("x", "y"), value("x", "y "));
        assert_ne!(value("xy", ""), value("x", "y"));
        assert_ne!(Seed::of("x", "y").prime(0), Seed::of("x", "z").prime(0));
    }
}

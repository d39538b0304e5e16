//! The numbers `a + b i` modulo a prime.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::ToPrimitive;

use super::super::Stop;
use super::super::number::Rational;
use super::super::points::{multiply, power};

/// A number `re + im i` modulo a prime that is one less than a multiple of 4, so that -1 has no root among the `re`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Number {
    /// The part without `i`.
    pub(super) re: u64,
    /// The part with `i`.
    pub(super) im: u64,
}

/// The numbers modulo a prime.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// The prime.
    pub(super) prime: u64,
}

impl Field {
    /// The sum.
    pub(super) fn add(self, a: Number, b: Number) -> Number {
        Number { re: (a.re + b.re) % self.prime, im: (a.im + b.im) % self.prime }
    }

    /// The negated number.
    pub(super) fn negative(self, a: Number) -> Number {
        Number { re: (self.prime - a.re) % self.prime, im: (self.prime - a.im) % self.prime }
    }

    /// The product.
    pub(super) fn multiply(self, a: Number, b: Number) -> Number {
        let times = |a: u64, b: u64| if b == 1 { a } else { multiply(a, b, self.prime) };
        if a.im == 0 && b.im == 0 {
            return Number { re: times(a.re, b.re), im: 0 };
        }
        let re = self.prime + times(a.re, b.re) - times(a.im, b.im);
        Number { re: re % self.prime, im: (times(a.re, b.im) + times(a.im, b.re)) % self.prime }
    }

    /// The power.
    pub(super) fn power(self, mut base: Number, mut exponent: u64) -> Number {
        let mut result = self.integer(1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.multiply(result, base);
            }
            base = self.multiply(base, base);
            exponent >>= 1;
        }
        result
    }

    /// The inverse, which 0 has not.
    pub(super) fn inverse(self, a: Number) -> Result<Number, Stop> {
        let size = (multiply(a.re, a.re, self.prime) + multiply(a.im, a.im, self.prime)) % self.prime;
        if size == 0 {
            return Err(Stop::Undefined);
        }
        let inverse = power(size, self.prime - 2, self.prime);
        Ok(self.multiply(
            Number { re: a.re, im: (self.prime - a.im) % self.prime },
            Number { re: inverse, im: 0 },
        ))
    }

    /// The integer modulo the prime.
    pub(super) fn integer(self, value: i64) -> Number {
        Number { re: value.rem_euclid(self.prime as i64) as u64, im: 0 }
    }

    /// The fraction modulo the prime. It is undefined if the prime divides the denominator.
    pub(super) fn rational(self, value: &Rational) -> Result<Number, Stop> {
        let part = |value: &BigInt| Number {
            re: value.mod_floor(&BigInt::from(self.prime)).to_u64().unwrap_or(0),
            im: 0,
        };
        let top = part(value.numerator());
        if value.denominator() == &BigInt::from(1) {
            return Ok(top);
        }
        Ok(self.multiply(top, self.inverse(part(value.denominator()))?))
    }

    /// A square root of a number without imaginary part.
    pub(super) fn root(self, value: u64) -> Number {
        let power_of = |value: u64| power(value, self.prime.div_ceil(4), self.prime);
        let root = power_of(value);
        if multiply(root, root, self.prime) == value {
            return Number { re: root, im: 0 };
        }
        Number { re: 0, im: power_of(self.prime - value) }
    }
}

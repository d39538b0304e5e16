//! Exact rational numbers with a limit on their bits.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::Stop;

/// Powers, products and sums with more bits than this stay unevaluated.
const BITS: u64 = 1 << 17;
/// Fractions with fewer bits are kept in lowest terms. A greatest common divisor takes time quadratic in the bits.
const REDUCED_BITS: u64 = 512;
/// Roots of larger fractions are not searched for.
const ROOT_BITS: u64 = 4096;
/// Factorials and binomials of larger numbers stay unevaluated.
pub(super) const FACTORIAL: u32 = 5000;

/// A fraction of integers with a positive denominator. It is in lowest terms while it is small.
#[derive(Clone, Debug)]
pub(super) struct Rational {
    numerator: BigInt,
    denominator: BigInt,
}

impl From<i64> for Rational {
    fn from(value: i64) -> Self {
        Self::integer(BigInt::from(value))
    }
}

impl PartialEq for Rational {
    fn eq(&self, other: &Self) -> bool {
        if self.denominator == other.denominator {
            return self.numerator == other.numerator;
        }
        &self.numerator * &other.denominator == &other.numerator * &self.denominator
    }
}

impl Eq for Rational {}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.numerator * &other.denominator).cmp(&(&other.numerator * &self.denominator))
    }
}

impl Rational {
    /// The integer `value`.
    pub(super) fn integer(value: BigInt) -> Self {
        Self { numerator: value, denominator: BigInt::one() }
    }

    /// The fraction. Fails with `Stop::Undefined` for a denominator of 0 and with `Stop::Budget` for too many bits.
    pub(super) fn new(numerator: BigInt, denominator: BigInt) -> Result<Self, Stop> {
        if denominator.is_zero() {
            return Err(Stop::Undefined);
        }
        let bits = numerator.bits() + denominator.bits();
        if bits > 2 * BITS {
            return Err(Stop::Budget);
        }
        let (mut numerator, mut denominator) =
            if denominator.is_negative() { (-numerator, -denominator) } else { (numerator, denominator) };
        if bits < REDUCED_BITS && !denominator.is_one() {
            let divisor = numerator.gcd(&denominator);
            numerator /= &divisor;
            denominator /= divisor;
        }
        Ok(Self { numerator, denominator })
    }

    /// The value of decimal digits with `places` of them after the point.
    pub(super) fn decimal(digits: &str, places: u32) -> Option<Self> {
        let numerator = BigInt::parse_bytes(digits.as_bytes(), 10)?;
        Self::new(numerator, BigInt::from(10).pow(places)).ok()
    }

    /// The stored numerator.
    pub(super) fn numerator(&self) -> &BigInt {
        &self.numerator
    }

    /// The stored denominator, which is positive.
    pub(super) fn denominator(&self) -> &BigInt {
        &self.denominator
    }

    /// The value as an integer, if it is one.
    pub(super) fn to_integer(&self) -> Option<BigInt> {
        if self.denominator.is_one() {
            return Some(self.numerator.clone());
        }
        let (quotient, remainder) = self.numerator.div_rem(&self.denominator);
        remainder.is_zero().then_some(quotient)
    }

    /// Whether the value is 0.
    pub(super) fn is_zero(&self) -> bool {
        self.numerator.is_zero()
    }

    /// Whether the value is negative.
    pub(super) fn is_negative(&self) -> bool {
        self.numerator.is_negative()
    }

    /// The absolute value.
    pub(super) fn abs(&self) -> Self {
        Self { numerator: self.numerator.abs(), denominator: self.denominator.clone() }
    }

    /// The negated value.
    pub(super) fn neg(&self) -> Self {
        Self { numerator: -&self.numerator, denominator: self.denominator.clone() }
    }

    /// The sum.
    pub(super) fn add(&self, other: &Self) -> Result<Self, Stop> {
        if self.denominator == other.denominator {
            return Self::new(&self.numerator + &other.numerator, self.denominator.clone());
        }
        Self::new(
            &self.numerator * &other.denominator + &other.numerator * &self.denominator,
            &self.denominator * &other.denominator,
        )
    }

    /// The difference.
    pub(super) fn sub(&self, other: &Self) -> Result<Self, Stop> {
        self.add(&other.neg())
    }

    /// The product.
    pub(super) fn mul(&self, other: &Self) -> Result<Self, Stop> {
        Self::new(&self.numerator * &other.numerator, &self.denominator * &other.denominator)
    }

    /// The quotient.
    pub(super) fn div(&self, other: &Self) -> Result<Self, Stop> {
        Self::new(&self.numerator * &other.denominator, &self.denominator * &other.numerator)
    }

    /// The largest integer not above the value.
    pub(super) fn floor(&self) -> Self {
        Self::integer(self.numerator.div_floor(&self.denominator))
    }

    /// The power with a rational exponent.
    ///
    /// `Ok(None)` if the power is not rational. `0^0` is 1. Fails with `Stop::Budget` if the power is too large.
    pub(super) fn pow(&self, exponent: &Self) -> Result<Option<Self>, Stop> {
        let Some(power) = exponent.to_integer() else {
            let (Some(degree), Some(power)) = (exponent.denominator.to_u32(), exponent.numerator.to_i64())
            else {
                return Ok(None);
            };
            return match self.root(degree) {
                Some(root) => root.pow(&Self::from(power)),
                None => Ok(None),
            };
        };
        let one = BigInt::one();
        if self.numerator.abs() <= one && self.denominator.is_one() {
            return match (self.is_zero(), power.is_negative()) {
                (true, true) => Err(Stop::Undefined),
                (true, false) => Ok(Some(Self::from(i64::from(power.is_zero())))),
                _ if power.is_odd() => Ok(Some(self.clone())),
                _ => Ok(Some(Self::from(1))),
            };
        }
        let count = power.abs().to_u32().ok_or(Stop::Budget)?;
        if (self.numerator.bits().max(self.denominator.bits())) * u64::from(count) > BITS {
            return Err(Stop::Budget);
        }
        let (top, bottom) = (self.numerator.pow(count), self.denominator.pow(count));
        let value = if power.is_negative() { Self::new(bottom, top) } else { Self::new(top, bottom) };
        value.map(Some)
    }

    /// The real root of a non-negative value, if it is rational.
    pub(super) fn root(&self, degree: u32) -> Option<Self> {
        let limit = ROOT_BITS;
        if degree == 0 || self.is_negative() || self.numerator.bits() + self.denominator.bits() > limit {
            return None;
        }
        let exact = |value: &BigInt| {
            let root = value.nth_root(degree);
            (degree < 20_000 && &root.pow(degree) == value).then_some(root)
        };
        let divisor = self.numerator.gcd(&self.denominator);
        Some(Self {
            numerator: exact(&(&self.numerator / &divisor))?,
            denominator: exact(&(&self.denominator / &divisor))?,
        })
    }

    /// The factorial of a non-negative integer.
    pub(super) fn factorial(&self) -> Result<Self, Stop> {
        let value = self.to_integer().filter(|value| !value.is_negative()).ok_or(Stop::Undefined)?;
        let count = value.to_u32().filter(|count| *count <= FACTORIAL).ok_or(Stop::Budget)?;
        Ok(Self::integer((2..=count).fold(BigInt::one(), |product, factor| product * factor)))
    }

    /// The number of ways to choose `chosen` of `self` items. Both must be integers.
    pub(super) fn binomial(&self, chosen: &Self) -> Result<Self, Stop> {
        let total = self.to_integer().ok_or(Stop::Undefined)?;
        let chosen = chosen.to_integer().ok_or(Stop::Undefined)?;
        if total.is_negative() || chosen.is_negative() {
            return Err(Stop::Undefined);
        }
        if chosen > total {
            return Ok(Self::from(0));
        }
        let fewer = chosen.clone().min(&total - &chosen);
        let count = fewer.to_u32().filter(|count| *count <= FACTORIAL).ok_or(Stop::Budget)?;
        if total.bits() * u64::from(count) > BITS {
            return Err(Stop::Budget);
        }
        let mut value = BigInt::one();
        for step in 0..count {
            value = value * (&total - step) / (step + 1);
        }
        Ok(Self::integer(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(top: i64, bottom: i64) -> Rational {
        Rational::new(top.into(), bottom.into()).expect("the denominator is not 0")
    }

    #[test]
    fn arithmetic_is_exact() {
        assert_eq!(ratio(1, 3).add(&ratio(1, 6)), Ok(ratio(1, 2)));
        assert_eq!(ratio(8, 27).pow(&ratio(-2, 3)), Ok(Some(ratio(9, 4))));
        assert_eq!(ratio(2, 1).pow(&ratio(1, 2)), Ok(None));
        assert_eq!(ratio(0, 1).pow(&ratio(-1, 1)), Err(Stop::Undefined));
        assert_eq!(ratio(9, 1).pow(&ratio(387_420_489, 1)), Err(Stop::Budget));
        assert_eq!(Rational::new(1.into(), 0.into()), Err(Stop::Undefined));
        assert_eq!(ratio(5, 1).binomial(&ratio(2, 1)), Ok(ratio(10, 1)));
        assert_eq!(ratio(-7, 2).floor(), ratio(-4, 1));
        assert_eq!(Rational::decimal("125", 2), Some(ratio(5, 4)));
    }
}

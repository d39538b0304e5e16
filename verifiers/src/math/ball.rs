//! Real numbers of 256 bits or more with a bound on their error.

use std::sync::OnceLock;

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::Stop;
use super::number::Rational;

/// The fewest bits to which results are rounded.
pub(super) const PRECISION: u64 = 256;
/// The most bits to which results are rounded.
pub(super) const MOST_PRECISION: u64 = 4096;
/// Bits of the fixed-point numbers inside a series beyond those of its result.
const GUARD: u64 = 64;
/// `exp` of larger arguments gives numbers that are too large to be useful.
const EXPONENT_LIMIT: f64 = 1e9;
/// Trigonometric functions do not reduce arguments beyond `2^64`.
const ANGLE_BITS: f64 = 64.0;

/// A number `mantissa · 2^exponent`. It differs from the true value by at most `2^error`.
#[derive(Clone, Debug)]
pub(super) struct Ball {
    mantissa: BigInt,
    exponent: i64,
    /// Base-2 logarithm of the absolute error; minus infinity for an exact number.
    error: f64,
    /// The bits to which results are rounded: those of the more precise operand.
    precision: u64,
}

/// An upper bound of `log2(2^a + 2^b)`.
fn log_add(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if small == f64::NEG_INFINITY || large - small > 60.0 {
        return if small == f64::NEG_INFINITY { large } else { large + 1e-15 };
    }
    large + (1.0 + (small - large).exp2()).log2() + 1e-12
}

impl Ball {
    fn new(mantissa: BigInt, exponent: i64, error: f64, precision: u64) -> Self {
        let bits = mantissa.bits();
        if bits <= precision {
            return Self { mantissa, exponent, error, precision };
        }
        let drop = bits - precision;
        let exponent = exponent.saturating_add(drop as i64);
        Self { mantissa: mantissa >> drop, exponent, error: log_add(error, exponent as f64), precision }
    }

    /// The result of a fixed-point series with `working` fractional bits.
    fn fixed(value: BigInt, error: f64, working: u64) -> Self {
        Self::new(value, -(working as i64), log_add(error, 24.0 - working as f64), working - GUARD)
    }

    /// Fractional bits of the fixed-point numbers inside a series for this number.
    fn working(&self) -> u64 {
        self.precision + GUARD
    }

    /// The exact integer, at the lowest precision.
    pub(super) fn integer(value: i64) -> Self {
        Self { mantissa: BigInt::from(value), exponent: 0, error: f64::NEG_INFINITY, precision: PRECISION }
    }

    /// The number with at least `precision` bits in what is computed from it.
    pub(super) fn at(self, precision: u64) -> Self {
        Self { precision: precision.max(self.precision), ..self }
    }

    /// The integer at a precision.
    #[cfg(test)]
    pub(super) fn whole(value: &BigInt, precision: u64) -> Self {
        Self::new(value.clone(), 0, f64::NEG_INFINITY, precision)
    }

    /// The number times `2^bits`, rounded down.
    #[cfg(test)]
    pub(super) fn scaled_to_integer(&self, bits: u64) -> BigInt {
        let shift = self.exponent + bits as i64;
        if shift >= 0 { &self.mantissa << shift } else { &self.mantissa >> shift.unsigned_abs() }
    }

    /// The number of `precision` bits nearest to a fraction.
    pub(super) fn rational(value: &Rational, precision: u64) -> Self {
        let (top, bottom) = (value.numerator(), value.denominator());
        if bottom.is_one() {
            return Self::new(top.clone(), 0, f64::NEG_INFINITY, precision);
        }
        let shift = (precision + 2 + bottom.bits()).saturating_sub(top.bits());
        let quotient = (top << shift) / bottom;
        Self::new(quotient, -(shift as i64), -(shift as f64), precision)
    }

    /// Whether the number is certainly 0.
    pub(super) fn is_exact_zero(&self) -> bool {
        self.mantissa.is_zero() && self.error == f64::NEG_INFINITY
    }

    /// An upper bound on the base-2 logarithm of the midpoint's magnitude; minus infinity for 0.
    pub(super) fn magnitude(&self) -> f64 {
        if self.mantissa.is_zero() {
            return f64::NEG_INFINITY;
        }
        self.mantissa.bits() as f64 + self.exponent as f64
    }

    /// The bits to which results are rounded.
    pub(super) fn precision(&self) -> u64 {
        self.precision
    }

    /// Whether the true value may be 0.
    pub(super) fn may_be_zero(&self) -> bool {
        self.mantissa.is_zero() || self.magnitude() - 1.0 <= self.error
    }

    /// Whether the midpoint is below 0.
    pub(super) fn is_negative(&self) -> bool {
        self.mantissa.is_negative()
    }

    /// The nearest double.
    pub(super) fn to_f64(&self) -> f64 {
        let drop = self.mantissa.bits().saturating_sub(64);
        let mantissa = (&self.mantissa >> drop).to_f64().unwrap_or(f64::NAN);
        let exponent = self.exponent.saturating_add(drop as i64);
        let half = exponent / 2;
        mantissa * (half as f64).exp2() * ((exponent - half) as f64).exp2()
    }

    /// The negated number.
    pub(super) fn neg(&self) -> Self {
        Self { mantissa: -&self.mantissa, ..*self }
    }

    /// The absolute value.
    pub(super) fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// The sum.
    pub(super) fn add(&self, other: &Self) -> Self {
        let error = log_add(self.error, other.error);
        let precision = self.precision.max(other.precision);
        if self.mantissa.is_zero() {
            return Self { error, precision, ..other.clone() };
        }
        if other.mantissa.is_zero() {
            return Self { error, precision, ..self.clone() };
        }
        let (low, high) = if self.exponent < other.exponent { (self, other) } else { (other, self) };
        let shift = high.exponent.saturating_sub(low.exponent);
        if shift > 4 * precision as i64 {
            // The lower number is far below the last bit of the higher number.
            return Self { error: log_add(error, low.magnitude()), precision, ..high.clone() };
        }
        Self::new((&high.mantissa << shift) + &low.mantissa, low.exponent, error, precision)
    }

    /// The difference.
    pub(super) fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    /// The product.
    pub(super) fn mul(&self, other: &Self) -> Self {
        let error =
            [self.error + other.magnitude(), other.error + self.magnitude(), self.error + other.error]
                .into_iter()
                .filter(|term| !term.is_nan())
                .fold(f64::NEG_INFINITY, log_add);
        let precision = self.precision.max(other.precision);
        let exponent = self.exponent.saturating_add(other.exponent);
        Self::new(&self.mantissa * &other.mantissa, exponent, error, precision)
    }

    /// The number times `2^power`.
    fn scale(&self, power: i64) -> Self {
        let exponent = self.exponent.saturating_add(power);
        Self { mantissa: self.mantissa.clone(), exponent, error: self.error + power as f64, ..*self }
    }

    /// The quotient. It is undefined if the divisor is 0 and undecided if the divisor may be 0.
    pub(super) fn div(&self, other: &Self) -> Result<Self, Stop> {
        if other.is_exact_zero() {
            return Err(Stop::Undefined);
        }
        if other.may_be_zero() || other.magnitude() - other.error < 8.0 {
            return Err(Stop::Undecided);
        }
        let precision = self.precision.max(other.precision);
        let shift = (precision + 2 + other.mantissa.bits()).saturating_sub(self.mantissa.bits());
        let quotient = (&self.mantissa << shift) / &other.mantissa;
        let exponent = self.exponent.saturating_sub(other.exponent).saturating_sub(shift as i64);
        let below = other.magnitude() - 1.2;
        let error = log_add(self.error - below, self.magnitude() + other.error - 2.0 * below);
        Ok(Self::new(quotient, exponent, log_add(error, exponent as f64), precision))
    }

    /// The square root of a number that is not certainly negative.
    pub(super) fn sqrt(&self) -> Result<Self, Stop> {
        if self.is_exact_zero() {
            return Ok(self.clone());
        }
        if self.may_be_zero() {
            let bound = log_add(self.magnitude(), self.error) / 2.0;
            return Ok(Self { mantissa: BigInt::zero(), exponent: 0, error: bound + 1.0, ..*self });
        }
        if self.is_negative() {
            return Err(Stop::Undecided);
        }
        let mut shift = (2 * self.precision + 4).saturating_sub(self.mantissa.bits()) as i64;
        if (self.exponent - shift) % 2 != 0 {
            shift += 1;
        }
        let root = (&self.mantissa << shift).sqrt();
        let exponent = (self.exponent - shift) / 2;
        let error = self.error - (self.magnitude() - 1.0) / 2.0;
        Ok(Self::new(root, exponent, log_add(error, exponent as f64), self.precision))
    }

    /// The number as fixed point with the fractional bits of a series.
    fn to_fixed(&self) -> BigInt {
        let shift = self.exponent.saturating_add(self.working() as i64);
        if shift >= 0 { &self.mantissa << shift } else { &self.mantissa >> shift.unsigned_abs() }
    }

    /// The exponential function.
    pub(super) fn exp(&self) -> Result<Self, Stop> {
        let near = self.to_f64();
        if !(near.abs() < EXPONENT_LIMIT && self.error < 0.0) {
            return Err(Stop::Undecided);
        }
        let turns = (near / std::f64::consts::LN_2).round() as i64;
        let rest = self.sub(&ln_2(self.precision).mul(&Self::integer(turns)));
        let working = self.working();
        let one = BigInt::one() << working;
        let reduced: BigInt = rest.to_fixed() >> 8;
        let (mut sum, mut term, mut index) = (one.clone(), one, 1u32);
        while !term.is_zero() && index < 2000 {
            term = ((term * &reduced) >> working) / index;
            sum += &term;
            if term.bits() <= 1 {
                break;
            }
            index += 1;
        }
        for _ in 0..8 {
            sum = (&sum * &sum) >> working;
        }
        Ok(Self::fixed(sum, rest.error + 2.0, working).scale(turns))
    }

    /// The natural logarithm of a positive number.
    pub(super) fn ln(&self) -> Result<Self, Stop> {
        if self.is_exact_zero() {
            return Err(Stop::Undefined);
        }
        if self.is_negative() || self.may_be_zero() {
            return Err(Stop::Undecided);
        }
        let turns = self.magnitude() as i64;
        let reduced = self.scale(-turns);
        let start = Self::double(reduced.to_f64().ln(), self.precision);
        let rest = reduced.mul(&start.neg().exp()?);
        // ln(1 + d) = 2 artanh(d / (2 + d)) with d near 2^-52, so each term adds about 100 bits.
        let ratio = rest.sub(&Self::integer(1)).div(&rest.add(&Self::integer(1)))?;
        let square = ratio.mul(&ratio);
        let (mut sum, mut power) = (ratio.clone(), ratio);
        for odd in (3..).step_by(2).take(self.series_terms()) {
            power = power.mul(&square);
            sum = sum.add(&power.div(&Self::integer(odd))?);
        }
        Ok(start.add(&sum.scale(1)).add(&ln_2(self.precision).mul(&Self::integer(turns))))
    }

    /// The terms after the first in a series whose argument is near `2^-50`.
    fn series_terms(&self) -> usize {
        1 + self.precision as usize / 96
    }

    /// The exact value of a double.
    fn double(value: f64, precision: u64) -> Self {
        Self::new(BigInt::from((value * 60f64.exp2()) as i128), -60, f64::NEG_INFINITY, precision)
    }

    /// Sine and cosine.
    pub(super) fn sin_cos(&self) -> Result<(Self, Self), Stop> {
        if self.is_exact_zero() {
            return Ok((self.clone(), Self::integer(1)));
        }
        if self.magnitude() > ANGLE_BITS || self.error > -8.0 {
            return Err(Stop::Undecided);
        }
        let working = self.working();
        let quarter = pi(self.precision).scale(-1);
        let turns = self.div(&quarter)?.round()?;
        let rest = self.sub(&quarter.mul(&Self::integer(turns)));
        let reduced: BigInt = rest.to_fixed() >> 4;
        let one = BigInt::one() << working;
        let square = (&reduced * &reduced) >> working;
        let (mut sine, mut cosine) = (reduced.clone(), one.clone());
        let (mut odd, mut even) = (reduced, one);
        for index in 1u32..1000 {
            even = -((even * &square) >> working) / ((2 * index - 1) * 2 * index);
            odd = -((odd * &square) >> working) / (2 * index * (2 * index + 1));
            cosine += &even;
            sine += &odd;
            if even.bits() <= 1 {
                break;
            }
        }
        for _ in 0..4 {
            let doubled = (&sine * &cosine) >> (working - 1);
            cosine = ((&cosine * &cosine) >> (working - 1)) - (BigInt::one() << working);
            sine = doubled;
        }
        // Each squaring loses one bit, so the last bits count as error.
        let (sine, cosine) =
            (Self::fixed(sine, rest.error, working), Self::fixed(cosine, rest.error, working));
        Ok(match turns.rem_euclid(4) {
            0 => (sine, cosine),
            1 => (cosine, sine.neg()),
            2 => (sine.neg(), cosine.neg()),
            _ => (cosine.neg(), sine),
        })
    }

    /// The nearest integer.
    pub(super) fn round(&self) -> Result<i64, Stop> {
        let doubled = self.scale(1).floor()? + 1;
        Ok(doubled.div_euclid(2))
    }

    /// The largest integer not above the number. Undecided close to an integer.
    pub(super) fn floor(&self) -> Result<i64, Stop> {
        if self.magnitude() > 62.0 || self.error > -16.0 {
            return Err(Stop::Undecided);
        }
        let shift = self.exponent.unsigned_abs();
        let floor = if self.exponent >= 0 { &self.mantissa << shift } else { &self.mantissa >> shift };
        floor.to_i64().ok_or(Stop::Undecided)
    }

    /// The angle of the point (`self`, `height`), in (-π, π].
    pub(super) fn angle(&self, height: &Self) -> Result<Self, Stop> {
        if height.is_exact_zero() {
            return match () {
                () if self.may_be_zero() => Err(Stop::Undecided),
                () if self.is_negative() => Ok(pi(self.precision.max(height.precision)).clone()),
                () => Ok(Self::integer(0)),
            };
        }
        let size = self.magnitude().max(height.magnitude());
        if size - log_add(self.error, height.error) < 16.0 {
            return Err(Stop::Undecided);
        }
        let (x, y) = (self.scale(-(size as i64)), height.scale(-(size as i64)));
        let precision = self.precision.max(height.precision);
        let start = Self::double(y.to_f64().atan2(x.to_f64()), precision);
        let (sine, cosine) = start.sin_cos()?;
        let ratio = y.mul(&cosine).sub(&x.mul(&sine)).div(&x.mul(&cosine).add(&y.mul(&sine)))?;
        let square = ratio.mul(&ratio);
        let (mut sum, mut power) = (ratio.clone(), ratio);
        for odd in (3..).step_by(2).take(start.series_terms()) {
            power = power.mul(&square).neg();
            sum = sum.add(&power.div(&Self::integer(odd))?);
        }
        Ok(start.add(&sum))
    }

    /// Whether both numbers are the same: certainly not if their balls are apart, and if the balls meet only when
    /// different numbers would be more than `2^-bits` apart. `None` if the error is too large to decide.
    pub(super) fn same(&self, other: &Self, bits: f64) -> Option<bool> {
        let difference = self.sub(other);
        if !difference.may_be_zero() {
            return Some(false);
        }
        (difference.error == f64::NEG_INFINITY || difference.error + 1.0 < -bits).then_some(true)
    }
}

/// `atan(1 / n)` in fixed point.
fn arctangent_of_inverse(inverse: u32, working: u64) -> BigInt {
    let mut power = (BigInt::one() << (working + 32)) / inverse;
    let (mut sum, mut odd) = (power.clone(), 1u32);
    while !power.is_zero() {
        power = -(power / (inverse * inverse));
        odd += 2;
        sum += &power / odd;
    }
    sum >> 32
}

/// A constant for each precision, which doubles from [`PRECISION`] to [`MOST_PRECISION`].
type Constants = [OnceLock<Ball>; 5];

/// The constant that `compute` gives in fixed point with as many bits as asked for, computed once.
fn constant(known: &'static Constants, precision: u64, compute: fn(u64) -> BigInt) -> &'static Ball {
    let level = (0..known.len() - 1).find(|level| PRECISION << level >= precision).unwrap_or(known.len() - 1);
    known[level].get_or_init(|| {
        let precision = PRECISION << level;
        let working = precision + GUARD;
        let (exponent, error) = (-(working as i64), 8.0 - working as f64);
        Ball { mantissa: compute(working), exponent, error, precision }
    })
}

/// π.
pub(super) fn pi(precision: u64) -> &'static Ball {
    static PI: Constants = [const { OnceLock::new() }; 5];
    // Machin: π/4 = 4 atan(1/5) - atan(1/239).
    constant(&PI, precision, |working| {
        (arctangent_of_inverse(5, working) * 4 - arctangent_of_inverse(239, working)) * 4
    })
}

/// The natural logarithm of 2.
fn ln_2(precision: u64) -> &'static Ball {
    static LN_2: Constants = [const { OnceLock::new() }; 5];
    // ln 2 = 2 artanh(1/3).
    constant(&LN_2, precision, |working| {
        let mut power = (BigInt::one() << (working + 32)) / 3u32;
        let (mut sum, mut odd) = (power.clone(), 1u32);
        while !power.is_zero() {
            power /= 9u32;
            odd += 2;
            sum += &power / odd;
        }
        (sum * 2u32) >> 32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(numerator: i64, precision: u64) -> Ball {
        Ball::integer(numerator).at(precision).scale(-1)
    }

    #[test]
    fn functions_agree_with_their_inverses_at_every_precision() {
        for precision in [256, 512, 1024, 2048, 4096] {
            let bits = precision as f64 - 48.0;
            for numerator in [1, 3, 5, 41, 1001] {
                let x = half(numerator, precision);
                let back = x.ln().unwrap().exp().unwrap();
                assert_eq!(back.same(&x, bits), Some(true), "exp ln {numerator}/2");
                let root = x.sqrt().unwrap();
                assert_eq!(root.mul(&root).same(&x, bits), Some(true), "sqrt {numerator}/2");
                let (sine, cosine) = x.sin_cos().unwrap();
                let one = sine.mul(&sine).add(&cosine.mul(&cosine));
                assert_eq!(one.same(&Ball::integer(1), bits), Some(true), "sin cos {numerator}/2");
                assert!((sine.to_f64() - x.to_f64().sin()).abs() < 1e-14);
                assert!((x.ln().unwrap().to_f64() - x.to_f64().ln()).abs() < 1e-14);
            }
            let quarter = Ball::integer(1).at(precision).angle(&Ball::integer(1)).unwrap();
            assert_eq!(quarter.scale(2).same(pi(precision), bits), Some(true));
        }
        assert!((pi(PRECISION).to_f64() - std::f64::consts::PI).abs() < 1e-15);
    }

    #[test]
    fn a_difference_beyond_the_error_is_seen() {
        let one = Ball::integer(1);
        let tiny = one.div(&Ball::integer(10).mul(&Ball::integer(10))).unwrap().scale(-180);
        assert_eq!(one.add(&tiny).same(&one, 0.0), Some(false));
        assert_eq!(tiny.same(&Ball::integer(0), 100.0), Some(false));
        assert_eq!(Ball::integer(0).same(&Ball::integer(0), 5000.0), Some(true));
    }

    #[test]
    fn balls_that_meet_prove_nothing_beyond_their_width() {
        let one = Ball::integer(1);
        let tiny = one.scale(-400);
        let third = one.div(&Ball::integer(3)).unwrap();
        assert_eq!(third.add(&tiny).same(&third, 300.0), None);
        assert_eq!(third.add(&tiny).same(&third, 200.0), Some(true));
        let third = one.clone().at(512).div(&Ball::integer(3)).unwrap();
        assert_eq!(third.add(&tiny).same(&third, 300.0), Some(false));
    }
}

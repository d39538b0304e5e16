//! Evaluates rational functions modulo a prime at random points. This is fast, and exact within bounds.
//!
//! Two different functions agree there only by chance, or if a coefficient or an exponent is as large as the prime: then
//! `x + 2^61` equals `x + 1`, and `x^p` equals `x`. So each value carries upper bounds on its sizes. If they may be too
//! large, another method decides.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::ToPrimitive;

use super::Stop;
use super::evaluate::{Budget, exact, hash, mix};
use super::expression::{Arena, Binary, Id, Node, Unary};
use super::number::Rational;

/// A Mersenne prime.
const PRIME: u64 = (1 << 61) - 1;
/// Coefficients with more bits than this may wrap around.
const BITS: f64 = 58.0;
/// Higher degrees may wrap around, or need more than two points.
const DEGREE: f64 = (1u64 << 40) as f64;

/// Bounds for a fraction of polynomials: bits of the coefficients in the numerator and the denominator, and the degree
/// of both.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    top: f64,
    bottom: f64,
    degree: f64,
}

impl Size {
    fn number(value: &Rational) -> Self {
        let bits = |value: &BigInt| value.bits() as f64;
        Self { top: bits(value.numerator()), bottom: bits(value.denominator()) - 1.0, degree: 0.0 }
    }

    fn times(self, other: Self) -> Self {
        Self {
            top: self.top + other.top,
            bottom: self.bottom + other.bottom,
            degree: self.degree + other.degree,
        }
    }

    fn plus(self, other: Self) -> Self {
        let (left, right) = (self.top + other.bottom, other.top + self.bottom);
        let larger = left.max(right);
        let top = larger + ((left - larger).exp2() + (right - larger).exp2()).log2();
        let fraction = self.bottom > 0.0 || other.bottom > 0.0;
        let degree = if fraction { self.degree + other.degree } else { self.degree.max(other.degree) };
        Self { top, bottom: self.bottom + other.bottom, degree }
    }

    fn inverse(self) -> Self {
        Self { top: self.bottom, bottom: self.top, ..self }
    }

    fn power(self, exponent: i64) -> Self {
        let times = exponent.unsigned_abs() as f64;
        let size = Self { top: self.top * times, bottom: self.bottom * times, degree: self.degree * times };
        if exponent < 0 { size.inverse() } else { size }
    }

    fn fits(self) -> bool {
        self.top <= BITS && self.bottom <= BITS && self.degree <= DEGREE
    }
}

/// A value modulo the prime, and size bounds for the function it belongs to.
#[derive(Clone, Copy, Debug, Default)]
struct Residue {
    value: u64,
    size: Size,
}

fn modular(value: &Rational) -> Option<u64> {
    let part = |value: &BigInt| value.mod_floor(&BigInt::from(PRIME)).to_u64();
    multiply(part(value.numerator())?, inverse(part(value.denominator())?)?).into()
}

fn multiply(left: u64, right: u64) -> u64 {
    (u128::from(left) * u128::from(right) % u128::from(PRIME)) as u64
}

fn power(mut base: u64, mut exponent: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(result, base);
        }
        base = multiply(base, base);
        exponent >>= 1;
    }
    result
}

fn inverse(value: u64) -> Option<u64> {
    (value != 0).then(|| power(value, PRIME - 2))
}

fn negative(value: u64) -> u64 {
    (PRIME - value) % PRIME
}

/// The value of a rational function modulo the prime at the point with number `point`.
///
/// # Errors
/// `Stop::Undecided` for other functions and for sizes that may be too large, `Stop::Undefined` if a denominator is 0
/// at that point.
pub(super) fn modulo_prime(
    arena: &Arena,
    id: Id,
    sign: i64,
    point: u64,
    budget: &mut Budget,
) -> Result<u64, Stop> {
    let first = arena.first(id);
    budget.spend((id - first) as u64 / 8)?;
    let mut values: Vec<Residue> = vec![Residue::default(); id - first + 1];
    let signed = |value: u64, plus: bool| if plus == (sign > 0) { value } else { negative(value) };
    for at in arena.below(id, |_| None) {
        budget.spend(2)?;
        let of = |child: Id| values[child - first];
        let (value, size) = match arena.node(at) {
            Node::Number { value, .. } => (modular(value).ok_or(Stop::Undecided)?, Size::number(value)),
            Node::Symbol(name) => {
                let value = mix(hash(arena.spelling(*name)) ^ mix(point + 0x9d)) % PRIME;
                (value, Size { degree: 1.0, ..Size::default() })
            }
            Node::Group('(' | '{' | '[', _, Some(item)) => (of(*item).value, of(*item).size),
            Node::Unary(Unary::Negative, item) => (negative(of(*item).value), of(*item).size),
            Node::Unary(Unary::PlusMinus(plus), item) => (signed(of(*item).value, *plus), of(*item).size),
            Node::Unary(Unary::Percent, item) => (
                multiply(of(*item).value, inverse(100).ok_or(Stop::Undefined)?),
                of(*item).size.times(Size { bottom: 7.0, ..Size::default() }),
            ),
            Node::Binary(binary, left, right) => {
                let (a, b) = (of(*left), of(*right));
                match binary {
                    Binary::Add => ((a.value + b.value) % PRIME, a.size.plus(b.size)),
                    Binary::Subtract => ((a.value + PRIME - b.value) % PRIME, a.size.plus(b.size)),
                    Binary::PlusMinus(plus) => {
                        ((a.value + signed(b.value, *plus)) % PRIME, a.size.plus(b.size))
                    }
                    Binary::Multiply => (multiply(a.value, b.value), a.size.times(b.size)),
                    Binary::Divide => {
                        let inverse = inverse(b.value).ok_or(Stop::Undefined)?;
                        (multiply(a.value, inverse), a.size.times(b.size.inverse()))
                    }
                    Binary::Power => {
                        budget.spend(60)?;
                        let exponent = exact(arena, *right, sign, budget)?;
                        let exponent =
                            exponent.to_integer().and_then(|value| value.to_i64()).ok_or(Stop::Undecided)?;
                        let result = power(a.value, exponent.unsigned_abs());
                        let value =
                            if exponent < 0 { inverse(result).ok_or(Stop::Undefined)? } else { result };
                        (value, a.size.power(exponent))
                    }
                    _ => return Err(Stop::Undecided),
                }
            }
            _ => return Err(Stop::Undecided),
        };
        if !size.fits() {
            return Err(Stop::Undecided);
        }
        values[at - first] = Residue { value, size };
    }
    Ok(values[id - first].value)
}

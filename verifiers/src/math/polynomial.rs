//! Fractions of polynomials with exact coefficients.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive};

use super::Stop;
use super::evaluate::{Budget, exact};
use super::expression::{Arena, Binary, Constant, Id, Name, Node, Unary};
use super::number::Rational;

/// Polynomials with more terms are not written out.
const TERMS: usize = 400;

/// The variables of a term with their exponents, in order. Constants that are no fractions count as variables.
type Powers = Vec<(Name, u32)>;

/// π as a variable.
pub(super) const PI: Name = usize::MAX;
/// Euler's number as a variable.
pub(super) const E: Name = usize::MAX - 1;
/// The imaginary unit as a variable.
pub(super) const I: Name = usize::MAX - 2;

/// A polynomial whose terms are all different from 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Polynomial {
    terms: BTreeMap<Powers, Rational>,
}

impl Polynomial {
    fn number(value: Rational) -> Self {
        Self { terms: std::iter::once((Vec::new(), value)).filter(|(_, value)| !value.is_zero()).collect() }
    }

    fn variable(name: Name) -> Self {
        Self { terms: BTreeMap::from([(vec![(name, 1)], Rational::from(1))]) }
    }

    /// The terms: the variables with their exponents, and the coefficient.
    pub(super) fn terms(&self) -> impl Iterator<Item = (&[(Name, u32)], &Rational)> {
        self.terms.iter().map(|(powers, value)| (powers.as_slice(), value))
    }

    fn is_one(&self) -> bool {
        self.terms.len() == 1 && self.terms.get(&Vec::new()) == Some(&Rational::from(1))
    }

    fn insert(&mut self, powers: Powers, value: &Rational, budget: &mut Budget) -> Result<(), Stop> {
        budget.spend(4 + (value.numerator().bits() + value.denominator().bits()) / 64)?;
        let sum = match self.terms.get(&powers) {
            Some(known) => known.add(value)?,
            None => value.clone(),
        };
        if sum.is_zero() {
            self.terms.remove(&powers);
        } else {
            self.terms.insert(powers, sum);
        }
        if self.terms.len() > TERMS { Err(Stop::Undecided) } else { Ok(()) }
    }

    fn add(&self, other: &Self, budget: &mut Budget) -> Result<Self, Stop> {
        let mut sum = self.clone();
        for (powers, value) in &other.terms {
            sum.insert(powers.clone(), value, budget)?;
        }
        Ok(sum)
    }

    fn opposite(&self) -> Self {
        let terms = self.terms.iter().map(|(powers, value)| (powers.clone(), value.neg())).collect();
        Self { terms }
    }

    fn multiply(&self, other: &Self, budget: &mut Budget) -> Result<Self, Stop> {
        if other.is_one() {
            return Ok(self.clone());
        }
        let mut product = Self { terms: BTreeMap::new() };
        for (powers, value) in &self.terms {
            for (others, factor) in &other.terms {
                let (powers, negative) = joined(powers, others).ok_or(Stop::Undecided)?;
                let value = value.mul(factor)?;
                product.insert(powers, &if negative { value.neg() } else { value }, budget)?;
            }
        }
        Ok(product)
    }

    fn power(&self, exponent: u32, budget: &mut Budget) -> Result<Self, Stop> {
        let mut result = Self::number(Rational::from(1));
        if exponent == 0 {
            return Ok(result);
        }
        // The coefficients of a long power are too large to write out in time.
        if self.terms.len() > 1 && exponent as usize > TERMS {
            return Err(Stop::Undecided);
        }
        let mut base = self.clone();
        let mut left = exponent;
        loop {
            if left & 1 == 1 {
                result = result.multiply(&base, budget)?;
            }
            left >>= 1;
            if left == 0 {
                return Ok(result);
            }
            base = base.multiply(&base, budget)?;
        }
    }

    /// The positive number that divides all coefficients such that whole numbers without a common factor are left.
    pub(super) fn content(&self) -> Option<Rational> {
        let mut parts: Option<(BigInt, BigInt)> = None;
        for value in self.terms.values() {
            let divisor = value.numerator().gcd(value.denominator());
            let (top, bottom) = (value.numerator() / &divisor, value.denominator() / &divisor);
            parts = Some(match parts {
                None => (top.abs(), bottom),
                Some((tops, bottoms)) => (tops.gcd(&top), bottoms.lcm(&bottom)),
            });
        }
        let (top, bottom) = parts?;
        Rational::new(top, bottom).ok()
    }

    /// Whether it is easy to see that no real values make the polynomial negative.
    pub(super) fn is_never_negative(&self) -> bool {
        let real = self.terms.keys().flatten().all(|(name, _)| *name != I);
        let even = |(name, exponent): &(Name, u32)| exponent % 2 == 0 || *name >= E;
        if real && self.terms.iter().all(|(powers, value)| !value.is_negative() && powers.iter().all(even)) {
            return true;
        }
        // `a x^2 + b x + c` without two real roots.
        let mut names = self.terms.keys().flatten().map(|(name, _)| *name);
        let Some(name) = names.next().filter(|name| *name < I) else { return false };
        let coefficient = |exponent: u32| {
            let powers = if exponent == 0 { Vec::new() } else { vec![(name, exponent)] };
            self.terms.get(&powers).cloned().unwrap_or_else(|| Rational::from(0))
        };
        let known = (0..3).filter(|exponent| !coefficient(*exponent).is_zero()).count();
        let (a, b, c) = (coefficient(2), coefficient(1), coefficient(0));
        let discriminant = || b.mul(&b)?.sub(&a.mul(&c)?.mul(&Rational::from(4))?);
        known == self.terms.len()
            && !a.is_negative()
            && !a.is_zero()
            && discriminant().is_ok_and(|value| value.is_negative() || value.is_zero())
    }
}

/// The product of powers, and whether the square of the imaginary unit turned its sign.
fn joined(a: &Powers, b: &Powers) -> Option<(Powers, bool)> {
    let mut powers = a.clone();
    for (name, exponent) in b {
        match powers.binary_search_by_key(name, |(name, _)| *name) {
            Ok(at) => powers[at].1 = powers[at].1.checked_add(*exponent)?,
            Err(at) => powers.insert(at, (*name, *exponent)),
        }
    }
    let mut negative = false;
    if let Some(at) = powers.iter().position(|(name, _)| *name == I) {
        negative = powers[at].1 % 4 > 1;
        powers[at].1 %= 2;
        if powers[at].1 == 0 {
            powers.remove(at);
        }
    }
    Some((powers, negative))
}

/// A numerator and a denominator.
#[derive(Clone, Debug)]
struct Fraction {
    top: Polynomial,
    bottom: Polynomial,
}

impl Fraction {
    fn whole(top: Polynomial) -> Self {
        Self { top, bottom: Polynomial::number(Rational::from(1)) }
    }

    fn add(&self, other: &Self, budget: &mut Budget) -> Result<Self, Stop> {
        if self.bottom == other.bottom {
            return Ok(Self { top: self.top.add(&other.top, budget)?, bottom: self.bottom.clone() });
        }
        let (left, right) =
            (self.top.multiply(&other.bottom, budget)?, other.top.multiply(&self.bottom, budget)?);
        Ok(Self { top: left.add(&right, budget)?, bottom: self.bottom.multiply(&other.bottom, budget)? })
    }

    fn opposite(&self) -> Self {
        Self { top: self.top.opposite(), bottom: self.bottom.clone() }
    }

    fn multiply(&self, other: &Self, budget: &mut Budget) -> Result<Self, Stop> {
        let top = self.top.multiply(&other.top, budget)?;
        Ok(Self { top, bottom: self.bottom.multiply(&other.bottom, budget)? })
    }

    fn inverse(&self) -> Result<Self, Stop> {
        if self.top.terms.is_empty() {
            return Err(Stop::Undefined);
        }
        // Division by a number leaves no denominator.
        if let (Some(number), 1) = (self.top.terms.get(&Vec::new()), self.top.terms.len()) {
            let inverse = Polynomial::number(Rational::from(1).div(number)?);
            let terms = self.bottom.terms.iter();
            let scaled = terms.map(|(powers, value)| Ok((powers.clone(), value.div(number)?)));
            return Ok(match self.bottom.is_one() {
                true => Self::whole(inverse),
                false => Self::whole(Polynomial { terms: scaled.collect::<Result<_, Stop>>()? }),
            });
        }
        Ok(Self { top: self.bottom.clone(), bottom: self.top.clone() })
    }

    fn power(&self, exponent: i64, budget: &mut Budget) -> Result<Self, Stop> {
        let count = u32::try_from(exponent.unsigned_abs()).map_err(|_| Stop::Undecided)?;
        let power = Self { top: self.top.power(count, budget)?, bottom: self.bottom.power(count, budget)? };
        if exponent < 0 { power.inverse() } else { Ok(power) }
    }
}

/// The fraction of polynomials that an expression is.
fn fraction(arena: &Arena, id: Id, sign: i64, budget: &mut Budget) -> Result<Fraction, Stop> {
    let first = arena.first(id);
    let mut values: Vec<Option<Fraction>> = vec![None; id - first + 1];
    for at in arena.below(id, |_| None) {
        budget.spend(4)?;
        let of = |child: Id| values[child - first].as_ref().ok_or(Stop::Undecided);
        let signed = |value: &Fraction, plus: bool| {
            if plus == (sign > 0) { value.clone() } else { value.opposite() }
        };
        let value = match arena.node(at) {
            Node::Number { value, .. } => Fraction::whole(Polynomial::number(value.clone())),
            Node::Symbol(name) => Fraction::whole(Polynomial::variable(*name)),
            Node::Constant(Constant::Pi) => Fraction::whole(Polynomial::variable(PI)),
            Node::Constant(Constant::E) => Fraction::whole(Polynomial::variable(E)),
            Node::Constant(Constant::I) => Fraction::whole(Polynomial::variable(I)),
            Node::Group('(' | '{' | '[', _, Some(item)) => of(*item)?.clone(),
            Node::Unary(Unary::Negative, item) => of(*item)?.opposite(),
            Node::Unary(Unary::PlusMinus(plus), item) => signed(of(*item)?, *plus),
            Node::Unary(Unary::Percent, item) => {
                let hundredth = Rational::new(1.into(), 100.into())?;
                of(*item)?.multiply(&Fraction::whole(Polynomial::number(hundredth)), budget)?
            }
            Node::Binary(binary, left, right) => {
                let (a, b) = (of(*left)?, of(*right)?);
                match binary {
                    Binary::Add => a.add(b, budget)?,
                    Binary::Subtract => a.add(&b.opposite(), budget)?,
                    Binary::PlusMinus(plus) => a.add(&signed(b, *plus), budget)?,
                    Binary::Multiply => a.multiply(b, budget)?,
                    Binary::Divide => a.multiply(&b.inverse()?, budget)?,
                    Binary::Power => {
                        let exponent = exact(arena, *right, sign, budget)?.to_integer();
                        a.power(exponent.and_then(|count| count.to_i64()).ok_or(Stop::Undecided)?, budget)?
                    }
                    _ => return Err(Stop::Undecided),
                }
            }
            _ => return Err(Stop::Undecided),
        };
        values[at - first] = Some(value);
    }
    values[id - first].take().ok_or(Stop::Undecided)
}

/// The polynomial that an expression is.
///
/// # Errors
/// `Stop::Undecided` for other expressions and for too many terms.
pub(super) fn polynomial(arena: &Arena, id: Id, sign: i64, budget: &mut Budget) -> Result<Polynomial, Stop> {
    let value = fraction(arena, id, sign, budget)?;
    if value.bottom.is_one() { Ok(value.top) } else { Err(Stop::Undecided) }
}

/// Whether two expressions, with the signs of their `±`, are the same fraction of polynomials.
///
/// # Errors
/// `Stop::Undecided` for other expressions and for too many terms, `Stop::Undefined` if a denominator is 0.
pub(super) fn same(arena: &Arena, sides: [(Id, i64); 2], budget: &mut Budget) -> Result<bool, Stop> {
    let [a, b] = sides.map(|(id, sign)| fraction(arena, id, sign, budget));
    let (a, b) = (a?, b?);
    let (left, right) = (a.top.multiply(&b.bottom, budget)?, b.top.multiply(&a.bottom, budget)?);
    Ok(left == right)
}

//! Absolute values and square roots, which are one of two numbers.

use num_traits::{Signed, ToPrimitive};

use super::super::Stop;
use super::super::evaluate::exact;
use super::super::expression::{Binary, Id, Node, Unary, holds};
use super::super::number::Rational;
use super::super::points::multiply;
use super::super::polynomial;
use super::{Evaluation, Kind, Number, Residue, Size, Values};

/// Prime factors of radicands are searched for below this number.
const FACTOR: u64 = 1 << 10;

impl Evaluation<'_> {
    /// Whether the other one of two numbers is chosen: always the same for the same `mark` and `value`.
    fn chooses(&mut self, mark: char, value: u64) -> bool {
        let at = self.chosen.iter().position(|known| *known == (mark, value)).unwrap_or_else(|| {
            self.chosen.push((mark, value));
            self.chosen.len() - 1
        });
        self.choices >> at.min(63) & 1 == 1
    }

    /// The absolute value of a number without a known sign.
    pub(super) fn distance(&mut self, number: Residue) -> Residue {
        if number.value.im != 0 {
            return self.function("|", &[number]);
        }
        self.kind = self.kind.max(Kind::Choices);
        let opposite = self.opposite(number);
        let first = if number.value.re <= opposite.value.re { number } else { opposite };
        let value = if self.chooses('|', first.value.re) { self.opposite(first) } else { first };
        Residue { whole: None, ..value }
    }

    /// The absolute value of an expression, factor by factor.
    pub(super) fn absolute(&mut self, id: Id, values: Values<'_>) -> Result<Residue, Stop> {
        // Factors still to take into account, with their exponents.
        let (mut factors, mut product) = (vec![(id, 1_i64)], self.constant(1));
        while let Some((id, exponent)) = factors.pop() {
            self.budget.spend(4)?;
            let id = self.arena.peel(id);
            match *self.arena.node(id) {
                Node::Unary(Unary::Negative, item) => {
                    factors.push((item, exponent));
                    continue;
                }
                Node::Binary(Binary::Multiply, a, b) => {
                    factors.extend([(a, exponent), (b, exponent)]);
                    continue;
                }
                Node::Binary(Binary::Divide, a, b) => {
                    factors.extend([(a, exponent), (b, -exponent)]);
                    continue;
                }
                Node::Binary(Binary::Power, base, power) => {
                    if let Some(power) = values.of(power)?.whole {
                        factors.push((base, exponent.checked_mul(power).ok_or(Stop::Undecided)?));
                        continue;
                    }
                }
                _ => {}
            }
            let size = if exponent % 2 == 0 { values.of(id)? } else { self.distance_of(id, values)? };
            product = self.multiply(product, self.raised(size, exponent)?);
        }
        Ok(product)
    }

    /// Whether real numbers can have the signs that are chosen: if two or three of them multiply to another one, up to its
    /// sign, so do their absolute values.
    pub(super) fn is_possible(&self) -> bool {
        let prime = self.field.prime;
        let known: Vec<(u64, bool)> = (self.chosen.iter().enumerate())
            .filter(|(_, (mark, _))| *mark == '|')
            .map(|(at, (_, value))| (*value, self.choices >> at.min(63) & 1 == 1))
            .collect();
        let fits = |product: u64, turned: bool| {
            known.iter().all(|(value, chosen)| {
                (product != *value || turned == *chosen) && (product + value != prime || turned != *chosen)
            })
        };
        known.iter().enumerate().all(|(at, (a, turned))| {
            known[..at].iter().enumerate().all(|(before, (b, other))| {
                let (product, turned) = (multiply(*a, *b, prime), turned ^ other);
                fits(product, turned)
                    && known[..before]
                        .iter()
                        .all(|(c, third)| fits(multiply(product, *c, prime), turned ^ third))
            })
        })
    }

    /// The absolute value of an expression that is no product.
    fn distance_of(&mut self, id: Id, values: Values<'_>) -> Result<Residue, Stop> {
        let value = values.of(id)?;
        if !self.arena.holds(id, holds::NAME)
            && let Ok(number) = exact(self.arena, id, self.sign, self.budget)
        {
            return self.number(&number.abs());
        }
        let polynomial = match self.bound.is_empty() {
            true => polynomial::polynomial(self.arena, id, self.sign, self.budget),
            false => Err(Stop::Undecided),
        };
        let polynomial = match polynomial {
            Err(Stop::Budget) => return Err(Stop::Budget),
            other => other.ok(),
        };
        if polynomial.as_ref().is_some_and(polynomial::Polynomial::is_never_negative) {
            return Ok(value);
        }
        // `|2x-4|` and `2|x-2|` are the same choice.
        let content = match polynomial.and_then(|polynomial| polynomial.content()) {
            Some(content) => self.number(&content)?,
            None => self.constant(1),
        };
        let distance = self.distance(self.divide(value, content)?);
        Ok(self.multiply(content, distance))
    }

    /// The square root of an expression with a known value.
    pub(super) fn root(&mut self, id: Id, value: Residue) -> Result<Residue, Stop> {
        let number = match value.whole {
            Some(whole) => Some(Rational::from(whole)),
            None if self.arena.holds(id, holds::NAME) => None,
            None => exact(self.arena, id, self.sign, self.budget).ok(),
        };
        if let Some(number) = number {
            return self.root_of_number(&number);
        }
        if value.value.im != 0 {
            return Ok(self.function("root", &[value]));
        }
        self.kind = self.kind.max(Kind::Roots);
        let root = self.field.root(value.value.re);
        let root = if self.chooses('r', value.value.re) { self.field.negative(root) } else { root };
        Ok((root, Size { degree: 1.0 + value.size.all(), ..Size::default() }).into())
    }

    /// The root of a fraction as a product of the roots of primes, each of which is one of two numbers.
    fn root_of_number(&mut self, number: &Rational) -> Result<Residue, Stop> {
        let mut rest = number.numerator().abs() * number.denominator();
        if rest.bits() > 256 {
            return Err(Stop::Undecided);
        }
        let size = Size::number(&Rational::integer(rest.clone()));
        let mut root = (self.field.integer(1), size).into();
        for prime in (2..FACTOR).filter(|number| *number == 2 || number % 2 == 1) {
            if rest.bits() < 2 {
                break;
            }
            if prime % 16 == 1 {
                self.budget.spend(2)?;
            }
            let prime_root: Residue = (self.field.root(prime), Size::default()).into();
            while (&rest % prime).to_u64() == Some(0) {
                rest /= prime;
                root = self.multiply(root, prime_root);
            }
        }
        let whole = rest.sqrt();
        let last = match rest.to_u64() {
            _ if &whole * &whole == rest => self.number(&Rational::integer(whole))?,
            Some(prime) if prime < FACTOR * FACTOR => (self.field.root(prime), Size::default()).into(),
            // Nobody knows the factors, so nothing is known about their roots.
            _ => {
                let rest = self.number(&Rational::integer(rest))?;
                self.function("root", &[rest])
            }
        };
        root = self.multiply(root, last);
        if number.is_negative() {
            root = self.multiply(root, (Number { re: 0, im: 1 }, Size::default()).into());
        }
        let denominator = self.number(&Rational::integer(number.denominator().clone()))?;
        self.divide(root, denominator)
    }
}

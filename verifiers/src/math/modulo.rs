//! Compares expressions as formal expressions, modulo primes at points that nobody can know beforehand.
//!
//! Modulo a prime, an expression of variables, numbers and the four operations has a value that its equals share. Square
//! roots of whole numbers and the imaginary unit exist there too, in the field of `a + b i`. Everything else that is no
//! such operation, a sine or an unknown function, stands for a number that depends on what it is applied to: equal
//! expressions then may differ, but different ones agree only by chance. Two values meet by chance if a coefficient is
//! divisible by the prime or the point is a root, so bounds on the sizes tell how many bits of certainty a prime gives.
//!
//! An angle is a point of the unit circle, so what is known of sines and cosines of sums and multiples holds there too.
//!
//! `|x|` and `\sqrt{x}` are one of two numbers. What holds for all such choices is true wherever they change.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::Stop;
use super::evaluate::{Budget, NESTING, TERMS, exact};
use super::expression::{Arena, Binary, Constant, Function, Id, Name, Node, Unary, holds};
use super::number::Rational;
use super::points::{Seed, hash, mix};
use super::polynomial;

mod angles;
mod choices;
mod factorials;
mod field;

use field::{Field, Number};

/// The bits of a prime that can be relied on: there are that many primes and points.
const PRIME_BITS: f64 = 55.0;
/// Larger sizes leave too little certainty.
const SIZE: f64 = (1_u64 << 34) as f64;
/// The certainty in bits that is asked for.
const CERTAINTY: f64 = 80.0;
/// Expressions with more choices between two numbers are not compared.
const CHOICES: u32 = 6;

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

    fn variable() -> Self {
        Self { degree: 1.0, ..Self::default() }
    }

    fn times(self, other: Self) -> Self {
        Self {
            top: self.top + other.top,
            bottom: self.bottom + other.bottom,
            degree: self.degree + other.degree,
        }
    }

    fn plus(self, other: Self) -> Self {
        let top = 1.0 + (self.top + other.bottom).max(other.top + self.bottom);
        let fraction = self.bottom > 0.0 || other.bottom > 0.0;
        let degree = if fraction { self.degree + other.degree } else { self.degree.max(other.degree) };
        Self { top, bottom: self.bottom + other.bottom, degree }
    }

    fn inverse(self) -> Self {
        Self { top: self.bottom, bottom: self.top + 1.0, ..self }
    }

    fn power(self, exponent: i64) -> Self {
        let times = exponent.unsigned_abs() as f64;
        let size = Self { top: self.top * times, bottom: self.bottom * times, degree: self.degree * times };
        if exponent < 0 { size.inverse() } else { size }
    }

    fn all(self) -> f64 {
        1.0 + self.top + self.bottom + self.degree
    }
}

/// A value, bounds for the function that it belongs to, and the integer that it is, if it is a small one.
#[derive(Clone, Copy, Debug, Default)]
struct Residue {
    value: Number,
    size: Size,
    whole: Option<i64>,
}

impl From<(Number, Size)> for Residue {
    fn from((value, size): (Number, Size)) -> Self {
        Self { value, size, whole: None }
    }
}

/// What a formal comparison can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Variables, numbers and the four operations: agreement is equality, disagreement is not.
    Rational,
    /// Also absolute values: agreement is equality, and so it is taken, as no sample shows where choices change.
    Choices,
    /// Also square roots of expressions.
    Roots,
    /// Also functions about which nothing is known.
    Functions,
}

/// The values of two expressions modulo a prime.
struct Compared {
    values: [Number; 2],
    kind: Kind,
    /// The number of choices between two numbers.
    choices: u32,
    /// Whether real numbers can have the signs that were chosen.
    possible: bool,
    /// The bits of certainty that an agreement gives.
    bits: f64,
}

/// The primes and points of a comparison.
#[derive(Debug)]
pub(super) struct Formal {
    seed: Seed,
    key: u64,
    primes: Vec<u64>,
}

impl Formal {
    /// Makes a comparison whose primes and points follow from `seed`.
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, key: seed.key("residue", 0), primes: Vec::new() }
    }

    fn prime(&mut self, index: usize) -> u64 {
        while self.primes.len() <= index {
            self.primes.push(self.seed.prime(self.primes.len() as u64));
        }
        self.primes[index]
    }

    /// A prime, and the value of an expression at a point modulo that prime.
    #[cfg(test)]
    pub(super) fn residue(&mut self, arena: &Arena, id: Id, prime: usize, point: u64) -> (u64, u64) {
        let mut budget = Budget::new(1_000_000);
        let compared = self.both(arena, [(id, 1), (id, 1)], (prime, point, 0), &mut budget);
        (self.primes[prime], compared.map_or(0, |compared| compared.values[0].re))
    }

    /// The values of both expressions at a point modulo a prime, with given choices.
    fn both(
        &mut self,
        arena: &Arena,
        sides: [(Id, i64); 2],
        (prime, point, choices): (usize, u64, u64),
        budget: &mut Budget,
    ) -> Result<Compared, Stop> {
        let field = Field { prime: self.prime(prime) };
        let keys = [point, u64::MAX].map(|point| mix(self.key ^ mix(field.prime ^ mix(point))));
        let (bound, chosen, kind) = (Vec::new(), Vec::new(), Kind::Rational);
        let mut evaluation = Evaluation { arena, field, keys, choices, sign: 1, bound, chosen, budget, kind };
        let mut size = 1.0;
        let mut values = [Number::default(); 2];
        for (value, (id, sign)) in values.iter_mut().zip(sides) {
            evaluation.sign = sign;
            let residue = evaluation.value(id)?;
            size += residue.size.all();
            *value = residue.value;
        }
        let (kind, choices) = (evaluation.kind, evaluation.chosen.len() as u32);
        let possible = evaluation.is_possible();
        Ok(Compared { values, kind, choices, possible, bits: PRIME_BITS - size.log2() })
    }

    /// Whether both expressions, with the signs of their `±`, are formally the same, and of which kind they are.
    ///
    /// # Errors
    /// `Stop::Undecided` for other expressions and for sizes that may be too large, `Stop::Undefined` if a denominator
    /// is 0.
    pub(super) fn same(
        &mut self,
        arena: &Arena,
        sides: [(Id, i64); 2],
        budget: &mut Budget,
    ) -> Result<(bool, Kind), Stop> {
        let (mut certainty, mut undefined) = (0.0, false);
        for turn in 0_usize.. {
            for choices in 0.. {
                // After four primes, only the points are new.
                let at = (turn.min(2 + turn % 2), turn as u64, choices);
                let compared = match self.both(arena, sides, at, budget) {
                    // A denominator is 0: the expression is undefined, or this is as rare as a collision.
                    Err(Stop::Undefined) if choices == 0 && !undefined => {
                        undefined = true;
                        break;
                    }
                    other => other?,
                };
                let different = compared.possible && compared.values[0] != compared.values[1];
                if different || compared.choices > CHOICES {
                    return Ok((false, compared.kind));
                }
                if choices + 1 < 1 << compared.choices {
                    continue;
                }
                certainty += compared.bits;
                if certainty >= CERTAINTY {
                    return Ok((true, compared.kind));
                }
                break;
            }
        }
        Err(Stop::Undecided)
    }

    /// Whether one expression is the other one times a constant, or `None` if this is no case for primes.
    pub(super) fn proportional(
        &mut self,
        arena: &Arena,
        sides: [(Id, i64); 2],
        budget: &mut Budget,
    ) -> Result<Option<bool>, Stop> {
        let mut certainty = 0.0;
        for prime in 0.. {
            let field = Field { prime: self.prime(prime) };
            let mut first: Option<[Number; 2]> = None;
            for point in 0..2 {
                for choices in 0.. {
                    let compared = self.both(arena, sides, (prime, point, choices), budget)?;
                    if compared.kind > Kind::Choices {
                        return Ok(None);
                    }
                    let [c, d] = compared.values;
                    if compared.possible {
                        let [a, b] = *first.get_or_insert(compared.values);
                        if field.multiply(a, d) != field.multiply(b, c) {
                            return Ok(Some(false));
                        }
                    }
                    if compared.choices > CHOICES {
                        return Ok(Some(false));
                    }
                    if choices + 1 >= 1 << compared.choices {
                        certainty += compared.bits / 2.0 - 1.0;
                        break;
                    }
                }
            }
            if certainty >= CERTAINTY {
                break;
            }
        }
        Ok(Some(true))
    }
}

/// The values of the nodes below an expression.
#[derive(Clone, Copy)]
struct Values<'a> {
    first: Id,
    values: &'a [Option<Residue>],
}

impl Values<'_> {
    fn of(&self, id: Id) -> Result<Residue, Stop> {
        self.values[id - self.first].ok_or(Stop::Undecided)
    }
}

struct Evaluation<'a> {
    arena: &'a Arena,
    field: Field,
    /// The keys of the point and of numbers such as π, which are the same at each point.
    keys: [u64; 2],
    /// The choices to make, as bits.
    choices: u64,
    sign: i64,
    /// The variables of the enclosing sums, with their values.
    bound: Vec<(Name, Residue)>,
    /// What choices were made for, in order.
    chosen: Vec<(char, u64)>,
    budget: &'a mut Budget,
    kind: Kind,
}

impl Evaluation<'_> {
    fn value(&mut self, id: Id) -> Result<Residue, Stop> {
        let first = self.arena.first(id);
        self.budget.spend((id - first) as u64 / 8)?;
        let mut values: Vec<Option<Residue>> = vec![None; id - first + 1];
        let order = self.arena.below(id, |node| match node {
            Node::Big(_, _, [low, high, _]) => Some(vec![*low, *high]),
            _ => None,
        });
        for at in order {
            if matches!(self.arena.node(at), Node::List(_))
                || matches!(self.arena.node(at), Node::Group(_, _, Some(inner))
                    if matches!(self.arena.node(*inner), Node::List(_)))
            {
                continue;
            }
            let value = self.node(at, first, &values)?;
            if value.size.all() > SIZE {
                return Err(Stop::Undecided);
            }
            values[at - first] = Some(value);
        }
        values[id - first].ok_or(Stop::Undecided)
    }

    fn constant(&self, value: i64) -> Residue {
        let rational = Rational::from(value);
        Residue { value: self.field.integer(value), size: Size::number(&rational), whole: Some(value) }
    }

    fn number(&self, value: &Rational) -> Result<Residue, Stop> {
        let whole = value.to_integer().and_then(|value| value.to_i64());
        Ok(Residue { value: self.field.rational(value)?, size: Size::number(value), whole })
    }

    fn node(&mut self, at: Id, first: Id, values: &[Option<Residue>]) -> Result<Residue, Stop> {
        self.budget.spend(2)?;
        let values = Values { first, values };
        let of = |child: Id| values.of(child);
        Ok(match self.arena.node(at) {
            Node::Number { value, .. } => self.number(value)?,
            Node::Symbol(name) => match self.bound.iter().rev().find(|(bound, _)| bound == name) {
                Some((_, value)) => *value,
                None => self.variable(*name),
            },
            Node::Constant(Constant::I) => {
                let bound = self.bound.iter().rev().find(|(name, _)| self.arena.spelling(*name) == "i");
                match bound {
                    Some((_, value)) => *value,
                    None => (Number { re: 0, im: 1 }, Size::default()).into(),
                }
            }
            // No equation with rational coefficients holds for π and e.
            Node::Constant(Constant::Pi) => self.unknown("π", &[]),
            Node::Constant(Constant::E) => self.unknown("e", &[]),
            Node::Group('(' | '{' | '[', _, Some(item)) => of(*item)?,
            Node::Unary(unary, item) => {
                let value = of(*item)?;
                match unary {
                    Unary::Negative => self.opposite(value),
                    Unary::PlusMinus(plus) if *plus == (self.sign > 0) => value,
                    Unary::PlusMinus(_) => self.opposite(value),
                    Unary::Percent => {
                        let hundred = self.constant(100);
                        self.divide(value, hundred)?
                    }
                    Unary::Degree => value,
                    Unary::Factorial => {
                        let (base, shift) = self.shifted(*item, values)?;
                        self.factorial(base, shift)?
                    }
                    Unary::Conjugate => self.function("conjugate", &[value]),
                }
            }
            Node::Binary(binary, left, right) => {
                let (a, b) = (of(*left)?, of(*right)?);
                match binary {
                    Binary::Add => self.add(a, b),
                    Binary::Subtract => self.add(a, self.opposite(b)),
                    Binary::PlusMinus(plus) => {
                        let b = if *plus == (self.sign > 0) { b } else { self.opposite(b) };
                        self.add(a, b)
                    }
                    Binary::Multiply => self.multiply(a, b),
                    Binary::Divide => self.divide(a, b)?,
                    Binary::Power => self.power(*left, *right, a, b)?,
                    Binary::Modulo => self.function("modulo", &[a, b]),
                    Binary::Index => self.unknown("_", &[a, b]),
                    Binary::Cross => self.unknown("\\times", &[a, b]),
                    Binary::Opaque(name) => self.unknown(self.arena.spelling(*name), &[a, b]),
                    _ => return Err(Stop::Undecided),
                }
            }
            Node::Call(function, arguments) => {
                // A number is known exactly, and the branches of its functions with it.
                if !self.arena.holds(at, holds::NAME)
                    && !matches!(function, Function::Sqrt)
                    && let Ok(value) = exact(self.arena, at, self.sign, self.budget)
                {
                    return self.number(&value);
                }
                let values_of = arguments.iter().map(|id| of(*id)).collect::<Result<Vec<_>, _>>()?;
                match (function, arguments.as_slice(), values_of.as_slice()) {
                    (Function::Sqrt, [item], [value]) => self.root(*item, *value)?,
                    (Function::Root, [item, _], [value, degree]) if degree.whole == Some(2) => {
                        self.root(*item, *value)?
                    }
                    (Function::Root, _, [a, degree]) => {
                        let exponent = self.divide(self.constant(1), *degree)?;
                        self.function("power", &[*a, exponent])
                    }
                    (Function::Abs, [item], _) => self.absolute(*item, values)?,
                    (Function::Max | Function::Min, _, [a, b]) => {
                        let distance = self.distance(self.add(*a, self.opposite(*b)));
                        let distance =
                            if *function == Function::Max { distance } else { self.opposite(distance) };
                        self.divide(self.add(self.add(*a, *b), distance), self.constant(2))?
                    }
                    (Function::Max | Function::Min | Function::Gcd | Function::Lcm, ..) => {
                        let mut items = values_of;
                        items.sort_unstable_by_key(|item| (item.value.re, item.value.im));
                        self.function(&format!("{function:?}"), &items)
                    }
                    (Function::Ceiling, _, [value]) => {
                        let floor = self.function("floor", &[self.opposite(*value)]);
                        self.opposite(floor)
                    }
                    (Function::Floor, _, [value]) => self.function("floor", &[*value]),
                    (Function::Exp, _, [value]) => {
                        let base = self.unknown("e", &[]);
                        self.power(at, arguments[0], base, *value)?
                    }
                    (Function::Ln | Function::Log, _, [value, ..]) if value.whole == Some(0) => {
                        return Err(Stop::Undefined);
                    }
                    (Function::Ln | Function::Log, _, [value]) => self.function("ln", &[*value]),
                    (Function::Log, _, [value, base]) => {
                        let (top, bottom) = (self.function("ln", &[*value]), self.function("ln", &[*base]));
                        self.divide(top, bottom)?
                    }
                    (
                        Function::Sin
                        | Function::Cos
                        | Function::Tan
                        | Function::Cot
                        | Function::Sec
                        | Function::Csc
                        | Function::Cis,
                        [item],
                        [value],
                    ) => self.of_angle(*function, *item, *value)?,
                    (Function::Sinh | Function::Cosh | Function::Tanh, [item], [value]) => {
                        self.of_hyperbolic_angle(*function, *item, *value)?
                    }
                    (Function::Binomial, [total, chosen], _) => {
                        let (total, chosen) = (self.shifted(*total, values)?, self.shifted(*chosen, values)?);
                        self.binomial(total, chosen)?
                    }
                    _ => self.function(&format!("{function:?}"), &values_of),
                }
            }
            Node::Apply(name, argument) => {
                let name = self.arena.spelling(*name);
                match self.arena.node(*argument) {
                    Node::Group(_, _, Some(inner)) if matches!(self.arena.node(*inner), Node::List(_)) => {
                        let items = self.arena.children(*inner);
                        let items = items.into_iter().map(of).collect::<Result<Vec<_>, _>>()?;
                        self.unknown(name, &items)
                    }
                    _ => self.unknown(name, &[of(*argument)?]),
                }
            }
            Node::Big(function, variable, [low, high, body]) => {
                self.big(*function, *variable, of(*low)?, of(*high)?, *body)?
            }
            _ => return Err(Stop::Undecided),
        })
    }

    fn opposite(&self, a: Residue) -> Residue {
        let whole = a.whole.and_then(i64::checked_neg);
        Residue { value: self.field.negative(a.value), whole, ..a }
    }

    fn add(&self, a: Residue, b: Residue) -> Residue {
        let whole = a.whole.zip(b.whole).and_then(|(a, b)| a.checked_add(b));
        Residue { value: self.field.add(a.value, b.value), size: a.size.plus(b.size), whole }
    }

    fn multiply(&self, a: Residue, b: Residue) -> Residue {
        let whole = a.whole.zip(b.whole).and_then(|(a, b)| a.checked_mul(b));
        Residue { value: self.field.multiply(a.value, b.value), size: a.size.times(b.size), whole }
    }

    fn divide(&self, a: Residue, b: Residue) -> Result<Residue, Stop> {
        let inverse = self.field.inverse(b.value)?;
        let whole = a.whole.zip(b.whole).and_then(|(a, b)| (a.checked_rem(b) == Some(0)).then(|| a / b));
        let size = a.size.times(b.size.inverse());
        Ok(Residue { value: self.field.multiply(a.value, inverse), size, whole })
    }

    fn raised(&self, base: Residue, exponent: i64) -> Result<Residue, Stop> {
        let mut value = self.field.power(base.value, exponent.unsigned_abs());
        if exponent < 0 {
            value = self.field.inverse(value)?;
        }
        let small = u32::try_from(exponent).ok();
        let whole = base.whole.zip(small).and_then(|(base, exponent)| base.checked_pow(exponent));
        Ok(Residue { value, size: base.size.power(exponent), whole })
    }

    fn power(&mut self, left: Id, right: Id, base: Residue, exponent: Residue) -> Result<Residue, Stop> {
        if let Some(exponent) = exponent.whole {
            self.budget.spend(2 * u64::from(64 - exponent.unsigned_abs().leading_zeros()))?;
            return self.raised(base, exponent);
        }
        if !self.arena.holds(right, holds::NAME) {
            let half = exact(self.arena, right, self.sign, self.budget).ok();
            let half = half.filter(|half| half.denominator() == &BigInt::from(2));
            if let Some(count) = half.and_then(|half| half.numerator().to_i64()) {
                let root = self.root(left, base)?;
                return self.raised(root, count);
            }
        }
        if self.bound.is_empty() {
            match polynomial::polynomial(self.arena, right, self.sign, self.budget) {
                Ok(exponent) => return self.power_of_terms(base, &exponent),
                Err(Stop::Budget) => return Err(Stop::Budget),
                Err(_) => {}
            }
        }
        Ok(self.function("power", &[base, exponent]))
    }

    /// The power as a product of one factor for each term of the exponent: `e^{2x+y}` is `(e^x)^2 e^y`.
    fn power_of_terms(&mut self, base: Residue, exponent: &polynomial::Polynomial) -> Result<Residue, Stop> {
        let mut product = self.constant(1);
        for (powers, factor) in exponent.terms() {
            let bottom = Rational::integer(factor.denominator().clone());
            let term = self.term(powers, &bottom)?;
            let count = factor.numerator().to_i64().ok_or(Stop::Undecided)?;
            let whole = powers.is_empty() && bottom == Rational::from(1);
            let power = if whole { base } else { self.function("power", &[base, term]) };
            product = self.multiply(product, self.raised(power, count)?);
        }
        Ok(product)
    }

    /// The product of powers of variables, divided by a number.
    fn term(&self, powers: &[(Name, u32)], bottom: &Rational) -> Result<Residue, Stop> {
        let mut term = self.divide(self.constant(1), self.number(bottom)?)?;
        for (name, count) in powers {
            let variable = match *name {
                polynomial::PI => self.unknown("π", &[]),
                polynomial::E => self.unknown("e", &[]),
                polynomial::I => (Number { re: 0, im: 1 }, Size::default()).into(),
                name => self.variable(name),
            };
            term = self.multiply(term, self.raised(variable, i64::from(*count))?);
        }
        Ok(term)
    }

    /// The value of a variable.
    fn variable(&self, name: Name) -> Residue {
        let value = mix(hash(self.keys[0], self.arena.spelling(name))) % self.field.prime;
        (Number { re: value, im: 0 }, Size::variable()).into()
    }

    /// A number about which nothing else is known than what it depends on.
    fn unknown(&self, name: &str, arguments: &[Residue]) -> Residue {
        let key = if arguments.is_empty() { self.keys[1] } else { !self.keys[0] };
        let mut state = hash(key, name);
        let mut size = Size::variable();
        for argument in arguments {
            state = mix(mix(state ^ argument.value.re) ^ argument.value.im.rotate_left(32));
            size.degree += argument.size.all();
        }
        (Number { re: state % self.field.prime, im: 0 }, size).into()
    }

    /// The value of a known function about which this comparison knows nothing.
    fn function(&mut self, name: &str, arguments: &[Residue]) -> Residue {
        self.kind = Kind::Functions;
        self.unknown(name, arguments)
    }

    fn big(
        &mut self,
        function: Function,
        variable: Name,
        low: Residue,
        high: Residue,
        body: Id,
    ) -> Result<Residue, Stop> {
        if self.bound.len() >= NESTING {
            return Err(Stop::Budget);
        }
        let body_at = |evaluation: &mut Self, value: Residue| {
            evaluation.bound.push((variable, value));
            let term = evaluation.value(body);
            evaluation.bound.pop();
            term
        };
        let (Some(first), Some(last)) = (low.whole, high.whole) else {
            // Two sums are the same if their bounds and their terms are.
            let counters = ["first", "second"].map(|name| self.unknown(name, &[self.constant(0)]));
            let terms = [body_at(self, counters[0])?, body_at(self, counters[1])?];
            let name = if function == Function::Sum { "sum" } else { "product" };
            return Ok(self.function(name, &[low, high, terms[0], terms[1]]));
        };
        if last.saturating_sub(first) >= TERMS {
            return Err(Stop::Budget);
        }
        let sums = function == Function::Sum;
        let mut result = self.constant(i64::from(!sums));
        for value in first..=last {
            let value = self.constant(value);
            let term = body_at(self, value)?;
            result = if sums { self.add(result, term) } else { self.multiply(result, term) };
        }
        Ok(result)
    }
}

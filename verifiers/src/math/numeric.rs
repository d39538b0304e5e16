//! Evaluates expressions to many digits at a point.
//!
//! Two different expressions may differ by less than any fixed precision: `π` and `π + 10^{-80}`. So each value carries a
//! weight, the bits that its expression spells out: those of its written numbers, times the powers that they are raised
//! to, and a few for each operation. Combinations of weight `w` cannot come closer to each other than about `2^-w`
//! without being equal, as there are no more of them. Twice the weight is asked for, and the precision is raised to it.

use num_integer::Integer;

use super::Stop;
use super::ball::{Ball, pi};
use super::complex::Complex;
use super::evaluate::{Budget, NESTING, TERMS, exact, exact_call, factors_of_binomial};
use super::expression::{Arena, Binary, Constant, Function, Id, Name, Node, Unary};
use super::number::{FACTORIAL, Rational};
use super::points::{Place, Point};

/// Larger exponents are computed through the logarithm instead of by multiplication.
const EXPONENT: i64 = 1 << 20;
/// Whole parts must be this large at some point, so that they are not all known beforehand.
const LARGE: f64 = 20.0;

/// A value and its weight.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    /// The value.
    pub(super) number: Complex,
    /// The bits that its expression spells out.
    pub(super) weight: f64,
}

/// The bits after the point to which two expressions must agree to be the same.
pub(super) fn needed(a: &Weighed, b: &Weighed) -> f64 {
    64.0 + 2.0 * (a.weight + b.weight)
}

/// What was seen while expressions were evaluated, for each node as bits.
pub(super) mod seen {
    /// The value was not 0.
    pub(in crate::math) const NONZERO: u32 = 1;
    /// The value was computed.
    pub(in crate::math) const VALUE: u32 = 2;
    /// The first of the branches of a function such as `|x|` was taken.
    pub(in crate::math) const BRANCH: u32 = 4;
}

/// The numbers of one point, with one precision for both answers.
#[derive(Debug)]
pub(super) struct Sample {
    point: Point,
    precision: u64,
    /// The values of unknown functions: name, arguments, value.
    known: Vec<(String, Vec<Weighed>, Complex)>,
    /// For each node what was [`seen`].
    pub(super) seen: Vec<u32>,
    /// Whether something could not be decided for lack of precision.
    pub(super) imprecise: bool,
    /// Whether all values on the way were real.
    pub(super) real: bool,
}

impl Sample {
    /// A sample at a point.
    pub(super) fn new(point: Point, precision: u64) -> Self {
        Self { point, precision, known: Vec::new(), seen: Vec::new(), imprecise: false, real: true }
    }

    /// The value of an expression. Each variable gets its own number. `sign` is the value of `±`.
    pub(super) fn value(
        &mut self,
        arena: &Arena,
        id: Id,
        sign: i64,
        budget: &mut Budget,
    ) -> Result<Weighed, Stop> {
        if self.seen.len() < arena.len() {
            self.seen.resize(arena.len(), 0);
        }
        Numeric { arena, sign, sample: self, bound: Vec::new(), budget }.value(id)
    }
}

/// The branches that a function of real numbers has, each of which a comparison at points must have seen.
pub(super) fn branches(node: &Node) -> u32 {
    let count = match node {
        Node::Call(Function::Abs, _) => 2,
        Node::Call(Function::Floor | Function::Ceiling, _) | Node::Binary(Binary::Modulo, ..) => 1,
        // Seen only if the value is none of the arguments.
        Node::Call(Function::Gcd | Function::Lcm, _) => 1,
        Node::Call(Function::Max | Function::Min, items) => items.len().min(28) as u32,
        _ => 0,
    };
    ((1 << count) - 1) * seen::BRANCH
}

struct Numeric<'a> {
    arena: &'a Arena,
    sign: i64,
    sample: &'a mut Sample,
    /// The variables of the enclosing sums, with their values.
    bound: Vec<(Name, i64)>,
    budget: &'a mut Budget,
}

impl Numeric<'_> {
    fn value(&mut self, id: Id) -> Result<Weighed, Stop> {
        let first = self.arena.first(id);
        self.budget.spend((id - first) as u64 / 8)?;
        let mut values: Vec<Option<Weighed>> = vec![None; id - first + 1];
        // The bodies of sums are evaluated once per term.
        let order = self.arena.below(id, |node| match node {
            Node::Big(_, _, [low, high, _]) => Some(vec![*low, *high]),
            _ => None,
        });
        for at in order {
            // The members of an argument list have values, but the list itself has none.
            if !self.is_list(at) {
                let value = self.node(at, first, &values)?;
                self.sample.seen[at] |= seen::VALUE;
                if !value.number.may_be_zero() {
                    self.sample.seen[at] |= seen::NONZERO;
                }
                self.sample.real &= value.number.may_be_real();
                values[at - first] = Some(value);
            }
        }
        values[id - first].take().ok_or(Stop::Undecided)
    }

    fn is_list(&self, at: Id) -> bool {
        match self.arena.node(at) {
            Node::List(_) => true,
            Node::Group(_, _, Some(inner)) => matches!(self.arena.node(*inner), Node::List(_)),
            _ => false,
        }
    }

    /// Spends steps that become more with the precision.
    fn spend(&mut self, steps: u64) -> Result<(), Stop> {
        let times = self.sample.precision / super::ball::PRECISION;
        self.budget.spend(steps * if steps > 20 { times * (times + 3) / 4 } else { times })
    }

    fn took(&mut self, at: Id, branch: usize) {
        self.sample.seen[at] |= seen::BRANCH << branch.min(27);
    }

    fn rational(&self, value: &Rational) -> Complex {
        Complex::from(Ball::rational(value, self.sample.precision))
    }

    fn integer(&self, value: i64) -> Complex {
        Complex::integer(value).at(self.sample.precision)
    }

    fn node(&mut self, at: Id, first: Id, values: &[Option<Weighed>]) -> Result<Weighed, Stop> {
        self.spend(8)?;
        let value = |child: Id| values[child - first].as_ref().ok_or(Stop::Undecided);
        let signed =
            |value: &Complex, plus: bool| if plus == (self.sign > 0) { value.clone() } else { value.neg() };
        let (number, weight) = match self.arena.node(at) {
            Node::Number { value, .. } => (self.rational(value), written(value)),
            Node::Symbol(name) => self.symbol(*name),
            Node::Constant(Constant::Pi) => (Complex::from(pi(self.sample.precision).clone()), 2.0),
            Node::Constant(Constant::E) => {
                self.spend(60)?;
                (Complex::from(self.integer(1).re.exp()?), 2.0)
            }
            Node::Constant(Constant::I) => match self.counter("i") {
                Some(count) => (self.integer(count), written(&Rational::from(count))),
                None => (Complex::i().at(self.sample.precision), 1.0),
            },
            Node::Constant(Constant::Undefined) => return Err(Stop::Undefined),
            Node::Group(_, _, Some(item)) => return value(*item).cloned(),
            Node::Unary(unary, item) => {
                let Weighed { number, weight } = value(*item)?;
                match unary {
                    Unary::Negative => (number.neg(), *weight),
                    Unary::PlusMinus(plus) => (signed(number, *plus), *weight),
                    Unary::Factorial => {
                        let count = self.whole(value(*item)?)?.filter(|count| *count >= 0);
                        let count = count.ok_or(Stop::Undecided)?;
                        if count.unsigned_abs() > u64::from(FACTORIAL) {
                            return Err(Stop::Budget);
                        }
                        self.budget.spend(2 * count.unsigned_abs())?;
                        let product = Rational::from(count).factorial()?;
                        (self.rational(&product), weight + written(&product))
                    }
                    Unary::Percent => (number.div(&Complex::integer(100))?, weight + 8.0),
                    Unary::Degree => (number.clone(), *weight),
                    Unary::Conjugate => {
                        (Complex { re: number.re.clone(), im: number.im.neg() }, weight + 1.0)
                    }
                }
            }
            Node::Binary(binary, left, right) => {
                let (left, right) = (*left, *right);
                let (a, b) = (value(left)?, value(right)?);
                let weight = a.weight + b.weight + 1.0;
                match binary {
                    Binary::Add => (a.number.add(&b.number), weight),
                    Binary::Subtract => (a.number.sub(&b.number), weight),
                    Binary::PlusMinus(plus) => (a.number.add(&signed(&b.number, *plus)), weight),
                    Binary::Multiply => (a.number.mul(&b.number), weight),
                    Binary::Divide => (a.number.div(&b.number)?, weight),
                    Binary::Power => return self.power(left, right, a, b),
                    Binary::Modulo => {
                        let quotient = Weighed { number: a.number.div(&b.number)?, weight };
                        let turns = self.floor(at, &quotient)?;
                        (a.number.sub(&b.number.mul(&self.integer(turns))), weight)
                    }
                    Binary::Index => return self.opaque("_", &[a, b]),
                    Binary::Cross => return self.opaque("\\times", &[a, b]),
                    Binary::Opaque(name) => {
                        let arena = self.arena;
                        return self.opaque(arena.spelling(*name), &[a, b]);
                    }
                    _ => return Err(Stop::Undecided),
                }
            }
            Node::Call(function, arguments) => {
                let arguments = arguments.iter().map(|id| value(*id)).collect::<Result<Vec<_>, _>>()?;
                let real = arguments.iter().all(|argument| argument.number.is_real());
                self.spend(if real { 150 } else { 400 })?;
                return self.call(at, *function, &arguments);
            }
            Node::Apply(name, argument) => {
                let arena = self.arena;
                let name = arena.spelling(*name);
                return match arena.node(*argument) {
                    Node::Group(_, _, Some(inner)) if matches!(arena.node(*inner), Node::List(_)) => {
                        let items = arena.children(*inner);
                        let items = items.into_iter().map(value).collect::<Result<Vec<_>, _>>()?;
                        self.opaque(name, &items)
                    }
                    _ => self.opaque(name, &[value(*argument)?]),
                };
            }
            Node::Big(function, variable, [low, high, body]) => {
                return self.big(*function, *variable, value(*low)?, value(*high)?, *body);
            }
            _ => return Err(Stop::Undecided),
        };
        Ok(Weighed { number, weight })
    }

    fn counter(&self, spelling: &str) -> Option<i64> {
        let found = self.bound.iter().rev().find(|(name, _)| self.arena.spelling(*name) == spelling);
        found.map(|(_, value)| *value)
    }

    fn symbol(&self, name: Name) -> (Complex, f64) {
        let bound = self.bound.iter().rev().find(|(bound, _)| *bound == name);
        if let Some((_, value)) = bound {
            return (self.integer(*value), written(&Rational::from(*value)));
        }
        let (re, im) = self.sample.point.value(self.arena.spelling(name));
        let mut value = self.rational(&re);
        if self.sample.point.place == Place::Complex {
            value.im = self.rational(&im).re;
        }
        // Nobody has written the value, so only its size counts.
        let weight = 2.0 + size(&value);
        (value, weight)
    }

    /// The integer that a value is, if it is one.
    fn whole(&mut self, value: &Weighed) -> Result<Option<i64>, Stop> {
        if !value.number.is_real() {
            return Ok(None);
        }
        let near = value.number.re.round()?;
        match value.number.re.same(&Ball::integer(near), 64.0 + 2.0 * value.weight) {
            Some(same) => Ok(same.then_some(near)),
            None => {
                self.sample.imprecise = true;
                Err(Stop::Undecided)
            }
        }
    }

    fn power(&mut self, left: Id, right: Id, base: &Weighed, exponent: &Weighed) -> Result<Weighed, Stop> {
        let whole = match self.whole(exponent) {
            // Exponents beyond this have no logarithm that could be reduced either.
            Err(Stop::Undecided) if !self.sample.imprecise => None,
            whole => whole?,
        };
        if let Some(count) = whole.filter(|count| count.abs() <= EXPONENT) {
            self.spend(8 * u64::from(64 - count.unsigned_abs().leading_zeros()))?;
            let weight = base.weight * count.unsigned_abs().max(1) as f64 + exponent.weight + 1.0;
            return Ok(Weighed { number: base.number.power(count)?, weight });
        }
        self.spend(if base.number.is_real() && exponent.number.is_real() { 250 } else { 600 })?;
        let number = self.power_of(left, right, &base.number, &exponent.number)?;
        let size = size(&number);
        let times = match self.arena.node(left) {
            Node::Constant(Constant::E) => 1.0,
            _ => exponent.number.re.to_f64().abs().max(1.0),
        };
        let weight = base.weight * times + 2.0 * exponent.weight + 4.0 + size;
        Ok(Weighed { number, weight })
    }

    fn power_of(&mut self, left: Id, right: Id, base: &Complex, exponent: &Complex) -> Result<Complex, Stop> {
        if matches!(self.arena.node(left), Node::Constant(Constant::E)) {
            return exponent.exp();
        }
        // For a written number, the real odd root of a negative number is meant, not the principal root.
        let negative = base.is_real() && base.re.is_negative() && !base.re.may_be_zero();
        if negative
            && exponent.is_real()
            && let Ok(exponent) = exact(self.arena, right, self.sign, self.budget)
            && exponent.denominator().is_odd()
        {
            let size = base.neg().pow(&self.rational(&exponent))?;
            return Ok(if exponent.numerator().is_odd() { size.neg() } else { size });
        }
        base.pow(exponent)
    }

    fn integral(&mut self, item: &Weighed) -> Result<Rational, Stop> {
        self.whole(item)?.map(Rational::from).ok_or(Stop::Undecided)
    }

    fn call(&mut self, at: Id, function: Function, arguments: &[&Weighed]) -> Result<Weighed, Stop> {
        let one = Complex::integer(1);
        let mut weight: f64 = 1.0 + arguments.iter().map(|item| item.weight).sum::<f64>();
        let numbers: Vec<&Complex> = arguments.iter().map(|item| &item.number).collect();
        let number = match (function, numbers.as_slice()) {
            (Function::Sqrt, [x]) => x.sqrt()?,
            (Function::Root, [x, degree]) => {
                let count = self.whole(arguments[1])?;
                let negative = x.is_real() && x.re.is_negative() && !x.re.may_be_zero();
                let exponent = one.div(degree)?;
                match count {
                    Some(count) if negative && count % 2 != 0 => x.neg().pow(&exponent)?.neg(),
                    _ => x.pow(&exponent)?,
                }
            }
            (Function::Abs, [x]) => {
                if !x.is_real() || !x.re.is_negative() {
                    self.took(at, 0);
                }
                if !x.is_real() || x.re.is_negative() {
                    self.took(at, 1);
                }
                Complex::from(x.abs()?)
            }
            (Function::Floor, [_]) => {
                let whole = self.floor(at, arguments[0])?;
                self.integer(whole)
            }
            (Function::Ceiling, [x]) => {
                let opposite = Weighed { number: x.neg(), ..*arguments[0] };
                let whole = self.floor(at, &opposite)?;
                self.integer(-whole)
            }
            (Function::Real, [x]) => Complex::from(x.re.clone()),
            (Function::Imaginary, [x]) => Complex::from(x.im.clone()),
            (Function::Argument, [x]) => Complex::from(x.re.angle(&x.im)?),
            (Function::Binomial, [_, _]) => {
                let (total, chosen) = (self.integral(arguments[0])?, self.integral(arguments[1])?);
                self.budget.spend(2 * factors_of_binomial(&total, &chosen))?;
                let value = total.binomial(&chosen)?;
                weight += written(&value);
                self.rational(&value)
            }
            (Function::Gcd | Function::Lcm, _) => {
                let items =
                    arguments.iter().map(|item| self.integral(item)).collect::<Result<Vec<_>, _>>()?;
                let value = exact_call(function, &items)?;
                if items.iter().all(|item| item.abs() != value) && value != Rational::from(1) {
                    self.took(at, 0);
                }
                self.rational(&value)
            }
            (Function::Max | Function::Min, [first, rest @ ..]) => {
                let (mut best, mut place) = (*first, 0);
                for (other, item) in rest.iter().enumerate() {
                    if !item.is_real() || !best.is_real() {
                        return Err(Stop::Undecided);
                    }
                    if item.re.sub(&best.re).is_negative() == (function == Function::Min) {
                        (best, place) = (item, other + 1);
                    }
                }
                self.took(at, place);
                best.clone()
            }
            _ => {
                let number = transcendental(function, &numbers)?;
                // Compositions such as sin tan x and tan sin x agree to several times the digits of x.
                weight = 2.0 * weight + 2.0 + size(&number);
                number
            }
        };
        Ok(Weighed { number, weight })
    }

    fn floor(&mut self, at: Id, x: &Weighed) -> Result<i64, Stop> {
        if !x.number.is_real() {
            return Err(Stop::Undecided);
        }
        let floor = match self.whole(x)? {
            Some(whole) => whole,
            None => x.number.re.floor()?,
        };
        if x.number.re.magnitude() > LARGE {
            self.took(at, 0);
        }
        Ok(floor)
    }

    /// A number for an unknown function: the same for the same arguments.
    fn opaque(&mut self, name: &str, arguments: &[&Weighed]) -> Result<Weighed, Stop> {
        let weight = 2.0 + arguments.iter().map(|argument| argument.weight).sum::<f64>();
        self.budget.spend(4 * self.sample.known.len() as u64)?;
        for (known, items, value) in &self.sample.known {
            if known != name || items.len() != arguments.len() {
                continue;
            }
            let mut same = Some(true);
            for (item, argument) in items.iter().zip(arguments) {
                match item.number.same(&argument.number, needed(item, argument)) {
                    Some(true) => {}
                    Some(false) => same = Some(false),
                    None => same = same.filter(|same| !same),
                }
            }
            match same {
                Some(true) => return Ok(Weighed { number: value.clone(), weight }),
                Some(false) => {}
                None => {
                    self.sample.imprecise = true;
                    return Err(Stop::Undecided);
                }
            }
        }
        let value = self.sample.point.opaque(name, self.sample.known.len());
        let number = self.rational(&value);
        let arguments = arguments.iter().map(|argument| (*argument).clone()).collect();
        self.sample.known.push((name.to_owned(), arguments, number.clone()));
        Ok(Weighed { number, weight })
    }

    fn big(
        &mut self,
        function: Function,
        variable: Name,
        low: &Weighed,
        high: &Weighed,
        body: Id,
    ) -> Result<Weighed, Stop> {
        let mut weight = low.weight + high.weight;
        let low = self.whole(low)?.ok_or(Stop::Undecided)?;
        let high = self.whole(high)?.ok_or(Stop::Undecided)?;
        if high.saturating_sub(low) >= TERMS || self.bound.len() >= NESTING {
            return Err(Stop::Budget);
        }
        let sums = function == Function::Sum;
        let mut number = self.integer(i64::from(!sums));
        for value in low..=high {
            self.bound.push((variable, value));
            let term = self.value(body);
            self.bound.pop();
            let term = term?;
            weight += term.weight + 1.0;
            number = if sums { number.add(&term.number) } else { number.mul(&term.number) };
        }
        Ok(Weighed { number, weight })
    }
}

/// The bits of a written number.
fn written(value: &Rational) -> f64 {
    (value.numerator().bits() + value.denominator().bits()) as f64
}

/// The bits before the point of a large number, or the zeros after the point of a small one.
fn size(value: &Complex) -> f64 {
    let size = value.re.magnitude().max(value.im.magnitude()).abs();
    if size.is_finite() && !value.may_be_zero() { size } else { 0.0 }
}

fn transcendental(function: Function, arguments: &[&Complex]) -> Result<Complex, Stop> {
    let one = Complex::integer(1);
    Ok(match (function, arguments) {
        (Function::Sin, [x]) => x.sin_cos()?.0,
        (Function::Cos, [x]) => x.sin_cos()?.1,
        (Function::Tan, [x]) => {
            let (sine, cosine) = x.sin_cos()?;
            sine.div(&cosine)?
        }
        (Function::Cot, [x]) => {
            let (sine, cosine) = x.sin_cos()?;
            cosine.div(&sine)?
        }
        (Function::Sec, [x]) => one.div(&x.sin_cos()?.1)?,
        (Function::Csc, [x]) => one.div(&x.sin_cos()?.0)?,
        (Function::Cis, [x]) => {
            let (sine, cosine) = x.sin_cos()?;
            cosine.add(&sine.mul(&Complex::i()))
        }
        (Function::Arcsin, [x]) => x.arcsin()?,
        (Function::Arccos, [x]) => x.arccos()?,
        (Function::Arctan, [x]) => x.arctan()?,
        (Function::Arccot, [x]) => one.div(x)?.arctan()?,
        (Function::Sinh | Function::Cosh | Function::Tanh, [x]) => {
            let (up, down) = (x.exp()?, x.neg().exp()?);
            match function {
                Function::Sinh => up.sub(&down).div(&Complex::integer(2))?,
                Function::Cosh => up.add(&down).div(&Complex::integer(2))?,
                _ => up.sub(&down).div(&up.add(&down))?,
            }
        }
        // A logarithm without a base is the natural one, as in most mathematical texts.
        (Function::Ln | Function::Log, [x]) => x.ln()?,
        (Function::Log, [x, base]) => x.ln()?.div(&base.ln()?)?,
        (Function::Exp, [x]) => x.exp()?,
        _ => return Err(Stop::Undecided),
    })
}

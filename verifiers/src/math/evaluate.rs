//! Evaluates expressions: exactly, modulo a prime, or to 50 digits at a point.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive};

use super::Stop;
use super::ball::{Ball, pi};
use super::complex::Complex;
use super::expression::{Arena, Binary, Constant, Function, Id, Name, Node, Unary};
use super::number::{FACTORIAL, Rational};

/// Sums and products with more terms stay unevaluated.
const TERMS: i64 = 2000;
/// Sums nested more deeply than this stay unevaluated.
const NESTING: usize = 3;
/// Larger exponents are computed through the logarithm instead of by multiplication.
const EXPONENT: i64 = 1 << 20;

/// The work that may still be spent on one completion.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    /// A budget of `steps`. One step is roughly one multiplication of two small numbers.
    pub(super) fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    /// Takes `steps` from the budget, or stops if too few are left.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Stop> {
        self.left = self.left.checked_sub(steps).ok_or(Stop::Budget)?;
        Ok(())
    }
}

/// The points at which an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Points {
    /// Positive numbers below 1 (even index) and above 1 (odd index).
    Positive(u64),
    /// Negative numbers.
    Negative(u64),
    /// Whole numbers starting at 2.
    Whole(u64),
}

/// A well-mixed number that depends only on its inputs (splitmix64).
pub(super) fn mix(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(17, |state, byte| mix(state ^ u64::from(byte)))
}

impl Points {
    fn value(self, spelling: &str) -> Rational {
        let (index, seed) = match self {
            Self::Positive(index) => (index, 0x51),
            Self::Negative(index) => (index, 0x52),
            Self::Whole(index) => (index, 0x53),
        };
        let random = mix(hash(spelling) ^ mix(seed + (index << 8)));
        let part = (random % 8191) as i64;
        let (top, bottom) = match self {
            Self::Whole(index) => (2 + index as i64 + (random % 7) as i64, 1),
            // Fractions with a denominator of 3 would cancel too often; 8209 is prime.
            Self::Positive(index) if index % 2 == 0 => (part + 9, 8209),
            Self::Positive(_) => (8209 + 3 * part, 8209),
            Self::Negative(_) => (-(part + 2000) * 2, 8209),
        };
        Rational::new(BigInt::from(top), BigInt::from(bottom)).unwrap_or_else(|_| Rational::from(2))
    }
}

/// The exact value of an expression without variables. `sign` is the value of `±`.
pub(super) fn exact(arena: &Arena, id: Id, sign: i64, budget: &mut Budget) -> Result<Rational, Stop> {
    if let Node::Number { value, .. } = arena.node(id) {
        return Ok(value.clone());
    }
    let first = arena.first(id);
    budget.spend((id - first) as u64 / 8)?;
    let mut values: Vec<Option<Rational>> = vec![None; id - first + 1];
    for at in arena.below(id, |_| None) {
        let value = |child: Id| values[child - first].clone().ok_or(Stop::Undecided);
        let result = match arena.node(at) {
            Node::Number { value, .. } => value.clone(),
            Node::Group(_, _, Some(item)) => value(*item)?,
            Node::Unary(unary, item) => {
                let item = value(*item)?;
                match unary {
                    Unary::Negative => item.neg(),
                    Unary::PlusMinus(plus) => item.mul(&Rational::from(if *plus { sign } else { -sign }))?,
                    Unary::Factorial => {
                        budget.spend(2 * factors(&item))?;
                        item.factorial()?
                    }
                    Unary::Percent => item.div(&Rational::from(100))?,
                    Unary::Degree | Unary::Conjugate => item,
                }
            }
            Node::Binary(binary, left, right) => {
                exact_binary(*binary, &value(*left)?, &value(*right)?, sign)?
            }
            Node::Call(function, arguments) => {
                let arguments = arguments.iter().map(|id| value(*id)).collect::<Result<Vec<_>, _>>()?;
                if let (Function::Binomial, [total, chosen]) = (function, arguments.as_slice()) {
                    budget.spend(2 * factors_of_binomial(total, chosen))?;
                }
                exact_call(*function, &arguments)?
            }
            _ => return Err(Stop::Undecided),
        };
        budget.spend(2 + (result.numerator().bits() + result.denominator().bits()) / 16)?;
        values[at - first] = Some(result);
    }
    values[id - first].take().ok_or(Stop::Undecided)
}

/// The number of factors in a factorial that are multiplied.
fn factors(number: &Rational) -> u64 {
    number.to_integer().and_then(|number| number.to_u64()).unwrap_or(0).min(u64::from(FACTORIAL))
}

/// The number of factors in a binomial that are multiplied.
fn factors_of_binomial(total: &Rational, chosen: &Rational) -> u64 {
    let others = total.sub(chosen).map_or(0, |others| factors(&others));
    factors(chosen).min(others)
}

fn exact_binary(binary: Binary, left: &Rational, right: &Rational, sign: i64) -> Result<Rational, Stop> {
    match binary {
        Binary::Add => left.add(right),
        Binary::Subtract => left.sub(right),
        Binary::PlusMinus(plus) => left.add(&right.mul(&Rational::from(if plus { sign } else { -sign }))?),
        Binary::Multiply => left.mul(right),
        Binary::Divide => left.div(right),
        Binary::Power => left.pow(right)?.ok_or(Stop::Undecided),
        Binary::Modulo => {
            if right.is_zero() {
                return Err(Stop::Undefined);
            }
            left.sub(&right.mul(&left.div(right)?.floor())?)
        }
        _ => Err(Stop::Undecided),
    }
}

fn exact_call(function: Function, arguments: &[Rational]) -> Result<Rational, Stop> {
    let half = || Rational::new(1.into(), 2.into());
    match (function, arguments) {
        (Function::Sqrt, [item]) => item.pow(&half()?)?.ok_or(Stop::Undecided),
        (Function::Root, [item, degree]) => {
            let exponent = Rational::from(1).div(degree)?;
            let odd = degree.to_integer().is_some_and(|degree| degree.is_odd());
            if item.is_negative() && odd {
                return Ok(item.abs().pow(&exponent)?.ok_or(Stop::Undecided)?.neg());
            }
            item.pow(&exponent)?.ok_or(Stop::Undecided)
        }
        (Function::Abs, [item]) => Ok(item.abs()),
        (Function::Floor, [item]) => Ok(item.floor()),
        (Function::Ceiling, [item]) => Ok(item.neg().floor().neg()),
        (Function::Binomial, [total, chosen]) => total.binomial(chosen),
        (Function::Permutations, [total, chosen]) => total.binomial(chosen)?.mul(&chosen.factorial()?),
        (Function::Gcd | Function::Lcm, _) => {
            let mut result: Option<BigInt> = None;
            for item in arguments {
                let item = item.to_integer().filter(|item| item.bits() < 4096).ok_or(Stop::Undecided)?;
                result = Some(match result {
                    None => item.abs(),
                    Some(result) if function == Function::Gcd => result.gcd(&item),
                    Some(result) => result.lcm(&item),
                });
            }
            result.map(Rational::integer).ok_or(Stop::Undefined)
        }
        (Function::Max | Function::Min, [first, rest @ ..]) => Ok(rest
            .iter()
            .fold(first, |best, item| if (item > best) == (function == Function::Max) { item } else { best })
            .clone()),
        (Function::Sin | Function::Tan | Function::Arcsin | Function::Arctan | Function::Sinh, [item])
            if item.is_zero() =>
        {
            Ok(Rational::from(0))
        }
        (Function::Ln, [item]) if *item == Rational::from(1) => Ok(Rational::from(0)),
        (Function::Ln | Function::Log, [item]) if item.is_zero() => Err(Stop::Undefined),
        _ => Err(Stop::Undecided),
    }
}

/// The value to 50 digits. Each variable gets its own number, which depends on `points` and its name.
pub(super) fn numeric(
    arena: &Arena,
    id: Id,
    sign: i64,
    points: Points,
    budget: &mut Budget,
) -> Result<Complex, Stop> {
    Numeric { arena, sign, points, bound: Vec::new(), budget }.value(id)
}

struct Numeric<'a> {
    arena: &'a Arena,
    sign: i64,
    points: Points,
    /// The variables of the enclosing sums, with their values.
    bound: Vec<(Name, i64)>,
    budget: &'a mut Budget,
}

impl Numeric<'_> {
    fn value(&mut self, id: Id) -> Result<Complex, Stop> {
        let first = self.arena.first(id);
        self.budget.spend((id - first) as u64 / 8)?;
        let mut values: Vec<Option<Complex>> = vec![None; id - first + 1];
        // The bodies of sums are evaluated once per term.
        let order = self.arena.below(id, |node| match node {
            Node::Big(_, _, [low, high, _]) => Some(vec![*low, *high]),
            _ => None,
        });
        for at in order {
            // The members of an argument list have values, but the list itself has none.
            if !self.is_list(at) {
                values[at - first] = Some(self.node(at, first, &values)?);
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

    fn node(&mut self, at: Id, first: Id, values: &[Option<Complex>]) -> Result<Complex, Stop> {
        self.budget.spend(8)?;
        let value = |child: Id| values[child - first].as_ref().ok_or(Stop::Undecided);
        let signed =
            |value: &Complex, plus: bool| if plus == (self.sign > 0) { value.clone() } else { value.neg() };
        Ok(match self.arena.node(at) {
            Node::Number { value, .. } => Complex::from(Ball::rational(value)),
            Node::Symbol(name) => self.symbol(*name),
            Node::Constant(Constant::Pi) => Complex::from(pi().clone()),
            Node::Constant(Constant::E) => {
                self.budget.spend(60)?;
                Complex::from(Ball::integer(1).exp()?)
            }
            Node::Constant(Constant::I) => match self.counter("i") {
                Some(count) => Complex::integer(count),
                None => Complex::i(),
            },
            Node::Constant(Constant::Undefined) => return Err(Stop::Undefined),
            Node::Group(_, _, Some(item)) => value(*item)?.clone(),
            Node::Unary(unary, item) => {
                let item = value(*item)?;
                match unary {
                    Unary::Negative => item.neg(),
                    Unary::PlusMinus(plus) => signed(item, *plus),
                    Unary::Factorial => self.factorial(item)?,
                    Unary::Percent => item.div(&Complex::integer(100))?,
                    Unary::Degree => item.clone(),
                    Unary::Conjugate => Complex { re: item.re.clone(), im: item.im.neg() },
                }
            }
            Node::Binary(binary, left, right) => {
                let (a, b) = (value(*left)?, value(*right)?);
                match binary {
                    Binary::Add => a.add(b),
                    Binary::Subtract => a.sub(b),
                    Binary::PlusMinus(plus) => a.add(&signed(b, *plus)),
                    Binary::Multiply => a.mul(b),
                    Binary::Divide => a.div(b)?,
                    Binary::Power => self.power(*left, *right, a, b)?,
                    Binary::Modulo => {
                        let turns = a.div(b)?.re.floor()?;
                        a.sub(&b.mul(&Complex::integer(turns)))
                    }
                    Binary::Index => self.opaque(1, &[a, b])?,
                    Binary::Cross => self.opaque(2, &[a, b])?,
                    Binary::Opaque(name) => self.opaque(hash(self.arena.spelling(*name)), &[a, b])?,
                    _ => return Err(Stop::Undecided),
                }
            }
            Node::Call(function, arguments) => {
                let arguments = arguments.iter().map(|id| value(*id)).collect::<Result<Vec<_>, _>>()?;
                let real = arguments.iter().all(|argument| argument.is_real());
                self.budget.spend(if real { 150 } else { 400 })?;
                self.call(*function, &arguments)?
            }
            Node::Apply(name, argument) => {
                let name = hash(self.arena.spelling(*name));
                match self.arena.node(*argument) {
                    Node::Group(_, _, Some(inner)) if matches!(self.arena.node(*inner), Node::List(_)) => {
                        let items = self.arena.children(*inner);
                        let items = items.into_iter().map(value).collect::<Result<Vec<_>, _>>()?;
                        self.opaque(name, &items)?
                    }
                    _ => self.opaque(name, &[value(*argument)?])?,
                }
            }
            Node::Big(function, variable, [low, high, body]) => {
                let (low, high) = (value(*low)?.clone(), value(*high)?.clone());
                self.big(*function, *variable, &low, &high, *body)?
            }
            _ => return Err(Stop::Undecided),
        })
    }

    fn counter(&self, spelling: &str) -> Option<i64> {
        let found = self.bound.iter().rev().find(|(name, _)| self.arena.spelling(*name) == spelling);
        found.map(|(_, value)| *value)
    }

    fn symbol(&self, name: Name) -> Complex {
        let bound = self.bound.iter().rev().find(|(bound, _)| *bound == name);
        match bound {
            Some((_, value)) => Complex::integer(*value),
            None => Complex::from(Ball::rational(&self.points.value(self.arena.spelling(name)))),
        }
    }

    fn power(&mut self, left: Id, right: Id, base: &Complex, exponent: &Complex) -> Result<Complex, Stop> {
        let whole = if exponent.is_real() { exponent.re.may_be_integer().ok().flatten() } else { None };
        if let Some(count) = whole.filter(|count| count.abs() <= EXPONENT) {
            self.budget.spend(8 * u64::from(64 - count.unsigned_abs().leading_zeros()))?;
            return base.power(count);
        }
        self.budget.spend(if base.is_real() && exponent.is_real() { 250 } else { 600 })?;
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
            let size = base.neg().pow(&Complex::from(Ball::rational(&exponent)))?;
            return Ok(if exponent.numerator().is_odd() { size.neg() } else { size });
        }
        base.pow(exponent)
    }

    fn factorial(&mut self, item: &Complex) -> Result<Complex, Stop> {
        if !item.is_real() {
            return Err(Stop::Undecided);
        }
        let count = item.re.may_be_integer()?.filter(|count| *count >= 0).ok_or(Stop::Undecided)?;
        if count.unsigned_abs() > u64::from(FACTORIAL) {
            return Err(Stop::Budget);
        }
        self.budget.spend(2 * count.unsigned_abs())?;
        Ok(Complex::from(Ball::rational(&Rational::from(count).factorial()?)))
    }

    fn whole(item: &Complex) -> Result<Rational, Stop> {
        let value = if item.is_real() { item.re.may_be_integer()? } else { None };
        value.map(Rational::from).ok_or(Stop::Undecided)
    }

    fn call(&mut self, function: Function, arguments: &[&Complex]) -> Result<Complex, Stop> {
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
            (Function::Arccot, [x]) => {
                let quarter = Complex::from(pi().clone()).div(&Complex::integer(2))?;
                quarter.add(&x.arctan()?.neg())
            }
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
            (Function::Sqrt, [x]) => x.sqrt()?,
            (Function::Root, [x, degree]) => {
                let count = degree.re.may_be_integer()?;
                let negative = x.is_real() && x.re.is_negative() && !x.re.may_be_zero();
                let exponent = one.div(degree)?;
                match count {
                    Some(count) if negative && count % 2 != 0 => x.neg().pow(&exponent)?.neg(),
                    _ => x.pow(&exponent)?,
                }
            }
            (Function::Abs, [x]) => Complex::from(x.abs()?),
            (Function::Floor, [x]) => Complex::integer(self.floor(x)?),
            (Function::Ceiling, [x]) => Complex::integer(-self.floor(&x.neg())?),
            (Function::Real, [x]) => Complex::from(x.re.clone()),
            (Function::Imaginary, [x]) => Complex::from(x.im.clone()),
            (Function::Argument, [x]) => Complex::from(x.re.angle(&x.im)?),
            (Function::Binomial, [total, chosen]) => {
                let (total, chosen) = (Self::whole(total)?, Self::whole(chosen)?);
                self.budget.spend(2 * factors_of_binomial(&total, &chosen))?;
                let value = total.binomial(&chosen)?;
                Complex::from(Ball::rational(&value))
            }
            (Function::Gcd | Function::Lcm, _) => {
                let items = arguments.iter().map(|item| Self::whole(item)).collect::<Result<Vec<_>, _>>()?;
                Complex::from(Ball::rational(&exact_call(function, &items)?))
            }
            (Function::Max | Function::Min, [first, rest @ ..]) => {
                let mut best = *first;
                for item in rest {
                    let difference = item.re.sub(&best.re);
                    if !item.is_real() || !best.is_real() {
                        return Err(Stop::Undecided);
                    }
                    if difference.is_negative() == (function == Function::Min) {
                        best = item;
                    }
                }
                best.clone()
            }
            _ => return Err(Stop::Undecided),
        })
    }

    fn floor(&self, x: &Complex) -> Result<i64, Stop> {
        if !x.is_real() {
            return Err(Stop::Undecided);
        }
        match x.re.may_be_integer()? {
            Some(whole) if x.re.error() > f64::NEG_INFINITY => {
                // Equal to an integer within 50 digits, so it is taken as that integer.
                Ok(whole)
            }
            _ => x.re.floor(),
        }
    }

    /// A number for an unknown function: the same for the same arguments.
    fn opaque(&mut self, name: u64, arguments: &[&Complex]) -> Result<Complex, Stop> {
        let mut state = mix(name);
        for argument in arguments {
            for part in [&argument.re, &argument.im] {
                // The doubles of both sides agree except for their last few bits, so these are dropped.
                let rounded = (part.to_f64() * 1e7).round();
                if !rounded.is_finite() {
                    return Err(Stop::Undecided);
                }
                state = mix(state ^ (rounded as i64 as u64));
            }
        }
        let value = Rational::new(BigInt::from(state >> 16), BigInt::from(1_u64 << 46))?;
        Ok(Complex::from(Ball::rational(&value)))
    }

    fn big(
        &mut self,
        function: Function,
        variable: Name,
        low: &Complex,
        high: &Complex,
        body: Id,
    ) -> Result<Complex, Stop> {
        let bound = |value: &Complex| value.re.may_be_integer()?.ok_or(Stop::Undecided);
        let (low, high) = (bound(low)?, bound(high)?);
        if high.saturating_sub(low) >= TERMS || self.bound.len() >= NESTING {
            return Err(Stop::Budget);
        }
        let sums = function == Function::Sum;
        let mut result = Complex::integer(i64::from(!sums));
        for value in low..=high {
            self.bound.push((variable, value));
            let term = self.value(body);
            self.bound.pop();
            result = if sums { result.add(&term?) } else { result.mul(&term?) };
        }
        Ok(result)
    }
}

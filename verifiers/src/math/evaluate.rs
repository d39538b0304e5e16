//! Evaluates expressions without variables exactly, within a budget of steps.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive};

use super::Stop;
use super::expression::{Arena, Binary, Function, Id, Node, Unary};
use super::number::{FACTORIAL, Rational};

/// Sums and products with more terms stay unevaluated.
pub(super) const TERMS: i64 = 2000;
/// Sums nested more deeply than this stay unevaluated.
pub(super) const NESTING: usize = 3;

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

    /// The steps that are left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Takes `steps` from the budget, or stops if too few are left.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Stop> {
        self.left = self.left.checked_sub(steps).ok_or(Stop::Budget)?;
        Ok(())
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
                if let (Function::Binomial | Function::Permutations, [total, chosen]) =
                    (function, arguments.as_slice())
                {
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
pub(super) fn factors_of_binomial(total: &Rational, chosen: &Rational) -> u64 {
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

pub(super) fn exact_call(function: Function, arguments: &[Rational]) -> Result<Rational, Stop> {
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

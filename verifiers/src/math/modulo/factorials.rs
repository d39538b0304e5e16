//! Factorials and binomials, which differ by a product if their arguments differ by a whole number.

use super::super::Stop;
use super::super::expression::{Binary, Id, Node};
use super::super::number::FACTORIAL;
use super::{Evaluation, Number, Residue, Values};

/// Factorials and binomials with more factors beside a variable stay unevaluated.
const FACTORS: i64 = 3000;

impl Evaluation<'_> {
    /// An expression without the whole numbers that are added to it, and their sum.
    pub(super) fn shifted(&mut self, id: Id, values: Values<'_>) -> Result<(Residue, i64), Stop> {
        let (mut id, mut shift) = (self.arena.peel(id), 0_i64);
        loop {
            self.budget.spend(1)?;
            let value = values.of(id)?;
            if let Some(whole) = value.whole {
                return Ok((self.constant(0), shift.checked_add(whole).ok_or(Stop::Undecided)?));
            }
            let (next, more) = match *self.arena.node(id) {
                Node::Binary(Binary::Add, a, b) => match (values.of(a)?.whole, values.of(b)?.whole) {
                    (_, Some(whole)) => (a, whole),
                    (Some(whole), _) => (b, whole),
                    _ => return Ok((value, shift)),
                },
                Node::Binary(Binary::Subtract, a, b) => match values.of(b)?.whole {
                    Some(whole) => (a, whole.checked_neg().ok_or(Stop::Undecided)?),
                    None => return Ok((value, shift)),
                },
                _ => return Ok((value, shift)),
            };
            shift = shift.checked_add(more).ok_or(Stop::Undecided)?;
            id = self.arena.peel(next);
        }
    }

    /// The factorial of `base + shift`.
    pub(super) fn factorial(&mut self, base: Residue, shift: i64) -> Result<Residue, Stop> {
        if base.whole == Some(0) {
            if shift < 0 {
                return Err(Stop::Undefined);
            }
            if shift > i64::from(FACTORIAL) {
                return Err(Stop::Undecided);
            }
            return self.falling((self.constant(0), shift), shift);
        }
        let known = self.function("!", &[base]);
        if shift >= 0 {
            let factors = self.falling((base, shift), shift)?;
            return Ok(self.multiply(known, factors));
        }
        let factors = self.falling((base, 0), shift.checked_neg().ok_or(Stop::Undecided)?)?;
        self.divide(known, factors)
    }

    /// The product of `count` factors from `base + shift` downwards.
    fn falling(&mut self, (base, shift): (Residue, i64), count: i64) -> Result<Residue, Stop> {
        if count > FACTORS {
            return Err(Stop::Undecided);
        }
        self.budget.spend(2 * count.unsigned_abs())?;
        let mut product = self.constant(1);
        for step in 0..count {
            let factor = self.add(base, self.constant(shift - step));
            product = self.multiply(product, factor);
        }
        Ok(product)
    }

    /// The number of ways to choose some of several things, both given as a base and a shift.
    pub(super) fn binomial(
        &mut self,
        total: (Residue, i64),
        chosen: (Residue, i64),
    ) -> Result<Residue, Stop> {
        let others = self.add(total.0, self.opposite(chosen.0));
        let others_shift = total.1.checked_sub(chosen.1).ok_or(Stop::Undecided)?;
        let known = |base: Residue| base.whole == Some(0) || base.value == Number::default();
        let count = match (known(chosen.0), known(others)) {
            (true, true) => Some(chosen.1.min(others_shift)),
            (true, false) => Some(chosen.1),
            (false, true) => Some(others_shift),
            (false, false) => None,
        };
        match count {
            Some(count) if count < 0 => Ok(self.constant(0)),
            Some(count) => {
                let (top, bottom) =
                    (self.falling(total, count)?, self.falling((self.constant(0), count), count)?);
                self.divide(top, bottom)
            }
            None => {
                let top = self.factorial(total.0, total.1)?;
                let (first, second) =
                    (self.factorial(chosen.0, chosen.1)?, self.factorial(others, others_shift)?);
                self.divide(top, self.multiply(first, second))
            }
        }
    }
}

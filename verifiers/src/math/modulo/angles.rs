//! Functions of angles, for which `e^{i(2x+y)} = (e^{ix})^2 e^{iy}` holds.

use num_traits::ToPrimitive;

use super::super::Stop;
use super::super::expression::{Function, Id};
use super::super::number::Rational;
use super::super::polynomial;
use super::{Evaluation, Kind, Number, Residue, Size};

impl Evaluation<'_> {
    /// The value of a function of an angle.
    pub(super) fn of_angle(&mut self, function: Function, id: Id, angle: Residue) -> Result<Residue, Stop> {
        let point = match self.point_of(id, angle) {
            Err(Stop::Undecided) => return Ok(self.function(&format!("{function:?}"), &[angle])),
            point => point?,
        };
        let part = |value: u64| Residue::from((Number { re: value, im: 0 }, point.size));
        let (cosine, sine, one) = (part(point.value.re), part(point.value.im), self.constant(1));
        Ok(match function {
            Function::Sin => sine,
            Function::Cos => cosine,
            Function::Tan => self.divide(sine, cosine)?,
            Function::Cot => self.divide(cosine, sine)?,
            Function::Sec => self.divide(one, cosine)?,
            Function::Csc => self.divide(one, sine)?,
            _ => point,
        })
    }

    /// The point of the unit circle at an angle: one factor for each term of the angle.
    fn point_of(&mut self, id: Id, angle: Residue) -> Result<Residue, Stop> {
        self.kind = Kind::Functions;
        let terms = match self.bound.is_empty() {
            true => polynomial::polynomial(self.arena, id, self.sign, self.budget),
            false => Err(Stop::Undecided),
        };
        let terms = match terms {
            Err(Stop::Undecided) => return self.turn(angle),
            terms => terms?,
        };
        let mut point = self.constant(1);
        for (powers, factor) in terms.terms() {
            let mut count = factor.numerator().to_i64().ok_or(Stop::Undecided)?;
            let mut bottom = Rational::integer(factor.denominator().clone());
            let factor = if powers == [(polynomial::PI, 1)]
                && factor.denominator().to_i64().is_some_and(|bottom| bottom < 3)
            {
                // A quarter of a turn, or half of one.
                if bottom == Rational::from(1) {
                    count = 2 * (count % 2);
                    bottom = Rational::from(2);
                }
                (Number { re: 0, im: 1 }, Size::default()).into()
            } else {
                let term = self.term(powers, &bottom)?;
                self.turn(term)?
            };
            point = self.multiply(point, self.raised(factor, count)?);
        }
        Ok(Residue { whole: None, ..point })
    }

    /// The point of the unit circle at an angle about which nothing is known. The opposite angle has its mirror image.
    fn turn(&mut self, angle: Residue) -> Result<Residue, Stop> {
        if angle.value.im != 0 {
            return Err(Stop::Undecided);
        }
        let opposite = self.opposite(angle);
        let mirrors = opposite.value.re < angle.value.re;
        let first = if mirrors { opposite } else { angle };
        // Half the tangent gives each point of the circle but one.
        let tangent = self.unknown("angle", &[first]);
        let (square, twice) = (self.multiply(tangent, tangent), self.add(tangent, tangent));
        let (above, below) =
            (self.add(self.constant(1), self.opposite(square)), self.add(self.constant(1), square));
        let (cosine, sine) = (self.divide(above, below)?, self.divide(twice, below)?);
        let sine = if mirrors { self.opposite(sine) } else { sine };
        let size = cosine.size.times(sine.size);
        Ok((Number { re: cosine.value.re, im: sine.value.re }, size).into())
    }

    /// The value of a hyperbolic function, through powers of e.
    pub(super) fn of_hyperbolic_angle(
        &mut self,
        function: Function,
        id: Id,
        angle: Residue,
    ) -> Result<Residue, Stop> {
        let base = self.unknown("e", &[]);
        let up = self.power(id, id, base, angle)?;
        let down = self.divide(self.constant(1), up)?;
        let (sum, difference) = (self.add(up, down), self.add(up, self.opposite(down)));
        match function {
            Function::Sinh => self.divide(difference, self.constant(2)),
            Function::Cosh => self.divide(sum, self.constant(2)),
            _ => self.divide(difference, sum),
        }
    }
}

//! Complex numbers over [`Ball`].

use super::Stop;
use super::ball::{Ball, pi};

/// A complex number whose parts have error bounds.
#[derive(Clone, Debug)]
pub(super) struct Complex {
    /// The real part.
    pub(super) re: Ball,
    /// The imaginary part.
    pub(super) im: Ball,
}

impl From<Ball> for Complex {
    fn from(re: Ball) -> Self {
        Self { re, im: Ball::integer(0) }
    }
}

impl Complex {
    /// The integer `value`.
    pub(super) fn integer(value: i64) -> Self {
        Self::from(Ball::integer(value))
    }

    /// The imaginary unit.
    pub(super) fn i() -> Self {
        Self { re: Ball::integer(0), im: Ball::integer(1) }
    }

    /// The number with at least `precision` bits in what is computed from it.
    pub(super) fn at(self, precision: u64) -> Self {
        Self { re: self.re.at(precision), im: self.im.at(precision) }
    }

    /// Whether the imaginary part is certainly 0.
    pub(super) fn is_real(&self) -> bool {
        self.im.is_exact_zero()
    }

    /// Whether the number may be real within its error.
    pub(super) fn may_be_real(&self) -> bool {
        self.im.may_be_zero()
    }

    /// Whether the number is certainly 0.
    pub(super) fn is_exact_zero(&self) -> bool {
        self.re.is_exact_zero() && self.im.is_exact_zero()
    }

    /// Whether the true value may be 0.
    pub(super) fn may_be_zero(&self) -> bool {
        self.re.may_be_zero() && self.im.may_be_zero()
    }

    /// The negated number.
    pub(super) fn neg(&self) -> Self {
        Self { re: self.re.neg(), im: self.im.neg() }
    }

    /// The sum.
    pub(super) fn add(&self, other: &Self) -> Self {
        Self { re: self.re.add(&other.re), im: self.im.add(&other.im) }
    }

    /// The difference.
    pub(super) fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    /// The product.
    pub(super) fn mul(&self, other: &Self) -> Self {
        if self.is_real() && other.is_real() {
            return Self::from(self.re.mul(&other.re));
        }
        Self {
            re: self.re.mul(&other.re).sub(&self.im.mul(&other.im)),
            im: self.re.mul(&other.im).add(&self.im.mul(&other.re)),
        }
    }

    /// The quotient.
    pub(super) fn div(&self, other: &Self) -> Result<Self, Stop> {
        if other.is_real() {
            let im = if self.is_real() { Ball::integer(0) } else { self.im.div(&other.re)? };
            return Ok(Self { re: self.re.div(&other.re)?, im });
        }
        let size = other.re.mul(&other.re).add(&other.im.mul(&other.im));
        let product = self.mul(&Self { re: other.re.clone(), im: other.im.neg() });
        Ok(Self { re: product.re.div(&size)?, im: product.im.div(&size)? })
    }

    /// The absolute value.
    pub(super) fn abs(&self) -> Result<Ball, Stop> {
        if self.is_real() {
            return Ok(self.re.abs());
        }
        self.re.mul(&self.re).add(&self.im.mul(&self.im)).sqrt()
    }

    /// The exponential function.
    pub(super) fn exp(&self) -> Result<Self, Stop> {
        let size = self.re.exp()?;
        if self.is_real() {
            return Ok(Self::from(size));
        }
        let (sine, cosine) = self.im.sin_cos()?;
        Ok(Self { re: size.mul(&cosine), im: size.mul(&sine) })
    }

    /// The principal logarithm.
    pub(super) fn ln(&self) -> Result<Self, Stop> {
        Ok(Self { re: self.abs()?.ln()?, im: self.re.angle(&self.im)? })
    }

    /// The principal square root.
    pub(super) fn sqrt(&self) -> Result<Self, Stop> {
        if self.is_real() {
            if self.re.is_negative() && !self.re.may_be_zero() {
                return Ok(Self { re: Ball::integer(0), im: self.re.neg().sqrt()? });
            }
            let root = self.re.sqrt()?;
            // The root of what may be negative may be imaginary.
            let im =
                if root.is_exact_zero() || !root.may_be_zero() { Ball::integer(0) } else { root.clone() };
            return Ok(Self { re: root, im });
        }
        self.ln()?.div(&Self::integer(2))?.exp()
    }

    /// The power with an integer exponent.
    pub(super) fn power(&self, exponent: i64) -> Result<Self, Stop> {
        let mut result = Self::integer(1);
        let (mut base, mut left) = (self.clone(), exponent.unsigned_abs());
        while left > 0 {
            if left & 1 == 1 {
                result = result.mul(&base);
            }
            base = base.mul(&base);
            left >>= 1;
        }
        if exponent < 0 { Self::integer(1).div(&result) } else { Ok(result) }
    }

    /// The principal value of the power.
    pub(super) fn pow(&self, exponent: &Self) -> Result<Self, Stop> {
        if self.is_exact_zero() {
            let positive = !exponent.re.is_negative() && !exponent.re.may_be_zero();
            return if positive { Ok(self.clone()) } else { Err(Stop::Undefined) };
        }
        exponent.mul(&self.ln()?).exp()
    }

    /// Sine and cosine.
    pub(super) fn sin_cos(&self) -> Result<(Self, Self), Stop> {
        let (sine, cosine) = self.re.sin_cos()?;
        if self.is_real() {
            return Ok((Self::from(sine), Self::from(cosine)));
        }
        let (up, down) = (self.im.exp()?, self.im.neg().exp()?);
        let two = Ball::integer(2);
        let (cosh, sinh) = (up.add(&down).div(&two)?, up.sub(&down).div(&two)?);
        Ok((
            Self { re: sine.mul(&cosh), im: cosine.mul(&sinh) },
            Self { re: cosine.mul(&cosh), im: sine.mul(&sinh).neg() },
        ))
    }

    /// The inverse tangent of a real number.
    pub(super) fn arctan(&self) -> Result<Self, Stop> {
        if self.is_real() {
            return Ok(Self::from(Ball::integer(1).angle(&self.re)?));
        }
        Err(Stop::Undecided)
    }

    /// The inverse sine of a real number of at most 1.
    pub(super) fn arcsin(&self) -> Result<Self, Stop> {
        if !self.is_real() {
            return Err(Stop::Undecided);
        }
        let rest = Ball::integer(1).sub(&self.re.mul(&self.re));
        if rest.is_negative() && !rest.may_be_zero() {
            return Err(Stop::Undefined);
        }
        Ok(Self::from(rest.sqrt()?.angle(&self.re)?))
    }

    /// The inverse cosine of a real number of at most 1.
    pub(super) fn arccos(&self) -> Result<Self, Stop> {
        let sine = self.arcsin()?;
        Ok(Self::from(pi(sine.re.precision()).div(&Ball::integer(2))?).sub(&sine))
    }

    /// Whether both numbers are the same, if different ones would be more than `2^-bits` apart. `None` if the errors
    /// are too large to decide.
    pub(super) fn same(&self, other: &Self, bits: f64) -> Option<bool> {
        let (re, im) = (self.re.same(&other.re, bits), self.im.same(&other.im, bits));
        if re == Some(false) || im == Some(false) {
            return Some(false);
        }
        Some(re? && im?)
    }
}

//! Exact fractions in 128 bits. A result that does not fit is `None`, never a wrong number.

use std::fmt;

/// The maximum number of digits that are read as a number.
const MAX_DIGITS: usize = 36;

/// A fraction in lowest terms with a positive denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rational {
    numerator: i128,
    denominator: i128,
}

impl Rational {
    /// `numerator / denominator`, or `None` if the denominator is 0.
    pub(crate) fn new(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let common = gcd(numerator.unsigned_abs(), denominator.unsigned_abs());
        let magnitude = i128::try_from(numerator.unsigned_abs() / common).ok()?;
        let denominator_magnitude = i128::try_from(denominator.unsigned_abs() / common).ok()?;
        let is_negative = (numerator < 0) != (denominator < 0);
        Some(Self {
            numerator: if is_negative { -magnitude } else { magnitude },
            denominator: denominator_magnitude,
        })
    }

    /// A whole number.
    pub(crate) fn whole(value: i128) -> Self {
        Self { numerator: value, denominator: 1 }
    }

    /// The value as a whole number, if it is one.
    pub(crate) fn as_whole(self) -> Option<i128> {
        (self.denominator == 1).then_some(self.numerator)
    }

    /// The sum.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Self::new(left.checked_add(right)?, self.denominator.checked_mul(other.denominator)?)
    }

    /// The difference.
    pub(crate) fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated()?)
    }

    /// The product.
    pub(crate) fn times(self, other: Self) -> Option<Self> {
        let numerator = self.numerator.checked_mul(other.numerator)?;
        Self::new(numerator, self.denominator.checked_mul(other.denominator)?)
    }

    /// The quotient, or `None` after a division by 0.
    pub(crate) fn over(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.denominator, other.numerator)?)
    }

    /// The remainder of two whole numbers, in `0..other`, or `None` if it is undefined.
    pub(crate) fn modulo(self, other: Self) -> Option<Self> {
        let (value, modulus) = (self.as_whole()?, other.as_whole()?);
        (modulus > 0).then(|| Self::whole(value.rem_euclid(modulus)))
    }

    /// The negated number.
    pub(crate) fn negated(self) -> Option<Self> {
        Some(Self { numerator: self.numerator.checked_neg()?, ..self })
    }

    /// Reads `-12`, `1.25` or `-3/4`: ASCII digits, with nothing before, between or after them.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if let Some((numerator, denominator)) = text.split_once('/') {
            return Self::new(whole(numerator.trim_end())?, digits(denominator.trim_start())?);
        }
        let (sign, magnitude) = signed(text);
        let value = match magnitude.split_once('.') {
            Some((integer, places)) => decimal(integer, places)?,
            None => Self::whole(digits(magnitude)?),
        };
        if sign < 0 { value.negated() } else { Some(value) }
    }

    /// Like [`Rational::read`], but a fraction must be in lowest terms.
    pub(crate) fn read_lowest(text: &str) -> Option<Self> {
        let value = Self::read(text)?;
        let is_lowest = text
            .split_once('/')
            .is_none_or(|(_, denominator)| digits(denominator.trim_start()) == Some(value.denominator));
        is_lowest.then_some(value)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(formatter, "{}", self.numerator),
            denominator => write!(formatter, "{}/{denominator}", self.numerator),
        }
    }
}

/// The greatest common divisor, or 1 if both are 0, so that it can always be a divisor.
pub(crate) fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// Reads a whole number with an optional sign.
pub(crate) fn whole(text: &str) -> Option<i128> {
    let (sign, magnitude) = signed(text);
    Some(sign * digits(magnitude)?)
}

/// Reads a sequence of ASCII digits.
pub(crate) fn digits(text: &str) -> Option<i128> {
    let is_number = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Reads `integer.places`, where both parts are digits.
pub(crate) fn decimal(integer: &str, places: &str) -> Option<Rational> {
    digits(integer)?;
    digits(places)?;
    Rational::new(digits(&format!("{integer}{places}"))?, 10i128.checked_pow(places.len() as u32)?)
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fraction(numerator: i128, denominator: i128) -> Rational {
        Rational::new(numerator, denominator).unwrap()
    }

    #[test]
    fn arithmetic_is_exact() {
        let third = fraction(1, 3);
        assert_eq!(third.plus(fraction(1, 6)), Some(fraction(1, 2)));
        assert_eq!(third.minus(fraction(1, 2)), Some(fraction(-1, 6)));
        assert_eq!(third.times(Rational::whole(3)), Some(Rational::whole(1)));
        assert_eq!(third.over(fraction(-2, 3)), Some(fraction(1, -2)));
        assert_eq!(third.over(Rational::whole(0)), None);
        assert_eq!(Rational::whole(-7).modulo(Rational::whole(5)), Some(Rational::whole(3)));
        assert_eq!(Rational::whole(7).modulo(Rational::whole(0)), None);
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let most = Rational::whole(i128::MAX);
        assert_eq!(most.plus(Rational::whole(1)), None);
        assert_eq!(most.times(most), None);
        assert_eq!(Rational::whole(i128::MIN).negated(), None);
        assert_eq!(Rational::new(i128::MIN, i128::MIN), Some(Rational::whole(1)));
        assert_eq!(Rational::new(i128::MIN, 3), None);
        assert_eq!(gcd(0, 0), 1);
    }

    #[test]
    fn numbers_are_read_strictly() {
        assert_eq!(Rational::read("-1.250"), Some(fraction(-5, 4)));
        assert_eq!(Rational::read("6/-4"), None);
        assert_eq!(Rational::read("-6/4"), Some(fraction(-3, 2)));
        assert_eq!(Rational::read("\u{2212}3"), Some(Rational::whole(-3)));
        for text in ["", "-", ".", "1.", ".5", "1..2", "1e3", "0x1", "٣", "1 2", "1_0", "--1", "1/0", "1/2/3"]
        {
            assert_eq!(Rational::read(text), None, "{text}");
        }
        assert_eq!(whole(&"9".repeat(37)), None);
    }

    #[test]
    fn lowest_terms_depend_on_the_denominator() {
        for text in ["-3/4", "3 / 4", "+3/4", "03/04", "5/1", "5", "0.50", "0/1"] {
            assert_eq!(Rational::read_lowest(text), Rational::read(text), "{text}");
            assert!(Rational::read(text).is_some(), "{text}");
        }
        for text in ["6/8", "6/3", "0/2", "3/4/1", "3/-4"] {
            assert_eq!(Rational::read_lowest(text), None, "{text}");
        }
    }
}

//! Quantities that cannot be mistaken for one another.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul};

use serde::{Deserialize, Serialize};

/// A quantity that is added to its like and compared with its like.
macro_rules! quantity {
    ($(#[$about:meta])* $name:ident($number:ty)) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($number);

        impl $name {
            /// So many of the unit.
            pub const fn new(number: $number) -> Self {
                Self(number)
            }

            /// The number of units.
            pub const fn get(self) -> $number {
                self.0
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
                quantities.fold(Self::default(), Add::add)
            }
        }
    };
}

quantity! {
    /// Tokens.
    Tokens(u64)
}
quantity! {
    /// Floating-point operations; a multiplication and its addition are two.
    Flops(f64)
}
quantity! {
    /// Seconds.
    Seconds(f64)
}
quantity! {
    /// US dollars.
    Dollars(f64)
}
quantity! {
    /// US dollars an hour.
    DollarsPerHour(f64)
}

/// Operations a token, times tokens.
impl Mul<Tokens> for Flops {
    type Output = Flops;
    fn mul(self, tokens: Tokens) -> Flops {
        Flops(self.0 * tokens.0 as f64)
    }
}

/// So many times the work.
impl Mul<f64> for Flops {
    type Output = Flops;
    fn mul(self, times: f64) -> Flops {
        Flops(self.0 * times)
    }
}

/// How much of some work another is.
impl Div for Flops {
    type Output = f64;
    fn div(self, whole: Flops) -> f64 {
        self.0 / whole.0
    }
}

/// Operations a second.
impl Div<Seconds> for Flops {
    type Output = f64;
    fn div(self, time: Seconds) -> f64 {
        self.0 / time.0
    }
}

/// Tokens a second.
impl Div<Seconds> for Tokens {
    type Output = f64;
    fn div(self, time: Seconds) -> f64 {
        self.0 as f64 / time.0
    }
}

/// The time of so many cores or devices at work side by side.
impl Mul<f64> for Seconds {
    type Output = Seconds;
    fn mul(self, times: f64) -> Seconds {
        Seconds(self.0 * times)
    }
}

/// What time costs.
impl Mul<DollarsPerHour> for Seconds {
    type Output = Dollars;
    fn mul(self, price: DollarsPerHour) -> Dollars {
        Dollars(self.0 / 3600.0 * price.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_costs_what_the_price_says() {
        assert_eq!(Seconds::new(7200.0) * DollarsPerHour::new(0.04), Dollars::new(0.08));
        assert_eq!(Seconds::new(1800.0) * 2.0 * DollarsPerHour::new(2.0), Dollars::new(2.0));
    }

    #[test]
    fn quantities_add_up_and_divide() {
        assert_eq!([3, 4].map(Tokens::new).into_iter().sum::<Tokens>(), Tokens::new(7));
        assert_eq!(Flops::new(1.5) * Tokens::new(4) / Seconds::new(2.0), 3.0);
        assert_eq!(Flops::new(1.0) / Flops::new(4.0), 0.25);
        assert_eq!(Tokens::new(10) / Seconds::new(4.0), 2.5);
    }

    #[test]
    fn files_hold_bare_numbers() {
        assert_eq!(serde_json::to_string(&(Tokens::new(3), Dollars::new(0.5))).unwrap(), "[3,0.5]");
        assert_eq!(serde_json::from_str::<Seconds>("2.5").unwrap(), Seconds::new(2.5));
    }
}

//! Quantities with units, as separate types.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul};

use serde::{Deserialize, Serialize};

/// A quantity that can be added to and compared with quantities of the same type.
macro_rules! quantity {
    ($(#[$about:meta])* $name:ident($number:ty)) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($number);

        impl $name {
            /// A quantity of `number` units.
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
    /// US dollars per hour.
    DollarsPerHour(f64)
}

/// A multiplication or division of quantities.
macro_rules! operation {
    ($operator:ident::$method:ident($left:ident, $right:ty) -> $output:ty: $result:expr) => {
        impl $operator<$right> for $left {
            type Output = $output;
            fn $method(self, right: $right) -> $output {
                let result: fn($left, $right) -> $output = $result;
                result(self, right)
            }
        }
    };
}

operation!(Mul::mul(Flops, Tokens) -> Flops: |per_token, tokens| Flops(per_token.0 * tokens.0 as f64));
operation!(Mul::mul(Flops, f64) -> Flops: |flops, times| Flops(flops.0 * times));
operation!(Div::div(Flops, Flops) -> f64: |part, whole| part.0 / whole.0);
operation!(Div::div(Flops, Seconds) -> f64: |flops, time| flops.0 / time.0);
operation!(Div::div(Tokens, Seconds) -> f64: |tokens, time| tokens.0 as f64 / time.0);
operation!(Mul::mul(Seconds, f64) -> Seconds: |time, times| Seconds(time.0 * times));
operation!(Mul::mul(Seconds, DollarsPerHour) -> Dollars: |time, price| Dollars(time.0 / 3600.0 * price.0));

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

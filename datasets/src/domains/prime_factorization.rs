//! Writing a number as a product of primes. The level is the count of prime factors.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::judging::{Check, judge};
use crate::rational::digits;
use crate::seed::Stream;
use crate::trace;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "prime_factorization",
    about: "the prime factors of a whole number, in any order; level = prime factors",
    answers: "product of primes",
    build: |value| {
        build_checked::<PrimeFactorization>("prime_factorization", value, PrimeFactorization::check)
    },
};

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrimeFactorization {
    /// The maximum prime factor in a question.
    pub max_prime: u64,
}

impl Default for PrimeFactorization {
    fn default() -> Self {
        Self { max_prime: 31 }
    }
}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    number: u64,
}

impl PrimeFactorization {
    fn check(&self) -> Result<(), String> {
        let is_sound = (11..=97).contains(&self.max_prime);
        is_sound.then_some(()).ok_or_else(|| format!("max_prime = {}: give 11 to 97", self.max_prime))
    }
}

/// The prime factors in order. `number` may have only small ones, as in posed questions.
fn factors(mut number: u64) -> Vec<u64> {
    let mut factors = Vec::new();
    let mut divisor = 2;
    while divisor <= number / divisor {
        while number.is_multiple_of(divisor) {
            factors.push(divisor);
            number /= divisor;
        }
        divisor += 1;
    }
    if number > 1 {
        factors.push(number);
    }
    factors
}

/// Whether a number is prime (Miller–Rabin test, with bases that decide every number below 2^64).
fn is_prime(number: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if number < 2 || BASES.iter().any(|base| number.is_multiple_of(*base)) {
        return BASES.contains(&number);
    }
    let times = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(number)) as u64;
    let twos = (number - 1).trailing_zeros();
    BASES.iter().all(|base| {
        let (mut power, mut square, mut exponent) = (1, *base, (number - 1) >> twos);
        while exponent > 0 {
            if exponent % 2 == 1 {
                power = times(power, square);
            }
            square = times(square, square);
            exponent /= 2;
        }
        power == 1
            || (0..twos).any(|_| {
                let is_minus_one = power == number - 1;
                power = times(power, power);
                is_minus_one
            })
    })
}

/// Reads `2*3^2*5`, `2 × 3 × 3` or `2 x 3**2` as factors with exponents. Does not check whether they are prime.
fn read(text: &str) -> Option<Vec<(u64, u32)>> {
    text.replace("**", "^")
        .split(['*', '×', '·', 'x'])
        .map(|factor| {
            let (base, exponent) = factor.trim().split_once('^').unwrap_or((factor.trim(), "1"));
            Some((digits(base)?.try_into().ok()?, digits(exponent)?.try_into().ok()?))
        })
        .collect()
}

/// Divides until a prime is left. With `all_trials`, also writes the remainders of primes that do not divide the
/// number.
fn divisions(number: u64, all_trials: bool) -> Vec<String> {
    let mut left = number;
    let mut lines = Vec::new();
    let mut tried = 2;
    for factor in factors(number) {
        if factor == left {
            break;
        }
        for divisor in (tried..factor).filter(|divisor| all_trials && is_prime(*divisor)) {
            lines.push(format!("{left}%{divisor}={}n", left % divisor));
        }
        tried = factor;
        lines.push(format!("{left}/{factor}={}", left / factor));
        left /= factor;
    }
    lines
}

impl Domain for PrimeFactorization {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=8
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let primes: Vec<u64> = (2..=self.max_prime).filter(|number| is_prime(*number)).collect();
        let mut factors: Vec<u64> = (0..level).map(|_| *stream.pick(&primes)).collect();
        factors.sort_unstable();
        let number: u64 = factors.iter().product();
        let listed: Vec<String> = factors.iter().map(u64::to_string).collect();
        Problem {
            prompt: format!("factor {number}="),
            answer: listed.join("*"),
            spec: json!({ "number": number }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge(item, |spec: &Spec, found| {
            if spec.number < 2 {
                return Check::Broken("the item's number has no prime factors");
            }
            let Some(factors) = read(found) else {
                return Check::Unreadable("not a product of whole numbers");
            };
            let product = factors.iter().try_fold(1u64, |product, (base, exponent)| {
                product.checked_mul(base.checked_pow(*exponent)?)
            });
            if product != Some(spec.number) {
                return Check::Wrong("the product is a different number");
            }
            if factors.iter().all(|(base, exponent)| *exponent > 0 && is_prime(*base)) {
                Check::Right
            } else {
                Check::Wrong("a factor is not prime")
            }
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let number = Spec::deserialize(&problem.spec).ok()?.number;
        match kind {
            SolutionKind::Search => {
                Some(Solution::sure(trace::join(&divisions(number, true)), &problem.answer))
            }
            _ => trace::solve(&divisions(number, false), problem, kind, stream),
        }
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("0123456789*/%=,n!");
        symbols.push("factor ".to_owned());
        symbols
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(answer: &str) -> f64 {
        let spec = json!({ "number": 360 });
        let completion = format!("<answer>{answer}</answer>");
        PrimeFactorization::default()
            .judge(&Item { completion: &completion, answer: None, spec: Some(&spec) })
            .score
    }

    #[test]
    fn any_order_and_powers_are_right() {
        for answer in
            ["2*2*2*3*3*5", "5*3*2*3*2*2", "2^3*3^2*5", "2 × 2 × 2 × 9^0 × 5 * 3^2", "5 * 2^3 * 3 * 3"]
        {
            assert_eq!(score(answer), f64::from(!answer.contains("^0")), "{answer}");
        }
        for answer in ["2**3 * 3**2 * 5", "2·2·2·3·3·5", "2 x 2 x 2 x 3 x 3 x 5"] {
            assert_eq!(score(answer), 1.0, "{answer}");
        }
        for answer in [
            "2 × 2 × 2 × 3 × 3 × 5 ×",
            "0x168",
            "2**3**2*5",
            "360",
            "1*360",
            "4*2*3*3*5",
            "1*2*2*2*3*3*5",
            "2*2*2*3*3*5*1",
            "2*3*5",
            "2,2,2,3,3,5",
            "-2*-2*2*3*3*5",
        ] {
            assert_eq!(score(answer), 0.0, "{answer}");
        }
        assert_eq!(score("2^99999999999*3"), 0.0);
    }

    #[test]
    fn primes_are_distinguished_from_pseudoprimes() {
        let sieve = |number: u64| number > 1 && (2..number).all(|divisor| !number.is_multiple_of(divisor));
        assert!((0..2000).all(|number| is_prime(number) == sieve(number)));
        for (number, truth) in [
            (2_147_483_647, true),
            (u64::MAX, false),
            (18_446_744_073_709_551_557, true),
            (3_215_031_751, false),
        ] {
            assert_eq!(is_prime(number), truth, "{number}");
        }
    }

    #[test]
    fn a_search_shows_what_does_not_divide() {
        assert_eq!(divisions(45, true).concat(), "45%2=1n45/3=1515/3=5");
        assert_eq!(divisions(360, false).join(","), "360/2=180,180/2=90,90/2=45,45/3=15,15/3=5");
    }
}

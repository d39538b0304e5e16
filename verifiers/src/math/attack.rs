//! What someone does who knows how answers are compared: he finds, by lattice reduction and by other algebra, an answer
//! that agrees with the right one at every point and prime that he can compute before he has written it.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, Zero};

use super::ball::{Ball, pi};
use super::complex::Complex;
use super::evaluate::Budget;
use super::expression::{Arena, Id};
use super::modulo::Formal;
use super::numeric::Sample;
use super::points::{Place, Point, Seed};
use super::{Comparison, Math, read};

/// A basis of short vectors of the same lattice (Lenstra, Lenstra and Lovász), with whole numbers throughout.
fn reduced(mut basis: Vec<Vec<BigInt>>) -> Vec<Vec<BigInt>> {
    let mut at = 1;
    while at < basis.len() {
        for other in (0..at).rev() {
            let (sizes, scaled) = orthogonal(&basis[..=at]);
            let size = &sizes[other + 1];
            let twice: BigInt = &scaled[at][other] * 2 + size;
            let times = twice.div_floor(&(size * 2));
            if !times.is_zero() {
                let lower = basis[other].clone();
                for (place, part) in basis[at].iter_mut().zip(lower) {
                    *place -= &times * part;
                }
            }
        }
        let (sizes, scaled) = orthogonal(&basis[..=at]);
        let projected = &sizes[at - 1] * &sizes[at + 1] + &scaled[at][at - 1] * &scaled[at][at - 1];
        if projected * 4 < &sizes[at] * &sizes[at] * 3 {
            basis.swap(at, at - 1);
            at = (at - 1).max(1);
        } else {
            at += 1;
        }
    }
    basis
}

/// The determinants of the leading parts of the Gram matrix, and the coefficients of the orthogonal basis times these.
fn orthogonal(basis: &[Vec<BigInt>]) -> (Vec<BigInt>, Vec<Vec<BigInt>>) {
    let mut sizes = vec![BigInt::one()];
    let mut scaled: Vec<Vec<BigInt>> = Vec::new();
    for (at, vector) in basis.iter().enumerate() {
        scaled.push(Vec::new());
        for other in 0..=at {
            let mut value: BigInt = vector.iter().zip(&basis[other]).map(|(a, b)| a * b).sum();
            for step in 0..other {
                value = (&sizes[step + 1] * value - &scaled[at][step] * &scaled[other][step]) / &sizes[step];
            }
            if other < at { scaled[at].push(value) } else { sizes.push(value) }
        }
    }
    (sizes, scaled)
}

/// Small coefficients, not all 0, such that the sum of the terms is 0 under each of the conditions: the values of the
/// terms modulo a number.
fn vanishing(terms: usize, conditions: &[(u64, Vec<u64>)]) -> Vec<BigInt> {
    // Conditions as large as this are met exactly by short vectors.
    let weight: BigInt = BigInt::one() << 100;
    let width = terms + conditions.len();
    let mut basis = Vec::new();
    for term in 0..terms {
        let mut row = vec![BigInt::zero(); width];
        row[term] = BigInt::one();
        for (at, (_, values)) in conditions.iter().enumerate() {
            row[terms + at] = &weight * values[term];
        }
        basis.push(row);
    }
    for (at, (modulus, _)) in conditions.iter().enumerate() {
        let mut row = vec![BigInt::zero(); width];
        row[terms + at] = &weight * *modulus;
        basis.push(row);
    }
    reduced(basis)[0][..terms].to_vec()
}

/// `a·term + b·term + …`
fn written(coefficients: &[BigInt], terms: &[String]) -> String {
    let mut text = String::new();
    for (coefficient, term) in
        coefficients.iter().zip(terms).filter(|(coefficient, _)| !coefficient.is_zero())
    {
        let sign = if coefficient.is_negative() { '-' } else { '+' };
        text.push_str(&format!("{sign}{}{term}", coefficient.abs()));
    }
    text
}

fn parsed(texts: &[&str]) -> (Arena, Vec<Id>) {
    let mut arena = Arena::default();
    let ids = texts.iter().map(|text| read(&mut arena, text, None).parsed.expect("a formula").root).collect();
    (arena, ids)
}

fn is_paid(gold: &str, answer: &str) -> bool {
    matches!(Math::default().compare(gold, answer), Comparison::Equal(_))
}

/// Whether the forged answer would be paid if the primes and points were those of the seed.
fn fools(seed: Seed, gold: &str, forged: &str) -> bool {
    let (arena, ids) = parsed(&[gold, forged]);
    let mut budget = Budget::new(10_000_000);
    Formal::new(seed).same(&arena, [(ids[0], 1), (ids[1], 1)], &mut budget).is_ok_and(|(same, _)| same)
}

/// An answer that agrees with the right one modulo the primes and at the points of `seed`.
fn forged(seed: Seed, gold: &str, terms: &[String], wrap: impl Fn(&str) -> String) -> String {
    let texts: Vec<&str> = terms.iter().map(|term| if term.is_empty() { "1" } else { term }).collect();
    let (arena, ids) = parsed(&texts);
    let mut formal = Formal::new(seed);
    let mut conditions = Vec::new();
    for turn in 0..2 {
        let values: Vec<(u64, u64)> =
            ids.iter().map(|id| formal.residue(&arena, *id, turn, turn as u64)).collect();
        conditions.push((values[0].0, values.iter().map(|(_, value)| *value).collect()));
    }
    let coefficients = vanishing(terms.len(), &conditions);
    assert!(coefficients.iter().any(|coefficient| !coefficient.is_zero()));
    format!("{gold}{}", wrap(&written(&coefficients, terms)))
}

fn powers(names: &[&str], degree: usize) -> Vec<String> {
    let mut terms = vec![String::new()];
    for name in names {
        terms.extend((1..=degree).map(|power| format!("{name}^{{{power}}}")));
    }
    if let [first, second] = names {
        terms.extend((1..=degree / 2).map(|power| format!("{first}^{{{power}}}{second}")));
    }
    terms
}

#[test]
fn lattice_reduction_finds_short_vectors() {
    let short = vanishing(3, &[(1_000_003, vec![1, 48_573, 65_537])]);
    let sum: BigInt = &short[0] + &short[1] * 48_573 + &short[2] * 65_537;
    assert!(sum.is_multiple_of(&BigInt::from(1_000_003)), "{short:?}");
    assert!(short.iter().all(|part| part.abs() < BigInt::from(400)), "{short:?}");
}

#[test]
fn answers_that_agree_at_the_points_of_the_right_answer_are_refused() {
    let plain = |text: &str| text.to_owned();
    let mut attempts = 0;
    let golds = ["x+1", "x^{3}-2x", "\\frac{1}{2}x+7", "(x+1)^{20}", "(x-1)(x+1)"];
    for (index, gold) in golds.into_iter().enumerate() {
        for degree in [3, 4, 5, 6, 7, 9] {
            // He guesses the points of the right answer itself, or of the empty answer, or of any other text.
            let guess = [gold, "", "x", "1+x"][(index + degree) % 4];
            let seed = Seed::of(gold, guess);
            let answer = forged(seed, gold, &powers(&["x"], degree), plain);
            assert!(fools(seed, gold, &answer), "the attack works where points are known: {answer}");
            assert!(!is_paid(gold, &answer), "{gold} is not {answer}");
            attempts += 1;
        }
    }
    for (gold, names, wrap) in [
        ("x+y", ["x", "y"], ""),
        ("x^{2}y-3", ["x", "y"], ""),
        ("\\frac{a+b}{a-b}", ["a", "b"], "\\frac{1}{a-b}"),
        ("\\frac{x}{x+y}+1", ["x", "y"], "\\frac{1}{x+y}"),
        ("\\sqrt{2}x+iy", ["x", "y"], ""),
        ("\\pi x+y", ["x", "y"], ""),
        ("f(x)+y", ["x", "y"], ""),
    ] {
        for degree in [3, 4, 6] {
            let seed = Seed::of(gold, gold);
            let wrap = |text: &str| match wrap {
                "" => text.to_owned(),
                factor => format!("+{factor}\\left({text}\\right)"),
            };
            let answer = forged(seed, gold, &powers(&names, degree), wrap);
            assert!(fools(seed, gold, &answer), "the attack works where points are known: {answer}");
            assert!(!is_paid(gold, &answer), "{gold} is not {answer}");
            attempts += 1;
        }
    }
    assert_eq!(attempts, 51);
}

#[test]
fn no_spelling_of_a_forged_answer_is_paid() {
    let (gold, seed) = ("x+1", Seed::of("x+1", "x+1"));
    let answer = forged(seed, gold, &powers(&["x"], 6), str::to_owned);
    for blanks in 0..300 {
        let answer = format!("{answer}{}+0", " ".repeat(blanks));
        assert!(!is_paid(gold, &answer), "{answer}");
    }
}

#[test]
fn multiples_of_the_primes_and_their_powers_are_refused() {
    for gold in ["x+1", "\\frac{x}{y}", "x+\\sin x", "\\sqrt{x}+1"] {
        let seed = Seed::of(gold, gold);
        let primes: Vec<BigInt> = (0..4).map(|index| BigInt::from(seed.prime(index))).collect();
        let product: BigInt = primes.iter().product();
        let known: BigInt = (BigInt::one() << 61) - 1;
        for multiple in [&product, &known, &(&product * &known), &(&known * &known)] {
            for answer in [
                format!("{gold}+{multiple}"),
                format!("{gold}+{multiple}x"),
                format!("{gold}-{multiple}x^2"),
                format!("{gold}+\\frac{{{multiple}}}{{x}}"),
                format!("{gold}+\\frac{{1}}{{{multiple}}}"),
            ] {
                assert!(!is_paid(gold, &answer), "{gold} is not {answer}");
            }
        }
        for prime in primes.iter().chain([&known]) {
            for answer in [
                format!("{gold}+x^{{{prime}}}-x"),
                format!("{gold}+x({prime}+1)^{{2}}-x"),
                format!("{gold}+x^{{{}}}-1", prime - 1),
                format!("{gold}+({prime}x)^{{5}}"),
            ] {
                assert!(!is_paid(gold, &answer), "{gold} is not {answer}");
            }
        }
    }
}

#[test]
fn products_that_vanish_at_the_points_are_refused() {
    // The value modulo a prime as a whole number, and the real points as fractions.
    for gold in ["x+1", "\\sin x", "\\ln x+x", "2^{x}", "\\sqrt{x}", "|x|+\\cos x", "y=\\sin x", "\\sin x<3"]
    {
        let seed = Seed::of(gold, gold);
        let (arena, ids) = parsed(&["x"]);
        let mut formal = Formal::new(seed);
        let mut residues = String::new();
        for turn in 0..3 {
            let (_, value) = formal.residue(&arena, ids[0], turn, turn as u64);
            residues.push_str(&format!("(x-{value})"));
        }
        let mut points = String::new();
        let near = [Place::Small, Place::Medium, Place::Medium, Place::Negative, Place::Negative];
        let far = [Place::Far(-12), Place::FarNegative(-12), Place::Far(6), Place::FarNegative(6)];
        for (index, place) in near.into_iter().chain(far).enumerate() {
            let (value, _) = Point::new(seed, place, index).value("x");
            points.push_str(&format!("({}x-({}))", value.denominator(), value.numerator()));
        }
        for factor in [&residues, &points, &format!("{points}{residues}")] {
            for answer in [format!("{gold}+{factor}"), format!("{gold}+10^{{-60}}{factor}x")] {
                assert!(!is_paid(gold, &answer), "{gold} is not {answer}");
            }
        }
    }
}

/// Whole numbers, not all 0, whose combination of the constants is smaller than about `2^-bits`.
fn relation(constants: &[Ball], bits: u64) -> Vec<BigInt> {
    let basis = constants.iter().enumerate().map(|(at, constant)| {
        let mut row = vec![BigInt::zero(); constants.len() + 1];
        row[at] = BigInt::one();
        row[constants.len()] = constant.scaled_to_integer(bits);
        row
    });
    let short = reduced(basis.collect());
    short[0][..constants.len()].to_vec()
}

#[test]
fn near_relations_between_constants_are_refused() {
    let terms: Vec<String> =
        ["", "\\pi", "e", "\\sqrt{2}", "\\ln 2", "\\sqrt{3}", "\\pi^{2}"].map(str::to_owned).to_vec();
    let texts: Vec<&str> = terms.iter().map(|term| if term.is_empty() { "1" } else { term }).collect();
    let (arena, ids) = parsed(&texts);
    let mut sample = Sample::new(Point::new(Seed::of("", ""), Place::Whole, 0), 2048);
    let mut budget = Budget::new(10_000_000);
    let constants: Vec<Ball> = ids
        .iter()
        .map(|id| sample.value(&arena, *id, 1, &mut budget).expect("a constant").number.re)
        .collect();
    assert_eq!(
        Complex::from(pi(2048).clone()).same(&Complex::from(constants[1].clone()), 2000.0),
        Some(true)
    );
    for count in [3, 4, 5, 7] {
        for bits in [170, 220, 260, 400, 700] {
            let coefficients = relation(&constants[..count], bits);
            let small = written(&coefficients, &terms[..count]);
            let value = coefficients
                .iter()
                .zip(&constants)
                .fold(Ball::integer(0).at(2048), |sum, (times, constant)| {
                    sum.add(&constant.mul(&Ball::whole(times, 2048)))
                });
            assert!(!value.may_be_zero() && value.magnitude() < -(bits as f64) / 2.0, "{small} is almost 0");
            for gold in ["0", "\\pi", "\\sqrt{5}", "3", "(0,\\pi)"] {
                let answer = match gold {
                    "0" => small.clone(),
                    "(0,\\pi)" => format!("(0,\\pi{small})"),
                    _ => format!("{gold}{small}"),
                };
                assert!(!is_paid(gold, &answer), "{gold} is not {answer}");
            }
            for gold in ["\\sin x", "x+1", "|x|", "x+y=3", "f(x)"] {
                for answer in [format!("{gold}{small}"), format!("{gold}+x({small})")] {
                    assert!(!is_paid(gold, &answer), "{gold} is not {answer}");
                }
            }
        }
    }
}

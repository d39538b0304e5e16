//! Tests the verifier `math` on tables of cases, on hostile input, and on laws that hold for any value.

use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use thinkling_verifiers::math::{Comparison, Math, Percent, Units};
use thinkling_verifiers::{Item, Outcome, Verdict, Verifier};

#[path = "../../tests/golden.rs"]
mod golden;

fn verify(gold: &str, completion: &str) -> Verdict {
    Math::default().verify(&Item { completion, answer: Some(gold), spec: None })
}

fn equal(gold: &str, answer: &str) -> bool {
    matches!(Math::default().compare(gold, answer), Comparison::Equal(_))
}

/// The rows with a wrong verdict: false refusals and false accepts.
fn misjudged(path: &Path) -> (usize, Vec<String>, Vec<String>) {
    let text = std::fs::read_to_string(path).expect("the table of cases can be read");
    let (mut count, mut refused, mut accepted) = (0, Vec::new(), Vec::new());
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("a row is an object");
        let field = |name: &str| row[name].as_str();
        let gold = field("gold").or(field("answer")).expect("a row has a right answer");
        let prediction = field("prediction").or(field("completion")).expect("a row has a completion");
        let verdict = verify(gold, prediction);
        // Rows without an expected verdict only need to finish.
        let Some(expected) = row["expected"].as_i64() else { continue };
        count += 1;
        let told = format!("{} {gold} | {prediction} | {verdict:?}", row["id"]);
        match (expected == 1, verdict.is_correct()) {
            (true, false) => refused.push(told),
            (false, true) => accepted.push(told),
            _ => {}
        }
    }
    (count, refused, accepted)
}

#[test]
fn our_own_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/math_cases.jsonl");
    let (count, refused, accepted) = misjudged(&path);
    assert!(count > 600, "{count} rows");
    assert!(refused.is_empty() && accepted.is_empty(), "{refused:#?}\n{accepted:#?}");
}

#[test]
fn cases_that_another_author_would_choose() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/math_adversarial.jsonl");
    let (count, refused, accepted) = misjudged(&path);
    assert!(count > 300, "{count} rows");
    assert!(refused.is_empty() && accepted.is_empty(), "{refused:#?}\n{accepted:#?}");
}

#[test]
fn cases_of_every_point_of_the_specification() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/math_reviewed.jsonl");
    let (count, refused, accepted) = misjudged(&path);
    assert!(count > 1200, "{count} rows");
    assert!(refused.is_empty() && accepted.is_empty(), "{refused:#?}\n{accepted:#?}");
}

#[test]
fn cases_of_every_kind_in_the_reports() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/math_kinds.jsonl");
    let (count, refused, accepted) = misjudged(&path);
    assert!(count > 1500, "{count} rows");
    assert!(refused.is_empty() && accepted.is_empty(), "{refused:#?}\n{accepted:#?}");
}

/// Answers that people reported to other graders' projects.
#[test]
fn what_other_graders_got_wrong() {
    let (count, refused, accepted) = misjudged(&golden::path("math_reports.jsonl"));
    assert!(count > 200, "{count} rows");
    assert!(accepted.len() * 100 <= count, "{accepted:#?}");
    assert!((refused.len() + accepted.len()) * 100 <= 3 * count, "{refused:#?}\n{accepted:#?}");
}

/// Sets of hundreds of members, in any order.
#[test]
fn large_sets_are_sorted_before_they_are_compared() {
    let set = |members: &mut dyn Iterator<Item = i64>| {
        let members: Vec<String> = members.map(|member| member.to_string()).collect();
        format!("\\{{{}\\}}", members.join(", "))
    };
    let pairs = |members: &mut dyn Iterator<Item = i64>| {
        let members: Vec<String> = members.map(|member| format!("({member}, {})", member + 1)).collect();
        members.join(", ")
    };
    assert!(equal(&set(&mut (1..600)), &set(&mut (1..600).rev())));
    assert!(!equal(&set(&mut (1..600)), &set(&mut (2..601).rev())));
    assert!(equal(&pairs(&mut (1..200)), &pairs(&mut (1..200).rev())));
    assert!(!equal(&pairs(&mut (1..200)), &pairs(&mut (1..201).rev())));
}

/// What a member of a list counts stays with that member.
#[test]
fn units_in_a_list_belong_to_their_numbers() {
    let gold = "5 \\text{ apples}, 3 \\text{ pears}";
    assert!(equal(gold, "3 \\text{ pears}, 5 \\text{ apples}"));
    assert!(!equal(gold, "5 \\text{ pears}, 3 \\text{ apples}"));
    assert!(!equal("(5 \\text{ m}, 3 \\text{ s})", "(3 \\text{ s}, 5 \\text{ m})"));
}

/// Inputs found by fuzzing, as the exact bytes.
#[test]
fn boxes_without_braces_end_before_the_next_box() {
    for completion in [
        "<think>\\boxed2{4/?1<think>\\boxed{42}",
        "<answer>\\boxedwer>\\boxed{42}</an{42}</answer>",
        "\\boxed 1\\boxed 2\\fbox3\\boxed{",
        "\\boxed2{\\boxed3{\\boxed{4}}}",
    ] {
        verify("42", completion);
        verify(completion, completion);
    }
    assert!(verify("42", "\\boxed2{4/?1\\boxed{42}").is_correct());
    assert!(!verify("4", "\\boxedfour").is_correct());
}

/// Coefficients and exponents as large as the prime of the fast comparison.
#[test]
fn numbers_do_not_wrap_around() {
    let prime = (1_u64 << 61) - 1;
    for (gold, answer) in [
        ("x+1", "x+2^{61}".to_owned()),
        ("x+1", format!("x+{}", prime + 1)),
        ("x", format!("x^{{{prime}}}")),
        ("x", "2^{31} x 2^{30}".to_owned()),
        ("x^2", "((x^{2^{31}})^{2^{30}})".to_owned()),
        ("\\frac{x}{2}", format!("\\frac{{x}}{{{}}}", prime + 2)),
        ("x", format!("{}x - {prime}x", prime + 2)),
    ] {
        assert!(!equal(gold, &answer), "{gold} {answer}");
        assert!(equal(&answer, &answer), "{answer}");
    }
    assert!(equal("(x+1)^{100}", "(1+x)^{100}"));
    assert!(equal("2^{70}x", "4^{35}x"));
}

#[test]
fn the_golden_cases() {
    let path = golden::path("math_cases.jsonl");
    let (count, refused, accepted) = misjudged(&path);
    assert!(count > 0, "no row has an expected verdict");
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert!(refused.len() * 50 <= count, "{refused:#?}");
}

#[test]
fn outcomes_tell_whose_fault_it_is() {
    assert_eq!(verify("4", "I do not know what to say").outcome, Outcome::Malformed);
    assert_eq!(verify("4", "\\boxed{@@}").outcome, Outcome::Malformed);
    assert_eq!(verify("4", "\\boxed{5}").outcome, Outcome::Wrong);
    assert_eq!(verify("4", "\\boxed{9^{9^{9^9}}}").outcome, Outcome::Timeout);
    assert_eq!(verify(" ", "\\boxed{5}").outcome, Outcome::Error);
    assert!(verify("4", "\\boxed{9^{9^{9^9}}}").reason.contains("budget"));
    assert!(verify("4", "#### 4").reason.starts_with("####"));
}

#[test]
fn settings_change_what_is_the_same() {
    let with = |change: fn(&mut Math), gold: &str, answer: &str| {
        let mut math = Math::default();
        change(&mut math);
        matches!(math.compare(gold, answer), Comparison::Equal(_))
    };
    assert!(with(|math| math.units = Units::Ignore, "10 cm", "10 km"));
    assert!(!with(|_| (), "10 cm", "10 km"));
    assert!(with(|math| math.percent = Percent::Unit, "28", "28\\%"));
    assert!(!with(|_| (), "28", "28\\%"));
    assert!(with(|math| math.tolerance = 1e-2, "\\pi", "3.14"));
    assert!(with(|math| math.set_relation = true, "[0,1)", "0 \\le x < 1"));
    assert!(!with(|math| math.tuple_as_set = false, "(1,3)", "\\{1,3\\}"));
    assert!(!with(|math| math.decimal_comma = false, "2.74", "2,74"));
    assert!(with(|math| math.rounded_digits = 3, "7.78", "\\frac{70}{9}"));
    assert!(with(|math| math.any_letters = true, "f(x)", "f(y)"));
    assert!(!with(|math| math.any_letters = true, "x - y", "x + y"));
    assert!(!with(|_| (), "f(x)", "f(y)"));
    let build = thinkling_verifiers::find("math").expect("math is in the table").build;
    let strict = build(&serde_json::json!({"extraction": "strict"})).expect("the settings are right");
    let item = |completion| Item { completion, answer: Some("4"), spec: None };
    assert_eq!(strict.verify(&item("the answer is 4")).outcome, Outcome::Malformed);
    assert!(strict.verify(&item("<answer>4</answer>")).is_correct());
    assert!(build(&serde_json::json!({"unit": "ignore"})).is_err());
}

#[test]
fn hostile_completions_end_with_a_verdict() {
    let megabytes = 10 << 20;
    let long = |piece: &str| piece.repeat(megabytes / piece.len());
    let pieces = [
        "(",
        "{",
        "\\boxed{",
        "\\frac{",
        "\\sqrt{",
        "$",
        "\\(",
        "<answer>",
        "</answer>",
        "</think>",
        "9",
        "9,",
        "9^",
        "x=",
        "-",
        "\0",
        "answer is ",
        "####",
        "\\",
        "é",
        "１",
        "\u{200b}",
        "\\begin{pmatrix}",
        "\\text{",
        "|",
        "\n",
        "0.",
        "\\boxed{1}",
        "\\boxed{1}, ",
        "1/",
        "a b ",
        "\\left(",
        "<think>",
        "\\vec",
        "\\begin{cases}",
        "\\{x|",
        "A\\prec ",
        "\\circ f",
        "1 h 2 min ",
        "]0,1[",
        "1.234",
        "\\equiv 1 \\pmod 2",
        "30^\\circ 15' ",
        "twenty ",
        "\\root 3 \\of ",
        "the answer is not ",
        "_a",
        "ABC ",
    ];
    for piece in pieces {
        let completion = long(piece);
        assert!(!verify("3", &completion).is_correct(), "{piece}");
        let boxed = format!("\\boxed{{{}}}", piece.repeat(4000 / piece.len()));
        assert!(!verify("3", &boxed).is_correct(), "{piece} in a box");
        // The item may be as strange as the completion.
        verify(&boxed, &boxed);
    }
    assert!(verify("3", &format!("{}\\boxed{{3}}", long("x "))).is_correct());
}

/// Answers of every kind, with equality that works in both directions.
const ANSWERS: &[&str] = &[
    "0",
    "-1",
    "2",
    "7",
    "12345",
    "12,345",
    "10^{30}",
    "\\frac12",
    "1/2",
    "0.5",
    "-3\\frac12",
    "-3.5",
    "0.\\overline{3}",
    "1/3",
    "5!",
    "120",
    "\\binom{10}{3}",
    "2\\sqrt3",
    "\\sqrt{12}",
    "\\pi",
    "2\\pi",
    "e^2",
    "\\ln 4",
    "2\\ln 2",
    "\\log_2 8",
    "\\sin 30^\\circ",
    "3+4i",
    "4i+3",
    "|3+4i|",
    "5",
    "x",
    "x+1",
    "1+x",
    "(x+1)^2",
    "x^2+2x+1",
    "\\frac{x^2-1}{x-1}",
    "h(a+b)",
    "ah+bh",
    "f(x)",
    "f(y)",
    "x=5",
    "y=5",
    "y=2x+1",
    "2x-y+1=0",
    "2x+4y=6",
    "x+2y=3",
    "x<3",
    "3>x",
    "x \\le 3",
    "-1<x<1",
    "|x|<1",
    "x<-2 \\text{ or } x>2",
    "|x|>2",
    "x \\ne 3",
    "\\pm 3",
    "3,-3",
    "\\{-3,3\\}",
    "1,2,3",
    "\\{3,2,1\\}",
    "(2,1)",
    "(3,1,2)",
    "(2,1),(3,4)",
    "(3,4),(2,1)",
    "x=1,y=2",
    "y=2,x=1",
    "[0,1)",
    "[0,1]",
    "(-\\infty,1)\\cup(2,\\infty)",
    "\\mathbb{R}\\setminus[1,2]",
    "\\mathbb{R}",
    "(-\\infty,\\infty)",
    "\\emptyset",
    "\\infty",
    "-\\infty",
    "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
    "\\begin{bmatrix}1&3\\\\2&4\\end{bmatrix}^T",
    "\\begin{pmatrix}2\\\\1\\end{pmatrix}",
    "7:32",
    "8:30",
    "12_7",
    "(12)_7",
    "12_8",
    "\\text{Yes}",
    "no",
    "\\text{Tuesday}",
    "C",
    "(C)",
    "D",
    "10\\text{ cm}",
    "10 km",
    "\\$5",
    "5 dollars",
    "25^\\circ C",
    "25^\\circ F",
    "ABCD",
    "DCBA",
    "xy",
    "a_{ij}",
    "a_{ji}",
    "\\angle ABC",
    "\\vec{AB}",
    "\\vec{BA}",
    "\\vec a \\times \\vec b",
    "a \\prec b",
    "b \\succ a",
    "A \\subseteq B",
    "B \\supseteq A",
    "p \\to q",
    "f \\circ g",
    "\\overline{A} \\cap B",
    "A \\cap \\overline{B}",
    "p \\lor q",
    "p \\land q",
    "\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}",
    "-2",
    "\\begin{cases}1 & x>0\\\\ 2 & x \\le 0\\end{cases}",
    "\\begin{cases}2 & x \\le 0\\\\ 1 & x>0\\end{cases}",
    "\\begin{cases}2 & x>0\\\\ 1 & x \\le 0\\end{cases}",
    "\\{x \\mid x < 3\\}",
    "x \\equiv 3 \\pmod 7",
    "x \\equiv 10 \\pmod 7",
    "x=\\frac{\\pi}{4}+k\\pi, k\\in\\mathbb{Z}",
    "x=\\frac{5\\pi}{4}+n\\pi, n\\in\\mathbb{Z}",
    "30^\\circ 15'",
    "30.25^\\circ",
    "2 h 30 min",
    "5 \\text{ kN}",
    "5 \\text{ N}",
    "2.5 \\text{ million}",
    "\\text{twelve}",
    "12",
    "March 5, 2024",
    "2024-03-05",
    "1, 3, 5, \\ldots",
    "at least 5",
    "at most 5",
    "1.234.567",
    "1'234'567",
    "]0,1[",
    "0.(3)",
];

#[test]
fn equality_goes_both_ways_and_every_answer_equals_itself() {
    for one in ANSWERS {
        assert!(equal(one, one), "{one}");
        assert!(verify(one, &format!("<think>t</think>\\boxed{{{one}}}")).is_correct(), "{one} in a box");
        for other in ANSWERS {
            assert_eq!(equal(one, other), equal(other, one), "{one} {other}");
        }
    }
}

/// An expression of whole numbers and one variable.
#[derive(Clone, Debug)]
enum Tree {
    Number(i64),
    Variable,
    Sum(Box<Self>, Box<Self>),
    Difference(Box<Self>, Box<Self>),
    Product(Box<Self>, Box<Self>),
    Quotient(Box<Self>, Box<Self>),
    Power(Box<Self>, u32),
}

impl Tree {
    /// The value at `x` as a fraction, or `None` if it is undefined or too large.
    fn value(&self, x: i128) -> Option<(i128, i128)> {
        let both = |a: &Self, b: &Self| Some((a.value(x)?, b.value(x)?));
        let (top, bottom) = match self {
            Self::Number(value) => (i128::from(*value), 1),
            Self::Variable => (x, 1),
            Self::Sum(a, b) => {
                let ((a, b), (c, d)) = both(a, b)?;
                (a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?, b.checked_mul(d)?)
            }
            Self::Difference(a, b) => {
                let ((a, b), (c, d)) = both(a, b)?;
                (a.checked_mul(d)?.checked_sub(c.checked_mul(b)?)?, b.checked_mul(d)?)
            }
            Self::Product(a, b) => {
                let ((a, b), (c, d)) = both(a, b)?;
                (a.checked_mul(c)?, b.checked_mul(d)?)
            }
            Self::Quotient(a, b) => {
                let ((a, b), (c, d)) = both(a, b)?;
                (a.checked_mul(d)?, b.checked_mul(c)?)
            }
            Self::Power(base, exponent) => {
                let (top, bottom) = base.value(x)?;
                (top.checked_pow(*exponent)?, bottom.checked_pow(*exponent)?)
            }
        };
        (bottom != 0 && top.unsigned_abs().max(bottom.unsigned_abs()) < 1 << 100).then_some((top, bottom))
    }

    /// The expression in LaTeX.
    fn latex(&self) -> String {
        match self {
            Self::Number(value) if *value < 0 => format!("({value})"),
            Self::Number(value) => value.to_string(),
            Self::Variable => "x".to_owned(),
            Self::Sum(a, b) => format!("\\left({} + {}\\right)", a.latex(), b.latex()),
            Self::Difference(a, b) => format!("\\left({} - {}\\right)", a.latex(), b.latex()),
            Self::Product(a, b) => format!("{} \\cdot {}", a.latex(), b.latex()),
            Self::Quotient(a, b) => format!("\\frac{{{}}}{{{}}}", a.latex(), b.latex()),
            Self::Power(base, exponent) => format!("{{\\left({}\\right)}}^{{{exponent}}}", base.latex()),
        }
    }

    /// The expression as a program would write it, with sums and products reversed.
    fn plain(&self) -> String {
        match self {
            Self::Number(value) => format!("({value})"),
            Self::Variable => "x".to_owned(),
            Self::Sum(a, b) => format!("({}+{})", b.plain(), a.plain()),
            Self::Difference(a, b) => format!("(-{}+{})", b.plain(), a.plain()),
            Self::Product(a, b) => format!("({}*{})", b.plain(), a.plain()),
            Self::Quotient(a, b) => format!("(({})/({}))", a.plain(), b.plain()),
            Self::Power(base, exponent) => format!("(({})**{exponent})", base.plain()),
        }
    }
}

/// Trees over `leaf`, with or without quotients.
fn trees(leaf: impl Strategy<Value = Tree> + 'static, quotients: bool) -> impl Strategy<Value = Tree> {
    leaf.prop_recursive(4, 24, 2, move |inner| {
        let pair = (inner.clone(), inner.clone());
        let pair = pair.prop_map(|(a, b)| (Box::new(a), Box::new(b)));
        prop_oneof![
            pair.clone().prop_map(|(a, b)| Tree::Sum(a, b)),
            pair.clone().prop_map(|(a, b)| Tree::Difference(a, b)),
            pair.clone().prop_map(|(a, b)| Tree::Product(a, b)),
            pair.prop_map(move |(a, b)| if quotients { Tree::Quotient(a, b) } else { Tree::Product(b, a) }),
            (inner, 1u32..4).prop_map(|(base, exponent)| Tree::Power(Box::new(base), exponent)),
        ]
    })
}

/// A value written in two ways.
fn spelled() -> impl Strategy<Value = (String, String)> {
    let integer = any::<i64>().prop_map(|value| {
        let digits = value.unsigned_abs().to_string();
        let mut grouped = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        let sign = if value < 0 { "-" } else { "" };
        (value.to_string(), format!("{sign}{grouped}"))
    });
    let fraction = (-999i64..1000, 1i64..1000, 1i64..50).prop_map(|(top, bottom, factor)| {
        (format!("\\frac{{{top}}}{{{bottom}}}"), format!("{}/{}", top * factor, bottom * factor))
    });
    let decimal = (0u64..1_000_000, 1u32..7).prop_map(|(digits, places)| {
        let scale = 10u64.pow(places);
        let text = format!("{}.{:0width$}", digits / scale, digits % scale, width = places as usize);
        (text, format!("{digits} \\times 10^{{-{places}}}"))
    });
    let square = (-50i64..50, 1i64..50).prop_map(|(a, b)| {
        (
            format!("x^2 + {}x + {}", 2 * a * b, a * a * b * b).replace("+ -", "- "),
            format!("(x + {})^2", a * b),
        )
    });
    prop_oneof![integer, fraction, decimal, square]
}

proptest! {
    #[test]
    fn numbers_equal_what_they_come_to_and_nothing_else(tree in trees((-99i64..99).prop_map(Tree::Number), true)) {
        let (latex, plain) = (tree.latex(), tree.plain());
        let Some((top, bottom)) = tree.value(0) else { return Ok(()) };
        let value = format!("{top}/({bottom})");
        for (one, other) in [(&latex, &plain), (&latex, &value), (&plain, &value)] {
            prop_assert!(equal(one, other) && equal(other, one), "{one} {other}");
        }
        let more = format!("{}/({bottom})", top + 1);
        prop_assert!(!equal(&latex, &more) && !equal(&more, &plain), "{latex} {more}");
    }

    #[test]
    fn polynomials_are_the_same_where_their_values_are(
        tree in trees(prop_oneof![Just(Tree::Variable), (-9i64..9).prop_map(Tree::Number)], false),
        other in trees(prop_oneof![Just(Tree::Variable), (-9i64..9).prop_map(Tree::Number)], false),
    ) {
        let (latex, plain) = (format!("x+{}", tree.latex()), format!("({})+x", tree.plain()));
        prop_assert!(equal(&latex, &plain) && equal(&plain, &latex), "{latex} {plain}");
        prop_assert!(!equal(&latex, &format!("{plain}+1")), "{latex}");
        // The degree is at most 81, so a coincidence at this many points is not possible.
        let mut points = (-60..60).map(|x| Some(tree.value(x)? == other.value(x)?));
        if points.any(|same| same == Some(false)) {
            let other = format!("({})+x", other.plain());
            prop_assert!(!equal(&latex, &other) && !equal(&other, &latex), "{latex} {other}");
        }
    }

    #[test]
    fn a_value_written_in_two_ways_is_one((one, other) in spelled()) {
        prop_assert!(equal(&one, &one), "{one}");
        prop_assert!(equal(&one, &other), "{one} {other}");
        prop_assert!(equal(&other, &one), "{other} {one}");
        for completion in [
            format!("<think>t</think><answer>{other}</answer>"),
            format!("So \\boxed{{0}}. No: $\\boxed{{{other}}}$."),
            format!("#### {other}"),
            format!("The answer is ${other}$."),
        ] {
            prop_assert!(verify(&one, &completion).is_correct(), "{one} {completion}");
        }
    }

    #[test]
    fn different_integers_differ(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(equal(&a.to_string(), &b.to_string()), a == b);
        let (half_more, term, other_term) = (format!("{a}.5"), format!("{a}x"), format!("{b}x"));
        prop_assert!(!equal(&a.to_string(), &half_more));
        prop_assert_eq!(equal(&term, &other_term), a == b);
    }

    #[test]
    fn exact_fractions_are_equal_both_ways_or_neither(
        a in -30i64..30, b in 1i64..30, c in -30i64..30, d in 1i64..30,
    ) {
        let (one, other) = (format!("{a}/{b}"), format!("\\frac{{{c}}}{{{d}}}"));
        prop_assert_eq!(equal(&one, &other), a * d == c * b);
        prop_assert_eq!(equal(&other, &one), a * d == c * b);
    }

    #[test]
    fn sets_know_no_order(mut items in proptest::collection::vec(-99i64..99, 2..6), by in 1usize..5) {
        items.sort_unstable();
        items.dedup();
        prop_assume!(items.len() > 1);
        let spell = |items: &[i64]| items.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let one = spell(&items);
        let by = by % items.len();
        items.rotate_left(by);
        let other = spell(&items);
        let set = format!("\\{{{one}\\}}");
        prop_assert!(equal(&set, &other));
        let (tuple, turned) = (format!("({one})"), format!("({other})"));
        prop_assert_eq!(equal(&tuple, &turned), by == 0);
        items[0] += 1000;
        prop_assert!(!equal(&set, &spell(&items)));
    }

    #[test]
    fn any_text_gets_a_verdict(text in "\\PC{0,200}") {
        verify("3", &text);
        verify(&text, &text);
        Math::default().compare(&text, &text);
    }

    #[test]
    fn any_formula_gets_the_same_verdict_twice(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "1", "2", "30", "0.5", "x", "y", "e", "i", "\\pi", "+", "-", "*", "/", "^", "_", "(", ")", "[", "]", "{",
            "}", "\\{", "\\}", ",", ";", "=", "<", "\\le", "\\frac", "\\sqrt", "\\sin", "\\log", "\\ln", "\\sum",
            "\\binom", "!", "%", "\\pm", "|", "\\cup", "\\in", "\\infty", "\\text{or}", "\\text{cm}", "\\\\", "&",
            "\\begin{pmatrix}", "\\end{pmatrix}", "^\\circ", "\\boxed{", "f", "'", ":", "\\mathbb{R}", "\\lfloor",
            "\\rfloor", "\\overline{3}", "..", " ",
        ]), 0..40),
    ) {
        let text = parts.concat();
        let math = Math::default();
        let first = math.compare(&text, &text);
        prop_assert_eq!(first, math.compare(&text, &text));
        math.compare("3", &text);
        math.compare("\\{1, x\\}", &text);
    }
}

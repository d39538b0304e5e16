//! Tests the verifier `math` on pairs that are equal or different by construction, and on cases that one operator decides.
//!
//! `examples/differential/compare.py --count 12 --seed 17 --pairs verifiers/tests/fixtures/math_generated.jsonl` wrote the pairs.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use thinkling_verifiers::math::Math;
use thinkling_verifiers::{Item, Verdict, Verifier};

#[derive(Deserialize)]
struct Pair {
    kind: String,
    form: String,
    answer: String,
    completion: String,
    equal: bool,
}

fn verify(answer: &str, completion: &str) -> Verdict {
    Math::default().verify(&Item { completion, answer: Some(answer), spec: None })
}

/// Equal writings that are refused, by kind and form. Units of the same quantity are not converted on purpose; the others
/// are not understood so far. A form that is accepted leaves this list.
const REFUSED: &[(&str, &str)] = &[
    ("absolute values", "an interval"),
    ("absolute values", "both ends"),
    ("absolute values", "squared"),
    ("angles", "in radians"),
    ("antiderivatives", "a small letter"),
    ("changes", "all text"),
    ("changes", "an article"),
    ("congruences", "a family"),
    ("families", "the sign ∈"),
    ("mixed numbers", "and"),
    ("money", "cents"),
    ("numbers in words", "without text"),
    ("units", "in the other unit"),
];

#[test]
fn pairs_are_judged_as_they_were_built() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/math_generated.jsonl");
    let text = std::fs::read_to_string(path).expect("the pairs can be read");
    let pairs: Vec<Pair> = text.lines().map(|line| serde_json::from_str(line).expect("a pair")).collect();
    assert!(pairs.len() > 1200, "{} pairs", pairs.len());
    let (mut refused, mut paid) = (BTreeSet::new(), BTreeSet::new());
    for pair in &pairs {
        if verify(&pair.answer, &pair.completion).is_correct() != pair.equal {
            let wrong = if pair.equal { &mut refused } else { &mut paid };
            wrong.insert((pair.kind.as_str(), pair.form.as_str()));
        }
    }
    assert!(paid.is_empty(), "paid: {paid:?}");
    assert_eq!(refused, BTreeSet::from_iter(REFUSED.iter().copied()), "refused");
}

#[test]
fn cases_that_one_operator_decides() {
    for (answer, completion, is_correct) in [
        // The unit of a negative angle is that of the angle.
        (r"-30^\circ", r"\boxed{-30\text{ degrees}}", true),
        (r"-30^\circ", r"\boxed{-30\text{ meters}}", false),
        (r"\frac{1}{30}\text{ m}", r"\boxed{-30^\circ}", false),
        (r"x \equiv 3 \pmod{7}", r"\boxed{x \equiv 10 \pmod{-7}}", true),
        (r"x \equiv 3 \pmod{7}", r"\boxed{x \equiv 3 \pmod{8}}", false),
        // A family with a shorter period has more values, also beside a second family.
        (
            r"x = k, x = k + \frac{1}{3}, k \in \mathbb{Z}",
            r"\boxed{x = \frac{k}{2}, x = k + \frac{1}{3}, k \in \mathbb{Z}}",
            false,
        ),
        (r"x = k, x = k + \frac{1}{2}, k \in \mathbb{Z}", r"\boxed{x = \frac{k}{2}, k \in \mathbb{Z}}", true),
        ("5", r"\boxed{i = 5}", true),
        (r"x = \pm 4y", r"\boxed{2x = \pm 8y}", true),
        (r"x = \pm 4y", r"\boxed{x = 4y}", false),
        (r"x = \pm 4y", r"\boxed{x = \pm 5y}", false),
        (r"x = 4y", r"\boxed{x = \pm 4y}", false),
        (r"x \ne y", r"\boxed{2x \ne 2y}", true),
        (r"x \ne y", r"\boxed{x < y}", false),
        (r"x + y < 3", r"\boxed{-2x - 2y > -6}", true),
        (r"x + y < 3", r"\boxed{-2x - 2y < -6}", false),
    ] {
        let verdict = verify(answer, completion);
        assert_eq!(verdict.is_correct(), is_correct, "{answer} | {completion} | {verdict:?}");
    }
}

#[test]
fn an_answer_is_found_where_its_sentence_number_or_box_ends() {
    for (completion, extracted) in [
        ("The answer is yes. I checked it.", "yes"),
        ("So it comes to 12,345", "12,345"),
        ("So it comes to 3/4", "3/4"),
        // Words of more than forty letters join no boxes.
        (r"\boxed{1}\text{ is the first of the two values that we had to find here, and }\boxed{2}", "2"),
        (r"\boxed{1}\text{ and }\boxed{2}", "1, 2"),
    ] {
        let verdict = verify(extracted, completion);
        assert_eq!(verdict.extracted.as_deref(), Some(extracted), "{completion} | {verdict:?}");
    }
}

#[test]
fn words_around_the_answer_in_tags_are_read_with_lenient_extraction_only() {
    let completion = "<answer>We get that the answer is 5.</answer>";
    assert!(verify("5", completion).is_correct());
    let strict: Math = serde_json::from_str(r#"{"extraction": "strict"}"#).expect("settings");
    assert!(!strict.verify(&Item { completion, answer: Some("5"), spec: None }).is_correct());
}

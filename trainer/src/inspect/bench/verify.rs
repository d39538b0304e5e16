//! Benchmarks of the general verifiers.

use serde::Serialize;
use serde_json::{Value, json};
use thinkling_datasets::{Dataset, Domain, Split, domains};
use thinkling_verifiers::{Item, Outcome, SettingsError, answer, find};

use crate::machine::clock::Moment;

/// Tasks with answers for `math` if no file is given: integers, decimals, fractions, roots, complex numbers.
const MATH_TASKS: [&str; 6] = [
    "addition",
    "decimal_arithmetic",
    "fraction_arithmetic",
    "linear_equations",
    "complex_arithmetic",
    "chain_sum",
];
const ANSWERS: u64 = 400;
const PROGRAMS: u64 = 40;

/// One item: a completion with its right answer or its tests.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Completion.
    pub completion: String,
    /// Right answer.
    pub answer: Option<String>,
    /// Tests.
    pub spec: Option<Value>,
}

impl Case {
    /// Reads an object with `completion` (or `prediction`), `answer` (or `gold`) and `spec`.
    pub fn read(value: &Value) -> Option<Self> {
        let text = |keys: [&str; 2]| keys.iter().find_map(|key| Some(value.get(*key)?.as_str()?.to_owned()));
        Some(Self {
            completion: text(["completion", "prediction"])?,
            answer: text(["answer", "gold"]),
            spec: value.get("spec").filter(|spec| spec.is_object()).cloned(),
        })
    }
}

/// Speed of one verifier.
#[derive(Clone, Debug, Serialize)]
pub struct Judging {
    /// Name.
    pub verifier: &'static str,
    /// Items judged, one after the other on one thread.
    pub items: usize,
    /// Items that could not be judged.
    pub errors: usize,
    /// Items found right.
    pub correct: usize,
    /// Items per second.
    pub items_per_s: f64,
    /// Median time of an item, microseconds.
    pub median_us: f64,
    /// Longest time of an item, microseconds.
    pub most_us: f64,
}

/// Judges every case with the verifier `name`: once to warm up and once timed.
pub fn judge(name: &str, cases: &[Case]) -> Result<Judging, SettingsError> {
    let Some(row) = find(name) else {
        let message = "there is no such verifier".to_owned();
        return Err(SettingsError { verifier: "bench", message });
    };
    let verifier = (row.build)(&json!({}))?;
    let verify = |case: &Case| {
        let item =
            Item { completion: &case.completion, answer: case.answer.as_deref(), spec: case.spec.as_ref() };
        verifier.verify(&item).outcome
    };
    let outcomes: Vec<Outcome> = cases.iter().map(verify).collect();
    let count = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    let whole = Moment::now();
    let mut each: Vec<f64> = cases
        .iter()
        .map(|case| {
            let started = Moment::now();
            std::hint::black_box(verify(case));
            started.elapsed().wall_s * 1e6
        })
        .collect();
    let items_per_s = cases.len() as f64 / whole.elapsed().wall_s;
    each.sort_by(f64::total_cmp);
    Ok(Judging {
        verifier: row.name,
        items: cases.len(),
        errors: count(Outcome::Error),
        correct: count(Outcome::Correct),
        items_per_s,
        median_us: each.get(each.len() / 2).copied().unwrap_or_default(),
        most_us: each.last().copied().unwrap_or_default(),
    })
}

/// Right answers of the tasks with answers for `math`.
pub fn math_cases() -> Vec<Case> {
    let of = |name: &&str| {
        posed(name, ANSWERS, |_, problem| {
            let completion = answer::compose("", &problem.answer);
            Some(Case { completion, answer: Some(problem.answer.clone()), spec: None })
        })
    };
    MATH_TASKS.iter().flat_map(of).collect()
}

/// Python programs with public and hidden tests.
pub fn code_cases() -> Vec<Case> {
    posed("program_synthesis", PROGRAMS, |domain, problem| {
        let source = domain.python(&problem.answer)?;
        Some(Case {
            completion: format!("```python\n{source}```\n"),
            answer: None,
            spec: domain.tests(problem),
        })
    })
}

fn posed(
    name: &str,
    count: u64,
    case: impl Fn(&dyn Domain, &thinkling_datasets::Problem) -> Option<Case>,
) -> Vec<Case> {
    let Some(row) = domains::find(name) else { return Vec::new() };
    let Ok(domain) = (row.build)(&Value::Null) else { return Vec::new() };
    let level = *domain.levels().start();
    let Ok(dataset) = Dataset::new(row, domain.as_ref(), level, 0) else { return Vec::new() };
    let problems = (0..count).map_while(|index| Some(dataset.question(Split::Test, index).ok()?.problem));
    problems.filter_map(|problem| case(domain.as_ref(), &problem)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_timed_is_right() {
        let cases = math_cases();
        assert_eq!(cases.len() as u64, ANSWERS * MATH_TASKS.len() as u64);
        let judging = judge("math", &cases[..600]).unwrap();
        assert_eq!((judging.items, judging.correct, judging.errors), (600, 600, 0));
        assert!(judging.items_per_s > 0.0 && judging.median_us <= judging.most_us);
        assert!(judge("nothing", &cases).is_err());
        assert_eq!(code_cases().len() as u64, PROGRAMS);
    }
}

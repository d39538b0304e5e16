//! Countdown: combine every number once to reach a target. The level is the count of numbers.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict, answer};

use super::{Row, build_checked, characters};
use crate::combine::{
    Attempt, Rules, expression, search_behaviours, search_solution, straight_solution, value,
};
use crate::expression::{Syntax, Valued, evaluate};
use crate::judging::{Check, judge, read_spec};
use crate::rational::Rational;
use crate::seed::Stream;
use crate::trace::equation;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "countdown",
    about: "an expression over all the given numbers, each once, that equals a target; level = numbers",
    answers: "expression",
    build: |value| build_checked::<Countdown>("countdown", value, Countdown::check),
};

/// How an answer is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scoring {
    /// 1 for a right answer, otherwise 0.
    #[default]
    Strict,
    /// As in TinyZero: 1 for a right answer, 0.1 for any other answer in tags, otherwise 0. Only the last line of the
    /// completion counts. Unlike TinyZero, `**` and `//` are refused and values are exact.
    TinyZero,
}

/// The domain.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Countdown {
    /// How an answer is scored.
    pub scoring: Scoring,
    /// Some of `+-*/`: the operations of questions and worked solutions, in the order in which a search tries them. An
    /// answer may use all four.
    pub operations: String,
    /// The given numbers are from 1 to this.
    pub max_number: i64,
    /// Targets and intermediate results of questions and worked solutions are from 0 to this. Each is one symbol.
    pub max_value: i64,
    /// Whether an answer may contain signs: `-3+5`.
    pub unary_minus: bool,
    /// The share of searches that continue to the end.
    pub never_gives_up: f64,
    /// The probability that any other search gives up and guesses after a failed attempt.
    pub gives_up: f64,
    /// The share of direct answers that are right. The others are random expressions over the numbers.
    pub lucky_guess: f64,
    /// The maximum number of attempts that a search shows. For a longer search these are the last ones.
    pub max_attempts: usize,
}

impl Default for Countdown {
    fn default() -> Self {
        Self {
            scoring: Scoring::Strict,
            operations: "+-".to_owned(),
            max_number: 20,
            max_value: 60,
            unary_minus: true,
            never_gives_up: 0.25,
            gives_up: 0.35,
            lucky_guess: 0.1,
            max_attempts: 64,
        }
    }
}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    numbers: Vec<i64>,
    target: i64,
}

/// The maximum count of numbers in a question.
const MAX_LEVEL: u32 = 6;
/// Equations in one drill.
const DRILL: usize = 8;

impl Countdown {
    pub(super) fn check(&self) -> Result<(), String> {
        let is_known = |operation: char| "+-*/".contains(operation);
        let is_repeated =
            self.operations.chars().enumerate().any(|(at, one)| self.operations.find(one) != Some(at));
        if !self.operations.chars().all(is_known) || is_repeated || !self.operations.contains('-') {
            return Err(format!(
                "operations = {:?}: give `-` and any others of + * / once each",
                self.operations
            ));
        }
        if !(2..=99).contains(&self.max_number) || !(self.max_number..=999).contains(&self.max_value) {
            return Err(format!(
                "max_number = {}, max_value = {}: give max_number from 2 to 99 and max_value from max_number to 999",
                self.max_number, self.max_value
            ));
        }
        for (name, share) in [
            ("never_gives_up", self.never_gives_up),
            ("gives_up", self.gives_up),
            ("lucky_guess", self.lucky_guess),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} = {share}: give a share from 0 to 1"));
            }
        }
        if self.max_attempts == 0 {
            return Err("max_attempts = 0: give at least 1".to_owned());
        }
        Ok(())
    }

    pub(super) fn rules(&self) -> Rules {
        Rules { operations: self.operations.chars().collect(), max_value: self.max_value }
    }

    fn syntax(&self) -> Syntax {
        Syntax {
            unary_minus: self.unary_minus,
            aliases: self.scoring == Scoring::Strict,
            decimals: false,
            remainder: false,
        }
    }

    /// A random complete attempt, or the differences of all numbers if none was found.
    fn random_attempt(&self, numbers: &[i64], stream: &mut Stream) -> Attempt {
        let rules = self.rules();
        let drawn = (0..100).find_map(|_| rules.random(numbers, stream));
        let only_differences = Rules { operations: vec!['-'], ..rules };
        drawn.or_else(|| only_differences.random(numbers, stream)).unwrap_or_default()
    }

    fn judge_tinyzero(&self, item: &Item<'_>) -> Verdict {
        let spec: Spec = match read_spec(item) {
            Ok(spec) => spec,
            Err(verdict) => return verdict,
        };
        let Some(found) = last_line_answer(item.completion) else {
            return Verdict::malformed("no <answer> on the last line");
        };
        match evaluate(found, self.syntax()).map(|valued| check(&spec, &valued)) {
            Some(Check::Right) => Verdict::correct(found, "right"),
            Some(Check::Wrong(reason) | Check::Unreadable(reason)) => Verdict::partial(0.1, found, reason),
            Some(Check::Broken(reason)) => Verdict::error(reason),
            None => Verdict::partial(0.1, found, "not an expression"),
        }
    }
}

/// Whether an expression uses each number of the spec once and equals its target.
fn check(spec: &Spec, valued: &Valued) -> Check {
    let mut given: Vec<i128> = spec.numbers.iter().map(|number| i128::from(*number)).collect();
    let mut used = valued.numbers.clone();
    given.sort_unstable();
    used.sort_unstable();
    if given != used {
        return Check::Wrong("does not use every given number exactly once");
    }
    match valued.value {
        Some(value) if value == Rational::whole(spec.target.into()) => Check::Right,
        Some(_) => Check::Wrong("the value differs from the target"),
        None => Check::Wrong("a division by zero, or numbers too large"),
    }
}

/// The last `<answer>` pair on the last line, after the first turn marker if there is one, as TinyZero finds it. Unlike
/// TinyZero, an answer in thinking that does not end is none.
fn last_line_answer(completion: &str) -> Option<&str> {
    let turn = ["Assistant:", "<|im_start|>assistant"]
        .iter()
        .find_map(|marker| completion.split_once(marker))
        .map_or(completion, |(_, turn)| turn);
    answer::after_thinking(turn).ok()?;
    let mut rest = turn.rsplit('\n').next()?;
    let mut last = None;
    while let Some((_, opened)) = rest.split_once("<answer>") {
        let Some((found, behind)) = opened.split_once("</answer>") else { break };
        last = Some(found.trim());
        rest = behind;
    }
    last
}

impl Domain for Countdown {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=MAX_LEVEL
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let mut numbers: Vec<i64> = (0..level).map(|_| stream.between(1, self.max_number)).collect();
        numbers.sort_unstable();
        let attempt = self.random_attempt(&numbers, stream);
        let target = value(&attempt);
        let listed: Vec<String> = numbers.iter().map(i64::to_string).collect();
        Problem {
            prompt: format!("{}:{target}=", listed.join(" ")),
            answer: expression(&numbers, &attempt),
            spec: json!({ "numbers": numbers, "target": target }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        if self.scoring == Scoring::TinyZero {
            return self.judge_tinyzero(item);
        }
        judge(item, |spec: &Spec, found| match evaluate(found, self.syntax()) {
            Some(valued) => check(spec, &valued),
            None => Check::Unreadable("not an expression of whole numbers, + - * / and brackets"),
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let spec = Spec::deserialize(&problem.spec).ok()?;
        match kind {
            SolutionKind::Direct => {
                let answer = if stream.chance(self.lucky_guess) {
                    problem.answer.clone()
                } else {
                    expression(&spec.numbers, &self.random_attempt(&spec.numbers, stream))
                };
                Some(Solution { thinking: String::new(), answer, is_guess: true })
            }
            SolutionKind::Long => straight_solution(problem),
            SolutionKind::Search => {
                let attempts = self.rules().search(&spec.numbers, spec.target, self.max_attempts);
                let gives_up = if stream.chance(self.never_gives_up) { 0.0 } else { self.gives_up };
                search_solution(problem, &spec.numbers, spec.target, &attempts, gives_up, stream)
            }
            SolutionKind::Flawed => None,
        }
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols: Vec<String> = (0..=self.max_value).map(|number| number.to_string()).collect();
        symbols.extend(characters(&self.operations));
        symbols.extend(characters("= :ny();"));
        symbols
    }

    fn drill(&self, stream: &mut Stream, _level: u32) -> Option<String> {
        let rules = self.rules();
        let equations: Vec<String> = (0..DRILL)
            .map(|_| {
                let operation = *stream.pick(&rules.operations);
                loop {
                    let (a, b) = (stream.between(0, self.max_value), stream.between(0, self.max_value));
                    let (left, right) =
                        if matches!(operation, '-' | '/') { (a.max(b), a.min(b)) } else { (a, b) };
                    if let Some(result) = rules.apply(left, operation, right) {
                        break equation(left, operation, right, result);
                    }
                }
            })
            .collect();
        Some(equations.join(";"))
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        let Ok(spec) = Spec::deserialize(&problem.spec) else { return Behaviours::default() };
        search_behaviours(&spec.numbers, spec.target, thinking)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use thinkling_verifiers::Outcome;

    use super::*;

    fn spec() -> Value {
        json!({ "numbers": [6, 12, 13], "target": 7 })
    }

    fn verdict(domain: &Countdown, completion: &str) -> Verdict {
        let spec = spec();
        domain.judge(&Item { completion, answer: None, spec: Some(&spec) })
    }

    fn score(answer: &str) -> f64 {
        verdict(&Countdown::default(), &format!("<answer>{answer}</answer>")).score
    }

    #[test]
    fn any_right_expression_is_right() {
        for answer in
            ["13-(12-6)", "13-12+6", "6+13-12", "6 − (12 − 13)", "-12+6+13", "((6))+(13-12)", "6÷(13-12)+1-1"]
        {
            let uses_all = !answer.contains('÷');
            assert_eq!(score(answer), f64::from(uses_all), "{answer}");
        }
        let no_signs = Countdown { unary_minus: false, ..Countdown::default() };
        assert_eq!(verdict(&no_signs, "<answer>-12+6+13</answer>").score, 0.0);
    }

    #[test]
    fn near_misses_are_wrong() {
        for answer in [
            "7",
            "13-6",
            "13-12+6+0",
            "13-12+6=7",
            "13-12+6 or 7",
            "6+13-12,7",
            "13-(12-6",
            "13-12+06",
            "1+3-12+6",
            "13-12+6.0",
        ] {
            assert_eq!(score(answer), 0.0, "{answer}");
        }
    }

    #[test]
    fn powers_and_floor_divisions_are_refused() {
        let spec = json!({ "numbers": [2, 3], "target": 8 });
        let item = Item { completion: "<answer>2**3</answer>", answer: None, spec: Some(&spec) };
        assert_eq!(Countdown::default().judge(&item).outcome, Outcome::Malformed);
        let spec = json!({ "numbers": [2, 7], "target": 3 });
        let item = Item { completion: "<answer>7//2</answer>", answer: None, spec: Some(&spec) };
        assert_eq!(Countdown::default().judge(&item).outcome, Outcome::Malformed);
    }

    #[test]
    fn fractions_on_the_way_are_exact() {
        let spec = json!({ "numbers": [3, 3, 8, 8], "target": 24 });
        let item = Item { completion: "<answer>8/(3-8/3)</answer>", answer: None, spec: Some(&spec) };
        assert!(Countdown::default().judge(&item).is_correct());
    }

    #[test]
    fn tinyzero_scores_in_three_steps() {
        let domain = Countdown { scoring: Scoring::TinyZero, ..Countdown::default() };
        for (completion, score) in [
            ("<answer>13-12+6</answer>", 1.0),
            ("User: x\nAssistant: <think>y</think>\n<answer>13-12+6</answer>", 1.0),
            ("<answer>1</answer> then <answer>13-12+6</answer> done", 1.0),
            ("<answer>13-12+6</answer>\n", 0.0),
            ("13-12+6", 0.0),
            ("<answer>13-12+6", 0.0),
            ("<think>y\n<answer>13-12+6</answer>", 0.0),
            ("<answer></answer>", 0.1),
            ("<answer>13-12</answer>", 0.1),
            ("<answer>13+12+6</answer>", 0.1),
            ("<answer>13−12+6</answer>", 0.1),
            ("<answer>9**9**9</answer>", 0.1),
        ] {
            assert_eq!(verdict(&domain, completion).score, score, "{completion}");
        }
    }

    #[test]
    fn a_broken_item_is_an_error() {
        let spec = json!({ "numbers": "6 12 13" });
        for spec in [None, Some(&spec)] {
            let item = Item { completion: "<answer>1</answer>", answer: None, spec };
            assert_eq!(Countdown::default().judge(&item).outcome, Outcome::Error);
        }
    }

    #[test]
    fn invalid_settings_are_refused() {
        for settings in [
            json!({ "operations": "" }),
            json!({ "operations": "+-^" }),
            json!({ "operations": "--" }),
            json!({ "operations": "+*" }),
            json!({ "max_number": 70 }),
            json!({ "gives_up": 1.5 }),
            json!({ "max_attempts": 0 }),
            json!({ "scoring": "lenient" }),
            json!({ "unknown": 1 }),
        ] {
            assert!((ROW.build)(&settings).is_err(), "{settings}");
        }
        let settings = json!({ "operations": "+-*", "max_value": 98, "scoring": "tinyzero" });
        assert_eq!((ROW.build)(&settings).unwrap().alphabet().len(), 99 + 3 + 8);
    }

    #[test]
    fn a_drill_is_a_row_of_true_equations() {
        let domain = Countdown { operations: "+-*/".to_owned(), ..Countdown::default() };
        let drill = domain.drill(&mut Stream::at("test", 3, &[]), 3).unwrap();
        assert_eq!(
            drill.split(';').filter(|equation| crate::trace::holds(equation) == Some(true)).count(),
            DRILL
        );
    }

    #[test]
    fn searches_give_up_as_often_as_set() {
        let domain = Countdown::default();
        let mut guesses = 0;
        for seed in 0..500 {
            let mut stream = Stream::at("test", seed, &[]);
            let problem = domain.pose(&mut stream, 3);
            let solution = domain.solve(&problem, SolutionKind::Search, &mut stream).unwrap();
            guesses += u32::from(solution.is_guess);
            let seen = domain.behaviours(&problem, &solution.thinking);
            assert_eq!(seen.false_steps, 0, "{}", solution.thinking);
        }
        assert!((150..350).contains(&guesses), "{guesses}");
    }
}

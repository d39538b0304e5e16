//! Propositional logic: the truth values that make every premise true. The level is the number of variables.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::assignment::{self, Constraints};
use super::formula::{Formula, assignments};
use super::{Row, build, characters};
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "propositional_logic",
    about: "truth values that make every premise true (! not, | or, > implies, ~ equal, ^ unequal); level = variables",
    answers: "list of variable=0 or 1",
    build: |value| build::<PropositionalLogic>("propositional_logic", value),
};

/// How often premises that exclude nothing are drawn again. After that, the value of a variable is given.
const MOST_DRAWS: usize = 400;
const CONNECTIVES: [char; 4] = ['|', '>', '~', '^'];

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PropositionalLogic {}

struct Premises {
    variables: u8,
    formulas: Vec<Formula>,
}

impl Constraints for Premises {
    fn variables(&self) -> usize {
        usize::from(self.variables)
    }

    fn values(&self) -> u8 {
        2
    }

    fn allows(&self, values: &[Option<u8>], variable: usize) -> bool {
        let mut named = self.formulas.iter().filter(|formula| formula.names(variable));
        named.all(|formula| formula.truth(values) != Some(false))
    }

    fn name(&self, variable: usize) -> String {
        char::from(b'a' + variable as u8).to_string()
    }

    fn value_name(&self, value: u8) -> String {
        value.to_string()
    }
}

/// Reads the premises from a spec.
fn premises(spec: Option<&Value>) -> Result<Premises, String> {
    #[derive(Deserialize)]
    struct Spec {
        variables: u8,
        premises: Vec<String>,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    if !(1..=26).contains(&spec.variables) {
        return Err(format!("the spec has {} variables; 1 to 26 can be judged", spec.variables));
    }
    let parse = |text: &String| {
        Formula::parse(text, spec.variables, b'a')
            .ok_or_else(|| format!("the spec's premise `{text}` cannot be read"))
    };
    let formulas = spec.premises.iter().map(parse).collect::<Result<_, _>>()?;
    Ok(Premises { variables: spec.variables, formulas })
}

impl Domain for PropositionalLogic {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=12
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let variables = level as u8;
        let mut models: Vec<Vec<Option<u8>>> = assignments(variables).collect();
        let truth = models[stream.index(models.len())].clone();
        let mut formulas = Vec::new();
        for draw in 0..MOST_DRAWS + usize::from(variables) {
            if models.len() == 1 {
                break;
            }
            let formula = match draw.checked_sub(MOST_DRAWS) {
                Some(variable) => Formula::unit(variable as u8, truth[variable] == Some(1), b'a'),
                None => Formula::random(variables, b'a', &CONNECTIVES, stream),
            };
            let rules_out = models.iter().any(|model| formula.truth(model) == Some(false));
            if rules_out && formula.truth(&truth) == Some(true) {
                models.retain(|model| formula.truth(model) == Some(true));
                formulas.push(formula);
            }
        }
        stream.shuffle(&mut formulas);
        let texts: Vec<String> = formulas.iter().map(Formula::to_string).collect();
        let values: Vec<u8> = truth.into_iter().flatten().collect();
        Problem {
            prompt: format!("logic {}=", texts.join(",")),
            answer: assignment::write_named(&Premises { variables, formulas }, &values),
            spec: json!({ "variables": variables, "premises": texts }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        assignment::judge(premises(item.spec), item.completion, assignment::read_named)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let (read, write) = (assignment::read_named, assignment::write_named);
        assignment::work(premises(Some(&problem.spec)), read, write, &problem.answer, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("abcdefghijkl!|>~^,=01+-;");
        symbols.extend(["logic ", "no", "ok", "again"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        assignment::behaviours(premises(Some(&problem.spec)), thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::super::moves::checks;
    use super::*;
    use crate::Split;

    #[test]
    fn there_is_one_solution() {
        for level in [2, 5, 12] {
            for question in checks::questions(&ROW, &Value::Null, level, Split::Test, 10) {
                let premises = premises(Some(&question.problem.spec)).unwrap();
                assert_eq!(assignment::solutions(&premises, 3, None).len(), 1, "{}", question.problem.prompt);
            }
        }
    }

    #[test]
    fn any_model_in_any_order_is_right() {
        let spec = json!({ "variables": 3, "premises": ["a|b", "!c"] });
        let problem = Problem { prompt: String::new(), answer: String::new(), spec };
        let score = |text: &str| checks::verdict(&PropositionalLogic {}, &problem, text).score;
        for text in ["a=1,b=0,c=0", "c=0, b=1, a=0", "b=1,a=1,c=0"] {
            assert_eq!(score(text), 1.0, "{text}");
        }
        for text in
            ["a=0,b=0,c=0", "a=1,b=1,c=1", "a=1,b=0", "a=1,b=0,c=0,c=1", "a=1,b=0,c=0,", "a=2,b=0,c=0"]
        {
            assert_eq!(score(text), 0.0, "{text}");
        }
    }

    #[test]
    fn a_broken_spec_is_an_error() {
        for spec in [
            json!({}),
            json!({ "variables": 2, "premises": ["a|c"] }),
            json!({ "variables": 99, "premises": [] }),
        ] {
            let item = Item { completion: "<answer>a=1</answer>", answer: None, spec: Some(&spec) };
            assert_eq!(PropositionalLogic {}.judge(&item).outcome, thinkling_verifiers::Outcome::Error);
        }
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 2..=12);
        checks::hostile(&ROW, 6);
    }
}

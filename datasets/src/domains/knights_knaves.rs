//! Knights and knaves: knights tell the truth, knaves lie, and the answer says who is who. The level is the number of
//! people.

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
    name: "knights_knaves",
    about: "knights tell the truth and knaves lie, `A:!B|C` is what A says; level = people",
    answers: "list of person=knight or knave",
    build: |value| build::<KnightsKnaves>("knights_knaves", value),
};

/// How often statements with more than one solution are drawn again.
const MOST_DRAWS: usize = 500;
const CONNECTIVES: [char; 5] = ['|', '&', '>', '~', '^'];

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnightsKnaves {}

/// The statement of each person. Value 1 is a knight.
struct Island {
    says: Vec<Formula>,
}

impl Island {
    /// Whether the statement of `speaker` fits the kinds that are known so far.
    fn fits(&self, values: &[Option<u8>], speaker: usize) -> bool {
        let (kind, truth) = (values[speaker], self.says[speaker].truth(values));
        kind.zip(truth).is_none_or(|(kind, truth)| (kind == 1) == truth)
    }
}

impl Constraints for Island {
    fn variables(&self) -> usize {
        self.says.len()
    }

    fn values(&self) -> u8 {
        2
    }

    fn allows(&self, values: &[Option<u8>], variable: usize) -> bool {
        (0..self.says.len())
            .filter(|speaker| *speaker == variable || self.says[*speaker].names(variable))
            .all(|speaker| self.fits(values, speaker))
    }

    fn name(&self, variable: usize) -> String {
        char::from(b'A' + variable as u8).to_string()
    }

    fn value_name(&self, value: u8) -> String {
        if value == 1 { "knight" } else { "knave" }.to_owned()
    }
}

/// Reads the island from a spec.
fn island(spec: Option<&Value>) -> Result<Island, String> {
    #[derive(Deserialize)]
    struct Spec {
        says: Vec<String>,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    let people = u8::try_from(spec.says.len()).unwrap_or(u8::MAX);
    if !(1..=26).contains(&people) {
        return Err(format!("the spec has {} people; 1 to 26 can be judged", spec.says.len()));
    }
    let parse = |text: &String| {
        Formula::parse(text, people, b'A')
            .ok_or_else(|| format!("the spec's statement `{text}` cannot be read"))
    };
    Ok(Island { says: spec.says.iter().map(parse).collect::<Result<_, _>>()? })
}

/// Draws statements that people of these kinds could make.
fn talk(kinds: &[Option<u8>], stream: &mut Stream) -> Island {
    let people = kinds.len() as u8;
    let mut statement = |kind: &Option<u8>| {
        loop {
            let formula = if people > 2 && stream.chance(0.25) {
                Formula::unit(stream.below(u64::from(people)) as u8, stream.chance(0.5), b'A')
            } else {
                Formula::random(people, b'A', &CONNECTIVES, stream)
            };
            if formula.truth(kinds) == Some(*kind == Some(1)) {
                return formula;
            }
        }
    };
    Island { says: kinds.iter().map(&mut statement).collect() }
}

impl Domain for KnightsKnaves {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=10
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let kinds: Vec<Option<u8>> = (0..level).map(|_| Some(stream.below(2) as u8)).collect();
        let mut island = talk(&kinds, stream);
        for _ in 0..MOST_DRAWS {
            let fits = |kinds: &Vec<Option<u8>>| (0..kinds.len()).all(|speaker| island.fits(kinds, speaker));
            if assignments(level as u8).filter(fits).count() == 1 {
                break;
            }
            island = talk(&kinds, stream);
        }
        let texts: Vec<String> = island.says.iter().map(Formula::to_string).collect();
        let said: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(speaker, text)| format!("{}:{text}", island.name(speaker)))
            .collect();
        let kinds: Vec<u8> = kinds.into_iter().flatten().collect();
        Problem {
            prompt: format!("knights {}=", said.join(",")),
            answer: assignment::write_named(&island, &kinds),
            spec: json!({ "says": texts }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        assignment::judge(island(item.spec), item.completion, assignment::read_named)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let (read, write) = (assignment::read_named, assignment::write_named);
        assignment::work(island(Some(&problem.spec)), read, write, &problem.answer, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("ABCDEFGHIJ!|&>~^:,=+-;");
        symbols.extend(["knights ", "knight", "knave", "no", "ok", "again"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        assignment::behaviours(island(Some(&problem.spec)), thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::super::moves::checks;
    use super::*;
    use crate::Split;

    #[test]
    fn there_is_one_solution() {
        for level in 2..=10 {
            for question in checks::questions(&ROW, &Value::Null, level, Split::Train, 10) {
                let island = island(Some(&question.problem.spec)).unwrap();
                assert_eq!(assignment::solutions(&island, 3, None).len(), 1, "{}", question.problem.prompt);
            }
        }
    }

    #[test]
    fn a_textbook_island() {
        // "We are both knaves", says A.
        let spec = json!({ "says": ["!A&!B", "!A"] });
        let problem = Problem { prompt: String::new(), answer: String::new(), spec };
        let score = |text: &str| checks::verdict(&KnightsKnaves {}, &problem, text).score;
        for text in ["B=knight, A=knave", "A = knave, B = knight", "A=knave\nB=knight", "A: knave, B: knight"]
        {
            assert_eq!(score(text), 1.0, "{text}");
        }
        for text in [
            "A=knight,B=knave",
            "A=knave,B=knave",
            "A=knave",
            "A=knave,B=knight,A=knave",
            "B=knight,A=knave or",
            "knave,knight",
            "A: knight, B: knave",
            "A: B: knave, B: knight",
        ] {
            assert_eq!(score(text), 0.0, "{text}");
        }
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 2..=10);
        checks::hostile(&ROW, 4);
    }
}

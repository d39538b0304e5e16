//! Zebra puzzles: find out from clues who lives where. The level is the number of houses.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::assignment::{self, Constraints};
use super::{Row, build, characters};
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "zebra_puzzles",
    about: "houses in a row from clues (= same house, < just left of, ~ beside, @ house); level = houses",
    answers: "list of thing=house",
    build: |value| build::<ZebraPuzzles>("zebra_puzzles", value),
};

/// The things of each category. A puzzle uses the first ones of each.
const THINGS: [[&str; 6]; 4] = [
    ["red", "blue", "green", "white", "black", "pink"],
    ["cat", "dog", "fox", "owl", "pig", "hen"],
    ["tea", "milk", "beer", "cola", "wine", "mead"],
    ["ann", "bob", "cal", "dan", "eve", "fay"],
];
/// The relations between two things in a clue.
const RELATIONS: [char; 3] = ['=', '<', '~'];
/// One clue in this many gives a house.
const PLACE_ONE_IN: u64 = 6;

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZebraPuzzles {
    /// The number of categories per house, from 2 to 4: colour, pet, drink, name.
    #[serde(deserialize_with = "categories")]
    categories: usize,
}

impl Default for ZebraPuzzles {
    fn default() -> Self {
        Self { categories: 3 }
    }
}

/// Reads the number of categories.
fn categories<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        categories @ 2..=4 => Ok(categories),
        other => Err(serde::de::Error::custom(format!("`categories` is {other}; it must be 2, 3 or 4"))),
    }
}

/// A clue about one or two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clue {
    /// Two things, given by number, and `=`, `<` or `~`.
    Pair(usize, char, usize),
    /// A thing and its house, numbered from 0.
    Place(usize, u8),
}

/// A street: variable `c * houses + i` is thing `i` of category `c`, and its value is a house.
struct Street {
    houses: usize,
    categories: usize,
    clues: Vec<Clue>,
}

impl Street {
    /// Whether a clue holds, as far as `values` decide it.
    fn keeps(clue: &Clue, values: &[Option<u8>]) -> bool {
        match *clue {
            Clue::Place(thing, house) => values[thing].is_none_or(|at| at == house),
            Clue::Pair(left, relation, right) => {
                values[left].zip(values[right]).is_none_or(|(left, right)| match relation {
                    '=' => left == right,
                    '<' => left + 1 == right,
                    _ => left.abs_diff(right) == 1,
                })
            }
        }
    }

    fn show(&self, clue: &Clue) -> String {
        match *clue {
            Clue::Place(thing, house) => format!("{}@{}", self.name(thing), house + 1),
            Clue::Pair(left, relation, right) => format!("{}{relation}{}", self.name(left), self.name(right)),
        }
    }

    fn parse(&self, text: &str) -> Option<Clue> {
        let thing = |name: &str| (0..self.variables()).find(|thing| self.name(*thing) == name);
        if let Some((name, house)) = text.split_once('@') {
            let house: u8 = house.parse().ok()?;
            let is_house = (1..=self.houses).contains(&usize::from(house));
            return is_house.then_some(Clue::Place(thing(name)?, house.wrapping_sub(1)));
        }
        let (at, relation) = text.char_indices().find(|(_, letter)| RELATIONS.contains(letter))?;
        Some(Clue::Pair(thing(&text[..at])?, relation, thing(&text[at + 1..])?))
    }

    /// A random true clue that does not hold for `other`.
    fn telling(&self, truth: &[Option<u8>], other: &[Option<u8>], stream: &mut Stream) -> Clue {
        loop {
            let thing = stream.index(self.variables());
            let second = stream.index(self.variables());
            let clue = match truth[thing] {
                Some(house) if stream.below(PLACE_ONE_IN) == 0 => Clue::Place(thing, house),
                _ => Clue::Pair(thing, *stream.pick(&RELATIONS), second),
            };
            if Self::keeps(&clue, truth) && !Self::keeps(&clue, other) {
                return clue;
            }
        }
    }
}

impl Constraints for Street {
    fn variables(&self) -> usize {
        self.categories * self.houses
    }

    fn values(&self) -> u8 {
        self.houses as u8
    }

    fn allows(&self, values: &[Option<u8>], variable: usize) -> bool {
        let first = variable / self.houses * self.houses;
        let is_alone = (first..first + self.houses)
            .all(|other| other == variable || values[other].is_none() || values[other] != values[variable]);
        let names = |clue: &&Clue| match **clue {
            Clue::Place(thing, _) => thing == variable,
            Clue::Pair(left, _, right) => left == variable || right == variable,
        };
        is_alone && self.clues.iter().filter(names).all(|clue| Self::keeps(clue, values))
    }

    fn name(&self, variable: usize) -> String {
        THINGS[variable / self.houses][variable % self.houses].to_owned()
    }

    fn value_name(&self, value: u8) -> String {
        (value + 1).to_string()
    }
}

/// Reads the street from a spec.
fn street(spec: Option<&Value>) -> Result<Street, String> {
    #[derive(Deserialize)]
    struct Spec {
        houses: usize,
        categories: usize,
        clues: Vec<String>,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    if !(1..=6).contains(&spec.houses) || !(1..=4).contains(&spec.categories) {
        return Err("the spec must have 1 to 6 `houses` and 1 to 4 `categories`".to_owned());
    }
    let mut street = Street { houses: spec.houses, categories: spec.categories, clues: Vec::new() };
    let parse =
        |text: &String| street.parse(text).ok_or_else(|| format!("the spec's clue `{text}` cannot be read"));
    street.clues = spec.clues.iter().map(parse).collect::<Result<_, _>>()?;
    Ok(street)
}

impl Domain for ZebraPuzzles {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=6
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let mut street = Street { houses: level as usize, categories: self.categories, clues: Vec::new() };
        let mut order: Vec<u8> = (0..street.values()).collect();
        let mut houses = Vec::with_capacity(street.variables());
        for _ in 0..self.categories {
            stream.shuffle(&mut order);
            houses.extend_from_slice(&order);
        }
        let truth: Vec<Option<u8>> = houses.iter().copied().map(Some).collect();
        // Each clue excludes one unwanted solution, until none is left.
        while let Some(other) =
            assignment::solutions(&street, 2, None).into_iter().find(|solution| *solution != houses)
        {
            let other: Vec<Option<u8>> = other.into_iter().map(Some).collect();
            let clue = street.telling(&truth, &other, stream);
            street.clues.push(clue);
        }
        stream.shuffle(&mut street.clues);
        let clues: Vec<String> = street.clues.iter().map(|clue| street.show(clue)).collect();
        let things: Vec<String> = (0..street.variables()).map(|thing| street.name(thing)).collect();
        let things: Vec<String> = things.chunks(street.houses).map(|names| names.join(" ")).collect();
        Problem {
            prompt: format!("zebra {}:{}=", things.join("/"), clues.join(",")),
            answer: assignment::write_named(&street, &houses),
            spec: json!({ "houses": street.houses, "categories": street.categories, "clues": clues }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        assignment::judge(street(item.spec), item.completion, assignment::read_named)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let (read, write) = (assignment::read_named, assignment::write_named);
        assignment::work(street(Some(&problem.spec)), read, write, &problem.answer, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("123456=<~@,:/+-; ");
        symbols.extend(THINGS[..self.categories].concat().into_iter().map(String::from));
        symbols.extend(["zebra ", "no", "ok", "again"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        assignment::behaviours(street(Some(&problem.spec)), thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::super::moves::checks;
    use super::*;
    use crate::Split;

    #[test]
    fn there_is_one_solution_and_no_clue_is_lost_in_writing() {
        for level in 2..=6 {
            for question in checks::questions(&ROW, &Value::Null, level, Split::Train, 10) {
                let street = street(Some(&question.problem.spec)).unwrap();
                assert_eq!(assignment::solutions(&street, 3, None).len(), 1, "{}", question.problem.prompt);
            }
        }
    }

    #[test]
    fn clues_mean_what_they_say() {
        let spec = json!({ "houses": 3, "categories": 1, "clues": ["red<blue", "green~red"] });
        let problem = Problem { prompt: String::new(), answer: String::new(), spec };
        let score = |text: &str| checks::verdict(&ZebraPuzzles::default(), &problem, text).score;
        assert_eq!(score("green=1,red=2,blue=3"), 1.0);
        for text in [
            "green=3,red=1,blue=2",
            "green=1,red=3,blue=2",
            "green=1,red=1,blue=2",
            "green=1,red=2",
            "green=1,red=2,blue=4",
        ] {
            assert_eq!(score(text), 0.0, "{text}");
        }
    }

    #[test]
    fn categories_are_named_when_they_are_refused() {
        let error = (ROW.build)(&json!({ "categories": 5 })).err().unwrap().to_string();
        assert!(error.contains("`categories` is 5; it must be 2, 3 or 4"), "{error}");
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 2..=6);
        checks::sound(&ROW, &json!({ "categories": 4 }), 6..=6);
        checks::hostile(&ROW, 4);
    }
}

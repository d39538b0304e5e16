//! River crossing: actors and their agents share a small boat. The level is the number of pairs.
//!
//! The famous instance, which moves everyone from left to right, belongs to the test split. A level is refused if the
//! boat is too small for its pairs: 2 seats are enough for 3 pairs, and 3 seats for 5.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict, answer};

use super::moves::{self, Instance, Notation, Posing, Puzzle, shortest_plan};
use super::{Row, build, characters};
use crate::seed::Stream;
use crate::split::Split;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "river_crossing",
    about: "actors and agents cross a river, and no actor may be with another's agent without their own; level = pairs",
    answers: "list of lists of passengers",
    build: |value| build::<RiverCrossing>("river_crossing", value),
};

/// Up to this many pairs, any start and goal are searched. Above, pairs cross together.
const MOST_SEARCHED: u32 = 5;
/// The maximum number of pairs in a question.
const MOST_PAIRS: u32 = 20;
/// How often an impossible random instance is drawn again.
const MOST_DRAWS: usize = 256;

/// The domain.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RiverCrossing {
    /// Which instances are posed.
    instance: Posing,
    /// How the moves are written. The compact form is `a1A1` for a crossing of `a_1` and `A_1`.
    notation: Notation,
    /// Seats in the boat, from 2 to 4. The default is 2 for up to 3 pairs, and 3 above.
    #[serde(deserialize_with = "seats")]
    boat: Option<u32>,
}

/// Reads the number of seats.
fn seats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match Option::<u32>::deserialize(deserializer)? {
        Some(other) if !(2..=4).contains(&other) => {
            Err(serde::de::Error::custom(format!("`boat` is {other}; it must be 2, 3 or 4")))
        }
        seats => Ok(seats),
    }
}

/// The maximum number of pairs that a boat can bring across.
fn most_pairs(seats: u32) -> u32 {
    match seats {
        0 | 1 => 0,
        2 => 3,
        3 => 5,
        _ => u32::MAX,
    }
}

/// Someone who crosses: an actor `a_1` or an agent `A_1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Person {
    is_agent: bool,
    /// The number of the pair, from 1.
    pair: u32,
}

impl Person {
    /// The person's bit in a [`Crowd`], or 0 above 31 pairs.
    fn bit(self) -> u64 {
        if !(1..=31).contains(&self.pair) {
            return 0;
        }
        1 << (2 * (self.pair - 1) + u32::from(self.is_agent))
    }

    /// The name in short notation.
    fn short(self) -> String {
        format!("{}{}", if self.is_agent { 'A' } else { 'a' }, self.pair)
    }
}

impl fmt::Display for Person {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}_{}", if self.is_agent { 'A' } else { 'a' }, self.pair)
    }
}

impl From<Person> for String {
    fn from(person: Person) -> Self {
        person.to_string()
    }
}

impl TryFrom<String> for Person {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let problem = "a passenger must be a_1, A_1, a_2, …";
        let mut rest = name.chars();
        let is_agent = match rest.next() {
            Some('A') => true,
            Some('a') => false,
            _ => return Err(problem),
        };
        let number = rest.as_str().strip_prefix('_').unwrap_or(rest.as_str());
        let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let pair = number.parse().ok().filter(|_| is_number).ok_or(problem)?;
        Ok(Self { is_agent, pair })
    }
}

/// A set of people, with two bits per pair: the actor, then the agent.
type Crowd = u64;
const ACTORS: Crowd = 0x5555_5555_5555_5555;

/// The people in a crowd.
fn people(crowd: Crowd) -> Vec<Person> {
    let bits = (0..62).filter(|bit| crowd >> bit & 1 == 1);
    bits.map(|bit| Person { is_agent: bit % 2 == 1, pair: bit / 2 + 1 }).collect()
}

/// An actor who is with another actor's agent but without their own.
fn unsafe_actor(crowd: Crowd) -> Option<Person> {
    let (actors, agents) = (crowd & ACTORS, crowd >> 1 & ACTORS);
    let alone = actors & !agents;
    if agents == 0 { None } else { people(alone).first().copied() }
}

/// The people on the left bank, and whether the boat is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Banks {
    left: Crowd,
    boat_is_left: bool,
}

struct Rules {
    everyone: Crowd,
    seats: usize,
}

impl Rules {
    fn new(pairs: u32, seats: u32) -> Self {
        Self { everyone: (1 << (2 * pairs)) - 1, seats: seats as usize }
    }

    fn right(&self, banks: &Banks) -> Crowd {
        self.everyone & !banks.left
    }

    fn is_safe(&self, banks: &Banks) -> bool {
        [banks.left, self.right(banks)].into_iter().all(|crowd| unsafe_actor(crowd).is_none())
    }

    /// Everyone and the boat on the left, or everyone and the boat on the right.
    fn all_on(&self, is_left: bool) -> Banks {
        Banks { left: if is_left { self.everyone } else { 0 }, boat_is_left: is_left }
    }
}

impl Puzzle for Rules {
    type State = Banks;
    type Move = Vec<Person>;

    fn play(&self, banks: &mut Banks, passengers: &Vec<Person>) -> Result<(), String> {
        if passengers.is_empty() {
            return Err("the boat is empty".to_owned());
        }
        if passengers.len() > self.seats {
            return Err(format!("{} passengers in a boat of {}", passengers.len(), self.seats));
        }
        let bank = if banks.boat_is_left { banks.left } else { self.right(banks) };
        let mut crowd: Crowd = 0;
        for person in passengers {
            if crowd & person.bit() != 0 {
                return Err(format!("{person} is named twice"));
            }
            if bank & person.bit() == 0 {
                return Err(format!("{person} is not on the boat's bank"));
            }
            crowd |= person.bit();
        }
        let left = banks.left ^ crowd;
        let places = [("in the boat", crowd), ("on the left", left), ("on the right", self.everyone & !left)];
        for (place, crowd) in places {
            if let Some(actor) = unsafe_actor(crowd) {
                return Err(format!("{place}, {actor} is with another actor's agent but without their own"));
            }
        }
        *banks = Banks { left, boat_is_left: !banks.boat_is_left };
        Ok(())
    }

    fn moves(&self, banks: &Banks) -> Vec<Vec<Person>> {
        let bank = people(if banks.boat_is_left { banks.left } else { self.right(banks) });
        let mut groups = vec![Vec::new()];
        for person in bank {
            for index in 0..groups.len() {
                if groups[index].len() < self.seats {
                    groups.push([groups[index].as_slice(), &[person]].concat());
                }
            }
        }
        groups.retain(|group| self.play(&mut banks.clone(), group).is_ok());
        groups
    }

    fn show(&self, banks: &Banks) -> String {
        let side = |crowd, has_boat| {
            let names: String = people(crowd).into_iter().map(Person::short).collect();
            names + if has_boat { "~" } else { "" }
        };
        format!("{}|{}", side(banks.left, banks.boat_is_left), side(self.right(banks), !banks.boat_is_left))
    }

    fn write(&self, passengers: &Vec<Person>) -> String {
        passengers.iter().copied().map(Person::short).collect()
    }

    fn read(&self, text: &str) -> Option<Vec<Person>> {
        let mut rest = text;
        let mut passengers = Vec::new();
        while !rest.is_empty() {
            let after_first = rest.char_indices().nth(1)?.0;
            let end = rest[after_first..].find(['a', 'A']).map_or(rest.len(), |at| after_first + at);
            passengers.push(Person::try_from(rest[..end].to_owned()).ok()?);
            rest = &rest[end..];
        }
        Some(passengers)
    }
}

/// Brings pairs across together in a boat for four: two pairs over, one pair back.
fn ferry(start: &Banks, rules: &Rules) -> Vec<Vec<Person>> {
    let waiting = if start.boat_is_left { start.left } else { rules.right(start) };
    let pairs: Vec<u32> = people(waiting & ACTORS).into_iter().map(|actor| actor.pair).collect();
    let aboard = |pairs: &[u32]| {
        pairs.iter().flat_map(|pair| [false, true].map(|is_agent| Person { is_agent, pair: *pair })).collect()
    };
    let mut plan: Vec<Vec<Person>> = Vec::new();
    let Some((ferryman, others)) = pairs.split_first() else { return plan };
    if others.is_empty() {
        plan.push(aboard(&[*ferryman]));
    }
    for (trip, other) in others.iter().enumerate() {
        if trip > 0 {
            plan.push(aboard(&[*ferryman]));
        }
        plan.push(aboard(&[*ferryman, *other]));
    }
    plan
}

/// One side of a spec.
#[derive(Serialize, Deserialize)]
struct Position {
    left: Vec<Person>,
    right: Vec<Person>,
    boat: String,
}

impl Position {
    fn of(rules: &Rules, banks: &Banks) -> Self {
        let boat = if banks.boat_is_left { "left" } else { "right" };
        Self { left: people(banks.left), right: people(rules.right(banks)), boat: boat.to_owned() }
    }

    fn banks(&self, rules: &Rules) -> Option<Banks> {
        let crowd = |people: &[Person]| people.iter().fold(0, |crowd, person| crowd | person.bit());
        let (left, right) = (crowd(&self.left), crowd(&self.right));
        let boat_is_left = match self.boat.as_str() {
            "left" => true,
            "right" => false,
            _ => return None,
        };
        let banks = Banks { left, boat_is_left };
        (left & right == 0 && left | right == rules.everyone && rules.is_safe(&banks)).then_some(banks)
    }
}

/// Reads the instance from a spec.
fn instance(spec: Option<&Value>) -> Result<Instance<Rules>, String> {
    #[derive(Deserialize)]
    struct Spec {
        pairs: u32,
        boat: u32,
        start: Position,
        goal: Position,
        minimum: Option<u64>,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    if !(1..=31).contains(&spec.pairs) {
        return Err(format!("the spec has {} pairs; 1 to 31 can be judged", spec.pairs));
    }
    let rules = Rules::new(spec.pairs, spec.boat);
    let (Some(start), Some(goal)) = (spec.start.banks(&rules), spec.goal.banks(&rules)) else {
        return Err("the spec's `start` and `goal` must place everyone once, safely, and the boat".to_owned());
    };
    Ok(Instance { rules, start, goal, minimum: spec.minimum, is_strict: false })
}

impl RiverCrossing {
    fn seats(&self, pairs: u32) -> u32 {
        self.boat.unwrap_or(if pairs <= 3 { 2 } else { 3 })
    }

    fn problem(&self, rules: &Rules, start: &Banks, goal: &Banks) -> Option<Problem> {
        let pairs = rules.everyone.count_ones() / 2;
        let is_searched = pairs <= MOST_SEARCHED;
        let plan = if is_searched { shortest_plan(rules, start, goal)? } else { ferry(start, rules) };
        if plan.is_empty() {
            return None;
        }
        let is_shortest = is_searched || *start == rules.all_on(start.boat_is_left);
        Some(Problem {
            prompt: format!("river {} {}>{}=", rules.seats, rules.show(start), rules.show(goal)),
            answer: self.notation.write(rules, &plan),
            spec: json!({
                "pairs": pairs,
                "boat": rules.seats,
                "start": Position::of(rules, start),
                "goal": Position::of(rules, goal),
                "minimum": is_shortest.then_some(plan.len()),
            }),
        })
    }

    fn famous(&self, rules: &Rules) -> Option<Problem> {
        self.problem(rules, &rules.all_on(true), &rules.all_on(false))
    }

    fn random(&self, rules: &Rules, pairs: u32, stream: &mut Stream) -> Option<Problem> {
        if pairs > MOST_SEARCHED {
            let actors = stream.below(1 << pairs);
            let waiting = (0..pairs)
                .filter(|pair| actors >> pair & 1 == 1)
                .fold(0, |crowd, pair| crowd | 3 << (2 * pair));
            let is_left = stream.chance(0.5);
            let left = if is_left { waiting } else { rules.everyone & !waiting };
            return self.problem(rules, &Banks { left, boat_is_left: is_left }, &rules.all_on(!is_left));
        }
        let position = |stream: &mut Stream| Banks {
            left: stream.below(rules.everyone + 1),
            boat_is_left: stream.chance(0.5),
        };
        let (start, goal) = (position(stream), position(stream));
        if !rules.is_safe(&start) || !rules.is_safe(&goal) {
            return None;
        }
        self.problem(rules, &start, &goal)
    }
}

/// Whether this is the famous instance of its level, which moves everyone and the boat from left to right.
fn is_famous(problem: &Problem) -> bool {
    instance(Some(&problem.spec))
        .is_ok_and(|found| found.start == found.rules.all_on(true) && found.goal == found.rules.all_on(false))
}

impl Domain for RiverCrossing {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=most_pairs(self.boat.unwrap_or(3)).min(MOST_PAIRS)
    }

    fn refusal(&self, level: u32) -> Option<String> {
        let seats = self.seats(level);
        let is_refused = level > most_pairs(seats) && level <= MOST_PAIRS;
        is_refused.then(|| {
            let more = if level <= 5 { 3 } else { 4 };
            format!(
                "{level} pairs cannot cross in a boat of {seats}, there is no solution; set `boat = {more}`"
            )
        })
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let rules = Rules::new(level, self.seats(level));
        let posed = (0..MOST_DRAWS).find_map(|_| self.random(&rules, level, stream));
        let kept =
            posed.filter(|problem| self.instance == Posing::Random || self.split(problem) == Split::Train);
        // `refusal` excludes every level whose famous instance has no solution.
        kept.or_else(|| self.famous(&rules)).unwrap_or(Problem {
            prompt: String::new(),
            answer: String::new(),
            spec: Value::Null,
        })
    }

    fn split(&self, problem: &Problem) -> Split {
        if is_famous(problem) { Split::Test } else { Split::of(&problem.prompt) }
    }

    /// Besides a list of moves, `no solution` is right if there is none, because specs from other sources may ask for
    /// it.
    fn judge(&self, item: &Item<'_>) -> Verdict {
        let found = instance(item.spec);
        if let (Ok(found), Some("no solution")) = (&found, answer::tagged(item.completion)) {
            let pairs = found.rules.everyone.count_ones() / 2;
            let is_whole = found.start == found.rules.all_on(true) && found.goal == found.rules.all_on(false);
            return if is_whole && pairs > most_pairs(found.rules.seats as u32) {
                Verdict::correct("no solution", "no solution exists")
            } else {
                Verdict::wrong("no solution", "it is not known that no solution exists")
            };
        }
        moves::judge(found, item)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        moves::work(instance(Some(&problem.spec)), &problem.answer, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("0123456789[],>=;|~_\"aA ");
        symbols
            .extend(["river ", "[[\"", "],[\"", "\",\"", "\"]]", "a_", "A_", "no", "ok"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        moves::behaviours(instance(Some(&problem.spec)), thinking)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::moves::checks;
    use super::*;

    /// The fewest crossings of the famous instance, by breadth-first search. Positions that differ only in the names of
    /// the pairs count as one.
    fn fewest(pairs: u32, seats: u32) -> Option<usize> {
        let rules = Rules::new(pairs, seats);
        let renamed = |banks: &Banks| {
            let mut sides: Vec<u64> = (0..pairs).map(|pair| banks.left >> (2 * pair) & 3).collect();
            sides.sort_unstable();
            (sides, banks.boat_is_left)
        };
        let mut layer = vec![rules.all_on(true)];
        let mut seen = BTreeSet::from([renamed(&layer[0])]);
        for crossings in 0.. {
            if layer.contains(&rules.all_on(false)) {
                return Some(crossings);
            }
            let mut next = Vec::new();
            for banks in &layer {
                for step in rules.moves(banks) {
                    let mut banks = banks.clone();
                    rules.play(&mut banks, &step).unwrap();
                    if seen.insert(renamed(&banks)) {
                        next.push(banks);
                    }
                }
            }
            if next.is_empty() {
                return None;
            }
            layer = next;
        }
        None
    }

    #[test]
    fn the_fewest_crossings_are_as_tabled() {
        let table = [
            (2, vec![Some(1), Some(5), Some(11), None]),
            (3, vec![Some(1), Some(3), Some(5), Some(9), Some(11), None, None]),
            (4, vec![Some(1), Some(1), Some(3), Some(5), Some(7), Some(9), Some(11), Some(13)]),
        ];
        for (seats, row) in table {
            for (pairs, expected) in (1..).zip(row) {
                assert_eq!(fewest(pairs, seats), expected, "{pairs} pairs, {seats} seats");
                let domain = RiverCrossing { boat: Some(seats), ..RiverCrossing::default() };
                assert_eq!(domain.refusal(pairs).is_none(), expected.is_some());
                if let Some(expected) = expected {
                    let problem = domain.famous(&Rules::new(pairs, seats)).unwrap();
                    assert_eq!(problem.spec["minimum"], expected);
                    assert!(checks::verdict(&domain, &problem, &problem.answer).is_correct());
                    assert_eq!(domain.split(&problem), Split::Test);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_solved_is_refused_by_name() {
        let domain = (ROW.build)(&Value::Null).unwrap();
        let error = crate::Dataset::new(&ROW, domain.as_ref(), 6, 0).err().unwrap().to_string();
        assert!(
            error.contains("6 pairs cannot cross in a boat of 3") && error.contains("`boat = 4`"),
            "{error}"
        );
        let error = (ROW.build)(&json!({ "boat": 1 })).err().unwrap().to_string();
        assert!(error.contains("`boat` is 1; it must be 2, 3 or 4"), "{error}");
    }

    #[test]
    fn no_solution_is_right_only_where_there_is_none() {
        let domain = RiverCrossing::default();
        for (pairs, seats, score) in [(6, 3, 1.0), (4, 2, 1.0), (3, 2, 0.0), (6, 4, 0.0)] {
            let rules = Rules::new(pairs, seats);
            let spec = json!({
                "pairs": pairs, "boat": seats,
                "start": Position::of(&rules, &rules.all_on(true)),
                "goal": Position::of(&rules, &rules.all_on(false)),
            });
            let item = Item { completion: "<answer>no solution</answer>", answer: None, spec: Some(&spec) };
            assert_eq!(domain.judge(&item).score, score, "{pairs} {seats}");
        }
    }

    #[test]
    fn the_first_illegal_move_is_named() {
        let domain = RiverCrossing::default();
        let problem = domain.famous(&Rules::new(3, 2)).unwrap();
        for (text, reason) in [
            ("[[]]", "move 1 is illegal: the boat is empty"),
            (r#"[["a_1","a_2","a_3"]]"#, "move 1 is illegal: 3 passengers in a boat of 2"),
            (r#"[["a_1","a_1"]]"#, "move 1 is illegal: a_1 is named twice"),
            (r#"[["a_9"]]"#, "move 1 is illegal: a_9 is not on the boat's bank"),
            (r#"[["a_0"]]"#, "move 1 is illegal: a_0 is not on the boat's bank"),
            (
                r#"[["a1","A2"]]"#,
                "move 1 is illegal: in the boat, a_1 is with another actor's agent but without their own",
            ),
            (
                r#"[["A_1"]]"#,
                "move 1 is illegal: on the left, a_1 is with another actor's agent but without their own",
            ),
            (r#"[["a_1","a_2"],["a_3"]]"#, "move 2 is illegal: a_3 is not on the boat's bank"),
        ] {
            assert_eq!(checks::verdict(&domain, &problem, text).reason, reason);
        }
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 1..=5);
        checks::sound(&ROW, &json!({ "instance": "random", "notation": "compact", "boat": 4 }), 2..=8);
        checks::sound(&ROW, &json!({ "boat": 4 }), 20..=20);
        checks::hostile(&ROW, 3);
    }
}

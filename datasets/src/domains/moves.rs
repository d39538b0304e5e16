//! Puzzles whose solution is a list of moves: reading and playing the list, planning, and worked solutions.
//!
//! A worked solution consists of `move=state`, joined by `;`. `no` undoes the last step, and `ok` says that the goal is
//! reached. Every statement is true or false.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use thinkling_verifiers::{Item, Verdict, answer};

use crate::seed::Stream;
use crate::{Behaviours, Solution, SolutionKind};

/// How often a search trace tries a move that it then undoes.
const DETOUR: f64 = 0.25;
/// A trace is read only up to this many statements, because a model may write without end.
pub(super) const MOST_STATEMENTS: usize = 1 << 16;

/// The rules of a puzzle.
pub(super) trait Puzzle {
    /// A position.
    type State: Clone + Ord;
    /// A move. Its JSON form is the one used in the list of an answer.
    type Move: Clone + PartialEq + Serialize + DeserializeOwned;
    /// The separator between the moves of a short answer. If it is empty, each move is one letter.
    const SEPARATOR: &'static str = " ";

    /// Makes the move. If it is illegal, says why and does not change the state.
    fn play(&self, state: &mut Self::State, step: &Self::Move) -> Result<(), String>;
    /// Every legal move.
    fn moves(&self, state: &Self::State) -> Vec<Self::Move>;
    /// A lower bound on the moves from `state` to `goal`. A move lowers it by at most one.
    fn at_least(&self, _state: &Self::State, _goal: &Self::State) -> usize {
        0
    }
    /// The text for a position, without `;` or `=`.
    fn show(&self, state: &Self::State) -> String;
    /// A move in short notation, without a space, `;` or `=`.
    fn write(&self, step: &Self::Move) -> String;
    /// Reads a move in short notation.
    fn read(&self, text: &str) -> Option<Self::Move>;
}

/// An instance of a puzzle: its rules, its start and its goal.
pub(super) struct Instance<P: Puzzle> {
    /// The rules.
    pub(super) rules: P,
    /// The first position.
    pub(super) start: P::State,
    /// The last position.
    pub(super) goal: P::State,
    /// The fewest moves, if known.
    pub(super) minimum: Option<u64>,
    /// Whether only an answer with the fewest moves is right.
    pub(super) is_strict: bool,
}

/// How the moves of an answer are written. Judges read both forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Notation {
    /// A JSON list of moves.
    #[default]
    Json,
    /// Short moves separated by spaces.
    Compact,
}

/// Which instances are posed of a puzzle that has one famous instance per level.
///
/// The famous instance belongs to the test split in both cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Posing {
    /// The famous instance is the whole test split, and random instances are for training.
    #[default]
    Standard,
    /// Both splits have random starts and goals.
    Random,
}

impl Notation {
    /// Writes a list of moves as an answer.
    pub(super) fn write<P: Puzzle>(self, rules: &P, moves: &[P::Move]) -> String {
        match self {
            Self::Json => serde_json::to_string(moves).unwrap_or_default(),
            Self::Compact => {
                moves.iter().map(|step| rules.write(step)).collect::<Vec<_>>().join(P::SEPARATOR)
            }
        }
    }
}

/// The moves of a short answer, separated by commas and blanks.
fn words<P: Puzzle>(text: &str) -> Box<dyn Iterator<Item = &str> + '_> {
    let is_between = |letter: char| letter == ',' || letter.is_ascii_whitespace();
    if P::SEPARATOR.is_empty() {
        let letters = text.char_indices().filter(move |(_, letter)| !is_between(*letter));
        return Box::new(letters.map(|(at, letter)| &text[at..at + letter.len_utf8()]));
    }
    Box::new(text.split(is_between).filter(|word| !word.is_empty()))
}

/// A position, and the moves that led to it.
struct Game<'a, P: Puzzle> {
    rules: &'a P,
    state: P::State,
    played: u64,
    illegal: Option<String>,
}

impl<P: Puzzle> Game<'_, P> {
    /// Plays a move. Returns false at the first illegal one.
    fn play(&mut self, step: &P::Move) -> bool {
        match self.rules.play(&mut self.state, step) {
            Ok(()) => self.played += 1,
            Err(reason) => self.illegal = Some(reason),
        }
        self.illegal.is_none()
    }

    /// Plays an answer to its end or its first illegal move. The error says why it cannot be read.
    fn play_all(&mut self, text: &str) -> Result<(), String> {
        if text.starts_with('[') {
            let mut json = serde_json::Deserializer::from_str(text);
            let read = Moves(self).deserialize(&mut json).and_then(|()| json.end());
            return if self.illegal.is_some() { Ok(()) } else { read.map_err(|error| error.to_string()) };
        }
        for word in words::<P>(text) {
            let Some(step) = self.rules.read(word) else {
                return Err(format!("move {} is not in the notation", self.played + 1));
            };
            if !self.play(&step) {
                break;
            }
        }
        Ok(())
    }
}

/// Plays a JSON list while reading it, so that nothing after the first illegal move is read.
struct Moves<'a, 'b, P: Puzzle>(&'a mut Game<'b, P>);

impl<'de, P: Puzzle> DeserializeSeed<'de> for Moves<'_, '_, P> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, P: Puzzle> Visitor<'de> for Moves<'_, '_, P> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of moves")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(step) = list.next_element::<P::Move>()? {
            if !self.0.play(&step) {
                return Err(A::Error::custom("illegal move"));
            }
        }
        Ok(())
    }
}

/// Judges a list of moves: every move must be legal and the goal reached, in any number of moves.
pub(super) fn judge<P: Puzzle>(instance: Result<Instance<P>, String>, item: &Item<'_>) -> Verdict {
    let instance = match instance {
        Ok(instance) => instance,
        Err(reason) => return Verdict::error(reason),
    };
    let text = match answer::given(item.completion) {
        Ok(text) => text,
        Err(reason) => return Verdict::malformed(reason),
    };
    let mut game = Game { rules: &instance.rules, state: instance.start.clone(), played: 0, illegal: None };
    if let Err(reason) = game.play_all(text) {
        return Verdict::malformed(format!("not a list of moves: {reason}"));
    }
    let played = game.played;
    if let Some(reason) = game.illegal {
        return Verdict::wrong(text, format!("move {} is illegal: {reason}", played + 1));
    }
    if game.state != instance.goal {
        return Verdict::wrong(text, format!("all {played} moves are legal, but the goal is not reached"));
    }
    match instance.minimum {
        Some(minimum) if instance.is_strict && played > minimum => {
            Verdict::wrong(text, format!("solved in {played} moves, where {minimum} are enough"))
        }
        Some(minimum) if minimum > 0 => {
            let ratio = played as f64 / minimum as f64;
            Verdict::correct(
                text,
                format!("solved in {played} moves, {ratio:.2} times the fewest ({minimum})"),
            )
        }
        _ => Verdict::correct(text, format!("solved in {played} moves")),
    }
}

/// Reads a list of moves in either notation.
pub(super) fn read_moves<P: Puzzle>(rules: &P, text: &str) -> Option<Vec<P::Move>> {
    if text.starts_with('[') {
        return serde_json::from_str(text).ok();
    }
    words::<P>(text).map(|word| rules.read(word)).collect()
}

/// A position in a search, the number of moves so far, and the node and move that led to it.
type Node<P> = (<P as Puzzle>::State, usize, Option<(usize, <P as Puzzle>::Move)>);

/// A shortest plan from `start` to `goal`, found by A* search, or `None` if the goal cannot be reached.
pub(super) fn shortest_plan<P: Puzzle>(rules: &P, start: &P::State, goal: &P::State) -> Option<Vec<P::Move>> {
    let mut nodes: Vec<Node<P>> = vec![(start.clone(), 0, None)];
    let mut fewest = BTreeMap::from([(start.clone(), 0)]);
    let mut open = BinaryHeap::from([Reverse((rules.at_least(start, goal), 0))]);
    while let Some(Reverse((_, node))) = open.pop() {
        let (state, made, _) = nodes[node].clone();
        if state == *goal {
            return Some(way_to::<P>(&nodes, node));
        }
        if fewest.get(&state).is_some_and(|known| *known < made) {
            continue;
        }
        for step in rules.moves(&state) {
            let mut next = state.clone();
            let is_new = rules.play(&mut next, &step).is_ok()
                && fewest.get(&next).is_none_or(|known| made + 1 < *known);
            if is_new {
                fewest.insert(next.clone(), made + 1);
                open.push(Reverse((made + 1 + rules.at_least(&next, goal), nodes.len())));
                nodes.push((next, made + 1, Some((node, step))));
            }
        }
    }
    None
}

/// The moves that lead to a node of a search.
fn way_to<P: Puzzle>(nodes: &[Node<P>], mut node: usize) -> Vec<P::Move> {
    let mut plan = Vec::new();
    while let Some((before, step)) = &nodes[node].2 {
        plan.push(step.clone());
        node = *before;
    }
    plan.reverse();
    plan
}

/// A worked solution that ends with `answer`, a right list of moves.
pub(super) fn work<P: Puzzle>(
    instance: Result<Instance<P>, String>,
    answer: &str,
    kind: SolutionKind,
    stream: &mut Stream,
) -> Option<Solution> {
    let Instance { rules, start, .. } = instance.ok()?;
    let plan = read_moves(&rules, answer)?;
    let flawed_step = stream.index(plan.len());
    let mut state = start;
    let mut trace = Vec::new();
    for (index, step) in plan.iter().enumerate() {
        let detour = match kind {
            SolutionKind::Direct => break,
            SolutionKind::Long => None,
            SolutionKind::Search if stream.chance(DETOUR) => other_step(&rules, &state, step, stream),
            SolutionKind::Search => None,
            SolutionKind::Flawed if index == flawed_step => Some(mistake(&rules, &state, step, stream)),
            SolutionKind::Flawed => None,
        };
        if let Some(detour) = detour {
            trace.extend([detour, "no".to_owned()]);
        }
        rules.play(&mut state, step).ok()?;
        trace.push(statement(&rules, step, &state));
    }
    if matches!(kind, SolutionKind::Search | SolutionKind::Flawed) {
        trace.push("ok".to_owned());
    }
    Some(Solution::sure(trace.join(";"), answer))
}

/// A step and the position after it.
fn statement<P: Puzzle>(rules: &P, step: &P::Move, state: &P::State) -> String {
    format!("{}={}", rules.write(step), rules.show(state))
}

/// A legal move other than the planned one.
pub(super) fn another_move<P: Puzzle>(
    rules: &P,
    state: &P::State,
    step: &P::Move,
    stream: &mut Stream,
) -> Option<P::Move> {
    let mut others = rules.moves(state);
    others.retain(|other| other != step);
    if others.is_empty() { None } else { Some(stream.pick(&others).clone()) }
}

/// A statement with a legal step other than the planned one.
fn other_step<P: Puzzle>(rules: &P, state: &P::State, step: &P::Move, stream: &mut Stream) -> Option<String> {
    let other = another_move(rules, state, step, stream)?;
    let mut state = state.clone();
    rules.play(&mut state, &other).ok()?;
    Some(statement(rules, &other, &state))
}

/// The planned step with a wrong position after it.
fn mistake<P: Puzzle>(rules: &P, state: &P::State, step: &P::Move, stream: &mut Stream) -> String {
    let truth = other_step(rules, state, step, stream);
    let shown = truth.as_deref().and_then(|text| text.split_once('=')).map(|(_, shown)| shown.to_owned());
    format!("{}={}", rules.write(step), shown.unwrap_or_else(|| rules.show(state)))
}

/// Counts what a trace shows. False steps are illegal moves, wrong positions, and `ok` before the goal is reached.
pub(super) fn behaviours<P: Puzzle>(instance: Result<Instance<P>, String>, thinking: &str) -> Behaviours {
    let mut seen = Behaviours::default();
    let Ok(Instance { rules, start, goal, .. }) = instance else { return seen };
    let mut states = vec![start];
    for text in thinking.split(';').filter(|text| !text.is_empty()).take(MOST_STATEMENTS) {
        // The stack is never empty, because the first position is not popped.
        let Some(last) = states.last() else { break };
        let truth = match text {
            "no" => {
                seen.backtracks += 1;
                if states.len() > 1 {
                    states.pop();
                }
                continue;
            }
            "ok" => {
                seen.verifications += 1;
                seen.yeses += 1;
                seen.false_yeses += u32::from(*last != goal);
                *last == goal
            }
            _ => {
                let mut state = last.clone();
                let played = text.split_once('=').and_then(|(step, shown)| {
                    rules.play(&mut state, &rules.read(step)?).ok()?;
                    Some(rules.show(&state) == shown)
                });
                states.push(state);
                played == Some(true)
            }
        };
        seen.steps += 1;
        seen.false_steps += u32::from(!truth);
    }
    seen
}

#[cfg(test)]
pub(super) mod checks {
    //! Checks that hold for every puzzle of moves.

    use serde_json::Value;

    use super::*;
    use crate::domains::Row;
    use crate::split::{Dataset, Split};
    use crate::{Domain, Question};

    /// The verdict on an answer to a problem.
    pub(in crate::domains) fn verdict(domain: &dyn Domain, problem: &crate::Problem, text: &str) -> Verdict {
        let completion = format!("<answer>{text}</answer>");
        domain.judge(&Item {
            completion: &completion,
            answer: Some(&problem.answer),
            spec: Some(&problem.spec),
        })
    }

    /// The questions of a level with these settings.
    pub(in crate::domains) fn questions(
        row: &'static Row,
        settings: &Value,
        level: u32,
        split: Split,
        count: u64,
    ) -> Vec<Question> {
        let domain = (row.build)(settings).unwrap();
        let dataset = Dataset::new(row, domain.as_ref(), level, 1).unwrap();
        (0..count).map(|index| dataset.question(split, index).unwrap()).collect()
    }

    /// Removes the longest matching symbols from the start of `text`. Returns the rest where none matches.
    fn untokenised<'a>(alphabet: &[String], text: &'a str) -> &'a str {
        let mut rest = text;
        while let Some(symbol) =
            alphabet.iter().filter(|symbol| rest.starts_with(*symbol)).max_by_key(|symbol| symbol.len())
        {
            rest = &rest[symbol.len()..];
        }
        rest
    }

    /// Checks that both splits are posed, that answers and worked solutions are right, and that hostile text is only
    /// data.
    pub(in crate::domains) fn sound(
        row: &'static Row,
        settings: &Value,
        levels: std::ops::RangeInclusive<u32>,
    ) {
        let domain = (row.build)(settings).unwrap();
        let alphabet = domain.alphabet();
        let mut train = std::collections::BTreeSet::new();
        let mut test = std::collections::BTreeSet::new();
        for level in levels {
            for split in [Split::Train, Split::Test] {
                for question in questions(row, settings, level, split, 12) {
                    if split == Split::Train { &mut train } else { &mut test }
                        .insert(question.problem.prompt.clone());
                    check(domain.as_ref(), &alphabet, &question);
                }
            }
        }
        assert!(train.is_disjoint(&test));
    }

    fn check(domain: &dyn Domain, alphabet: &[String], question: &Question) {
        let problem = &question.problem;
        let right = verdict(domain, problem, &problem.answer);
        assert!(right.is_correct(), "{} {}: {right:?}", question.id, problem.prompt);
        assert_eq!(untokenised(alphabet, &problem.prompt), "", "{}", question.id);
        for kind in SolutionKind::ALL {
            let mut stream = Stream::at("check", 0, &[]);
            let Some(solution) = domain.solve(problem, kind, &mut stream) else { continue };
            assert_eq!(untokenised(alphabet, &solution.thinking), "", "{} {kind:?}", question.id);
            assert_eq!(untokenised(alphabet, &solution.answer), "", "{} {kind:?}", question.id);
            let ours = verdict(domain, problem, &solution.answer);
            assert!(ours.is_correct() || solution.is_guess, "{} {kind:?}: {ours:?}", question.id);
            let seen = domain.behaviours(problem, &solution.thinking);
            match kind {
                SolutionKind::Direct => assert!(solution.thinking.is_empty()),
                SolutionKind::Long => assert!(seen.steps > 0 && seen.false_steps == 0, "{seen:?}"),
                SolutionKind::Search => assert!(seen.verifications > 0 && seen.false_steps == 0, "{seen:?}"),
                SolutionKind::Flawed => {
                    assert!(seen.backtracks > 0 && seen.false_steps > 0, "{} {seen:?}", solution.thinking);
                }
            }
        }
        let answer = &problem.answer;
        for text in [
            "",
            "[",
            "]",
            "none",
            "null",
            "[]",
            "{}",
            "0",
            "\u{0}",
            "[[]]",
            "[[[[",
            "١",
            "no solution",
            "\"",
            "-",
            &problem.prompt,
            &format!("{answer} {answer} or"),
            &format!("{answer}\u{0}"),
            &format!("not {answer}"),
            &answer[..answer.len() - 1],
            &answer.chars().map(|c| if c.is_ascii_digit() { '٣' } else { c }).collect::<String>(),
        ] {
            let verdict = verdict(domain, problem, text);
            let is_known = text == answer;
            assert!(is_known || verdict.score == 0.0, "{} pays for {text:?}: {verdict:?}", question.id);
            assert!(verdict.outcome != thinkling_verifiers::Outcome::Error, "{text:?}: {verdict:?}");
        }
    }

    /// Checks that megabytes of brackets, repeated answers and random text get a score of 0.
    pub(in crate::domains) fn hostile(row: &'static Row, level: u32) {
        let domain = (row.build)(&Value::Null).unwrap();
        let problem = &questions(row, &Value::Null, level, Split::Test, 1)[0].problem;
        let inner = problem.answer.trim_start_matches('[');
        for piece in
            ["[", "[[0,", "{\"a\":", "9", "a", "\u{0}", "\u{663}", inner, "1,", "(", ";", "\n", "<answer>"]
        {
            let text = piece.repeat(10_000_000 / piece.len());
            assert_eq!(verdict(domain.as_ref(), problem, &text).score, 0.0, "{piece:?}");
            let _ = domain.behaviours(problem, &text[..1_000_000 / piece.len() * piece.len()]);
        }
    }
}

//! Checker jumping: red checkers move right, blue ones move left, and they swap sides. The level is the number of each
//! colour.
//!
//! The famous instance, `RR_BB` to `BB_RR`, belongs to the test split.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::moves::{self, Instance, Notation, Posing, Puzzle};
use super::{Row, build, characters};
use crate::seed::Stream;
use crate::split::Split;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "checker_jumping",
    about: "red and blue checkers change sides by slides and jumps; level = checkers of each colour",
    answers: "list of [colour, from, to]",
    build: |value| build::<CheckerJumping>("checker_jumping", value),
};

/// How often a random start without a legal move is drawn again.
const MOST_DRAWS: usize = 64;

/// The domain.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckerJumping {
    /// Which instances are posed.
    instance: Posing,
    /// How the moves are written. The compact form is `R0-2` for red from 0 to 2.
    notation: Notation,
}

/// The cells of the board: `R`, `B` or `_`.
type Board = Vec<u8>;
/// Colour, from, to.
type Move = (char, i64, i64);

struct Rules;

impl Puzzle for Rules {
    type State = Board;
    type Move = Move;

    fn play(&self, board: &mut Board, &(colour, from, to): &Move) -> Result<(), String> {
        let direction = match colour {
            'R' => 1,
            'B' => -1,
            _ => return Err("a colour is R or B".to_owned()),
        };
        let cell = |number: i64| usize::try_from(number).ok().filter(|cell| *cell < board.len());
        let (Some(start), Some(end)) = (cell(from), cell(to)) else {
            return Err(format!("the board has no cells {from} and {to}"));
        };
        if char::from(board[start]) != colour {
            return Err(format!("there is no {colour} at {from}"));
        }
        if board[end] != b'_' {
            return Err(format!("cell {to} is taken"));
        }
        match (to - from) * direction {
            1 => {}
            2 if matches!(board[(start + end) / 2], b'R' | b'B')
                && board[(start + end) / 2] != board[start] => {}
            2 => return Err(format!("{colour} has no checker of the other colour to jump over")),
            _ => return Err(format!("{colour} cannot go from {from} to {to}")),
        }
        board.swap(start, end);
        Ok(())
    }

    fn moves(&self, board: &Board) -> Vec<Move> {
        let Some(gap) = board.iter().position(|cell| *cell == b'_') else { return Vec::new() };
        let gap = gap as i64;
        let candidates = [('R', gap - 2), ('R', gap - 1), ('B', gap + 1), ('B', gap + 2)];
        candidates
            .into_iter()
            .map(|(colour, from)| (colour, from, gap))
            .filter(|step| self.play(&mut board.clone(), step).is_ok())
            .collect()
    }

    fn show(&self, board: &Board) -> String {
        board.iter().map(|cell| char::from(*cell)).collect()
    }

    fn write(&self, (colour, from, to): &Move) -> String {
        format!("{colour}{from}-{to}")
    }

    fn read(&self, text: &str) -> Option<Move> {
        let mut rest = text.chars();
        let colour = rest.next()?;
        let (from, to) = rest.as_str().split_once('-')?;
        Some((colour, from.parse().ok()?, to.parse().ok()?))
    }
}

/// The board with `left` checkers on the left of the gap and `right` checkers on its right.
fn sides(checkers: usize, left: u8, right: u8) -> Board {
    [vec![left; checkers], vec![b'_'], vec![right; checkers]].concat()
}

/// The solution of the famous instance: runs of moves by one colour, with 1, 2, … N, N, N, … 2, 1 moves.
fn famous_plan(checkers: usize) -> Vec<Move> {
    let runs = (1..checkers).chain([checkers; 3]).chain((1..checkers).rev());
    let mut board = sides(checkers, b'R', b'B');
    let mut plan = Vec::new();
    for (run, length) in runs.enumerate() {
        let colour = if run % 2 == 0 { 'R' } else { 'B' };
        for _ in 0..length {
            // Within a run, each colour has only one possible move, except the first move of all. A jump is preferred
            // to a slide.
            let mut steps = Rules.moves(&board);
            steps.retain(|step| step.0 == colour);
            let Some(step) = steps.into_iter().max_by_key(|step| (step.2 - step.1).abs()) else {
                return plan;
            };
            if Rules.play(&mut board, &step).is_ok() {
                plan.push(step);
            }
        }
    }
    plan
}

/// A part of the famous solution: its start and its moves.
fn stretch(checkers: usize, stream: &mut Stream) -> (Board, Vec<Move>) {
    let plan = famous_plan(checkers);
    let mut start = sides(checkers, b'R', b'B');
    let first = stream.index(plan.len());
    for step in &plan[..first] {
        // Every move of the famous solution is legal.
        let _ = Rules.play(&mut start, step);
    }
    let length = 1 + stream.index(plan.len() - first);
    (start, plan[first..first + length].to_vec())
}

/// A random board, and a random walk from it until no move is left.
fn walk(checkers: usize, stream: &mut Stream) -> (Board, Vec<Move>) {
    let mut start = sides(checkers, b'R', b'B');
    stream.shuffle(&mut start);
    let mut board = start.clone();
    let mut plan = Vec::new();
    loop {
        let steps = Rules.moves(&board);
        if steps.is_empty() {
            return (start, plan);
        }
        let step = *stream.pick(&steps);
        if Rules.play(&mut board, &step).is_ok() {
            plan.push(step);
        }
    }
}

/// Reads the instance from a spec.
fn instance(spec: Option<&Value>) -> Result<Instance<Rules>, String> {
    #[derive(Deserialize)]
    struct Spec {
        start: String,
        goal: String,
        minimum: Option<u64>,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    let mut boards = [spec.start.into_bytes(), spec.goal.into_bytes()];
    let is_board = |board: &Board| {
        board.iter().filter(|cell| **cell == b'_').count() == 1
            && board.iter().all(|cell| b"RB_".contains(cell))
    };
    if !boards.iter().all(is_board) || boards[0].len() != boards[1].len() {
        return Err("the spec's `start` and `goal` must be boards of R, B and one _, equally long".to_owned());
    }
    let [start, goal] = &mut boards;
    let (start, goal) = (std::mem::take(start), std::mem::take(goal));
    Ok(Instance { rules: Rules, start, goal, minimum: spec.minimum, is_strict: false })
}

impl CheckerJumping {
    /// The question that `plan` answers. No checker moves back or passes its own colour, so all answers have the same
    /// length.
    fn problem(&self, start: &Board, plan: &[Move]) -> Problem {
        let mut goal = start.clone();
        for step in plan {
            let _ = Rules.play(&mut goal, step);
        }
        let (start, goal) = (Rules.show(start), Rules.show(&goal));
        Problem {
            prompt: format!("checkers {start}>{goal}="),
            answer: self.notation.write(&Rules, plan),
            spec: json!({ "start": start, "goal": goal, "minimum": plan.len() }),
        }
    }

    fn famous(&self, checkers: usize) -> Problem {
        self.problem(&sides(checkers, b'R', b'B'), &famous_plan(checkers))
    }
}

/// Whether this is the famous instance of its level.
fn is_famous(prompt: &str) -> bool {
    let boards = prompt.strip_prefix("checkers ").and_then(|rest| rest.strip_suffix('='));
    boards.and_then(|boards| boards.split_once('>')).is_some_and(|(start, goal)| {
        let checkers = start.len() / 2;
        start.as_bytes() == sides(checkers, b'R', b'B') && goal.as_bytes() == sides(checkers, b'B', b'R')
    })
}

impl Domain for CheckerJumping {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=20
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let checkers = level as usize;
        for _ in 0..MOST_DRAWS {
            let (start, plan) =
                if stream.chance(0.5) { stretch(checkers, stream) } else { walk(checkers, stream) };
            if plan.is_empty() {
                continue;
            }
            let problem = self.problem(&start, &plan);
            if self.instance == Posing::Standard && self.split(&problem) == Split::Test {
                break;
            }
            return problem;
        }
        self.famous(checkers)
    }

    fn split(&self, problem: &Problem) -> Split {
        if is_famous(&problem.prompt) { Split::Test } else { Split::of(&problem.prompt) }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        moves::judge(instance(item.spec), item)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        moves::work(instance(Some(&problem.spec)), &problem.answer, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("0123456789[],>=;-\"RB_ ");
        symbols.extend(["checkers ", "[[\"", "],[\"", "\",", "]]", "no", "ok"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        moves::behaviours(instance(Some(&problem.spec)), thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::moves::{checks, shortest_plan};
    use super::*;

    #[test]
    fn the_fewest_moves_are_a_square_less_one() {
        for checkers in 1..=20usize {
            let problem = CheckerJumping::default().famous(checkers);
            assert!(is_famous(&problem.prompt), "{}", problem.prompt);
            assert_eq!(problem.spec["minimum"], (checkers + 1).pow(2) - 1);
            if checkers <= 7 {
                let (start, goal) = (sides(checkers, b'R', b'B'), sides(checkers, b'B', b'R'));
                let plan = shortest_plan(&Rules, &start, &goal).unwrap();
                assert_eq!(plan.len(), (checkers + 1).pow(2) - 1);
            }
        }
    }

    #[test]
    fn the_walk_to_a_random_goal_is_as_short_as_any() {
        let settings = json!({ "instance": "random" });
        for question in checks::questions(&ROW, &settings, 4, Split::Train, 60) {
            let Instance { start, goal, minimum, .. } = instance(Some(&question.problem.spec)).unwrap();
            let plan = shortest_plan(&Rules, &start, &goal).unwrap();
            assert_eq!(Some(plan.len() as u64), minimum, "{}", question.problem.prompt);
        }
    }

    #[test]
    fn the_first_illegal_move_is_named() {
        let domain = CheckerJumping::default();
        let judge = |text: &str| checks::verdict(&domain, &domain.famous(2), text).reason;
        for (text, reason) in [
            (r#"[["B",3,2],["R",1,2]]"#, "move 2 is illegal: cell 2 is taken"),
            (r#"[["R",2,1]]"#, "move 1 is illegal: there is no R at 2"),
            (r#"[["R",1,2],["R",2,1]]"#, "move 2 is illegal: R cannot go from 2 to 1"),
            (r#"[["R",0,2]]"#, "move 1 is illegal: R has no checker of the other colour to jump over"),
            (r#"[["G",0,2]]"#, "move 1 is illegal: a colour is R or B"),
            (r#"[["_",2,2]]"#, "move 1 is illegal: a colour is R or B"),
            (r#"[["R",-1,5]]"#, "move 1 is illegal: the board has no cells -1 and 5"),
            (r#"[["R",1,2],["B",3,1]]"#, "all 2 moves are legal, but the goal is not reached"),
            (
                r#"[["R",1,9223372036854775807]]"#,
                "move 1 is illegal: the board has no cells 1 and 9223372036854775807",
            ),
        ] {
            assert_eq!(judge(text), reason);
        }
    }

    #[test]
    fn both_notations_and_both_first_moves_are_right() {
        let domain = CheckerJumping::default();
        let problem = domain.famous(1);
        for text in
            [r#"[["R",0,1],["B",2,0],["R",1,2]]"#, r#"[["B",2,1],["R",0,2],["B",1,0]]"#, "R0-1 B2-0 R1-2"]
        {
            assert!(checks::verdict(&domain, &problem, text).is_correct(), "{text}");
        }
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 1..=8);
        checks::sound(&ROW, &json!({ "instance": "random", "notation": "compact" }), 2..=6);
        checks::sound(&ROW, &Value::Null, 20..=20);
        checks::hostile(&ROW, 3);
    }
}

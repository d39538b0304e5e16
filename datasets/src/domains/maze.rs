//! A path through a grid with walls. The level is the side length of the grid.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::moves::{self, Instance, Notation, Puzzle, shortest_plan};
use super::{Row, build, characters};
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "maze",
    about: "a path from S to G through a grid with walls #; level = side length of the grid",
    answers: "letters U, D, L, R",
    build: |value| build::<Maze>("maze", value),
};

/// The share of the cells that are walls.
const WALLS: f64 = 0.3;
/// How often a grid without a path, or with too short a path, is drawn again. After that it has no walls.
const MOST_DRAWS: usize = 200;

/// The domain.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Maze {
    /// Whether only a shortest path is right, instead of any path.
    shortest: bool,
}

/// Row and column, from 0.
type Cell = (usize, usize);

/// The grid, `#` for a wall.
struct Rules {
    rows: Vec<Vec<u8>>,
}

impl Puzzle for Rules {
    type State = Cell;
    type Move = char;
    const SEPARATOR: &'static str = "";

    fn play(&self, cell: &mut Cell, step: &char) -> Result<(), String> {
        let (row, column) = *cell;
        let next = match step {
            'U' => row.checked_sub(1).map(|row| (row, column)),
            'D' => Some((row + 1, column)),
            'L' => column.checked_sub(1).map(|column| (row, column)),
            'R' => Some((row, column + 1)),
            _ => return Err("a step is U, D, L or R".to_owned()),
        };
        let at = next.and_then(|(row, column)| self.rows.get(row)?.get(column));
        match (next, at) {
            (Some(next), Some(at)) if *at != b'#' => *cell = next,
            (_, Some(_)) => return Err(format!("{step} from {} runs into a wall", self.show(cell))),
            _ => return Err(format!("{step} from {} leaves the grid", self.show(cell))),
        }
        Ok(())
    }

    fn moves(&self, cell: &Cell) -> Vec<char> {
        ['U', 'D', 'L', 'R'].into_iter().filter(|step| self.play(&mut cell.clone(), step).is_ok()).collect()
    }

    fn show(&self, (row, column): &Cell) -> String {
        format!("{}.{}", row + 1, column + 1)
    }

    fn write(&self, step: &char) -> String {
        step.to_string()
    }

    fn read(&self, text: &str) -> Option<char> {
        let mut letters = text.chars();
        let step = letters.next().filter(|letter| "UDLR".contains(*letter))?;
        letters.next().is_none().then_some(step)
    }
}

/// The cells with a given letter.
fn find(rows: &[Vec<u8>], letter: u8) -> Vec<Cell> {
    let cells = rows
        .iter()
        .enumerate()
        .flat_map(|(row, cells)| cells.iter().enumerate().map(move |(column, cell)| (row, column, *cell)));
    cells.filter(|(_, _, cell)| *cell == letter).map(|(row, column, _)| (row, column)).collect()
}

/// Reads the instance from a spec.
fn instance(spec: Option<&Value>) -> Result<Instance<Rules>, String> {
    #[derive(Deserialize)]
    struct Spec {
        rows: Vec<String>,
        minimum: Option<u64>,
        #[serde(default)]
        shortest: bool,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    let rows: Vec<Vec<u8>> = spec.rows.into_iter().map(String::into_bytes).collect();
    if !rows.concat().iter().all(|cell| b"#.SG".contains(cell)) {
        return Err("the spec's `rows` must be written in #, ., S and G".to_owned());
    }
    let (&[start], &[goal]) = (find(&rows, b'S').as_slice(), find(&rows, b'G').as_slice()) else {
        return Err("the spec's `rows` must have one S and one G".to_owned());
    };
    Ok(Instance { rules: Rules { rows }, start, goal, minimum: spec.minimum, is_strict: spec.shortest })
}

impl Domain for Maze {
    fn levels(&self) -> RangeInclusive<u32> {
        3..=12
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let side = level as usize;
        for draw in 0.. {
            let walls = if draw < MOST_DRAWS { WALLS } else { 0.0 };
            let mut cell = || if stream.chance(walls) { b'#' } else { b'.' };
            let mut rows: Vec<Vec<u8>> = (0..side).map(|_| (0..side).map(|_| cell()).collect()).collect();
            let mut place = || (stream.index(side), stream.index(side));
            let (start, goal) = (place(), place());
            rows[start.0][start.1] = b'S';
            rows[goal.0][goal.1] = b'G';
            let rules = Rules { rows };
            let plan = shortest_plan(&rules, &start, &goal).unwrap_or_default();
            if plan.len() < side {
                continue;
            }
            let rows: Vec<String> =
                rules.rows.iter().map(|row| row.iter().map(|cell| char::from(*cell)).collect()).collect();
            return Problem {
                prompt: format!("maze {}=", rows.join("/")),
                answer: Notation::Compact.write(&rules, &plan),
                spec: json!({ "rows": rows, "minimum": plan.len(), "shortest": self.shortest }),
            };
        }
        Problem { prompt: String::new(), answer: String::new(), spec: Value::Null }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        moves::judge(instance(item.spec), item)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        moves::work(instance(Some(&problem.spec)), &problem.answer, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("0123456789SG#./=;UDLR");
        symbols.extend(["maze ", "10", "11", "12", "no", "ok"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        moves::behaviours(instance(Some(&problem.spec)), thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::super::moves::checks;
    use super::*;

    fn small(shortest: bool) -> Problem {
        let spec = json!({ "rows": ["S.#", "#..", "G.."], "minimum": 4, "shortest": shortest });
        Problem { prompt: String::new(), answer: "RDDL".to_owned(), spec }
    }

    #[test]
    fn any_way_that_ends_at_the_goal_is_right() {
        let judge = |text: &str| checks::verdict(&Maze::default(), &small(false), text);
        for text in ["RDDL", "RDRDLL", "R D D L", "R,D,D,L", r#"["R","D","D","L"]"#] {
            assert!(judge(text).is_correct(), "{text}");
        }
        for (text, reason) in [
            ("D", "move 1 is illegal: D from 1.1 runs into a wall"),
            ("L", "move 1 is illegal: L from 1.1 leaves the grid"),
            ("RDDDL", "move 4 is illegal: D from 3.2 leaves the grid"),
            ("RDD", "all 3 moves are legal, but the goal is not reached"),
            ("RDDLR", "all 5 moves are legal, but the goal is not reached"),
            ("RDD;L", "not a list of moves: move 4 is not in the notation"),
            ("rddl", "not a list of moves: move 1 is not in the notation"),
        ] {
            assert_eq!(judge(text).reason, reason);
        }
    }

    #[test]
    fn only_a_shortest_way_is_right_where_that_is_asked() {
        let judge = |text: &str| checks::verdict(&Maze::default(), &small(true), text);
        assert!(judge("RDDL").is_correct());
        assert_eq!(judge("RDRDLL").reason, "solved in 6 moves, where 4 are enough");
        assert_eq!(judge("RDRDLL").score, 0.0);
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 3..=12);
        checks::sound(&ROW, &json!({ "shortest": true }), 5..=5);
        checks::hostile(&ROW, 6);
    }
}

//! Queens that do not attack each other, with some of them given. The level is the side length of the board.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::assignment::{self, Constraints};
use super::{Row, build, characters};
use crate::judging::unbracketed;
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "n_queens",
    about: "one queen per row, no queen attacks another, some are given; level = side length of the board",
    answers: "the column of each row's queen, from 1, separated by commas",
    build: |value| build::<NQueens>("n_queens", value),
};

/// The largest board that a spec may have.
const MOST_ROWS: usize = 64;

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NQueens {}

/// The column of the queen in each row, if given.
struct Board(Vec<Option<u8>>);

impl Constraints for Board {
    fn variables(&self) -> usize {
        self.0.len()
    }

    fn values(&self) -> u8 {
        self.0.len() as u8
    }

    fn given(&self, variable: usize) -> Option<u8> {
        self.0[variable]
    }

    fn allows(&self, values: &[Option<u8>], variable: usize) -> bool {
        let Some(column) = values[variable] else { return true };
        values.iter().enumerate().filter(|(row, _)| *row != variable).all(|(row, other)| {
            other.is_none_or(|other| {
                other != column && usize::from(other.abs_diff(column)) != row.abs_diff(variable)
            })
        })
    }

    fn name(&self, variable: usize) -> String {
        (variable + 1).to_string()
    }

    fn value_name(&self, value: u8) -> String {
        (value + 1).to_string()
    }
}

fn show(columns: &[Option<u8>]) -> String {
    let column = |column: &Option<u8>| column.map_or("_".to_owned(), |column| (column + 1).to_string());
    columns.iter().map(column).collect::<Vec<_>>().join(",")
}

fn read(board: &Board, text: &str) -> Result<Vec<u8>, String> {
    let rows = board.0.len();
    let column = |text: &str| {
        let text = text.trim();
        let is_number = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let column =
            text.parse::<u8>().ok().filter(|column| is_number && (1..=rows).contains(&usize::from(*column)));
        column.map(|column| column - 1)
    };
    // One more column than there are rows is enough to see that there are too many.
    let text = unbracketed(text);
    let separator = if text.contains(',') { ',' } else { ' ' };
    let columns: Option<Vec<u8>> = text.split(separator).take(rows + 1).map(column).collect();
    let columns = columns.filter(|columns| columns.len() == rows);
    columns.ok_or_else(|| format!("the answer must be {rows} columns from 1 to {rows}, separated by commas"))
}

fn write(_: &Board, values: &[u8]) -> String {
    show(&values.iter().copied().map(Some).collect::<Vec<_>>())
}

/// Reads the board from a spec.
fn board(spec: Option<&Value>) -> Result<Board, String> {
    #[derive(Deserialize)]
    struct Spec {
        /// Columns from 1, or null if no queen is given.
        given: Vec<Option<u8>>,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    let rows = spec.given.len();
    let is_on_board =
        |column: &Option<u8>| column.is_none_or(|column| (1..=rows).contains(&usize::from(column)));
    if rows == 0 || rows > MOST_ROWS || !spec.given.iter().all(is_on_board) {
        return Err(format!("the spec's `given` must be 1 to {MOST_ROWS} columns of the board or null"));
    }
    Ok(Board(spec.given.into_iter().map(|column| column.map(|column| column - 1)).collect()))
}

impl Domain for NQueens {
    fn levels(&self) -> RangeInclusive<u32> {
        4..=12
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let rows = level as usize;
        let empty = Board(vec![None; rows]);
        let full = assignment::solutions(&empty, 1, Some(stream)).pop().unwrap_or_default();
        let mut order: Vec<usize> = (0..rows).collect();
        stream.shuffle(&mut order);
        let mut board = empty;
        for row in &order[..1 + stream.index(rows / 2)] {
            board.0[*row] = full.get(*row).copied();
        }
        let given: Vec<Option<u8>> = board.0.iter().map(|column| column.map(|column| column + 1)).collect();
        Problem {
            prompt: format!("queens {}=", show(&board.0)),
            answer: write(&board, &full),
            spec: json!({ "given": given }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        assignment::judge(board(item.spec), item.completion, read)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        assignment::work(board(Some(&problem.spec)), read, write, &problem.answer, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("0123456789_,=+-;");
        symbols.extend(["queens ", "10", "11", "12", "no", "ok", "again"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        assignment::behaviours(board(Some(&problem.spec)), thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::super::moves::checks;
    use super::*;

    #[test]
    fn the_boards_have_as_many_solutions_as_known() {
        for (rows, count) in [(1, 1), (2, 0), (3, 0), (4, 2), (5, 10), (6, 4), (7, 40), (8, 92)] {
            assert_eq!(assignment::solutions(&Board(vec![None; rows]), 1000, None).len(), count, "{rows}");
        }
    }

    #[test]
    fn every_completion_is_right() {
        let spec = json!({ "given": [null, null, null, 3] });
        let problem = Problem { prompt: String::new(), answer: String::new(), spec };
        let score = |text: &str| checks::verdict(&NQueens {}, &problem, text).score;
        for text in ["2, 4, 1, 3", "2 4 1 3", "[2,4,1,3]", "[2, 4, 1, 3]"] {
            assert_eq!(score(text), 1.0, "{text}");
        }
        for text in [
            "[2,4,1,3",
            "2,4 1,3",
            "2413",
            "3,1,4,2",
            "2,4,1",
            "2,4,1,3,3",
            "2,4,1,3,",
            "1,2,3,3",
            "2,4,1,0",
            "2,4,1,+3",
            "2,4,1,٣",
        ] {
            assert_eq!(score(text), 0.0, "{text}");
        }
        let spec = json!({ "given": [2, null, null, null, null] });
        let problem = Problem { prompt: String::new(), answer: String::new(), spec };
        for text in ["2,4,1,3,5", "2,5,3,1,4"] {
            assert!(checks::verdict(&NQueens {}, &problem, text).is_correct());
        }
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 4..=12);
        checks::hostile(&ROW, 8);
    }
}

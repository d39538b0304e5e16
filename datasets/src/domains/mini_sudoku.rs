//! Sudoku on a grid of four by four cells. The level is the number of empty cells.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::assignment::{self, Constraints};
use super::{Row, build, characters};
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "mini_sudoku",
    about: "a four by four sudoku, rows joined by /; level = empty cells",
    answers: "the full grid, rows joined by /",
    build: |value| build::<MiniSudoku>("mini_sudoku", value),
};

/// How often a grid is drawn again if it cannot reach the level with a single solution.
const MOST_DRAWS: usize = 50;

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MiniSudoku {}

/// The 16 cells, row by row.
#[derive(Clone, Copy, Default)]
struct Grid([Option<u8>; 16]);

impl Constraints for Grid {
    fn variables(&self) -> usize {
        16
    }

    fn values(&self) -> u8 {
        4
    }

    fn given(&self, variable: usize) -> Option<u8> {
        self.0[variable]
    }

    fn allows(&self, values: &[Option<u8>], variable: usize) -> bool {
        let (row, column) = (variable / 4, variable % 4);
        (0..16).all(|other| {
            let (other_row, other_column) = (other / 4, other % 4);
            let is_box = (other_row / 2, other_column / 2) == (row / 2, column / 2);
            let is_peer = other_row == row || other_column == column || is_box;
            other == variable || !is_peer || values[other].is_none() || values[other] != values[variable]
        })
    }

    fn name(&self, variable: usize) -> String {
        format!("{}{}", variable / 4 + 1, variable % 4 + 1)
    }

    fn value_name(&self, value: u8) -> String {
        (value + 1).to_string()
    }
}

/// The text for the cells, with `_` for an empty one.
fn show(cells: &[Option<u8>]) -> String {
    let cell = |cell: &Option<u8>| cell.map_or('_', |value| char::from(b'1' + value));
    cells.chunks(4).map(|row| row.iter().map(cell).collect::<String>()).collect::<Vec<_>>().join("/")
}

/// Reads 16 cells. Rows may be separated by `/`, blanks or nothing.
fn cells(text: &str) -> Option<Vec<Option<u8>>> {
    let mut cells = Vec::with_capacity(16);
    for letter in text.chars().filter(|letter| *letter != '/' && !letter.is_ascii_whitespace()) {
        cells.push(match letter {
            '1'..='4' => Some(letter as u8 - b'1'),
            '_' => None,
            _ => return None,
        });
        if cells.len() > 16 {
            return None;
        }
    }
    (cells.len() == 16).then_some(cells)
}

fn read(_: &Grid, text: &str) -> Result<Vec<u8>, String> {
    let full = cells(text).and_then(|cells| cells.into_iter().collect::<Option<Vec<u8>>>());
    full.ok_or_else(|| "the answer must be 16 digits from 1 to 4".to_owned())
}

fn write(_: &Grid, values: &[u8]) -> String {
    show(&values.iter().copied().map(Some).collect::<Vec<_>>())
}

/// Reads the grid from a spec.
fn grid(spec: Option<&Value>) -> Result<Grid, String> {
    #[derive(Deserialize)]
    struct Spec {
        grid: String,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    let cells = cells(&spec.grid).and_then(|cells| cells.try_into().ok());
    cells.map(Grid).ok_or_else(|| "the spec's `grid` must be 16 cells of 1 to 4 or _".to_owned())
}

/// Empties up to `count` cells of a full grid in random order, as long as the solution stays unique.
fn emptied(full: &[u8], count: usize, stream: &mut Stream) -> Grid {
    let mut grid = Grid::default();
    full.iter().zip(&mut grid.0).for_each(|(value, cell)| *cell = Some(*value));
    let mut order: Vec<usize> = (0..16).collect();
    stream.shuffle(&mut order);
    let mut left = count;
    for cell in order {
        if left == 0 {
            break;
        }
        let value = grid.0[cell].take();
        if assignment::solutions(&grid, 2, None).len() == 1 {
            left -= 1;
        } else {
            grid.0[cell] = value;
        }
    }
    grid
}

impl Domain for MiniSudoku {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=11
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let count = level as usize;
        let mut full = Vec::new();
        let mut grid = Grid::default();
        for _ in 0..MOST_DRAWS {
            full = assignment::solutions(&Grid::default(), 1, Some(stream)).pop().unwrap_or_default();
            grid = emptied(&full, count, stream);
            if grid.0.iter().filter(|cell| cell.is_none()).count() == count {
                break;
            }
        }
        let shown = show(&grid.0);
        Problem {
            prompt: format!("sudoku {shown}="),
            answer: write(&grid, &full),
            spec: json!({ "grid": shown }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        assignment::judge(grid(item.spec), item.completion, read)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        assignment::work(grid(Some(&problem.spec)), read, write, &problem.answer, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("1234_/=+-;");
        symbols.extend(["sudoku ", "no", "ok", "again"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        assignment::behaviours(grid(Some(&problem.spec)), thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::super::moves::checks;
    use super::*;
    use crate::Split;

    #[test]
    fn there_are_288_grids() {
        assert_eq!(assignment::solutions(&Grid::default(), 1000, None).len(), 288);
    }

    #[test]
    fn the_level_is_the_number_of_empty_cells_and_the_solution_is_one() {
        for level in 1..=11 {
            for question in checks::questions(&ROW, &Value::Null, level, Split::Train, 10) {
                let grid = grid(Some(&question.problem.spec)).unwrap();
                assert_eq!(grid.0.iter().filter(|cell| cell.is_none()).count(), level as usize);
                assert_eq!(assignment::solutions(&grid, 2, None).len(), 1);
            }
        }
    }

    #[test]
    fn any_completion_that_keeps_the_givens_is_right() {
        let spec = json!({ "grid": "____/____/____/___1" });
        let problem = Problem { prompt: String::new(), answer: String::new(), spec };
        let score = |text: &str| checks::verdict(&MiniSudoku {}, &problem, text).score;
        for text in ["1234/3412/2143/4321", "1234341221434321", "4231\n1342\n3124\n2413"] {
            assert_eq!(score(text), if text.ends_with('1') { 1.0 } else { 0.0 }, "{text}");
        }
        for text in [
            "1234/3412/2143/4312",
            "1111/1111/1111/1111",
            "1234/3412/2143/432_",
            "1234/3412/2143/43211",
            "1234/3412/2143/432١",
        ] {
            assert_eq!(score(text), 0.0, "{text}");
        }
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 1..=11);
        checks::hostile(&ROW, 6);
    }
}

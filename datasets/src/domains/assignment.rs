//! Puzzles whose solution gives each variable a value: solving, checking, and worked solutions.
//!
//! Statements are joined by `;`. A statement is `name=value+` if the value agrees with everything so far, otherwise
//! `name=value-`. Setting a variable again undoes everything after its first setting. `no` undoes the last value,
//! `again` undoes all of them, and `ok` says that the puzzle is solved. Every statement is true or false.

use thinkling_verifiers::{Verdict, answer};

use crate::seed::Stream;
use crate::{Behaviours, Solution, SolutionKind};

/// A trace is read only up to this many statements, because a model may write without end.
const MOST_STATEMENTS: usize = 1 << 16;
/// A search starts again after this many statements, plus [`MOST_TRIES_PER_VARIABLE`] for each free variable.
const MOST_TRIES: usize = 16;
const MOST_TRIES_PER_VARIABLE: usize = 6;

/// The variables and the constraints on them. Variables and values are numbered from 0.
pub(super) trait Constraints {
    /// The number of variables.
    fn variables(&self) -> usize;
    /// The number of values. A variable can have any of them.
    fn values(&self) -> u8;
    /// The value of `variable` that the question gives, if any.
    fn given(&self, _variable: usize) -> Option<u8> {
        None
    }
    /// Whether `values` keep every constraint on `variable` that they can decide.
    fn allows(&self, values: &[Option<u8>], variable: usize) -> bool;
    /// The text for a variable.
    fn name(&self, variable: usize) -> String;
    /// The text for a value.
    fn value_name(&self, value: u8) -> String;
}

fn givens(puzzle: &impl Constraints) -> Vec<Option<u8>> {
    (0..puzzle.variables()).map(|variable| puzzle.given(variable)).collect()
}

/// Finds up to `limit` solutions. It always sets the variable with the fewest possible values next, and tries values in
/// order or, with a stream, at random.
pub(super) fn solutions(
    puzzle: &impl Constraints,
    limit: usize,
    mut stream: Option<&mut Stream>,
) -> Vec<Vec<u8>> {
    let mut values = givens(puzzle);
    let mut found = Vec::new();
    // Each entry is a variable and its values that are still untried.
    let mut open: Vec<(usize, Vec<u8>)> =
        narrowest(puzzle, &mut values, stream.as_deref_mut()).into_iter().collect();
    if open.is_empty() {
        found.extend(
            values.iter().copied().collect::<Option<Vec<u8>>>().filter(|all| check(puzzle, all).is_ok()),
        );
    }
    while let Some((variable, left)) = open.last_mut() {
        values[*variable] = left.pop();
        if values[*variable].is_none() {
            open.pop();
            continue;
        }
        match narrowest(puzzle, &mut values, stream.as_deref_mut()) {
            Some(next) => open.push(next),
            None => found.extend(values.iter().copied().collect::<Option<Vec<u8>>>()),
        }
        if found.len() >= limit {
            break;
        }
    }
    found
}

/// The free variable with the fewest allowed values, and these values in reverse order or shuffled. `None` if all
/// variables are set.
fn narrowest(
    puzzle: &impl Constraints,
    values: &mut [Option<u8>],
    stream: Option<&mut Stream>,
) -> Option<(usize, Vec<u8>)> {
    let mut best: Option<(usize, Vec<u8>)> = None;
    for variable in 0..values.len() {
        if values[variable].is_some() {
            continue;
        }
        let mut left = Vec::new();
        for value in (0..puzzle.values()).rev() {
            values[variable] = Some(value);
            if puzzle.allows(values, variable) {
                left.push(value);
            }
        }
        values[variable] = None;
        if best.as_ref().is_none_or(|(_, fewest)| left.len() < fewest.len()) {
            best = Some((variable, left));
        }
    }
    if let (Some((_, left)), Some(stream)) = (&mut best, stream) {
        stream.shuffle(left);
    }
    best
}

/// Checks whether a full assignment solves the puzzle. The error is the name of a variable that does not fit.
pub(super) fn check(puzzle: &impl Constraints, values: &[u8]) -> Result<(), String> {
    let all: Vec<Option<u8>> = values.iter().copied().map(Some).collect();
    for variable in 0..puzzle.variables() {
        let is_given = puzzle.given(variable).is_none_or(|given| all.get(variable) == Some(&Some(given)));
        if !is_given || !puzzle.allows(&all, variable) {
            return Err(puzzle.name(variable));
        }
    }
    Ok(())
}

/// Judges an answer. `read` turns it into a full assignment or says why that is not possible.
pub(super) fn judge<P: Constraints>(
    puzzle: Result<P, String>,
    completion: &str,
    read: impl Fn(&P, &str) -> Result<Vec<u8>, String>,
) -> Verdict {
    let puzzle = match puzzle {
        Ok(puzzle) => puzzle,
        Err(reason) => return Verdict::error(reason),
    };
    let text = match answer::given(completion) {
        Ok(text) => text,
        Err(reason) => return Verdict::malformed(reason),
    };
    match read(&puzzle, text) {
        Err(reason) => Verdict::malformed(reason),
        Ok(values) => match check(&puzzle, &values) {
            Ok(()) => Verdict::correct(text, "all conditions hold"),
            Err(name) => Verdict::wrong(text, format!("a condition on {name} does not hold")),
        },
    }
}

/// Writes an assignment as an answer: `name=value`, joined by commas.
pub(super) fn write_named(puzzle: &impl Constraints, values: &[u8]) -> String {
    let pairs = values.iter().enumerate();
    pairs
        .map(|(variable, value)| format!("{}={}", puzzle.name(variable), puzzle.value_name(*value)))
        .collect::<Vec<_>>()
        .join(",")
}

/// Reads `name=value` pairs in any order. Each variable must occur once.
pub(super) fn read_named(puzzle: &impl Constraints, text: &str) -> Result<Vec<u8>, String> {
    let mut values = vec![None; puzzle.variables()];
    for pair in text.split([',', '\n']) {
        let (variable, value) = read_pair(puzzle, pair.trim())
            .ok_or("the answer must be a list of name=value, separated by commas")?;
        if values[variable].replace(value).is_some() {
            return Err(format!("{} is named twice", puzzle.name(variable)));
        }
    }
    let all = values.iter().copied().collect::<Option<Vec<u8>>>();
    all.ok_or_else(|| "the answer does not give a value for everything".to_owned())
}

fn read_pair(puzzle: &impl Constraints, text: &str) -> Option<(usize, u8)> {
    let (name, value) =
        text.split_once(['=', ':']).map(|(name, value)| (name.trim_end(), value.trim_start()))?;
    let variable = (0..puzzle.variables()).find(|variable| puzzle.name(*variable) == name)?;
    let value = (0..puzzle.values()).find(|candidate| puzzle.value_name(*candidate) == value)?;
    Some((variable, value))
}

/// The worked solution of a kind. `write` turns the final assignment into an answer.
pub(super) fn work<P: Constraints>(
    puzzle: Result<P, String>,
    read: impl Fn(&P, &str) -> Result<Vec<u8>, String>,
    write: impl Fn(&P, &[u8]) -> String,
    right: &str,
    kind: SolutionKind,
    stream: &mut Stream,
) -> Option<Solution> {
    let puzzle = puzzle.ok()?;
    let solution = read(&puzzle, right).ok()?;
    let (trace, found) = match kind {
        SolutionKind::Direct => (Vec::new(), solution),
        SolutionKind::Long => (straight(&puzzle, &solution), solution),
        SolutionKind::Search => search(&puzzle, &solution),
        SolutionKind::Flawed => (flawed(&puzzle, &solution, stream), solution),
    };
    Some(Solution::sure(trace.join(";"), write(&puzzle, &found)))
}

fn statement(puzzle: &impl Constraints, variable: usize, value: u8, is_kept: bool) -> String {
    format!("{}={}{}", puzzle.name(variable), puzzle.value_name(value), if is_kept { '+' } else { '-' })
}

fn free(puzzle: &impl Constraints) -> Vec<usize> {
    (0..puzzle.variables()).filter(|variable| puzzle.given(*variable).is_none()).collect()
}

/// Every variable with its right value, in order.
fn straight(puzzle: &impl Constraints, solution: &[u8]) -> Vec<String> {
    free(puzzle).into_iter().map(|variable| statement(puzzle, variable, solution[variable], true)).collect()
}

/// A depth-first search in the order of the variables and values. If it takes too long, it starts again and uses the
/// right answer.
fn search(puzzle: &impl Constraints, solution: &[u8]) -> (Vec<String>, Vec<u8>) {
    let order = free(puzzle);
    let mut values = givens(puzzle);
    let mut tries = vec![0; order.len()];
    let mut trace = Vec::new();
    let mut depth = 0;
    while depth < order.len() && trace.len() < MOST_TRIES + MOST_TRIES_PER_VARIABLE * order.len() {
        let variable = order[depth];
        if tries[depth] == puzzle.values() {
            tries[depth] = 0;
            values[variable] = None;
            // A solution exists, so the first variable always has another value to try.
            depth = depth.saturating_sub(1);
            values[order[depth]] = None;
            continue;
        }
        let value = tries[depth];
        tries[depth] += 1;
        values[variable] = Some(value);
        let is_kept = puzzle.allows(&values, variable);
        trace.push(statement(puzzle, variable, value, is_kept));
        if is_kept {
            depth += 1;
        } else {
            values[variable] = None;
        }
    }
    let found = values.into_iter().collect::<Option<Vec<u8>>>().filter(|_| depth == order.len());
    let found = found.unwrap_or_else(|| {
        trace.push("again".to_owned());
        trace.extend(straight(puzzle, solution));
        solution.to_vec()
    });
    trace.push("ok".to_owned());
    (trace, found)
}

/// The straight solution with one false claim, which is undone and corrected.
fn flawed(puzzle: &impl Constraints, solution: &[u8], stream: &mut Stream) -> Vec<String> {
    let order = free(puzzle);
    let mut trace = straight(puzzle, solution);
    let mut values = givens(puzzle);
    let mut broken = Vec::new();
    for (at, &variable) in order.iter().enumerate() {
        for value in 0..puzzle.values() {
            values[variable] = Some(value);
            if !puzzle.allows(&values, variable) {
                broken.push((at, statement(puzzle, variable, value, true)));
            }
        }
        values[variable] = Some(solution[variable]);
    }
    // If no wrong value breaks a constraint immediately, a right value is called wrong.
    if broken.is_empty() {
        let at = stream.index(order.len());
        broken.extend(
            order.get(at).map(|variable| (at, statement(puzzle, *variable, solution[*variable], false))),
        );
    }
    if !broken.is_empty() {
        let (at, claim) = broken.swap_remove(stream.index(broken.len()));
        trace.splice(at..at, [claim, "no".to_owned()]);
    }
    trace.push("ok".to_owned());
    trace
}

/// Counts what a trace shows. False steps are `+`, `-` and `ok` where they do not hold.
pub(super) fn behaviours(puzzle: Result<impl Constraints, String>, thinking: &str) -> Behaviours {
    let mut seen = Behaviours::default();
    let Ok(puzzle) = puzzle else { return seen };
    let mut values = givens(&puzzle);
    let mut last = None;
    for text in thinking.split(';').filter(|text| !text.is_empty()).take(MOST_STATEMENTS) {
        match text {
            "no" => {
                seen.backtracks += 1;
                if let Some(variable) = last.take() {
                    values[variable] = puzzle.given(variable);
                }
                continue;
            }
            "again" => {
                seen.restarts += 1;
                values = givens(&puzzle);
                continue;
            }
            _ => seen.steps += 1,
        }
        if text == "ok" {
            seen.verifications += 1;
            let all = values.iter().copied().collect::<Option<Vec<u8>>>();
            seen.false_steps += u32::from(all.is_none_or(|all| check(&puzzle, &all).is_err()));
            continue;
        }
        let claim = text
            .strip_suffix('+')
            .map(|pair| (pair, true))
            .or(text.strip_suffix('-').map(|pair| (pair, false)));
        let Some((is_claimed, (variable, value))) =
            claim.and_then(|(pair, is_claimed)| Some((is_claimed, read_pair(&puzzle, pair)?)))
        else {
            seen.false_steps += 1;
            continue;
        };
        // A new value for a variable drops the old one and everything after it.
        seen.backtracks += u32::from(values[variable].is_some());
        for (later, value) in values.iter_mut().enumerate().skip(variable) {
            *value = puzzle.given(later);
        }
        values[variable] = Some(value);
        let is_given = puzzle.given(variable).is_some();
        let is_kept = puzzle.allows(&values, variable);
        seen.false_steps += u32::from(is_claimed != is_kept || is_given);
        if !is_claimed {
            seen.backtracks += 1;
            values[variable] = None;
        }
        last = Some(variable);
    }
    seen
}

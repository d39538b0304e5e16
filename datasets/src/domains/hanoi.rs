//! The Tower of Hanoi on three pegs. The level is the number of disks.
//!
//! The famous instance, which moves everything from peg 0 to peg 2, belongs to the test split.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::moves::{self, Instance, Notation, Posing, Puzzle};
use super::{Row, build, characters};
use crate::seed::Stream;
use crate::split::Split;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

mod plan;

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "hanoi",
    about: "the Tower of Hanoi on pegs 0, 1, 2; level = disks",
    answers: "list of [disk, from, to]",
    build: |value| build::<Hanoi>("hanoi", value),
};

/// With more disks an answer would not fit into any context.
const MOST_DISKS: u32 = 15;

/// The domain.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hanoi {
    /// Which instances are posed.
    instance: Posing,
    /// How the moves are written. The compact form is `102` for disk 1 from peg 0 to peg 2.
    notation: Notation,
    /// The content of the thinking in worked solutions.
    trace: Trace,
}

/// The content of the thinking in worked solutions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Trace {
    /// Each move and the position after it: `101=01;202=21;112=22`.
    #[default]
    Moves,
    /// The recursion before each move: `0201>101;0211>202;2=12>112;2=2=`.
    Plan,
}

/// The peg of each disk, smallest first.
type Pegs = Vec<u8>;
/// Disk (1 is the smallest), from, to.
type Move = (i64, i64, i64);

struct Rules;

impl Puzzle for Rules {
    type State = Pegs;
    type Move = Move;

    fn play(&self, pegs: &mut Pegs, &(disk, from, to): &Move) -> Result<(), String> {
        if !(1..=pegs.len() as i64).contains(&disk) {
            return Err(format!("there is no disk {disk}"));
        }
        let peg = |number: i64| u8::try_from(number).ok().filter(|peg| *peg < 3);
        let (Some(from), Some(to)) = (peg(from), peg(to)) else {
            return Err(format!("there is no move from peg {from} to peg {to}"));
        };
        let disk = disk as usize - 1;
        if pegs[disk] != from {
            return Err(format!("disk {} is not on peg {from}", disk + 1));
        }
        if from == to {
            return Err(format!("disk {} stays where it is", disk + 1));
        }
        if let Some(smaller) = pegs[..disk].iter().position(|peg| *peg == from) {
            return Err(format!("disk {} lies on disk {}", smaller + 1, disk + 1));
        }
        if let Some(smaller) = pegs[..disk].iter().position(|peg| *peg == to) {
            return Err(format!("disk {} would lie on the smaller disk {}", disk + 1, smaller + 1));
        }
        pegs[disk] = to;
        Ok(())
    }

    fn moves(&self, pegs: &Pegs) -> Vec<Move> {
        let top = |peg| pegs.iter().position(|at| *at == peg).unwrap_or(pegs.len());
        let mut moves = Vec::with_capacity(3);
        for from in 0..3 {
            for to in 0..3 {
                if top(from) < top(to) {
                    moves.push((top(from) as i64 + 1, i64::from(from), i64::from(to)));
                }
            }
        }
        moves
    }

    fn show(&self, pegs: &Pegs) -> String {
        pegs.iter().rev().map(|peg| char::from(b'0' + peg)).collect()
    }

    fn write(&self, (disk, from, to): &Move) -> String {
        format!("{disk}{from}{to}")
    }

    fn read(&self, text: &str) -> Option<Move> {
        if !(3..=6).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (disk, pegs) = text.split_at(text.len() - 2);
        let pegs: i64 = pegs.parse().ok()?;
        Some((disk.parse().ok()?, pegs / 10, pegs % 10))
    }
}

/// Appends the fewest moves that bring the disks 1 to `count` to `peg`.
fn gather(pegs: &mut Pegs, count: usize, peg: u8, plan: &mut Vec<Move>) {
    // The largest disk that is on another peg moves once. All smaller disks gather before and after it.
    let Some(disk) = (0..count).rev().find(|disk| pegs[*disk] != peg) else { return };
    let from = pegs[disk];
    gather(pegs, disk, 3 - from - peg, plan);
    plan.push((disk as i64 + 1, i64::from(from), i64::from(peg)));
    pegs[disk] = peg;
    gather(pegs, disk, peg, plan);
}

/// The number of moves that a gathering takes.
fn gathering(pegs: &[u8], mut peg: u8) -> u64 {
    let mut moves = 0;
    for (disk, at) in pegs.iter().enumerate().rev() {
        if *at != peg {
            moves += 1 << disk;
            peg = 3 - at - peg;
        }
    }
    moves
}

/// A shortest list of moves between two legal positions. The largest disk that must move moves once or twice.
fn shortest(start: &Pegs, goal: &Pegs) -> Vec<Move> {
    let Some(disk) = (0..start.len()).rev().find(|disk| start[*disk] != goal[*disk]) else {
        return Vec::new();
    };
    let (from, to) = (start[disk], goal[disk]);
    let other = 3 - from - to;
    let (before, after) = (&start[..disk], &goal[..disk]);
    let once = gathering(before, other) + gathering(after, other);
    let twice = gathering(before, to) + (1 << disk) + gathering(after, from);
    let stops: &[(u8, u8)] = if once <= twice { &[(from, to)] } else { &[(from, other), (other, to)] };
    let mut plan = Vec::new();
    let mut pegs = start.clone();
    for &(from, to) in stops {
        gather(&mut pegs, disk, 3 - from - to, &mut plan);
        plan.push((disk as i64 + 1, i64::from(from), i64::from(to)));
        pegs[disk] = to;
    }
    // Moves can be undone, so the way out of the gathered position is a gathering in reverse.
    let mut back = Vec::new();
    let (last, at) = stops[stops.len() - 1];
    gather(&mut goal.clone(), disk, 3 - last - at, &mut back);
    plan.extend(back.into_iter().rev().map(|(disk, from, to)| (disk, to, from)));
    plan
}

/// The disks on each peg, from the bottom up, as stored in a spec.
fn stacks(pegs: &Pegs) -> Vec<Vec<usize>> {
    (0..3)
        .map(|peg| (0..pegs.len()).rev().filter(|disk| pegs[*disk] == peg).map(|disk| disk + 1).collect())
        .collect()
}

/// The peg of each disk, from the stacks of a spec.
fn pegs_of(stacks: &[Vec<usize>]) -> Option<Pegs> {
    let mut pegs = vec![u8::MAX; stacks.iter().map(Vec::len).sum()];
    for (peg, stack) in stacks.iter().enumerate() {
        for disk in stack {
            *pegs.get_mut(disk.checked_sub(1)?)? = peg as u8;
        }
    }
    let is_legal = stacks.len() == 3
        && !pegs.contains(&u8::MAX)
        && stacks.iter().all(|stack| stack.windows(2).all(|pair| pair[0] > pair[1]));
    is_legal.then_some(pegs)
}

/// Reads the instance from a spec.
fn instance(spec: Option<&Value>) -> Result<Instance<Rules>, String> {
    #[derive(Deserialize)]
    struct Spec {
        start: Vec<Vec<usize>>,
        goal: Vec<Vec<usize>>,
        minimum: Option<u64>,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    let (Some(start), Some(goal)) = (pegs_of(&spec.start), pegs_of(&spec.goal)) else {
        return Err("the spec's `start` and `goal` must be three stacks of disks, largest first".to_owned());
    };
    if start.len() != goal.len() {
        return Err("the spec's `start` and `goal` differ in their disks".to_owned());
    }
    Ok(Instance { rules: Rules, start, goal, minimum: spec.minimum, is_strict: false })
}

impl Hanoi {
    fn problem(&self, start: &Pegs, goal: &Pegs) -> Problem {
        let plan = shortest(start, goal);
        Problem {
            prompt: format!("hanoi {}>{}=", Rules.show(start), Rules.show(goal)),
            answer: self.notation.write(&Rules, &plan),
            spec: json!({ "start": stacks(start), "goal": stacks(goal), "minimum": plan.len() }),
        }
    }
}

/// Whether this is the famous instance of its level.
fn is_famous(prompt: &str) -> bool {
    prompt
        .strip_prefix("hanoi ")
        .and_then(|rest| rest.strip_suffix('='))
        .and_then(|rest| rest.split_once('>'))
        .is_some_and(|(start, goal)| {
            start.bytes().all(|peg| peg == b'0') && goal.bytes().all(|peg| peg == b'2')
        })
}

impl Domain for Hanoi {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=MOST_DISKS
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let disks = level as usize;
        let mut position = || (0..disks).map(|_| stream.below(3) as u8).collect::<Pegs>();
        let (start, mut goal) = (position(), position());
        if start == goal {
            goal[0] = (goal[0] + 1) % 3;
        }
        let problem = self.problem(&start, &goal);
        if self.instance == Posing::Standard && self.split(&problem) == Split::Test {
            return self.problem(&vec![0; disks], &vec![2; disks]);
        }
        problem
    }

    fn split(&self, problem: &Problem) -> Split {
        if is_famous(&problem.prompt) { Split::Test } else { Split::of(&problem.prompt) }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        moves::judge(instance(item.spec), item)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let instance = instance(Some(&problem.spec));
        match self.trace {
            Trace::Moves => moves::work(instance, &problem.answer, kind, stream),
            Trace::Plan => plan::work(instance, self.notation, kind, stream),
        }
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("0123456789[],>=; ");
        symbols.extend(["hanoi ", "[[", "],[", "]]", "no", "ok"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        let instance = instance(Some(&problem.spec));
        match self.trace {
            Trace::Moves => moves::behaviours(instance, thinking),
            Trace::Plan => plan::behaviours(instance, thinking),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::moves::{checks, shortest_plan};
    use super::*;

    fn famous(disks: usize) -> Problem {
        Hanoi::default().problem(&vec![0; disks], &vec![2; disks])
    }

    #[test]
    fn the_fewest_moves_are_a_power_of_two_less_one() {
        for disks in 1..=8usize {
            let plan = shortest_plan(&Rules, &vec![0; disks], &vec![2; disks]).unwrap();
            assert_eq!(plan.len(), (1 << disks) - 1);
            assert_eq!(famous(disks).spec["minimum"], plan.len());
        }
    }

    #[test]
    fn any_position_to_any_other_is_shortest() {
        let all: Vec<Pegs> =
            (0..81u32).map(|code| (0..4).map(|disk| (code / 3u32.pow(disk) % 3) as u8).collect()).collect();
        for start in &all {
            for goal in &all {
                let found = shortest(start, goal);
                assert_eq!(found.len(), shortest_plan(&Rules, start, goal).unwrap().len());
                let mut pegs = start.clone();
                found.iter().for_each(|step| Rules.play(&mut pegs, step).unwrap());
                assert_eq!(&pegs, goal);
            }
        }
    }

    #[test]
    fn the_first_illegal_move_is_named() {
        let domain = Hanoi::default();
        let judge = |text: &str| checks::verdict(&domain, &famous(3), text);
        for (text, reason) in [
            ("[[1,0,2],[2,0,2]]", "move 2 is illegal: disk 2 would lie on the smaller disk 1"),
            ("[[2,0,1]]", "move 1 is illegal: disk 1 lies on disk 2"),
            ("[[1,1,2]]", "move 1 is illegal: disk 1 is not on peg 1"),
            ("[[1,0,2],[9,0,1]]", "move 2 is illegal: there is no disk 9"),
            ("[[1,0,3]]", "move 1 is illegal: there is no move from peg 0 to peg 3"),
            ("[[1,0,-1]]", "move 1 is illegal: there is no move from peg 0 to peg -1"),
            ("[[1,0,0]]", "move 1 is illegal: disk 1 stays where it is"),
            ("[[1,0,2]]", "all 1 moves are legal, but the goal is not reached"),
            ("[]", "all 0 moves are legal, but the goal is not reached"),
        ] {
            assert_eq!(judge(text).reason, reason);
        }
        assert_eq!(judge("[[1,0]]").outcome, thinkling_verifiers::Outcome::Malformed);
        assert_eq!(judge("[[1,0,2.5]]").outcome, thinkling_verifiers::Outcome::Malformed);
    }

    #[test]
    fn a_longer_solution_and_the_short_notation_are_right() {
        let domain = Hanoi::default();
        let problem = famous(2);
        let long = checks::verdict(&domain, &problem, "[ [1,0,2], [1,2,1], [2,0,2], [1,1,2] ]");
        assert_eq!((long.score, long.reason.as_str()), (1.0, "solved in 4 moves, 1.33 times the fewest (3)"));
        assert!(checks::verdict(&domain, &problem, "101 202 112").is_correct());
        assert!(!checks::verdict(&domain, &problem, "101 202 112 112").is_correct());
        assert_eq!(Rules.read(&Rules.write(&(12, 0, 2))), Some((12, 0, 2)));
    }

    #[test]
    fn the_famous_instance_is_the_test_split() {
        for level in 1..=MOST_DISKS {
            for question in checks::questions(&ROW, &Value::Null, level, Split::Test, 2) {
                assert_eq!(question.problem.spec, famous(level as usize).spec);
            }
        }
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 1..=7);
        checks::sound(&ROW, &json!({ "instance": "random", "notation": "compact" }), 2..=6);
        checks::sound(&ROW, &json!({ "trace": "plan" }), 1..=7);
        checks::sound(&ROW, &json!({ "instance": "random", "notation": "compact", "trace": "plan" }), 2..=6);
        checks::hostile(&ROW, 5);
    }

    #[test]
    fn a_broken_spec_is_an_error() {
        for spec in [json!({}), json!({ "start": [[1, 2], [], []], "goal": [[], [], [2, 1]] }), json!([1])] {
            let item = Item { completion: "<answer>[]</answer>", answer: None, spec: Some(&spec) };
            assert_eq!(Hanoi::default().judge(&item).outcome, thinkling_verifiers::Outcome::Error);
        }
    }
}

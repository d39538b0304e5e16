//! The recursion as a trace: before each move it writes where every disk is and where it must be.
//!
//! A line lists the disks from the largest to the smallest. Each disk is written as its peg and a mark: `=` as long as
//! it and all larger disks are at their goals, otherwise the peg where it must be. The first disk that is not at its
//! goal must move there, so all smaller disks must be on the third peg. Any of them that is not there makes the disks
//! smaller than itself clear the way in the same manner. The smallest disk that is not where it must be moves:
//! `0201>101`. A line with only `=` says that the goal is reached. Every mark follows from the peg and the goal of its
//! disk, and from the disk before it.

use super::{Move, Pegs, Rules};
use crate::domains::moves::{Instance, MOST_STATEMENTS, Notation, Puzzle, another_move};
use crate::seed::Stream;
use crate::{Behaviours, Solution, SolutionKind};

/// The text for the disks, and the next move, which is `None` at the goal.
fn look(pegs: &Pegs, goal: &Pegs) -> (String, Option<Move>) {
    let mut disks = String::with_capacity(2 * pegs.len());
    let mut step = None;
    // Where the smaller disks must be once a larger disk must move.
    let mut gathering = None;
    for (disk, (&at, &goal)) in pegs.iter().zip(goal).enumerate().rev() {
        let wanted = gathering.or((at != goal).then_some(goal));
        disks.push(char::from(b'0' + at));
        disks.push(wanted.map_or('=', |peg| char::from(b'0' + peg)));
        let Some(peg) = wanted else { continue };
        gathering = Some(peg);
        if at != peg {
            step = Some((disk as i64 + 1, i64::from(at), i64::from(peg)));
            gathering = Some(3 - at - peg);
        }
    }
    (disks, step)
}

/// A line with this move.
fn line(disks: &str, step: &Move) -> String {
    format!("{disks}>{}", Rules.write(step))
}

/// A worked solution in which the largest disk that must move moves once, even if that is not the shortest way. Nothing
/// is searched, so there is no solution of kind search.
pub(super) fn work(
    instance: Result<Instance<Rules>, String>,
    notation: Notation,
    kind: SolutionKind,
    stream: &mut Stream,
) -> Option<Solution> {
    let Instance { start: mut pegs, goal, .. } = instance.ok()?;
    let mut trace = Vec::new();
    let mut positions = Vec::new();
    let mut moves = Vec::new();
    while let (disks, Some(step)) = look(&pegs, &goal) {
        trace.push(line(&disks, &step));
        positions.push(pegs.clone());
        Rules.play(&mut pegs, &step).ok()?;
        moves.push(step);
    }
    trace.push(look(&pegs, &goal).0);
    match kind {
        SolutionKind::Direct => trace.clear(),
        SolutionKind::Long => {}
        SolutionKind::Search => return None,
        SolutionKind::Flawed => {
            let at = stream.index(moves.len());
            let other = another_move(&Rules, &positions[at], &moves[at], stream)?;
            let (disks, _) = look(&positions[at], &goal);
            trace.splice(at..at, [line(&disks, &other), "no".to_owned()]);
        }
    }
    Some(Solution::sure(trace.join(";"), notation.write(&Rules, &moves)))
}

/// Counts what a plan shows. A line is true only if its disks and its move follow from the rule and from the position
/// after the moves before it. A line that ends with `=` says that the goal is reached.
pub(super) fn behaviours(instance: Result<Instance<Rules>, String>, thinking: &str) -> Behaviours {
    let mut seen = Behaviours::default();
    let Ok(Instance { start, goal, .. }) = instance else { return seen };
    let mut positions = vec![start];
    for text in thinking.split(';').filter(|text| !text.is_empty()).take(MOST_STATEMENTS) {
        // The stack is never empty, because the first position is not popped.
        let Some(pegs) = positions.last() else { break };
        if text == "no" {
            seen.backtracks += 1;
            if positions.len() > 1 {
                positions.pop();
            }
            continue;
        }
        let (disks, step) = look(pegs, &goal);
        let is_false = text != step.map_or_else(|| disks.clone(), |step| line(&disks, &step));
        seen.steps += 1;
        seen.false_steps += u32::from(is_false);
        if text.ends_with('=') {
            seen.verifications += 1;
            seen.yeses += 1;
            seen.false_yeses += u32::from(is_false);
            continue;
        }
        let mut pegs = pegs.clone();
        if let Some(step) = text.split_once('>').and_then(|(_, step)| Rules.read(step)) {
            // An illegal move leaves the disks where they are.
            let _ = Rules.play(&mut pegs, &step);
        }
        positions.push(pegs);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(start: &[u8], goal: &[u8]) -> Result<Instance<Rules>, String> {
        let smallest_first = |pegs: &[u8]| pegs.iter().rev().copied().collect::<Pegs>();
        let (start, goal) = (smallest_first(start), smallest_first(goal));
        Ok(Instance { rules: Rules, start, goal, minimum: None, is_strict: false })
    }

    fn solution(start: &[u8], goal: &[u8], kind: SolutionKind) -> Option<Solution> {
        work(instance(start, goal), Notation::Compact, kind, &mut Stream::at("plan", 0, &[]))
    }

    #[test]
    fn the_recursion_is_written_move_by_move() {
        let cases: [(&[u8], &[u8], &str, &str); 3] = [
            (&[0, 0], &[2, 2], "0201>101;0211>202;2=12>112;2=2=", "101 202 112"),
            (&[1, 0, 2], &[1, 2, 2], "1=0221>121;1=0211>202;1=2=12>112;1=2=2=", "121 202 112"),
            (&[2], &[0], "20>120;0=", "120"),
        ];
        for (start, goal, thinking, answer) in cases {
            let long = solution(start, goal, SolutionKind::Long).unwrap();
            assert_eq!((long.thinking.as_str(), long.answer.as_str()), (thinking, answer));
            let direct = solution(start, goal, SolutionKind::Direct).unwrap();
            assert_eq!((direct.thinking.as_str(), direct.answer.as_str()), ("", answer));
            assert_eq!(solution(start, goal, SolutionKind::Search), None);
        }
    }

    #[test]
    fn it_leads_from_any_position_to_any_other_with_one_move_of_the_largest_disk() {
        let all: Vec<Pegs> =
            (0..81u32).map(|code| (0..4).map(|disk| (code / 3u32.pow(disk) % 3) as u8).collect()).collect();
        for (start, goal) in all.iter().flat_map(|start| all.iter().map(move |goal| (start, goal))) {
            let mut pegs = start.clone();
            let mut moves = Vec::new();
            while let (_, Some(step)) = look(&pegs, goal) {
                Rules.play(&mut pegs, &step).unwrap();
                moves.push(step);
                assert!(moves.len() < 16, "{start:?} {goal:?}");
            }
            assert_eq!(&pegs, goal);
            let largest = moves.iter().map(|step| step.0).max();
            let times = moves.iter().filter(|step| Some(step.0) == largest).count();
            assert_eq!(times, usize::from(start != goal), "{start:?} {goal:?}");
        }
    }

    #[test]
    fn lines_are_compared_with_the_position_after_the_moves() {
        let seen = |thinking: &str| {
            let seen = behaviours(instance(&[0, 0], &[2, 2]), thinking);
            [seen.steps, seen.false_steps, seen.backtracks, seen.yeses, seen.false_yeses]
        };
        assert_eq!(seen("0201>101;0211>202;2=12>112;2=2="), [4, 0, 0, 1, 0]);
        assert_eq!(seen("0201>101;0211>202"), [2, 0, 0, 0, 0]);
        for one_is_false in [
            "0202>101;0211>202;2=12>112;2=2=",
            "0201>101;0201>202;2=12>112;2=2=",
            "0201>101;0211>202;2212>112;2=2=",
            "0211>101;0211>202;2=12>112;2=2=",
        ] {
            assert_eq!(seen(one_is_false), [4, 1, 0, 1, 0], "{one_is_false}");
        }
        // After a legal move that was not planned, the following lines are compared with the position it led to.
        assert_eq!(seen("0201>102;0221>121;0211>202;2=12>112;2=2="), [5, 1, 0, 1, 0]);
        assert_eq!(seen("0201>102;no;0201>101;0211>202"), [3, 1, 1, 0, 0]);
        // An illegal move changes nothing.
        assert_eq!(seen("0201>202;0201>101"), [2, 1, 0, 0, 0]);
        // The trace claims the goal before it is reached.
        assert_eq!(seen("0201>101;2=2="), [2, 1, 0, 1, 1]);
        for nothing in ["0", "0201", "0201>", "0201>1", "no0201>101", "0201>101 ", "é"] {
            assert_eq!(seen(nothing), [1, 1, 0, 0, 0], "{nothing}");
        }
        assert_eq!(seen(";;no"), [0, 0, 1, 0, 0]);
    }
}

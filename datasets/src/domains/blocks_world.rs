//! Blocks World with three stacks. The level is the number of blocks.
//!
//! The famous instances belong to the test split: two stacks are reversed and interleaved on one stack.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::moves::{self, Instance, Notation, Posing, Puzzle, shortest_plan};
use super::{Row, build, characters};
use crate::seed::Stream;
use crate::split::Split;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "blocks_world",
    about: "lettered blocks are restacked one by one on stacks 0, 1, 2; level = blocks",
    answers: "list of [block, from, to]",
    build: |value| build::<BlocksWorld>("blocks_world", value),
};

/// The letters of the blocks, in the order of the famous instance.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Up to this many blocks, any start and goal are searched. Above, only the letters of the famous instance are
/// shuffled.
const MOST_SEARCHED: u32 = 6;

/// The domain.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlocksWorld {
    /// Which instances are posed.
    instance: Posing,
    /// How the moves are written. The compact form is `A02` for block A from stack 0 to stack 2.
    notation: Notation,
    /// The stack on which the famous instance must be built: 0, which must be cleared first, or 2, which is empty.
    #[serde(deserialize_with = "goal_stack")]
    goal_stack: u8,
}

/// Reads a goal stack.
fn goal_stack<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        stack @ (0 | 2) => Ok(stack),
        other => Err(serde::de::Error::custom(format!("`goal_stack` is {other}; it must be 0 or 2"))),
    }
}

/// The blocks of each stack, from the bottom up.
type Stacks = [Vec<u8>; 3];
/// Block, from, to.
type Move = (char, i64, i64);

struct Rules;

impl Puzzle for Rules {
    type State = Stacks;
    type Move = Move;

    fn play(&self, stacks: &mut Stacks, &(block, from, to): &Move) -> Result<(), String> {
        let stack = |number: i64| usize::try_from(number).ok().filter(|stack| *stack < 3);
        let (Some(start), Some(end)) = (stack(from), stack(to)) else {
            return Err(format!("there is no move from stack {from} to stack {to}"));
        };
        match stacks[start].last() {
            Some(top) if char::from(*top) == block && start != end => {}
            Some(top) if char::from(*top) == block => return Err("the block stays where it is".to_owned()),
            Some(top) => return Err(format!("the top of stack {from} is {}", char::from(*top))),
            None => return Err(format!("stack {from} is empty")),
        }
        if let Some(moved) = stacks[start].pop() {
            stacks[end].push(moved);
        }
        Ok(())
    }

    fn moves(&self, stacks: &Stacks) -> Vec<Move> {
        let mut moves = Vec::with_capacity(6);
        for (from, stack) in stacks.iter().enumerate() {
            let Some(top) = stack.last() else { continue };
            let targets = (0..3).filter(|to| *to != from);
            moves.extend(targets.map(|to| (char::from(*top), from as i64, to as i64)));
        }
        moves
    }

    /// Each block that is not yet in its final place, with final blocks below it, must move.
    fn at_least(&self, stacks: &Stacks, goal: &Stacks) -> usize {
        let settled =
            |(stack, goal): (&Vec<u8>, &Vec<u8>)| stack.iter().zip(goal).take_while(|(a, b)| a == b).count();
        stacks.iter().map(Vec::len).sum::<usize>() - stacks.iter().zip(goal).map(settled).sum::<usize>()
    }

    fn show(&self, stacks: &Stacks) -> String {
        stacks.each_ref().map(|stack| letters(stack)).join("|")
    }

    fn write(&self, (block, from, to): &Move) -> String {
        format!("{block}{from}{to}")
    }

    fn read(&self, text: &str) -> Option<Move> {
        let mut rest = text.chars();
        let (block, from, to) = (rest.next()?, rest.next()?.to_digit(10)?, rest.next()?.to_digit(10)?);
        rest.next().is_none().then_some((block, i64::from(from), i64::from(to)))
    }
}

fn letters(stack: &[u8]) -> String {
    stack.iter().map(|block| char::from(*block)).collect()
}

/// The start and the goal of the famous instance, with the blocks named in this order.
fn famous(blocks: &[u8], goal_stack: u8) -> (Stacks, Stacks) {
    let (first, second) = blocks.split_at(blocks.len().div_ceil(2));
    let mut goal = [Vec::new(), Vec::new(), Vec::new()];
    for turn in 0..first.len() {
        // With an odd number of blocks the first stack has one more, but the top of the second stack still goes first.
        goal[usize::from(goal_stack)].extend(second.iter().rev().nth(turn));
        goal[usize::from(goal_stack)].extend(first.iter().rev().nth(turn));
    }
    ([first.to_vec(), second.to_vec(), Vec::new()], goal)
}

/// A shortest plan for a famous instance.
fn famous_plan(blocks: &[u8], goal_stack: u8) -> Vec<Move> {
    let (first, second) = blocks.split_at(blocks.len().div_ceil(2));
    let mut plan = Vec::new();
    let mut carry = |block: &u8, from, to| plan.push((char::from(*block), from, to));
    let source = if goal_stack == 0 {
        // The first stack moves to stack 2 without a change of order: all blocks except its bottom one wait on stack 1.
        first[1..].iter().rev().for_each(|block| carry(block, 0, 1));
        carry(&first[0], 0, 2);
        first[1..].iter().for_each(|block| carry(block, 1, 2));
        2
    } else {
        0
    };
    for turn in 0..first.len() {
        if let Some(block) = second.iter().rev().nth(turn) {
            carry(block, 1, i64::from(goal_stack));
        }
        if let Some(block) = first.iter().rev().nth(turn) {
            carry(block, source, i64::from(goal_stack));
        }
    }
    plan
}

/// Puts `blocks` on random stacks.
fn random_stacks(blocks: &[u8], stream: &mut Stream) -> Stacks {
    let mut blocks = blocks.to_vec();
    stream.shuffle(&mut blocks);
    let mut cuts = [stream.index(blocks.len() + 1), stream.index(blocks.len() + 1)];
    cuts.sort_unstable();
    [blocks[..cuts[0]].to_vec(), blocks[cuts[0]..cuts[1]].to_vec(), blocks[cuts[1]..].to_vec()]
}

/// Reads the stacks in a spec or a prompt.
fn stacks_of<T: AsRef<str>>(names: &[T]) -> Option<Stacks> {
    let stacks: Vec<Vec<u8>> = names.iter().map(|stack| stack.as_ref().as_bytes().to_vec()).collect();
    let stacks = Stacks::try_from(stacks).ok()?;
    stacks.concat().iter().all(u8::is_ascii_alphabetic).then_some(stacks)
}

/// Reads the instance from a spec.
fn instance(spec: Option<&Value>) -> Result<Instance<Rules>, String> {
    #[derive(Deserialize)]
    struct Spec {
        start: Vec<String>,
        goal: Vec<String>,
        minimum: Option<u64>,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    let (Some(start), Some(goal)) = (stacks_of(&spec.start), stacks_of(&spec.goal)) else {
        return Err("the spec's `start` and `goal` must be three stacks of letters".to_owned());
    };
    let sorted = |stacks: &Stacks| {
        let mut blocks = stacks.concat();
        blocks.sort_unstable();
        blocks
    };
    let blocks = sorted(&start);
    if blocks != sorted(&goal) || blocks.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("the spec's `start` and `goal` must hold the same blocks, each once".to_owned());
    }
    Ok(Instance { rules: Rules, start, goal, minimum: spec.minimum, is_strict: false })
}

impl BlocksWorld {
    fn problem(&self, start: &Stacks, goal: &Stacks, plan: &[Move]) -> Problem {
        Problem {
            prompt: format!("blocks {}>{}=", Rules.show(start), Rules.show(goal)),
            answer: self.notation.write(&Rules, plan),
            spec: json!({
                "start": start.each_ref().map(|stack| letters(stack)),
                "goal": goal.each_ref().map(|stack| letters(stack)),
                "minimum": plan.len(),
            }),
        }
    }

    fn famous(&self, blocks: &[u8]) -> Problem {
        let (start, goal) = famous(blocks, self.goal_stack);
        self.problem(&start, &goal, &famous_plan(blocks, self.goal_stack))
    }

    fn random(&self, blocks: &[u8], stream: &mut Stream) -> Option<Problem> {
        if blocks.len() > MOST_SEARCHED as usize {
            let mut blocks = blocks.to_vec();
            stream.shuffle(&mut blocks);
            return Some(self.famous(&blocks));
        }
        let (start, goal) = (random_stacks(blocks, stream), random_stacks(blocks, stream));
        let plan = shortest_plan(&Rules, &start, &goal)?;
        (!plan.is_empty()).then(|| self.problem(&start, &goal, &plan))
    }
}

/// Whether this is a famous instance of its level.
fn is_famous(prompt: &str) -> bool {
    let sides = prompt.strip_prefix("blocks ").and_then(|rest| rest.strip_suffix('='));
    let Some((start, goal)) = sides.and_then(|sides| sides.split_once('>')) else { return false };
    let read = |side: &str| stacks_of(&side.split('|').collect::<Vec<_>>());
    let (Some(start), Some(goal)) = (read(start), read(goal)) else { return false };
    let Some(blocks) = LETTERS.get(..start.concat().len()) else { return false };
    [0, 2].into_iter().any(|stack| famous(blocks, stack) == (start.clone(), goal.clone()))
}

impl Domain for BlocksWorld {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=50
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let blocks = &LETTERS[..level as usize];
        match self.random(blocks, stream) {
            Some(problem) if self.instance == Posing::Random || self.split(&problem) == Split::Train => {
                problem
            }
            _ => self.famous(blocks),
        }
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
        let mut symbols: Vec<String> = LETTERS.iter().map(|letter| char::from(*letter).to_string()).collect();
        symbols.extend(characters("012[],>=;|\" "));
        symbols.extend(["blocks ", "[[\"", "],[\"", "\",", "]]", "no", "ok"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        moves::behaviours(instance(Some(&problem.spec)), thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::moves::checks;
    use super::*;

    #[test]
    fn the_famous_goal_takes_turns_from_the_tops() {
        let shown = |blocks: usize, stack| {
            let (start, goal) = famous(&LETTERS[..blocks], stack);
            format!("{}>{}", Rules.show(&start), Rules.show(&goal))
        };
        assert_eq!(shown(4, 2), "AB|CD|>||DBCA");
        assert_eq!(shown(5, 0), "ABC|DE|>ECDBA||");
    }

    #[test]
    fn famous_plans_are_shortest_on_both_stacks() {
        for (stack, fewest) in [(2, [2, 3, 4, 5, 6, 7, 8]), (0, [3, 6, 7, 10, 11, 14, 15])] {
            let domain = BlocksWorld { goal_stack: stack, ..BlocksWorld::default() };
            for (blocks, fewest) in (2..).zip(fewest) {
                let problem = domain.famous(&LETTERS[..blocks]);
                assert_eq!(problem.spec["minimum"], fewest);
                assert!(checks::verdict(&domain, &problem, &problem.answer).is_correct());
                assert!(is_famous(&problem.prompt));
                let (start, goal) = famous(&LETTERS[..blocks], stack);
                let plan = shortest_plan(&Rules, &start, &goal).unwrap();
                assert_eq!(plan.len(), fewest);
            }
        }
    }

    #[test]
    fn no_move_lowers_the_bound_by_more_than_one() {
        let mut stream = Stream::at("bound", 0, &[]);
        for _ in 0..300 {
            let (goal, state) =
                (random_stacks(b"ABCDEF", &mut stream), random_stacks(b"ABCDEF", &mut stream));
            assert_eq!(Rules.at_least(&goal, &goal), 0);
            for step in Rules.moves(&state) {
                let mut next = state.clone();
                Rules.play(&mut next, &step).unwrap();
                assert!(Rules.at_least(&next, &goal) + 1 >= Rules.at_least(&state, &goal));
            }
        }
    }

    #[test]
    fn the_first_illegal_move_is_named() {
        let domain = BlocksWorld::default();
        let problem = domain.famous(b"ABCD");
        for (text, reason) in [
            (r#"[["B",0,2],["B",0,1]]"#, "move 2 is illegal: the top of stack 0 is A"),
            (r#"[["A",2,0]]"#, "move 1 is illegal: stack 2 is empty"),
            (r#"[["B",0,0]]"#, "move 1 is illegal: the block stays where it is"),
            (r#"[["B",0,3]]"#, "move 1 is illegal: there is no move from stack 0 to stack 3"),
            (r#"[["B",0,2]]"#, "all 1 moves are legal, but the goal is not reached"),
        ] {
            assert_eq!(checks::verdict(&domain, &problem, text).reason, reason);
        }
        assert!(checks::verdict(&domain, &problem, "B02 B21 A02 B12 D10 B20 C10 A20").is_correct());
    }

    #[test]
    fn a_goal_stack_is_named_when_it_is_refused() {
        let error = (ROW.build)(&json!({ "goal_stack": 1 })).err().unwrap();
        assert!(error.to_string().contains("`goal_stack` is 1; it must be 0 or 2"), "{error}");
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 2..=8);
        checks::sound(&ROW, &json!({ "instance": "random", "notation": "compact", "goal_stack": 2 }), 2..=8);
        checks::sound(&ROW, &Value::Null, 50..=50);
        checks::hostile(&ROW, 5);
    }
}

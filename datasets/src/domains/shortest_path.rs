//! Shortest path in a graph. The level is the number of nodes.
//!
//! A worked solution settles the nodes, nearest first: `D5B` says that D is at distance 5 by way of B. A search writes
//! whole paths with their cost, `ABD=5`, rejects with `no` every path that is not a shortest one, and ends with `ok`.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict, answer};

use super::{Row, build, characters};
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "shortest_path",
    about: "a shortest path in a graph of lettered nodes, `AB3` is an edge of length 3; level = nodes",
    answers: "the letters of the nodes on the path",
    build: |value| build::<ShortestPath>("shortest_path", value),
};

/// The maximum number of nodes, one per letter.
const MOST_NODES: usize = 26;
/// The longest edge.
const LONGEST: i64 = 9;
/// The maximum number of paths that a search tries before a shortest one.
const MOST_PATHS: usize = 3;
/// A trace is read only up to this many statements, because a model may write without end.
const MOST_STATEMENTS: usize = 1 << 16;

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShortestPath {
    /// Whether edges have lengths from 1 to 9. Otherwise every length is 1.
    weighted: bool,
}

impl Default for ShortestPath {
    fn default() -> Self {
        Self { weighted: true }
    }
}

/// An undirected graph, and its question.
struct Graph {
    /// The length of the edge between two nodes, or 0 if there is no edge.
    lengths: Vec<Vec<u64>>,
    start: usize,
    goal: usize,
}

/// A node's distance from the start, and the node before it.
#[derive(Clone, Copy)]
struct Settled {
    node: usize,
    distance: u64,
    before: usize,
}

fn letter(node: usize) -> char {
    char::from(b'A' + node as u8)
}

fn node(letter: u8, nodes: usize) -> Option<usize> {
    letter.checked_sub(b'A').map(usize::from).filter(|node| *node < nodes)
}

fn letters(path: &[usize]) -> String {
    path.iter().map(|node| letter(*node)).collect()
}

impl Graph {
    /// Dijkstra's algorithm: the nodes that can be reached, nearest first.
    fn settle(&self) -> Vec<Settled> {
        let mut best: Vec<Option<(u64, usize)>> = vec![None; self.lengths.len()];
        best[self.start] = Some((0, self.start));
        let mut settled: Vec<Settled> = Vec::new();
        loop {
            let open = (0..best.len()).filter(|node| settled.iter().all(|done| done.node != *node));
            let nearest = open
                .filter_map(|node| best[node].map(|(distance, before)| Settled { node, distance, before }));
            let Some(next) = nearest.min_by_key(|next| next.distance) else { return settled };
            settled.push(next);
            for (node, length) in self.lengths[next.node].iter().enumerate() {
                let distance = next.distance.saturating_add(*length);
                if *length > 0 && best[node].is_none_or(|(known, _)| distance < known) {
                    best[node] = Some((distance, next.node));
                }
            }
        }
    }

    /// The nodes up to the goal, nearest first. Empty if the goal cannot be reached.
    fn settle_goal(&self) -> Vec<Settled> {
        let mut settled = self.settle();
        let end = settled.iter().position(|done| done.node == self.goal).map_or(0, |at| at + 1);
        settled.truncate(end);
        settled
    }

    /// A shortest path, taken from the settled nodes up to the goal.
    fn path(&self, settled: &[Settled]) -> Vec<usize> {
        let mut path = vec![self.goal];
        while let Some(&last) = path.last()
            && last != self.start
            && let Some(done) = settled.iter().find(|done| done.node == last)
        {
            path.push(done.before);
        }
        path.reverse();
        path
    }

    /// The cost of a written path, or what is wrong with it.
    fn cost(&self, path: &str) -> Result<u64, String> {
        let mut cost: u64 = 0;
        let mut at: Option<usize> = None;
        for byte in path.bytes() {
            let next = node(byte, self.lengths.len())
                .ok_or("a path must be written with the letters of its nodes")?;
            if let Some(at) = at {
                match self.lengths[at][next] {
                    0 => return Err(format!("there is no edge {}{}", letter(at), letter(next))),
                    length => cost = cost.saturating_add(length),
                }
            }
            at = Some(next);
        }
        Ok(cost)
    }

    /// Whether a written path goes from the start to the goal.
    fn spans(&self, path: &str) -> bool {
        path.starts_with(letter(self.start)) && path.ends_with(letter(self.goal))
    }

    /// A random walk that visits no node twice, up to the goal or a dead end.
    fn wander(&self, stream: &mut Stream) -> Vec<usize> {
        let mut path = vec![self.start];
        let mut at = self.start;
        while at != self.goal {
            let next: Vec<usize> = (0..self.lengths.len())
                .filter(|node| self.lengths[at][*node] > 0 && !path.contains(node))
                .collect();
            if next.is_empty() {
                break;
            }
            at = *stream.pick(&next);
            path.push(at);
        }
        path
    }

    fn claim(&self, done: &Settled) -> String {
        let before = if done.node == self.start { String::new() } else { letter(done.before).to_string() };
        format!("{}{}{before}", letter(done.node), done.distance)
    }

    /// Whether a claim such as `D5B` is true, given all distances.
    fn is_true(&self, settled: &[Settled], claim: &str) -> bool {
        let nodes = self.lengths.len();
        let mut bytes = claim.bytes();
        let Some(of) = bytes.next().and_then(|byte| node(byte, nodes)) else { return false };
        let before = bytes.next_back().and_then(|byte| node(byte, nodes));
        let distance = |node: usize| settled.iter().find(|done| done.node == node).map(|done| done.distance);
        let Some(digits) = claim.get(1..claim.len() - usize::from(before.is_some())) else { return false };
        let is_distance = distance(of).is_some_and(|distance| distance.to_string() == digits);
        is_distance
            && match before {
                None => of == self.start,
                Some(before) => {
                    let length = self.lengths[before][of];
                    length > 0
                        && distance(before).map(|distance| distance.saturating_add(length)) == distance(of)
                }
            }
    }
}

/// Reads the graph from a spec.
fn graph(spec: Option<&Value>) -> Result<Graph, String> {
    #[derive(Deserialize)]
    struct Spec {
        nodes: usize,
        edges: Vec<(String, String, u64)>,
        start: String,
        goal: String,
    }
    let spec =
        Spec::deserialize(spec.unwrap_or(&Value::Null)).map_err(|error| format!("the spec: {error}"))?;
    if !(2..=MOST_NODES).contains(&spec.nodes) {
        return Err(format!("the spec has {} nodes; 2 to {MOST_NODES} can be judged", spec.nodes));
    }
    let find = |name: &String| {
        let found =
            name.bytes().next().filter(|_| name.len() == 1).and_then(|letter| node(letter, spec.nodes));
        found.ok_or_else(|| format!("the spec has no node `{name}`"))
    };
    let mut lengths = vec![vec![0; spec.nodes]; spec.nodes];
    for (from, to, length) in &spec.edges {
        let (from, to) = (find(from)?, find(to)?);
        if *length == 0 || from == to {
            return Err("the spec's edges must join two nodes and be 1 long or longer".to_owned());
        }
        lengths[from][to] = *length;
        lengths[to][from] = *length;
    }
    let (start, goal) = (find(&spec.start)?, find(&spec.goal)?);
    if start == goal {
        return Err("the spec's start is its goal".to_owned());
    }
    Ok(Graph { lengths, start, goal })
}

/// Judges a path: it must go from the start to the goal along edges, and no path may be shorter.
fn judge(graph: &Graph, completion: &str) -> Verdict {
    let text = match answer::given(completion) {
        Ok(text) => text,
        Err(reason) => return Verdict::malformed(reason),
    };
    // `A-B`, `A > B` and `A, B` mean the same as `AB`.
    let letters = text.replace([' ', ',', '-', '>'], "");
    let is_letters = !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_letters {
        return Verdict::malformed("the answer must be the letters of a path");
    }
    let Some(least) = graph.settle_goal().last().map(|done| done.distance) else {
        return Verdict::error("the spec's goal cannot be reached");
    };
    match graph.cost(&letters) {
        Err(reason) => Verdict::wrong(text, reason),
        Ok(_) if !graph.spans(&letters) => {
            Verdict::wrong(text, "the path does not go from the start to the goal")
        }
        Ok(cost) if cost > least => {
            Verdict::wrong(text, format!("the path costs {cost}, the shortest {least}"))
        }
        Ok(cost) => Verdict::correct(text, format!("a shortest path, of cost {cost}")),
    }
}

/// The trace of a search: some other paths, then a shortest one.
fn search(graph: &Graph, best: &str, stream: &mut Stream) -> String {
    let mut trace = Vec::new();
    for _ in 0..MOST_PATHS {
        let path = letters(&graph.wander(stream));
        if let Ok(cost) = graph.cost(&path)
            && !(graph.spans(&path) && graph.cost(best) == Ok(cost))
            && !trace.contains(&format!("{path}={cost}"))
        {
            trace.extend([format!("{path}={cost}"), "no".to_owned()]);
        }
    }
    if let Ok(cost) = graph.cost(best) {
        trace.extend([format!("{best}={cost}"), "ok".to_owned()]);
    }
    trace.join(";")
}

/// The trace of settling the nodes, with one false distance that is corrected.
fn flawed(graph: &Graph, settled: &[Settled], stream: &mut Stream) -> String {
    let mut trace: Vec<String> = settled.iter().map(|done| graph.claim(done)).collect();
    let at = 1 + stream.index(settled.len().saturating_sub(1));
    if let Some(done) = settled.get(at) {
        let distance = done.distance + 1 + stream.below(3);
        trace.splice(at..at, [graph.claim(&Settled { distance, ..*done }), "no".to_owned()]);
    }
    trace.join(";")
}

impl ShortestPath {
    /// A connected graph: a random tree, and about as many edges again.
    fn random(&self, nodes: usize, stream: &mut Stream) -> Graph {
        let mut lengths = vec![vec![0; nodes]; nodes];
        let longest = if self.weighted { LONGEST } else { 1 };
        let mut join = |from: usize, to: usize, stream: &mut Stream| {
            let length = stream.between(1, longest) as u64;
            lengths[from][to] = length;
            lengths[to][from] = length;
        };
        let mut order: Vec<usize> = (0..nodes).collect();
        stream.shuffle(&mut order);
        for (at, node) in order.iter().enumerate().skip(1) {
            join(*node, order[stream.index(at)], stream);
        }
        for _ in 0..nodes / 2 + stream.index(nodes / 2 + 1) {
            let (from, to) = (stream.index(nodes), stream.index(nodes));
            if from != to {
                join(from, to, stream);
            }
        }
        Graph { lengths, start: order[0], goal: order[nodes - 1] }
    }
}

impl Domain for ShortestPath {
    fn levels(&self) -> RangeInclusive<u32> {
        3..=16
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let mut graph = self.random(level as usize, stream);
        // The goal is the node that takes the most steps to reach, so that few questions are a single edge.
        let settled = graph.settle();
        let steps = |node: usize| graph_steps(&settled, node, graph.start);
        if let Some(far) = settled.iter().skip(1).max_by_key(|done| steps(done.node)) {
            graph.goal = far.node;
        }
        let settled = graph.settle_goal();
        let mut edges: Vec<(usize, usize)> = (0..graph.lengths.len())
            .flat_map(|from| (0..from).map(move |to| (to, from)))
            .filter(|(from, to)| graph.lengths[*from][*to] > 0)
            .collect();
        stream.shuffle(&mut edges);
        let length = |from: usize, to: usize| graph.lengths[from][to];
        let written: Vec<String> = edges
            .iter()
            .map(|&(from, to)| {
                let length = if self.weighted { length(from, to).to_string() } else { String::new() };
                format!("{}{}{length}", letter(from), letter(to))
            })
            .collect();
        let (start, goal) = (letter(graph.start), letter(graph.goal));
        let listed: Vec<Value> =
            edges.iter().map(|&(from, to)| json!([letter(from), letter(to), length(from, to)])).collect();
        Problem {
            prompt: format!("path {start}>{goal} {}=", written.join(",")),
            answer: letters(&graph.path(&settled)),
            spec: json!({ "nodes": level, "edges": listed, "start": start, "goal": goal }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        match graph(item.spec) {
            Ok(graph) => judge(&graph, item.completion),
            Err(reason) => Verdict::error(reason),
        }
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let graph = graph(Some(&problem.spec)).ok()?;
        let settled = graph.settle_goal();
        let thinking = match kind {
            SolutionKind::Direct => String::new(),
            SolutionKind::Long => settled.iter().map(|done| graph.claim(done)).collect::<Vec<_>>().join(";"),
            SolutionKind::Search => search(&graph, &problem.answer, stream),
            SolutionKind::Flawed => flawed(&graph, &settled, stream),
        };
        Some(Solution::sure(thinking, &problem.answer))
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("ABCDEFGHIJKLMNOP0123456789>,=; ");
        symbols.extend(["path ", "no", "ok"].map(String::from));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        let mut seen = Behaviours::default();
        let Ok(graph) = graph(Some(&problem.spec)) else { return seen };
        let settled = graph.settle();
        let least = graph.settle_goal().last().map(|done| done.distance);
        let mut last_path = "";
        for text in thinking.split(';').filter(|text| !text.is_empty()).take(MOST_STATEMENTS) {
            if text == "no" {
                seen.backtracks += 1;
                continue;
            }
            seen.steps += 1;
            let is_true = if text == "ok" {
                seen.verifications += 1;
                graph.spans(last_path) && graph.cost(last_path).ok() == least
            } else if let Some((path, cost)) = text.split_once('=') {
                last_path = path;
                graph.cost(path).is_ok_and(|truth| !path.is_empty() && truth.to_string() == cost)
            } else {
                graph.is_true(&settled, text)
            };
            seen.false_steps += u32::from(!is_true);
        }
        seen
    }
}

/// The number of edges between the start and a settled node, on the path that settled it.
fn graph_steps(settled: &[Settled], mut node: usize, start: usize) -> usize {
    let mut steps = 0;
    while node != start
        && let Some(done) = settled.iter().find(|done| done.node == node)
    {
        node = done.before;
        steps += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::super::moves::checks;
    use super::*;

    fn square() -> Problem {
        let spec = json!({
            "nodes": 4, "start": "A", "goal": "D",
            "edges": [["A", "B", 1], ["B", "D", 2], ["A", "C", 2], ["C", "D", 1], ["A", "D", 4]],
        });
        Problem { prompt: "path A>D AB1,BD2,AC2,CD1,AD4=".to_owned(), answer: "ABD".to_owned(), spec }
    }

    #[test]
    fn any_shortest_path_is_right() {
        let judge = |text: &str| checks::verdict(&ShortestPath::default(), &square(), text);
        for text in ["ABD", "ACD", "A B D", "A->B->D", "A, C, D"] {
            assert!(judge(text).is_correct(), "{text}");
        }
        for (text, reason) in [
            ("AD", "the path costs 4, the shortest 3"),
            ("ABABD", "the path costs 5, the shortest 3"),
            ("AB", "the path does not go from the start to the goal"),
            ("BD", "the path does not go from the start to the goal"),
            ("ABCD", "there is no edge BC"),
            ("AZD", "a path must be written with the letters of its nodes"),
            ("A/B/D", "the answer must be the letters of a path"),
        ] {
            let verdict = judge(text);
            assert_eq!((verdict.score, verdict.reason.as_str()), (0.0, reason), "{text}");
        }
    }

    #[test]
    fn claims_are_decided() {
        let seen = |thinking: &str| ShortestPath::default().behaviours(&square(), thinking);
        assert_eq!(seen("A0;B1A;C2A;D3B").false_steps, 0);
        assert_eq!(seen("D3C;ACD=3;ok").false_steps, 0);
        for wrong in
            ["A1", "B1", "B2A", "D3A", "D4A", "AB=2", "AD=4;ok", "ok", "é", "B1é", "Z1A", "=", "AB", "B01A"]
        {
            assert_eq!(seen(wrong).false_steps, 1, "{wrong}");
        }
    }

    #[test]
    fn distances_agree_with_relaxing_every_edge() {
        for question in checks::questions(&ROW, &Value::Null, 12, crate::Split::Train, 30) {
            let graph = graph(Some(&question.problem.spec)).unwrap();
            let nodes = graph.lengths.len();
            let mut distances = vec![u64::MAX; nodes];
            distances[graph.start] = 0;
            for _ in 0..nodes {
                for from in 0..nodes {
                    for to in 0..nodes {
                        if graph.lengths[from][to] > 0 && distances[from] < u64::MAX {
                            distances[to] = distances[to].min(distances[from] + graph.lengths[from][to]);
                        }
                    }
                }
            }
            for done in graph.settle() {
                assert_eq!(done.distance, distances[done.node]);
            }
            assert_eq!(graph.cost(&question.problem.answer), Ok(distances[graph.goal]));
        }
    }

    #[test]
    fn questions_are_sound() {
        checks::sound(&ROW, &Value::Null, 3..=16);
        checks::sound(&ROW, &json!({ "weighted": false }), 4..=16);
        checks::hostile(&ROW, 6);
    }
}

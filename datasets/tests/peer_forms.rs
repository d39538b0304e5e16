//! Right answers in the forms that other programs use, and wrong answers that look like them.
//!
//! The lines of `peer_forms.jsonl` are written by hand; `examples/reasoning_gym` compares whole data sets.

use serde::Deserialize;
use serde_json::Value;
use thinkling_datasets::domains;
use thinkling_verifiers::Item;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    task: String,
    #[serde(default)]
    settings: Value,
    spec: Value,
    right: Vec<String>,
    wrong: Vec<String>,
}

#[test]
fn right_answers_in_other_forms_are_right_and_their_neighbours_wrong() {
    for line in include_str!("peer_forms.jsonl").lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        let domain = (domains::find(&line.task).unwrap().build)(&line.settings).unwrap();
        let score = |answer: &str| {
            let completion = format!("<think>so</think><answer>{answer}</answer>");
            let verdict =
                domain.judge(&Item { completion: &completion, answer: None, spec: Some(&line.spec) });
            assert_ne!(verdict.outcome, thinkling_verifiers::Outcome::Error, "{}", verdict.reason);
            verdict.score
        };
        for answer in &line.right {
            assert_eq!(score(answer), 1.0, "{}: {answer:?} of {}", line.task, line.spec);
        }
        for answer in &line.wrong {
            assert_eq!(score(answer), 0.0, "{}: {answer:?} of {}", line.task, line.spec);
        }
    }
}

//! The first questions of every domain, frozen: an address must always give the same text.
//!
//! After an intended change, run `THINKLING_FREEZE=1 cargo test -p thinkling-datasets --test frozen`.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what is wrong")]

use std::path::Path;

use serde_json::{Value, json};
use thinkling_datasets::domains::{DOMAINS, Row};
use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Dataset, Domain, Question, SolutionKind, Split};

/// A digest of every worked solution and of a drill.
fn digest(domain: &dyn Domain, question: &Question) -> String {
    let mut hash = blake3::Hasher::new();
    for kind in SolutionKind::ALL {
        let solution = domain.solve(&question.problem, kind, &mut Stream::at("frozen", 0, &[kind as u64]));
        hash.update(format!("{solution:?}").as_bytes());
    }
    hash.update(format!("{:?}", domain.drill(&mut Stream::at("frozen", 1, &[]), question.level)).as_bytes());
    hash.finalize().to_hex()[..16].to_owned()
}

/// One line per question: for the lowest and the highest level, the first two of train and the first of test.
fn lines(row: &'static Row) -> Vec<String> {
    let domain = (row.build)(&Value::Null).unwrap();
    let levels = domain.levels();
    let mut lines = Vec::new();
    for level in [*levels.start(), *levels.end()] {
        let dataset = Dataset::new(row, &*domain, level, 0).unwrap();
        for (split, index) in [(Split::Train, 0), (Split::Train, 1), (Split::Test, 0)] {
            let question = dataset.question(split, index).unwrap();
            lines.push(json!({ "task": question, "solutions": digest(&*domain, &question) }).to_string());
        }
    }
    lines
}

#[test]
fn the_first_questions_are_frozen() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen.jsonl");
    let now: Vec<String> = DOMAINS.iter().flat_map(lines).collect();
    if std::env::var_os("THINKLING_FREEZE").is_some() {
        std::fs::write(&path, now.join("\n") + "\n").unwrap();
        return;
    }
    let frozen = std::fs::read_to_string(&path).unwrap();
    let frozen: Vec<&str> = frozen.lines().collect();
    for line in &now {
        assert!(
            frozen.contains(&line.as_str()),
            "not frozen, or different from the frozen file (THINKLING_FREEZE=1 updates the file): {line}"
        );
    }
    assert_eq!(frozen.len(), now.len(), "the frozen file has questions of a domain that no longer exists");
}

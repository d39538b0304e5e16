//! Fuzzes the JSON-lines loop with every verifier that starts no process: each input line gives one output line of
//! JSON.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use thinkling_verifiers::{Verifier, find, lines};

static VERIFIERS: LazyLock<Vec<Box<dyn Verifier>>> = LazyLock::new(|| {
    ["math", "exact", "choice", "format"]
        .into_iter()
        .filter_map(find)
        .filter_map(|row| (row.build)(&serde_json::Value::Null).ok())
        .collect()
});

/// A line written. Its id is the one that was read, which may hold half of a character.
#[derive(Deserialize)]
struct Written {
    score: Option<f64>,
    error: Option<String>,
}

fuzz_target!(|bytes: &[u8]| {
    for verifier in VERIFIERS.iter() {
        let mut written = Vec::new();
        let summary = lines::run(verifier.as_ref(), bytes, &mut written).expect("a vector takes every byte");
        let text = String::from_utf8(written).expect("verdicts are UTF-8");
        assert_eq!(text.lines().count() as u64, summary.judged + summary.bad);
        for line in text.lines() {
            let Written { score, error } = serde_json::from_str(line).expect("a verdict is JSON");
            assert!(error.is_some() || score.is_some_and(|score| (0.0..=1.0).contains(&score)));
        }
    }
});

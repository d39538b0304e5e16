//! Measures how many questions per second each domain poses and judges on one core.
//!
//! `cargo run --release -p thinkling-datasets --example speed [SECONDS]` prints one line per domain and level: the
//! lowest, the middle and the highest level. Posing includes the draws that were for the other split.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement of time, for a reader")]

use std::time::Instant;

use thinkling_datasets::domains::DOMAINS;
use thinkling_datasets::{Dataset, Split};
use thinkling_verifiers::{Item, answer};

/// Calls `work` repeatedly for about `seconds` and returns the calls per second.
fn rate(seconds: f64, mut work: impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed().as_secs_f64() < seconds {
        (0..16).for_each(|offset| work(done + offset));
        done += 16;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(0.2), |text| text.parse())?;
    println!("| task | level | posed/s | judged/s |\n| --- | --- | --- | --- |");
    for row in DOMAINS {
        let domain = (row.build)(&serde_json::Value::Null)?;
        let levels = domain.levels();
        let mut chosen = vec![*levels.start(), levels.start().midpoint(*levels.end()), *levels.end()];
        chosen.dedup();
        for level in chosen {
            let Ok(dataset) = Dataset::new(row, domain.as_ref(), level, 0) else { continue };
            let posed =
                rate(seconds, |index| drop(std::hint::black_box(dataset.question(Split::Train, index))));
            let problem = dataset.question(Split::Train, 0)?.problem;
            let completion = answer::compose("", &problem.answer);
            let item =
                Item { completion: &completion, answer: Some(&problem.answer), spec: Some(&problem.spec) };
            let judged = rate(seconds / 4.0, |_| drop(std::hint::black_box(domain.judge(&item))));
            println!("| {} | {level} | {posed:.0} | {judged:.0} |", row.name);
        }
    }
    Ok(())
}

//! Reward terms: the sum follows the recipe, each mean is recorded, and a failed judgement is not a 0.

use serde_json::Value;

use crate::program::{Bench, Folder, TINY, number, object, run};

/// A judge in one line of `sed`: it answers everything with `answer`, with the number of the question for `\1`.
fn judge(answer: &str) -> String {
    format!(r#"{{ command = ["sed", "-u", 's/.*"id":\([0-9]*\).*/{answer}/'] }}"#)
}

/// The tiny recipe with these reward terms.
fn with_rewards(rewards: &str) -> String {
    TINY.replace("max_new_tokens = 20\n", &format!("max_new_tokens = 20\nrewards = [{rewards}]\n"))
}

fn train(rewards: &str, settings: &[&str]) -> (Bench, Folder) {
    let bench = Bench::new(&with_rewards(rewards));
    let every: Vec<&str> =
        ["log.rollouts_per_step=16"].iter().chain(settings).flat_map(|setting| ["--set", setting]).collect();
    let folder = bench.trained("run", &every);
    (bench, folder)
}

#[test]
fn a_reward_is_the_weighted_sum_of_its_terms_and_each_mean_is_told() {
    let (_bench, folder) = train(
        r#"{ term = "correct", weight = 0.5 }, { term = "format", weight = 0.25 },
           { name = "letters", term = "exact", weight = 2 }, { term = "math", weight = 0, config = { extraction = "strict" } },
           { term = "soft_overlong", weight = 1, config = { cache = 8 } },
           { term = "repetition", weight = 0.125, config = { size = 2, over = "tokens" } },
           { term = "language", weight = 0.5, config = { script = "latin" } },
           { term = "cosine", weight = 0.25, config = { wrong_short = -1, exceeded = -1 } }"#,
        &[],
    );
    let weights = [
        ("correct", 0.5),
        ("format", 0.25),
        ("letters", 2.0),
        ("math", 0.0),
        ("soft_overlong", 1.0),
        ("repetition", 0.125),
        ("language", 0.5),
        ("cosine", 0.25),
    ];
    let rows = folder.rows("rollouts.jsonl");
    for row in &rows {
        let scores = &row["rewards"];
        assert_eq!(object(scores).len(), weights.len(), "{row}");
        let sum: f64 = weights.iter().map(|(name, weight)| weight * number(scores, name)).sum();
        assert!((number(row, "reward") - sum).abs() < 1e-12, "{row}");
        assert_eq!(scores["correct"], row["score"]);
        // Only the right bit between the tags is right, for both judges.
        assert_eq!(scores["letters"], row["score"], "{row}");
        assert!((-1.0..=0.0).contains(&number(scores, "repetition")), "{row}");
        let length = number(row, "length") - f64::from(row["finished"] == true);
        let penalty = -((length - 12.0) / 8.0).clamp(0.0, 1.0);
        assert!((number(scores, "soft_overlong") - penalty).abs() < 1e-12, "{row}");
    }
    assert!(
        rows.iter().any(|row| row["rewards"]["repetition"] != 0.0),
        "nothing repeats: the test would prove nothing"
    );
    for metrics in folder.metrics("grpo", "grpo") {
        let of_step: Vec<&Value> = rows.iter().filter(|row| row["step"] == metrics["step"]).collect();
        assert_eq!(of_step.len(), 16);
        for (name, _) in weights {
            let mean = of_step.iter().map(|row| number(&row["rewards"], name)).sum::<f64>() / 16.0;
            assert!((number(&metrics["rewards"], name) - mean).abs() < 1e-12, "{name}: {metrics}");
        }
        assert!(number(&metrics, "verifying_share") < 1.0);
    }
    assert!(number(&folder.json("summary.json")["verifying_share"], "grpo") > 0.0);
}

#[test]
fn what_cannot_be_judged_is_left_out_and_counted() {
    // It fails on every completion that ends in `</answer>` and a right bit is 1, and calls the others wrong.
    let script = r#"'/<answer>1<\/answer>/s/.*"id":\([0-9]*\).*/{"id":\1,"error":"no oil"}/;t;s/.*"id":\([0-9]*\).*/{"id":\1,"score":0}/'"#;
    let rewards = format!(
        r#"{{ term = "correct", weight = 1 }}, {{ term = "external", weight = 1, config = {{ command = ["sed", "-u", {script}] }} }}"#
    );
    let (bench, folder) = train(&rewards, &["stage.grpo.max_error_share=1"]);
    let rows = folder.rows("rollouts.jsonl");
    let masked: Vec<&Value> = rows.iter().filter(|row| row["rewards"]["external"].is_null()).collect();
    assert!(!masked.is_empty() && masked.len() < rows.len(), "{} of {}", masked.len(), rows.len());
    for row in &rows {
        let is_masked = row["rewards"]["external"].is_null();
        let is_due =
            row["finished"] == true && row["completion"].as_str().unwrap().contains("<answer>1</answer>");
        assert_eq!(is_masked, is_due, "{row}");
        assert_eq!((row["reward"].is_null(), row["advantage"].is_null()), (is_masked, is_masked), "{row}");
    }
    for metrics in folder.metrics("grpo", "grpo") {
        let of_step = rows.iter().filter(|row| row["step"] == metrics["step"]);
        let counted: Vec<&Value> = of_step.clone().filter(|row| !row["reward"].is_null()).collect();
        assert_eq!(number(&metrics, "verifier_errors") as usize, of_step.count() - counted.len());
        let mean = counted.iter().map(|row| number(row, "reward")).sum::<f64>() / counted.len().max(1) as f64;
        assert!((number(&metrics, "reward_mean") - mean).abs() < 1e-12);
        let share = |is_so: &dyn Fn(&Value) -> bool| {
            counted.iter().filter(|row| is_so(row)).count() as f64 / counted.len() as f64
        };
        let accuracy = share(&|row| row["verdict"] == "correct");
        assert!((number(&metrics, "accuracy") - accuracy).abs() < 1e-12, "{metrics}");
        let truncated = share(&|row| row["finished"] == false);
        assert!((number(&metrics, "truncated_share") - truncated).abs() < 1e-12, "{metrics}");
    }
    let total = &folder.json("ledger.json")["total"];
    assert_eq!(number(total, "verifier_errors") as usize, masked.len());
    let is_counted = |row: &&Value| !row["reward"].is_null() && row["verdict"] == "correct";
    assert_eq!(number(total, "correct") as usize, rows.iter().filter(is_counted).count());

    let stopped = bench.train("stopped", &["--set", "stage.grpo.max_error_share=0.01"]).expect(1);
    for told in ["could not be judged", "max_error_share allows 1.0 %", "no oil", "--resume"] {
        assert!(stopped.stderr.contains(told), "no {told} in\n{}", stopped.stderr);
    }
}

/// A silent judge costs its time limit for each completion, so it is asked only until the run must stop.
#[test]
fn a_silent_judge_is_given_up_as_soon_as_the_run_must_stop() {
    let bench = Bench::new("");
    let asked = bench.path("asked");
    let script = format!("while read -r line; do echo asked >> {}; done", asked.display());
    let rewards = format!(
        r#"{{ term = "external", weight = 1, config = {{ command = ["sh", "-c", {script:?}], time_limit_s = 0.3 }} }}"#
    );
    let bench = Bench::new(&with_rewards(&rewards));
    let stopped =
        bench.train("run", &["--threads", "1", "--set", "stage.grpo.max_error_share=0.1"]).expect(1);
    assert!(stopped.stderr.contains("did not answer within 0.3 s"), "{}", stopped.stderr);
    // Two of 16 completions are above the limit; two may have the same text.
    let asked = std::fs::read_to_string(asked).expect("the judge was asked").lines().count();
    assert!((1..=2).contains(&asked), "asked {asked} times");
}

#[test]
fn verdicts_from_outside_are_the_same_for_any_number_of_threads() {
    let rewards = format!(
        r#"{{ term = "format", weight = 1 }}, {{ term = "external", weight = 0.5, config = {} }}"#,
        judge(r#"{"id":\1,"score":0.5}"#)
    );
    let bench = Bench::new(&with_rewards(&rewards));
    let one = bench.trained("one", &["--threads", "1"]);
    let three = bench.trained("three", &["--threads", "3"]);
    one.assert_same_as(&three, "eval-1");
    assert_eq!(
        one.metrics("grpo", "grpo")[0]["rewards"]["external"],
        three.metrics("grpo", "grpo")[0]["rewards"]["external"]
    );
}

#[test]
fn a_judge_that_does_not_start_is_told_before_anything_is_made() {
    let bench = Bench::new(&with_rewards(
        r#"{ term = "external", weight = 1, config = { command = ["/no/such/judge"] } }"#,
    ));
    let refused = bench.train("run", &[]).expect(2);
    assert!(
        refused.stderr.contains("external") && refused.stderr.contains("cannot start"),
        "{}",
        refused.stderr
    );
    assert!(!bench.path("run").exists());
    // Whether the program starts here says nothing about the recipe.
    run(&["check", bench.recipe.to_str().unwrap()]).expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn python_judges_the_answers_of_a_template_and_its_time_is_in_the_books() {
    let text = with_rewards(r#"{ term = "code", weight = 1, config = { template = true } }"#)
        .replace("name = \"parity\"\nlevel = 6", "name = \"program_synthesis\"\nlevel = 1")
        .replace("direct = 0.9, long = 0.1", "direct = 1.0")
        .replace("max_new_tokens = 20", "max_new_tokens = 12")
        .replace("steps = 40", "steps = 120");
    let bench = Bench::new(&text);
    let folder = bench.trained("run", &["--set", "log.rollouts_per_step=16"]);
    let rows = folder.rows("rollouts.jsonl");
    // The task's judge reads the same notation: both must agree.
    assert!(rows.iter().all(|row| row["rewards"]["code"] == row["score"]), "{rows:?}");
    let right = rows.iter().filter(|row| row["score"] == 1.0).count();
    assert!(right > 0 && right < rows.len(), "{right} of {} are right: this proves nothing", rows.len());
    let metrics = folder.metrics("grpo", "grpo");
    assert!(metrics.iter().all(|row| number(row, "verifying_s") > 0.0 && row["verifier_errors"] == 0));
    let ledger = folder.json("ledger.json");
    let verifying = number(&ledger["stages"]["grpo"]["cpu_s"], "verifier");
    assert!(verifying > 0.0, "{ledger}");
    assert!(number(&folder.json("summary.json")["verifying_share"], "grpo") > 0.0);
}

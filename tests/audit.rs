//! `thinkling audit` finds a planted fault in a reward or a run, and accepts honest ones.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Bench, TINY, run};

/// The tiny recipe with one reward term.
fn with_reward(reward: &str) -> Bench {
    Bench::new(
        &TINY.replace("max_new_tokens = 20\n", &format!("max_new_tokens = 20\nrewards = [{reward}]\n")),
    )
}

fn audit(subject: &Path, code: i32, more: &[&str]) -> Value {
    let arguments = [&["audit", subject.to_str().unwrap(), "--json"], more].concat();
    let lines = run(&arguments).expect(code).json_lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["clean"], code == 0);
    lines[0].clone()
}

/// Kind and term of each finding of a recipe's only stage.
fn found(audit: &Value) -> Vec<(String, String)> {
    let findings = audit["stages"][0]["findings"].as_array().or(audit["findings"].as_array()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings.iter().map(|finding| (text(&finding["kind"]), text(&finding["term"]))).collect()
}

fn has(audit: &Value, kind: &str, term: &str) -> bool {
    found(audit).contains(&(kind.to_owned(), term.to_owned()))
}

#[test]
fn honest_rewards_are_clean() {
    for reward in [
        r#"{ term = "correct", weight = 1 }"#,
        r#"{ term = "correct", weight = 0.9 }, { term = "format", weight = 0.1 }"#,
        r#"{ term = "correct", weight = 0.9 }, { term = "format", weight = 0.1, config = { partial = true } }"#,
        r#"{ term = "exact", weight = 1 }"#,
        r#"{ term = "correct", weight = 1 }, { term = "soft_overlong", weight = 0.2 }, { term = "repetition", weight = 0.2 }"#,
    ] {
        let bench = with_reward(reward);
        let audit = audit(&bench.recipe, 0, &["--questions", "8"]);
        let rows = audit["stages"][0]["rows"].as_array().unwrap();
        assert!(
            rows.len() > 20 && rows[0]["is_right"] == true && rows[0]["total"].as_f64() > Some(0.7),
            "{reward}"
        );
    }
    let table = run(&["audit", with_reward(r#"{ term = "correct", weight = 1 }"#).recipe.to_str().unwrap()])
        .expect(0);
    assert!(
        table.stdout.contains("right answer") && table.stdout.ends_with("nothing found\n"),
        "{}",
        table.stdout
    );
}

#[test]
fn a_judge_that_always_says_correct_is_found() {
    let judge = r#"'s/.*"id":\([0-9]*\).*/{"id":\1,"score":1}/'"#;
    let bench = with_reward(&format!(
        r#"{{ term = "external", weight = 1, config = {{ command = ["sed", "-u", {judge}] }} }}"#
    ));
    let audit = audit(&bench.recipe, 1, &["--questions", "4"]);
    assert!(has(&audit, "hack_paid", "external") && has(&audit, "margin", ""), "{:?}", found(&audit));
    let finding = &audit["stages"][0]["findings"][0];
    assert!(finding["message"].as_str().unwrap().contains("empty"), "{finding}");
    assert!(!finding["examples"].as_array().unwrap().is_empty());
}

#[test]
fn a_judge_that_looks_for_the_answer_somewhere_is_found() {
    // A typical shortcut: `gold in completion`.
    let program = r#"
import json, sys
for line in sys.stdin:
    item = json.loads(line)
    right = item["answer"] in item["completion"].split("</think>")[-1]
    print(json.dumps({"id": item["id"], "score": float(right)}), flush=True)
"#;
    let bench = with_reward("");
    let judge = bench.path("judge.py");
    fs::write(&judge, program).unwrap();
    let reward = format!(
        r#"{{ term = "external", weight = 1, config = {{ command = ["python3", "{}"] }} }}"#,
        judge.display()
    );
    fs::write(
        &bench.recipe,
        TINY.replace("max_new_tokens = 20\n", &format!("max_new_tokens = 20\nrewards = [{reward}]\n")),
    )
    .unwrap();
    let audit = audit(&bench.recipe, 1, &["--questions", "6"]);
    assert!(
        has(&audit, "hack_paid", "external") && !has(&audit, "gold_refused", "external"),
        "{:?}",
        found(&audit)
    );
    let message = audit["stages"][0]["findings"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("two answers in one") && message.contains("right answer within text"),
        "{message}"
    );
}

#[test]
fn a_judge_that_refuses_right_answers_or_fails_is_found() {
    for (answer, kind) in
        [(r#"{"id":\1,"score":0}"#, "gold_refused"), (r#"{"id":\1,"error":"no oil"}"#, "not_judged")]
    {
        let bench = with_reward(&format!(
            r#"{{ term = "external", weight = 1, config = {{ command = ["sed", "-u", 's/.*"id":\([0-9]*\).*/{answer}/'] }} }}"#
        ));
        let audit = audit(&bench.recipe, 1, &["--questions", "2"]);
        assert!(has(&audit, kind, "external"), "{:?}", found(&audit));
    }
}

#[test]
fn a_question_that_answers_itself_and_a_reward_without_a_judge_are_found() {
    let sums = |reward: &str| {
        TINY.replace("name = \"parity\"\nlevel = 6", "name = \"addition\"\nlevel = 2")
            .replace("max_new_tokens = 20\n", &format!("max_new_tokens = 20\nrewards = [{reward}]\n"))
    };
    let bench = Bench::new(&sums(r#"{ term = "math", weight = 1, config = { extraction = "strict" } }"#));
    let audit_of_sums = audit(&bench.recipe, 1, &["--questions", "4"]);
    let message = audit_of_sums["stages"][0]["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("question repeated"), "{message}");
    let worked_out =
        r#"{ term = "math", weight = 1, config = { extraction = "strict", worked_out = true } }"#;
    audit(&Bench::new(&sums(worked_out)).recipe, 0, &["--questions", "8"]);
    let bench = Bench::new(&sums(r#"{ term = "format", weight = 1 }"#));
    assert!(has(&audit(&bench.recipe, 1, &["--questions", "4"]), "no_judge", ""));
}

#[cfg(target_os = "linux")]
#[test]
fn python_behind_a_template_is_clean() {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/program_python.toml");
    audit(&recipe, 0, &["--questions", "3"]);
}

#[test]
fn what_cannot_be_audited_is_refused() {
    let bench = with_reward(r#"{ term = "correct", weight = 1 }"#);
    let folder = bench.path("");
    for (arguments, told) in [
        (vec!["audit".to_owned(), "no/such.toml".to_owned()], "no/such.toml"),
        (vec!["audit".to_owned(), folder.display().to_string()], "not a run folder"),
        (
            vec![
                "audit".to_owned(),
                bench.recipe.display().to_string(),
                "--set".to_owned(),
                "stage.grpo.rewards=[]".to_owned(),
            ],
            "at least one",
        ),
    ] {
        let refused = run(&arguments).expect(2);
        assert!(refused.stderr.contains(told) && refused.stdout.is_empty(), "{}", refused.stderr);
    }
}

/// A line of `rollouts.jsonl` with `changes`.
fn changed(row: &Value, changes: Value) -> Value {
    let mut row = row.clone();
    for (key, value) in changes.as_object().unwrap() {
        row[key] = value.clone();
    }
    row
}

fn write_rows(path: &Path, rows: &[Value]) {
    fs::write(path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
}

#[test]
fn an_honest_run_is_clean_and_planted_anomalies_are_found() {
    let bench = Bench::new(TINY);
    let folder = bench.trained("run", &["--set", "log.rollouts_per_step=16"]);
    let rollouts = folder.0.join("rollouts.jsonl");
    let mut rows = folder.rows("rollouts.jsonl");
    // Such a small policy sometimes writes two answers, of which the last one counts; the strict judge refuses them.
    rows.retain(|row| row["completion"].as_str().unwrap().matches("<answer>").count() == 1);
    assert!(rows.len() > 64, "{}", rows.len());
    write_rows(&rollouts, &rows);
    let honest = audit(&folder.0, 0, &[]);
    assert_eq!(honest["completions"].as_u64(), Some(rows.len() as u64));
    assert_eq!(honest["judged_again"], honest["completions"]);

    let plant = |change: &dyn Fn(usize, &Value) -> Value| {
        let planted: Vec<Value> = rows.iter().enumerate().map(|(at, row)| change(at, row)).collect();
        write_rows(&rollouts, &planted);
        audit(&folder.0, 1, &[])
    };
    // One wrong answer was rewarded, and the file says that the judge called it right.
    let wrong = rows.iter().position(|row| row["verdict"] == "wrong").unwrap();
    let paid = json!({ "verdict": "correct", "score": 1.0, "reward": 1.0, "rewards": { "correct": 1.0 } });
    let audited = plant(&|at, row| if at == wrong { changed(row, paid.clone()) } else { row.clone() });
    assert!(
        has(&audited, "disagreement", "correct") && has(&audited, "disagreement", ""),
        "{:?}",
        found(&audited)
    );
    let example = &audited["findings"][0]["examples"][0];
    assert_eq!(
        (&example["prompt"], &example["completion"]),
        (&rows[wrong]["prompt"], &rows[wrong]["completion"])
    );

    // At the end of the stage, right answers come without thinking, with the same thinking, or from a loop.
    let answered = |thinking: &str, row: &Value| {
        let answer = row["answer"].as_str().unwrap();
        let text = format!("<think>{thinking}</think><answer>{answer}</answer>");
        changed(
            row,
            json!({
                "completion": text, "finished": true, "verdict": "correct", "score": 1.0, "rewards": { "correct": 1.0 },
            }),
        )
    };
    let at_the_end =
        |thinking: &str| plant(&|at, row| answered(if at < rows.len() / 2 { "01" } else { thinking }, row));
    assert_eq!(found(&at_the_end("")), [("answers_without_thinking".to_owned(), String::new())]);
    let looped = at_the_end(&"wait, no. ".repeat(12));
    assert!(has(&looped, "repeated_text", "") && has(&looped, "same_thinking", ""), "{:?}", found(&looped));
    write_rows(&rollouts, &rows);

    // The reward rises, but held-out accuracy and the task's judge do not.
    let metrics = folder.0.join("metrics.jsonl");
    let planted: Vec<Value> = folder
        .rows("metrics.jsonl")
        .iter()
        .map(|row| match (row["stage"].as_str(), row["kind"].as_str()) {
            (Some("grpo"), Some("grpo")) => {
                let reward = 0.2 + 0.1 * row["step"].as_f64().unwrap();
                changed(
                    row,
                    json!({ "reward_mean": reward, "rewards": { "correct": reward }, "accuracy": 0.4 }),
                )
            }
            (Some("grpo"), Some("eval")) => changed(row, json!({ "accuracy": 0.4 })),
            _ => row.clone(),
        })
        .collect();
    write_rows(&metrics, &planted);
    let audited = audit(&folder.0, 1, &[]);
    assert!(
        has(&audited, "reward_without_accuracy", "") && has(&audited, "term_against_judge", "correct"),
        "{:?}",
        found(&audited)
    );

    fs::write(&metrics, "{\"stage\": 3\n").unwrap();
    run(&["audit", folder.0.to_str().unwrap()]).expect(2);
}

#[test]
fn every_task_of_a_mixture_is_audited() {
    let mixture =
        "stage.grpo.tasks=[{ name = \"parity\", level = 4 }, { name = \"parity\", levels = [5, 6] }]";
    let bench = Bench::new(TINY);
    let settings = ["--set", mixture, "--set", "log.rollouts_per_step=16"];
    let before =
        run(&[&["audit", bench.recipe.to_str().unwrap(), "--json", "--set", mixture][..]].concat()).expect(0);
    let audit: Value = serde_json::from_str(&before.stdout).unwrap();
    let levels: Vec<u64> =
        audit["stages"].as_array().unwrap().iter().map(|stage| stage["level"].as_u64().unwrap()).collect();
    assert_eq!(levels, [4, 5, 6]);
    let folder = bench.trained("mixed", &settings);
    let after = run(&["audit", folder.0.to_str().unwrap(), "--json"]);
    let audit: Value = serde_json::from_str(&after.stdout).unwrap();
    let rows = folder.rows("rollouts.jsonl").len() as u64;
    assert!(audit.to_string().contains(&format!("\"judged_again\":{rows}")), "{rows}: {audit}");
}

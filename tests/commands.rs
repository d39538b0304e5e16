//! The commands that answer questions: other programs read their output.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::program::{Bench, TINY, json_lines, number, run, run_on, run_on_bytes};

/// A trained model for all tests here.
fn model() -> &'static str {
    static BENCH: OnceLock<(Bench, String)> = OnceLock::new();
    let (_, path) = BENCH.get_or_init(|| {
        let bench = Bench::new(TINY);
        let path = bench.trained("run", &[]).0.to_str().unwrap().to_owned();
        (bench, path)
    });
    path
}

fn list(what: &str) -> Vec<Value> {
    run(&["list", what, "--json"]).expect(0).json_lines()
}

fn listed(what: &str) -> Vec<String> {
    list(what).iter().map(|row| row["name"].as_str().expect("every row has a name").to_owned()).collect()
}

#[test]
fn what_there_is_can_be_listed() {
    for (what, known) in [("tasks", "parity"), ("verifiers", "exact")] {
        assert!(listed(what).iter().any(|name| name == known), "{what}: {known}");
        let text = run(&["list", what]).expect(0).stdout;
        assert_eq!(text.lines().count(), listed(what).len(), "a line each");
        for (line, name) in text.lines().zip(listed(what)) {
            assert!(line.starts_with(&name), "{line}");
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = crate::program::command(&["list", "recipes", "--json"]).current_dir(root).output().unwrap();
    let recipes = json_lines(&String::from_utf8(output.stdout).unwrap());
    for known in
        ["quickstart", "addition", "multiplication", "countdown", "program", "hanoi", "hanoi_moves", "smoke"]
    {
        assert!(recipes.iter().any(|row| row["name"] == known), "{known}");
    }
}

#[test]
fn a_shell_can_complete_the_commands() {
    let script = run(&["completions", "bash"]).expect(0).stdout;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &script).unwrap();
    let checked = std::process::Command::new("bash").arg("-n").arg(file.path()).status().unwrap();
    assert!(checked.success(), "bash cannot read its completions");
    for command in ["train", "check", "eval", "sample", "score", "verify", "generate", "list", "schema"] {
        assert!(script.contains(command), "{command}");
    }
}

/// Questions of `task` as `generate` writes them.
fn questions(task: &str, level: u64, count: u64, split: &str) -> Vec<Value> {
    let (level, count) = (level.to_string(), count.to_string());
    let arguments = ["generate", task, "--count", &count, "--seed", "5", "--level", &level, "--split", split];
    run(&arguments).expect(0).json_lines()
}

fn verify(verifier: &str, lines: &[Value]) -> Vec<Value> {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    run_on(&["verify", verifier], &input).expect(0).json_lines()
}

#[test]
fn every_tasks_own_answer_is_correct_in_both_forms() {
    for row in list("tasks") {
        let task = row["name"].as_str().unwrap();
        let (low, high) = (row["levels"][0].as_u64().unwrap(), row["levels"][1].as_u64().unwrap());
        for (level, split) in [(low, "train"), (low.midpoint(high), "test"), (high, "train")] {
            // A low level may have fewer questions than requested.
            let questions = questions(task, level, 8, split);
            let mut lines = Vec::new();
            for question in &questions {
                for key in ["id", "task", "level", "split", "prompt", "answer", "spec"] {
                    assert!(question.get(key).is_some(), "no `{key}` in {question}");
                }
                assert_eq!((&question["level"], &question["split"]), (&json!(level), &json!(split)));
                let answer = question["answer"].as_str().unwrap();
                for completion in [
                    format!("<think>x</think><answer>{answer}</answer>"),
                    format!("<answer>{answer}</answer>"),
                ] {
                    let mut line = question.clone();
                    line["completion"] = completion.into();
                    lines.push(line);
                }
            }
            let verdicts = verify(task, &lines);
            assert_eq!(verdicts.len(), lines.len());
            for (line, verdict) in lines.iter().zip(&verdicts) {
                assert_eq!(
                    (&verdict["verdict"], &verdict["score"]),
                    (&json!("correct"), &json!(1.0)),
                    "{line}"
                );
                assert_eq!(verdict["id"], line["id"]);
                assert!(verdict["extracted"].is_string() && verdict["reason"].is_string(), "{verdict}");
            }
        }
    }
}

#[test]
fn thinking_that_does_not_end_is_malformed_for_every_judge() {
    let echo = json!({"kind": "stdio", "tests": [{"stdin": "1\n", "stdout": "1\n"}]});
    let mut cases = vec![
        ("choice", "<answer>B</answer>".to_owned(), json!({"answer": "B"})),
        ("exact", "<answer>abc</answer>".to_owned(), json!({"answer": "abc"})),
        ("math", "\\boxed{12}".to_owned(), json!({"answer": "12"})),
        ("code", "```python\nprint(input())\n```\n".to_owned(), json!({"spec": echo})),
    ];
    let tasks: Vec<String> = listed("tasks").into_iter().collect();
    for task in &tasks {
        let question =
            run(&["generate", task, "--count", "1", "--seed", "3"]).expect(0).json_lines()[0].clone();
        let answer = format!("<answer>{}</answer>", question["answer"].as_str().unwrap());
        cases.push((task, answer, question));
    }
    for (judge, answer, item) in cases {
        let right = ["", "<think>so</think>", "so</think>"].map(|before| format!("{before}{answer}"));
        let open = [
            format!("<think>maybe {answer}, let me check"),
            format!("<think>a</think><think>maybe {answer}"),
            format!("<think>a</think>{answer}<think>or"),
            format!("<THINK>\n{answer}"),
        ];
        let lines: Vec<Value> = right
            .iter()
            .chain(&open)
            .map(|completion| {
                let mut line = item.clone();
                line["completion"] = completion.as_str().into();
                line
            })
            .collect();
        for (at, verdict) in verify(judge, &lines).iter().enumerate() {
            let expected = if at < right.len() { ("correct", 1.0) } else { ("malformed", 0.0) };
            let found = (verdict["verdict"].as_str().unwrap(), verdict["score"].as_f64().unwrap());
            assert_eq!(found, expected, "{judge}: {}: {verdict}", lines[at]["completion"]);
        }
    }
}

#[test]
fn no_completion_is_an_error_or_ends_the_program() {
    let deep = "(".repeat(20_000);
    let long = "9".repeat(200_000);
    let completions = [
        String::new(),
        "<answer></answer>".to_owned(),
        "<answer>".to_owned(),
        "\0\u{202e}<answer>\u{fffd}</answer>".to_owned(),
        format!("<answer>{deep}</answer>"),
        format!("<answer>{long}</answer>"),
        "<answer>".repeat(20_000),
        "<think>".repeat(20_000) + &"</think>".repeat(20_000),
    ];
    for task in listed("tasks") {
        let question = &run(&["generate", &task, "--count", "1", "--seed", "1"]).expect(0).json_lines()[0];
        let lines: Vec<Value> = completions
            .iter()
            .map(|completion| {
                let mut line = question.clone();
                line["completion"] = completion.as_str().into();
                line
            })
            .collect();
        for (verdict, line) in verify(&task, &lines).iter().zip(&lines) {
            let completion: String = line["completion"].as_str().unwrap().chars().take(60).collect();
            assert!(
                ["wrong", "malformed"].contains(&verdict["verdict"].as_str().unwrap()),
                "{task}: {completion}: {verdict}"
            );
            assert_eq!(verdict["score"], 0.0, "{task}: {completion}");
        }
    }
}

/// Ten megabytes, NUL bytes and deep nesting for every judge that runs no program.
#[test]
fn every_verifier_bears_what_is_huge_deep_or_no_text() {
    let huge = |piece: &str| piece.repeat((10 << 20) / piece.len());
    let completions = [
        huge("x"),
        huge("\0"),
        huge("<answer>"),
        huge("((("),
        huge("<think></think>"),
        format!("<answer>{}</answer>", huge("[{\"")),
        format!("<answer>{}</answer>", huge("9 ")),
        format!("<answer>\n```python\n{}\n```\n</answer>", huge("\0")),
    ];
    let general = listed("verifiers").into_iter().filter(|name| name != "external");
    let (general, tasks) = (general.map(|name| (name, completions.len())), listed("tasks"));
    for (name, count) in general.chain(tasks.into_iter().map(|name| (name, 4))) {
        let completions = &completions[..count];
        let question = match name.as_str() {
            "code" => {
                json!({"spec": {"kind": "function", "entry": "f", "tests": [{"args": [1], "expect": 1}]}})
            }
            "math" | "format" | "exact" => json!({"answer": "1"}),
            "choice" => json!({"answer": "A"}),
            task => run(&["generate", task, "--count", "1", "--seed", "2"]).expect(0).json_lines()[0].clone(),
        };
        let mut input = Vec::new();
        for (id, completion) in completions.iter().enumerate() {
            let mut line = question.clone();
            line["id"] = id.into();
            line["completion"] = completion.as_str().into();
            input.extend(line.to_string().into_bytes());
            // A line that is not UTF-8 is bad, but the next one is read.
            input.extend(b"\n{\"id\": 1, \"completion\": \"\xff\xfe\"}\n");
        }
        let started = std::time::Instant::now();
        let rows = run_on_bytes(&["verify", &name], &input).expect(1).json_lines();
        assert!(started.elapsed().as_secs() < 60, "{name} took {:?}", started.elapsed());
        assert_eq!(rows.len(), 2 * completions.len(), "{name}");
        for (id, pair) in rows.chunks(2).enumerate() {
            assert_eq!((&pair[0]["id"], &pair[0]["score"]), (&json!(id), &json!(0.0)), "{name}");
            let outcome = pair[0]["verdict"].as_str().unwrap();
            assert!(
                ["wrong", "malformed", "timeout"].contains(&outcome),
                "{name} {id}: {}",
                pair[0]["reason"]
            );
            assert!(pair[1]["error"].as_str().is_some_and(|error| error.contains("UTF-8")), "{name}");
        }
    }
}

#[test]
fn the_same_seed_asks_the_same_questions_and_no_split_shares_one() {
    for task in listed("tasks") {
        let ask = |seed: &str, split: &str| {
            run(&["generate", &task, "--count", "20", "--seed", seed, "--split", split]).expect(0).stdout
        };
        assert_eq!(ask("3", "train"), ask("3", "train"));
        assert_ne!(ask("3", "train"), ask("4", "train"));
        let prompts = |split: &str| -> Vec<Value> {
            json_lines(&ask("3", split)).iter().map(|line| line["prompt"].clone()).collect()
        };
        let test = prompts("test");
        assert!(prompts("train").iter().all(|prompt| !test.contains(prompt)), "{task}");
    }
}

#[test]
fn a_bad_line_is_told_and_the_rest_goes_on() {
    let good = r#"{"id":{"any":[1]},"completion":"<answer>4</answer>","answer":"4","spec":null}"#;
    let input = format!("{good}\nnot json\n[1,2]\n{{\"id\":1}}\n{good}\n\"\\ud800\"\n");
    let output = run_on(&["verify", "exact"], &input).expect(1);
    let rows = output.json_lines();
    assert_eq!(rows.len(), 6);
    for at in [0, 4] {
        assert_eq!((&rows[at]["id"], &rows[at]["verdict"]), (&json!({ "any": [1] }), &json!("correct")));
    }
    for (at, id) in [(1, Value::Null), (2, Value::Null), (3, json!(1)), (5, Value::Null)] {
        assert_eq!((&rows[at]["id"], &rows[at]["line"]), (&id, &json!(at + 1)), "{}", rows[at]);
        assert!(rows[at]["error"].as_str().is_some_and(|error| !error.is_empty()));
    }
    // A byte-order mark, blank lines, a numeric answer, a spec as text.
    let input =
        "\u{feff}\n\r\n{\"id\":7,\"completion\":\"<answer>4</answer>\",\"answer\":4}\n\n  \n{\"id\":8}\n";
    let rows = run_on(&["verify", "exact"], input).expect(1).json_lines();
    assert_eq!((&rows[0]["id"], &rows[0]["verdict"]), (&json!(7), &json!("correct")));
    assert_eq!((&rows[1]["id"], &rows[1]["line"]), (&json!(8), &json!(6)));
    let mut question = questions("countdown", 3, 1, "train").remove(0);
    question["completion"] = format!("<answer>{}</answer>", question["answer"].as_str().unwrap()).into();
    question["spec"] = question["spec"].to_string().into();
    assert_eq!(verify("countdown", &[question])[0]["verdict"], "correct");
    // No newline at the end.
    let output = run_on(&["verify", "exact"], good).expect(0);
    assert_eq!(output.json_lines().len(), 1);
    // An identifier comes back unchanged.
    for id in ["123456789012345678901234567890", "1.50", "[1, 2e400]", r#""\ud800""#] {
        let output = run_on(&["verify", "exact"], &good.replace(r#"{"any":[1]}"#, id)).expect(0);
        assert!(output.stdout.contains(&format!(r#""id":{id},"#)), "{}", output.stdout);
    }
}

#[test]
fn a_verifiers_settings_come_from_the_command_line() {
    let wrong = run_on(&["verify", "exact", "--config", "{\"no_such_setting\":1}"], "").expect(2);
    assert!(wrong.stderr.contains("no_such_setting"), "{}", wrong.stderr);
    run_on(&["verify", "exact", "--config", "{"], "").expect(2);
}

#[test]
fn a_model_is_measured() {
    let arguments =
        ["--task", "parity", "--level", "5..7", "--count", "12", "--samples", "4", "--seed", "2", "--json"];
    let of = |model: &str| run(&[&["eval", model], &arguments[..]].concat()).expect(0).stdout;
    let text = of(model());
    let rows = json_lines(&text);
    assert_eq!(rows.iter().map(|row| row["level"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 6, 7]);
    for row in &rows {
        assert_eq!((&row["task"], &row["count"], &row["samples"]), (&json!("parity"), &json!(12), &json!(4)));
        for share in ["accuracy", "maj_at_k", "truncated_share", "format_rate"] {
            let ends = [&row[format!("{share}_ci95")][0], &row[format!("{share}_ci95")][1]];
            let (low, value, high) =
                (ends[0].as_f64().unwrap(), number(row, share), ends[1].as_f64().unwrap());
            assert!(0.0 <= low && low <= value && value <= high && high <= 1.0, "{share}: {row}");
        }
        let pass: Vec<f64> = ["1", "2", "4"].iter().map(|k| number(&row["pass_at_k"], k)).collect();
        assert!(pass.is_sorted(), "more tries pass no less: {row}");
        assert_eq!(pass[0], number(row, "accuracy"));
        for mean in ["thinking_length_mean", "answer_length_mean", "length_mean"] {
            assert!(number(row, mean) >= 0.0);
        }
    }
    assert_eq!(
        of(&format!("{}/checkpoints/eval-1", model())),
        text,
        "the newest checkpoint is the run's model"
    );
    let one = run(&[&["eval", model()], &arguments[..], &["--threads", "1"]].concat()).expect(0).stdout;
    assert_eq!(one, text, "threads change nothing");
    let text = run(&["eval", model(), "--task", "parity", "--count", "4"]).expect(0).stdout;
    assert!(text.contains("level 6"), "by default at the level of the training: {text}");
}

#[test]
fn a_model_may_think_freely_not_at_all_or_so_much() {
    let eval = |think: &str| {
        let arguments = ["eval", model(), "--task", "parity", "--count", "24", "--think", think, "--json"];
        run(&arguments).expect(0).json_lines().pop().unwrap()
    };
    assert_eq!(number(&eval("none"), "thinking_length_mean"), 0.0);
    assert!(number(&eval("budget=2"), "thinking_length_mean") <= 2.0);
    assert_ne!(eval("free"), eval("none"));
    run(&["eval", model(), "--task", "parity", "--think", "much"]).expect(2);
}

#[test]
fn a_task_that_the_model_cannot_read_is_a_usage_error() {
    let output = run(&["eval", model(), "--task", "addition", "--level", "3", "--count", "2"]).expect(2);
    assert!(output.stderr.contains("alphabet"), "{}", output.stderr);
    let output = run(&["eval", model(), "--task", "parity", "--level", "64", "--count", "2"]).expect(2);
    assert!(output.stderr.contains("positions"), "{}", output.stderr);
    run(&["sample", model(), "--prompt", "what is 2+2?"]).expect(2);
}

#[test]
fn a_model_is_sampled() {
    let sample = |more: &[&str]| run(&[&["sample", model()], more].concat()).expect(0).stdout;
    let prompted = sample(&["--prompt", "010111=", "-n", "3", "--seed", "4"]);
    assert_eq!(prompted.lines().count(), 3);
    assert!(prompted.lines().all(|line| line.starts_with("010111=")), "{prompted}");
    assert_eq!(sample(&["--prompt", "010111=", "-n", "3", "--seed", "4"]), prompted);
    assert_ne!(sample(&["--prompt", "010111=", "-n", "3", "--seed", "5"]), prompted);
    let judged = sample(&["--task", "parity", "--level", "6", "-n", "4"]);
    assert_eq!(judged.lines().count(), 4);
    for line in judged.lines() {
        let verdicts = ["correct", "wrong", "malformed"];
        assert!(verdicts.iter().any(|verdict| line.contains(verdict)), "{line}");
    }
}

/// Scores `completion` after `prompt`: log-probabilities and entropies.
fn score(model: &str, pairs: &[(&str, &str)]) -> Vec<(Vec<f64>, Vec<f64>)> {
    let input: String = pairs
        .iter()
        .enumerate()
        .map(|(id, (prompt, completion))| {
            format!("{}\n", json!({ "id": id, "prompt": prompt, "completion": completion }))
        })
        .collect();
    let rows = run_on(&["score", model], &input).expect(0).json_lines();
    assert_eq!(rows.len(), pairs.len());
    let numbers = |row: &Value, key: &str| -> Vec<f64> {
        row[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    rows.iter()
        .enumerate()
        .map(|(id, row)| {
            assert_eq!(row["id"], id);
            let scored = (numbers(row, "logprobs"), numbers(row, "entropies"));
            assert_eq!(
                (scored.0.len(), scored.1.len()),
                (row["tokens"].as_array().unwrap().len(), scored.0.len())
            );
            scored
        })
        .collect()
}

#[test]
fn log_probabilities_are_those_of_one_distribution() {
    let symbols = ["<think>", "</think>", "<answer>", "</answer>", "0", "1", "="];
    let pairs: Vec<(&str, &str)> = symbols.iter().map(|symbol| ("010111=", *symbol)).collect();
    let scored = score(model(), &pairs);
    let entropy = scored[0].1[0];
    let probabilities: Vec<f64> = scored.iter().map(|(log, _)| log[0].exp()).collect();
    assert!(scored.iter().all(|(log, entropies)| log[0] <= 0.0 && entropies[0] == entropy));
    // The rest belongs to the end symbol and the padding, which no text can contain.
    let rest = 1.0 - probabilities.iter().sum::<f64>();
    assert!((-1e-6..0.5).contains(&rest), "{rest}");
    let known: f64 = probabilities.iter().map(|p| -p * p.ln()).sum();
    let most = if rest > 0.0 { -rest * (rest / 2.0).ln() } else { 0.0 };
    assert!(
        (known - 1e-5..=known + most + 1e-5).contains(&entropy),
        "{known} <= {entropy} <= {}",
        known + most
    );

    // A completion has the same probability token by token or all at once, and later tokens change nothing.
    let whole = &score(model(), &[("010111=", "<answer>0</answer>")])[0];
    assert_eq!(whole.0.len(), 3);
    let steps = [("010111=", "<answer>"), ("010111=<answer>", "0"), ("010111=<answer>0", "</answer>")];
    for ((log, entropies), (whole_log, whole_entropy)) in
        score(model(), &steps).iter().zip(whole.0.iter().zip(&whole.1))
    {
        assert!((log[0] - whole_log).abs() < 1e-5 && (entropies[0] - whole_entropy).abs() < 1e-5);
    }
    assert!(whole.1.iter().all(|entropy| *entropy >= 0.0 && *entropy <= 9f64.ln()));
    assert_eq!(score(model(), &[("010111=", "")])[0], (vec![], vec![]));
}

#[test]
fn a_run_and_its_newest_checkpoint_score_alike_and_an_older_one_does_not() {
    let pairs = [("010111=", "<think>0011</think><answer>1</answer>"), ("1=", "1")];
    let run = score(model(), &pairs);
    assert_eq!(score(&format!("{}/checkpoints/eval-1", model()), &pairs), run);
    assert_ne!(score(&format!("{}/checkpoints/pretrain-40", model()), &pairs), run);
}

#[test]
fn a_line_that_cannot_be_scored_is_told_and_the_rest_goes_on() {
    let long = format!("{{\"id\":7,\"prompt\":\"{}\",\"completion\":\"1\"}}", "0".repeat(5000));
    let good = r#"{"id":888888888888888888888888,"prompt":"01=","completion":"1"}"#;
    let foreign = r#"{"id":9,"prompt":"01=","completion":"yes"}"#;
    let input =
        format!("{long}\nnonsense\n{foreign}\n{good}\n{{\"id\":3,\"prompt\":\"\",\"completion\":\"1\"}}\n");
    let output = run_on(&["score", model()], &input).expect(1);
    assert!(output.stdout.contains(r#"{"id":888888888888888888888888,"#), "{}", output.stdout);
    let rows = output.json_lines();
    assert_eq!(rows.len(), 5);
    assert!(rows[3]["logprobs"][0].is_f64());
    for at in [0, 1, 2, 4] {
        assert!(rows[at]["error"].is_string() && rows[at]["line"] == at + 1, "{}", rows[at]);
    }
}

#[test]
fn a_benchmark_says_where_the_time_went() {
    let output =
        run(&["bench", "rollout", "--shape", "m", "--repeats", "1", "--profile", "--json"]).expect(0);
    let timing: Value = serde_json::from_str(&output.stdout).unwrap();
    for field in [
        "wall_s",
        "wall_s_min",
        "cpu_s",
        "tokens_per_s",
        "tokens_per_cpu_s",
        "gflops",
        "peak_gflops",
        "mfu",
        "peak_rss_mb",
    ] {
        assert!(timing[field].as_f64().unwrap() > 0.0, "{field}: {timing}");
    }
    assert_eq!((&timing["shape"], &timing["precision"]), (&"m".into(), &"float32".into()));
    assert!(timing["page_faults"].is_u64());
    // 128 sequences of 128 tokens at 4.82 MFLOP, and the prompts: as many operations as the shape needs.
    let flops = timing["gflops"].as_f64().unwrap() * timing["wall_s"].as_f64().unwrap();
    assert!((78.0..95.0).contains(&flops), "{flops}");
    let shares = timing["profile"].as_array().unwrap();
    let sum: f64 = shares.iter().map(|share| share["share"].as_f64().unwrap()).sum();
    assert!((0.9..1.1).contains(&sum), "{sum}");
    for part in ["projections", "attention", "experts", "feed_forward"] {
        let share = shares.iter().find(|share| share["part"] == part).unwrap();
        assert!(share["gflops"].as_f64().unwrap() > 0.0, "{part}");
    }
    let refused = run(&["bench", "rollout", "--precision", "half"]).expect(2).stderr;
    assert!(refused.contains("bf16x3"), "{refused}");
}

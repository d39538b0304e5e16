use serde_json::{Value, json};

use super::*;

fn folder(metrics: &[Value], rollouts: &[Value]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    fs::write(folder.path().join("metrics.jsonl"), lines(metrics)).unwrap();
    fs::write(folder.path().join("rollouts.jsonl"), lines(rollouts)).unwrap();
    fs::write(
        folder.path().join("recipe.toml"),
        "name = \"t\"\nseed = 1\n[[stage]]\nkind = \"grpo\"\nsteps = 3\n",
    )
    .unwrap();
    fs::write(folder.path().join("manifest.json"), json!({ "name": "t", "seed": 1 }).to_string()).unwrap();
    let ledger =
        json!({ "total": { "cpu_s": { "forward": 2.0, "eval": 0.5, "optimizer": 0.0 }, "cost_usd": 1e-4 } });
    fs::write(folder.path().join("ledger.json"), ledger.to_string()).unwrap();
    fs::write(folder.path().join("summary.json"), json!({ "status": "done" }).to_string()).unwrap();
    folder
}

fn grpo(step: u64) -> Value {
    json!({
        "stage": "grpo", "kind": "grpo", "step": step, "wall_s": step, "flops": 1e9 * step as f64,
        "cost_usd": 1e-6 * step as f64, "reward_mean": 0.5 + 0.1 * step as f64, "accuracy": 0.5, "length_mean": 10.0,
        "length_max": 12.0, "entropy": 0.3, "kl": 0.01, "clip_low_share": 0.0, "clip_high_share": 0.01,
        "groups_used_share": 0.9, "format_rate": 1.0, "truncated_share": 0.0, "reflection_rate": 0.1, "backtracks": 0.2,
        "thinking_share": 0.4, "expert_load_max_over_mean": 1.4, "expert_load": [[0.5, 0.25, 0.25], [0.2, 0.4, 0.4]],
        "rewards": { "correct": 0.5, "format": 1.0 }, "alarms": if step == 2 { json!(["entropy_collapse"]) } else { json!([]) }
    })
}

fn eval(step: u64, accuracy: f64) -> Value {
    json!({
        "stage": "grpo", "kind": "eval", "step": step, "task": "parity", "level": 16, "count": 256, "accuracy": accuracy,
        "accuracy_ci95": [accuracy - 0.05, accuracy + 0.05], "greedy_accuracy": accuracy,
        "greedy_accuracy_ci95": [accuracy - 0.05, accuracy + 0.05], "length_mean": 11.0, "length_mean_ci95": [10.0, 12.0],
        "pass_at_k": { "1": accuracy, "2": accuracy + 0.01 }
    })
}

fn whole() -> Vec<Value> {
    vec![
        json!({ "stage": "base", "kind": "pretrain", "step": 1, "loss": 3.0 }),
        json!({ "stage": "base", "kind": "pretrain", "step": 2, "loss": 2.0 }),
        eval(0, 0.55),
        grpo(1),
        grpo(2),
        grpo(3),
        eval(3, 0.9),
    ]
}

fn rollout(step: u64, completion: &str) -> Value {
    json!({
        "stage": "grpo", "step": step, "prompt": "01=", "answer": "1", "completion": completion, "verdict": "correct",
        "reward": 1.0, "advantage": 0.5, "length": 7
    })
}

fn page_of(folder: &tempfile::TempDir) -> String {
    html(&[RunRecord::read(folder.path()).unwrap()])
}

#[test]
fn a_whole_run_has_every_figure_and_its_headline() {
    let folder = folder(&whole(), &[rollout(1, "<think>ab</think><answer>1</answer>")]);
    let record = RunRecord::read(folder.path()).unwrap();
    assert_eq!(record.problems, Vec::<String>::new());
    let ids: Vec<String> =
        figures(std::slice::from_ref(&record)).into_iter().map(|figure| figure.id).collect();
    let expected = [
        "reward",
        "reward-terms",
        "accuracy",
        "length",
        "entropy",
        "kl",
        "clip",
        "batch",
        "behaviours",
        "expert-balance",
        "pretrain-loss",
        "pass-at-k",
        "experts",
        "reward-flops",
        "reward-dollars",
        "cost",
    ];
    assert_eq!(ids, expected);
    let page = html(&[record]);
    for id in expected {
        assert_eq!(page.matches(&format!("id=\"figure-{id}\"")).count(), 1, "{id}");
    }
    for text in
        ["55.0 %", "90.0 %", "[85.0, 95.0]", "Alarm entropy collapse", "class=\"thinking\"", "t, seed 1"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("http://") || !page.contains("src=\"http"), "loads from elsewhere");
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn the_same_files_give_the_same_bytes_wherever_they_lie() {
    let first = folder(&whole(), &[rollout(1, "x")]);
    let second = folder(&whole(), &[rollout(1, "x")]);
    let page = page_of(&first);
    assert!(page == page_of(&second), "the reports of the same files differ");
    let path = write(first.path()).unwrap();
    assert!(fs::read_to_string(path).unwrap() == page, "the report that was written differs");
}

#[test]
fn hostile_completions_stay_text() {
    let attack =
        "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)>&lt;\0\u{202e}\u{1b}[31m\"'";
    let folder =
        folder(&whole(), &[rollout(1, attack), rollout(2, &"<answer>".repeat(50_000)), rollout(3, "")]);
    let page = page_of(&folder);
    assert!(!page.contains("<script") && !page.contains("<img"), "markup of a completion came through");
    assert!(!page.contains(['\0', '\u{1b}', '\u{202e}']), "a control character came through");
    assert!(page.contains("&lt;img src=x onerror=alert(2)&gt;&amp;lt;\u{2400}"));
    assert!(page.len() < 2_000_000, "{}", page.len());
}

#[test]
fn hostile_names_stay_text() {
    let folder = folder(&whole(), &[]);
    let name = "<script>alert(1)</script> $\\frac{1}{2}$ \" ' & \u{0}";
    fs::write(folder.path().join("manifest.json"), json!({ "name": name, "cpu": name }).to_string()).unwrap();
    let mut records = read_all(&[folder.path().to_owned(), folder.path().to_owned()]).unwrap();
    records[1].metrics.iter_mut().for_each(|row| {
        row.insert("rewards".to_owned(), json!({ name: 1.0 }));
    });
    let page = html(&records);
    assert!(!page.contains("<script"), "markup of a name came through");
}

#[test]
fn poor_runs_have_poor_reports_and_no_empty_frames() {
    let odd: Vec<Vec<Value>> = vec![
        vec![grpo(1)],
        vec![eval(0, 0.5)],
        vec![json!({ "stage": "base", "kind": "pretrain", "step": 1, "loss": 3.0 })],
        vec![json!({})],
        vec![json!({ "kind": "grpo", "stage": 7, "step": "x", "reward_mean": null, "expert_load": [[]], "alarms": [1] })],
        vec![json!({ "kind": "grpo", "step": 1, "reward_mean": 1e300, "loss": -1e300, "flops": -5.0, "expert_load": [[0.0, 0.0]] }),
             json!({ "kind": "grpo", "step": 1, "reward_mean": -1e300, "flops": 1e308, "expert_load": [[0.5]] })],
        (0..2000).map(|step| json!({ "kind": "grpo", "stage": "g", "step": step, "reward_mean": 0.0, "entropy": 1e-300 })).collect(),
    ];
    for metrics in odd {
        let folder = folder(&metrics, &[json!({ "step": 1 }), json!({ "completion": 3, "stage": "s" })]);
        let record = RunRecord::read(folder.path()).unwrap();
        let page = html(std::slice::from_ref(&record));
        assert_eq!(page.matches("<figure").count(), page.matches("<svg").count(), "{:?}", metrics.first());
        let out = tempfile::tempdir().unwrap();
        let ids = write_figures(out.path(), &[record]).unwrap();
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2 * ids.len());
    }
}

#[test]
fn damage_is_told_and_survived() {
    let folder = folder(&whole(), &[]);
    let path = |name: &str| folder.path().join(name);
    let mut journal = fs::read(path("metrics.jsonl")).unwrap();
    journal.extend(b"{\"broken\"\n\xff\xfe\n{\"stage\":\"grpo\",\"ki");
    fs::write(path("metrics.jsonl"), journal).unwrap();
    fs::write(path("ledger.json"), "{").unwrap();
    fs::write(path("recipe.toml"), "= not toml").unwrap();
    for name in ["manifest.json", "summary.json", "rollouts.jsonl"] {
        fs::remove_file(path(name)).unwrap();
    }
    let record = RunRecord::read(folder.path()).unwrap();
    assert_eq!(record.metrics.len(), whole().len());
    let page = html(&[record]);
    for text in ["2 damaged lines", "incomplete", "ledger.json is damaged", "manifest.json is missing"] {
        assert!(page.contains(text), "{text}");
    }
    fs::write(path("metrics.jsonl"), "").unwrap();
    assert!(matches!(RunRecord::read(folder.path()), Err(ReportError::Empty { .. })));
    fs::remove_file(path("metrics.jsonl")).unwrap();
    assert!(RunRecord::read(folder.path()).is_err_and(|error| error.is_usage()));
}

#[test]
fn several_runs_lie_over_one_another_with_what_their_recipes_differ_in() {
    let (first, second) = (folder(&whole(), &[]), folder(&whole(), &[]));
    let recipe = "name = \"t\"\nseed = 2\n[[stage]]\nkind = \"grpo\"\nsteps = 3\n";
    fs::write(second.path().join("recipe.toml"), recipe).unwrap();
    fs::write(second.path().join("manifest.json"), json!({ "name": "t", "seed": 2 }).to_string()).unwrap();
    let records = read_all(&[first.path().to_owned(), second.path().to_owned()]).unwrap();
    let page = html(&records);
    assert!(page.contains("<tr><th scope=\"row\">seed</th><td>1</td><td>2</td></tr>"));
    assert!(!page.contains("<th scope=\"row\">name</th>"));
    let reward = figures(&records).into_iter().next().unwrap();
    let Content::Lines(lines) = reward.content else { panic!("lines") };
    assert_eq!(lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["t, seed 1", "t, seed 2"]);
    // The same run twice gets two labels.
    let twice = read_all(&[first.path().to_owned(), first.path().to_owned()]).unwrap();
    assert_ne!(twice[0].label, twice[1].label);
}

#[test]
fn figures_are_files_that_programs_open() {
    let folder = folder(&whole(), &[]);
    let out = tempfile::tempdir().unwrap();
    let ids = write_figures(out.path(), &[RunRecord::read(folder.path()).unwrap()]).unwrap();
    assert_eq!(ids.len(), 16);
    for id in ids {
        let png = fs::read(out.path().join(format!("{id}.png"))).unwrap();
        assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n", "{id}");
        let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
        assert!((1000..3000).contains(&width), "{id}: {width}");
        let svg = fs::read_to_string(out.path().join(format!("{id}.svg"))).unwrap();
        assert!(svg.contains("<svg") && !svg.contains("var(--"), "{id}");
    }
}

#[test]
fn a_table_has_a_column_a_scalar_and_quotes_what_it_must() {
    let folder = folder(&whole(), &[]);
    let text = csv(&[RunRecord::read(folder.path()).unwrap()]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), whole().len() + 1);
    assert!(lines[0].starts_with("run,stage,kind,task,level,step,loss"), "{}", lines[0]);
    assert_eq!(
        lines[1],
        format!("\"t, seed 1\",base,pretrain,,,1,3{}", ",".repeat(lines[0].matches(',').count() - 6))
    );
    let columns: Vec<&str> = lines[0].split(',').collect();
    let at = columns.iter().position(|column| *column == "accuracy_ci95/low").unwrap();
    // The label contains a comma.
    let low: f64 = lines[3].split(',').nth(at + 1).unwrap().parse().unwrap();
    assert!((low - 0.5).abs() < 1e-9);
}

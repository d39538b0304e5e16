//! Files of questions: checked line by line, and compared with held-out files.

use std::fs;

use serde_json::json;

use crate::program::{Bench, TINY, run};

const LONG: &str =
    "A farmer has seventeen sheep and all but nine of them run away so how many are left over now";

fn file(bench: &Bench, name: &str, lines: &[String]) -> String {
    let path = bench.path(name);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    path.to_str().unwrap().to_owned()
}

fn line(prompt: &str) -> String {
    json!({ "prompt": prompt, "answer": "9" }).to_string()
}

#[test]
fn a_bad_line_is_named_counted_and_ends_with_1() {
    let bench = Bench::new("");
    let gsm8k = json!({ "question": "2 and 2?", "answer": "They are\n#### 4" }).to_string();
    let good = file(&bench, "good.jsonl", &[line("a"), line("b"), line("a"), gsm8k.clone()]);
    let told = run(&["data", "check", &good, "--json"]).expect(0).json_lines();
    assert_eq!((&told[0]["good"], &told[0]["bad"]), (&json!(4), &json!(0)));
    let count = |key: &str| told[0][key].as_u64().unwrap();
    assert_eq!(count("train") + count("test"), 3);
    assert_eq!(count("train_duplicates") + count("test_duplicates"), 1);

    let bad = file(&bench, "bad.jsonl", &[line("a"), "{".to_owned(), json!({ "question": "x" }).to_string()]);
    let output = run(&["data", "check", &bad]).expect(1);
    for told in ["bad.jsonl, line 2: not JSON", "bad.jsonl, line 3: `answer` is missing"] {
        assert!(output.stderr.contains(told), "{}", output.stderr);
    }
    assert!(output.stdout.contains("1 good lines, 2 faulty"), "{}", output.stdout);
    // The third line of the good file has only the answer 9, which is not a letter.
    run(&["data", "check", &good, "--verifier", "math"]).expect(0);
    let refused = run(&["data", "check", &good, "--verifier", "choice", "--json"]).expect(1);
    assert_eq!(refused.json_lines()[0]["bad"], 4);

    run(&["data", "check", "/no/such.jsonl"]).expect(2);
    let wrong = run(&["data", "check", &good, "--verifier", "maths"]).expect(2);
    assert!(wrong.stderr.contains("math"), "{}", wrong.stderr);
}

/// `data check` and a recipe take the same lines and leave out the same, for the same reasons.
#[test]
fn a_file_is_checked_as_a_recipe_reads_it() {
    let bench = Bench::new("");
    let mut lines: Vec<String> = (0..40).map(|n| line(&format!("{n} and how many are 9?"))).collect();
    let odd = |prompt: &str, answer: &str| json!({ "prompt": prompt, "answer": answer }).to_string();
    lines.extend([
        odd("empty", ""),
        odd("blank", " "),
        odd("a placeholder", "your answer here"),
        odd("a list", "1, 2 or 3"),
        odd("half a box", "\\boxed{9"),
        odd("prose", "The 9 apples, she thought, were probably not hers to count."),
        odd("a tag", "<answer>9</answer>"),
        json!({ "prompt": "nothing to judge by" }).to_string(),
        json!({ "prompt": "a level too high", "answer": "9", "level": 4000 }).to_string(),
        json!({ "question": "no mark", "answer": "9" }).to_string(),
        line("0 and how many are 9?"),
    ]);
    let path = file(&bench, "mixed.jsonl", &lines);
    for (verifier, settings) in
        [("math", "{}"), ("math", "{\"extraction\": \"lenient\"}"), ("exact", "{\"ignore_case\": true}")]
    {
        let told = run(&["data", "check", &path, "--verifier", verifier, "--config", settings, "--json"]);
        let told = told.expect(1).json_lines()[0].clone();
        let table = settings.replace(": ", " = ").replace("\"extraction\"", "extraction");
        let table = table.replace("\"ignore_case\"", "ignore_case");
        let recipe = TINY
            .replace("level = 6", &format!("file = {path:?}\nverifier = {verifier:?}\nsettings = {table}"));
        let bench = Bench::new(
            &recipe.replace("name = \"parity\"", "name = \"mixed\"").replace("long = 0.1", "long = 0"),
        );
        let plan =
            run(&["check", bench.recipe.to_str().unwrap(), "--json"]).expect(0).json_lines()[0].clone();
        let warnings: Vec<&str> =
            plan["warnings"].as_array().unwrap().iter().filter_map(|told| told.as_str()).collect();
        let (good, bad) = (told["good"].as_u64().unwrap(), told["bad"].as_u64().unwrap());
        assert!(bad >= 5, "{told}");
        let left_out = format!("{bad} of {} lines are faulty and left out", good + bad);
        assert!(warnings.iter().any(|warning| warning.contains(&left_out)), "{left_out}: {warnings:#?}");
        for complaint in told["complaints"].as_array().unwrap().iter().take(5) {
            let complaint = complaint.as_str().unwrap();
            assert!(warnings.iter().any(|warning| warning.contains(complaint)), "{complaint}: {warnings:#?}");
        }
    }
    let unchecked = run(&["data", "check", &path, "--json"]).expect(1);
    assert!(unchecked.stderr.contains("were not checked"), "{}", unchecked.stderr);
    assert_eq!(unchecked.json_lines()[0]["bad"], 4, "what no recipe takes, whatever its verifier");
}

#[test]
fn lines_that_repeat_held_out_ones_are_found_and_left_out() {
    let bench = Bench::new("");
    let test = file(&bench, "test.jsonl", &[line(LONG), line("How many legs have two cats?")]);
    let quoted = line(&format!("Read this. {} Well?", LONG.to_uppercase()));
    let kept = [
        line("Something else altogether, that nobody has asked before in any of the files here"),
        line("1+1"),
    ];
    let train = file(
        &bench,
        "train.jsonl",
        &[kept[0].clone(), quoted, kept[1].clone(), line("how many legs have two cats")],
    );
    let out = bench.path("clean.jsonl");
    let out = out.to_str().unwrap();
    let arguments = ["data", "decontaminate", &train, "--against", &test, "--out", out, "--json"];
    let told = run(&arguments).expect(0).json_lines();
    assert_eq!((&told[0]["contaminated"], &told[0]["kept"]), (&json!(2), &json!(2)));
    assert_eq!((&told[0]["lines"][0]["line"], &told[0]["lines"][1]["line"]), (&json!(2), &json!(4)));
    assert_eq!(fs::read_to_string(out).unwrap(), kept.join("\n") + "\n");
    // With sequences longer than the quotation, only complete repeats are found.
    let longer = run(&["data", "decontaminate", &train, "--against", &test, "--n", "40", "--json"]).expect(0);
    assert_eq!(longer.json_lines()[0]["contaminated"], 2);
    let text = run(&["data", "decontaminate", &train, "--against", &test]).expect(0).stdout;
    assert!(text.contains("train.jsonl, line 2: repeats line 1") && text.contains("2 of 4 lines"), "{text}");

    let few = run(&["data", "decontaminate", &train, "--against", &test, "--n", "2"]).expect(2);
    assert!(few.stderr.contains("`words` is 2"), "{}", few.stderr);
    let same = run(&["data", "decontaminate", &train, "--against", &test, "--out", &train]).expect(2);
    assert!(same.stderr.contains("overwrite"), "{}", same.stderr);
    let bad = file(&bench, "half.jsonl", &[line("fine"), "{".to_owned()]);
    let half = run(&["data", "decontaminate", &bad, "--against", &test, "--json"]).expect(1);
    assert!(half.stderr.contains("half.jsonl, line 2"), "{}", half.stderr);
}

#[test]
fn a_table_is_no_place_for_json_lines() {
    let bench = Bench::new("");
    let lines = file(&bench, "lines.jsonl", &[line("fine")]);
    let out = bench.path("clean.parquet");
    let arguments = ["data", "decontaminate", &lines, "--against", &lines, "--out", out.to_str().unwrap()];
    let refused = run(&arguments).expect(2);
    assert!(refused.stderr.contains("--out writes JSON lines") && !out.exists(), "{}", refused.stderr);
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_table_that_cannot_be_read_says_what_to_do() {
    let bench = Bench::new(
        &TINY
            .replace("level = 6", "file = \"table.parquet\"\nverifier = \"math\"")
            .replace("\"parity\"", "\"table\""),
    );
    let table = file(&bench, "table.parquet", &["PAR1".to_owned()]);
    let lines = file(&bench, "lines.jsonl", &[line("fine")]);
    let recipe = bench.recipe.to_str().unwrap();
    for arguments in [
        &["data", "check", &table][..],
        &["data", "check", &table, "--verifier", "math"],
        &["data", "decontaminate", &table, "--against", &lines],
        &["data", "decontaminate", &lines, "--against", &table],
        &["check", recipe, "--set", &format!("task.file={table:?}")],
    ] {
        let refused = run(arguments).expect(2);
        for told in ["table.parquet", "`--features parquet`", "to_json"] {
            assert!(refused.stderr.contains(told), "{arguments:?}: {}", refused.stderr);
        }
    }
}

#[test]
fn a_puzzle_without_a_solution_is_refused_by_name() {
    let bench = Bench::new(&TINY.replace("\"parity\"", "\"river_crossing\""));
    let refused = run(&["check", bench.recipe.to_str().unwrap()]).expect(2);
    assert!(
        refused.stderr.contains("level 6: 6 pairs cannot cross in a boat of 3")
            && refused.stderr.contains("`boat = 4`"),
        "{}",
        refused.stderr
    );
    let refused = run(&[
        "generate",
        "river_crossing",
        "--count",
        "1",
        "--seed",
        "1",
        "--level",
        "6",
        "--settings",
        "{\"boat\": 3}",
    ])
    .expect(2);
    assert!(
        refused.stderr.contains("river_crossing") && refused.stderr.contains("level 6"),
        "{}",
        refused.stderr
    );
}

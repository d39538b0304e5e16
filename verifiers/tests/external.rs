//! Judges that are separate programs: correct ones, and ones that fail in every way.
#![cfg(unix)]

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use thinkling_verifiers::external::{External, Failure, Settings};
use thinkling_verifiers::{Item, Outcome, Verdict, Verifier};

fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/external").join(name);
    path.display().to_string()
}

fn python(arguments: &[&str]) -> External {
    let command = std::iter::once("python3").chain(arguments.iter().copied()).map(str::to_owned).collect();
    External::new(Settings { command, time_limit_s: 30.0, output_limit_bytes: 4096 }).expect("python3 starts")
}

/// A judge that runs `body` in its loop, with `line` and `item`.
fn judge(body: &str) -> External {
    python(&[
        "-c",
        &format!(
            "import sys, json, os, time\nfor line in sys.stdin:\n    item = json.loads(line)\n    {body}"
        ),
    ])
}

fn verdict(external: &External, completion: &str) -> Verdict {
    external.verify(&Item { completion, answer: Some("abc"), spec: None })
}

#[test]
fn the_example_judges() {
    let external = python(&[&example("judge.py")]);
    let right = verdict(&external, "<think>x</think><answer>cba</answer>");
    assert_eq!(
        (right.score, right.outcome, right.extracted.as_deref()),
        (1.0, Outcome::Correct, Some("cba"))
    );
    assert_eq!(verdict(&external, "<answer>abc</answer>").outcome, Outcome::Wrong);
    assert_eq!(verdict(&external, "").outcome, Outcome::Malformed);
    assert_eq!(verdict(&external, &"\0".repeat(10_000_000)).outcome, Outcome::Malformed);
    assert!(verdict(&external, "<answer>cba</answer>").is_correct());
}

#[test]
fn thinking_that_does_not_end_is_refused_before_the_judge_is_asked() {
    let generous = judge("print(json.dumps({'id': item['id'], 'score': 1}), flush=True)");
    assert!(verdict(&generous, "<think>a</think><answer>b</answer>").is_correct());
    assert!(verdict(&generous, "b").is_correct());
    assert_eq!(verdict(&generous, "<think>maybe <answer>b</answer>").outcome, Outcome::Malformed);
}

#[test]
fn every_failure_is_an_error_and_the_next_item_is_judged() {
    let answer = "print(json.dumps({'id': item['id'], 'score': 1}), flush=True)";
    let failures = [
        ("os._exit(1)", "ended"),
        ("os.kill(os.getpid(), 9)", "ended"),
        ("sys.stdout.write('{\"id\": '); sys.stdout.flush(); os._exit(0)", "ended"),
        ("print('', flush=True)", "not usable"),
        ("print('[' * 4000, flush=True)", "not usable"),
        ("print('nonsense', flush=True)", "not usable"),
        ("print(json.dumps({'id': -1, 'score': 1}), flush=True)", "id"),
        ("print(json.dumps({'id': item['id'], 'score': 2}), flush=True)", "score"),
        (
            "print(json.dumps({'id': item['id'], 'score': 0.5, 'verdict': 'malformed'}), flush=True)",
            "must be 0",
        ),
        (
            "print(json.dumps({'id': item['id'], 'score': 0.5, 'verdict': 'timeout'}), flush=True)",
            "must be 0",
        ),
        ("print(json.dumps({'id': item['id'], 'score': float('nan')}), flush=True)", "not usable"),
        ("print(json.dumps({'id': item['id'], 'score': 0, 'verdict': 'correct'}), flush=True)", "verdict"),
        ("print(json.dumps({'id': item['id'], 'error': 'no'}), flush=True)", "no"),
        ("sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush()", "not usable"),
        ("print('x' * 100000, flush=True)", "more than 4096 bytes"),
        ("sys.stdout.write('x' * 100000); sys.stdout.flush()", "more than 4096 bytes"),
    ];
    for (failure, part) in failures {
        let external = judge(&format!("if item['completion'] == 'bad': {failure}\n    else: {answer}"));
        assert!(verdict(&external, "good").is_correct());
        let found = verdict(&external, "bad");
        assert_eq!(found.outcome, Outcome::Error, "{failure}");
        assert!(found.reason.contains(part), "{failure}: {}", found.reason);
        assert!(verdict(&external, "good").is_correct(), "after {failure}");
    }
}

#[test]
fn a_program_that_ends_at_once_or_closes_its_input_is_an_error_each_time() {
    for source in ["", "import sys; sys.exit(3)", "import os, time; os.close(0); time.sleep(60)"] {
        let command = vec!["python3".to_owned(), "-c".to_owned(), source.to_owned()];
        let external =
            External::new(Settings { command, time_limit_s: 2.0, output_limit_bytes: 4096 }).unwrap();
        for completion in ["x", &"x".repeat(1_000_000)] {
            let found = verdict(&external, completion);
            assert_eq!(found.outcome, Outcome::Error, "{source}: {}", found.reason);
        }
    }
}

#[test]
fn a_program_that_hangs_or_dies_between_items_is_replaced() {
    let body = "if item['completion'] == 'bad': time.sleep(1000)\n    \
                print(json.dumps({'id': item['id'], 'score': 1}), flush=True)\n    \
                if item['completion'] == 'last': os._exit(0)\n    \
                if item['completion'] == 'chatty': print('more', flush=True)";
    let source = format!(
        "import sys, json, os, time\nfor line in sys.stdin:\n    item = json.loads(line)\n    {body}"
    );
    let command = vec!["python3".to_owned(), "-c".to_owned(), source];
    let external = External::new(Settings { command, time_limit_s: 3.0, output_limit_bytes: 4096 }).unwrap();
    let late = verdict(&external, "bad");
    assert_eq!(late.outcome, Outcome::Error);
    assert!(late.reason.contains("within 3 s"), "{}", late.reason);
    for completion in ["good", "last", "good", "chatty", "good"] {
        let found = verdict(&external, completion);
        assert!(found.is_correct(), "{completion}: {}", found.reason);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_judge_that_ends_after_each_answer_is_started_for_each() {
    let external = judge("print(json.dumps({'id': item['id'], 'score': 1}), flush=True); os._exit(0)");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let found = verdict(&external, "x");
                    assert!(found.is_correct(), "{}", found.reason);
                }
            });
        }
    });
}

#[test]
fn a_hostile_judge_costs_its_own_items_only() {
    let answer = "print(json.dumps({'id': item['id'], 'score': 1}), flush=True)";
    // What happens to the bad item, and what the reason says. The items around it are judged.
    let hostile = [
        ("pass", "within 3 s"),
        ("print(json.dumps({'id': item['id'] - 1, 'score': 1}), flush=True)", "id"),
        ("os.fork() == 0 and time.sleep(30); os._exit(0)", "within 3 s"),
        ("os.close(1); time.sleep(30)", "ended"),
        ("[(time.sleep(0.1), os.write(1, b'{')) for _ in range(100)]", "within 3 s"),
        ("os.write(2, b'x' * 1000); os.closerange(0, 3); os._exit(0)", "ended"),
        ("[os.write(1, b'x') for _ in iter(int, 1)]", "bytes"),
        ("[os.write(1, b'\\n') for _ in iter(int, 1)]", "not usable"),
    ];
    for (act, part) in hostile {
        let source = format!(
            "import sys, json, os, time\nfor line in sys.stdin:\n    item = json.loads(line)\n    \
             if item['completion'] == 'bad': {act}\n    else: {answer}"
        );
        let command = vec!["python3".to_owned(), "-c".to_owned(), source];
        let external =
            External::new(Settings { command, time_limit_s: 3.0, output_limit_bytes: 4096 }).unwrap();
        assert!(verdict(&external, "good").is_correct());
        let found = verdict(&external, "bad");
        assert_eq!(found.outcome, Outcome::Error, "{act}: {}", found.reason);
        assert!(found.reason.contains(part), "{act}: {}", found.reason);
        for _ in 0..3 {
            let found = verdict(&external, "good");
            assert!(found.is_correct(), "after {act}: {}", found.reason);
        }
    }
    let twice = judge(&format!("{answer}; {answer}"));
    for _ in 0..10 {
        // The second answer may arrive while the next item is asked. That is then an error, but never another item's
        // score.
        let found = verdict(&twice, "x");
        assert!(found.is_correct() || found.outcome == Outcome::Error, "{}", found.reason);
    }
}

#[test]
fn threads_do_not_wait_for_each_other() {
    let external = judge("time.sleep(0.3); print(json.dumps({'id': item['id'], 'score': 1}), flush=True)");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(verdict(&external, "x").is_correct()));
        }
    });
}

#[test]
fn a_program_poses_questions() {
    let body = "p = item['pose']; print(json.dumps({'id': item['id'], 'prompt': '%d/%d' % (p['seed'], p['level']), 'answer': '1'}), flush=True)";
    let external = judge(body);
    let posed = external.pose(u64::MAX, 3, &Map::new()).unwrap();
    assert_eq!((posed.prompt.as_str(), posed.answer.as_deref()), ("18446744073709551615/3", Some("1")));
    assert_eq!(external.pose(u64::MAX, 3, &Map::new()).unwrap(), posed);
    assert!(matches!(
        judge("print(json.dumps({'id': item['id']}), flush=True)").pose(1, 1, &Map::new()),
        Err(Failure::Answer(_))
    ));
}

#[test]
fn a_program_that_was_killed_is_asked_once_more() {
    let mark = std::env::temp_dir().join(format!("thinkling-died-{}", std::process::id()));
    let external = judge(&format!(
        "if not os.path.exists({mark:?}): open({mark:?}, 'w').close(); os.kill(os.getpid(), 9)\n    \
         print(json.dumps({{'id': item['id'], 'score': 1}}), flush=True)"
    ));
    assert!(verdict(&external, "x").is_correct());
    std::fs::remove_file(&mark).expect("it has died once");
}

#[test]
fn a_wrong_answer_is_reported_with_its_line_and_the_expected_form() {
    let failure = judge("print(json.dumps({'id': item['id'], 'question': 'no'}), flush=True)")
        .pose(1, 1, &Map::new())
        .unwrap_err()
        .to_string();
    for part in ["missing field `prompt`", "expected {\"id\": as asked", "\\\"question\\\": \\\"no\\\""] {
        assert!(failure.contains(part), "{part}: {failure}");
    }
}

#[test]
fn settings_are_checked() {
    let start = |settings: Value| {
        let row = thinkling_verifiers::find("external").unwrap();
        (row.build)(&settings).map(drop).map_err(|error| error.to_string())
    };
    assert!(start(json!(null)).unwrap_err().contains("`command` is missing"));
    assert!(start(json!({"command": ["/nonexistent/judge"]})).unwrap_err().contains("/nonexistent/judge"));
    assert!(start(json!({"command": ["cat"], "time_limit_s": 0})).unwrap_err().contains("time_limit_s"));
    assert!(start(json!({"command": ["cat"], "colour": 1})).unwrap_err().contains("colour"));
}

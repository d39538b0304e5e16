//! Checks for every domain in the table what the trait promises, with the same code.
//!
//! `THINKLING_CONTRACT_TASKS` sets how many questions per domain are checked. Each hostile text has its own time limit.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what is wrong")]

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use thinkling_datasets::domains::{DOMAINS, Row};
use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Dataset, Domain, Problem, Question, Solution, SolutionKind, Split};
use thinkling_verifiers::{Item, Outcome, Verdict, answer};

/// Domains whose questions have several right answers (paths, plans, placements, terms, programs). There, the answer of
/// another item may be right by chance.
const SEVERAL_ANSWERS: &[&str] = &[
    "blocks_world",
    "checker_jumping",
    "countdown",
    "hanoi",
    "maze",
    "n_queens",
    "program_synthesis",
    "puzzle24",
    "river_crossing",
    "shortest_path",
];

const SPLITS: [Split; 2] = [Split::Train, Split::Test];

/// Questions per domain; `THINKLING_CONTRACT_TASKS=10000` for a thorough run.
fn question_count() -> u64 {
    let default = 100;
    std::env::var("THINKLING_CONTRACT_TASKS").map_or(default, |count| count.parse().unwrap())
}

fn default_domain(row: &Row) -> Box<dyn Domain> {
    (row.build)(&Value::Null).unwrap()
}

/// Settings to test besides the defaults.
fn variants(name: &str) -> Vec<Value> {
    match name {
        "base_conversion" => vec![json!({ "bases": [7, 2, 16] })],
        "basic_arithmetic" => vec![json!({ "max_number": 99, "max_value": 9999 })],
        "chain_sum" => vec![json!({ "digits": 1 }), json!({ "digits": 9 })],
        "countdown" => vec![
            json!({ "operations": "+-*", "max_value": 98, "gives_up": 0.25, "unary_minus": false }),
            json!({ "operations": "-/", "max_number": 9, "max_value": 9, "max_attempts": 3 }),
        ],
        "fraction_arithmetic" => vec![json!({ "lowest_terms": true })],
        "hanoi" => vec![json!({ "instance": "random", "notation": "compact", "trace": "plan" })],
        "linear_equations" => vec![json!({ "fractions": true })],
        "modular_arithmetic" => vec![json!({ "operations": "^" })],
        "number_sorting" => vec![json!({ "max_number": 9 })],
        "prime_factorization" => vec![json!({ "max_prime": 97 })],
        "program_output" => vec![json!({ "loops": 0.5, "conditions": 0.5 })],
        "word_problems" => vec![json!({ "distraction": 1.0, "max_value": 9999 })],
        "word_sorting" => vec![json!({ "min_letters": 2, "max_letters": 2 })],
        _ => Vec::new(),
    }
}

/// Visits `count` questions of a domain, each with the one after it, spread over settings, levels and both splits.
fn for_questions(row: &'static Row, count: u64, mut visit: impl FnMut(&dyn Domain, &Question, &Question)) {
    let all_settings: Vec<Value> = [Value::Null].into_iter().chain(variants(row.name)).collect();
    for settings in &all_settings {
        let domain = (row.build)(settings).unwrap();
        let levels = domain.levels();
        let places = (all_settings.len() * levels.clone().count() * SPLITS.len()) as u64;
        let each = count.div_ceil(places).max(1);
        for (level, split) in levels.flat_map(|level| SPLITS.map(|split| (level, split))) {
            let dataset = Dataset::new(row, &*domain, level, 5).unwrap();
            let mut question = dataset.question(split, 0).unwrap();
            for index in 1..=each {
                let next = dataset.question(split, index).unwrap();
                visit(&*domain, &question, &next);
                question = next;
            }
        }
    }
}

fn judge(domain: &dyn Domain, problem: &Problem, completion: &str) -> Verdict {
    domain.judge(&Item { completion, answer: Some(&problem.answer), spec: Some(&problem.spec) })
}

fn judge_answer(domain: &dyn Domain, problem: &Problem, answer: &str) -> Verdict {
    judge(domain, problem, &format!("<answer>{answer}</answer>"))
}

/// Removes the longest matching symbols from the start of `text`. Returns the rest where none matches.
fn uncovered<'a>(alphabet: &[String], mut text: &'a str) -> Option<&'a str> {
    while !text.is_empty() {
        let longest =
            alphabet.iter().filter(|symbol| text.starts_with(symbol.as_str())).map(String::len).max();
        match longest {
            Some(length) if length > 0 => text = &text[length..],
            _ => return Some(text),
        }
    }
    None
}

fn assert_covered(alphabet: &[String], what: &str, text: &str) {
    let rest = uncovered(alphabet, text);
    assert!(rest.is_none(), "{what}: {rest:?} is not written in the alphabet; the whole: {text:?}");
}

fn solve(domain: &dyn Domain, question: &Question, kind: SolutionKind) -> Option<Solution> {
    let address = [kind as u64, question.problem.prompt.len() as u64];
    domain.solve(&question.problem, kind, &mut Stream::at("contract", 0, &address))
}

#[test]
fn the_table_is_in_order() {
    let names: Vec<&str> = DOMAINS.iter().map(|row| row.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted, "rows are in alphabetical order, each name once");
    assert!(DOMAINS.iter().all(|row| !row.about.is_empty() && !row.answers.is_empty()));
}

#[test]
fn settings_are_read_strictly() {
    for row in DOMAINS {
        assert!((row.build)(&json!({})).is_ok(), "{}", row.name);
        for settings in [json!({ "no_such_setting": 1 }), json!([1]), json!("x")] {
            assert!((row.build)(&settings).is_err(), "{}: {settings} was accepted", row.name);
        }
    }
}

#[test]
fn alphabets_hold_each_symbol_once() {
    for row in DOMAINS {
        let alphabet = default_domain(row).alphabet();
        let distinct: HashSet<&String> = alphabet.iter().collect();
        assert_eq!(distinct.len(), alphabet.len(), "{}", row.name);
        assert!(alphabet.iter().all(|symbol| !symbol.is_empty()), "{}", row.name);
    }
}

#[test]
fn a_right_answer_is_right_alone_and_after_thinking() {
    for row in DOMAINS {
        for_questions(row, question_count(), |domain, question, _| {
            let problem = &question.problem;
            let alone = judge_answer(domain, problem, &problem.answer);
            assert!(alone.is_correct() && alone.score == 1.0, "{}: {alone:?}", question.id);
            let thought = answer::compose("<answer>7</answer> hm, no", &problem.answer);
            assert!(judge(domain, problem, &thought).is_correct(), "{}", question.id);
            // The spec alone is enough: the judge needs neither the prompt nor the right answer.
            let item = Item { completion: &thought, answer: None, spec: Some(&problem.spec) };
            assert!(domain.judge(&item).is_correct(), "{}: needs more than the spec", question.id);
        });
    }
}

#[test]
fn worked_solutions_are_right_and_written_in_the_alphabet() {
    for row in DOMAINS {
        for_questions(row, question_count(), |domain, question, _| {
            let problem = &question.problem;
            let alphabet = domain.alphabet();
            assert_covered(&alphabet, &question.id, &problem.prompt);
            assert_covered(&alphabet, &question.id, &problem.answer);
            for kind in SolutionKind::ALL {
                let Some(solution) = solve(domain, question, kind) else { continue };
                assert_eq!(
                    Some(&solution),
                    solve(domain, question, kind).as_ref(),
                    "{}: {kind:?} is not random",
                    question.id
                );
                assert_covered(&alphabet, &question.id, &solution.thinking);
                assert_covered(&alphabet, &question.id, &solution.answer);
                let verdict = judge(domain, problem, &answer::compose(&solution.thinking, &solution.answer));
                assert_ne!(verdict.outcome, Outcome::Error, "{}: {verdict:?}", question.id);
                assert!(solution.is_guess || verdict.is_correct(), "{}: {kind:?} {solution:?}", question.id);
                assert_eq!(
                    kind == SolutionKind::Direct,
                    solution.thinking.is_empty(),
                    "{}: {kind:?}",
                    question.id
                );
            }
            assert!(
                solve(domain, question, SolutionKind::Direct).is_some(),
                "{}: no direct solution",
                question.id
            );
            assert!(
                solve(domain, question, SolutionKind::Long).is_some(),
                "{}: no long solution",
                question.id
            );
            if let Some(drill) = domain.drill(&mut Stream::at("contract", 1, &[]), question.level) {
                assert_covered(&alphabet, "drill", &drill);
            }
        });
    }
}

#[test]
fn worked_solutions_show_what_they_say() {
    for row in DOMAINS {
        for_questions(row, question_count() / 4, |domain, question, _| {
            for kind in SolutionKind::ALL {
                let Some(solution) = solve(domain, question, kind) else { continue };
                let seen = domain.behaviours(&question.problem, &solution.thinking);
                let what = format!("{}: {kind:?} {:?} shows {seen:?}", question.id, solution.thinking);
                match kind {
                    SolutionKind::Direct => assert_eq!((seen.steps, seen.backtracks), (0, 0), "{what}"),
                    SolutionKind::Long => assert!(seen.steps > 0 && seen.false_steps == 0, "{what}"),
                    SolutionKind::Search => assert!(seen.steps > 0 && seen.false_steps == 0, "{what}"),
                    SolutionKind::Flawed => assert!(seen.false_steps > 0 && seen.backtracks > 0, "{what}"),
                }
            }
        });
    }
}

#[test]
fn an_address_always_gives_the_same_question_and_questions_survive_json() {
    for row in DOMAINS {
        for_questions(row, question_count() / 4, |domain, question, _| {
            let index = question.id.rsplit('/').next().unwrap().parse().unwrap();
            let dataset = Dataset::new(row, domain, question.level, 5).unwrap();
            assert_eq!(*question, dataset.question(question.split, index).unwrap());
            assert_eq!(domain.split(&question.problem), question.split, "{}", question.id);
            let line = serde_json::to_string(question).unwrap();
            assert_eq!(*question, serde_json::from_str::<Question>(&line).unwrap());
        });
    }
}

#[test]
fn another_items_answer_is_wrong_unless_it_is_equally_right() {
    for row in DOMAINS {
        for_questions(row, question_count(), |domain, question, next| {
            let verdict = judge_answer(domain, &question.problem, &next.problem.answer);
            assert_ne!(verdict.outcome, Outcome::Error, "{}", question.id);
            if question.problem.answer == next.problem.answer {
                assert!(verdict.is_correct(), "{}: refuses the same answer", question.id);
            } else if !SEVERAL_ANSWERS.contains(&row.name) {
                assert!(!verdict.is_correct(), "{}: accepts {:?}", question.id, next.problem.answer);
            }
        });
    }
    for name in SEVERAL_ANSWERS {
        let Some(row) = DOMAINS.iter().find(|row| row.name == *name) else { continue };
        let (mut tried, mut lucky) = (0, 0);
        for_questions(row, question_count(), |domain, question, next| {
            let is_other = question.problem.prompt != next.problem.prompt;
            tried += u32::from(is_other);
            lucky += u32::from(
                is_other && judge_answer(domain, &question.problem, &next.problem.answer).is_correct(),
            );
        });
        assert!(lucky * 5 <= tried, "{name}: {lucky} of {tried} answers of other items are accepted");
    }
}

#[test]
fn invalid_answers_earn_nothing() {
    let range: String = (-20..200).map(|number| format!("{number} ")).collect();
    for row in DOMAINS {
        for_questions(row, question_count() / 4, |domain, question, next| {
            let problem = &question.problem;
            let (gold, other) = (&problem.answer, &next.problem.answer);
            let answers = [
                String::new(),
                "  \n".to_owned(),
                "?".to_owned(),
                "I do not know".to_owned(),
                "correct".to_owned(),
                "null".to_owned(),
                "<answer>".to_owned(),
                problem.prompt.clone(),
                format!("{}{gold}", problem.prompt),
                format!("{gold} or {other}"),
                format!("{other} or {gold}"),
                format!("{gold}, {other}"),
                format!("{gold}\n{other}"),
                format!("{gold} {gold} {gold}"),
                format!("not {gold}"),
                format!("{gold}!"),
                format!("{gold}\0"),
                format!("{gold}\u{200b}"),
                format!("{range}{gold}"),
                range.clone(),
            ];
            for text in answers {
                let verdict = judge_answer(domain, problem, &text);
                assert_ne!(verdict.outcome, Outcome::Error, "{}: {text:?}", question.id);
                assert_eq!(verdict.score, 0.0, "{}: {text:?} earns a reward beside {gold:?}", question.id);
            }
            let completions = [
                String::new(),
                gold.clone(),
                format!("<answer>{gold}"),
                format!("{gold}</answer>"),
                format!("<think><answer>{gold}</answer></think>"),
                format!("<answer>{gold}</answer></think>"),
                format!("<think>maybe <answer>{gold}</answer>"),
                format!("<think></think><answer>{gold}</answer><think>or"),
                format!("<think></think><THINK>maybe <answer>{gold}</answer>"),
                format!("<answer>{gold}</answer><answer></answer>"),
            ];
            for completion in completions {
                let verdict = judge(domain, problem, &completion);
                assert_ne!(verdict.outcome, Outcome::Error, "{}: {completion:?}", question.id);
                assert_eq!(verdict.score, 0.0, "{}: {completion:?} earns a reward", question.id);
            }
        });
    }
}

/// Texts that try to make a judge hang, overflow or pay for nothing.
fn hostile_texts() -> Vec<(&'static str, String)> {
    let megabytes = 10 << 20;
    vec![
        ("tower of powers", "9**9**9**9**9".to_owned()),
        ("tower of carets", "9^9^9^9^9".to_owned()),
        ("deep round brackets", "(".repeat(1 << 20)),
        ("deep closed brackets", "(".repeat(100_000) + "1" + &")".repeat(100_000)),
        ("deep square brackets", "[".repeat(1 << 20)),
        ("deep braces", "{\"a\":".repeat(1 << 18)),
        ("signs", "-".repeat(1 << 20) + "1"),
        ("long number", "9".repeat(megabytes)),
        ("long sum", "1+".repeat(1 << 20) + "1"),
        ("long product", "9*".repeat(400) + "9"),
        ("long list", "1,".repeat(1 << 20) + "1"),
        ("long words", "ab ".repeat(1 << 20)),
        ("long lines", "1\n".repeat(1 << 20)),
        ("megabytes", "a".repeat(megabytes)),
        ("megabytes of many-byte letters", "é".repeat(megabytes / 2)),
        ("zeros", "\0".repeat(1 << 10)),
        ("Arabic digits", "٣+٤".to_owned()),
        ("fullwidth digits", "１２３".to_owned()),
        ("superscripts", "2²·3³".to_owned()),
        ("right to left", "\u{202e}21\u{202c}".to_owned()),
        ("infinity", "inf".to_owned()),
        ("not a number", "NaN".to_owned()),
        ("large exponent", "1e999999999".to_owned()),
        ("small fraction", format!("1/{}", "9".repeat(38))),
        ("largest", i128::MAX.to_string()),
        ("smallest", i128::MIN.to_string()),
        ("smallest of 64 bits", i64::MIN.to_string()),
        ("tags", "<answer>".repeat(1 << 17)),
        ("pairs of tags", "</answer><answer>".repeat(1 << 17)),
        ("code", "__import__('os').getpid()".to_owned()),
        ("separators", ", ;:\t|".repeat(600)),
    ]
}

/// The shortest time of a few tries, because a busy machine may interrupt one. Tries once if that is below `limit`.
#[expect(clippy::disallowed_methods, reason = "the time that a judge takes is what is tested")]
fn least_time(limit: Duration, mut act: impl FnMut()) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..8 {
        let start = std::time::Instant::now();
        act();
        least = least.min(start.elapsed());
        if least < limit {
            break;
        }
    }
    least
}

#[test]
fn hostile_texts_end_quickly_with_a_verdict() {
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 250 });
    for row in DOMAINS {
        let domain = default_domain(row);
        let levels = domain.levels();
        for level in [*levels.start(), *levels.end()] {
            let question = Dataset::new(row, &*domain, level, 0).unwrap().question(Split::Train, 0).unwrap();
            for (name, text) in hostile_texts() {
                let tagged = format!("<answer>{text}</answer>");
                let thought = format!("<think>{text}</think><answer>?</answer>");
                for completion in [&text, &tagged, &thought] {
                    let took = least_time(limit, || {
                        let verdict = judge(&*domain, &question.problem, completion);
                        assert_ne!(verdict.outcome, Outcome::Error, "{}: {name}", question.id);
                        assert_eq!(verdict.score, 0.0, "{}: {name} earns a reward", question.id);
                    });
                    assert!(took < limit, "{}: {name} took {took:?}", question.id);
                }
                let took = least_time(4 * limit, || {
                    std::hint::black_box(domain.behaviours(&question.problem, &text));
                });
                assert!(took < 4 * limit, "{}: behaviours of {name} took {took:?}", question.id);
            }
        }
    }
}

/// TinyZero pays 0.1 for any answer. Hostile answers must not earn more.
#[test]
fn tinyzero_scoring_is_no_softer_on_hostile_texts() {
    let row = DOMAINS.iter().find(|row| row.name == "countdown").unwrap();
    let domain = (row.build)(&json!({ "scoring": "tinyzero" })).unwrap();
    let question = Dataset::new(row, &*domain, 3, 0).unwrap().question(Split::Train, 0).unwrap();
    assert!(judge_answer(&*domain, &question.problem, &question.problem.answer).is_correct());
    for (name, text) in hostile_texts() {
        for completion in
            [text.clone(), format!("<answer>{text}</answer>"), format!("Assistant:{text}\n<answer>{text}")]
        {
            let verdict = judge(&*domain, &question.problem, &completion);
            assert!(verdict.score == 0.0 || verdict.score == 0.1, "{name}: {}", verdict.score);
            assert_ne!(verdict.outcome, Outcome::Error, "{name}");
        }
    }
}

#[test]
fn a_broken_item_is_an_error_and_never_a_panic() {
    let specs =
        [Value::Null, json!({}), json!([]), json!(3), json!("x"), json!({ "numbers": "x", "terms": null })];
    for row in DOMAINS {
        let domain = default_domain(row);
        for spec in specs.iter().map(Some).chain([None]) {
            for completion in ["", "<answer>1</answer>"] {
                let verdict = domain.judge(&Item { completion, answer: None, spec });
                assert_eq!(verdict.outcome, Outcome::Error, "{}: {spec:?} {verdict:?}", row.name);
            }
        }
    }
}

/// Every level has questions in both splits, and enough of them for training. The output says how many are different.
#[test]
fn questions_differ() {
    let each = if cfg!(debug_assertions) { 50 } else { 500 };
    for row in DOMAINS {
        let domain = default_domain(row);
        for level in domain.levels() {
            let dataset = Dataset::new(row, &*domain, level, 0).unwrap();
            let mut distinct = [0; 2];
            for (split, count) in SPLITS.into_iter().zip(&mut distinct) {
                let prompts: HashSet<String> =
                    (0..each).map(|index| dataset.question(split, index).unwrap().problem.prompt).collect();
                *count = prompts.len();
            }
            println!(
                "{} level {level}: {} train and {} test prompts of {each}",
                row.name, distinct[0], distinct[1]
            );
            assert!(distinct[0] > 1, "{} level {level}: one question", row.name);
        }
    }
}

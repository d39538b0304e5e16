use std::collections::BTreeSet;

use super::grammar::Operation::{Add, Square};
use super::grammar::outputs;
use super::*;
use crate::split::{Dataset, DatasetError};

const SHOWN_EXAMPLES: [Example; 3] = [(1, 9), (4, 18), (6, 24)];

fn grammar() -> Grammar {
    ProgramSynthesis::default().grammar()
}

fn problem() -> Problem {
    Problem {
        prompt: "1>9,4>18,6>24=".to_owned(),
        answer: "+2*3".to_owned(),
        spec: json!({ "shown": SHOWN_EXAMPLES, "hidden": [(2, 12)] }),
    }
}

fn score(answer: &str) -> f64 {
    let (problem, completion) = (problem(), format!("<answer>{answer}</answer>"));
    let item = Item { completion: &completion, answer: None, spec: Some(&problem.spec) };
    ProgramSynthesis::default().judge(&item).score
}

#[test]
fn the_search_is_as_described() {
    let domain = ProgramSynthesis { never_gives_up: 1.0, ..ProgramSynthesis::default() };
    let solution = domain.solve(&problem(), SolutionKind::Search, &mut Stream::at("test", 0, &[])).unwrap();
    assert_eq!(solution.thinking, ":1n+1:1>2n+2:1>3*3>9y4>6>18y6>8>24y");
    assert_eq!(solution.answer, "+2*3");
    let seen = domain.behaviours(&problem(), &solution.thinking);
    assert_eq!(
        seen,
        Behaviours { verifications: 5, backtracks: 2, steps: 5, yeses: 3, ..Behaviours::default() }
    );
}

#[test]
fn false_lines_are_counted() {
    for (trace, steps, yeses) in [
        (":2n", 1, (0, 0)),
        ("+1:1>3n", 1, (0, 0)),
        ("+2:1>3*3>9n", 1, (0, 0)),
        ("+2:1>3*3>9y4>6>18n", 2, (1, 0)),
        ("+2:1>3*3>9y4>7>18y", 2, (2, 1)),
        ("+2:1>3n", 1, (0, 0)),
        ("gibberish", 1, (0, 0)),
        ("gibberishy", 1, (1, 1)),
    ] {
        let seen = ProgramSynthesis::default().behaviours(&problem(), trace);
        assert_eq!((seen.steps, seen.false_steps), (steps, 1), "{trace}");
        assert_eq!((seen.yeses, seen.false_yeses), yeses, "{trace}");
    }
}

fn in_steps() -> ProgramSynthesis {
    ProgramSynthesis { never_gives_up: 1.0, trace: Trace::Steps, ..ProgramSynthesis::default() }
}

#[test]
fn steps_show_every_operation_beside_its_operand() {
    let mut stream = Stream::at("test", 0, &[]);
    let solution = in_steps().solve(&problem(), SolutionKind::Search, &mut stream).unwrap();
    let expected = "1>9n1+1>2>9n1+2>3>9*3y4+2>6*3>18=18y6+2>8*3>24=24y";
    assert_eq!((solution.thinking.as_str(), solution.answer.as_str()), (expected, "+2*3"));
    let seen = in_steps().behaviours(&problem(), expected);
    let truth = Behaviours { verifications: 5, backtracks: 2, steps: 5, yeses: 3, ..Behaviours::default() };
    assert_eq!(seen, truth);
    // A larger grammar gives more to try, and `9*9` cannot be shown.
    let attempt = Attempt { proposed: vec![Add(3)], last: Some(Square) };
    let trace = attempt.trace(&[(1, 16), (6, 18)], Trace::Steps);
    assert_eq!(trace, "1+3>4>16sy6+3>9sn");
    assert_eq!(in_steps().behaviours(&problem(), "1+3>4>9n").false_steps, 0);
    let wider = ProgramSynthesis { largest: 5, ..in_steps() };
    assert_eq!(wider.behaviours(&problem(), "1+3>4>9n").false_steps, 1);
}

#[test]
fn false_steps_are_counted() {
    for (trace, steps, yeses) in [
        ("1>8n", 1, (0, 0)),
        ("1+1>3>9n", 1, (0, 0)),
        ("1+2>3>9n", 1, (0, 0)),
        ("1+2>3>9*2y", 1, (1, 1)),
        ("1+2>3>9*3n", 1, (0, 0)),
        ("1+2>3>9*3y4+2>6*3>18=18n", 2, (1, 0)),
        ("1+2>3>9*3y4+2>6*3>18=17y", 2, (2, 1)),
        ("1+2>3>9*3y4+2>7*3>21=18n", 2, (1, 0)),
        ("1+2>3>9*3y4*3>12*3>36=18n", 2, (1, 0)),
        ("1+2>3>9*3y5+2>7*3>21=21y", 2, (2, 1)),
        ("+2:1>3*3>9y", 1, (1, 1)),
        ("gibberish", 1, (0, 0)),
    ] {
        let seen = in_steps().behaviours(&problem(), trace);
        assert_eq!((seen.steps, seen.false_steps), (steps, 1), "{trace}");
        assert_eq!((seen.yeses, seen.false_yeses), yeses, "{trace}");
    }
}

#[test]
fn the_drill_of_steps_is_true_and_about_known_functions() {
    let (domain, grammar) = (in_steps(), grammar());
    let (mut held, mut failed) = (0, 0);
    for seed in 0..400 {
        let drill = domain.drill(&mut Stream::at("test", seed, &[]), 2).unwrap();
        let Some((prompt, trace)) = drill.split_once('=').filter(|(prompt, _)| prompt.contains(',')) else {
            continue;
        };
        let shown: Vec<Example> = prompt
            .split(',')
            .map(|example| example.split_once('>').unwrap())
            .map(|(input, output)| (input.parse().unwrap(), output.parse().unwrap()))
            .collect();
        let seen = Reader::new(&domain).read(&shown, trace);
        assert_eq!((seen.false_steps, seen.false_yeses), (0, 0), "{drill}");
        *(if trace.ends_with('y') { &mut held } else { &mut failed }) += 1;
        // A value and the operation on it are between the arrows of the first line.
        let line = trace.split(['y', 'n']).next().unwrap();
        let signs: String = line
            .split('>')
            .map(|part| {
                part.strip_prefix('-').unwrap_or(part).trim_start_matches(|sign: char| sign.is_ascii_digit())
            })
            .collect();
        let program = grammar.read_program(&signs).unwrap_or_else(|| panic!("{signs} of {drill}"));
        assert!(!grammar.is_held_out(&program), "{drill}");
    }
    assert!(held > 60 && failed > 60, "{held} hold, {failed} fail");
}

#[test]
fn constants_are_one_digit() {
    let build = |largest: i64| (ROW.build)(&json!({ "largest": largest }));
    assert!(build(0).is_err() && build(10).is_err());
    for (largest, factor) in [(1, 1), (4, 3), (9, 5)] {
        let domain = build(largest).unwrap();
        let score = |answer: String| {
            let spec = json!({ "shown": [(1, 1), (2, 2), (3, 3)], "hidden": [] });
            let completion = format!("<answer>{answer}</answer>");
            domain.judge(&Item { completion: &completion, answer: None, spec: Some(&spec) }).score
        };
        assert_eq!(score(format!("+{largest}-{largest}")), 1.0);
        assert_eq!(score(format!("+{0}-{0}", largest + 1)), 0.0);
        assert_eq!(score(format!("*{}-1+1", factor + 1)), 0.0);
    }
}

#[test]
fn every_program_of_the_same_function_is_right() {
    for answer in ["+2*3", "*3+2+4", "+1+1*3", "~-2*3~"] {
        assert_eq!(score(answer), 1.0, "{answer}");
    }
    for answer in
        ["", "*3", "+2*3 or *3", "+2,*3", "x", "+5", "+2*30", "+02*3", "ssssssssssssssss", "1>9,4>18,6>24="]
    {
        assert_eq!(score(answer), 0.0, "{answer}");
    }
}

#[test]
fn a_function_that_fits_only_what_is_shown_is_wrong() {
    let spec = json!({ "shown": [(1, 2), (2, 4), (3, 6)], "hidden": [(4, 16)] });
    let item = Item { completion: "<answer>*2</answer>", answer: None, spec: Some(&spec) };
    assert_eq!(ProgramSynthesis::default().judge(&item).score, 0.0);
}

/// The answers to the first questions of a split.
fn answers(test_functions: Functions, level: u32, split: Split) -> BTreeSet<String> {
    let domain = ProgramSynthesis { test_functions, ..ProgramSynthesis::default() };
    let dataset = Dataset::new(&ROW, &domain, level, 0).unwrap();
    (0..300).map(|index| dataset.question(split, index).unwrap().problem.answer).collect()
}

#[test]
fn held_out_functions_are_never_trained_on_at_any_level() {
    let held_out: Vec<BTreeSet<String>> =
        (2..=3).map(|level| answers(Functions::HeldOut, level, Split::Test)).collect();
    assert!(held_out[0].len() >= 5 && held_out[1].len() > held_out[0].len(), "{held_out:?}");
    for functions in [Functions::Any, Functions::Known, Functions::HeldOut] {
        let lowest = if functions == Functions::HeldOut { 2 } else { 1 };
        for level in lowest..=3 {
            let trained = answers(functions, level, Split::Train);
            assert!(held_out.iter().all(|held_out| held_out.is_disjoint(&trained)), "{level}");
        }
    }
    assert!(answers(Functions::Known, 2, Split::Test).is_disjoint(&held_out[0]));
    assert!(!answers(Functions::Any, 2, Split::Test).is_disjoint(&held_out[0]));
    let held_out = ProgramSynthesis { test_functions: Functions::HeldOut, ..ProgramSynthesis::default() };
    assert!(matches!(Dataset::new(&ROW, &held_out, 1, 0), Err(DatasetError::Refused { .. })));
    assert!((ROW.build)(&json!({ "test_functions": "held_out" })).is_ok());
    assert!((ROW.build)(&json!({ "test_functions": "hidden" })).is_err());
    // Two programs of the same function count as one function.
    let of = |text: &str| outputs(&grammar().read_program(text).unwrap());
    for (one, other) in [("+1+2", "+3"), ("+2*3", "*3+2+4"), ("~s", "s"), ("+1+3", "+4")] {
        assert_eq!(of(one), of(other), "{one} {other}");
    }
}

#[test]
fn training_texts_neither_drill_nor_guess_held_out_functions() {
    let domain = ProgramSynthesis::default();
    let dataset = Dataset::new(&ROW, &domain, 2, 1).unwrap();
    for index in 0..300 {
        let mut stream = Stream::at("test", index, &[]);
        for run in domain.drill(&mut stream, 2).unwrap().split(';') {
            assert!(
                !grammar().is_held_out(&grammar().read_program(run.split_once(':').unwrap().0).unwrap()),
                "{run}"
            );
        }
        let problem = dataset.question(Split::Train, index).unwrap().problem;
        for kind in [SolutionKind::Direct, SolutionKind::Search] {
            let answer = domain.solve(&problem, kind, &mut stream).unwrap().answer;
            assert!(!grammar().is_held_out(&grammar().read_program(&answer).unwrap()), "{answer}");
        }
    }
}

#[test]
fn an_answer_becomes_python_with_three_shown_and_three_hidden_tests() {
    let domain = ProgramSynthesis::default();
    let source = "def f(x):\n    x = x + 2\n    x = x * 3\n    x = x * x\n    x = -x\n    return x\n";
    assert_eq!(domain.python("+2*3s~").as_deref(), Some(source));
    assert_eq!(domain.python("x"), None);
    for seed in 0..300 {
        let problem = domain.pose(&mut Stream::at("test", seed, &[]), 1 + seed as u32 % 3);
        let program = grammar().read_program(&problem.answer).unwrap();
        let tests = domain.tests(&problem).unwrap();
        let tests = tests["tests"].as_array().unwrap();
        assert_eq!(tests.iter().filter(|test| test["public"] == true).count(), SHOWN, "{}", problem.prompt);
        assert_eq!(tests.len(), 2 * SHOWN, "{}", problem.prompt);
        let inputs: std::collections::BTreeSet<i64> =
            tests.iter().map(|test| test["args"][0].as_i64().unwrap()).collect();
        assert_eq!(inputs.len(), tests.len(), "an input is tested once");
        for test in tests {
            assert_eq!(run(&program, test["args"][0].as_i64().unwrap()), test["expect"].as_i64());
        }
    }
}

#[test]
fn searched_programs_are_right_for_every_level() {
    let plain = ProgramSynthesis { never_gives_up: 1.0, ..ProgramSynthesis::default() };
    for seed in 0..300 {
        let domain = if seed % 2 == 0 { plain } else { in_steps() };
        let mut stream = Stream::at("test", seed, &[]);
        let problem = domain.pose(&mut stream, 1 + seed as u32 % 3);
        let solution = domain.solve(&problem, SolutionKind::Search, &mut stream).unwrap();
        let seen = domain.behaviours(&problem, &solution.thinking);
        assert_eq!(seen.false_steps, 0, "{} {}", problem.prompt, solution.thinking);
    }
}

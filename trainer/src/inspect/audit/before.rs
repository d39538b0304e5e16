//! Audits a recipe: its rewards for right answers and for hacks.

use rayon::prelude::*;
use serde::Serialize;
use serde_json::Map;
use thinkling_datasets::{DatasetError, Problem, Split};
use thinkling_verifiers::{Item, Outcome, Verdict, answer};

use super::attempts::{self, Attempt, Due};
use super::{AuditFinding, Example, cut};
use crate::learn::reward::{Reading, RewardRule, Term};
use crate::learn::reward_terms::RewardTerm;
use crate::learn::score::Earned;
use crate::plan::{self, Plan, Stage};

const CANDIDATES: usize = 24;
const EXAMPLES: usize = 3;
/// A hack must get less than a right answer by this share of the weights of terms that judge.
const MARGIN: f64 = 0.5;
/// Most that a hack may get from a term with partial credit.
const PARTIAL: f64 = 0.5;

/// The result of the audit of one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecipeAudit {
    /// The recipe's name.
    pub recipe: String,
    /// Its stages with rewards.
    pub stages: Vec<StageAudit>,
}

impl RecipeAudit {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.stages.iter().all(|stage| stage.findings.is_empty())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageAudit {
    pub stage: String,
    pub task: String,
    pub level: u32,
    pub questions: usize,
    /// Names of its reward terms.
    pub terms: Vec<String>,
    /// One row per kind of attempt.
    pub rows: Vec<AttemptRow>,
    pub findings: Vec<AuditFinding>,
}

/// Scores of one kind of attempt: the lowest for a right answer, the highest for a hack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttemptRow {
    pub attempt: &'static str,
    pub is_right: bool,
    pub tried: usize,
    /// Those among them that a term could not judge. They have no total.
    pub errors: usize,
    /// By term; null if the term could judge none of them.
    pub scores: Map<String, serde_json::Value>,
    pub total: Option<f64>,
}

struct Tried<'a> {
    problem: &'a Problem,
    attempt: Attempt,
    earned: Vec<Earned>,
    total: Option<f64>,
}

/// Audits every stage of a plan that rewards, on `questions` questions each. `rules` come from
/// [`crate::stages::rules`].
pub fn recipe(
    plan: &Plan,
    rules: &std::collections::BTreeMap<String, RewardRule>,
    questions: u64,
) -> Result<RecipeAudit, DatasetError> {
    let mut stages = Vec::new();
    for stage in &plan.stages {
        if let Some(rule) = rules.get(&stage.name) {
            for task in &stage.measured {
                stages.push(audit(plan, stage, task, rule, questions)?);
            }
        }
    }
    Ok(RecipeAudit { recipe: plan.name.clone(), stages })
}

fn audit(
    plan: &Plan,
    stage: &Stage,
    task: &plan::Task,
    rule: &RewardRule,
    questions: u64,
) -> Result<StageAudit, DatasetError> {
    let dataset = task.dataset(plan.seed)?;
    let problems: Vec<Problem> = (0..questions)
        .map(|index| Ok(dataset.question(Split::Train, index)?.problem))
        .collect::<Result<_, DatasetError>>()?;
    let tried: Vec<Tried<'_>> =
        problems.par_iter().flat_map(|problem| attempt(task, plan, rule, problem, &problems)).collect();
    Ok(StageAudit {
        stage: stage.name.clone(),
        task: task.name.clone(),
        level: task.level,
        questions: problems.len(),
        terms: rule.terms.iter().map(|term| term.name.clone()).collect(),
        rows: rows(rule, &tried),
        findings: findings(&stage.name, rule, &tried),
    })
}

fn attempt<'a>(
    task: &plan::Task,
    plan: &Plan,
    rule: &RewardRule,
    problem: &'a Problem,
    problems: &[Problem],
) -> Vec<Tried<'a>> {
    let domain = task.domain.as_ref();
    let own = |completion: &str| {
        domain.judge(&Item { completion, answer: Some(&problem.answer), spec: Some(&problem.spec) })
    };
    // A right answer to another question is wrong here, unless it is right for both.
    let mut wrong: Vec<String> = Vec::new();
    for other in problems.iter().map(|other| &other.answer) {
        let is_new = *other != problem.answer && !wrong.contains(other);
        if is_new && wrong.len() < CANDIDATES {
            let verdict = own(&answer::compose("", other));
            if verdict.score == 0.0 && verdict.outcome != Outcome::Error {
                wrong.push(other.clone());
            }
        }
    }
    let runs_programs = rule.terms.iter().any(|term| term.kind == RewardTerm::Code);
    let tests = runs_programs.then(|| domain.tests(problem).unwrap_or_else(|| problem.spec.clone()));
    let mut all = attempts::right(domain, problem);
    all.extend(attempts::hacks(problem, &wrong, tests.as_ref()));
    let verdicts: Vec<Verdict> = all
        .iter()
        .map(
            |one| if one.is_finished { own(&one.text) } else { Verdict::malformed("cut off before its end") },
        )
        .collect();
    // Texts outside the alphabet count one token per character.
    let tokens: Vec<Vec<u32>> = all
        .iter()
        .map(|one| {
            plan.tokenizer.encode(&one.text).unwrap_or_else(|_| one.text.chars().map(u32::from).collect())
        })
        .collect();
    let readings: Vec<Reading<'_>> = all
        .iter()
        .zip(&tokens)
        .zip(&verdicts)
        .map(|((one, tokens), verdict)| Reading {
            text: &one.text,
            tokens,
            is_finished: one.is_finished,
            verdict,
        })
        .collect();
    let mut earned = rule.earned(domain, problem, &readings);
    for (one, row) in all.iter().zip(&mut earned).filter(|(one, _)| one.is_program) {
        let terms = rule.terms.iter().zip(row);
        for (term, earned) in terms.filter(|(term, _)| term.kind == RewardTerm::Code) {
            *earned = term.of_program(domain, problem, &one.text).unwrap_or_else(|| earned.clone());
        }
    }
    all.into_iter()
        .zip(earned)
        .map(|(attempt, earned)| Tried { problem, total: rule.sum(&earned), attempt, earned })
        .collect()
}

/// One row per kind of attempt, in order of first appearance.
fn rows(rule: &RewardRule, tried: &[Tried<'_>]) -> Vec<AttemptRow> {
    let mut names: Vec<&'static str> = Vec::new();
    for one in tried {
        if !names.contains(&one.attempt.name) {
            names.push(one.attempt.name);
        }
    }
    names
        .into_iter()
        .filter_map(|name| {
            let of_kind: Vec<&Tried<'_>> = tried.iter().filter(|one| one.attempt.name == name).collect();
            let is_right = of_kind.first()?.attempt.due == Due::All;
            let extreme = |scores: &mut dyn Iterator<Item = f64>| {
                scores.reduce(|one, other| if is_right { one.min(other) } else { one.max(other) })
            };
            let scores = rule.terms.iter().enumerate().map(|(at, term)| {
                let score = extreme(&mut of_kind.iter().filter_map(|one| one.earned[at].score));
                (term.name.clone(), serde_json::json!(score))
            });
            Some(AttemptRow {
                attempt: name,
                is_right,
                tried: of_kind.len(),
                errors: of_kind.iter().filter(|one| one.total.is_none()).count(),
                scores: scores.collect(),
                total: extreme(&mut of_kind.iter().filter_map(|one| one.total)),
            })
        })
        .collect()
}

struct Cases<'t> {
    kind: &'static str,
    term: Option<&'t Term>,
    found: Vec<(&'t Tried<'t>, String)>,
}

fn findings(stage: &str, rule: &RewardRule, tried: &[Tried<'_>]) -> Vec<AuditFinding> {
    let mut found = Vec::new();
    for (at, term) in rule.terms.iter().enumerate() {
        found.extend(of_term(stage, at, term, tried));
    }
    let worth: f64 = rule.terms.iter().filter(|term| term.kind.judges()).map(|term| term.weight).sum();
    if worth == 0.0 {
        let message = "no term of the reward checks whether the answer is right";
        found.push(AuditFinding::new(stage, "no_judge", message, 1, 1));
    } else {
        found.extend(margins(stage, worth, tried));
    }
    found
}

/// Attempts that one term rewards or refuses wrongly.
fn of_term(stage: &str, at: usize, term: &Term, tried: &[Tried<'_>]) -> Vec<AuditFinding> {
    let (mut refused, mut paid, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let is_form = term.kind == RewardTerm::Format;
    for one in tried {
        let attempt = &one.attempt;
        let asked = if is_form { attempt.is_in_form } else { Some(attempt.due == Due::All) };
        let (Some(asked), true) = (asked, is_form || term.kind.judges()) else { continue };
        let reason =
            one.earned[at].verdict.as_ref().map(|verdict| verdict.reason.clone()).unwrap_or_default();
        let most = match (is_form, term.is_graded) {
            (true, true) => 1.0 - f64::EPSILON,
            (false, true) => PARTIAL,
            (_, false) => 0.0,
        };
        match one.earned[at].score {
            None => failed.push((one, reason)),
            // This term does not judge the format, so a hack in the right format is allowed to pass it.
            Some(score) if asked && score < 1.0 && attempt.due == Due::All => {
                refused.push((one, format!("{score}: {reason}")));
            }
            Some(score) if !asked && score > most => paid.push((one, format!("{score}: {reason}"))),
            Some(_) => {}
        }
    }
    let cases = [("gold_refused", refused), ("hack_paid", paid), ("not_judged", failed)];
    cases
        .into_iter()
        .filter(|(_, found)| !found.is_empty())
        .map(|(kind, found)| Cases { kind, term: Some(term), found }.finding(stage, tried.len()))
        .collect()
}

/// Hacks with a total reward close to that of a right answer to the same question.
fn margins(stage: &str, worth: f64, tried: &[Tried<'_>]) -> Option<AuditFinding> {
    let mut found = Vec::new();
    let mut right: Option<(&Problem, f64)> = None;
    for one in tried {
        let Some(total) = one.total else { continue };
        if one.attempt.due == Due::All {
            // Attempts at one question are adjacent, the right answer in full format first.
            if right.is_none_or(|(problem, _)| !std::ptr::eq(problem, one.problem)) {
                right = Some((one.problem, total));
            }
            continue;
        }
        if let Some((_, most)) = right.filter(|(problem, _)| std::ptr::eq(*problem, one.problem))
            && total > most - MARGIN * worth + 1e-9
        {
            found.push((one, format!("earns {total:.3} in all, a right answer {most:.3}")));
        }
    }
    (!found.is_empty()).then(|| Cases { kind: "margin", term: None, found }.finding(stage, tried.len()))
}

impl Cases<'_> {
    fn finding(self, stage: &str, of: usize) -> AuditFinding {
        let Self { kind, term, found } = self;
        let mut names: Vec<&str> = Vec::new();
        let mut examples = Vec::new();
        for (one, note) in &found {
            // One example per kind of attempt is more useful than three of the same kind.
            if !names.contains(&one.attempt.name) {
                names.push(one.attempt.name);
                if examples.len() < EXAMPLES {
                    let note = format!("{}: {}", one.attempt.name, cut(note));
                    let Problem { prompt, answer, .. } = one.problem;
                    examples.push(Example::new(prompt, answer, &one.attempt.text, note));
                }
            }
        }
        let names = names.join("; ");
        let message = match kind {
            "gold_refused" => format!("right answers are refused: {names}"),
            "hack_paid" => format!("wrong completions are rewarded: {names}"),
            "not_judged" => format!("completions cannot be judged: {names}"),
            _ => format!("the whole reward of wrong completions is close to that of right ones: {names}"),
        };
        let term = term.map(|term| term.name.clone());
        AuditFinding { term, examples, ..AuditFinding::new(stage, kind, message, found.len(), of) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thinkling_datasets::domains::DOMAINS;

    fn audited(task: &str, level: u32, rewards: &str) -> RecipeAudit {
        let text = format!(
            "name = \"t\"\n[task]\nname = \"{task}\"\nlevel = {level}\n[[stage]]\nkind = \"grpo\"\nsteps = 9\n\
             max_new_tokens = 4000\nrewards = [{rewards}]\n"
        );
        let plan = crate::plan::from_text("test.toml", &text, &[]).unwrap();
        recipe(&plan, &crate::stages::rules(&plan.stages).unwrap(), 3).unwrap()
    }

    #[test]
    fn the_judge_of_every_task_is_paid_for_right_answers_only() {
        let mut accused = Vec::new();
        for row in DOMAINS {
            let Ok(domain) = (row.build)(&serde_json::Value::Null) else { continue };
            let levels = domain.levels();
            let level = levels.start() + 2.min(levels.end() - levels.start());
            let audit = audited(row.name, level, "{ term = \"correct\", weight = 1 }");
            for finding in &audit.stages[0].findings {
                accused.push(format!("{}: {} {:?}", row.name, finding.message, finding.examples));
            }
        }
        assert!(accused.is_empty(), "{}", accused.join("\n"));
    }

    #[test]
    fn partial_credit_is_measured_by_its_margin() {
        let audit = audited(
            "parity",
            8,
            "{ term = \"correct\", weight = 0.1 }, { term = \"format\", weight = 0.9, config = { partial = true } }",
        );
        assert!(audit.is_clean(), "{:?}", audit.stages[0].findings);
        // A wrong answer in the right format gets less than a right one, but only a little less: long answers get more.
        let audit = audited(
            "parity",
            8,
            "{ term = \"correct\", weight = 0.1 }, { term = \"soft_overlong\", weight = 1, config = { longest = 20 } }",
        );
        let kinds: Vec<&str> = audit.stages[0].findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, ["margin"]);
    }
}

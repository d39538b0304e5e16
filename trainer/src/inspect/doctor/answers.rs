//! Checks that right answers can be written, are judged right, fit, and get a higher reward than wrong ones.

use std::sync::Arc;

use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Problem, Question, SolutionKind, Split};
use thinkling_verifiers::answer;

use super::{Chain, DoctorError, Finding, Patient, has_error, percent};
use crate::data::tokenizer::{Tokenizer, TokenizerError};
use crate::learn::advantage::AdvantageScale;
use crate::learn::batch::{Batch, Group};
use crate::learn::reward::{Control, RewardRule, RewardSettings};
use crate::learn::score::Judged;
use crate::plan;
use crate::policy::rollout::Completion;

const PROBES: u64 = 64;
/// Answers to other questions that are tried on each question.
const STRANGERS: usize = 8;
/// A greater share of cut-off worked solutions is an error: the policy would learn not to think.
const MAX_CUT: f64 = 0.1;
/// Above this share of flat groups, almost nothing is left to learn from.
const MAX_FLAT: f64 = 0.9;

/// The checks in order, for each task of the stage; the first error ends them.
pub(super) fn check(patient: &Patient<'_>) -> Result<Chain, DoctorError> {
    // Control experiments have their own finding.
    let settings = RewardSettings { control: Control::None, ..patient.rewards.settings.clone() };
    let rule = RewardRule::new(&settings, patient.rewards.max_new_tokens)?;
    let mut findings = Vec::new();
    for asked in &patient.stage.measured {
        findings.extend(check_task(patient, &rule, asked)?);
        if has_error(&findings) {
            break;
        }
    }
    Ok(findings)
}

fn check_task(
    patient: &Patient<'_>,
    rule: &RewardRule,
    asked: &Arc<plan::Task>,
) -> Result<Chain, DoctorError> {
    let dataset = asked.dataset(patient.plan.seed)?;
    let tasks: Vec<Question> = (0..PROBES)
        .map(|index| dataset.question(if index % 2 == 0 { Split::Train } else { Split::Test }, index))
        .collect::<Result<_, _>>()?;
    let tokenizer = patient.base.map_or(&patient.plan.tokenizer, |base| &base.tokenizer);
    let room = patient.base.map_or(patient.plan.model.max_position_embeddings, |base| {
        base.policy.config().max_position_embeddings
    });
    let exam = Exam { patient, asked, tasks, tokenizer, room, rule };
    // In this order: writing, judging, cutting, rewards.
    let checks: [&dyn Fn() -> Finding; 4] =
        [&|| exam.answer_format(), &|| exam.gold(), &|| exam.truncation(), &|| exam.flat_rewards()];
    let mut findings = Vec::new();
    for check in checks {
        let mut finding = check();
        if patient.stage.measured.len() > 1 {
            finding.seen = format!("task `{}`, level {}: {}", asked.name, asked.level, finding.seen);
        }
        findings.push(finding);
        if has_error(&findings) {
            break;
        }
    }
    Ok(findings)
}

struct Exam<'a> {
    patient: &'a Patient<'a>,
    asked: &'a Arc<plan::Task>,
    tasks: Vec<Question>,
    tokenizer: &'a Tokenizer,
    room: usize,
    rule: &'a RewardRule,
}

const THINKING: [SolutionKind; 3] = [SolutionKind::Long, SolutionKind::Search, SolutionKind::Flawed];

impl Exam<'_> {
    /// Tokens of a completion, with the end symbol.
    fn tokens(&self, completion: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = self.tokenizer.encode(completion)?;
        tokens.push(self.tokenizer.end());
        Ok(tokens)
    }

    fn fits(&self, task: &Question, tokens: usize) -> bool {
        let prompt = self.tokenizer.encode(&task.problem.prompt).map_or(0, |prompt| prompt.len());
        tokens <= self.patient.rewards.max_new_tokens && prompt + tokens <= self.room + 1
    }

    /// Scores completions of one question in the same way as the run.
    fn score(&self, question: &Question, completions: &[String]) -> Vec<Judged> {
        let completions = completions.iter().map(|text| {
            let tokens = self.tokens(text).unwrap_or_else(|_| vec![self.tokenizer.end()]);
            Completion { is_finished: true, tokens, ..Completion::default() }
        });
        let group = Group {
            question: question.clone(),
            task: self.asked.clone(),
            index: 0,
            prompt: self.tokenizer.encode(&question.problem.prompt).unwrap_or_default(),
            members: completions.collect(),
        };
        let batch = Batch { groups: vec![group] };
        let scored = self.rule.score(batch, self.tokenizer, self.patient.plan.seed, [0, 0]);
        scored.groups.into_iter().flat_map(|group| group.members).map(|one| one.judged).collect()
    }

    /// A worked solution: its completion, and whether its answer is a guess.
    fn solution(&self, problem: &Problem, kind: SolutionKind, number: usize) -> Option<(String, bool)> {
        let mut stream = Stream::at("doctor/solution", self.patient.plan.seed, &[kind as u64, number as u64]);
        let solution = self.asked.domain.solve(problem, kind, &mut stream)?;
        Some((answer::compose(&solution.thinking, &solution.answer), solution.is_guess))
    }

    /// The kinds in the base model's corpus with their shares; all kinds of the task if there is no corpus.
    fn taught(&self) -> Vec<(SolutionKind, f64)> {
        let mut taught: Vec<(SolutionKind, f64)> = Vec::new();
        for kind in SolutionKind::ALL {
            let share: f64 = self.patient.pretraining().map(|(_, shares)| shares.of(kind)).sum();
            if share > 0.0 {
                taught.push((kind, share));
            }
        }
        if taught.is_empty() {
            let problem = &self.tasks[0].problem;
            let has = |kind: &SolutionKind| self.solution(problem, *kind, 0).is_some();
            taught = SolutionKind::ALL.into_iter().filter(has).map(|kind| (kind, 1.0)).collect();
        }
        taught
    }

    /// Whether every gold answer can be written in the policy's tokens, within its limits.
    fn answer_format(&self) -> Finding {
        let stage = self.patient.stage;
        let (mut longest, mut too_long) = (0, 0);
        for task in &self.tasks {
            let gold = answer::compose("", &task.problem.answer);
            let written = self.tokenizer.encode(&task.problem.prompt).and_then(|_| self.tokens(&gold));
            let tokens = match written {
                Ok(tokens) => tokens.len(),
                Err(error) => {
                    let seen = format!(
                        "the policy's {} tokens cannot write question {} or its answer `{}`: {error}",
                        self.tokenizer.size(),
                        task.id,
                        task.problem.answer
                    );
                    let change = "a base model that was trained on this task's alphabet, or no base model: then the \
                                  alphabet comes from the tasks";
                    return Finding::error("answer_format", stage, seen, change.to_owned());
                }
            };
            longest = longest.max(tokens);
            too_long += u32::from(!self.fits(task, tokens));
        }
        let limit = self.patient.rewards.max_new_tokens;
        if too_long > 0 {
            let seen = format!(
                "{} of the right answers do not fit into max_new_tokens = {limit} even without thinking: tags, answer \
                 and end take up to {longest} tokens",
                percent(f64::from(too_long) / self.tasks.len() as f64)
            );
            let change = format!("stage.{}.max_new_tokens = {}", stage.name, self.needed().max(longest));
            return Finding::error("answer_format", stage, seen, change);
        }
        let seen = format!("every gold answer can be written; the longest takes {longest} of {limit} tokens");
        Finding::ok("answer_format", Some(stage), seen)
    }

    /// Tokens of the longest worked solution of a kind in the corpus.
    fn needed(&self) -> usize {
        let taught = self.taught();
        let lengths = self.tasks.iter().enumerate().flat_map(|(number, task)| {
            taught.iter().filter_map(move |(kind, _)| {
                let (text, _) = self.solution(&task.problem, *kind, number)?;
                Some(self.tokens(&text).ok()?.len())
            })
        });
        lengths.max().unwrap_or(0)
    }

    fn gold(&self) -> Finding {
        let stage = self.patient.stage;
        let (mut tried, mut refused) = (0_u32, 0_u32);
        let mut example = None;
        for (number, task) in self.tasks.iter().enumerate() {
            let mut golds = vec![answer::compose("", &task.problem.answer)];
            let thoughtful = THINKING.iter().find_map(|kind| self.solution(&task.problem, *kind, number));
            golds.extend(thoughtful.filter(|(_, is_guess)| !is_guess).map(|(text, _)| text));
            for judged in self.score(task, &golds) {
                tried += 1;
                if !judged.is_correct() || judged.reward.is_none() {
                    refused += 1;
                    example.get_or_insert((task.id.clone(), judged));
                }
            }
        }
        let Some((id, judged)) = example else {
            let seen = format!("all {tried} gold answers are judged right");
            return Finding::ok("gold", Some(stage), seen);
        };
        let seen = format!(
            "the verifier refuses {refused} of {tried} gold answers, such as `{}` to {id}: {}",
            judged.text, judged.verdict.reason
        );
        let change = "the verifier or the answers: `thinkling generate` writes the questions, `thinkling verify` judges \
                      them one by one";
        Finding::error("gold", stage, seen, change.to_owned())
    }

    fn truncation(&self) -> Finding {
        let stage = self.patient.stage;
        let limit = self.patient.rewards.max_new_tokens;
        let mut worst: Option<(SolutionKind, f64)> = None;
        let mut shares = Vec::new();
        for (kind, _) in self.taught() {
            let lengths: Vec<(usize, bool)> = self
                .tasks
                .iter()
                .enumerate()
                .filter_map(|(number, task)| {
                    let (text, _) = self.solution(&task.problem, kind, number)?;
                    let tokens = self.tokens(&text).ok()?.len();
                    Some((tokens, self.fits(task, tokens)))
                })
                .collect();
            let cut = lengths.iter().filter(|(_, fits)| !fits).count() as f64 / lengths.len().max(1) as f64;
            shares.push(format!("{} {}", kind.name(), percent(cut)));
            if cut > worst.map_or(0.0, |(_, cut)| cut) {
                worst = Some((kind, cut));
            }
        }
        let needed = self.needed();
        let seen = format!(
            "max_new_tokens = {limit} cuts off these shares of the worked solutions: {}; the longest needs {needed}",
            shares.join(", ")
        );
        let change = format!("stage.{}.max_new_tokens = {needed}", stage.name);
        match worst {
            None => {
                let seen = format!("worked solutions fit: the longest takes {needed} of {limit} tokens");
                Finding::ok("truncation", Some(stage), seen)
            }
            Some((_, cut)) if cut > MAX_CUT => Finding::error("truncation", stage, seen, change),
            Some(_) => Finding::warning("truncation", stage, seen, change),
        }
    }

    /// Whether a right answer gets a higher reward than a wrong one, and whether groups will contain both.
    fn flat_rewards(&self) -> Finding {
        let stage = self.patient.stage;
        let (mut equal, mut compared) = (0_u32, 0_u32);
        let (mut spread, mut guesses, mut tries) = (0.0, 0_u32, 0_u32);
        for (number, task) in self.tasks.iter().enumerate() {
            let strangers = (1..=STRANGERS).map(|step| &self.tasks[(number + step) % self.tasks.len()]);
            let mut texts = vec![answer::compose("", &task.problem.answer)];
            texts.extend(strangers.map(|other| answer::compose("", &other.problem.answer)));
            let judged = self.score(task, &texts);
            // What could not be judged says nothing.
            let Some(gold) = judged[0].reward else { continue };
            let others = || judged[1..].iter().filter(|one| !one.is_error());
            tries += others().count() as u32;
            guesses += others().filter(|one| one.is_correct()).count() as u32;
            for wrong in others().filter(|one| !one.is_correct()) {
                let gap = gold - wrong.reward.unwrap_or(0.0);
                compared += 1;
                equal += u32::from(gap <= 0.0);
                spread += gap;
            }
        }
        if compared == 0 {
            let seen = format!("every answer tried to {} questions is right: each reward is the same", tries);
            let change = "a higher task.level, or a task with different answers".to_owned();
            return Finding::error("flat_rewards", stage, seen, change);
        }
        let gap = spread / f64::from(compared);
        if equal * 2 > compared {
            let seen = format!(
                "a right answer earns {gap:.3} more than a wrong one, and in {} of {compared} comparisons nothing: the \
                 reward does not depend on the answer",
                percent(f64::from(equal) / f64::from(compared))
            );
            let change = format!(
                "stage.{}.rewards = [{{ term = \"correct\", weight = 0.9 }}, {{ term = \"format\", weight = 0.1 }}]",
                stage.name
            );
            return Finding::error("flat_rewards", stage, seen, change);
        }
        let epsilon = self.patient.rewards.advantage.advantage_epsilon;
        // The deviation of a group with one half right.
        if self.patient.rewards.advantage.advantage == AdvantageScale::GroupStd && gap / 2.0 < epsilon {
            let seen =
                format!("right and wrong differ by {gap:e}, less than twice advantage_epsilon = {epsilon:e}");
            let change = format!("stage.{}.advantage_epsilon = 1e-4, or greater weights", stage.name);
            return Finding::error("flat_rewards", stage, seen, change);
        }
        self.expected_groups(gap, f64::from(guesses) / f64::from(tries.max(1)))
    }

    /// The share of flat groups of a base model that answers in the shares of its corpus: right where the corpus is
    /// right, by chance where it guesses.
    fn expected_groups(&self, gap: f64, chance: f64) -> Finding {
        let stage = self.patient.stage;
        let (mut right, mut all) = (0.0, 0.0);
        for (kind, share) in self.taught() {
            let accuracy: Vec<f64> = self
                .tasks
                .iter()
                .enumerate()
                .filter_map(|(number, task)| {
                    let (text, is_guess) = self.solution(&task.problem, kind, number)?;
                    if kind == SolutionKind::Direct && !is_guess {
                        return Some(chance);
                    }
                    let tokens = self.tokens(&text).ok()?.len();
                    if !self.fits(task, tokens) {
                        return Some(0.0);
                    }
                    let judged = self.score(task, &[text]);
                    judged.first().filter(|one| !one.is_error()).map(|one| f64::from(one.is_correct()))
                })
                .collect();
            right += share * accuracy.iter().sum::<f64>() / accuracy.len().max(1) as f64;
            all += share;
        }
        let right = if all > 0.0 { right / all } else { 0.0 };
        let group = self.patient.rewards.group_size as i32;
        let flat = right.powi(group) + (1.0 - right).powi(group);
        let seen = format!(
            "a right answer earns {gap:.3} more than a wrong one; a base model that thinks as often as its corpus is \
             right in {} of its answers, and {} of its groups are flat",
            percent(right),
            percent(flat)
        );
        if flat <= MAX_FLAT {
            return Finding::ok("flat_rewards", Some(stage), seen);
        }
        if right > 0.5 {
            let change = "a smaller share of documents that think, or a higher task.level".to_owned();
            return Finding::warning("flat_rewards", stage, seen, change);
        }
        let change =
            "a greater share of documents that think, a lower task.level, or a greater group_size".to_owned();
        Finding::error("flat_rewards", stage, seen, change)
    }
}

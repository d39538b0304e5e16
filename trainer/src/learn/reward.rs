//! The reward of a completion: the weighted sum of terms.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Domain, Problem};
use thinkling_verifiers::{Item, Outcome, SettingsError, Verdict, Verifier, answer, terms};

use super::batch::{Batch, Scored};
use super::reward_terms::{Earns, Measure, Over, RewardEntry, RewardTerm};
use super::score::{Earned, Judged, judge_by};
use crate::data::tokenizer::Tokenizer;
use crate::policy::rollout::Completion;

/// The treatment of completions that are cut off at `max_new_tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlong {
    /// They score 0.
    Zero,
    /// They are left out of the update.
    Mask,
}

/// A control experiment, which should not learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// No control experiment.
    None,
    /// Rewards are random.
    RandomReward,
    /// Correct answers earn nothing; wrong ones earn the reward of correct ones.
    InvertedReward,
    /// Completions are sampled and scored, but the weights do not change.
    NoRl,
}

/// The reward settings of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RewardSettings {
    /// The treatment of completions that are cut off at `max_new_tokens`.
    pub overlong: Overlong,
    /// The terms of the reward.
    #[schemars(length(min = 1))]
    pub rewards: Vec<RewardEntry>,
    /// The run stops if verifiers fail to judge a greater share of a batch's completions. Those completions are left out of the
    /// update.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_error_share: f64,
    /// A control experiment.
    pub control: Control,
}

impl Default for RewardSettings {
    fn default() -> Self {
        Self {
            overlong: Overlong::Zero,
            rewards: vec![RewardEntry::new(RewardTerm::Correct, 1.0)],
            max_error_share: 0.5,
            control: Control::None,
        }
    }
}

/// The reward of a stage, with its verifiers.
pub struct RewardRule {
    /// The weighted terms.
    pub terms: Vec<Term>,
    /// The treatment of completions that are cut off.
    pub overlong: Overlong,
    /// A control experiment.
    pub control: Control,
    /// The greatest share of a batch's completions that verifiers may fail on.
    max_error_share: f64,
}

/// Counts the completions of a batch that one judge fails on, and asks it no more when they are too many: the run stops
/// anyway, and a silent judge costs its time limit for each.
struct Failures {
    completions: usize,
    max_share: f64,
    count: AtomicUsize,
}

impl Failures {
    fn new(completions: usize, max_share: f64) -> Self {
        Self { completions, max_share, count: AtomicUsize::new(0) }
    }

    /// The verdict on a text that as many `completions` have.
    fn judge(&self, completions: usize, verify: impl FnOnce() -> Verdict) -> Verdict {
        let failed = self.count.load(Ordering::Relaxed);
        if failed as f64 / self.completions as f64 > self.max_share {
            return Verdict::error(UNASKED);
        }
        let verdict = verify();
        if verdict.outcome == Outcome::Error {
            self.count.fetch_add(completions, Ordering::Relaxed);
        }
        verdict
    }
}

/// The reason of a completion that was not judged because its judge had failed on too many others.
pub(crate) const UNASKED: &str = "not judged: its judge failed on too many other completions";

/// One term of the reward.
pub struct Term {
    /// The name in the metrics.
    pub name: String,
    /// The kind in the recipe.
    pub kind: RewardTerm,
    /// The weight.
    pub weight: f64,
    /// Whether partly correct answers have scores in between.
    pub is_graded: bool,
    source: Source,
}

/// The source of a term's score.
enum Source {
    Task,
    Verifier(Box<dyn Verifier>),
    /// The verifier `code`, for the answer in the task's template.
    Program(Box<dyn Verifier>),
    Measure(Measure),
}

/// A completion as the input of reward terms.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The text, without the end.
    pub text: &'a str,
    /// The tokens, without the end.
    pub tokens: &'a [u32],
    /// Whether it ended within the limit.
    pub is_finished: bool,
    /// The verdict of the task.
    pub verdict: &'a Verdict,
}

/// Treats an answer that is not worked out as wrong.
struct WorkedOut(Box<dyn Verifier>);

impl Verifier for WorkedOut {
    fn verify(&self, item: &Item<'_>) -> Verdict {
        let verdict = self.0.verify(item);
        let (Some(found), Some(right)) = (&verdict.extracted, item.answer) else { return verdict };
        if verdict.score > 0.0 && !terms::is_worked_out(found, right) {
            return Verdict::wrong(
                found,
                "not worked out: it uses operations that the right answer does not",
            );
        }
        verdict
    }
}

impl Term {
    fn new(reward: &RewardEntry, longest: u64) -> Result<Self, SettingsError> {
        let name = reward.term.name();
        let refuse = |message| SettingsError { verifier: name, message };
        let build = |config| match thinkling_verifiers::find(name) {
            Some(row) => (row.build)(config),
            None => Err(refuse("there is none of this name".to_owned())),
        };
        let source = match reward.read(&reward.config, longest).map_err(refuse)? {
            Earns::Correct => Source::Task,
            Earns::Verifier { config, worked_out: true } => {
                Source::Verifier(Box::new(WorkedOut(build(&config)?)))
            }
            Earns::Verifier { config, worked_out: false } => Source::Verifier(build(&config)?),
            Earns::Code { config, template: true } => Source::Program(build(&config)?),
            Earns::Code { config, template: false } => Source::Verifier(build(&config)?),
            Earns::Measure(measure) => Source::Measure(measure),
        };
        let is_graded =
            reward.config.get("partial").is_some_and(|partial| partial != "all" && *partial != false);
        let (name, kind, weight) = (reward.name().to_owned(), reward.term, reward.weight);
        Ok(Self { name, kind, weight, is_graded, source })
    }

    /// What its verifier reports about this machine.
    pub fn notice(&self) -> Option<String> {
        match &self.source {
            Source::Verifier(verifier) | Source::Program(verifier) => verifier.notice(),
            _ => None,
        }
    }

    /// The score of a whole program, without the task's template; `None` if the term has no template.
    pub fn of_program(&self, domain: &dyn Domain, problem: &Problem, completion: &str) -> Option<Earned> {
        let Source::Program(verifier) = &self.source else { return None };
        let spec = domain.tests(problem)?;
        Some(Earned::of(verifier.verify(&Item { completion, answer: None, spec: Some(&spec) })))
    }

    /// Whether it runs other processes.
    fn is_outside(&self) -> bool {
        matches!(self.kind, RewardTerm::Code | RewardTerm::External)
    }

    /// The scores of completions of one question.
    fn earned(
        &self,
        domain: &dyn Domain,
        problem: &Problem,
        readings: &[Reading<'_>],
        control: Control,
        failures: &Failures,
    ) -> Vec<Earned> {
        let plain = |score: &dyn Fn(&Reading<'_>) -> f64| {
            readings.iter().map(|reading| Earned { score: Some(score(reading)), verdict: None }).collect()
        };
        match &self.source {
            Source::Task => readings.iter().map(|reading| Earned::of(reading.verdict.clone())).collect(),
            Source::Verifier(verifier) => judged(readings, failures, |text| {
                let item =
                    Item { completion: text, answer: Some(&problem.answer), spec: Some(&problem.spec) };
                verifier.verify(&item)
            }),
            Source::Program(verifier) => {
                let spec = domain.tests(problem);
                judged(readings, failures, |text| {
                    let Some(spec) = &spec else {
                        return Verdict::error("the task has no tests for this question");
                    };
                    match answer::tagged(text).and_then(|answer| domain.python(answer)) {
                        Some(source) => {
                            let completion = format!("```python\n{source}```\n");
                            verifier.verify(&Item { completion: &completion, answer: None, spec: Some(spec) })
                        }
                        None => Verdict::malformed("the answer is no program of the task's template"),
                    }
                })
            }
            Source::Measure(Measure::SoftOverlong { longest, cache }) => {
                plain(&|reading| terms::soft_overlong(reading.tokens.len() as u64, *longest, *cache))
            }
            Source::Measure(Measure::Cosine { longest, ends }) => plain(&|reading| {
                let is_inverted =
                    control == Control::InvertedReward && reading.verdict.outcome != Outcome::Malformed;
                let is_right = reading.verdict.is_correct() != is_inverted;
                terms::cosine(is_right, reading.tokens.len() as u64, *longest, ends)
            }),
            Source::Measure(Measure::Repetition { size, over }) => plain(&|reading| {
                let repeated = match over {
                    Over::Words => terms::repetition(reading.text, *size),
                    Over::Tokens => {
                        let words: Vec<String> = reading.tokens.iter().map(u32::to_string).collect();
                        terms::repetition(&words.join(" "), *size)
                    }
                };
                0.0 - repeated
            }),
            Source::Measure(Measure::Language(script)) => plain(&|reading| {
                terms::language_share(answer::thinking(reading.text).unwrap_or_default(), *script)
            }),
        }
    }
}

/// The verdicts on completions of one question, in parallel and once per text. A cut-off completion is never correct.
fn judged(
    readings: &[Reading<'_>],
    failures: &Failures,
    verify: impl Fn(&str) -> Verdict + Sync,
) -> Vec<Earned> {
    let mut texts: Vec<&str> =
        readings.iter().filter(|reading| reading.is_finished).map(|reading| reading.text).collect();
    texts.sort_unstable();
    texts.dedup();
    let judge = |text: &&str| {
        let same = readings.iter().filter(|reading| reading.is_finished && reading.text == *text);
        failures.judge(same.count(), || verify(text))
    };
    let verdicts: Vec<Verdict> = texts.par_iter().map(judge).collect();
    let find = |reading: &Reading<'_>| {
        let known = texts.binary_search(&reading.text).ok().filter(|_| reading.is_finished);
        known.map_or_else(|| Verdict::malformed("cut off before its end"), |at| verdicts[at].clone())
    };
    readings.iter().map(|reading| Earned::of(find(reading))).collect()
}

impl RewardRule {
    /// Builds the verifiers of a stage, and starts those that are programs.
    pub fn new(settings: &RewardSettings, max_new_tokens: usize) -> Result<Self, SettingsError> {
        let longest = max_new_tokens as u64;
        let terms =
            settings.rewards.iter().map(|reward| Term::new(reward, longest)).collect::<Result<_, _>>()?;
        let RewardSettings { overlong, control, max_error_share, .. } = *settings;
        Ok(Self { terms, overlong, control, max_error_share })
    }

    /// Whether judging these groups runs other processes.
    pub fn is_outside<T>(&self, batch: &Batch<T>) -> bool {
        self.terms.iter().any(Term::is_outside)
            || batch.groups.iter().any(|group| group.task.domain.is_outside())
    }

    /// The scores of all terms for completions of one question: one row per completion.
    pub fn earned(
        &self,
        domain: &dyn Domain,
        problem: &Problem,
        readings: &[Reading<'_>],
    ) -> Vec<Vec<Earned>> {
        let failures: Vec<Failures> = self.terms.iter().map(|_| Failures::new(readings.len(), 1.0)).collect();
        self.earned_until(domain, problem, readings, &failures)
    }

    /// Like [`RewardRule::earned`], with the failures of each term on the batch so far.
    fn earned_until(
        &self,
        domain: &dyn Domain,
        problem: &Problem,
        readings: &[Reading<'_>],
        failures: &[Failures],
    ) -> Vec<Vec<Earned>> {
        let mut rows = vec![Vec::with_capacity(self.terms.len()); readings.len()];
        for (term, failures) in self.terms.iter().zip(failures) {
            let earned = term.earned(domain, problem, readings, self.control, failures);
            rows.iter_mut().zip(earned).for_each(|(row, earned)| row.push(earned));
        }
        rows
    }

    /// The weighted sum of the terms; `None` if one of them could not judge.
    pub fn sum(&self, earned: &[Earned]) -> Option<f64> {
        self.terms.iter().zip(earned).map(|(term, earned)| Some(term.weight * self.paid(term, earned)?)).sum()
    }

    /// The score of a term, inverted under that control.
    fn paid(&self, term: &Term, earned: &Earned) -> Option<f64> {
        let score = earned.score?;
        // Without an answer there is no reward, under the control either.
        let is_malformed =
            earned.verdict.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Malformed);
        let is_inverted = self.control == Control::InvertedReward && term.kind.judges() && !is_malformed;
        Some(if is_inverted { 1.0 - score } else { score })
    }

    /// The reward of a completion; the random control uses `stream`.
    fn reward(&self, judged: &Judged, is_finished: bool, stream: &mut Stream) -> Option<f64> {
        let is_masked = self.overlong == Overlong::Mask && !is_finished;
        if is_masked || judged.is_error() {
            return None;
        }
        if self.control == Control::RandomReward {
            return Some(f64::from(stream.chance(0.5)));
        }
        self.sum(&judged.earned)
    }

    /// Judges and rewards every completion; `address` is the address of the batch.
    pub fn score(
        &self,
        batch: Batch<Completion>,
        tokenizer: &Tokenizer,
        seed: u64,
        address: [u64; 2],
    ) -> Batch<Scored> {
        let failures = || Failures::new(batch.members().count(), self.max_error_share);
        let of_task = failures();
        let of_terms: Vec<Failures> = self.terms.iter().map(|_| failures()).collect();
        let groups = batch.groups.into_par_iter().enumerate().map(|(number, mut group)| {
            let completions = std::mem::take(&mut group.members);
            let domain = group.task.domain.as_ref();
            let verify = |item: &Item<'_>| of_task.judge(1, || domain.judge(item));
            let read =
                |completion: &Completion| judge_by(&verify, domain, tokenizer, &group.question, completion);
            let mut judged: Vec<Judged> = completions.par_iter().map(read).collect();
            let readings: Vec<Reading<'_>> = judged.iter().zip(&completions).map(reading).collect();
            let rows = self.earned_until(domain, &group.question.problem, &readings, &of_terms);
            for (sample, (one, earned)) in judged.iter_mut().zip(rows).enumerate() {
                one.earned = earned;
                let place = [address[0], address[1], number as u64, sample as u64];
                let mut stream = Stream::at("random reward", seed, &place);
                one.reward = self.reward(one, completions[sample].is_finished, &mut stream);
            }
            let scored = completions.into_iter().zip(judged);
            let scored = scored.map(|(completion, judged)| Scored { completion, judged }).collect();
            group.with(scored)
        });
        Batch { groups: groups.collect() }
    }
}

fn reading<'a>((judged, completion): (&'a Judged, &'a Completion)) -> Reading<'a> {
    let end = usize::from(completion.is_finished);
    Reading {
        text: &judged.text,
        tokens: &completion.tokens[..completion.tokens.len() - end],
        is_finished: completion.is_finished,
        verdict: &judged.verdict,
    }
}

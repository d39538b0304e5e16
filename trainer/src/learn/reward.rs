//! How what was written becomes a reward: the weighted sum of the terms.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Domain, Problem};
use thinkling_verifiers::{Item, Outcome, SettingsError, Verdict, Verifier, answer, terms};

use super::batch::{Batch, Scored};
use super::reward_terms::{Earns, Measure, Over, RewardEntry, RewardTerm};
use super::score::{Judged, judge};
use crate::data::tokenizer::Tokenizer;
use crate::policy::rollout::Completion;

/// What becomes of completions cut off at `max_new_tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlong {
    /// They score 0.
    Zero,
    /// They are left out of the update.
    Mask,
}

/// A control experiment: what should not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// None: rewards are what they are.
    None,
    /// Rewards are drawn at random.
    RandomReward,
    /// Right answers earn nothing, wrong ones what right ones would.
    InvertedReward,
    /// Completions are sampled and scored, and the weights stay.
    NoRl,
}

/// How a stage of a recipe rewards completions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RewardSettings {
    /// What becomes of completions cut off at `max_new_tokens`.
    pub overlong: Overlong,
    /// The terms of the reward.
    #[schemars(length(min = 1))]
    pub rewards: Vec<RewardEntry>,
    /// Share of a batch's completions that verifiers may fail to judge; above it the run stops. Those completions are
    /// left out of the update.
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

/// How completions are rewarded: verifiers that run, and weights.
pub struct RewardRule {
    /// Weighted terms.
    pub terms: Vec<Term>,
    /// What becomes of completions that were cut off.
    pub overlong: Overlong,
    /// A control experiment.
    pub control: Control,
}

/// One term of the reward.
pub struct Term {
    /// Name in the metrics.
    pub name: String,
    /// What the recipe calls it.
    pub kind: RewardTerm,
    /// How much it earns.
    pub weight: f64,
    /// Whether there are scores between those of a right answer and of any other.
    pub is_graded: bool,
    source: Source,
}

/// Where a term's score comes from.
enum Source {
    Task,
    Verifier(Box<dyn Verifier>),
    /// The verifier `code`, on the program that the task's template makes of an answer.
    Program(Box<dyn Verifier>),
    Measure(Measure),
}

/// What one term says of one completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Earned {
    /// Unweighted; `None` where the item could not be judged.
    pub score: Option<f64>,
    /// What the verifier says, where the term has one.
    pub verdict: Option<Verdict>,
}

/// A completion as the terms of a reward see it.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// As text, without the end.
    pub text: &'a str,
    /// The tokens, without the end.
    pub tokens: &'a [u32],
    /// Whether it ended by itself.
    pub is_finished: bool,
    /// What the task's own judge says.
    pub verdict: &'a Verdict,
}

/// Takes an answer that is not worked out for a wrong one.
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
        Ok(Self {
            name: reward.name().to_owned(),
            kind: reward.term,
            weight: reward.weight,
            is_graded,
            source,
        })
    }

    /// What its verifier found on this machine.
    pub fn notice(&self) -> Option<String> {
        match &self.source {
            Source::Verifier(verifier) | Source::Program(verifier) => verifier.notice(),
            _ => None,
        }
    }

    /// What it says of a program as it stands, past the task's template; `None` where it has none.
    pub fn of_program(&self, domain: &dyn Domain, problem: &Problem, completion: &str) -> Option<Earned> {
        let Source::Program(verifier) = &self.source else { return None };
        let spec = domain.tests(problem)?;
        Some(Earned::of(verifier.verify(&Item { completion, answer: None, spec: Some(&spec) })))
    }

    /// Whether other processes do its work.
    fn is_outside(&self) -> bool {
        matches!(self.kind, RewardTerm::Code | RewardTerm::External)
    }

    /// What it says of completions of one question.
    fn earned(
        &self,
        domain: &dyn Domain,
        problem: &Problem,
        readings: &[Reading<'_>],
        control: Control,
    ) -> Vec<Earned> {
        let plain = |score: &dyn Fn(&Reading<'_>) -> f64| {
            readings.iter().map(|reading| Earned { score: Some(score(reading)), verdict: None }).collect()
        };
        match &self.source {
            Source::Task => readings.iter().map(|reading| Earned::of(reading.verdict.clone())).collect(),
            Source::Verifier(verifier) => judged(readings, |text| {
                let item =
                    Item { completion: text, answer: Some(&problem.answer), spec: Some(&problem.spec) };
                verifier.verify(&item)
            }),
            Source::Program(verifier) => {
                let spec = domain.tests(problem);
                judged(readings, |text| {
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

impl Earned {
    fn of(verdict: Verdict) -> Self {
        let score = (verdict.outcome != Outcome::Error).then_some(verdict.score);
        Self { score, verdict: Some(verdict) }
    }
}

/// The verdicts on completions of one question: in parallel, and once for those that are alike. One that was cut off is
/// never right, whatever it says.
fn judged(readings: &[Reading<'_>], verify: impl Fn(&str) -> Verdict + Sync) -> Vec<Earned> {
    let mut texts: Vec<&str> =
        readings.iter().filter(|reading| reading.is_finished).map(|reading| reading.text).collect();
    texts.sort_unstable();
    texts.dedup();
    let verdicts: Vec<Verdict> = texts.par_iter().map(|text| verify(text)).collect();
    let find = |reading: &Reading<'_>| {
        let known = texts.binary_search(&reading.text).ok().filter(|_| reading.is_finished);
        known.map_or_else(|| Verdict::malformed("cut off before its end"), |at| verdicts[at].clone())
    };
    readings.iter().map(|reading| Earned::of(find(reading))).collect()
}

impl RewardRule {
    /// The rule of a stage, for completions of at most `max_new_tokens` tokens; builds its verifiers and starts those that are programs.
    ///
    /// # Errors
    /// The first verifier that cannot be built on this machine.
    pub fn new(settings: &RewardSettings, max_new_tokens: usize) -> Result<Self, SettingsError> {
        let longest = max_new_tokens as u64;
        let terms =
            settings.rewards.iter().map(|reward| Term::new(reward, longest)).collect::<Result<_, _>>()?;
        Ok(Self { terms, overlong: settings.overlong, control: settings.control })
    }

    /// Whether processes other than this one judge any of these groups.
    pub fn is_outside<T>(&self, batch: &Batch<T>) -> bool {
        self.terms.iter().any(Term::is_outside)
            || batch.groups.iter().any(|group| group.task.domain.is_outside())
    }

    /// What each term says of each completion of one question: a row a completion.
    pub fn earned(
        &self,
        domain: &dyn Domain,
        problem: &Problem,
        readings: &[Reading<'_>],
    ) -> Vec<Vec<Earned>> {
        let mut rows = vec![Vec::with_capacity(self.terms.len()); readings.len()];
        for term in &self.terms {
            let earned = term.earned(domain, problem, readings, self.control);
            rows.iter_mut().zip(earned).for_each(|(row, earned)| row.push(earned));
        }
        rows
    }

    /// The weighted sum of what the terms say; `None` where one of them could not judge.
    pub fn sum(&self, earned: &[Earned]) -> Option<f64> {
        self.terms.iter().zip(earned).map(|(term, earned)| Some(term.weight * self.paid(term, earned)?)).sum()
    }

    /// What a term pays: its score, or under a control the contrary.
    fn paid(&self, term: &Term, earned: &Earned) -> Option<f64> {
        let score = earned.score?;
        // Who answers nothing earns nothing, here too.
        let is_malformed =
            earned.verdict.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Malformed);
        let is_inverted = self.control == Control::InvertedReward && term.kind.judges() && !is_malformed;
        Some(if is_inverted { 1.0 - score } else { score })
    }

    /// The reward of a completion; `stream` is its own, for the random control.
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

    /// Reads and rewards every completion, each with the judge of its task; `address` is that of the batch.
    pub fn score(
        &self,
        batch: Batch<Completion>,
        tokenizer: &Tokenizer,
        seed: u64,
        address: [u64; 2],
    ) -> Batch<Scored> {
        let groups = batch.groups.into_par_iter().enumerate().map(|(number, mut group)| {
            let completions = std::mem::take(&mut group.members);
            let domain = group.task.domain.as_ref();
            let read = |completion: &Completion| judge(domain, tokenizer, &group.question, completion);
            let mut judged: Vec<Judged> = completions.par_iter().map(read).collect();
            let readings: Vec<Reading<'_>> = judged.iter().zip(&completions).map(reading).collect();
            let rows = self.earned(domain, &group.question.problem, &readings);
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

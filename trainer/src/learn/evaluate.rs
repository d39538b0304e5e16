//! Evaluation of a policy on held-out questions.

use std::collections::BTreeMap;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thinkling_datasets::{Question, Split};

use crate::data::task::Task;
use crate::data::tokenizer::Tokenizer;
use crate::learn::batch::mean;
use crate::learn::score::{Judged, judge};
use crate::policy::Policy;
use crate::policy::rollout::{Limits, Request, Rollout, ThinkingBudget};
use crate::policy::sampling::Sampling;

/// The held-out questions of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Questions of the test split.
    #[schemars(range(min = 1, max = 1000000000))]
    pub count: u64,
    /// Seed of the questions. It is independent of the run's seed, so that all runs answer the same questions.
    pub seed: u64,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { count: 256, seed: 0 }
    }
}

/// The settings of an evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Questions {
    /// Questions of the test split.
    pub count: u64,
    /// Completions per question.
    pub samples: usize,
    /// Seed of questions and samples.
    pub seed: u64,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Maximum number of tokens of a completion.
    pub max_new_tokens: usize,
    /// How the policy may think.
    pub thinking: Thinking,
}

/// How the policy may think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// Without limits.
    Free,
    /// Not at all: the prompt opens and closes the thinking.
    None,
    /// At most this many tokens; then the thinking is closed.
    Budget(usize),
}

/// A share or a mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Half the width of a 95 % interval, in standard deviations.
const Z: f64 = 1.959_964;

impl Estimate {
    /// The mean of one share per question, which is itself a mean over dependent samples.
    ///
    /// Wilson's interval with the number of draws that has this variance, between `questions.len()` and `draws`.
    pub fn of_means(questions: &[f64], draws: usize) -> Self {
        let count = questions.len() as f64;
        let value = questions.iter().sum::<f64>() / count;
        let variance =
            questions.iter().map(|mean| (mean - value).powi(2)).sum::<f64>() / (count - 1.0).max(1.0) / count;
        let effective = if variance > 0.0 { value * (1.0 - value) / variance } else { count };
        Self::wilson(value, effective.clamp(count, draws.max(questions.len()) as f64))
    }

    /// Wilson's score interval for a share of `count` draws (Wilson 1927).
    pub fn wilson(value: f64, count: f64) -> Self {
        let spread = Z * Z / count;
        let centre = (value + spread / 2.0) / (1.0 + spread);
        let reach = Z / (1.0 + spread) * (value * (1.0 - value) / count + spread / (4.0 * count)).sqrt();
        Self { value, low: (centre - reach).clamp(0.0, value), high: (centre + reach).clamp(value, 1.0) }
    }

    /// The mean of one count per question.
    fn of_counts(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let value = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
        let reach = Z * (variance / count).sqrt();
        Self { value, low: (value - reach).max(0.0), high: value + reach }
    }
}

/// The results of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// The task.
    pub task: String,
    /// Its level.
    pub level: u32,
    /// Number of questions.
    pub count: u64,
    /// Number of different questions.
    pub distinct: u64,
    /// Completions per question.
    pub samples: usize,
    /// Completions that could not be judged. They are in no mean.
    pub errors: u64,
    /// The means over all others; absent if there are none.
    #[serde(flatten)]
    pub means: Option<Means>,
}

/// Means over the completions that could be judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Means {
    /// Share of correct answers: pass@1.
    pub accuracy: Estimate,
    /// Unbiased pass@k for k = 1, 2, 4, … up to the number of samples, over the questions with k judged completions.
    pub pass_at_k: BTreeMap<usize, Estimate>,
    /// Accuracy of the most frequent answer of all samples; absent with one sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maj_at_k: Option<Estimate>,
    /// Mean tokens of a completion, including its end.
    pub length: Estimate,
    /// Mean tokens between the thinking tags.
    pub thinking_length: Estimate,
    /// Mean tokens between the answer tags.
    pub answer_length: Estimate,
    /// Share of completions cut off by the limit.
    pub truncated_share: Estimate,
    /// Share of completions in the required format.
    pub format_rate: Estimate,
    /// Share of completions with thinking.
    pub thinking_share: Estimate,
    /// Accuracy of completions with thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_thinking: Option<Estimate>,
    /// Accuracy of completions without thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_direct: Option<Estimate>,
    /// Checks per completion.
    pub verifications: f64,
    /// Abandoned attempts per completion.
    pub backtracks: f64,
    /// Share of intermediate steps that are false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_step_share: Option<f64>,
    /// Share of the checks that accept a wrong result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_yes_share: Option<f64>,
}

impl Measures {
    /// Fields of a row of `metrics.jsonl`; `_ci95` is added to the name of an interval.
    pub fn flat(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut row = serde_json::Map::new();
        let serde_json::Value::Object(fields) = serde_json::to_value(self).unwrap_or_default() else {
            return row;
        };
        for (name, value) in fields {
            let name = if name.ends_with("length") { format!("{name}_mean") } else { name };
            let (estimate, interval) = split_interval(value);
            row.insert(name.clone(), estimate);
            if let Some(interval) = interval {
                row.insert(format!("{name}_ci95"), interval);
            }
        }
        row
    }

    /// The same fields, and those of greedy answers.
    pub fn with_greedy(&self, greedy: &Self) -> serde_json::Map<String, serde_json::Value> {
        let mut row = self.flat();
        row.insert("greedy_errors".to_owned(), greedy.errors.into());
        if let Some(Means { accuracy, length, .. }) = &greedy.means {
            row.insert("greedy_accuracy".to_owned(), accuracy.value.into());
            row.insert("greedy_accuracy_ci95".to_owned(), vec![accuracy.low, accuracy.high].into());
            row.insert("greedy_length_mean".to_owned(), length.value.into());
        }
        row
    }
}

/// Splits an [`Estimate`], or an object of estimates, into values and intervals.
fn split_interval(value: serde_json::Value) -> (serde_json::Value, Option<serde_json::Value>) {
    match value {
        serde_json::Value::Object(fields) => {
            if let (Some(value), Some(low), Some(high)) =
                (fields.get("value"), fields.get("low"), fields.get("high"))
            {
                return (value.clone(), Some(serde_json::json!([low, high])));
            }
            let (mut values, mut intervals) = (serde_json::Map::new(), serde_json::Map::new());
            for (key, value) in fields {
                let (value, interval) = split_interval(value);
                values.insert(key.clone(), value);
                intervals.extend(interval.map(|interval| (key, interval)));
            }
            (values.into(), (!intervals.is_empty()).then(|| intervals.into()))
        }
        other => (other, None),
    }
}

/// Questions with judged completions.
pub struct Answers {
    /// The questions.
    pub tasks: Vec<Question>,
    /// Their completions.
    pub rollout: Rollout,
    /// For each question, one per completion.
    pub judged: Vec<Vec<Judged>>,
}

/// An evaluation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The level has too few questions.
    #[error(transparent)]
    Dataset(#[from] thinkling_datasets::DatasetError),
    /// A prompt has a character without a token.
    #[error("the policy cannot read this task's prompts: {0}; it was trained on another alphabet")]
    Tokenizer(#[from] crate::data::tokenizer::TokenizerError),
    /// Candle failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A prompt leaves no room for a completion.
    #[error(
        "a prompt of {prompt} tokens and {new} new ones exceed the policy's {longest} positions: lower the level or the \
         limit of new tokens"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of a completion.
        new: usize,
        /// Longest sequence of the policy.
        longest: usize,
    },
}

/// Samples answers to questions of the test split and judges them.
pub fn ask(
    policy: &dyn Policy,
    tokenizer: &Tokenizer,
    task: &Task,
    questions: &Questions,
) -> Result<Answers, EvaluateError> {
    let dataset = task.dataset(questions.seed)?;
    let tasks: Vec<Question> =
        (0..questions.count).map(|index| dataset.question(Split::Test, index)).collect::<Result<_, _>>()?;
    let tags @ [open, close] = [tokenizer.think_open(), tokenizer.think_close()];
    let (given, thinking): (&[u32], _) = match questions.thinking {
        Thinking::Free => (&[], None),
        Thinking::None => (&tags, None),
        Thinking::Budget(tokens) => (&[], Some(ThinkingBudget { tokens, open, close })),
    };
    let (new, longest) = (questions.max_new_tokens, policy.config().max_position_embeddings);
    let mut prompts = Vec::with_capacity(tasks.len());
    for task in &tasks {
        let mut prompt = tokenizer.encode(&task.problem.prompt)?;
        prompt.extend_from_slice(given);
        if prompt.len() + new > longest + 1 {
            return Err(EvaluateError::TooLong { prompt: prompt.len(), new, longest });
        }
        prompts.push(prompt);
    }
    let samples = questions.samples;
    let request = |(index, prompt)| Request { prompt, samples, address: [u64::MAX, 0, index] };
    let requests: Vec<Request<'_>> = (0..).zip(prompts.iter().map(Vec::as_slice)).map(request).collect();
    let limits = Limits { max_new_tokens: new, end: tokenizer.end(), thinking };
    let mut rollout = policy.roll_out(&requests, &questions.sampling, &limits, questions.seed)?;
    if !given.is_empty() {
        // The given tags are part of the completion to judge.
        for completion in rollout.completions.iter_mut().flatten() {
            completion.tokens.splice(0..0, given.iter().copied());
        }
    }
    let judged = tasks
        .par_iter()
        .zip(&rollout.completions)
        .map(|(question, completions)| {
            let read = |completion| judge(task.domain.as_ref(), tokenizer, question, completion);
            completions.iter().map(read).collect()
        })
        .collect();
    Ok(Answers { tasks, rollout, judged })
}

/// A completion's question and number.
type Place = (usize, usize);

impl Answers {
    /// The results.
    pub fn measures(&self, task: &Task, tokenizer: &Tokenizer) -> Measures {
        let questions = self.questions();
        let samples = self.judged.first().map_or(0, Vec::len);
        let errors = self.judged.iter().flatten().filter(|one| one.is_error()).count();
        Measures {
            task: task.name.clone(),
            level: task.level,
            count: self.judged.len() as u64,
            distinct: questions.len() as u64,
            samples,
            errors: errors as u64,
            means: self.means(&questions, samples, tokenizer),
        }
    }

    /// The means over what could be judged; `None` if nothing could.
    fn means(&self, questions: &[Vec<usize>], samples: usize, tokenizer: &Tokenizer) -> Option<Means> {
        let of = |(question, sample): &Place| &self.judged[*question][*sample];
        let completion = |(question, sample): &Place| &self.rollout.completions[*question][*sample];
        let is_judged = |place: &Place| !of(place).is_error();
        let places = |asked: &Vec<usize>| -> Vec<Place> {
            let all = asked.iter().flat_map(|at| (0..samples).map(move |sample| (*at, sample)));
            all.filter(is_judged).collect()
        };
        let by_question: Vec<Vec<Place>> =
            questions.iter().map(places).filter(|places| !places.is_empty()).collect();
        if by_question.is_empty() {
            return None;
        }
        let judged: Vec<&Judged> = by_question.iter().flatten().map(of).collect();
        let draws = judged.len();
        let per_question = |number: &dyn Fn(&Place) -> f64| -> Vec<f64> {
            by_question.iter().map(|places| mean(places.iter().map(number))).collect()
        };
        let share = |is_so: &dyn Fn(&Judged) -> bool| {
            Estimate::of_means(&per_question(&|place| f64::from(is_so(of(place)))), draws)
        };
        let tokens = |count: &dyn Fn(&[u32]) -> usize| {
            Estimate::of_counts(&per_question(&|place| count(&completion(place).tokens) as f64))
        };
        let accuracy_of = |is_thinking: bool| {
            let of_kind: Vec<&&Judged> =
                judged.iter().filter(|judged| judged.is_thinking == is_thinking).collect();
            let right = of_kind.iter().filter(|judged| judged.is_correct()).count() as f64;
            let count = of_kind.len() as f64;
            (count > 0.0).then(|| Estimate::wilson(right / count, count))
        };
        let sum = |number: &dyn Fn(&Judged) -> u32| -> f64 {
            judged.iter().map(|judged| f64::from(number(judged))).sum()
        };
        let steps = sum(&|judged| judged.behaviours.steps);
        let yeses = sum(&|judged| judged.behaviours.yeses);
        Some(Means {
            accuracy: share(&Judged::is_correct),
            pass_at_k: std::iter::successors(Some(1), |k| Some(k * 2))
                .take_while(|k| *k <= samples)
                .filter_map(|k| Some((k, self.pass_at(k, &by_question)?)))
                .collect(),
            maj_at_k: (samples > 1).then(|| {
                // A question that was asked several times has as many majorities.
                let of_question = |places: &Vec<Place>| {
                    let asked = places.chunk_by(|one, next| one.0 == next.0);
                    mean(asked.map(|places| majority(places.iter().map(of))))
                };
                Estimate::of_means(&by_question.iter().map(of_question).collect::<Vec<_>>(), draws)
            }),
            length: tokens(&|tokens| tokens.len()),
            thinking_length: tokens(&|tokens| tokenizer.thinking_length(tokens)),
            answer_length: tokens(&|tokens| tokenizer.answer_length(tokens)),
            truncated_share: {
                let cut = per_question(&|place| f64::from(!completion(place).is_finished));
                Estimate::of_means(&cut, draws)
            },
            format_rate: share(&|judged| judged.is_well_formed),
            thinking_share: share(&|judged| judged.is_thinking),
            accuracy_thinking: accuracy_of(true),
            accuracy_direct: accuracy_of(false),
            verifications: sum(&|judged| judged.behaviours.verifications) / draws as f64,
            backtracks: sum(&|judged| judged.behaviours.backtracks) / draws as f64,
            false_step_share: (steps > 0.0).then(|| sum(&|judged| judged.behaviours.false_steps) / steps),
            false_yes_share: (yeses > 0.0).then(|| sum(&|judged| judged.behaviours.false_yeses) / yeses),
        })
    }

    /// The indices of each different question. A level with few questions repeats them, and repetitions are not independent.
    fn questions(&self) -> Vec<Vec<usize>> {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, task) in self.tasks.iter().enumerate() {
            places.entry(&task.problem.prompt).or_default().push(at);
        }
        places.into_values().collect()
    }

    /// Whether the first answer to each different question is correct; `None` if it could not be judged.
    pub fn solved(&self) -> Vec<Option<bool>> {
        let first = |places: &Vec<usize>| self.judged[*places.first()?].first();
        let judged = |places: &Vec<usize>| first(places).filter(|one| !one.is_error());
        self.questions().iter().map(|places| judged(places).map(Judged::is_correct)).collect()
    }

    /// The mean over the questions with `k` judged completions; `None` if there are none.
    fn pass_at(&self, k: usize, questions: &[Vec<Place>]) -> Option<Estimate> {
        let is_right = |(question, sample): &&Place| self.judged[*question][*sample].is_correct();
        let chance = |places: &Vec<Place>| pass_at_k(places.len(), places.iter().filter(is_right).count(), k);
        let means: Vec<f64> = questions.iter().filter(|places| places.len() >= k).map(chance).collect();
        (!means.is_empty()).then(|| Estimate::of_means(&means, means.len()))
    }
}

/// Unbiased pass@k, where `right` of `samples` completions are correct: `1 - C(n-c,k) / C(n,k)` as a product.
/// Source: Chen et al. 2021 (HumanEval).
pub fn pass_at_k(samples: usize, right: usize, k: usize) -> f64 {
    if k == 1 {
        return right as f64 / samples as f64;
    }
    if samples - right < k {
        return 1.0;
    }
    1.0 - (samples - right + 1..=samples).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

/// Whether the most frequent answer is correct; the share of correct ones at a tie. Completions without an answer do not count.
fn majority<'a>(judged: impl Iterator<Item = &'a Judged>) -> f64 {
    let mut votes: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    for one in judged {
        if let Some(extracted) = &one.verdict.extracted {
            let vote = votes.entry(extracted.trim()).or_insert((0, one.is_correct()));
            vote.0 += 1;
        }
    }
    let top = votes.values().map(|(count, _)| *count).max().unwrap_or(0);
    let leaders: Vec<bool> =
        votes.values().filter(|(count, _)| *count == top).map(|(_, is_right)| *is_right).collect();
    if leaders.is_empty() {
        return 0.0;
    }
    leaders.iter().filter(|is_right| **is_right).count() as f64 / leaders.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::rollout::Completion;

    #[test]
    fn pass_at_k_has_the_published_values() {
        for (k, value) in [(1, 0.25), (2, 0.45), (4, 0.728022), (8, 0.961538), (12, 0.999451), (13, 1.0)] {
            assert!((pass_at_k(16, 4, k) - value).abs() < 1e-6, "{k}");
        }
        assert_eq!(pass_at_k(4, 0, 4), 0.0);
    }

    #[test]
    fn intervals_are_honest_at_the_ends() {
        let perfect = Estimate::of_means(&[1.0; 100], 100);
        assert_eq!((perfect.value, perfect.high), (1.0, 1.0));
        assert!((perfect.low - 0.963).abs() < 1e-3);
        let half = Estimate::wilson(0.5, 100.0);
        assert!((half.low - 0.4038).abs() < 1e-3 && (half.high - 0.5962).abs() < 1e-3);
        // Samples of one question that always agree count as one draw.
        let clustered: Vec<f64> = (0..100).map(|at| f64::from(at % 2)).collect();
        assert!((Estimate::of_means(&clustered, 1600).low - half.low).abs() < 0.01);
    }

    fn countdown() -> (Task, Tokenizer, Question) {
        let row = thinkling_datasets::domains::find("countdown").unwrap();
        let domain = (row.build)(&serde_json::Value::Null).unwrap().into();
        let task = Task {
            name: row.name.to_owned(),
            level: 3,
            settings: serde_json::Map::new(),
            domain,
            file: None,
            program: None,
        };
        let tokenizer = Tokenizer::from_alphabets([task.domain.alphabet()]);
        let mut question = task.dataset(0).unwrap().question(Split::Test, 0).unwrap();
        question.problem.prompt = "12 15 19:16=".to_owned();
        question.problem.spec = serde_json::json!({ "numbers": [12, 15, 19], "target": 16 });
        (task, tokenizer, question)
    }

    fn finished(tokens: Vec<u32>) -> Completion {
        let (log_probabilities, entropies) = (vec![0.0; tokens.len()], vec![0.0; tokens.len()]);
        Completion { tokens, log_probabilities, entropies, routes: Vec::new(), is_finished: true }
    }

    /// The results of one completion of a countdown question.
    fn measured(thinking: &str) -> Measures {
        let (task, tokenizer, question) = countdown();
        let text = thinkling_verifiers::answer::compose(thinking, "19-(15-12)");
        let mut tokens = tokenizer.encode(&text).unwrap();
        tokens.push(tokenizer.end());
        let completion = finished(tokens);
        let judged = vec![vec![judge(task.domain.as_ref(), &tokenizer, &question, &completion)]];
        let rollout = Rollout { completions: vec![vec![completion]], ..Rollout::default() };
        Answers { tasks: vec![question], rollout, judged }.measures(&task, &tokenizer)
    }

    /// Results of four questions with as many completions each: `c` correct, `w` wrong, `e` an error of the judge. Errors are
    /// ten tokens long, all others one.
    fn answers(outcomes: [&str; 4]) -> (Answers, Measures) {
        use thinkling_verifiers::Verdict;
        let (task, tokenizer, question) = countdown();
        let judged = |outcome| match outcome {
            'c' => Judged::bare(Verdict::correct("7", ""), None),
            'w' => Judged::bare(Verdict::wrong("8", ""), None),
            _ => Judged::bare(Verdict::error("the judge is dead"), None),
        };
        let length = |outcome| if outcome == 'e' { 10 } else { 1 };
        let tasks = (0..4).map(|number| {
            let mut question = question.clone();
            question.problem.prompt = format!("question {number}");
            question
        });
        let completions = outcomes.map(|of| of.chars().map(|one| finished(vec![9; length(one)])).collect());
        let answers = Answers {
            tasks: tasks.collect(),
            judged: outcomes.map(|of| of.chars().map(judged).collect()).into(),
            rollout: Rollout { completions: completions.into(), ..Rollout::default() },
        };
        let measures = answers.measures(&task, &tokenizer);
        (answers, measures)
    }

    #[test]
    fn errors_of_a_judge_are_in_no_mean() {
        let (answers, measures) = answers(["ccew", "eeee", "weee", "wwcc"]);
        let means = measures.means.as_ref().unwrap();
        assert_eq!((measures.count, measures.errors), (4, 8));
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        close(means.accuracy.value, (2.0 / 3.0 + 0.0 + 0.5) / 3.0);
        close(means.maj_at_k.unwrap().value, (1.0 + 0.0 + 0.5) / 3.0);
        assert_eq!(means.pass_at_k.keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
        close(means.pass_at_k[&1].value, means.accuracy.value);
        // The third question has one judged completion, and only the fourth has four.
        close(means.pass_at_k[&2].value, (1.0 + (1.0 - 1.0 / 6.0)) / 2.0);
        close(means.pass_at_k[&4].value, 1.0);
        close(means.length.value, 1.0);
        close(means.format_rate.value, 1.0);
        assert_eq!(answers.solved(), [Some(true), None, Some(false), Some(false)]);
    }

    #[test]
    fn nothing_judged_has_no_means() {
        let (_, measures) = answers(["ee", "ee", "ee", "ee"]);
        let row = measures.with_greedy(&measures);
        assert_eq!((&row["errors"], &row["greedy_errors"]), (&8.into(), &8.into()));
        for absent in ["accuracy", "pass_at_k", "maj_at_k", "length_mean", "format_rate", "greedy_accuracy"] {
            assert!(!row.contains_key(absent), "{absent}: {row:?}");
        }
        let (_, measures) = answers(["cc", "ee", "ee", "ee"]);
        assert_eq!(measures.flat()["accuracy"], 1.0);
    }

    #[test]
    fn the_truth_of_thinking_is_measured_beside_a_right_answer() {
        for (thinking, false_steps, false_yeses, backtracks) in [
            ("12+15=27 27-19=8n15-12=3 19-3=16y", Some(0.0), Some(0.0), 1.0),
            // Right by luck: a sum is false, and so is the yes that follows from it.
            ("12+15=27 27-19=8n15-12=3 19-4=16y", Some(0.25), Some(1.0), 1.0),
            ("12+15=28 28-19=9n", Some(0.5), None, 1.0),
            ("", None, None, 0.0),
        ] {
            let measures = measured(thinking);
            let means = measures.means.as_ref().unwrap();
            assert_eq!(means.accuracy.value, 1.0, "{thinking}");
            assert_eq!(means.false_step_share, false_steps, "{thinking}");
            assert_eq!(means.false_yes_share, false_yeses, "{thinking}");
            assert_eq!(means.backtracks, backtracks, "{thinking}");
            assert_eq!(measures.flat().contains_key("false_yes_share"), false_yeses.is_some(), "{thinking}");
        }
    }

    #[test]
    fn a_majority_ignores_those_without_an_answer_and_shares_ties() {
        use thinkling_verifiers::Verdict;
        let judged = |verdict| Judged::bare(verdict, None);
        let right = || judged(Verdict::correct("7", ""));
        let wrong = |text: &str| judged(Verdict::wrong(text, ""));
        let none = || judged(Verdict::malformed(""));
        assert_eq!(majority([none(), none(), right(), wrong("8"), right()].iter()), 1.0);
        assert_eq!(majority([right(), wrong("8")].iter()), 0.5);
        assert_eq!(majority([none()].iter()), 0.0);
    }
}

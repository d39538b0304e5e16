//! Judgement of completions.

use thinkling_datasets::{Behaviours, Domain, Question};
use thinkling_verifiers::{Item, Outcome, Verdict, answer, format};

use crate::data::tokenizer::Tokenizer;
use crate::policy::rollout::Completion;

/// A judged completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The text, without the end.
    pub text: String,
    /// The verdict of the task.
    pub verdict: Verdict,
    /// Whether it has the required format and ended within the limit.
    pub is_well_formed: bool,
    /// Whether the thinking is not empty.
    pub is_thinking: bool,
    /// The behaviours in the thinking.
    pub behaviours: Behaviours,
    /// The scores of the reward terms, in the order of the recipe; empty without a reward.
    pub earned: Vec<Earned>,
    /// The reward; `None` if it is left out: cut off under `mask`, or not judged because of an error.
    pub reward: Option<f64>,
}

/// The score of one term for one completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Earned {
    /// Unweighted; `None` if the item could not be judged.
    pub score: Option<f64>,
    /// The verdict, if the term has a verifier.
    pub verdict: Option<Verdict>,
}

impl Earned {
    /// The score that a verdict stands for.
    pub fn of(verdict: Verdict) -> Self {
        let score = (verdict.outcome != Outcome::Error).then_some(verdict.score);
        Self { score, verdict: Some(verdict) }
    }
}

impl Judged {
    /// A completion with only a verdict and a reward.
    pub fn bare(verdict: Verdict, reward: Option<f64>) -> Self {
        Self {
            text: String::new(),
            verdict,
            is_well_formed: true,
            is_thinking: false,
            behaviours: Behaviours::default(),
            earned: Vec::new(),
            reward,
        }
    }

    /// Whether the task or a reward term could not judge it.
    pub fn is_error(&self) -> bool {
        self.error().is_some()
    }

    /// Why it could not be judged.
    pub fn error(&self) -> Option<&str> {
        let verdicts = self.earned.iter().filter_map(|earned| earned.verdict.as_ref());
        let failed =
            std::iter::once(&self.verdict).chain(verdicts).find(|verdict| verdict.outcome == Outcome::Error);
        failed.map(|verdict| verdict.reason.as_str())
    }

    /// Whether the answer is correct and complete.
    pub fn is_correct(&self) -> bool {
        self.verdict.is_correct()
    }
}

/// Judges one completion. A cut-off completion is never correct.
pub fn judge(
    domain: &dyn Domain,
    tokenizer: &Tokenizer,
    question: &Question,
    completion: &Completion,
) -> Judged {
    judge_by(&|item| domain.judge(item), domain, tokenizer, question, completion)
}

/// Like [`judge`], with the verdict of `verify`.
pub(super) fn judge_by(
    verify: &dyn Fn(&Item<'_>) -> Verdict,
    domain: &dyn Domain,
    tokenizer: &Tokenizer,
    question: &Question,
    completion: &Completion,
) -> Judged {
    let end = usize::from(completion.is_finished);
    let text = tokenizer.decode(&completion.tokens[..completion.tokens.len() - end]);
    let problem = &question.problem;
    let item = Item { completion: &text, answer: Some(&problem.answer), spec: Some(&problem.spec) };
    let verdict =
        if completion.is_finished { verify(&item) } else { Verdict::malformed("cut off before its end") };
    let thinking = answer::thinking(&text).unwrap_or_default();
    Judged {
        is_well_formed: completion.is_finished && format::is_well_formed(&text),
        is_thinking: !thinking.is_empty(),
        behaviours: domain.behaviours(problem, thinking),
        verdict,
        earned: Vec::new(),
        reward: None,
        text,
    }
}

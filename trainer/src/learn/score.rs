//! Completions to verdicts and rewards.

use thinkling_datasets::{Behaviours, Domain, Question};
use thinkling_verifiers::{Item, Outcome, Verdict, answer, format};

use crate::data::tokenizer::Tokenizer;
use crate::policy::rollout::Completion;

use super::reward::Earned;

/// What is known of one completion once it has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// As text, without the end.
    pub text: String,
    /// What the task's judge says.
    pub verdict: Verdict,
    /// Whether it has the asked form and ended by itself.
    pub is_well_formed: bool,
    /// Whether there is anything between the thinking tags.
    pub is_thinking: bool,
    /// What the thinking shows.
    pub behaviours: Behaviours,
    /// What each term of the reward says, in the recipe's order; empty where no reward is asked for.
    pub earned: Vec<Earned>,
    /// The reward; `None` for a completion that is left out: cut off under `mask`, or not judged because of an error.
    pub reward: Option<f64>,
}

impl Judged {
    /// A completion of which only the verdict and the reward are known.
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

    /// Whether the item could not be judged, by the task's judge or by a term of the reward.
    pub fn is_error(&self) -> bool {
        self.error().is_some()
    }

    /// Why the item could not be judged.
    pub fn error(&self) -> Option<&str> {
        let verdicts = self.earned.iter().filter_map(|earned| earned.verdict.as_ref());
        let failed =
            std::iter::once(&self.verdict).chain(verdicts).find(|verdict| verdict.outcome == Outcome::Error);
        failed.map(|verdict| verdict.reason.as_str())
    }

    /// Whether it is right and ended by itself.
    pub fn is_correct(&self) -> bool {
        self.verdict.is_correct()
    }
}

/// Reads one completion. One that was cut off is never right, whatever it says.
pub fn judge(
    domain: &dyn Domain,
    tokenizer: &Tokenizer,
    question: &Question,
    completion: &Completion,
) -> Judged {
    let end = usize::from(completion.is_finished);
    let text = tokenizer.decode(&completion.tokens[..completion.tokens.len() - end]);
    let problem = &question.problem;
    let item = Item { completion: &text, answer: Some(&problem.answer), spec: Some(&problem.spec) };
    let verdict = if completion.is_finished {
        domain.judge(&item)
    } else {
        Verdict::malformed("cut off before its end")
    };
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

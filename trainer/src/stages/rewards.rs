//! Checks of reward terms: unique names, valid settings, terms that fit the task.

use thinkling_datasets::Split;
use thinkling_datasets::domains::DOMAINS;
use thinkling_verifiers::{Item, Verifier, answer};

use super::kind::{Asked, Rewarding};
use crate::data::task::{Lengths, Task, longest};
use crate::learn::reward_terms::{Earns, RewardEntry, RewardTerm};
use crate::recipe::{Checker, StagePath};

/// Questions for which the check tests a verifier on the right answer.
const PROBES: u64 = 16;

impl Rewarding<'_> {
    pub(crate) fn check(&self, at: StagePath<'_>, checker: &mut Checker<'_>) {
        let (terms, longest) = (&self.settings.rewards, self.max_new_tokens as u64);
        for (index, reward) in terms.iter().enumerate() {
            let path = at.key(&format!("rewards.{index}"));
            if terms[..index].iter().any(|earlier| earlier.name() == reward.name()) {
                let (name, term) = (format!("{path}.name"), format!("{path}.term"));
                let help = format!(
                    "write each term once, with its total weight, or give this one a `name`: metrics.jsonl shows its mean as \
                     rewards.{}",
                    reward.name()
                );
                let key = if reward.name.is_some() { &name } else { &term };
                checker.mistake(
                    &[key],
                    format!("the reward term `{}` is already there", reward.name()),
                    [help],
                );
            }
            if !reward.name().chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
                || reward.name().is_empty()
            {
                let name = format!("{path}.name");
                let help = "a term's name has letters, digits, `_` and `-`".to_owned();
                checker.mistake(&[&name], format!("`{name}` cannot be `{}`", reward.name()), [help]);
            }
            let label = format!("config of reward term `{}`", reward.term.name());
            let read = |config: &_| reward.read(config, longest);
            checker.settled(&read, &reward.config, &format!("{path}.config"), &label);
        }
        if !terms.is_empty() && terms.iter().all(|reward| reward.weight == 0.0) {
            let weights: Vec<String> =
                (0..terms.len()).map(|index| at.key(&format!("rewards.{index}.weight"))).collect();
            let weights: Vec<&str> = weights.iter().map(String::as_str).collect();
            let help =
                "give at least one term a weight above 0; a weight of 0 only measures a term".to_owned();
            checker.mistake(
                &weights,
                "every reward term has weight 0: nothing is rewarded".to_owned(),
                [help],
            );
        }
        let is_judged = terms.iter().any(|reward| reward.term.judges() && reward.weight > 0.0);
        if !is_judged {
            let path = at.key("rewards");
            checker.warn(&[&path], format!("`{path}`: no term rewards a right answer"));
        }
    }

    /// Checks that `max_new_tokens` is long enough, and that every term can judge the answers of every task.
    pub(crate) fn suit(&self, asked: &Asked<'_>, checker: &mut Checker<'_>) {
        for (_, task, lengths) in &asked.tasks {
            let which = if asked.tasks.len() > 1 {
                format!("task `{}`, level {}: ", task.name, task.level)
            } else {
                String::new()
            };
            self.warn_of_cuts(asked, &format!("stage `{}`: {which}", asked.at.name), lengths, checker);
            for (index, reward) in self.settings.rewards.iter().enumerate() {
                let Ok(earns) = reward.read(&reward.config, self.max_new_tokens as u64) else { continue };
                if let Some((key, message, help)) = misfit(reward, &earns, task) {
                    let [key, term] =
                        [key, "term"].map(|key| asked.at.key(&format!("rewards.{index}.{key}")));
                    checker.mistake(&[&key, &term], message, [help]);
                }
            }
        }
    }

    fn warn_of_cuts(&self, asked: &Asked<'_>, place: &str, lengths: &Lengths, checker: &mut Checker<'_>) {
        let key = asked.at.key("max_new_tokens");
        for kind in asked.taught {
            let Some(completions) = lengths.completions(*kind) else { continue };
            let cut = completions.iter().filter(|length| **length > self.max_new_tokens).count();
            if cut > 0 {
                let message = format!(
                    "{place}max_new_tokens = {} cuts off {:.0} % of the {} solutions; the longest seen has {} tokens",
                    self.max_new_tokens,
                    (100.0 * cut as f64 / completions.len() as f64).ceil(),
                    kind.name(),
                    longest(completions),
                );
                checker.warn(&[&key], message);
            }
        }
    }
}

/// Why a term cannot judge the task: the wrong key, the message and the help.
fn misfit(reward: &RewardEntry, earns: &Earns, task: &Task) -> Option<(&'static str, String, String)> {
    let name = task.name.as_str();
    let dataset = task.dataset(0).ok()?;
    let mut problems =
        (0..PROBES).map_while(|index| Some(dataset.question(Split::Train, index).ok()?.problem));
    match earns {
        Earns::Code { template, .. } => {
            let problem = problems.next()?;
            let has_template = task.domain.tests(&problem).is_some();
            let has_tests = problem.spec.get("kind").is_some();
            if *template && !has_template {
                let having = DOMAINS.iter().filter(|row| has_tests_of_its_own(row)).map(|row| row.name);
                let having = having.collect::<Vec<_>>().join(", ");
                let message = format!("task `{name}` has no template that makes programs of its answers");
                return Some(("config.template", message, format!("tasks that have one: {having}")));
            }
            if !template && !has_tests {
                let help = if has_template {
                    "write config = { template = true }: the task's template makes Python of its answers"
                } else {
                    "its spec has no tests; use the task's judge: term = \"correct\""
                };
                let message =
                    format!("`code` cannot judge the answers of task `{name}`, which are not Python");
                return Some(("term", message, help.to_owned()));
            }
            None
        }
        // A program of the user must not start before the run does.
        Earns::Verifier { config, .. } if reward.term != RewardTerm::External => {
            let row = thinkling_verifiers::find(reward.term.name())?;
            let verifier: Box<dyn Verifier> = (row.build)(config).ok()?;
            problems.find_map(|problem| {
                let completion = answer::compose("", &problem.answer);
                let item = Item {
                    completion: &completion,
                    answer: Some(&problem.answer),
                    spec: Some(&problem.spec),
                };
                let verdict = verifier.verify(&item);
                (verdict.score < 1.0).then(|| {
                    let message = format!(
                        "`{}` does not accept the right answer `{}` of task `{name}`: {}",
                        row.name, problem.answer, verdict.reason
                    );
                    let help = "use the task's judge: term = \"correct\"".to_owned();
                    ("term", message, help)
                })
            })
        }
        _ => None,
    }
}

fn has_tests_of_its_own(row: &'static thinkling_datasets::domains::Row) -> bool {
    let Ok(domain) = (row.build)(&serde_json::Value::Null) else { return false };
    let level = *domain.levels().start();
    let dataset = thinkling_datasets::Dataset::new(row, domain.as_ref(), level, 0);
    dataset
        .and_then(|dataset| dataset.question(Split::Train, 0))
        .is_ok_and(|task| domain.tests(&task.problem).is_some())
}

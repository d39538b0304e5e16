//! The text that a base model learns from: worked solutions in given shares.

use crate::seed::Stream;
use crate::split::{Dataset, DatasetError, Split};
use crate::{Domain, SolutionKind};

/// The shares of the kinds of documents. Only their ratios matter.
#[derive(Clone, Debug, PartialEq)]
pub struct CorpusShares {
    /// A weight for each kind of worked solution.
    pub solutions: Vec<(SolutionKind, f64)>,
    /// The weight of drills, which are lines of practice without a question.
    pub drill: f64,
}

/// A document: a prompt, which is empty for a drill, and the text after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The question.
    pub prompt: String,
    /// The completion that follows, tags included.
    pub completion: String,
}

/// A corpus cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// The questions are not available.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The domain has no worked solution of this kind.
    #[error("task `{domain}` has no worked solution of the kind `{kind}`{}: remove its share",
        .lack.as_ref().map_or(String::new(), |lack| format!(" ({lack})")))]
    NoSolution {
        /// The domain's name.
        domain: String,
        /// The kind that is missing.
        kind: &'static str,
        /// What the domain lacks for this kind, if it could have had it.
        lack: Option<String>,
    },
    /// Every share is zero.
    #[error("the shares of the corpus sum to {0}: give at least one above 0")]
    NoShares(f64),
}

/// Writes documents from the train split of a domain.
pub struct Corpus<'a> {
    domain: &'a dyn Domain,
    dataset: Dataset<'a>,
    shares: CorpusShares,
    total: f64,
    level: u32,
    seed: u64,
}

impl<'a> Corpus<'a> {
    /// A corpus over `dataset`, which poses the questions of `domain` at `level`.
    ///
    /// # Errors
    /// When no share is above 0, or the domain lacks a kind that has a share.
    pub fn new(
        domain: &'a dyn Domain,
        dataset: Dataset<'a>,
        shares: CorpusShares,
        level: u32,
        seed: u64,
    ) -> Result<Self, CorpusError> {
        let total = shares.drill + shares.solutions.iter().map(|(_, share)| share).sum::<f64>();
        if !(total.is_finite() && total > 0.0) {
            return Err(CorpusError::NoShares(total));
        }
        let corpus = Self { domain, dataset, shares, total, level, seed };
        let question = corpus.dataset.question(Split::Train, 0)?;
        for (kind, share) in &corpus.shares.solutions {
            let mut stream = Stream::at("corpus/probe", seed, &[]);
            if *share > 0.0 && domain.solve(&question.problem, *kind, &mut stream).is_none() {
                let lack = domain.lack(*kind);
                return Err(CorpusError::NoSolution { domain: question.task, kind: kind.name(), lack });
            }
        }
        if corpus.shares.drill > 0.0
            && domain.drill(&mut Stream::at("corpus/probe", seed, &[]), level).is_none()
        {
            return Err(CorpusError::NoSolution { domain: question.task, kind: "drill", lack: None });
        }
        Ok(corpus)
    }

    /// The document at `index`, which never changes.
    ///
    /// # Errors
    /// When the questions of the level all fall into the test split.
    pub fn document(&self, index: u64) -> Result<Document, CorpusError> {
        let mut stream = Stream::at("corpus", self.seed, &[u64::from(self.level), index]);
        let mut left = stream.unit() * self.total;
        for (kind, share) in &self.shares.solutions {
            if left < *share {
                let problem = self.dataset.question(Split::Train, index)?.problem;
                let solution = self.domain.solve(&problem, *kind, &mut stream).ok_or_else(|| {
                    let (domain, lack) = (problem.prompt.clone(), self.domain.lack(*kind));
                    CorpusError::NoSolution { domain, kind: kind.name(), lack }
                })?;
                let completion = thinkling_verifiers::answer::compose(&solution.thinking, &solution.answer);
                return Ok(Document { prompt: problem.prompt, completion });
            }
            left -= share;
        }
        let drill = self.domain.drill(&mut stream, self.level).unwrap_or_default();
        Ok(Document { prompt: String::new(), completion: drill })
    }
}

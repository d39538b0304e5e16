//! The lines or rows of a file as a task: the user's own questions, judged by a general verifier.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::{Map, Value};
use thinkling_verifiers::answer::{self, ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN};
use thinkling_verifiers::{Item, Outcome, Row, SettingsError, Verdict, Verifier};

use crate::reader::{Counts, ReadError, Reader, Unit};
use crate::record::Record;
use crate::seed::Stream;
use crate::{Domain, Problem, Solution, SolutionKind, Split};

/// How many faults of lines or rows a report lists. It counts the others.
const COMPLAINTS: usize = 20;

/// The result of reading a file of questions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether the file is counted in lines or in rows.
    pub unit: Unit,
    /// The numbers of accepted, faulty and blank ones.
    #[serde(flatten)]
    pub counts: Counts,
    /// The number of questions in the train split.
    pub train: u64,
    /// The number of questions in the test split.
    pub test: u64,
    /// How many of the train split repeat an earlier question. They are left out.
    pub train_duplicates: u64,
    /// How many of the test split repeat an earlier question. They are left out.
    pub test_duplicates: u64,
    /// The file, place and reason of the first faults.
    pub complaints: Vec<String>,
}

impl Report {
    /// Counts a question, which may repeat an earlier one.
    fn count(&mut self, split: Split, is_new: bool) {
        *match (split, is_new) {
            (Split::Train, true) => &mut self.train,
            (Split::Test, true) => &mut self.test,
            (Split::Train, false) => &mut self.train_duplicates,
            (Split::Test, false) => &mut self.test_duplicates,
        } += 1;
    }

    /// Adds a fault to the list, unless the list is full.
    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS {
            self.complaints.push(complaint);
        }
    }
}

/// Builds the verifier that judges the questions of a file, from its row and its settings.
///
/// In training only text in the answer tags, in a box or after `####` is an answer, so `math` reads strictly unless the
/// settings say otherwise.
///
/// # Errors
/// When the settings cannot be read.
pub fn verifier(row: &Row, settings: &Value) -> Result<Box<dyn Verifier>, SettingsError> {
    let mut settings = settings.clone();
    if settings.is_null() {
        settings = Value::Object(Map::new());
    }
    if let (Value::Object(settings), "math") = (&mut settings, row.name) {
        settings.entry("extraction").or_insert_with(|| "strict".into());
    }
    (row.build)(&settings)
}

/// The verifier of a file whose answers shall not be checked: it accepts everything.
pub struct Unchecked;

impl Verifier for Unchecked {
    fn verify(&self, _: &Item<'_>) -> Verdict {
        Verdict::correct("", "not checked")
    }
}

/// The questions of one level.
#[derive(Default)]
struct Questions {
    train: Vec<Problem>,
    test: Vec<Problem>,
}

/// The questions of a file. Level 0 asks all of them; a higher level asks those of that level.
pub struct FileTasks {
    levels: Vec<Questions>,
    /// The worked solutions of the questions that have one.
    worked: HashMap<String, String>,
    /// The places of the first question without a worked solution, and of the first without an answer to show.
    without_worked: Option<String>,
    without_answer: Option<String>,
    symbols: BTreeSet<char>,
    verifier: Box<dyn Verifier>,
}

impl FileTasks {
    /// Reads the questions of a file. A line is accepted if `verifier` can judge its question, and if the verifier
    /// accepts the line's own answer.
    ///
    /// # Errors
    /// When the rest of the file cannot be read.
    pub fn read(reader: Reader<'_>, verifier: Box<dyn Verifier>) -> Result<(Self, Report), ReadError> {
        Self::read_noting(reader, verifier, |_| ())
    }

    /// Like [`FileTasks::read`], but calls `note` for every fault.
    ///
    /// # Errors
    /// When the rest of the file cannot be read.
    pub fn read_noting(
        mut reader: Reader<'_>,
        verifier: Box<dyn Verifier>,
        mut note: impl FnMut(String),
    ) -> Result<(Self, Report), ReadError> {
        let mut tasks = Self {
            levels: vec![Questions::default()],
            worked: HashMap::new(),
            without_worked: None,
            without_answer: None,
            symbols: BTreeSet::new(),
            verifier,
        };
        let mut report = Report { unit: reader.unit(), ..Report::default() };
        let mut seen = BTreeSet::new();
        let mut refused = 0;
        while let Some(read) = reader.next() {
            let taken = read.and_then(|record| {
                tasks.take(&record, || reader.place(), &mut seen).map_err(|reason| {
                    refused += 1;
                    reader.fault(reason)
                })
            });
            match taken {
                Ok((split, is_new)) => report.count(split, is_new),
                Err(fault @ ReadError::Fault { .. }) => {
                    note(fault.to_string());
                    report.complain(fault.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        report.counts = reader.counts();
        report.counts.good -= refused;
        report.counts.bad += refused;
        Ok((tasks, report))
    }

    /// Adds the question of a line. Returns its split and whether it is new, or the reason why it cannot be used.
    fn take(
        &mut self,
        record: &Record,
        place: impl Fn() -> String,
        seen: &mut BTreeSet<[u8; 32]>,
    ) -> Result<(Split, bool), String> {
        let level = record.level.unwrap_or(0) as usize;
        if level >= MAX_LEVELS {
            return Err(format!("`level` is {level}; the highest is {}", MAX_LEVELS - 1));
        }
        let prompt = record.whole_prompt();
        if record.answer.is_none() && record.spec.is_none() {
            return Err("has neither `answer` nor `spec`, so it cannot be judged".to_owned());
        }
        let texts = [Some(&prompt), record.completion.as_ref(), record.answer.as_ref()];
        for text in texts.into_iter().flatten() {
            let tags = [THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE];
            if let Some(tag) = tags.into_iter().find(|tag| text.contains(tag)) {
                return Err(format!("contains the tag `{tag}`, which only completions may contain"));
            }
        }
        let spec = record.spec.clone().unwrap_or(Value::Null);
        let problem = Problem { prompt, answer: record.answer.clone().unwrap_or_default(), spec };
        if record.answer.is_some() {
            let gold = answer::compose("", &problem.answer);
            let verdict = self.judge(&item(&problem, &gold));
            if !verdict.is_correct() {
                return Err(format!("the verifier does not accept the given answer: {}", verdict.reason));
            }
        } else {
            let verdict = self.judge(&item(&problem, &answer::compose("", "")));
            if verdict.outcome == Outcome::Error {
                return Err(format!("the verifier cannot judge with the given spec: {}", verdict.reason));
            }
        }
        let split = Split::of(&problem.prompt);
        if !seen.insert(*blake3::hash(problem.prompt.as_bytes()).as_bytes()) {
            return Ok((split, false));
        }
        for (without, text) in
            [(&mut self.without_answer, &record.answer), (&mut self.without_worked, &record.completion)]
        {
            if text.is_none() {
                without.get_or_insert_with(&place);
            }
        }
        let worked = record.completion.as_deref().unwrap_or_default();
        self.symbols.extend(problem.prompt.chars().chain(problem.answer.chars()).chain(worked.chars()));
        if let Some(worked) = &record.completion {
            self.worked.insert(problem.prompt.clone(), worked.clone());
        }
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Questions::default);
        }
        for place in BTreeSet::from([0, level]) {
            let questions = &mut self.levels[place];
            match split {
                Split::Train => questions.train.push(problem.clone()),
                Split::Test => questions.test.push(problem.clone()),
            }
        }
        Ok((split, true))
    }

    /// What the verifier found on this machine, as text for the user.
    pub fn notice(&self) -> Option<String> {
        self.verifier.notice()
    }
}

/// The number of levels in a file. A higher level is a mistake, not a difficulty.
const MAX_LEVELS: usize = 1000;

fn item<'a>(problem: &'a Problem, completion: &'a str) -> Item<'a> {
    let answer = (!problem.answer.is_empty()).then_some(problem.answer.as_str());
    Item { completion, answer, spec: Some(&problem.spec).filter(|spec| !spec.is_null()) }
}

impl Domain for FileTasks {
    fn levels(&self) -> RangeInclusive<u32> {
        0..=self.levels.len() as u32 - 1
    }

    fn refusal(&self, level: u32) -> Option<String> {
        let questions = self.levels.get(level as usize)?;
        let is_empty = questions.train.is_empty() && questions.test.is_empty();
        is_empty.then(|| "the file has no question of this level".to_owned())
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let level = self.levels.get(level as usize).unwrap_or(&self.levels[0]);
        let place = stream.index(level.train.len() + level.test.len());
        let mut all = level.train.iter().chain(&level.test);
        let nothing = || Problem { prompt: String::new(), answer: String::new(), spec: Value::Null };
        all.nth(place).cloned().unwrap_or_else(nothing)
    }

    fn listed(&self, split: Split, level: u32) -> Option<&[Problem]> {
        let level = self.levels.get(level as usize)?;
        Some(match split {
            Split::Train => &level.train,
            Split::Test => &level.test,
        })
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        // Only an answer given in the line can be compared with, and a null spec says nothing.
        let answer = item.answer.filter(|answer| !answer.is_empty());
        self.verifier.verify(&Item { answer, spec: item.spec.filter(|spec| !spec.is_null()), ..*item })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, _stream: &mut Stream) -> Option<Solution> {
        match kind {
            _ if self.lack(kind).is_some() => None,
            SolutionKind::Direct => Some(Solution::sure("", &problem.answer)),
            SolutionKind::Long => Some(Solution::sure(self.worked.get(&problem.prompt)?, &problem.answer)),
            _ => None,
        }
    }

    fn lack(&self, kind: SolutionKind) -> Option<String> {
        let answer = || self.without_answer.as_ref().map(|place| format!("{place} has no answer"));
        let worked = || self.without_worked.as_ref().map(|place| format!("{place} has no worked solution"));
        match kind {
            SolutionKind::Direct => answer(),
            SolutionKind::Long => answer().or_else(worked),
            _ => None,
        }
    }

    fn alphabet(&self) -> Vec<String> {
        self.symbols.iter().map(char::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Dataset;
    use crate::corpus::{Corpus, CorpusShares};

    fn read(text: &str) -> (FileTasks, Report) {
        let verifier = (thinkling_verifiers::find("math").unwrap().build)(&Value::Null).unwrap();
        FileTasks::read(Reader::lines(text.as_bytes(), "q.jsonl"), verifier).unwrap()
    }

    fn sums(count: u32) -> String {
        let line = |n: u32| {
            let (question, answer) = (format!("What is {n} + 1?"), format!("{n} and one is\n#### {}", n + 1));
            json!({ "question": question, "answer": answer }).to_string() + "\n"
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn each_question_comes_once_an_epoch_and_in_one_split_only() {
        let (tasks, report) = read(&sums(200));
        assert_eq!((report.counts.good, report.counts.bad, report.train + report.test), (200, 0, 200));
        let dataset = Dataset::named("sums", &tasks, 0, 3).unwrap();
        let epoch = |split, count, epoch| -> BTreeSet<String> {
            let ask = |index| dataset.question(split, epoch * count + index).unwrap().problem.prompt;
            (0..count).map(ask).collect()
        };
        let train = epoch(Split::Train, report.train, 0);
        let test = epoch(Split::Test, report.test, 0);
        assert_eq!((train.len() as u64, test.len() as u64), (report.train, report.test));
        assert!(train.is_disjoint(&test) && !test.is_empty());
        assert_eq!(train, epoch(Split::Train, report.train, 7));
        let question = dataset.question(Split::Train, 0).unwrap();
        assert_eq!(dataset.question(Split::Train, 0).unwrap(), question);
        let long = tasks.solve(&question.problem, SolutionKind::Long, &mut Stream::at("x", 0, &[])).unwrap();
        assert!(long.thinking.ends_with("and one is"));
        let completion = answer::compose(&long.thinking, &long.answer);
        assert!(tasks.judge(&item(&question.problem, &completion)).is_correct());
        assert_eq!(tasks.judge(&item(&question.problem, "<answer>no</answer>")).score, 0.0);
    }

    #[test]
    fn bad_lines_are_named_and_counted_and_duplicates_are_left_out() {
        let text = [
            r#"{"problem": "Half of 1?", "solution": "It is $\\boxed{\\frac12}$.", "level": "Level 2"}"#,
            r#"{"problem": "Half of 1?", "solution": "Again $\\boxed{0.5}$."}"#,
            r#"{"prompt": "2+2", "answer": 4}"#,
            r#"{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}"#,
            r#"{"prompt": "3+3 </think>", "answer": 6}"#,
            "not JSON",
            "",
        ]
        .join("\n");
        let (tasks, report) = read(&text);
        assert_eq!(report.counts, Counts { good: 3, bad: 3, blank: 0 });
        assert_eq!(report.train + report.test, 2);
        assert_eq!(report.train_duplicates + report.test_duplicates, 1);
        for (complaint, told) in
            report.complaints.iter().zip(["line 4: has neither", "line 5: contains", "line 6: not"])
        {
            assert!(complaint.starts_with("q.jsonl, ") && complaint.contains(told), "{complaint}");
        }
        assert_eq!(tasks.levels(), 0..=2);
        assert!(tasks.refusal(1).is_some() && tasks.refusal(2).is_none());
        let strict = Dataset::named("x", &tasks, 1, 0).err().unwrap().to_string();
        assert!(strict.contains("no question of this level"), "{strict}");
    }

    #[test]
    fn a_line_without_a_worked_solution_is_named_where_one_is_asked_for() {
        let text = sums(40) + "{\"prompt\": \"5 + 5\", \"answer\": 10}\n";
        let (tasks, report) = read(&text);
        assert_eq!((report.counts.good, report.counts.bad), (41, 0));
        let corpus = |kind| {
            let shares = CorpusShares { solutions: vec![(kind, 1.0)], drill: 0.0 };
            Corpus::new(&tasks, Dataset::named("sums", &tasks, 0, 3).unwrap(), shares, 0, 3)
        };
        assert!(corpus(SolutionKind::Direct).unwrap().document(7).is_ok());
        let told = corpus(SolutionKind::Long).err().unwrap().to_string();
        assert!(told.contains("`long` (q.jsonl, line 41 has no worked solution)"), "{told}");
    }

    #[test]
    fn a_line_that_the_verifier_cannot_judge_is_a_bad_line() {
        let verifier = (thinkling_verifiers::find("math").unwrap().build)(&Value::Null).unwrap();
        let text = "{\"prompt\": \"1+1\", \"spec\": {\"any\": 1}}\n{\"prompt\": \"1+2\", \"answer\": 3}\n";
        let (_, report) = FileTasks::read(Reader::lines(text.as_bytes(), "s.jsonl"), verifier).unwrap();
        assert_eq!((report.counts.good, report.counts.bad), (1, 1), "{:?}", report.complaints);
        assert!(
            report.complaints[0].contains("s.jsonl, line 1: the verifier cannot judge"),
            "{:?}",
            report.complaints
        );
    }

    #[test]
    fn math_reads_a_file_strictly_unless_it_is_told_otherwise() {
        let row = thinkling_verifiers::find("math").unwrap();
        let judge = |settings: &Value| {
            let item = Item { completion: "the answer is 4", answer: Some("4"), spec: None };
            verifier(row, settings).unwrap().verify(&item).outcome
        };
        for settings in [Value::Null, json!({}), json!({ "units": "ignore" })] {
            assert_eq!(judge(&settings), Outcome::Malformed, "{settings}");
        }
        assert_eq!(judge(&json!({ "extraction": "lenient" })), Outcome::Correct);
        assert!(verifier(row, &json!({ "no_such": 1 })).is_err());
    }

    #[test]
    fn an_answer_that_the_verifier_refuses_is_a_bad_line() {
        let verifier = (thinkling_verifiers::find("choice").unwrap().build)(&Value::Null).unwrap();
        let text =
            "{\"prompt\": \"A or B?\", \"answer\": \"B\"}\n{\"prompt\": \"A, B?\", \"answer\": \"17\"}\n";
        let (_, report) = FileTasks::read(Reader::lines(text.as_bytes(), "c.jsonl"), verifier).unwrap();
        assert_eq!((report.counts.good, report.counts.bad), (1, 1), "{:?}", report.complaints);
        assert!(report.complaints[0].contains("line 2: the verifier does not accept"));
    }
}

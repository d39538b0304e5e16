//! A program of the user's as the poser and judge of a whole domain.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Map, Value};
use thinkling_verifiers::answer::{ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN};
use thinkling_verifiers::external::{self, External, Failure, Posed};
use thinkling_verifiers::{Item, SettingsError, Verdict, Verifier};

use crate::seed::Stream;
use crate::{Domain, DrawError, Problem, Solution, SolutionKind, Split};

/// Questions of a level that are asked before any other, to learn what the program writes.
const PROBES: u64 = 256;
/// Those of them that a second process of the program is asked too.
const REPEATED: usize = 8;
/// Questions that are kept instead of asked again; all are forgotten when there are more.
const KEPT: usize = 1 << 14;
/// Where a spec holds the worked solutions; judges do not see them.
const SOLUTIONS: &str = "solutions";

/// Which program poses and judges, its limits, and what it is told.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Wall-clock seconds an item; the first one includes the program's start.
    pub time_limit_s: f64,
    /// Most bytes in one answer.
    pub output_limit_bytes: usize,
    /// Symbols that texts may be written in, beside the characters of the first questions.
    pub alphabet: Vec<String>,
    /// What the program gets with each question that it is to pose.
    pub settings: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        let external::Settings { command, time_limit_s, output_limit_bytes } = external::Settings::default();
        Self { command, time_limit_s, output_limit_bytes, alphabet: Vec::new(), settings: Map::new() }
    }
}

impl Settings {
    /// Those of the program itself.
    pub fn program(&self) -> external::Settings {
        let Self { command, time_limit_s, output_limit_bytes, .. } = self.clone();
        external::Settings { command, time_limit_s, output_limit_bytes }
    }
}

/// A program cannot be the poser of a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be started.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// It does not pose a question.
    #[error("`{program}`, asked for a question of level {level} and seed {seed}: {failure}")]
    Pose {
        /// The program and its arguments.
        program: String,
        /// The level that was asked.
        level: u32,
        /// The seed that was asked.
        seed: u64,
        /// What it did.
        failure: Failure,
    },
    /// It poses other questions when it is asked again.
    #[error(
        "`{program}` poses another question when asked again for level {level} and seed {seed}: {first:?}, then \
         {second:?}. Everything random must come from seed, level and settings (in Python also set PYTHONHASHSEED)"
    )]
    Unsteady {
        /// The program and its arguments.
        program: String,
        /// The level that was asked.
        level: u32,
        /// The seed that was asked.
        seed: u64,
        /// The first answer.
        first: Box<Posed>,
        /// The second answer.
        second: Box<Posed>,
    },
    /// None of its first questions can be asked.
    #[error("`{program}`: none of its first {PROBES} questions of level {level} can be asked: {reason}")]
    Unfit {
        /// The program and its arguments.
        program: String,
        /// The level that was asked.
        level: u32,
        /// What the first one lacks.
        reason: String,
    },
    /// It has too few questions.
    #[error(
        "`{program}`: its first {PROBES} questions of level {level} are {distinct} different ones, none of them of the \
         {split} split. One in eight is held out by the hash of its text: pose more different questions"
    )]
    TooFew {
        /// The program and its arguments.
        program: String,
        /// The level that was asked.
        level: u32,
        /// Different questions among the first ones.
        distinct: usize,
        /// The split that came out empty.
        split: &'static str,
    },
}

/// What the first questions of a program showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The BLAKE3 hash of the first questions.
    pub hash: String,
    /// Questions that were asked.
    pub asked: usize,
    /// Those that are passed over.
    pub unfit: usize,
    /// Why the first of them is.
    pub reason: Option<String>,
}

/// Questions that a program poses, and judges the answers to.
///
/// Which questions may be asked follows from the first ones alone, so an address gives the same question for ever.
pub struct ExternalTasks {
    program: External,
    settings: Map<String, Value>,
    symbols: BTreeSet<String>,
    longest_symbol: usize,
    longest_prompt: usize,
    kinds: Vec<SolutionKind>,
    has_answers: bool,
    kept: Mutex<HashMap<(u64, u32), Posed>>,
    passed_over: AtomicU64,
}

impl ExternalTasks {
    /// Starts the program and asks it the first questions of `levels`, of which there is one at least.
    ///
    /// # Errors
    /// When it does not start, or does not pose questions that can be asked, split and asked again.
    pub fn open(settings: Settings, levels: &[u32]) -> Result<(Self, Report), OpenError> {
        let mut tasks = Self {
            program: External::new(settings.program())?,
            settings: settings.settings.clone(),
            symbols: BTreeSet::new(),
            longest_symbol: 0,
            longest_prompt: usize::MAX,
            kinds: Vec::new(),
            has_answers: true,
            kept: Mutex::default(),
            passed_over: AtomicU64::new(0),
        };
        let mut posed = Vec::with_capacity(levels.len() * PROBES as usize);
        for level in levels {
            for index in 0..PROBES {
                let seed = seed_of(&mut Stream::at("external/probe", 0, &[u64::from(*level), index]));
                posed.push((*level, seed, tasks.ask(seed, *level)?));
            }
        }
        tasks.is_steady(&settings, &posed)?;
        let report = tasks.learn(&settings.alphabet, &posed);
        tasks.is_enough(levels, &posed)?;
        Ok((tasks, report))
    }

    /// Asks a second process some of the questions again, in another order.
    fn is_steady(&self, settings: &Settings, posed: &[(u32, u64, Posed)]) -> Result<(), OpenError> {
        let again = External::new(settings.program())?;
        let some = posed.chunks(PROBES as usize).flat_map(|level| level.iter().take(REPEATED).rev());
        for (level, seed, first) in some {
            let (level, seed) = (*level, *seed);
            let second = again.pose(seed, level, &self.settings).map_err(|failure| OpenError::Pose {
                program: self.program.name(),
                level,
                seed,
                failure,
            })?;
            if second != *first {
                let (first, second) = (Box::new(first.clone()), Box::new(second));
                return Err(OpenError::Unsteady { program: self.program.name(), level, seed, first, second });
            }
        }
        Ok(())
    }

    /// Takes from the first questions what all others must be like.
    fn learn(&mut self, alphabet: &[String], posed: &[(u32, u64, Posed)]) -> Report {
        let mut hash = blake3::Hasher::new();
        for (_, _, posed) in posed {
            hash.update(&serde_json::to_vec(posed).unwrap_or_default());
        }
        let sound = || posed.iter().map(|(_, _, posed)| posed).filter(|posed| unsound(posed).is_none());
        let texts = sound().flat_map(texts);
        let characters = texts.chain(alphabet.iter().map(String::as_str)).flat_map(str::chars);
        self.symbols = characters.map(String::from).chain(alphabet.iter().cloned()).collect();
        self.symbols.remove("");
        self.longest_symbol = self.symbols.iter().map(String::len).max().unwrap_or(0);
        self.has_answers = sound().all(|posed| posed.answer.is_some());
        let is_everywhere =
            |kind: &SolutionKind| sound().all(|posed| posed.solutions.contains_key(kind.name()));
        self.kinds = SolutionKind::ALL.into_iter().filter(is_everywhere).collect();
        self.longest_prompt = sound().filter_map(|posed| self.length(&posed.prompt)).max().unwrap_or(0);
        let reasons: Vec<String> = posed.iter().filter_map(|(_, _, posed)| unsound(posed)).collect();
        Report {
            hash: hash.finalize().to_hex().to_string(),
            asked: posed.len(),
            unfit: reasons.len(),
            reason: reasons.into_iter().next(),
        }
    }

    /// Whether every level has questions of both splits.
    fn is_enough(&self, levels: &[u32], posed: &[(u32, u64, Posed)]) -> Result<(), OpenError> {
        for level in levels.iter().copied() {
            let own = || posed.iter().filter(|(of, ..)| *of == level).map(|(_, _, posed)| posed);
            let fit: BTreeSet<&str> = own()
                .filter(|posed| self.unfit(posed).is_none())
                .map(|posed| posed.prompt.as_str())
                .collect();
            let program = self.program.name();
            if fit.is_empty() {
                let reason = own().find_map(|posed| self.unfit(posed)).unwrap_or_default();
                return Err(OpenError::Unfit { program, level, reason });
            }
            let lacks = |split: &Split| !fit.iter().any(|prompt| Split::of(prompt) == *split);
            if let Some(split) = [Split::Train, Split::Test].into_iter().find(lacks) {
                return Err(OpenError::TooFew { program, level, distinct: fit.len(), split: split.name() });
            }
        }
        Ok(())
    }

    /// What the program poses at an address.
    fn ask(&self, seed: u64, level: u32) -> Result<Posed, OpenError> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(posed) = kept().get(&(seed, level)) {
            return Ok(posed.clone());
        }
        let posed = self.program.pose(seed, level, &self.settings).map_err(|failure| OpenError::Pose {
            program: self.program.name(),
            level,
            seed,
            failure,
        })?;
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert((seed, level), posed.clone());
        Ok(posed)
    }

    /// Why a question is passed over.
    fn unfit(&self, posed: &Posed) -> Option<String> {
        if let Some(reason) = unsound(posed) {
            return Some(reason);
        }
        if let Some(text) = texts(posed).find(|text| self.length(text).is_none()) {
            let is_known = |letter: &char| self.symbols.contains(letter.encode_utf8(&mut [0; 4]) as &str);
            let strange = text.chars().find(|letter| !is_known(letter)).unwrap_or_default();
            return Some(format!(
                "{text:?} holds {strange:?}, which is not in the alphabet: add it to `alphabet`"
            ));
        }
        if self.length(&posed.prompt).is_none_or(|length| length > self.longest_prompt) {
            return Some(format!("the question {:?} is longer than the first ones", posed.prompt));
        }
        if self.has_answers && posed.answer.is_none() {
            return Some(format!("the question {:?} has no `answer`, but others have", posed.prompt));
        }
        let lacks = self.kinds.iter().find(|kind| !posed.solutions.contains_key(kind.name()))?;
        Some(format!("the question {:?} has no solution `{}`, but others have", posed.prompt, lacks.name()))
    }

    /// Symbols of `text`, cut into the longest that match; none where a character is in no symbol.
    fn length(&self, text: &str) -> Option<usize> {
        let (mut at, mut length) = (0, 0);
        while at < text.len() {
            let mut ends = (at + 1..=text.len().min(at + self.longest_symbol)).rev();
            let is_symbol =
                |end: &usize| text.is_char_boundary(*end) && self.symbols.contains(&text[at..*end]);
            at = ends.find(is_symbol)?;
            length += 1;
        }
        Some(length)
    }
}

/// The seed that a program is given: random, and small enough for every language's numbers.
fn seed_of(stream: &mut Stream) -> u64 {
    stream.bits() >> 11
}

/// Everything of a question that a network reads or writes.
fn texts(posed: &Posed) -> impl Iterator<Item = &str> {
    [Some(&posed.prompt), posed.answer.as_ref()]
        .into_iter()
        .flatten()
        .chain(posed.solutions.values())
        .map(String::as_str)
}

/// What no question may be, whatever the others are like.
fn unsound(posed: &Posed) -> Option<String> {
    let is_control = |letter: &char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if posed.prompt.is_empty() || posed.answer.as_deref() == Some("") {
        return Some("a question or its answer is empty".to_owned());
    }
    for text in texts(posed) {
        if let Some(tag) =
            [THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE].iter().find(|tag| text.contains(**tag))
        {
            return Some(format!("{text:?} holds the tag `{tag}`, which belongs to completions"));
        }
        if let Some(control) = text.chars().find(is_control) {
            return Some(format!("{text:?} holds the control character {control:?}"));
        }
    }
    let names = SolutionKind::ALL.map(SolutionKind::name);
    if let Some(kind) = posed.solutions.keys().find(|kind| !names.contains(&kind.as_str())) {
        return Some(format!("there is no kind of solution `{kind}`; there are {}", names.join(", ")));
    }
    let is_table = match &posed.spec {
        None | Some(Value::Null) => true,
        Some(Value::Object(spec)) => !spec.contains_key(SOLUTIONS),
        Some(_) => false,
    };
    (!is_table).then(|| "`spec` must be an object without the key `solutions`".to_owned())
}

/// The question as a problem: its worked solutions travel in the spec, so that they need not be asked for again.
fn problem(posed: Posed) -> Problem {
    let Posed { prompt, answer, spec, solutions } = posed;
    let mut spec = spec.unwrap_or(Value::Null);
    if !solutions.is_empty() {
        let solutions: Map<String, Value> =
            solutions.into_iter().map(|(kind, thinking)| (kind, thinking.into())).collect();
        let mut table = spec.as_object().cloned().unwrap_or_default();
        table.insert(SOLUTIONS.to_owned(), solutions.into());
        spec = table.into();
    }
    Problem { prompt, answer: answer.unwrap_or_default(), spec }
}

impl Domain for ExternalTasks {
    fn levels(&self) -> RangeInclusive<u32> {
        0..=u32::MAX
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let nothing = || Problem { prompt: String::new(), answer: String::new(), spec: Value::Null };
        self.draw(stream, level).ok().flatten().unwrap_or_else(nothing)
    }

    fn draw(&self, stream: &mut Stream, level: u32) -> Result<Option<Problem>, DrawError> {
        let posed = self.ask(seed_of(stream), level).map_err(|error| DrawError(error.to_string()))?;
        if self.unfit(&posed).is_some() {
            self.passed_over.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        Ok(Some(problem(posed)))
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        let bare =
            item.spec.and_then(Value::as_object).filter(|spec| spec.contains_key(SOLUTIONS)).map(|spec| {
                let mut spec = spec.clone();
                spec.remove(SOLUTIONS);
                Value::Object(spec)
            });
        let answer = item.answer.filter(|answer| !answer.is_empty());
        self.program.verify(&Item { answer, spec: bare.as_ref().or(item.spec), ..*item })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, _stream: &mut Stream) -> Option<Solution> {
        if problem.answer.is_empty() {
            return None;
        }
        if kind == SolutionKind::Direct {
            return Some(Solution::sure("", &problem.answer));
        }
        let solutions: BTreeMap<String, String> = BTreeMap::deserialize(problem.spec.get(SOLUTIONS)?).ok()?;
        Some(Solution::sure(solutions.get(kind.name())?, &problem.answer))
    }

    fn alphabet(&self) -> Vec<String> {
        self.symbols.iter().cloned().collect()
    }

    fn passed_over(&self) -> u64 {
        self.passed_over.load(Ordering::Relaxed)
    }

    fn is_outside(&self) -> bool {
        true
    }
}

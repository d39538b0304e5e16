//! A user's program as the poser and judge of a whole domain.

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

/// How many questions per level are asked first, to learn what the program writes.
const PROBES: u64 = 256;
/// How many of them a second process of the program is also asked.
const REPEATED: usize = 8;
/// How many questions are kept, to avoid asking again. When there are more, all are dropped.
const KEPT: usize = 1 << 14;
/// The key in a spec for the worked solutions, which judges do not see.
const SOLUTIONS: &str = "solutions";

/// The program that poses and judges, its limits, and the settings it receives.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Wall-clock seconds per item. The first item includes the start of the program.
    pub time_limit_s: f64,
    /// Maximum bytes in one answer.
    pub output_limit_bytes: usize,
    /// Symbols that texts may use, in addition to the characters of the first questions.
    pub alphabet: Vec<String>,
    /// What the program receives with each request for a question.
    pub settings: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        let external::Settings { command, time_limit_s, output_limit_bytes } = external::Settings::default();
        Self { command, time_limit_s, output_limit_bytes, alphabet: Vec::new(), settings: Map::new() }
    }
}

impl Settings {
    /// The settings for the process of the program.
    pub fn program(&self) -> external::Settings {
        let Self { command, time_limit_s, output_limit_bytes, .. } = self.clone();
        external::Settings { command, time_limit_s, output_limit_bytes }
    }
}

/// A program cannot pose the questions of a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The program cannot be started.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The program does not pose a question.
    #[error("`{program}`, asked for a question of level {level} and seed {seed}: {failure}")]
    Pose {
        /// The program and its arguments.
        program: String,
        /// The requested level.
        level: u32,
        /// The requested seed.
        seed: u64,
        /// What the program did.
        failure: Failure,
    },
    /// The program poses a different question when it is asked again.
    #[error(
        "`{program}` poses another question when asked again for level {level} and seed {seed}: {first:?}, then \
         {second:?}. Everything random must come from seed, level and settings (in Python also set PYTHONHASHSEED)"
    )]
    Unsteady {
        /// The program and its arguments.
        program: String,
        /// The requested level.
        level: u32,
        /// The requested seed.
        seed: u64,
        /// The first answer.
        first: Box<Posed>,
        /// The second answer.
        second: Box<Posed>,
    },
    /// None of the first questions can be used.
    #[error("`{program}`: none of its first {PROBES} questions of level {level} can be used: {reason}")]
    Unfit {
        /// The program and its arguments.
        program: String,
        /// The requested level.
        level: u32,
        /// What is wrong with the first of them.
        reason: String,
    },
    /// The program has too few different questions.
    #[error(
        "`{program}`: its first {PROBES} questions of level {level} are {distinct} different ones, none of them of the \
         {split} split. One in eight is held out by the hash of its text: pose more different questions"
    )]
    TooFew {
        /// The program and its arguments.
        program: String,
        /// The requested level.
        level: u32,
        /// How many of the first questions are different.
        distinct: usize,
        /// The split without questions.
        split: &'static str,
    },
}

/// What the first questions of a program showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The BLAKE3 hash of the first questions.
    pub hash: String,
    /// How many questions were asked.
    pub asked: usize,
    /// How many of them are passed over.
    pub unfit: usize,
    /// Why the first of these is passed over.
    pub reason: Option<String>,
}

/// The questions that a program poses and judges.
///
/// The first questions alone determine which later ones may be used, so an address always gives the same question.
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
    /// Starts the program and asks the first questions of `levels`, which must not be empty.
    ///
    /// # Errors
    /// When the program does not start, or its questions cannot be used, split or repeated.
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

    /// Asks a second process for some of the questions again, in another order.
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

    /// Learns from the first questions what all others must look like.
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

    /// The question that the program poses for a level and a seed.
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
                "{text:?} contains {strange:?}, which is not in the alphabet: add it to `alphabet`"
            ));
        }
        if self.length(&posed.prompt).is_none_or(|length| length > self.longest_prompt) {
            return Some(format!("the question {:?} is longer than the first ones", posed.prompt));
        }
        if self.has_answers && posed.answer.is_none() {
            return Some(format!(
                "the question {:?} has no `answer`, but other questions have one",
                posed.prompt
            ));
        }
        let lacks = self.kinds.iter().find(|kind| !posed.solutions.contains_key(kind.name()))?;
        Some(format!(
            "the question {:?} has no solution `{}`, but other questions have one",
            posed.prompt,
            lacks.name()
        ))
    }

    /// The number of symbols in `text`, each the longest that matches, or `None` if a character is in no symbol.
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

/// A random seed for the program, small enough for the numbers of every language.
fn seed_of(stream: &mut Stream) -> u64 {
    stream.bits() >> 11
}

/// All texts of a question that a network reads or writes.
fn texts(posed: &Posed) -> impl Iterator<Item = &str> {
    [Some(&posed.prompt), posed.answer.as_ref()]
        .into_iter()
        .flatten()
        .chain(posed.solutions.values())
        .map(String::as_str)
}

/// Why a question cannot be used, whatever the other questions are.
fn unsound(posed: &Posed) -> Option<String> {
    let is_control = |letter: &char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if posed.prompt.is_empty() || posed.answer.as_deref() == Some("") {
        return Some("a question or its answer is empty".to_owned());
    }
    for text in texts(posed) {
        if let Some(tag) =
            [THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE].iter().find(|tag| text.contains(**tag))
        {
            return Some(format!("{text:?} contains the tag `{tag}`, which only completions may contain"));
        }
        if let Some(control) = text.chars().find(is_control) {
            return Some(format!("{text:?} contains the control character {control:?}"));
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

/// Converts the question to a problem. Its worked solutions are stored in the spec, so that the program need not be
/// asked for them again.
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

//! Finds training texts that repeat a held-out text, by the runs of words that both contain.
//!
//! A held-out text with fewer words than a run is compared as one run of its own length, so a short question is also
//! found inside a longer text. If it has only a few words, the whole training text must equal it.

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A shorter held-out text would also be found inside unrelated texts.
const SHORTEST_INSIDE: usize = 5;

/// What counts as a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DecontaminationSettings {
    /// The number of words in a run.
    pub words: usize,
    /// The minimum share of a text's runs, in [0, 1], that must be repeated. At least one run must be.
    pub share: f64,
    /// Whether signs count as words: useful for formulas, not for prose.
    pub signs: bool,
}

impl Default for DecontaminationSettings {
    fn default() -> Self {
        Self { words: 13, share: 0.0, signs: false }
    }
}

/// A setting is invalid.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("decontamination: `{key}` is {value}; it must be {allowed}")]
pub struct DecontaminationError {
    /// Which setting.
    pub key: &'static str,
    /// Its value.
    pub value: f64,
    /// The allowed values.
    pub allowed: &'static str,
}

/// What a text shares with the held-out texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// The held-out text that contains the first shared run.
    pub with: String,
    /// The first shared run, in lower case, with spaces between the words.
    pub example: String,
    /// The number of runs that are shared.
    pub shared: usize,
    /// The number of all runs of the text that have the same length.
    pub total: usize,
}

/// The runs of the held-out texts.
pub struct HeldOut {
    settings: DecontaminationSettings,
    names: Vec<String>,
    /// The first held-out text that contains each run.
    runs: HashMap<[u8; 16], usize>,
    /// The first held-out text with this content.
    wholes: HashMap<[u8; 16], usize>,
    lengths: BTreeSet<usize>,
}

/// The words of a text in lower case: runs of letters and digits, and also signs if they count.
fn words(text: &str, signs: bool) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for letter in text.chars() {
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if signs && !letter.is_whitespace() {
            words.push(letter.to_string());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A 128-bit hash of a run. The spaces keep its words apart.
fn hash(run: &[String]) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    for word in run {
        hash.update(word.as_bytes());
        hash.update(b" ");
    }
    let mut bits = [0; 16];
    bits.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    bits
}

impl HeldOut {
    /// Starts without held-out texts.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(settings: DecontaminationSettings) -> Result<Self, DecontaminationError> {
        let DecontaminationSettings { words, share, .. } = settings;
        if words < SHORTEST_INSIDE {
            return Err(DecontaminationError { key: "words", value: words as f64, allowed: "5 or more" });
        }
        if !(0.0..=1.0).contains(&share) {
            return Err(DecontaminationError { key: "share", value: share, allowed: "from 0 to 1" });
        }
        Ok(Self {
            settings,
            names: Vec::new(),
            runs: HashMap::new(),
            wholes: HashMap::new(),
            lengths: BTreeSet::new(),
        })
    }

    /// Adds a held-out text with the name `name`.
    pub fn add(&mut self, name: impl Into<String>, text: &str) {
        let index = self.names.len();
        self.names.push(name.into());
        let words = words(text, self.settings.signs);
        if words.is_empty() {
            return;
        }
        self.wholes.entry(hash(&words)).or_insert(index);
        let length = words.len().min(self.settings.words);
        if length < SHORTEST_INSIDE {
            return;
        }
        self.lengths.insert(length);
        for run in words.windows(length) {
            self.runs.entry(hash(run)).or_insert(index);
        }
    }

    /// What `text` repeats, if that is enough to leave it out.
    pub fn overlap(&self, text: &str) -> Option<Overlap> {
        let words = words(text, self.settings.signs);
        if let Some(index) = self.wholes.get(&hash(&words)).filter(|_| !words.is_empty()) {
            return Some(self.shared(*index, &words, 1, 1));
        }
        self.lengths.iter().rev().filter(|length| **length <= words.len()).find_map(|length| {
            let mut first = None;
            let mut shared = 0;
            for run in words.windows(*length) {
                if let Some(index) = self.runs.get(&hash(run)) {
                    shared += 1;
                    first.get_or_insert((*index, run));
                }
            }
            let (index, run) = first?;
            let total = words.len() - length + 1;
            // A short held-out text has only one run, so one match is enough in a text of any length.
            let is_enough =
                *length < self.settings.words || shared as f64 >= self.settings.share * total as f64;
            is_enough.then(|| self.shared(index, run, shared, total))
        })
    }

    fn shared(&self, index: usize, run: &[String], shared: usize, total: usize) -> Overlap {
        Overlap { with: self.names[index].clone(), example: run.join(" "), shared, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &str =
        "A farmer has 17 sheep, and all but 9 of them run away; how many sheep are left at the end?";

    fn held_out(settings: DecontaminationSettings, texts: &[&str]) -> HeldOut {
        let mut held_out = HeldOut::new(settings).unwrap();
        texts.iter().enumerate().for_each(|(index, text)| held_out.add(format!("test/{index}"), text));
        held_out
    }

    #[test]
    fn a_quotation_is_found_whatever_its_case_and_signs() {
        let held_out = held_out(DecontaminationSettings::default(), &["Something else entirely.", QUESTION]);
        let quoted = format!("Here is a riddle. {} Answer it!", QUESTION.to_uppercase().replace(',', " -"));
        let overlap = held_out.overlap(&quoted).unwrap();
        assert_eq!((overlap.with.as_str(), overlap.shared), ("test/1", 9));
        assert_eq!(overlap.example, "a farmer has 17 sheep and all but 9 of them run away");
        assert_eq!(held_out.overlap("A farmer has 17 sheep and all but 9 of them stay at home today."), None);
        assert_eq!(held_out.overlap(""), None);
    }

    #[test]
    fn a_changed_number_breaks_the_run() {
        let settings = DecontaminationSettings { words: 20, ..DecontaminationSettings::default() };
        let held_out = held_out(settings, &[QUESTION]);
        assert!(held_out.overlap(QUESTION).is_some());
        assert_eq!(held_out.overlap(&QUESTION.replace("17", "18")), None);
    }

    #[test]
    fn a_short_question_is_found_inside_and_a_tiny_one_only_whole() {
        let held_out =
            held_out(DecontaminationSettings::default(), &["What is the capital of France?", "Two plus two"]);
        assert!(held_out.overlap("Q: what is the capital of France? A: Paris, of course.").is_some());
        assert!(held_out.overlap("two PLUS two?").is_some());
        assert_eq!(held_out.overlap("I said two plus two is four"), None);
        assert_eq!(held_out.overlap("What is the capital of Spain?"), None);
    }

    #[test]
    fn signs_tell_formulas_apart_where_they_count() {
        let overlaps = |signs| {
            let settings = DecontaminationSettings { signs, ..DecontaminationSettings::default() };
            held_out(settings, &["12+7="]).overlap("12-7=").is_some()
        };
        assert!(overlaps(false));
        assert!(!overlaps(true));
    }

    #[test]
    fn the_share_lets_a_quotation_in_a_long_text_pass() {
        let settings = DecontaminationSettings { share: 0.5, ..DecontaminationSettings::default() };
        let held_out = held_out(settings, &[QUESTION]);
        let long = format!("{QUESTION} {}", "word after word ".repeat(50));
        assert_eq!(held_out.overlap(&long), None);
        assert!(held_out.overlap(&format!("{QUESTION} Well?")).is_some());
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let refused = |words, share| {
            let settings = DecontaminationSettings { words, share, signs: false };
            HeldOut::new(settings).err().map(|error| error.to_string())
        };
        assert!(refused(4, 0.0).unwrap().contains("`words` is 4"));
        assert!(refused(13, 1.5).unwrap().contains("`share` is 1.5"));
        assert!(refused(13, f64::NAN).unwrap().contains("`share` is NaN"));
        assert_eq!(refused(13, 1.0), None);
    }
}

//! The reward terms and their settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thinkling_verifiers::terms::{Cosine, Script};
use thinkling_verifiers::{code, external};

/// A kind of reward term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RewardTerm {
    /// The score of the task's verifier.
    Correct,
    /// The format: thinking and answer tags, each once and in order. Config: `partial`.
    Format,
    /// The verifier `math` with the task's correct answer. Config: that of the verifier, and `worked_out`.
    Math,
    /// The verifier `code` with the task's tests. Config: that of the verifier, and `template`.
    Code,
    /// The verifier `exact` with the task's correct answer. Config: that of the verifier.
    Exact,
    /// The verifier `choice` with the task's correct answer. Config: that of the verifier.
    Choice,
    /// The verifier `external`: your own program. Config: that of the verifier, at least `command`.
    External,
    /// 0, falling to -1 in the last `cache` tokens before `longest` (DAPO).
    SoftOverlong,
    /// A cosine of the length: longer correct answers score less, longer wrong answers more. Config: five values, `longest`.
    Cosine,
    /// Minus the share of repeated sequences of `size` words or tokens.
    Repetition,
    /// The share of words in `script` in the thinking.
    Language,
}

impl RewardTerm {
    /// The name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Format => "format",
            Self::Math => "math",
            Self::Code => "code",
            Self::Exact => "exact",
            Self::Choice => "choice",
            Self::External => "external",
            Self::SoftOverlong => "soft_overlong",
            Self::Cosine => "cosine",
            Self::Repetition => "repetition",
            Self::Language => "language",
        }
    }

    /// Whether it scores the answer: 1 for a correct one, 0 for any other.
    pub fn judges(self) -> bool {
        matches!(self, Self::Correct | Self::Math | Self::Code | Self::Exact | Self::Choice | Self::External)
    }
}

/// One entry of `rewards`: a weighted reward term.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RewardEntry {
    /// The name in `metrics.jsonl`; by default the term's. Required if a term occurs twice.
    pub name: Option<String>,
    /// The kind of term.
    pub term: RewardTerm,
    /// The weight; 0 only measures the term.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// The term's own settings.
    #[serde(default)]
    pub config: Map<String, Value>,
}

impl RewardEntry {
    /// A term with its default settings.
    pub fn new(term: RewardTerm, weight: f64) -> Self {
        Self { name: None, term, weight, config: Map::new() }
    }

    /// The name in `metrics.jsonl`.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.term.name())
    }

    /// Reads `config` as the settings of the term, for completions of at most `longest` tokens. An error names the key.
    pub fn read(&self, config: &Map<String, Value>, longest: u64) -> Result<Earns, String> {
        let mut config = config.clone();
        let config = &mut config;
        Ok(match self.term {
            RewardTerm::Correct => {
                read::<Nothing>(config)?;
                Earns::Correct
            }
            RewardTerm::Math => {
                let worked_out = flag(config, "worked_out")?;
                Earns::Verifier { config: checked("math", config)?, worked_out }
            }
            RewardTerm::Format | RewardTerm::Exact | RewardTerm::Choice => {
                Earns::Verifier { config: checked(self.term.name(), config)?, worked_out: false }
            }
            RewardTerm::Code => {
                let template = flag(config, "template")?;
                read::<code::Settings>(config)?;
                Earns::Code { config: Value::Object(std::mem::take(config)), template }
            }
            RewardTerm::External => {
                read::<external::Settings>(config)?.check()?;
                Earns::Verifier { config: Value::Object(std::mem::take(config)), worked_out: false }
            }
            RewardTerm::SoftOverlong => read::<SoftOverlong>(config)?.resolved(longest)?,
            RewardTerm::Cosine => read::<CosineEnds>(config)?.resolved(longest)?,
            RewardTerm::Repetition => {
                let Repetition { size, over } = read(config)?;
                if size == 0 {
                    return Err("`size` is 0; it must be at least 1".to_owned());
                }
                Earns::Measure(Measure::Repetition { size, over })
            }
            RewardTerm::Language => {
                let Language { script } = read(config)?;
                Earns::Measure(Measure::Language(script.ok_or("`script` is missing: `latin` or `han`")?))
            }
        })
    }

    /// The greatest score of the term, for completions of at most `longest` tokens; 0 if its settings are wrong.
    pub fn most(&self, longest: u64) -> f64 {
        match self.read(&self.config, longest) {
            Ok(Earns::Measure(Measure::SoftOverlong { .. } | Measure::Repetition { .. })) | Err(_) => 0.0,
            Ok(Earns::Measure(Measure::Cosine { ends, .. })) => {
                [ends.right_short, ends.right_long, ends.wrong_short, ends.wrong_long, ends.exceeded]
                    .into_iter()
                    .fold(f64::NEG_INFINITY, f64::max)
            }
            Ok(_) => 1.0,
        }
    }
}

/// The source of a term's score, with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Earns {
    /// The task's verifier.
    Correct,
    /// The verifier of the term's name.
    Verifier {
        /// Its settings.
        config: Value,
        /// Whether an answer that is not worked out counts as wrong.
        worked_out: bool,
    },
    /// The verifier `code`.
    Code {
        /// Its settings.
        config: Value,
        /// Whether the task's template completes the program.
        template: bool,
    },
    /// A measure of the completion alone.
    Measure(Measure),
}

/// A measure of a completion, with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// The penalty of DAPO.
    SoftOverlong {
        /// Where it reaches -1, in tokens.
        longest: u64,
        /// How many tokens before it begins.
        cache: u64,
    },
    /// The cosine of the length.
    Cosine {
        /// The length that is too long, in tokens.
        longest: u64,
        /// Its values.
        ends: Cosine,
    },
    /// The share of repetitions.
    Repetition {
        /// Length of a sequence.
        size: usize,
        /// The unit of the length.
        over: Over,
    },
    /// The language of the thinking.
    Language(Script),
}

/// The unit of sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// Words, separated by white space.
    #[default]
    Words,
    /// Tokens of the policy, for texts without white space.
    Tokens,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Nothing {}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SoftOverlong {
    longest: Option<u64>,
    cache: Option<u64>,
}

impl SoftOverlong {
    fn resolved(self, most: u64) -> Result<Earns, String> {
        let longest = within(self.longest, most)?;
        // The published share: 4,096 of 20,480 tokens.
        let cache = self.cache.unwrap_or(longest / 5);
        if cache > longest {
            return Err(format!("`cache` is {cache}; it must be at most {longest}, the longest completion"));
        }
        Ok(Earns::Measure(Measure::SoftOverlong { longest, cache }))
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CosineEnds {
    longest: Option<u64>,
    right_short: f64,
    right_long: f64,
    wrong_short: f64,
    wrong_long: f64,
    exceeded: f64,
}

impl Default for CosineEnds {
    fn default() -> Self {
        let Cosine { right_short, right_long, wrong_short, wrong_long, exceeded } = Cosine::default();
        Self { longest: None, right_short, right_long, wrong_short, wrong_long, exceeded }
    }
}

impl CosineEnds {
    fn resolved(self, most: u64) -> Result<Earns, String> {
        let Self { longest, right_short, right_long, wrong_short, wrong_long, exceeded } = self;
        let longest = within(longest, most)?;
        let least_right = right_short.min(right_long);
        for (key, wrong) in [("wrong_short", wrong_short), ("wrong_long", wrong_long)] {
            if wrong >= least_right {
                return Err(format!(
                    "`{key}` is {wrong}; it must be below {least_right}, what a right answer earns at least"
                ));
            }
        }
        let ends = Cosine { right_short, right_long, wrong_short, wrong_long, exceeded };
        Ok(Earns::Measure(Measure::Cosine { longest, ends }))
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Repetition {
    size: usize,
    over: Over,
}

impl Default for Repetition {
    fn default() -> Self {
        Self { size: 3, over: Over::default() }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Language {
    script: Option<Script>,
}

fn within(longest: Option<u64>, most: u64) -> Result<u64, String> {
    match longest {
        Some(longest) if !(1..=most).contains(&longest) => {
            Err(format!("`longest` is {longest}; it must be 1 to {most}, the stage's max_new_tokens"))
        }
        given => Ok(given.unwrap_or(most)),
    }
}

fn read<S: for<'de> Deserialize<'de>>(config: &Map<String, Value>) -> Result<S, String> {
    S::deserialize(&Value::Object(config.clone())).map_err(|error| error.to_string())
}

/// Removes a flag of the trainer from a verifier's settings; false by default.
fn flag(config: &mut Map<String, Value>, key: &str) -> Result<bool, String> {
    match config.remove(key) {
        None => Ok(false),
        Some(Value::Bool(truth)) => Ok(truth),
        Some(other) => Err(format!("`{key}` is {other}; it must be true or false")),
    }
}

/// The settings of a verifier, checked by building it. For verifiers that start no program.
fn checked(verifier: &str, config: &mut Map<String, Value>) -> Result<Value, String> {
    let config = Value::Object(std::mem::take(config));
    let row =
        thinkling_verifiers::find(verifier).ok_or_else(|| format!("there is no verifier `{verifier}`"))?;
    (row.build)(&config).map(|_| config).map_err(|error| error.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(term: RewardTerm, config: Value) -> Result<Earns, String> {
        let Value::Object(config) = config else { panic!("settings are an object") };
        RewardEntry::new(term, 1.0).read(&config, 100)
    }

    #[test]
    fn settings_that_are_left_out_have_the_published_values() {
        assert_eq!(
            read(RewardTerm::SoftOverlong, json!({})),
            Ok(Earns::Measure(Measure::SoftOverlong { longest: 100, cache: 20 }))
        );
        assert_eq!(
            read(RewardTerm::Cosine, json!({})),
            Ok(Earns::Measure(Measure::Cosine { longest: 100, ends: Cosine::default() }))
        );
        assert_eq!(
            read(RewardTerm::Repetition, json!({})),
            Ok(Earns::Measure(Measure::Repetition { size: 3, over: Over::Words }))
        );
        assert_eq!(
            read(RewardTerm::Math, json!({ "worked_out": true, "extraction": "strict" })),
            Ok(Earns::Verifier { config: json!({ "extraction": "strict" }), worked_out: true })
        );
    }

    #[test]
    fn every_wrong_setting_names_its_key() {
        for (term, config, told) in [
            (RewardTerm::Correct, json!({ "x": 1 }), "`x`"),
            (RewardTerm::Format, json!({ "partal": true }), "`partal`"),
            (RewardTerm::Math, json!({ "worked_out": 1 }), "`worked_out`"),
            (RewardTerm::Math, json!({ "extraction": "loose" }), "`loose`"),
            (RewardTerm::Code, json!({ "executor": "perl" }), "`perl`"),
            (RewardTerm::External, json!({}), "`command`"),
            (RewardTerm::External, json!({ "command": ["x"], "time_limit_s": 0 }), "`time_limit_s`"),
            (RewardTerm::SoftOverlong, json!({ "longest": 101 }), "`longest`"),
            (RewardTerm::SoftOverlong, json!({ "longest": 50, "cache": 51 }), "`cache`"),
            (RewardTerm::Cosine, json!({ "wrong_long": 1.0 }), "`wrong_long`"),
            (RewardTerm::Repetition, json!({ "size": 0 }), "`size`"),
            (RewardTerm::Language, json!({}), "`script`"),
        ] {
            let message = read(term, config.clone()).unwrap_err();
            assert!(message.contains(told), "{config}: {message}");
        }
    }
}

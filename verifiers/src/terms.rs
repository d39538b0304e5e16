//! Terms of a reward besides the answer: length, repetition, language.
//!
//! Pure functions of the text. Lengths are numbers of tokens and are passed in, because text alone does not determine
//! them.

use serde::Deserialize;

/// The penalty for an answer close to the maximum length, in [-1, 0].
///
/// It is 0 up to `longest - cache` tokens, then falls linearly to -1 at `longest`.
///
/// Source: DAPO (arXiv 2503.14476), soft overlong punishment. With a `cache` of 0 only the step at `longest` is left.
pub fn soft_overlong(length: u64, longest: u64, cache: u64) -> f64 {
    let free = longest.saturating_sub(cache);
    if length <= free {
        0.0
    } else if length > longest {
        -1.0
    } else {
        -((length - free) as f64) / (longest - free) as f64
    }
}

/// The values of [`cosine`] at both ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cosine {
    /// For a right answer of length 0.
    pub right_short: f64,
    /// For a right answer of the maximum length.
    pub right_long: f64,
    /// For a wrong answer of length 0.
    pub wrong_short: f64,
    /// For a wrong answer of the maximum length.
    pub wrong_long: f64,
    /// For an answer that was cut off at the maximum length.
    pub exceeded: f64,
}

impl Default for Cosine {
    /// Short right answers earn the most and short wrong answers the least, so longer thinking pays while it can still
    /// help.
    fn default() -> Self {
        Self { right_short: 2.0, right_long: 1.0, wrong_short: -10.0, wrong_long: 0.0, exceeded: -10.0 }
    }
}

/// A reward that moves from its short to its long value along half a cosine wave.
///
/// Source: "Demystifying Long Chain-of-Thought Reasoning in LLMs" (arXiv 2502.03373), cosine reward.
pub fn cosine(is_right: bool, length: u64, longest: u64, ends: &Cosine) -> f64 {
    if length >= longest {
        return ends.exceeded;
    }
    let (short, long) =
        if is_right { (ends.right_short, ends.right_long) } else { (ends.wrong_short, ends.wrong_long) };
    let angle = std::f64::consts::PI * length as f64 / longest as f64;
    long + 0.5 * (short - long) * (1.0 + angle.cos())
}

/// The share of n-grams of `size` words that already occurred earlier in the text, in [0, 1]. It is 0 for texts with
/// fewer words.
///
/// A reward multiplies it by a negative weight. Source: the same paper, repetition penalty over n-grams.
pub fn repetition(text: &str, size: usize) -> f64 {
    let words: Vec<&str> = text.split_whitespace().collect();
    if size == 0 || words.len() < size {
        return 0.0;
    }
    let mut runs: Vec<&[&str]> = words.windows(size).collect();
    let total = runs.len();
    runs.sort_unstable();
    runs.dedup();
    (total - runs.len()) as f64 / total as f64
}

/// Whether an answer is worked out as far as the right one, that is, uses no operation that the right one does not use.
///
/// `12+34` equals 46 as mathematics but only repeats the question. Operations are signs (except a leading one) and
/// words, including LaTeX commands. White space and layout commands do not count.
pub fn is_worked_out(answer: &str, right: &str) -> bool {
    let allowed = operations(right);
    operations(answer).iter().all(|operation| allowed.contains(operation))
}

/// The signs and words of a text that stand for operations, relations or functions.
fn operations(text: &str) -> Vec<String> {
    const LAYOUT: [&str; 7] = ["left", "right", "text", "mathrm", "displaystyle", "boxed", "quad"];
    let text = text.trim().trim_start_matches('$').trim_start_matches(['+', '-', '\u{2212}']);
    let mut found = Vec::new();
    let mut word = String::new();
    for next in text.chars().chain([' ']) {
        if next.is_alphabetic() {
            word.push(next);
            continue;
        }
        if !word.is_empty() {
            let word = std::mem::take(&mut word);
            if !LAYOUT.contains(&word.as_str()) {
                found.push(word);
            }
        }
        if "+-*/^!=<>|\u{2212}\u{d7}\u{b7}\u{f7}\u{221a}".contains(next) {
            found.push(next.to_string());
        }
    }
    found
}

/// A writing system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Script {
    /// Latin letters, as in English.
    Latin,
    /// Chinese characters.
    Han,
}

/// The script of a letter, if it is one of [`Script`].
fn script(letter: char) -> Option<Script> {
    match letter {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => Some(Script::Latin),
        '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3134f}' => Some(Script::Han),
        _ => None,
    }
}

/// The share of words that are in the wanted script, in [0, 1]. It is 1 for a text without words.
///
/// A word is a run of letters of one script, and each Chinese character is a word. Digits, signs and LaTeX commands do
/// not count, because they are the same in every language.
///
/// Source: DeepSeek-R1 (arXiv 2501.12948), language consistency reward, which is added to the accuracy.
pub fn language_share(text: &str, target: Script) -> f64 {
    let (mut words, mut hits) = (0_u64, 0_u64);
    let mut inside: Option<Option<Script>> = None;
    let mut command = false;
    for next in text.chars() {
        if !next.is_alphabetic() {
            inside = None;
            command = next == '\\';
            continue;
        }
        let script = script(next);
        if command && next.is_ascii_alphabetic() {
            continue;
        }
        command = false;
        if inside != Some(script) || script == Some(Script::Han) {
            words += 1;
            hits += u64::from(script == Some(target));
        }
        inside = Some(script);
    }
    if words == 0 { 1.0 } else { hits as f64 / words as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_overlong_has_the_published_values() {
        let term = |length| soft_overlong(length, 20_480, 4_096);
        assert_eq!(term(16_384), 0.0);
        assert!((term(16_385) + 0.000_244).abs() < 1e-6);
        assert_eq!(term(18_432), -0.5);
        assert_eq!(term(20_480), -1.0);
        assert_eq!(term(20_481), -1.0);
        assert_eq!(soft_overlong(10, 10, 0), 0.0);
        assert_eq!(soft_overlong(11, 10, 0), -1.0);
        assert_eq!(soft_overlong(5, 10, 100), -0.5);
    }

    #[test]
    fn cosine_goes_from_short_to_long() {
        let ends = Cosine::default();
        assert_eq!(cosine(true, 0, 100, &ends), 2.0);
        assert!((cosine(true, 50, 100, &ends) - 1.5).abs() < 1e-12);
        assert!((cosine(false, 50, 100, &ends) + 5.0).abs() < 1e-12);
        assert!(cosine(true, 99, 100, &ends) > 1.0 && cosine(true, 99, 100, &ends) < 1.001);
        assert_eq!(cosine(true, 100, 100, &ends), -10.0);
        assert_eq!(cosine(false, 7, 0, &ends), -10.0);
    }

    #[test]
    fn repetition_counts_runs_written_before() {
        assert_eq!(repetition("a b c d", 2), 0.0);
        assert_eq!(repetition("a a a a a", 2), 0.75);
        assert_eq!(repetition("wait no wait no", 2), 1.0 / 3.0);
        assert_eq!(repetition("a b", 3), 0.0);
        assert_eq!(repetition("", 1), 0.0);
    }

    #[test]
    fn an_answer_that_repeats_the_question_is_not_worked_out() {
        for (answer, right) in
            [("46", "46"), ("-46", "46"), (" 046 ", "46"), ("$1/2$", "1/3"), ("x^2+1", "1+x^2")]
        {
            assert!(is_worked_out(answer, right), "{answer}");
        }
        for answer in [
            "12+34",
            "12+34=46",
            "92/2",
            "47-1",
            "\\sqrt{2116}",
            "\\frac{92}{2}",
            "46^1",
            "23 times 2",
            "5\u{d7}9",
        ] {
            assert!(!is_worked_out(answer, "46"), "{answer}");
        }
    }

    #[test]
    fn language_share_is_seven_of_ten() {
        assert_eq!(language_share("one two three four five six seven 八 九 十", Script::Latin), 0.7);
        assert_eq!(language_share("one two 三", Script::Han), 1.0 / 3.0);
        assert_eq!(language_share("12 + 30 = 42", Script::Latin), 1.0);
        assert_eq!(language_share("\\frac{1}{2} 答案", Script::Han), 1.0);
        assert_eq!(language_share("слово word", Script::Latin), 0.5);
    }
}

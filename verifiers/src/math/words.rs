//! Words with a meaning: functions, Greek letters, units, sets.

use super::expression::Constant;
use super::{normalise, units};

/// Words that stand for a command, either bare or in a text command.
const MEANINGS: &[(&str, &str)] = &[
    ("sin", "sin"),
    ("cos", "cos"),
    ("tan", "tan"),
    ("cot", "cot"),
    ("tg", "tan"),
    ("ctg", "cot"),
    ("cotg", "cot"),
    ("arctg", "arctan"),
    ("cosec", "csc"),
    ("sec", "sec"),
    ("csc", "csc"),
    ("arcsin", "arcsin"),
    ("arccos", "arccos"),
    ("arctan", "arctan"),
    ("asin", "arcsin"),
    ("acos", "arccos"),
    ("atan", "arctan"),
    ("sinh", "sinh"),
    ("cosh", "cosh"),
    ("tanh", "tanh"),
    ("ln", "ln"),
    ("log", "log"),
    ("lg", "lg"),
    ("exp", "exp"),
    ("sqrt", "sqrt"),
    ("cbrt", "cbrt"),
    ("abs", "abs"),
    ("floor", "floor"),
    ("ceil", "ceil"),
    ("gcd", "gcd"),
    ("lcm", "lcm"),
    ("max", "max"),
    ("min", "min"),
    ("binom", "binom"),
    ("mod", "bmod"),
    ("pi", "pi"),
    ("Pi", "pi"),
    ("inf", "infty"),
    ("infinity", "infty"),
    ("Infinity", "infty"),
    ("oo", "infty"),
    ("cis", "cis"),
    ("union", "cup"),
    ("alpha", "alpha"),
    ("beta", "beta"),
    ("gamma", "gamma"),
    ("delta", "delta"),
    ("theta", "theta"),
    ("lambda", "lambda"),
    ("omega", "omega"),
    ("phi", "phi"),
    ("nan", "undefined"),
    ("NaN", "undefined"),
    ("NAN", "undefined"),
    ("undefined", "undefined"),
    ("percent", "percent"),
    ("pct", "percent"),
    ("percentage", "percent"),
    ("degrees", "circ"),
    ("degree", "circ"),
    ("deg", "circ"),
];

/// Words of two to four letters that are not products of variables.
const ENGLISH: &[&str] = &[
    "is", "of", "to", "in", "at", "by", "we", "so", "as", "an", "be", "do", "if", "it", "no", "on", "up",
    "us", "the", "are", "was", "not", "for", "its", "has", "had", "can", "but", "you", "any", "all", "one",
    "two", "ten", "out", "who", "how", "why", "yes", "then", "than", "that", "this", "with", "from", "have",
    "will", "when", "what", "were", "each", "both", "only", "thus", "true", "none", "some", "time", "case",
    "get", "got", "now", "let", "see", "say", "four", "five", "nine", "zero", "three", "gold", "odd", "even",
    "No", "Yes", "The", "It", "So", "We", "True", "None", "or", "and", "nor", "more", "less", "fewer",
    "least", "most", "wrong", "false", "other", "over", "null", "void", "todo", "your", "here", "box",
    "Thus", "area", "odds", "left", "just", "also",
];

/// Words next to a number that change what it says, so they may not be missing in the other answer.
const TURNS: &[&str] = &[
    "pair",
    "couple",
    "gross",
    "ten",
    "score",
    "squared",
    "cubed",
    "half",
    "third",
    "quarter",
    "plus",
    "minus",
    "negative",
    "factorial",
    "twice",
    "thrice",
    "double",
    "triple",
    "not",
    "below",
    "above",
    "under",
    "over",
    "more",
    "less",
    "fewer",
    "least",
    "most",
    "greater",
    "than",
    "before",
    "after",
    "short",
    "remainder",
    "remaining",
    "off",
    "base",
    "modulo",
    "out",
    "except",
    "or",
    "otherwise",
    "if",
    "unless",
    "when",
    "instead",
    "rather",
    "wrong",
    "incorrect",
    "false",
    "choose",
];

/// Words beside a number that say nothing about what was counted.
const EMPTY: &[&str] = &[
    "the",
    "a",
    "an",
    "of",
    "in",
    "total",
    "exactly",
    "about",
    "approximately",
    "roughly",
    "each",
    "altogether",
    "only",
    "is",
    "respectively",
    "unit",
    "ans",
    "and",
    "for",
    "to",
    "approx",
    "possible",
    "different",
    "distinct",
    "all",
    "there",
    "are",
];

/// The words in the text that change what the number next to them says.
pub(super) fn turns(text: &str) -> Vec<String> {
    let words: Vec<String> = text
        .split(|next: char| !next.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty())
        .collect();
    // `5 times` counts, but `5 times larger` compares.
    let compares = words.iter().rposition(|word| word == "times").is_some_and(|at| at + 1 < words.len());
    words
        .into_iter()
        .filter(|word| {
            if word == "times" {
                return compares;
            }
            let with_digits = word.contains(|next: char| next.is_ascii_digit())
                && word.contains(|next: char| next.is_alphabetic());
            with_digits || TURNS.contains(&singular(word))
        })
        .collect()
}

/// A word beside a number that may be compared, or `None` if it says nothing.
pub(super) fn counted(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    let bare = lower.trim_matches(|next: char| !next.is_alphanumeric());
    let single = singular(bare);
    (!bare.is_empty() && !EMPTY.contains(&bare) && !EMPTY.contains(&single)).then(|| single.to_owned())
}

/// The word without the `s` of a plural.
fn singular(word: &str) -> &str {
    let plural = word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us");
    if plural { &word[..word.len() - 1] } else { word }
}

/// The command that a word stands for.
pub(super) fn meaning(word: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(known, _)| *known == word).map(|(_, command)| *command)
}

/// The half of the day that a word such as `a.m.` or `PM` names.
pub(super) fn half_day(word: &str) -> Option<&'static str> {
    match word.to_lowercase().replace('.', "").as_str() {
        "am" => Some("am"),
        "pm" => Some("pm"),
        _ => None,
    }
}

/// Whether the letters are a name or a product of variables, such as `ab` or `ABCD`, and not a word.
pub(super) fn is_run(word: &str) -> bool {
    let upper = word.chars().all(char::is_uppercase);
    !ENGLISH.contains(&word) && word.chars().count() <= if upper { 6 } else { 3 }
}

/// Whether the word belongs to a sentence and so is not a unit after a number.
pub(super) fn is_prose(word: &str) -> bool {
    ENGLISH.contains(&word.to_lowercase().as_str()) && !units::is_unit(word)
}

/// Whether a number or formula is inside a sentence: `So I get $x = 7$`.
pub(super) fn is_sentence(text: &str) -> bool {
    let plain = |word: &&str| {
        let word = word.trim_matches([',', '.', ':', ';']);
        let letters = word.chars().count() > 3 || ENGLISH.contains(&word);
        letters
            && word.chars().all(char::is_alphabetic)
            && !["and", "or"].contains(&word.to_lowercase().as_str())
            && meaning(word).is_none()
            && !units::is_unit(word)
            && !word.chars().all(char::is_uppercase)
    };
    // `42 green apples` is a number and what was counted.
    let begins =
        text.trim_start().starts_with(|next: char| next.is_ascii_digit() || matches!(next, '$' | '-' | '\\'));
    let counted = begins
        && text.split_whitespace().count() <= 4
        && !text.split_whitespace().any(|word| ENGLISH.contains(&word.trim_matches([',', '.', ':', ';'])));
    text.contains(|next: char| next.is_ascii_digit() || next == '$')
        && !counted
        && text.split_whitespace().any(|word| plain(&word))
}

/// Whether two answers in words say the same: articles and the words that announce an answer do not count, and what
/// follows a yes or no explains it.
pub(super) fn say_the_same(gold: &str, answer: &str) -> bool {
    if gold == answer {
        return true;
    }
    let (own, other) = (gist(gold), gist(answer));
    if own == other && !own.is_empty() {
        return true;
    }
    let verdict = |words: &[&str]| match words {
        ["yes" | "true"] => Some(true),
        ["no" | "false"] => Some(false),
        _ => None,
    };
    // `No, it is not.`
    match verdict(&own) {
        Some(gold) => match other.as_slice() {
            ["yes" | "no", rest @ ..] if rest.len() <= 8 => {
                let turns = rest.iter().any(|word| {
                    ["yes", "no", "but", "or", "wrong", "false", "true", "however"].contains(word)
                });
                let denies = rest
                    .iter()
                    .any(|word| ["not", "never", "cannot", "isnt", "doesnt", "dont"].contains(word));
                let says = other[0] == "yes";
                own[0].len() <= 3 && says == gold && !turns && (rest.is_empty() || denies != says)
            }
            _ => false,
        },
        None => false,
    }
}

/// Whether two lists of words have the same members: `Alice, Bob` and `Bob and Alice`.
pub(super) fn are_the_same_list(gold: &str, answer: &str) -> bool {
    let members = |text: &str| -> Option<Vec<String>> {
        if text.len() > 400 {
            return None;
        }
        let plain = normalise::plain(text).to_lowercase();
        let joined = plain.replace(" and ", ",").replace(" or ", ",").replace([';', '&'], ",");
        let joined = joined.trim_end_matches('.');
        let mut members: Vec<String> = joined
            .split(',')
            .map(|member| member.trim().trim_start_matches("and ").to_owned())
            .filter(|member| !member.is_empty())
            .collect();
        let words = |member: &String| {
            member.chars().all(|next| next.is_alphabetic() || next == ' ' || next == '-')
                && member.split(' ').count() <= 3
        };
        members.sort_unstable();
        (members.len() > 1 && members.iter().all(words) && members.iter().any(|member| member.len() > 1))
            .then_some(members)
    };
    members(gold).is_some_and(|own| members(answer).is_some_and(|other| own == other))
}

/// The words of an answer without articles and without the words before it that only announce it.
fn gist(text: &str) -> Vec<&str> {
    const NOTHING: &[&str] = &[
        "dne",
        "does not exist",
        "doesnt exist",
        "it does not exist",
        "the limit does not exist",
        "limit does not exist",
    ];
    const LEADS: &[&str] = &["it", "its", "is", "on", "there", "are", "they", "he", "she", "final", "answer"];
    if NOTHING.contains(&text) {
        return vec!["does not exist"];
    }
    let words: Vec<&str> =
        text.split_whitespace().filter(|word| !["the", "a", "an"].contains(word)).collect();
    let begin = words.iter().position(|word| !LEADS.contains(word)).unwrap_or(words.len());
    words[begin..].to_vec()
}

/// The set that the words name.
pub(super) fn named_set(text: &str) -> Option<Constant> {
    const SETS: &[(&str, Constant)] = &[
        ("all real numbers", Constant::Reals),
        ("all reals", Constant::Reals),
        ("real numbers", Constant::Reals),
        ("no solution", Constant::Empty),
        ("no solutions", Constant::Empty),
        ("no real solution", Constant::Empty),
        ("no real solutions", Constant::Empty),
        ("empty set", Constant::Empty),
        ("the empty set", Constant::Empty),
    ];
    let text = text.trim().trim_end_matches('.').to_lowercase();
    let text = ["there is ", "there are ", "it has ", "the equation has ", "has "]
        .iter()
        .find_map(|lead| text.strip_prefix(lead))
        .unwrap_or(&text);
    SETS.iter().find(|(name, _)| *name == text).map(|(_, set)| *set)
}

/// Whether the text is only a placeholder for an answer.
pub(super) fn is_placeholder(text: &str) -> bool {
    let bare = text.trim_matches(|next: char| !next.is_alphanumeric()).to_lowercase();
    let known =
        ["", "answer", "your answer", "your answer here", "answer here", "final answer", "value", "result"];
    known.contains(&bare.as_str())
}

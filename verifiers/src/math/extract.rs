//! Finds the answer in a text.

use serde::{Deserialize, Serialize};

use super::words;
use crate::answer;

/// Only this many bytes at the end of a text are searched.
const CAP: usize = 64 << 10;
/// Boxes that are further apart do not form a list.
const JOINT: usize = 40;
/// In a right answer, boxes that are further apart do not form a list, whatever words are between them.
const GOLD_JOINT: usize = 20;
/// More boxes than this do not form a list.
const MEMBERS: usize = 64;
/// How many bytes of a text are searched for a denial of what follows.
const DENIAL: usize = 32;
/// A right answer with at least this many words is a worked solution.
const SOLUTION: usize = 20;
/// A text of at most this length may itself be the answer.
const SHORT: usize = 300;

/// Which places in a text are searched for the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Extraction {
    /// Tags, a box, `####`: the forms that a model in training is asked to use.
    Strict,
    /// Also "the answer is …", the last formula and the last number, for models that were not trained here.
    #[default]
    Lenient,
}

/// The answers found by one rule, best first.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The name of the rule.
    pub rule: &'static str,
    /// The possible answers. The first that can be parsed counts.
    pub candidates: Vec<String>,
}

impl Found {
    fn one(rule: &'static str, text: impl Into<String>) -> Self {
        Self { rule, candidates: vec![text.into()] }
    }
}

/// The answer in a completion, or why there is none.
pub fn completion(text: &str, extraction: Extraction) -> Result<Found, &'static str> {
    let text = tail(answer::after_thinking(text)?);
    let text = text.split("<|im_").next().unwrap_or(text);
    if text.trim().is_empty() {
        return Err("nothing after the thinking");
    }
    let found = match answer::tagged(text) {
        Some(inner) => match boxed(inner, extraction)? {
            Some(found) => found,
            None => tagged(inner, extraction),
        },
        None => search(text, extraction)?,
    };
    if found
        .candidates
        .iter()
        .all(|text| words::is_placeholder(text) && !text.contains(['\\', '-', '∅', '∞']))
    {
        return Err("the answer is empty or a placeholder");
    }
    Ok(found)
}

fn search(text: &str, extraction: Extraction) -> Result<Found, &'static str> {
    if let Some(found) = boxed(text, extraction)? {
        return Ok(found);
    }
    if let Some(found) = hashes(text) {
        return Ok(found);
    }
    if extraction == Extraction::Strict {
        return Err("no answer in tags, in a box or after ####");
    }
    phrase(text).or_else(|| last(text)).ok_or("no answer in the text")
}

/// The last box. With lenient rules, Minerva's closing sentence after it comes first.
fn boxed(text: &str, extraction: Extraction) -> Result<Option<Found>, &'static str> {
    let closing = if extraction == Extraction::Lenient { closing_sentence(text) } else { None };
    if closing.is_some() { Ok(closing) } else { boxes(text, false) }
}

/// The answer in tags that contain no box.
fn tagged(inner: &str, extraction: Extraction) -> Found {
    let mut found = Found::one("answer tag", inner);
    if extraction == Extraction::Lenient {
        found
            .candidates
            .extend(phrase(inner).or_else(|| last(inner)).into_iter().flat_map(|found| found.candidates));
    }
    found
}

/// The answer of an item. Usually the text is only the answer, but sometimes it is a whole solution.
pub fn gold(text: &str) -> Found {
    let text = tail(text);
    if let Ok(Some(found)) = boxes(text, true) {
        return found;
    }
    if let Some(found) = hashes(text) {
        return found;
    }
    let mut found = Found::one("whole", text);
    if is_worked_solution(text) {
        found.candidates.extend(phrase(text).into_iter().flat_map(|found| found.candidates));
        found.candidates.extend(last(text).into_iter().flat_map(|found| found.candidates));
    }
    found
}

/// Whether a right answer is a solution that leads to the answer, so that its last number or formula may be meant. A short
/// text that cannot be read as mathematics, such as `at least 5`, is the answer itself.
fn is_worked_solution(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.trim().contains('\n')
        || text.split_whitespace().count() >= SOLUTION
        || ["answer is", "answer:", "so i get", "therefore"].iter().any(|mark| lower.contains(mark))
}

/// The last part of a text.
fn tail(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(CAP))..]
}

/// The bounds of a box and of its content.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    inner: usize,
    inner_end: usize,
    end: usize,
}

/// All closed boxes in the order of their ends, and the start of the last unclosed one.
fn spans(text: &str) -> (Vec<Span>, Option<usize>) {
    let bytes = text.as_bytes();
    let (mut closed, mut open) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                let command =
                    ["\\boxed", "\\fbox"].into_iter().find(|command| text[at..].starts_with(command));
                let Some(command) = command else {
                    // If the backslash of a box is escaped once more, the box begins at the second backslash.
                    at += if bytes.get(at + 1) == Some(&b'\\') && text[at + 1..].starts_with("\\boxed") {
                        1
                    } else {
                        2
                    };
                    while at < bytes.len() && !text.is_char_boundary(at) {
                        at += 1;
                    }
                    continue;
                };
                let after = at + command.len();
                let blank = text[after..].len() - text[after..].trim_start().len();
                let inner = after + blank;
                if bytes.get(inner) == Some(&b'{') {
                    open.push(Some((at, inner + 1)));
                    at = inner + 1;
                    continue;
                }
                // Without braces, the box ends where a word ends, and before another box.
                let end = text[inner..]
                    .find([' ', '$', '\n', '{', '}', '\\'])
                    .map_or(text.len(), |end| inner + end);
                let first = bytes.get(inner).copied().unwrap_or_default();
                let begins = first.is_ascii_digit() || (blank > 0 && first.is_ascii_alphabetic());
                if begins && blank + end - inner < 64 {
                    closed.push(Span { start: at, inner, inner_end: end, end });
                }
                at = after;
            }
            b'{' => {
                open.push(None);
                at += 1;
            }
            b'}' => {
                if let Some(Some((start, inner))) = open.pop() {
                    closed.push(Span { start, inner, inner_end: at, end: at + 1 });
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    (closed, open.into_iter().flatten().map(|(start, _)| start).next_back())
}

/// The last box, or the list that the last boxes form. The last box of a right answer may be unclosed.
fn boxes(text: &str, is_gold: bool) -> Result<Option<Found>, &'static str> {
    let (closed, unclosed) = spans(text);
    let last = closed.iter().map(|span| span.start).max();
    if let Some(start) = unclosed.filter(|start| last.is_none_or(|last| *start > last)) {
        if !is_gold {
            return Err("the last box is not closed");
        }
        let inner = text[start..].split_once('{').map_or("", |(_, inner)| inner);
        return Ok(Some(Found::one("box", inner)));
    }
    // Boxes are in the order of their ends, so a box comes after the boxes inside it.
    let mut outermost: Vec<Span> = Vec::new();
    for span in &closed {
        while outermost.last().is_some_and(|inner| inner.start > span.start) {
            outermost.pop();
        }
        outermost.push(*span);
    }
    let Some(last) = outermost.last() else { return Ok(None) };
    let mut list = vec![innermost(text, &closed, *last)];
    for pair in outermost.windows(2).rev() {
        if list.len() >= MEMBERS
            || !text.get(pair[0].end..pair[1].start).is_some_and(|between| joins(between, is_gold))
        {
            break;
        }
        let content = innermost(text, &closed, pair[0]);
        if !list.contains(&content) {
            list.insert(0, content);
        }
    }
    let mut content = list.join(", ");
    let follows = text[last.end..].trim_start_matches([' ', '$', '\\', ')']);
    if is_gold && ["%", "percent", "pct"].iter().any(|mark| follows.starts_with(mark)) {
        content.push_str("\\%");
    }
    Ok(Some(Found::one(if list.len() > 1 { "boxes" } else { "box" }, content)))
}

/// The content of the last box inside this box, or of this box itself.
fn innermost<'a>(text: &'a str, closed: &[Span], mut span: Span) -> &'a str {
    // Inner boxes come earlier, and each is visited once.
    for inner in closed.iter().rev() {
        if inner.start > span.start && inner.end <= span.inner_end {
            span = *inner;
        }
    }
    text[span.inner..span.inner_end].trim()
}

/// Whether the text between two boxes joins them into a list.
fn joins(between: &str, is_gold: bool) -> bool {
    // The backslash of the second box may be escaped once more.
    let between = between.strip_suffix('\\').unwrap_or(between);
    if between.len() > JOINT || between.contains('\n') {
        return false;
    }
    // Words between the boxes of one formula, or of a right answer, may describe each box.
    let ends = |text: &str| [" and", " or", ","].iter().any(|end| text.trim_end().ends_with(end));
    let words = between.trim().strip_prefix("\\text{").and_then(|inner| inner.strip_suffix('}'));
    if words.is_some_and(ends) {
        return true;
    }
    // In a right answer signs alone may separate the boxes, but not signs that relate them.
    let parts = |next: char| !next.is_alphanumeric() && !"=<>\\".contains(next);
    if is_gold && between.len() <= GOLD_JOINT && (ends(between) || between.chars().all(parts)) {
        return true;
    }
    let mut rest = between;
    const PARTS: &[&str] = &[
        "\\text{and}",
        "\\text{ and }",
        "\\text{or}",
        "\\text{ or }",
        "\\qquad",
        "\\quad",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "\\,",
        "\\;",
        "\\ ",
        "and",
        "or",
        "$",
        ",",
        ";",
        " ",
        "&",
    ];
    while let Some(part) = PARTS.iter().find(|part| rest.starts_with(**part)) {
        rest = &rest[part.len()..];
    }
    // `\boxed{1}, y = \boxed{2}`
    let name = rest.trim_end();
    let name = name.strip_suffix('=').map(str::trim_end).unwrap_or(name);
    rest.is_empty()
        || (name.len() < rest.trim_end().len()
            && name.len() <= 6
            && name.chars().all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '{' | '}')))
}

fn hashes(text: &str) -> Option<Found> {
    let at = text.rfind("####")?;
    let line = text[at + 4..].lines().next()?.trim();
    (!line.is_empty()).then(|| Found::one("####", line))
}

/// The answer in "The final answer is $…$. I hope it is correct.", Minerva's form, if no box follows it.
fn closing_sentence(text: &str) -> Option<Found> {
    const OPEN: &str = "final answer is $";
    let at = text.rfind(OPEN)? + OPEN.len();
    let (inner, rest) = text[at..].split_once('$')?;
    let hoped = rest.trim_start_matches(['.', ' ']).starts_with("I hope it is correct");
    let alone = !inner.is_empty() && !text[at..].contains("\\boxed");
    (hoped && alone).then(|| Found::one("final answer", inner))
}

/// The text after the last "answer is" or "answer:".
fn phrase(text: &str) -> Option<Found> {
    let lower = text.to_ascii_lowercase();
    let marks = ["answer is", "answer:", "answer**:", "answer are"];
    let at = marks.iter().filter_map(|mark| lower.rfind(mark).map(|at| at + mark.len())).max()?;
    let rest = text[at..].trim_start_matches(|next: char| next.is_whitespace() || matches!(next, ':' | '*'));
    let sentence = sentence(rest);
    if sentence.is_empty() {
        return None;
    }
    let mut candidates = vec![sentence.to_owned()];
    // `12, as required`: words after a comma explain the answer.
    if let Some((answer, rest)) = sentence.split_once(", ")
        && rest.starts_with(|next: char| next.is_lowercase())
        && !rest.starts_with("and ")
        && !rest.starts_with("or ")
        && !rest.contains(|next: char| next.is_ascii_digit() || next == '$')
        && rest.split_whitespace().count() > 1
        && !is_doubtful(sentence, 0, answer.len())
    {
        candidates.insert(0, answer.to_owned());
    }
    if let Some(at) = sentence.rfind(" is ").filter(|at| !is_doubtful(sentence, at + 4, sentence.len())) {
        candidates.push(sentence[at + 4..].to_owned());
    }
    candidates.extend(last(sentence).into_iter().flat_map(|found| found.candidates));
    Some(Found { rule: "phrase", candidates })
}

/// The text up to its first full stop or line break, or up to the end of the formula that it begins with.
fn sentence(text: &str) -> &str {
    for (open, close) in [("$$", "$$"), ("\\[", "\\]")] {
        if let Some(inner) = text.strip_prefix(open) {
            return inner.split_once(close).map_or(inner, |(inner, _)| inner).trim();
        }
    }
    let line = text.split('\n').next().unwrap_or(text);
    let bytes = line.as_bytes();
    let stop = (0..bytes.len()).find(|at| {
        bytes[*at] == b'.' && bytes.get(at + 1).is_none_or(|next| next.is_ascii_whitespace() || *next == b'*')
    });
    let line = stop.map_or(line, |stop| &line[..stop]);
    line.trim().trim_end_matches("**").trim()
}

/// Whether the text ends by denying what comes next: "it is not", "we do not get", "instead of".
fn denies(text: &str) -> bool {
    let start = text.ceil_char_boundary(text.len().saturating_sub(DENIAL));
    let mut words = text[start..]
        .trim_end_matches([' ', '$', '*', '(', '\\', '['])
        .rsplit(' ')
        .map(|word| word.trim_start_matches(|next: char| !next.is_alphanumeric()));
    match words.next() {
        Some(word) if is_denial(word) => true,
        Some("of" | "than" | "from" | "for") => words
            .next()
            .is_some_and(|word| ["instead", "rather", "other"].contains(&word.to_ascii_lowercase().as_str())),
        Some(word) if word.chars().all(char::is_alphabetic) => {
            ["except", "excluding"].contains(&word) || words.next().is_some_and(is_denial)
        }
        _ => false,
    }
}

fn is_denial(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["not", "never", "cannot", "nor", "neither"].contains(&word.as_str())
        || word.ends_with("n't")
        || word.ends_with("n’t")
}

/// Whether the sentence around an answer denies it or makes another value of it: "12 is incorrect", "half of 12", "3 more
/// than 12", "see problem 12".
fn is_doubtful(text: &str, start: usize, end: usize) -> bool {
    const WRONG: &[&str] =
        &["wrong", "incorrect", "false", "neither", "nor", "none", "impossible", "unknown", "mistaken"];
    const CHANGES: &[&str] = &[
        "minus",
        "negative",
        "plus",
        "half",
        "third",
        "quarter",
        "fifth",
        "tenth",
        "twice",
        "thrice",
        "double",
        "triple",
        "more",
        "less",
        "fewer",
        "greater",
        "least",
        "most",
        "under",
        "over",
        "above",
        "below",
        "between",
        "before",
        "after",
        "square",
        "cube",
        "root",
        "factorial",
        "times",
        "percent",
        "reciprocal",
        "inverse",
        "opposite",
        "anything",
        "everything",
        "problem",
        "question",
        "step",
        "exercise",
        "figure",
        "page",
        "equation",
        "case",
        "option",
        "except",
        "up",
    ];
    let ends_sentence = |at: usize| {
        let bytes = text.as_bytes();
        bytes[at] == b'\n'
            || (matches!(bytes[at], b'.' | b'!' | b'?')
                && bytes.get(at + 1).is_none_or(|next| next.is_ascii_whitespace()))
    };
    let from = start.saturating_sub(SHORT);
    let begin = (from..start).rev().find(|at| ends_sentence(*at)).map_or(from, |at| at + 1);
    let stop = (end..text.len().min(end + SHORT))
        .find(|at| ends_sentence(*at))
        .unwrap_or(text.len().min(end + SHORT));
    let part = |from: usize, to: usize| {
        text.get(text.floor_char_boundary(from)..text.floor_char_boundary(to))
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let (before, after) = (part(begin, start), part(end, stop));
    let words = |text: &str| -> Vec<String> {
        text.split(|next: char| !next.is_alphanumeric() && next != '\'' && next != '’')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let wrong = |text: &str| words(text).iter().any(|word| WRONG.contains(&word.as_str()));
    // A denial before another number is about that number.
    let denied = words(&after).iter().any(|word| is_denial(word))
        && !after.contains(|next: char| next.is_ascii_digit());
    let clause = [" is ", " are ", "=", ":", ",", ";", " was ", " equals "]
        .iter()
        .filter_map(|mark| before.rfind(mark).map(|at| at + mark.len()))
        .max()
        .map_or(before.as_str(), |at| &before[at..]);
    let changed = words(clause).iter().any(|word| CHANGES.contains(&word.as_str()));
    wrong(&before) || wrong(&after) || denied || changed
}

/// The letter of a choice in prose: the letter at the beginning (`A. Because …`) or the only letter that stands alone.
fn lone_letter(text: &str) -> Option<&str> {
    let mut found = None;
    let (mut first, mut begins) = (true, true);
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let letter = word.trim_matches(|next: char| !next.is_alphanumeric());
        if matches!(letter, "A" | "B" | "C" | "D" | "E") {
            // In `A triangle` the letter is an article, and in `E = 5` a variable.
            let next = words.peek().copied().unwrap_or_default();
            let joined = ["or", "and"].contains(&next);
            if first && word.ends_with(['.', ')', ':']) && !joined {
                return Some(letter);
            }
            let sentence = word == "A" && begins && next.starts_with(char::is_lowercase);
            let article = sentence && next != "is" && !joined;
            if !article && !next.starts_with(['=', '+', '-', '*', '/', '<', '>']) {
                if found.is_some_and(|found| found != letter) {
                    return None;
                }
                found = Some(letter);
            }
        }
        if ["not", "wrong", "incorrect", "false"].iter().any(|denial| letter.eq_ignore_ascii_case(denial)) {
            return None;
        }
        begins = word.ends_with(['.', '!', '?', ':']);
        first = false;
    }
    found
}

/// The last formula or number of a text.
fn last(text: &str) -> Option<Found> {
    let whole = text.trim();
    let mut candidates = Vec::new();
    if whole.len() <= SHORT && !whole.contains('\n') && !words::is_sentence(whole) {
        candidates.push(whole.to_owned());
    }
    let certain = |(end, answer): &(usize, String)| {
        let bare = answer.strip_suffix("\\%").unwrap_or(answer);
        let start = text[..*end].rfind(bare).unwrap_or(0);
        !is_doubtful(text, start, *end)
    };
    let formula = last_formula(text).filter(certain);
    let number = last_number(text).filter(certain);
    let letter = lone_letter(text);
    match (formula, number) {
        (Some((at, formula)), Some((number_at, _))) if at >= number_at => candidates.push(formula),
        (_, Some((_, number))) => candidates.push(number),
        (Some((_, formula)), None) => candidates.push(formula),
        (None, None) => {
            // A single word may still be the answer to a question that asks for one word.
            if letter.is_none() && (candidates.is_empty() || whole.split_whitespace().count() > 3) {
                return None;
            }
        }
    }
    candidates.extend(letter.map(str::to_owned));
    Some(Found { rule: "last formula or number", candidates })
}

/// The end and the content of the last formula.
fn last_formula(text: &str) -> Option<(usize, String)> {
    let bytes = text.as_bytes();
    let mut best: Option<(usize, &str)> = None;
    let mut open: Option<(usize, &str)> = None;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let mark = match rest {
            [b'$', b'$', ..] => "$$",
            [b'$', ..] => "$",
            [b'\\', b'(', ..] => "\\(",
            [b'\\', b')', ..] => "\\)",
            [b'\\', b'[', ..] => "\\[",
            [b'\\', b']', ..] => "\\]",
            [b'\\', _, ..] => {
                at += 2;
                continue;
            }
            _ => {
                if bytes[at] == b'\n' && matches!(open, Some((_, "$" | "\\("))) {
                    open = None;
                }
                at += 1;
                continue;
            }
        };
        match open {
            Some((start, opened)) if closes(opened, mark) && denies(&text[..start - opened.len()]) => {
                open = None
            }
            Some((start, opened)) if closes(opened, mark) => {
                best = Some((at + mark.len(), text.get(start..at).unwrap_or_default()));
                open = None;
            }
            _ if matches!(mark, "\\)" | "\\]") => {}
            _ => open = Some((at + mark.len(), mark)),
        }
        at += mark.len();
    }
    best.filter(|(_, formula)| !formula.trim().is_empty()).map(|(end, formula)| {
        let follows = text.get(end..).unwrap_or_default().trim_start();
        let percent = ["%", "\\%", "percent", "pct"].iter().any(|mark| follows.starts_with(mark));
        (end, if percent { format!("{formula}\\%") } else { formula.to_owned() })
    })
}

fn closes(open: &str, mark: &str) -> bool {
    matches!((open, mark), ("$", "$") | ("$$", "$$") | ("\\(", "\\)") | ("\\[", "\\]"))
}

/// The end and the digits of the last number that is not part of a word.
fn last_number(text: &str) -> Option<(usize, String)> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    loop {
        end = bytes[..end].iter().rposition(u8::is_ascii_digit)? + 1;
        let mut start = end;
        while start > 0 && (bytes[start - 1].is_ascii_digit() || joined(bytes, start - 1)) {
            start -= 1;
        }
        while !bytes[start].is_ascii_digit() && bytes[start] != b'.' {
            start += 1;
        }
        let before = text[..start].chars().next_back();
        let after = text[end..].chars().next();
        // A number with a subscript, even an empty one, is not a plain number.
        let in_word = before.is_some_and(|next| next.is_alphanumeric() || next == '_' || next == '\\')
            || after == Some('_')
            || (after.is_some_and(char::is_alphanumeric) && !text[end..].starts_with(['m', 'c', 'k']));
        if in_word || denies(&text[..start]) {
            end = start;
            if end == 0 {
                return None;
            }
            continue;
        }
        if start > 0
            && bytes[start - 1] == b'-'
            && !bytes[..start - 1].last().is_some_and(u8::is_ascii_alphanumeric)
        {
            start -= 1;
        }
        let mut number = text[start..end].to_owned();
        let follows = text[end..].trim_start().trim_start_matches('\\');
        if ["%", "percent", "pct"].iter().any(|mark| follows.starts_with(mark)) {
            number.push_str("\\%");
        }
        return Some((end, number));
    }
}

/// Whether the byte is part of a number: a point, a comma or a slash between digits.
fn joined(bytes: &[u8], at: usize) -> bool {
    let digit_after = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
    let digit_before = at > 0 && bytes[at - 1].is_ascii_digit();
    match bytes[at] {
        b'.' => digit_after,
        b',' | b'/' => digit_after && digit_before,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(text: &str) -> Result<String, &'static str> {
        completion(text, Extraction::Strict).map(|found| found.candidates[0].clone())
    }

    fn lenient(text: &str) -> String {
        completion(text, Extraction::Lenient).map(|found| found.candidates.join("|")).unwrap_or_default()
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        assert_eq!(strict("<think>\\boxed{1}</think><answer>2</answer>").as_deref(), Ok("2"));
        assert_eq!(strict("<answer>so \\boxed{3}</answer> 4").as_deref(), Ok("3"));
        assert_eq!(strict("\\boxed{41}. No, wait: \\boxed{42}").as_deref(), Ok("42"));
        assert_eq!(strict("\\boxed{1} and $\\boxed{2}$").as_deref(), Ok("1, 2"));
        assert_eq!(strict("\\boxed{\\boxed{5}}").as_deref(), Ok("5"));
        assert_eq!(strict("\\boxed{\\{1,2\\}}").as_deref(), Ok("\\{1,2\\}"));
        assert_eq!(strict("\\boxed 5").as_deref(), Ok("5"));
        assert_eq!(strict("... #### 18").as_deref(), Ok("18"));
        assert!(strict("\\boxed{1} or \\boxed{2").is_err());
        assert!(strict("\\boxed{}").is_err());
        assert!(strict("<answer>your answer here</answer>").is_err());
        assert!(strict("the answer is 4").is_err());
        assert!(strict("<think>4</think>").is_err());
    }

    #[test]
    fn lenient_rules_read_prose() {
        assert_eq!(lenient("The answer is **5**."), "5|5|5");
        assert_eq!(lenient("It is 42 apples."), "42");
        assert_eq!(lenient("42 apples"), "42 apples|42");
        assert_eq!(lenient("So $x = 3$ and $y = 4$"), "y = 4");
        assert_eq!(lenient("8_"), "8_");
        assert_eq!(lenient("It was 7, not 8_ or 8_2"), "7");
        assert!(completion("I do not know for sure", Extraction::Lenient).is_err());
    }
}

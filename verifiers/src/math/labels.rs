//! What stands around an answer and is not part of it: words that announce it, the name of what was asked for, a
//! condition for a parameter.

use super::lexer::Token;
use super::{parser, words};

/// Words that may come before a value without changing it.
const LEADS: &[&str] = &[
    "the",
    "a",
    "an",
    "final",
    "answer",
    "answers",
    "is",
    "are",
    "result",
    "results",
    "total",
    "value",
    "values",
    "sum",
    "number",
    "numbers",
    "point",
    "points",
    "solution",
    "solutions",
    "area",
    "volume",
    "length",
    "width",
    "height",
    "perimeter",
    "circumference",
    "radius",
    "diameter",
    "distance",
    "probability",
    "expected",
    "mean",
    "median",
    "mode",
    "average",
    "range",
    "cost",
    "price",
    "amount",
    "speed",
    "time",
    "age",
    "so",
    "thus",
    "therefore",
    "hence",
    "we",
    "get",
    "have",
    "it",
    "be",
    "equals",
    "equal",
    "to",
    "of",
    "set",
    "interval",
    "vector",
    "matrix",
    "ordered",
    "pair",
    "pairs",
    "triple",
    "equation",
    "line",
    "function",
    "maximum",
    "minimum",
    "max",
    "min",
    "product",
    "difference",
    "quotient",
    "ratio",
    "slope",
    "intercept",
    "coordinates",
    "root",
    "roots",
    "vertex",
    "center",
    "centre",
    "angle",
    "measure",
    "approximately",
    "about",
    "roughly",
    "exactly",
    "approx",
    "ans",
    "only",
    "all",
    "there",
    "possible",
];

/// Words that name an operation on the number after `of`.
const OPERATIONS: &[&str] = &[
    "sum",
    "product",
    "difference",
    "quotient",
    "ratio",
    "root",
    "roots",
    "mean",
    "average",
    "median",
    "mode",
    "range",
];

/// Words that begin a condition for a parameter.
const CONDITIONS: &[&str] = &["for", "where", "with"];

fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Text(text) | Token::Word(text) => Some(text),
        _ => None,
    }
}

/// Whether all words of a text may come before a value. After a colon, any word may: `Total: 5`.
fn announces(text: &str) -> bool {
    let text = text.trim();
    let mut words =
        text.split(|next: char| !next.is_alphanumeric()).filter(|word| !word.is_empty()).peekable();
    let known = |word: &str| LEADS.contains(&word.to_lowercase().as_str());
    // `the product of 12` is another number.
    let of = text.ends_with("of");
    if of && text.split_whitespace().any(|word| OPERATIONS.contains(&word.to_lowercase().as_str())) {
        return false;
    }
    let colon = text.ends_with(':') && words::turns(text).is_empty();
    words.peek().is_some() && (colon || words.all(known))
}

/// The tokens without the words before a value: `The answer is 5`, `the point (2, -3)`.
pub(super) fn without_lead(tokens: &[Token]) -> Option<&[Token]> {
    let mut end = 0;
    let mut announced = false;
    while let Some(token) = tokens.get(end) {
        match token {
            Token::Text(text) | Token::Word(text) => {
                let colon = tokens.get(end + 1) == Some(&Token::Sign(':'));
                if !(announces(text) || (colon && words::turns(text).is_empty())) {
                    return None;
                }
                announced = true;
            }
            Token::Sign(':' | ',') if announced => {}
            // `the max is 5`
            Token::Command(name) if announced && matches!(name.as_str(), "max" | "min") => {
                if !matches!(tokens.get(end + 1).and_then(word), Some(text) if announces(text)) {
                    break;
                }
            }
            _ => break,
        }
        end += 1;
    }
    let rest = &tokens[end..];
    (announced && !rest.is_empty()).then_some(rest)
}

/// The place of the only equality outside of brackets.
fn equality(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0;
    let mut found = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{' | 'S' | '⟨') | Token::Begin(_) => depth += 1,
            Token::Sign(')' | ']' | '}' | 's' | '⟩') | Token::End(_) => depth -= 1,
            Token::Sign('=') if depth == 0 => {
                if found.is_some() {
                    return None;
                }
                found = Some(at);
            }
            Token::Sign('<' | '>' | '≤' | '≥' | '≠' | ',' | ';')
            | Token::Relation(..)
            | Token::Conjunction { .. }
                if depth == 0 =>
            {
                return None;
            }
            _ => {}
        }
    }
    found
}

/// Whether the tokens name what was asked for, such as `\lim_{x \to 0} f(x)`, `|z|`, `f^{-1}(2)` or `\frac{dy}{dx}`. A
/// number, or a sum or product of anything, is no name: `x + 1 = 5` does not answer 5.
fn is_label(tokens: &[Token]) -> bool {
    const OPERATORS: &[&str] = &[
        "lim", "limsup", "liminf", "int", "iint", "oint", "max", "min", "sup", "inf", "det", "dim", "deg",
        "gcd", "lcm", "arg",
    ];
    let letters = |token: &Token| match token {
        Token::Letter(_) | Token::Run(_) | Token::Name(_) | Token::Mark(_) => true,
        Token::Command(name) => parser::LETTERS.contains(&name.as_str()),
        _ => false,
    };
    let first = match tokens.first() {
        Some(first) => first,
        None => return false,
    };
    if let Token::Command(name) = first {
        if OPERATORS.contains(&name.as_str()) {
            return true;
        }
        if name == "frac" {
            return is_derivative(tokens);
        }
    }
    if is_quotient_of_differentials(tokens) {
        return true;
    }
    if !tokens.iter().any(letters) && !tokens.iter().any(|token| word(token).is_some()) {
        return false;
    }
    if tokens.iter().all(|token| word(token).is_some()) {
        return true;
    }
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{' | 'S' | '⟨' | '⟦') => depth += 1,
            Token::Sign(')' | ']' | '}' | 's' | '⟩' | '⟧') => depth -= 1,
            Token::Sign('_') => {}
            // `f^{-1}(2)`
            Token::Sign('^') if depth == 0 => {
                let inverse = tokens.get(at + 1) == Some(&Token::Sign('{'))
                    && tokens.get(at + 2) == Some(&Token::Sign('-'));
                if !inverse {
                    return false;
                }
            }
            Token::Sign('+' | '-' | '*' | '×' | '/' | '!' | '√' | '°') | Token::Number { .. }
                if depth == 0 && !in_index(tokens, at) =>
            {
                return false;
            }
            Token::Command(name)
                if depth == 0
                    && matches!(name.as_str(), "frac" | "sqrt" | "binom" | "log" | "ln" | "lg" | "exp") =>
            {
                return false;
            }
            _ => {}
        }
    }
    letters(first)
        || matches!(
            first,
            Token::Command(_) | Token::Sign('|' | '⟦' | '‖' | '⌊' | '⌈') | Token::Text(_) | Token::Word(_)
        )
}

fn in_index(tokens: &[Token], at: usize) -> bool {
    at > 0 && tokens[at - 1] == Token::Sign('_')
}

/// Whether the tokens are `\frac{dy}{dx}`, `\frac{d}{dx} f` or `\frac{\partial f}{\partial x}`.
fn is_derivative(tokens: &[Token]) -> bool {
    let differential = |token: Option<&Token>| match token {
        Some(Token::Letter('d')) => true,
        Some(Token::Run(name) | Token::Name(name)) => name.starts_with('d') && name.len() == 2,
        Some(Token::Command(name)) => name == "partial",
        _ => false,
    };
    let bottom = tokens.iter().position(|token| *token == Token::Sign('}')).map(|at| at + 2);
    differential(tokens.get(2)) && bottom.is_some_and(|at| differential(tokens.get(at)))
}

/// Whether the tokens are `dy/dx`.
fn is_quotient_of_differentials(tokens: &[Token]) -> bool {
    let run = |token: &Token| matches!(token, Token::Run(name) | Token::Name(name) if name.starts_with('d') && name.len() == 2);
    match tokens {
        [top, Token::Sign('/'), bottom] => run(top) && run(bottom),
        [Token::Letter('d'), Token::Letter(_), Token::Sign('/'), Token::Letter('d'), Token::Letter(_)] => {
            true
        }
        _ => false,
    }
}

/// Both answers without the name of what was asked for, if one of them has it: `\lim_{x \to 0} f(x) = 5` and 5.
///
/// `y = 2x + 1` and `f(x) = 2x + 1` name the same.
pub(super) fn unlabelled(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    let value = |tokens: &[Token]| {
        let at = equality(tokens)?;
        (is_label(&tokens[..at]) && at + 1 < tokens.len()).then(|| tokens[at + 1..].to_vec())
    };
    let related = |tokens: &[Token]| tokens.iter().any(|token| matches!(token, Token::Sign('=' | '≈')));
    match (value(gold), value(answer)) {
        (Some(gold), None) if !related(answer) => Some((gold, answer.to_vec())),
        (None, Some(answer)) if !related(gold) => Some((gold.to_vec(), answer)),
        (Some(own), Some(other)) => {
            let (one, two) = (&gold[..gold.len() - own.len() - 1], &answer[..answer.len() - other.len() - 1]);
            let primes =
                |tokens: &[Token]| tokens.iter().filter(|token| **token == Token::Sign('\'')).count();
            let same = names_a_function(one) && names_a_function(two) && primes(one) == primes(two);
            (same && (is_y(one) || is_y(two))).then_some((own, other))
        }
        _ => None,
    }
}

fn is_y(tokens: &[Token]) -> bool {
    matches!(tokens, [Token::Letter('y'), primes @ ..] if primes.iter().all(|token| *token == Token::Sign('\'')))
}

fn names_a_function(tokens: &[Token]) -> bool {
    let [
        Token::Letter('f' | 'g' | 'h' | 'y'),
        rest @ ..,
        Token::Sign('('),
        Token::Letter(_),
        Token::Sign(')'),
    ] = tokens
    else {
        return is_y(tokens);
    };
    rest.iter().all(|token| *token == Token::Sign('\''))
}

/// Both answers without the condition that only one of them adds: `a_n = 2n \text{ for } n \ge 1`. If both have one, it
/// becomes a member of a list.
pub(super) fn unconditional(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    let condition = |tokens: &[Token]| {
        let at = tokens.iter().position(|token| {
            word(token).is_some_and(|text| {
                let first = text.split(|next: char| !next.is_alphabetic()).find(|word| !word.is_empty());
                first.is_some_and(|first| CONDITIONS.contains(&first.to_lowercase().as_str()))
            })
        })?;
        (at > 0 && at + 1 < tokens.len()).then_some(at)
    };
    let cut = |tokens: &[Token], at: usize| {
        let end = at - usize::from(matches!(tokens[at - 1], Token::Sign(',' | ';')));
        tokens[..end].to_vec()
    };
    let listed = |tokens: &[Token], at: usize| {
        let mut out = cut(tokens, at);
        out.push(Token::Sign(','));
        out.extend_from_slice(&tokens[at + 1..]);
        out
    };
    match (condition(gold), condition(answer)) {
        (None, None) => None,
        (Some(own), Some(other)) => Some((listed(gold, own), listed(answer, other))),
        (Some(at), None) => Some((cut(gold, at), answer.to_vec())),
        (None, Some(at)) => Some((gold.to_vec(), cut(answer, at))),
    }
}

/// An answer for every whole number: its tokens without the condition, and the parameter.
pub(super) fn family(tokens: &[Token]) -> Option<(Vec<Token>, char)> {
    let integer = |token: &Token| match token {
        Token::Command(set) => matches!(set.as_str(), "setZ" | "setN"),
        _ => false,
    };
    // `, k ∈ Z` or `(k ∈ Z)` at the end
    if let [rest @ .., Token::Letter(letter), Token::Sign('∈'), set] = tokens
        && integer(set)
    {
        return Some((trimmed(rest), *letter));
    }
    if let [rest @ .., Token::Sign('('), Token::Letter(letter), Token::Sign('∈'), set, Token::Sign(')')] =
        tokens
        && integer(set)
    {
        return Some((trimmed(rest), *letter));
    }
    // `where k is an integer`, `for any integer k`
    let at = tokens.iter().position(|token| word(token).is_some_and(|text| words::turns(text).is_empty()))?;
    let tail = &tokens[at..];
    let words = tail.iter().filter_map(word).collect::<Vec<_>>().join(" ").to_lowercase();
    let mut letters = tail.iter().filter_map(|token| match token {
        Token::Letter(letter) if *letter != 'a' => Some(*letter),
        _ => None,
    });
    let letter = letters.next().or_else(|| {
        let mut single =
            words.split(|next: char| !next.is_alphanumeric()).filter(|word| word.len() == 1 && *word != "a");
        single.next().and_then(|word| word.chars().next())
    })?;
    let known = |word: &str| {
        word.len() == 1
            || [
                "for", "where", "with", "is", "an", "any", "all", "integer", "integers", "every", "some",
                "whole", "number", "each",
            ]
            .contains(&word)
    };
    let plain = tail
        .iter()
        .all(|token| word(token).is_some() || matches!(token, Token::Letter(_) | Token::Sign(',')));
    let says = words.contains("integer")
        && words.split(|next: char| !next.is_alphanumeric()).filter(|word| !word.is_empty()).all(known);
    (at > 0 && plain && says && letters.next().is_none()).then(|| (trimmed(&tokens[..at]), letter))
}

/// The tokens without separators at their end.
fn trimmed(tokens: &[Token]) -> Vec<Token> {
    let mut end = tokens.len();
    while end > 0
        && (matches!(tokens[end - 1], Token::Sign(',' | ';'))
            || word(&tokens[end - 1]).is_some_and(|text| CONDITIONS.contains(&text.trim())))
    {
        end -= 1;
    }
    tokens[..end].to_vec()
}

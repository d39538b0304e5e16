//! Rearranges tokens where notation depends on what surrounds it: intervals with turned brackets, sets by a condition,
//! congruences, degrees and minutes, quantities in two units, environments with conditions.

use super::super::{Refusal, units};
use super::Token;

/// The tokens in the order and with the signs that the parser knows.
pub(super) fn arranged(tokens: Vec<Token>) -> Result<Vec<Token>, Refusal> {
    let logical = |either: bool| {
        tokens
            .iter()
            .any(|token| matches!(token, Token::Conjunction { either: own, logical: true } if *own == either))
    };
    if logical(true) && logical(false) {
        // `p ∧ q ∨ r`: a list cannot hold both.
        return Err(Refusal::Unparsable);
    }
    let tokens = turned_brackets(tokens);
    let tokens = builders(tokens);
    let tokens = congruences(tokens);
    let tokens = angles(tokens);
    let tokens = quantities(tokens);
    Ok(conditions(tokens))
}

fn opens(token: &Token) -> bool {
    matches!(token, Token::Sign('(' | '[' | '{' | 'S' | '⟨' | '⟦') | Token::Begin(_))
}

fn closes(token: &Token) -> bool {
    matches!(token, Token::Sign(')' | ']' | '}' | 's' | '⟩' | '⟧') | Token::End(_))
}

/// The place of the token that closes the bracket whose content begins at `from`.
fn closing(tokens: &[Token], from: usize) -> Option<usize> {
    let mut depth = 0;
    (from..tokens.len()).find(|at| {
        depth += i32::from(opens(&tokens[*at])) - i32::from(closes(&tokens[*at]));
        depth < 0
    })
}

/// Reads `]0,1[` as `(0,1)`: a square bracket that is turned away from the interval does not contain its end.
fn turned_brackets(mut tokens: Vec<Token>) -> Vec<Token> {
    let square = |token: &Token| matches!(token, Token::Sign('[' | ']'));
    if tokens.iter().filter(|token| square(token)).count() < 2 {
        return tokens;
    }
    // For each open bracket: whether it may begin an interval, and whether a separator was seen inside.
    let mut open: Vec<(bool, bool)> = Vec::new();
    for at in 0..tokens.len() {
        let operand = at > 0
            && !matches!(
                tokens[at - 1],
                Token::Sign(',' | ';' | '-' | '+' | '(' | '[' | '∪' | '∩' | '∖' | '=')
            );
        match tokens[at] {
            Token::Sign(',' | ';') => {
                if let Some(top) = open.last_mut() {
                    top.1 = true;
                }
            }
            Token::Sign('[') if operand && open.last().is_some_and(|top| top.0 && top.1) => {
                open.pop();
                tokens[at] = Token::Sign(')');
            }
            Token::Sign(']') if !open.last().is_some_and(|top| top.0) && !operand_before(&tokens, at) => {
                tokens[at] = Token::Sign('(');
                open.push((true, false));
            }
            Token::Sign('[' | '(') => open.push((true, false)),
            _ if opens(&tokens[at]) => open.push((false, false)),
            _ if closes(&tokens[at]) => {
                open.pop();
            }
            _ => {}
        }
    }
    tokens
}

fn operand_before(tokens: &[Token], at: usize) -> bool {
    at > 0 && !matches!(tokens[at - 1], Token::Sign('∪' | '∩' | '∖' | '∈' | '=' | ',' | ';'))
}

/// Reads `\{x \mid x > 3\}` as the numbers that meet a condition.
fn builders(tokens: Vec<Token>) -> Vec<Token> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if matches!(tokens[at], Token::Sign('S' | '{'))
            && let Some(end) = closing(&tokens, at + 1)
            && let Some((condition, domain)) = builder(&tokens[at + 1..end])
        {
            out.extend([Token::Command("builder".to_owned()), Token::Sign('(')]);
            if let Some(domain) = domain {
                out.extend_from_slice(domain);
                out.push(Token::Sign(','));
            }
            out.extend(builders(condition.to_vec()));
            out.push(Token::Sign(')'));
            at = end + 1;
        } else {
            out.push(tokens[at].clone());
            at += 1;
        }
    }
    out
}

/// The condition of `x \mid x > 3`, and the domain in `x \in \mathbb{Z} \mid x > 3`. The real numbers are no condition.
fn builder(inner: &[Token]) -> Option<(&[Token], Option<&[Token]>)> {
    let [Token::Letter(_), second, ..] = inner else { return None };
    let bar = match second {
        Token::Sign('|' | ':') => 1,
        Token::Sign('∈') => inner.iter().position(|token| matches!(token, Token::Sign('|' | ':')))?,
        _ => return None,
    };
    let condition = inner.get(bar + 1..).filter(|condition| condition.len() > 1)?;
    let real = bar == 1 || matches!(&inner[2..bar], [Token::Command(set)] if set == "setR");
    Some((condition, (!real).then_some(&inner[..bar])))
}

/// Reads `x \equiv 3 \pmod 7` as a congruence. A sign of identity elsewhere is an equality.
fn congruences(tokens: Vec<Token>) -> Vec<Token> {
    let equivalent = |token: &Token| matches!(token, Token::Relation("equiv", _));
    if let Some(found) = congruence(&tokens) {
        return found;
    }
    tokens.into_iter().map(|token| if equivalent(&token) { Token::Sign('=') } else { token }).collect()
}

fn congruence(tokens: &[Token]) -> Option<Vec<Token>> {
    let equivalence = tokens.iter().position(|token| matches!(token, Token::Relation("equiv", _)));
    let bracketed = tokens.iter().position(|token| matches!(token, Token::Command(name) if name == "pmod"));
    let plain = tokens.iter().rposition(|token| *token == Token::Sign('%')).filter(|_| equivalence.is_some());
    let marker = bracketed.or(plain)?;
    let relation = equivalence.or_else(|| tokens.iter().position(|token| *token == Token::Sign('=')));
    let relation = relation.filter(|at| *at < marker);
    let mut modulus = tokens.get(marker + 1..)?;
    // `(mod 7)`
    let own_bracket =
        marker > 0 && tokens[marker - 1] == Token::Sign('(') && modulus.last() == Some(&Token::Sign(')'));
    if own_bracket {
        modulus = &modulus[..modulus.len() - 1];
    }
    let residue = &tokens[relation.map_or(0, |at| at + 1)..marker - usize::from(own_bracket)];
    let plain_ends =
        modulus.iter().all(|token| !matches!(token, Token::Relation(..) | Token::Sign(',' | ';' | '=')));
    if modulus.is_empty() || residue.is_empty() || !plain_ends {
        return None;
    }
    let name = relation.map(|at| &tokens[..at]).filter(|name| !name.is_empty());
    let mut out = vec![Token::Command(if name.is_some() { "congruence" } else { "residue" }.to_owned())];
    for part in name.into_iter().chain([residue, modulus]) {
        out.push(Token::Sign('('));
        out.extend_from_slice(part);
        out.push(Token::Sign(')'));
    }
    Some(out)
}

/// Reads `30^\circ 15' 36''` as one number of degrees.
fn angles(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let parts = match &tokens[at] {
            whole @ Token::Number { .. } if tokens.len() > at + 3 => {
                angle(&tokens[at + 1..]).map(|(parts, width)| (whole, parts, width))
            }
            _ => None,
        };
        let Some((whole, parts, width)) = parts else {
            out.push(tokens[at].clone());
            at += 1;
            continue;
        };
        out.extend([Token::Sign('('), whole.clone()]);
        for (part, size) in parts.into_iter().zip([60, 3600]) {
            out.extend([Token::Sign('+'), part, Token::Sign('/'), Token::whole(size)]);
        }
        out.extend([Token::Sign(')'), Token::Sign('°')]);
        at += 1 + width;
    }
    out
}

/// The minutes and seconds after the number of degrees, and how many tokens they take.
fn angle(rest: &[Token]) -> Option<(Vec<Token>, usize)> {
    let degree: &[&[Token]] = &[
        &[Token::Sign('°')],
        &[Token::Sign('^'), Token::Sign('°')],
        &[Token::Sign('^'), Token::Sign('{'), Token::Sign('°'), Token::Sign('}')],
    ];
    let named = matches!(rest.first(), Some(Token::Text(word)) if ["degrees", "degree", "deg"].contains(&word.as_str()));
    let mut at = if named { 1 } else { degree.iter().find(|sign| rest.starts_with(sign))?.len() };
    let mut parts = Vec::new();
    for (marks, names) in [(1, ["minute", "minutes", "min"]), (2, ["second", "seconds", "sec"])] {
        let Some(part @ Token::Number { .. }) = rest.get(at) else { break };
        let mut end = at + 1;
        if rest.get(end) == Some(&Token::Sign('^')) {
            end += 1;
        }
        let braced = rest.get(end) == Some(&Token::Sign('{'));
        end += usize::from(braced);
        let primes = rest[end..].iter().take_while(|token| **token == Token::Sign('\'')).count();
        let named = matches!(rest.get(end), Some(Token::Text(word)) if names.contains(&word.as_str()));
        if !named && primes != marks {
            break;
        }
        end += if named { 1 } else { marks } + usize::from(braced);
        parts.push(part.clone());
        at = end;
    }
    (!parts.is_empty()).then_some((parts, at))
}

/// Reads `2 h 30 min` as a number of the last unit.
fn quantities(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        match quantity(&tokens[at..]) {
            Some((quantity, width)) => {
                out.extend(quantity);
                at += width;
            }
            None => {
                out.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    out
}

fn quantity(tokens: &[Token]) -> Option<(Vec<Token>, usize)> {
    let (Token::Number { .. }, Token::Text(first)) = (tokens.first()?, tokens.get(1)?) else { return None };
    let mut parts = vec![(&tokens[0], units::measure(std::slice::from_ref(first)))];
    let (mut unit, mut width) = (first, 2);
    loop {
        let and = usize::from(matches!(tokens.get(width), Some(Token::Conjunction { either: false, .. })));
        let (Some(number @ Token::Number { .. }), Some(Token::Text(next))) =
            (tokens.get(width + and), tokens.get(width + and + 1))
        else {
            break;
        };
        let measure = units::measure(std::slice::from_ref(next));
        if parts.last()?.1.multiple(&measure).is_none() {
            break;
        }
        parts.push((number, measure));
        (unit, width) = (next, width + and + 2);
    }
    let (_, smallest) = parts.last()?;
    if parts.len() < 2 {
        return None;
    }
    let mut out = vec![Token::Sign('(')];
    for (at, (value, measure)) in parts.iter().enumerate() {
        if at > 0 {
            out.push(Token::Sign('+'));
        }
        out.push((*value).clone());
        if at + 1 < parts.len() {
            out.extend([Token::Sign('*'), Token::whole(measure.multiple(smallest)?)]);
        }
    }
    out.extend([Token::Sign(')'), Token::Text(unit.clone())]);
    Some((out, width))
}

/// Removes the words that only announce a condition in `cases`: `x, \text{if } x > 0`.
fn conditions(tokens: Vec<Token>) -> Vec<Token> {
    let mut depth = 0;
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        depth += match &token {
            Token::Begin(name) if name == "cases" => 1,
            Token::End(_) if depth > 0 => -1,
            _ => 0,
        };
        if depth > 0 {
            let announces = match &token {
                Token::Text(word) | Token::Word(word) => ["if", "for", "when", "where", "as"]
                    .contains(&word.trim_matches([' ', ',']).to_lowercase().as_str()),
                _ => false,
            };
            let ends_cell = matches!(&token, Token::Sign('&') | Token::Row | Token::End(_));
            if announces {
                continue;
            }
            if ends_cell && matches!(out.last(), Some(Token::Sign(',' | ';'))) {
                out.pop();
            }
        }
        out.push(token);
    }
    out
}

//! Alternative readings of notation that has two meanings.

use super::lexer::Token;

/// Gives the alternative readings of both answers, or `None` if there is no other reading.
pub(super) type Respelling = fn(&[Token], &[Token]) -> Option<(Vec<Token>, Vec<Token>)>;

/// Renames the variables of the other answer to those of the right answer, in the order of their first occurrence.
pub(super) fn renamed(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    let letters = |tokens: &[Token]| {
        let mut letters = Vec::new();
        for token in tokens {
            match token {
                Token::Letter(letter) if !"ei".contains(*letter) && !letters.contains(letter) => {
                    letters.push(*letter);
                }
                _ => {}
            }
        }
        letters
    };
    let (known, own) = (letters(gold), letters(answer));
    if known.len() != own.len() || known == own {
        return None;
    }
    let rename = |token: &Token| match token {
        Token::Letter(letter) => {
            let at = own.iter().position(|own| own == letter);
            Token::Letter(at.map_or(*letter, |at| known[at]))
        }
        other => other.clone(),
    };
    Some((gold.to_vec(), answer.iter().map(rename).collect()))
}

/// Reads logarithms without a base as base ten, as in tables. The first reading is the natural logarithm.
pub(super) fn common_logarithms(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    let is_log = |tokens: &[Token], at: usize| {
        tokens[at] == Token::Command("log".to_owned()) && tokens.get(at + 1) != Some(&Token::Sign('_'))
    };
    let respell = |tokens: &[Token]| -> Vec<Token> {
        let spell =
            |at| if is_log(tokens, at) { Token::Command("lg".to_owned()) } else { tokens[at].clone() };
        (0..tokens.len()).map(spell).collect()
    };
    let both = (respell(gold), respell(answer));
    (both.0 != gold || both.1 != answer).then_some(both)
}

/// Reads a letter before a bracket as a factor, such as the height in `h(a+b)`. The first reading is a function call.
///
/// A letter is a factor if every bracket after it, in both answers, holds a sum: `h(x)` and `h(2)` are function values.
pub(super) fn products(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    let factors: Vec<char> = "ghFGH"
        .chars()
        .filter(|letter| {
            let brackets = [gold, answer].map(|tokens| sums_after(tokens, *letter)).concat();
            !brackets.is_empty() && brackets.iter().all(|sum| *sum)
        })
        .collect();
    if factors.is_empty() {
        return None;
    }
    let respell = |tokens: &[Token]| {
        let mut out = Vec::with_capacity(tokens.len() + 4);
        for (at, token) in tokens.iter().enumerate() {
            out.push(token.clone());
            let factor = matches!(token, Token::Letter(letter) if factors.contains(letter));
            if factor && tokens.get(at + 1) == Some(&Token::Sign('(')) {
                out.push(Token::Sign('*'));
            }
        }
        out
    };
    Some((respell(gold), respell(answer)))
}

/// For each bracket directly after the letter: whether it holds a sum and is not a definition: `h(a+b)`, but not `h(x)`
/// or `h(a+b) = 3`.
fn sums_after(tokens: &[Token], letter: char) -> Vec<bool> {
    let opens =
        |at: usize| tokens[at] == Token::Letter(letter) && tokens.get(at + 1) == Some(&Token::Sign('('));
    (0..tokens.len()).filter(|at| opens(*at)).map(|at| is_sum(&tokens[at + 2..])).collect()
}

/// Whether the tokens up to the closing bracket are a sum, and no `=` follows.
fn is_sum(tokens: &[Token]) -> bool {
    let (mut depth, mut sum) = (0, false);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') if depth > 0 => depth -= 1,
            Token::Sign(')') => return sum && tokens.get(at + 1) != Some(&Token::Sign('=')),
            Token::Sign(',' | ';') if depth == 0 => return false,
            Token::Sign('+' | '-') if depth == 0 && at > 0 => sum = true,
            _ => {}
        }
    }
    false
}

/// The tokens with a number in place of a letter.
pub(super) fn with_number(tokens: &[Token], letter: char, value: i64) -> Vec<Token> {
    let mut out = Vec::with_capacity(tokens.len() + 8);
    for token in tokens {
        match token {
            Token::Letter(own) if *own == letter => {
                out.extend([Token::Sign('('), Token::whole(value), Token::Sign(')')]);
            }
            other => out.push(other.clone()),
        }
    }
    out
}

/// The tokens with one letter in place of another.
pub(super) fn with_letter(tokens: &[Token], letter: char, other: char) -> Vec<Token> {
    let rename = |token: &Token| match token {
        Token::Letter(own) if *own == letter => Token::Letter(other),
        token => token.clone(),
    };
    tokens.iter().map(rename).collect()
}

/// The letter that may stand for a whole number: the one that the other answer uses, or the only one there is.
pub(super) fn only_letter(tokens: &[Token], other: Option<char>) -> Option<char> {
    let value =
        tokens.iter().rposition(|token| *token == Token::Sign('=')).map_or(tokens, |at| &tokens[at + 1..]);
    let mut letters: Vec<char> = value
        .iter()
        .filter_map(|token| match token {
            Token::Letter(letter) if "knmtlpqrsj".contains(*letter) => Some(*letter),
            _ => None,
        })
        .collect();
    letters.dedup();
    match letters.as_slice() {
        [letter] => Some(*letter),
        _ => other.filter(|other| letters.contains(other)),
    }
}

/// Reads `0,25` as a decimal if the right answer is a single value without a comma.
pub(super) fn decimal_comma(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    let separator = |token: &Token| {
        matches!(
            token,
            Token::Sign(',' | ';' | '=') | Token::Conjunction { .. } | Token::Begin(_) | Token::Row
        )
    };
    // `5,0` may be two numbers, so a whole number is no evidence for a decimal.
    let whole = matches!(
        gold,
        [Token::Number { places: None, .. }] | [Token::Sign('-'), Token::Number { places: None, .. }]
    );
    if gold.iter().any(separator) || whole {
        return None;
    }
    let (sign, rest) = match answer {
        [Token::Sign('-'), rest @ ..] => (&answer[..1], rest),
        rest => (&answer[..0], rest),
    };
    let [
        Token::Number { digits: whole, places: None, power: 0, repeating: first },
        Token::Sign(','),
        Token::Number { digits: part, places: None, power, repeating },
        unit @ ..,
    ] = rest
    else {
        return None;
    };
    if !first.is_empty() || unit.iter().any(separator) {
        return None;
    }
    let number = Token::Number {
        digits: format!("{whole}{part}"),
        places: Some(part.len() as u32),
        power: *power,
        repeating: repeating.clone(),
    };
    Some((gold.to_vec(), [sign, &[number], unit].concat()))
}

/// Reads `C(5,2)`, `P(5,2)`, `C_5^2` and `A_5^2` as numbers of choices. The first reading is a point or a letter.
pub(super) fn counting_functions(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    let letters = |tokens: &[Token]| {
        tokens.iter().any(|token| matches!(token, Token::Letter(letter) if "ei".contains(*letter) || !"CPA".contains(*letter)))
    };
    let respell = |tokens: &[Token]| -> Vec<Token> {
        let mut out = Vec::with_capacity(tokens.len() + 4);
        let mut at = 0;
        while at < tokens.len() {
            // `{}_{5}C_{2}`, `^{5}P_{2}`
            if let Some((call, width)) = before_and_after(&tokens[at..]) {
                out.extend(call);
                at += width;
                continue;
            }
            let function = match tokens[at] {
                Token::Letter('C') => Some("comb"),
                Token::Letter('P' | 'A') => Some("perm"),
                _ => None,
            };
            let number = |at: usize| matches!(tokens.get(at), Some(Token::Number { places: None, .. }));
            match (function, tokens.get(at + 1)) {
                (Some(function), Some(Token::Sign('('))) if number(at + 2) => {
                    out.push(Token::Command(function.to_owned()))
                }
                (Some(function), Some(Token::Sign('_'))) => {
                    let Some((total, chosen, width)) = indices(&tokens[at + 2..]) else {
                        out.push(tokens[at].clone());
                        at += 1;
                        continue;
                    };
                    out.extend(call(function, total, chosen));
                    at += 1 + width;
                }
                _ => out.push(tokens[at].clone()),
            }
            at += 1;
        }
        out
    };
    let both = (respell(gold), respell(answer));
    let points = letters(gold) || letters(answer);
    (!points && (both.0 != gold || both.1 != answer)).then_some(both)
}

/// The tokens of a function of two numbers.
fn call(function: &str, total: Token, chosen: Token) -> [Token; 6] {
    [Token::Command(function.to_owned()), Token::Sign('('), total, Token::Sign(','), chosen, Token::Sign(')')]
}

/// The call that `{}_{5}C_{2}` or `^{5}P_{2}` stands for, and how many tokens it takes.
fn before_and_after(tokens: &[Token]) -> Option<(Vec<Token>, usize)> {
    let empty = usize::from(tokens.starts_with(&[Token::Sign('{'), Token::Sign('}')])) * 2;
    matches!(tokens.get(empty), Some(Token::Sign('_' | '^'))).then_some(())?;
    let (total, first) = braced(&tokens[empty + 1..])?;
    let at = empty + 1 + first;
    let function = match tokens.get(at)? {
        Token::Letter('C') => "comb",
        Token::Letter('P') => "perm",
        _ => return None,
    };
    (tokens.get(at + 1) == Some(&Token::Sign('_'))).then_some(())?;
    let (chosen, second) = braced(&tokens[at + 2..])?;
    Some((call(function, total, chosen).to_vec(), at + 2 + second))
}

/// The number that begins the tokens, in braces or not, and how many tokens it takes.
fn braced(tokens: &[Token]) -> Option<(Token, usize)> {
    match tokens {
        [number @ Token::Number { .. }, ..] => Some((number.clone(), 1)),
        [Token::Sign('{'), number @ Token::Number { .. }, Token::Sign('}'), ..] => Some((number.clone(), 3)),
        _ => None,
    }
}

/// The numbers in `5^2` or `{5}^{2}`, and how many tokens they take.
fn indices(tokens: &[Token]) -> Option<(Token, Token, usize)> {
    let (total, first) = braced(tokens)?;
    (tokens.get(first) == Some(&Token::Sign('^'))).then_some(())?;
    let (chosen, second) = braced(&tokens[first + 1..])?;
    Some((total, chosen, first + 1 + second))
}

/// Reads letters without the marks of vectors if one of the answers has no marks at all.
pub(super) fn unmarked(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    const PLAIN: &[&str] = &["vec", "overrightarrow", "hat", "tilde"];
    let marked = |tokens: &[Token]| {
        tokens.iter().any(|token| matches!(token, Token::Mark(mark) if PLAIN.contains(mark)))
    };
    if marked(gold) == marked(answer) {
        return None;
    }
    // Without marks it is not known which products are of vectors, so none commutes.
    let respell = |tokens: &[Token]| {
        tokens
            .iter()
            .filter(|token| !matches!(token, Token::Mark(mark) if PLAIN.contains(mark)))
            .map(|token| if *token == Token::Sign('×') { Token::Operation("cross") } else { token.clone() })
            .collect()
    };
    Some((respell(gold), respell(answer)))
}

/// Reads `3\mathbf{i} + 4\mathbf{j}` as the vector `(3, 4)` if the right answer is one, or the other way around.
pub(super) fn unit_vectors(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    let tuple = |tokens: &[Token]| {
        matches!(
            tokens,
            [Token::Sign('(' | '⟨' | '['), .., Token::Sign(')' | '⟩' | ']')]
                | [Token::Begin(_), .., Token::End(_)]
        ) && !tokens.iter().any(|token| matches!(token, Token::Letter(_)))
    };
    let size = |tokens: &[Token]| {
        1 + tokens.iter().filter(|token| matches!(token, Token::Sign(',') | Token::Row)).count()
    };
    match (tuple(gold), tuple(answer)) {
        (true, false) => Some((gold.to_vec(), components(answer, size(gold))?)),
        (false, true) => Some((components(gold, size(answer))?, answer.to_vec())),
        _ => None,
    }
}

/// The components of a sum of unit vectors as a tuple.
fn components(tokens: &[Token], size: usize) -> Option<Vec<Token>> {
    let mut parts: Vec<Option<Vec<Token>>> = vec![None; size];
    let mut current: Vec<Token> = Vec::new();
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        // `\mathbf{i}`, `\hat{i}`: the mark and the braces belong to the letter.
        let ends = tokens.get(at + 1).is_none_or(|next| matches!(next, Token::Sign('+' | '-' | '}')));
        match token {
            Token::Letter(letter @ ('i' | 'j' | 'k')) if ends => {
                let axis = "ijk".find(*letter)?;
                while matches!(current.last(), Some(Token::Mark(_)) | Some(Token::Sign('{'))) {
                    depth -= i32::from(current.last() == Some(&Token::Sign('{')));
                    current.pop();
                }
                current.retain(|token| *token != Token::Sign('+') || depth > 0);
                if current.iter().all(|token| matches!(token, Token::Sign('-'))) {
                    current.push(Token::whole(1));
                }
                let part = parts.get_mut(axis).filter(|part| part.is_none())?;
                *part = Some(std::mem::take(&mut current));
            }
            Token::Sign('}') if current.is_empty() => depth = 0,
            _ => current.push(token.clone()),
        }
    }
    if !current.is_empty() || parts.iter().all(Option::is_none) {
        return None;
    }
    let zero = || vec![Token::whole(0)];
    let mut out = vec![Token::Sign('(')];
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            out.push(Token::Sign(','));
        }
        out.extend(part.unwrap_or_else(zero));
    }
    out.push(Token::Sign(')'));
    Some(out)
}

/// Whether the text is the number of the right answer in groups of two digits and one of three: `12,34,567`.
pub(super) fn grouped_by_two(gold: &[Token], answer: &str) -> bool {
    let [Token::Number { digits, places: None, power: 0, repeating }] = gold else { return false };
    let groups: Vec<&str> = answer.trim().trim_matches('$').split(',').collect();
    let [first, middle @ .., last] = groups.as_slice() else { return false };
    let all_digits = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_digit()));
    let sizes =
        (1..=2).contains(&first.len()) && middle.iter().all(|group| group.len() == 2) && last.len() == 3;
    repeating.is_empty() && all_digits && sizes && !middle.is_empty() && groups.concat() == *digits
}

#[cfg(test)]
mod tests {
    use super::super::lexer::tokens;
    use super::*;

    fn is_product(gold: &str, answer: &str) -> bool {
        products(&tokens(gold).unwrap(), &tokens(answer).unwrap()).is_some()
    }

    #[test]
    fn a_letter_before_sums_alone_may_be_a_factor() {
        assert!(is_product("h(a+b)", "ha+hb"));
        assert!(is_product("x", "g(2-(a+b))"));
        assert!(!is_product("h(a+b)", "h(a)+h(b)"));
        assert!(!is_product("h(a+b)=3", "3"));
        assert!(!is_product("f(a+b)", "fa+fb"));
        assert!(!is_product("h(a,b+c)", "h"));
        assert!(!is_product("h(-a)", "-ha"));
    }
}

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

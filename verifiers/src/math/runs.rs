//! Decides whether letters in a row are a name or a product: `ABCD` is a name, `xy` in `2xy + 1` a product.

use super::lexer::Token;

/// The tokens with every run of letters as a name or as factors. The right answer decides what its letters mean.
///
/// Capital letters are a name unless the right answer uses each of them as a factor of its own. Other letters are factors
/// if the answer calculates with anything, or if they are two small letters, and a name otherwise. In an index and after a mark, such as the sign
/// of an angle, all letters are names.
pub(super) fn resolved(own: &[Token], gold: &[Token]) -> Vec<Token> {
    if !own.iter().any(|token| matches!(token, Token::Run(_))) {
        return own.to_vec();
    }
    let alone: Vec<char> = gold
        .iter()
        .enumerate()
        .filter_map(|(at, token)| match token {
            Token::Letter(letter)
                if at == 0 || !matches!(gold[at - 1], Token::Sign('_') | Token::Mark(_)) =>
            {
                Some(*letter)
            }
            _ => None,
        })
        .collect();
    let calculating = calculates(own) || calculates(gold);
    let mut out = Vec::with_capacity(own.len() + 4);
    // For each open brace, whether its content is a name.
    let mut braces: Vec<bool> = Vec::new();
    for (at, token) in own.iter().enumerate() {
        let named = at > 0
            && match own[at - 1] {
                Token::Sign('_') | Token::Mark(_) => true,
                Token::Command(ref name) => name == "overline",
                _ => false,
            };
        match token {
            Token::Sign('{' | '(') => braces.push(named || braces.last() == Some(&true)),
            Token::Sign('}' | ')') => {
                braces.pop();
            }
            _ => {}
        }
        let Token::Run(run) = token else {
            out.push(token.clone());
            continue;
        };
        let in_name = named || braces.last() == Some(&true);
        let factors = if run.chars().all(char::is_uppercase) {
            run.chars().all(|letter| alone.contains(&letter))
        } else {
            calculating || (run.chars().all(char::is_lowercase) && run.chars().count() == 2)
        };
        if factors && !in_name {
            out.extend(run.chars().map(Token::Letter));
        } else {
            out.push(Token::Name(run.clone()));
        }
    }
    out
}

/// Whether the tokens calculate: they have an operator, a function, or a number beside a letter.
fn calculates(tokens: &[Token]) -> bool {
    // What is in an index does not count.
    let mut index = 0;
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Sign('_') if tokens.get(at + 1) == Some(&Token::Sign('{')) => {
                index += 1;
                at += 1;
            }
            Token::Sign('_') => at += 1,
            Token::Sign('}') if index > 0 => index -= 1,
            Token::Sign('{') if index > 0 => index += 1,
            Token::Sign('+' | '-' | '*' | '×' | '/' | '^' | '!' | '√' | '=') | Token::Number { .. }
                if index == 0 =>
            {
                return true;
            }
            Token::Command(name) if index == 0 && !name.starts_with("set") && name != "overline" => {
                return true;
            }
            _ => {}
        }
        at += 1;
    }
    false
}

/// The right answer with its small letters as factors, if the other answer separates them: `ab` and `a \cdot b`.
pub(super) fn separated(gold: &[Token], answer: &[Token]) -> Option<(Vec<Token>, Vec<Token>)> {
    let small = |token: &Token| matches!(token, Token::Name(name) if name.chars().all(char::is_lowercase));
    let names = |tokens: &[Token]| tokens.iter().any(|token| matches!(token, Token::Name(_)));
    let split = |tokens: &[Token]| {
        let letters = |token: &Token| match token {
            Token::Name(name) if small(token) => name.chars().map(Token::Letter).collect(),
            other => vec![other.clone()],
        };
        tokens.iter().flat_map(letters).collect::<Vec<_>>()
    };
    (gold.iter().any(small) && !names(answer)).then(|| (split(gold), answer.to_vec()))
}

//! Compares answers as they are written: the same words, numbers and signs in the same order.

/// Words that add nothing to an answer in words.
const ARTICLES: &[&str] = &["the", "a", "an"];

/// Commands that only change how an answer looks.
const LOOKS: &[&str] = &[
    "text",
    "mathrm",
    "textbf",
    "textit",
    "mbox",
    "textnormal",
    "textrm",
    "operatorname",
    "mathbf",
    "mathit",
    "mathsf",
    "textsf",
    "textup",
    "emph",
    "texttt",
    "underline",
    "left",
    "right",
    "displaystyle",
    "textstyle",
    "quad",
    "qquad",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "limits",
    "boxed",
    "fbox",
    "mathstrut",
    "middle",
];

/// Commands with another name that means the same.
const SAME: &[(&str, &str)] = &[
    ("dfrac", "frac"),
    ("tfrac", "frac"),
    ("cfrac", "frac"),
    ("leq", "le"),
    ("leqslant", "le"),
    ("geq", "ge"),
    ("geqslant", "ge"),
    ("neq", "ne"),
    ("dots", "ldots"),
    ("cdots", "ldots"),
    ("dotsc", "ldots"),
    ("dotsb", "ldots"),
    ("rightarrow", "to"),
    ("longrightarrow", "to"),
    ("lvert", "|"),
    ("rvert", "|"),
    ("mid", "|"),
    ("vert", "|"),
    ("lbrace", "\\{"),
    ("rbrace", "\\}"),
    ("land", "wedge"),
    ("lor", "vee"),
];

/// The words, numbers and signs of a text in order, or nothing if it has none. Words are in lower case, single letters as
/// they are.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    // For each open brace: where its content begins, or nothing if it belongs to a command that changes the looks.
    let mut braces: Vec<Option<usize>> = Vec::new();
    let mut looks = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '{' {
            braces.push((!looks).then(|| {
                pieces.push("{".to_owned());
                pieces.len()
            }));
            rest = &rest[1..];
            looks = false;
            continue;
        }
        if first == '}' {
            match braces.pop().flatten() {
                // Braces around one piece only group it.
                Some(begin) if pieces.len() <= begin + 1 => {
                    pieces.remove(begin - 1);
                }
                Some(_) => pieces.push("}".to_owned()),
                None => {}
            }
            rest = &rest[1..];
            continue;
        }
        let (piece, width) = piece(rest, first);
        looks = first == '\\' && piece.is_none();
        rest = &rest[width..];
        pieces.extend(piece);
    }
    let words = pieces.iter().filter(|piece| piece.chars().count() > 1).count();
    if words > 0 && pieces.len() > 1 {
        pieces.retain(|piece| !ARTICLES.contains(&piece.as_str()));
    }
    while pieces.last().is_some_and(|last| matches!(last.as_str(), "." | "!" | "," | ";")) {
        pieces.pop();
    }
    pieces
}

/// The piece that begins a text, if it says anything, and its length in bytes.
fn piece(rest: &str, first: char) -> (Option<String>, usize) {
    let run = |is: fn(char) -> bool| rest.find(|next: char| !is(next)).unwrap_or(rest.len());
    match first {
        '\\' => {
            let letters = rest[1..].find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(rest.len() - 1);
            if letters == 0 {
                let second = rest[1..].chars().next();
                let width = 1 + second.map_or(0, char::len_utf8);
                let kept = second.filter(|next| matches!(next, '{' | '}' | '%' | '$' | '|' | '\\' | '&'));
                return (kept.map(|kept| format!("\\{kept}")), width);
            }
            let name = &rest[1..1 + letters];
            let name = SAME.iter().find(|(known, _)| *known == name).map_or(name, |(_, same)| same);
            ((!LOOKS.contains(&name)).then(|| name.to_owned()), 1 + letters)
        }
        _ if first.is_ascii_digit() => {
            let end = run(|next| next.is_ascii_digit());
            let mut digits = rest[..end].to_owned();
            let mut width = end;
            while end <= 3
                && let Some(group) = rest[width..].strip_prefix(',')
            {
                let count = group.bytes().take_while(u8::is_ascii_digit).count();
                if count != 3 {
                    break;
                }
                digits.push_str(&group[..3]);
                width += 4;
            }
            (Some(digits), width)
        }
        _ if first.is_alphabetic() => {
            let end = run(char::is_alphabetic);
            let word = &rest[..end];
            let single = word.chars().count() == 1;
            (Some(if single { word.to_owned() } else { word.to_lowercase() }), end)
        }
        _ if first.is_whitespace() || matches!(first, '$' | '~' | '"' | '`') => (None, first.len_utf8()),
        _ => (Some(first.to_string()), first.len_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_counts_and_looks_do_not() {
        assert_eq!(pieces("\\text{Between 3 and 5}."), pieces("between 3 and 5"));
        assert_eq!(pieces("the point A"), pieces("point A"));
        assert_eq!(pieces("1,000 men"), pieces("1000 men"));
        assert_ne!(pieces("at least 5"), pieces("at most 5"));
        assert_ne!(pieces("\\{x \\mid x < 3\\}"), pieces("\\{x \\mid x > 3\\}"));
        assert_ne!(pieces("a to b"), pieces("b to a"));
        assert_eq!(pieces("\\foo{5}"), pieces("\\foo 5"));
        assert_ne!(pieces("\\foo{2^{x+1}}"), pieces("\\foo{2^{x}+1}"));
    }
}

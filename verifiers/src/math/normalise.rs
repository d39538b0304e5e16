//! Brings the many ways to write the same signs into one spelling.

use super::Refusal;

/// Invisible characters. They are removed unless that would join two digits.
fn is_invisible(next: char) -> bool {
    matches!(next, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The replacement for a character, if it has one.
fn spelling(next: char) -> Option<&'static str> {
    const TABLE: &[(char, &str)] = &[
        ('\u{2212}', "-"),
        ('\u{2013}', "-"),
        ('\u{2014}', "-"),
        ('\u{2010}', "-"),
        ('\u{2011}', "-"),
        ('\u{fe63}', "-"),
        ('\u{ff0d}', "-"),
        ('\u{2012}', "-"),
        ('\u{2015}', "-"),
        ('\u{fe58}', "-"),
        ('×', "\\times "),
        ('·', "*"),
        ('⋅', "*"),
        ('∙', "*"),
        ('∗', "*"),
        ('✕', "\\times "),
        ('•', "*"),
        ('÷', "/"),
        ('∕', "/"),
        ('⁄', "/"),
        ('√', "\\sqrt "),
        ('∛', "\\cbrt "),
        ('∜', "\\sqrt[4] "),
        ('∶', ":"),
        ('∑', "\\sum "),
        ('∏', "\\prod "),
        ('⩽', "≤"),
        ('⩾', "≥"),
        ('≦', "≤"),
        ('≧', "≥"),
        ('≅', "≈"),
        ('≃', "≈"),
        ('∼', "\\sim "),
        ('≡', "\\equiv "),
        ('º', "°"),
        ('˚', "°"),
        ('′', "'"),
        ('″', "''"),
        ('‴', "'''"),
        ('’', "'"),
        ('‘', "'"),
        ('ʹ', "'"),
        ('−', "-"),
        ('∞', "\\infty "),
        ('ℝ', "\\R "),
        ('ℤ', "\\mathbb{Z} "),
        ('ℕ', "\\mathbb{N} "),
        ('ℚ', "\\mathbb{Q} "),
        ('ℂ', "\\mathbb{C} "),
        ('Ω', "Ω"),
        ('\u{2126}', "Ω"),
        ('\u{b5}', "μ"),
        ('α', "\\alpha "),
        ('β', "\\beta "),
        ('γ', "\\gamma "),
        ('δ', "\\delta "),
        ('ε', "\\epsilon "),
        ('ϵ', "\\epsilon "),
        ('ζ', "\\zeta "),
        ('η', "\\eta "),
        ('θ', "\\theta "),
        ('κ', "\\kappa "),
        ('λ', "\\lambda "),
        ('ν', "\\nu "),
        ('ξ', "\\xi "),
        ('ρ', "\\rho "),
        ('σ', "\\sigma "),
        ('τ', "\\tau "),
        ('φ', "\\phi "),
        ('ϕ', "\\phi "),
        ('χ', "\\chi "),
        ('ψ', "\\psi "),
        ('ω', "\\omega "),
        ('Γ', "\\Gamma "),
        ('Δ', "\\Delta "),
        ('Θ', "\\Theta "),
        ('Λ', "\\Lambda "),
        ('Σ', "\\Sigma "),
        ('Φ', "\\Phi "),
        ('Ψ', "\\Psi "),
        ('∠', "\\angle "),
        ('△', "\\triangle "),
        ('⊂', "\\subset "),
        ('⊆', "\\subseteq "),
        ('⊊', "\\subsetneq "),
        ('⊃', "\\supset "),
        ('⊇', "\\supseteq "),
        ('∉', "\\notin "),
        ('∋', "\\ni "),
        ('≺', "\\prec "),
        ('≻', "\\succ "),
        ('≪', "\\ll "),
        ('≫', "\\gg "),
        ('∨', "\\lor "),
        ('¬', "\\neg "),
        ('⊕', "\\oplus "),
        ('⊗', "\\otimes "),
        ('∘', "\\circ "),
        ('⟂', "\\perp "),
        ('⊥', "\\perp "),
        ('∥', "\\parallel "),
        ('∣', "|"),
        ('↦', "\\mapsto "),
        ('←', "\\leftarrow "),
        ('↔', "\\leftrightarrow "),
        ('⇔', "\\iff "),
        ('⟹', "\\implies "),
        ('⟺', "\\iff "),
        ('⟶', "→"),
        ('∝', "\\propto "),
        ('∀', "\\forall "),
        ('∃', "\\exists "),
        ('∂', "\\partial "),
        ('∫', "\\int "),
        ('∇', "\\nabla "),
        ('‰', "\\permille "),
        ('⋯', "…"),
        ('《', "⟨"),
        ('〈', "⟨"),
        ('〉', "⟩"),
        ('【', "["),
        ('】', "]"),
        ('、', ","),
        ('。', "."),
        ('℃', "°C"),
        ('℉', "°F"),
        ('“', ""),
        ('”', ""),
        ('"', ""),
        ('`', ""),
        ('\0', " "),
        ('\u{a0}', " "),
        ('\u{202f}', " "),
        ('\u{3000}', " "),
    ];
    if ('\u{2002}'..='\u{200a}').contains(&next) {
        return Some(" ");
    }
    TABLE.iter().find(|(known, _)| *known == next).map(|(_, text)| *text)
}

/// The two numbers of a single-character fraction.
fn vulgar(next: char) -> Option<(u32, u32)> {
    const TABLE: &[(char, u32, u32)] = &[
        ('½', 1, 2),
        ('⅓', 1, 3),
        ('⅔', 2, 3),
        ('¼', 1, 4),
        ('¾', 3, 4),
        ('⅕', 1, 5),
        ('⅖', 2, 5),
        ('⅗', 3, 5),
        ('⅘', 4, 5),
        ('⅙', 1, 6),
        ('⅚', 5, 6),
        ('⅐', 1, 7),
        ('⅛', 1, 8),
        ('⅜', 3, 8),
        ('⅝', 5, 8),
        ('⅞', 7, 8),
        ('⅑', 1, 9),
        ('⅒', 1, 10),
    ];
    TABLE.iter().find(|(known, ..)| *known == next).map(|(_, top, bottom)| (*top, *bottom))
}

/// The sign that a superscript or subscript character stands for, and whether it is a superscript.
fn shifted(next: char) -> Option<(char, bool)> {
    let digits = "0123456789+-=()";
    let at = |table: &str| table.chars().position(|known| known == next);
    if let Some(at) = at("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾") {
        return digits.chars().nth(at).map(|digit| (digit, true));
    }
    match next {
        'ⁿ' => Some(('n', true)),
        'ⁱ' => Some(('i', true)),
        'ˣ' => Some(('x', true)),
        'ᵏ' => Some(('k', true)),
        'ᵐ' => Some(('m', true)),
        'ᵀ' => Some(('T', true)),
        _ => {
            let plain = "0123456789+-=()aehijklmnoprstuvx";
            at("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
                .and_then(|at| plain.chars().nth(at))
                .map(|letter| (letter, false))
        }
    }
}

/// The ASCII digit for a decimal digit of another script.
fn foreign_digit(next: char) -> Option<char> {
    const ZEROS: &[u32] = &[0xff10, 0x0660, 0x06f0, 0x0966, 0x09e6, 0x0e50];
    let code = u32::from(next);
    if (0x1d7ce..=0x1d7ff).contains(&code) {
        return char::from_digit((code - 0x1d7ce) % 10, 10);
    }
    ZEROS
        .iter()
        .find(|zero| (**zero..**zero + 10).contains(&code))
        .and_then(|zero| char::from_digit(code - zero, 10))
}

/// The plain letter for a letter of a mathematical style: `𝑥`, `𝜋`.
fn styled_letter(next: char) -> Option<char> {
    let code = u32::from(next);
    match code {
        0x1d400..=0x1d6a3 => {
            let at = (code - 0x1d400) % 52;
            char::from_u32(if at < 26 { 0x41 + at } else { 0x61 + at - 26 })
        }
        0x1d6a8..=0x1d7c9 => {
            let at = (code - 0x1d6a8) % 58;
            (26..=50).contains(&at).then(|| char::from_u32(0x3b1 + at - 26))?
        }
        _ => None,
    }
}

/// The answer in a uniform spelling, without the marks around it.
pub(super) fn normalise(text: &str) -> Result<String, Refusal> {
    if text.is_ascii() && !text.contains(['"', '`', '\0']) {
        return Ok(trim(text).to_owned());
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut open: Option<bool> = None;
    let mut joined = false;
    for next in text.chars() {
        let shift = shifted(next);
        let raised = shift.map(|(_, raised)| raised);
        if open != raised {
            if open.is_some() {
                out.push('}');
            }
            if let Some(raised) = raised {
                out.push_str(if raised { "^{" } else { "_{" });
            }
            open = raised;
        }
        if is_invisible(next) {
            joined |= out.ends_with(|last: char| last.is_ascii_digit());
            continue;
        }
        let next = shift
            .map(|(plain, _)| plain)
            .or_else(|| foreign_digit(next))
            .or_else(|| styled_letter(next))
            .unwrap_or(next);
        if joined && next.is_ascii_digit() {
            return Err(Refusal::Unparsable);
        }
        joined = false;
        if let Some(text) = spelling(next) {
            out.push_str(text);
        } else if let Some((top, bottom)) = vulgar(next) {
            out.push_str(&format!("\\frac{{{top}}}{{{bottom}}}"));
        } else if ('\u{ff01}'..='\u{ff5e}').contains(&next) {
            out.extend(char::from_u32(u32::from(next) - 0xfee0));
        } else {
            out.push(next);
        }
    }
    if open.is_some() {
        out.push('}');
    }
    Ok(trim(&out).to_owned())
}

/// The text without surrounding white space, emphasis and full stops.
fn trim(text: &str) -> &str {
    let mut text = text;
    loop {
        let before = text.len();
        text = text.trim_matches(|next: char| next.is_whitespace() || next == '$');
        text = text.trim_start_matches(':').trim_end_matches([',', ';', ':']);
        if text.ends_with('.')
            && !text.ends_with("..")
            && !text.ends_with("\\right.")
            && !text.ends_with("\\left.")
        {
            text = &text[..text.len() - 1];
        }
        text = text.strip_suffix("\\\\").unwrap_or(text);
        if let Some(inner) = text.strip_prefix("**").and_then(|rest| rest.strip_suffix("**")) {
            text = inner;
        }
        for (open, close) in [("\\(", "\\)"), ("\\[", "\\]")] {
            if let Some(inner) = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)) {
                text = inner;
            }
        }
        if text.len() == before {
            return text;
        }
    }
}

/// The text without text commands, braces and dollar signs.
pub(super) fn plain(text: &str) -> String {
    let mut bare = text.to_owned();
    for command in ["\\text", "\\mathrm", "\\textbf", "\\mbox", "\\textit", "\\textnormal", "\\mathbf"] {
        bare = bare.replace(&format!("{command}{{"), " {");
    }
    bare = bare.replace("\\ ", " ").replace("\\,", " ");
    bare.chars().filter(|next| !matches!(next, '{' | '}' | '$')).collect::<String>().trim().to_owned()
}

/// The words of an answer that consists only of words, in lower case.
pub(super) fn words(text: &str) -> Option<String> {
    let mut bare = text.to_owned();
    for command in
        ["\\text", "\\mathrm", "\\textbf", "\\mbox", "\\textit", "\\textnormal", "\\mathbf", "\\ ", "\\"]
    {
        bare = bare.replace(&format!("{command}{{"), "{").replace("\\ ", " ");
    }
    let mut out = String::new();
    for next in
        bare.trim_matches(|next: char| next.is_whitespace() || matches!(next, '.' | '!' | '$')).chars()
    {
        match next {
            '{' | '}' | '$' | '"' | '\'' => {}
            _ if next.is_alphanumeric() => out.extend(next.to_lowercase()),
            '-' if !out.ends_with(char::is_alphabetic) => return None,
            ' ' | ',' | '-' | '\n' | '\t' | '~' | '.' | '!' | ';' if !out.ends_with(' ') => out.push(' '),
            ' ' | ',' | '\n' | '\t' | '~' | '.' | '!' | ';' => {}
            _ => return None,
        }
    }
    let out = out.trim().to_owned();
    out.chars().any(char::is_alphabetic).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        assert_eq!(normalise("４２").as_deref(), Ok("42"));
        assert_eq!(normalise("\u{200b}3\u{200b}").as_deref(), Ok("3"));
        assert_eq!(normalise("4\u{200b}2"), Err(Refusal::Unparsable));
        assert_eq!(normalise("x²⁺¹ − ½").as_deref(), Ok("x^{2+1} - \\frac{1}{2}"));
        assert_eq!(normalise("**$3.$**").as_deref(), Ok("3"));
        assert_eq!(words("\\text{Yes}."), Some("yes".to_owned()));
        assert_eq!(words("x+1"), None);
    }
}

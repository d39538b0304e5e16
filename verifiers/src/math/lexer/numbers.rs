//! Reads numbers: groups of thousands, decimal points and commas, repeating digits, powers of ten.

use super::{Lexer, Token};

impl Lexer<'_> {
    /// The separator between groups of thousands, and its length in bytes.
    fn separator(&self, rest: &str) -> Option<(char, usize)> {
        const EXPLICIT: &[&str] = &[
            "{,}", "{,\\!}", "{, }", " {,}", " {, }", "\\,", "\\;", "\\:", "~", "\\!,\\!", "\\!,", ",\\!",
            "\\!", "\\ ",
        ];
        if let Some(found) = EXPLICIT.iter().find(|found| rest.starts_with(**found)) {
            let blank = rest[found.len()..].len() - rest[found.len()..].trim_start().len();
            return Some(('!', found.len() + blank));
        }
        match rest.chars().next()? {
            ',' if self.brackets <= 0 => Some((',', 1)),
            '\'' => Some(('\'', 1)),
            ' ' => Some((' ', rest.len() - rest.trim_start().len())),
            _ => None,
        }
    }

    /// The digits in `rest` that continue the number before it in groups of thousands, and their length in bytes.
    fn thousands(&self, first: &str, rest: &str) -> (String, usize) {
        let mut taken = (String::new(), 0);
        if first.is_empty() || first.len() > 3 || first.starts_with('0') {
            return taken;
        }
        let mut kind = None;
        while let Some((separator, width)) = self.separator(&rest[taken.1..]) {
            let group = &rest[taken.1 + width..];
            let digits = group.bytes().take_while(u8::is_ascii_digit).count();
            if kind.is_some_and(|kind| kind != separator) {
                break;
            }
            if digits != 3 {
                // If not all groups have three digits, they are members of a list.
                return if separator == ',' && digits > 0 { (String::new(), 0) } else { taken };
            }
            kind = Some(separator);
            taken.0.push_str(&group[..3]);
            taken.1 += width + 3;
        }
        taken
    }

    pub(super) fn number(&mut self) {
        let bytes = self.rest.as_bytes();
        let whole = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut digits = self.rest[..whole].to_owned();
        let (mut grouped, mut width) = self.thousands(&digits, &self.rest[whole..]);
        let mut by_points = false;
        if width == 0 && digits != "0" && self.brackets <= 0 {
            (grouped, width) = points_between_thousands(&digits, &self.rest[whole..]);
            by_points = width > 0;
        }
        let by_spaces = width > 0 && self.rest[whole..].starts_with(' ');
        digits.push_str(&grouped);
        self.skip(whole + width);
        let mut places = None;
        let mut repeating = String::new();
        // After groups that other signs separate, and between semicolons, a comma begins the fraction.
        let comma = self.rest.starts_with(',')
            && self.rest[1..].starts_with(|next: char| next.is_ascii_digit())
            && (by_points || (by_spaces && self.brackets <= 0) || self.decimal_commas > 0);
        if comma || (!by_points && self.rest.starts_with('.') && !self.rest.starts_with("..")) {
            let mut fraction = self.rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            digits.push_str(&self.rest[1..1 + fraction]);
            self.skip(1 + fraction);
            while by_spaces && fraction > 0 && fraction % 3 == 0 && self.rest.starts_with(' ') {
                let group = self.rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                if group == 0 || group > 3 {
                    break;
                }
                digits.push_str(&self.rest[1..1 + group]);
                self.skip(1 + group);
                fraction += group;
            }
            let bracketed = if self.tokens.is_empty() { bracketed_period(self.rest) } else { None };
            if let Some((period, width)) = repeating_digits(self.rest).or(bracketed) {
                self.skip(width);
                repeating = period;
            } else if let Some(rest) = after_dots(self.rest).filter(|_| fraction > 0) {
                self.rest = rest;
                let period = period_of(&digits[digits.len() - fraction..]).to_owned();
                fraction -= period.len();
                digits.truncate(digits.len() - period.len());
                repeating = period;
            }
            if fraction > 0 || !repeating.is_empty() {
                places = Some(fraction as u32);
            }
        }
        if digits.is_empty() {
            // `.\overline{3}`
            digits.push('0');
        }
        let power = self.power_of_ten();
        self.tokens.push(Token::Number { digits, places, power, repeating });
    }

    fn power_of_ten(&mut self) -> i32 {
        let Some(after) = self.rest.strip_prefix(['e', 'E']) else { return 0 };
        let digits = after.strip_prefix(['-', '+']).unwrap_or(after);
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        let followed = digits[count..].starts_with(|next: char| next.is_alphanumeric() || next == '.');
        let Ok(power) = digits[..count].parse::<i32>() else { return 0 };
        if followed || count > 6 {
            return 0;
        }
        let sign = if after.starts_with('-') { -1 } else { 1 };
        self.skip(1 + after.len() - digits.len() + count);
        sign * power
    }
}

/// The digits of `.234.567`, where points separate groups of thousands, and the length in bytes. A single group counts
/// only if a comma begins the fraction after it: `1.234` is a decimal.
fn points_between_thousands(first: &str, rest: &str) -> (String, usize) {
    let (mut digits, mut width) = (String::new(), 0);
    while let Some(group) = rest[width..].strip_prefix('.') {
        if group.bytes().take_while(u8::is_ascii_digit).count() != 3 {
            break;
        }
        digits.push_str(&group[..3]);
        width += 4;
    }
    let fraction = rest[width..].strip_prefix(',').is_some_and(|after| {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && !after[digits..].starts_with(['.', ','])
    });
    let again =
        rest[width..].starts_with('.') && rest[width + 1..].starts_with(|next: char| next.is_ascii_digit());
    if first.is_empty() || first.len() > 3 || again || (width < 8 && !(width == 4 && fraction)) {
        return (String::new(), 0);
    }
    (digits, width)
}

/// The digits of `(3)` in `0.(3)`, which ends the answer, and the length in bytes.
fn bracketed_period(rest: &str) -> Option<(String, usize)> {
    let inner = rest.strip_prefix('(')?;
    let (digits, after) = inner.split_once(')')?;
    let period = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (period && after.trim().is_empty()).then(|| (digits.to_owned(), digits.len() + 2))
}

/// What follows the dots that continue a decimal: `0.333\ldots`.
fn after_dots(rest: &str) -> Option<&str> {
    ["...", "…", "\\ldots", "\\dots", "\\cdots"].iter().find_map(|dots| rest.strip_prefix(dots))
}

/// The digits that repeat at the end of a fraction, at least twice, or three times if there is only one.
fn period_of(fraction: &str) -> &str {
    let count = fraction.len();
    for length in 1..=count / 2 {
        let last = &fraction[count - length..];
        let times = if length == 1 { 3 } else { 2 };
        if count >= times * length && (1..times).all(|at| fraction[..count - at * length].ends_with(last)) {
            return last;
        }
    }
    ""
}

/// The digits of `\overline{12}`, `\overline3`, `\dot{3}`, `\dot{1}4\dot{2}`, and the length in bytes.
pub(super) fn repeating_digits(rest: &str) -> Option<(String, usize)> {
    let (mut digits, mut width) = marked_digits(rest)?;
    if rest.starts_with("\\dot") {
        let between = rest[width..].bytes().take_while(u8::is_ascii_digit).count();
        if let Some((last, last_width)) = marked_digits(&rest[width + between..]) {
            digits.push_str(&rest[width..width + between]);
            digits.push_str(&last);
            width += between + last_width;
        }
    }
    Some((digits, width))
}

/// The digits under one repetition mark.
fn marked_digits(rest: &str) -> Option<(String, usize)> {
    let after = ["\\overline", "\\bar", "\\dot"].iter().find_map(|mark| rest.strip_prefix(mark))?;
    let inner = after.strip_prefix('{');
    let count = inner.unwrap_or(after).bytes().take_while(u8::is_ascii_digit).count();
    let count = if inner.is_none() { count.min(1) } else { count };
    let digits = &inner.unwrap_or(after)[..count];
    let closed = inner.is_none_or(|inner| inner[count..].starts_with('}'));
    let width = rest.len() - after.len() + count + if inner.is_some() { 2 } else { 0 };
    (count > 0 && closed).then(|| (digits.to_owned(), width))
}

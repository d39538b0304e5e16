//! Logical statements: one literal, or two literals with a connective, such as `!a|b`.

use std::fmt;

use crate::seed::Stream;

/// Whether the variable is stated to be true, and which variable it is.
type Literal = (bool, u8);

/// The connectives between two literals.
const CONNECTIVES: [char; 5] = ['|', '&', '>', '~', '^'];

/// A literal, or two literals with a connective: or, and, implies, if and only if, exclusive or.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Formula {
    left: Literal,
    rest: Option<(char, Literal)>,
    /// The letter of variable 0.
    first: u8,
}

impl Formula {
    /// A random formula over two of `variables`, with one of `connectives`. Variable 0 has the letter `first`.
    pub(super) fn random(variables: u8, first: u8, connectives: &[char], stream: &mut Stream) -> Self {
        let left = stream.index(usize::from(variables));
        let right = (left + 1 + stream.index(usize::from(variables.saturating_sub(1))))
            % usize::from(variables.max(1));
        let mut literal = |variable: usize| (stream.chance(0.5), variable as u8);
        let (left, right) = (literal(left), literal(right));
        Self { left, rest: Some((*stream.pick(connectives), right)), first }
    }

    /// A formula with a single literal.
    pub(super) fn unit(variable: u8, is_so: bool, first: u8) -> Self {
        Self { left: (is_so, variable), rest: None, first }
    }

    /// Reads a formula over `variables` letters, starting with `first`.
    pub(super) fn parse(text: &str, variables: u8, first: u8) -> Option<Self> {
        let (left, rest) = literal(text, variables, first)?;
        let mut letters = rest.chars();
        let Some(connective) = letters.next() else { return Some(Self { left, rest: None, first }) };
        let (right, end) = literal(letters.as_str(), variables, first)?;
        let is_whole = end.is_empty() && CONNECTIVES.contains(&connective);
        is_whole.then_some(Self { left, rest: Some((connective, right)), first })
    }

    /// Whether the formula contains `variable`.
    pub(super) fn names(&self, variable: usize) -> bool {
        usize::from(self.left.1) == variable
            || self.rest.is_some_and(|(_, right)| usize::from(right.1) == variable)
    }

    /// Whether the formula is true, if the values decide it.
    pub(super) fn truth(&self, values: &[Option<u8>]) -> Option<bool> {
        let of =
            |(is_so, variable): Literal| Some((values.get(usize::from(variable)).copied()?? == 1) == is_so);
        let left = of(self.left)?;
        let Some((connective, right)) = self.rest else { return Some(left) };
        let right = of(right)?;
        Some(match connective {
            '|' => left || right,
            '&' => left && right,
            '>' => !left || right,
            '~' => left == right,
            _ => left != right,
        })
    }
}

fn literal(text: &str, variables: u8, first: u8) -> Option<(Literal, &str)> {
    let (is_so, text) = text.strip_prefix('!').map_or((true, text), |rest| (false, rest));
    let variable = text.bytes().next()?.checked_sub(first).filter(|variable| *variable < variables)?;
    Some(((is_so, variable), &text[1..]))
}

impl fmt::Display for Formula {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let literal = |(is_so, variable): Literal| {
            format!("{}{}", if is_so { "" } else { "!" }, char::from(self.first + variable))
        };
        formatter.write_str(&literal(self.left))?;
        match self.rest {
            Some((connective, right)) => write!(formatter, "{connective}{}", literal(right)),
            None => Ok(()),
        }
    }
}

/// All assignments of `count` variables, in the order of the bits of a counter.
pub(super) fn assignments(count: u8) -> impl Iterator<Item = Vec<Option<u8>>> {
    (0..1u32 << count).map(move |bits| (0..count).map(|bit| Some((bits >> bit & 1) as u8)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_reads_back() {
        let mut stream = Stream::at("formula", 0, &[]);
        for _ in 0..200 {
            let formula = Formula::random(5, b'a', &CONNECTIVES, &mut stream);
            assert_eq!(Formula::parse(&formula.to_string(), 5, b'a'), Some(formula));
        }
        for text in ["", "!", "a|", "|a", "f", "a|b|c", "a!b", "a*b", "é", "aé", "!!a"] {
            assert_eq!(Formula::parse(text, 5, b'a'), None, "{text}");
        }
    }

    #[test]
    fn the_truth_tables() {
        for (text, table) in [
            ("a|b", [0, 1, 1, 1]),
            ("a&b", [0, 0, 0, 1]),
            ("a>b", [1, 0, 1, 1]),
            ("a~b", [1, 0, 0, 1]),
            ("a^b", [0, 1, 1, 0]),
            ("!a", [1, 0, 1, 0]),
        ] {
            let formula = Formula::parse(text, 2, b'a').unwrap();
            let found: Vec<u8> =
                assignments(2).map(|values| u8::from(formula.truth(&values).unwrap())).collect();
            assert_eq!(found, table, "{text}");
        }
        assert_eq!(Formula::parse("a|b", 2, b'a').unwrap().truth(&[Some(1), None]), None);
    }
}

//! Sets of real numbers, as sorted spans.

use std::cmp::Ordering;

use super::ball::Ball;
use super::expression::Id;

/// Where a span ends.
#[derive(Clone, Debug)]
pub(super) enum Limit {
    /// Negative infinity.
    Low,
    /// A number, and the bits that its expression spells out.
    Number(Ball, f64),
    /// Positive infinity.
    High,
}

impl Limit {
    /// The number 0.
    pub(super) fn zero() -> Self {
        Self::Number(Ball::integer(0), 0.0)
    }

    /// The limit mirrored at 0.
    pub(super) fn opposite(&self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::Number(number, weight) => Self::Number(number.neg(), *weight),
            Self::High => Self::Low,
        }
    }
}

/// An end of a span: its place, and the expression that is compared.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// Where it is.
    pub(super) limit: Limit,
    /// The expression, the sign of its `±`, and whether it is negated. `None` for an infinity.
    pub(super) expression: Option<(Id, i64, bool)>,
    /// Whether the end belongs to the span.
    pub(super) closed: bool,
}

impl End {
    /// An infinity.
    pub(super) fn infinite(limit: Limit) -> Self {
        Self { limit, expression: None, closed: false }
    }

    fn opposite(&self) -> Self {
        Self { closed: !self.closed && matches!(self.limit, Limit::Number(..)), ..self.clone() }
    }

    /// Which of two ends is lower.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let rank = |limit: &Limit| match limit {
            Limit::Low => 0,
            Limit::Number(..) => 1,
            Limit::High => 2,
        };
        match (&self.limit, &other.limit) {
            (Limit::Number(a, weight), Limit::Number(b, other)) => {
                if a.same(b, 64.0 + 2.0 * (weight + other)) == Some(true) {
                    Ordering::Equal
                } else if a.sub(b).is_negative() {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (limit, other) => rank(limit).cmp(&rank(other)),
        }
    }

    fn meets(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

/// All numbers between two ends.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// The lower end.
    pub(super) low: End,
    /// The upper end.
    pub(super) high: End,
}

impl Span {
    /// All numbers.
    pub(super) fn all() -> Self {
        Self { low: End::infinite(Limit::Low), high: End::infinite(Limit::High) }
    }

    fn is_empty(&self) -> bool {
        match self.low.order(&self.high) {
            Ordering::Less => false,
            Ordering::Equal => !(self.low.closed && self.high.closed),
            Ordering::Greater => true,
        }
    }
}

/// The union of the spans, as few of them as possible, in order.
pub(super) fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !span.is_empty());
    spans.sort_by(|a, b| a.low.order(&b.low).then(b.low.closed.cmp(&a.low.closed)));
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        let Some(last) = merged.last_mut() else {
            merged.push(span);
            continue;
        };
        let joined = match last.high.order(&span.low) {
            Ordering::Less => false,
            Ordering::Equal => last.high.closed || span.low.closed,
            Ordering::Greater => true,
        };
        if !joined {
            merged.push(span);
            continue;
        }
        if last.low.meets(&span.low) && span.low.closed {
            last.low = span.low;
        }
        match last.high.order(&span.high) {
            Ordering::Less => last.high = span.high,
            Ordering::Equal => last.high.closed |= span.high.closed,
            Ordering::Greater => {}
        }
    }
    merged
}

fn meet(a: &Span, b: &Span) -> Span {
    let both = |a: &End, b: &End, wanted: Ordering| match a.order(b) {
        Ordering::Equal => End { closed: a.closed && b.closed, ..a.clone() },
        order if order == wanted => a.clone(),
        _ => b.clone(),
    };
    Span { low: both(&a.low, &b.low, Ordering::Greater), high: both(&a.high, &b.high, Ordering::Less) }
}

/// The numbers in both unions.
pub(super) fn intersection(a: &[Span], b: &[Span]) -> Vec<Span> {
    union(a.iter().flat_map(|a| b.iter().map(|b| meet(a, b))).collect())
}

/// The numbers in the first union but not in the second.
pub(super) fn difference(a: &[Span], b: &[Span]) -> Vec<Span> {
    let mut rest = a.to_vec();
    for span in b {
        let below = Span { high: span.low.opposite(), ..Span::all() };
        let above = Span { low: span.high.opposite(), ..Span::all() };
        rest = intersection(&rest, &[below, above]);
    }
    rest
}

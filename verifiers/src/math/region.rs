//! Sets of real numbers, as sorted spans.

use super::expression::Id;

/// An end of a span: a value that gives the order, and the expression that is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// The value, or an infinity.
    pub(super) value: f64,
    /// The expression, the sign of its `±`, and whether it is negated. `None` for an infinity.
    pub(super) expression: Option<(Id, i64, bool)>,
    /// Whether the end belongs to the span.
    pub(super) closed: bool,
}

impl End {
    /// An infinity.
    pub(super) fn infinite(value: f64) -> Self {
        Self { value, expression: None, closed: false }
    }

    fn opposite(self) -> Self {
        Self { closed: !self.closed && self.value.is_finite(), ..self }
    }

    fn meets(self, other: Self) -> bool {
        let size = self.value.abs().max(other.value.abs());
        self.value == other.value || (self.value - other.value).abs() < 1e-13 * size
    }
}

/// All numbers between two ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The lower end.
    pub(super) low: End,
    /// The upper end.
    pub(super) high: End,
}

impl Span {
    /// All numbers.
    pub(super) fn all() -> Self {
        Self { low: End::infinite(f64::NEG_INFINITY), high: End::infinite(f64::INFINITY) }
    }

    fn is_empty(self) -> bool {
        if self.low.meets(self.high) {
            !(self.low.closed && self.high.closed)
        } else {
            self.low.value > self.high.value
        }
    }
}

/// The union of the spans, as few of them as possible, in order.
pub(super) fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !span.is_empty());
    spans.sort_by(|a, b| a.low.value.total_cmp(&b.low.value).then(b.low.closed.cmp(&a.low.closed)));
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last)
                if last.high.value > span.low.value && !last.high.meets(span.low)
                    || last.high.meets(span.low) && (last.high.closed || span.low.closed) =>
            {
                if last.low.meets(span.low) && span.low.closed {
                    last.low = span.low;
                }
                if last.high.meets(span.high) {
                    last.high.closed |= span.high.closed;
                } else if span.high.value > last.high.value {
                    last.high = span.high;
                }
            }
            _ => merged.push(span),
        }
    }
    merged
}

fn meet(a: Span, b: Span) -> Span {
    let low = match () {
        () if a.low.meets(b.low) => End { closed: a.low.closed && b.low.closed, ..a.low },
        () if a.low.value > b.low.value => a.low,
        () => b.low,
    };
    let high = match () {
        () if a.high.meets(b.high) => End { closed: a.high.closed && b.high.closed, ..a.high },
        () if a.high.value < b.high.value => a.high,
        () => b.high,
    };
    Span { low, high }
}

/// The numbers in both unions.
pub(super) fn intersection(a: &[Span], b: &[Span]) -> Vec<Span> {
    union(a.iter().flat_map(|a| b.iter().map(|b| meet(*a, *b))).collect())
}

/// The numbers in the first union but not in the second.
pub(super) fn difference(a: &[Span], b: &[Span]) -> Vec<Span> {
    let mut rest = a.to_vec();
    for span in b {
        let below = Span { low: End::infinite(f64::NEG_INFINITY), high: span.low.opposite() };
        let above = Span { low: span.high.opposite(), high: End::infinite(f64::INFINITY) };
        rest = intersection(&rest, &[below, above]);
    }
    rest
}

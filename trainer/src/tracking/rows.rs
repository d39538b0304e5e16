//! Reads the rows of `metrics.jsonl` and `rollouts.jsonl`.

use serde_json::{Map, Value};

/// A row of `metrics.jsonl` or `rollouts.jsonl`.
pub type Row = Map<String, Value>;

/// What a row of `metrics.jsonl` is about, judged by its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// A measurement on held-out questions.
    Measured,
    /// A step that learns from rewards.
    Rewarded,
    /// A step that learns from texts.
    Supervised,
}

impl Tells {
    /// What `row` is about.
    pub fn of(row: &Row) -> Self {
        if row.contains_key("task") {
            Self::Measured
        } else if row.contains_key("reward_mean") {
            Self::Rewarded
        } else {
            Self::Supervised
        }
    }
}

/// The objects of a journal and the number of other lines. Text after the last line break is still being written and
/// does not count.
pub fn parse_lines(text: &str) -> (Vec<Row>, usize) {
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let (mut rows, mut bad) = (Vec::new(), 0);
    for line in whole.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(Value::Object(row)) => rows.push(row),
            _ => bad += 1,
        }
    }
    (rows, bad)
}

/// The finite number under `key`.
pub fn number(row: &Row, key: &str) -> Option<f64> {
    row.get(key).and_then(Value::as_f64).filter(|number| number.is_finite())
}

/// The text under `key`, empty without one.
pub fn word<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The interval under `key`.
pub fn interval(row: &Row, key: &str) -> Option<(f64, f64)> {
    let ends = row.get(key)?.as_array()?;
    Some((ends.first()?.as_f64()?, ends.get(1)?.as_f64()?))
}

/// Every scalar of a row: its numbers, those in objects as `name/key`, and the ends of intervals as `name/low` and
/// `name/high`. `step` and other lists are not included.
pub fn scalars(row: &Row) -> Vec<(String, f64)> {
    let mut scalars = Vec::new();
    for (name, value) in row {
        match value {
            Value::Number(number) if name != "step" => scalars.push((name.clone(), number.as_f64())),
            Value::Bool(flag) => scalars.push((name.clone(), Some(f64::from(*flag)))),
            Value::Object(parts) => {
                scalars.extend(parts.iter().map(|(key, part)| (format!("{name}/{key}"), part.as_f64())));
            }
            Value::Array(ends) if name.ends_with("_ci95") && ends.len() == 2 => {
                let named = ["low", "high"].into_iter().zip(ends);
                scalars.extend(named.map(|(end, value)| (format!("{name}/{end}"), value.as_f64())));
            }
            _ => {}
        }
    }
    scalars.into_iter().filter_map(|(name, number)| Some((name, number?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_that_is_still_written_is_no_line() {
        let (rows, bad) = parse_lines("{\"a\":1}\nnonsense\n[1]\n\n{\"a\":2}\n{\"a\":");
        assert_eq!((rows.len(), bad), (2, 2));
        assert_eq!(parse_lines("{\"a\":1}").0.len(), 0);
    }

    #[test]
    fn scalars_of_a_row_have_flat_names() {
        let Value::Object(row) = json!({
            "stage": "grpo", "step": 3, "loss": 0.5, "skipped": true, "pass_at_k": {"1": 0.25, "8": 0.5},
            "accuracy_ci95": [0.1, 0.2], "expert_load": [[0.5, 0.5]], "alarms": ["x"]
        }) else {
            panic!("an object")
        };
        let names: Vec<(String, f64)> = scalars(&row);
        let expected = [
            ("loss", 0.5),
            ("skipped", 1.0),
            ("pass_at_k/1", 0.25),
            ("pass_at_k/8", 0.5),
            ("accuracy_ci95/low", 0.1),
            ("accuracy_ci95/high", 0.2),
        ];
        assert_eq!(names, expected.map(|(name, value)| (name.to_owned(), value)));
    }
}

//! Writes and reads completions of the form `<think>…</think><answer>…</answer>`.

/// Opens the thinking part of a completion.
pub const THINK_OPEN: &str = "<think>";
/// Closes the thinking part of a completion.
pub const THINK_CLOSE: &str = "</think>";
/// Opens the answer of a completion.
pub const ANSWER_OPEN: &str = "<answer>";
/// Closes the answer of a completion.
pub const ANSWER_CLOSE: &str = "</answer>";

/// The text after the last `</think>`, or the whole completion if it has no such tag.
pub fn after_thinking(completion: &str) -> &str {
    match completion.rfind(THINK_CLOSE) {
        Some(at) => &completion[at + THINK_CLOSE.len()..],
        None => completion,
    }
}

/// The content of the last closed `<answer>` pair after the thinking, trimmed.
///
/// A pair inside the thinking does not count. Neither does an answer that is opened but never closed.
pub fn tagged(completion: &str) -> Option<&str> {
    let rest = after_thinking(completion);
    let close = rest.rfind(ANSWER_CLOSE)?;
    let open = rest[..close].rfind(ANSWER_OPEN)?;
    Some(rest[open + ANSWER_OPEN.len()..close].trim())
}

/// The text of the first `<think>` part, up to its closing tag or the end of the completion.
pub fn thinking(completion: &str) -> Option<&str> {
    let open = completion.find(THINK_OPEN)? + THINK_OPEN.len();
    let rest = &completion[open..];
    Some(&rest[..rest.find(THINK_CLOSE).unwrap_or(rest.len())])
}

/// Builds a completion from its thinking and its answer.
pub fn compose(thinking: &str, answer: &str) -> String {
    format!("{THINK_OPEN}{thinking}{THINK_CLOSE}{ANSWER_OPEN}{answer}{ANSWER_CLOSE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_closed_pair_after_the_thinking_counts() {
        assert_eq!(tagged("<think><answer>1</answer></think><answer>2</answer>"), Some("2"));
        assert_eq!(tagged("<answer>1</answer><answer> 2 </answer>"), Some("2"));
        assert_eq!(tagged("<answer>1</answer></think>"), None);
        assert_eq!(tagged("<answer>1</answer><answer>2"), Some("1"));
        assert_eq!(tagged("</answer><answer>"), None);
        assert_eq!(tagged(&compose("a", "b")), Some("b"));
        assert_eq!(thinking(&compose("a", "b")), Some("a"));
    }
}

//! Writes and reads completions of the form `<think>…</think><answer>…</answer>`.

/// Opens the thinking part of a completion.
pub const THINK_OPEN: &str = "<think>";
/// Closes the thinking part of a completion.
pub const THINK_CLOSE: &str = "</think>";
/// Opens the answer of a completion.
pub const ANSWER_OPEN: &str = "<answer>";
/// Closes the answer of a completion.
pub const ANSWER_CLOSE: &str = "</answer>";

/// The text after the last `</think>`, or the whole completion if it has no thinking.
///
/// Thinking that opens and never ends is no answer, whatever it contains. Its tag counts in any case, with blanks in it
/// and as `<thinking>`, because models of other families write it so.
///
/// # Errors
/// When thinking is open at the end: a `<think>` has no `</think>` after it.
pub fn after_thinking(completion: &str) -> Result<&str, &'static str> {
    let mut rest = completion;
    let mut is_open = false;
    let mut at = 0;
    while let Some(found) = completion[at..].find('<') {
        at += found + 1;
        match thinking_tag(&completion[at..]) {
            Some((true, _)) => is_open = true,
            Some((false, length)) => {
                is_open = false;
                at += length;
                rest = &completion[at..];
            }
            None => {}
        }
    }
    if is_open { Err("the thinking does not end") } else { Ok(rest) }
}

/// Whether the text, which stands behind a `<`, is the rest of a tag that opens thinking (or closes it), and its length.
fn thinking_tag(text: &str) -> Option<(bool, usize)> {
    let inner = text.trim_start();
    let (inner, opens) = inner.strip_prefix('/').map_or((inner, true), |inner| (inner.trim_start(), false));
    let inner = ["thinking", "think"].iter().find_map(|name| {
        let (start, rest) = inner.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some(rest)
    })?;
    let rest = inner.trim_start().strip_prefix('>')?;
    Some((opens, text.len() - rest.len()))
}

/// The content of the last closed `<answer>` pair after the thinking, trimmed.
///
/// A pair inside the thinking does not count. Neither does an answer that is opened but never closed.
///
/// # Errors
/// When there is no such pair, or the thinking does not end.
pub fn given(completion: &str) -> Result<&str, &'static str> {
    let rest = after_thinking(completion)?;
    let pair = rest.rfind(ANSWER_CLOSE).and_then(|close| {
        let open = rest[..close].rfind(ANSWER_OPEN)?;
        Some(rest[open + ANSWER_OPEN.len()..close].trim())
    });
    pair.ok_or("no closed <answer> pair after the thinking")
}

/// The content of the last closed `<answer>` pair after the thinking, if there is one; see [`given`].
pub fn tagged(completion: &str) -> Option<&str> {
    given(completion).ok()
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

    #[test]
    fn thinking_that_does_not_end_has_no_answer() {
        for open in [
            "<think>maybe <answer>1</answer>",
            "<think>a</think><think>maybe <answer>1</answer>",
            "</think><think><answer>1</answer>",
            "<answer>1</answer><think>or",
            "<think>a</think><answer>1 <think>or 2</answer>",
            "<THINK><answer>1</answer>",
            "<think ><answer>1</answer>",
            "<\nThink\n><answer>1</answer>",
            "<thinking><answer>1</answer>",
            "<think><answer>1</answer></think",
            "<think><think>a</think><think><answer>1</answer>",
        ] {
            assert_eq!(given(open), Err("the thinking does not end"), "{open}");
            assert_eq!(tagged(open), None, "{open}");
        }
        for (ended, rest) in [
            ("<answer>1</answer>", "<answer>1</answer>"),
            ("a</think><answer>1</answer>", "<answer>1</answer>"),
            ("<think>a<think>b</think><answer>1</answer>", "<answer>1</answer>"),
            ("<think>a</THINK><answer>1</answer>", "<answer>1</answer>"),
            ("<Thinking>a</ thinking >\n<answer>1</answer>", "\n<answer>1</answer>"),
            ("<think>a</think></think>b", "b"),
            ("I <thinker> a<thinks>", "I <thinker> a<thinks>"),
            ("<<think>></think>1", "1"),
            ("", ""),
        ] {
            assert_eq!(after_thinking(ended), Ok(rest), "{ended}");
        }
    }
}

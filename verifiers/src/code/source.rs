//! Finding the program in a completion.

use crate::answer;

/// Maximum bytes in a program.
pub(crate) const MAX_SOURCE_BYTES: usize = 1 << 20;

/// The last closed Python block in the answer, or in the text after the thinking if there is no answer tag. An answer
/// without any fence is taken as the program.
pub(crate) fn program(completion: &str) -> Option<&str> {
    let text = answer::after_thinking(completion).ok()?;
    let tagged = answer::tagged(completion);
    let text = tagged.unwrap_or(text);
    let (block, fences) = last_block(text);
    let found = if fences == 0 { tagged } else { block };
    found.filter(|program| !program.trim().is_empty())
}

/// The last closed block whose language is Python or not given, and the number of fences.
fn last_block(text: &str) -> (Option<&str>, usize) {
    let (mut last, mut fences) = (None, 0);
    let mut open: Option<(usize, usize, bool)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        let (ticks, info) = fence(line);
        match open {
            None if ticks >= 3 => {
                fences += 1;
                open = Some((end, ticks, is_python(info)));
            }
            Some((start, width, python)) if ticks >= width && info.is_empty() => {
                if python {
                    last = Some(&text[start..at]);
                }
                open = None;
            }
            _ => {}
        }
        at = end;
    }
    (last, fences)
}

/// The number of backticks that open the line, and the text after them.
fn fence(line: &str) -> (usize, &str) {
    let line = line.trim();
    let info = line.trim_start_matches('`');
    (line.len() - info.len(), info.trim())
}

fn is_python(info: &str) -> bool {
    let language = info.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    matches!(language.as_str(), "" | "python" | "python3" | "py")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_closed_python_block_counts() {
        assert_eq!(program("<answer>\n```python\na\n```\n</answer>"), Some("a\n"));
        assert_eq!(program("```py\na\n```\ntext\n```\nb\n```\n```json\n{}\n```"), Some("b\n"));
        assert_eq!(program("<think>```\na\n```</think>none"), None);
        assert_eq!(program("<think>```\na\n```\n"), None);
        assert_eq!(program("<answer>print(1)</answer>"), Some("print(1)"));
        assert_eq!(program("print(1)"), None);
        assert_eq!(program("```python\na"), None);
        assert_eq!(program("```python\na\n```\n```python\nb"), Some("a\n"));
        assert_eq!(program("```python\n\n```"), None);
        assert_eq!(program("<answer></answer>"), None);
        assert_eq!(program("````\n```\n````"), Some("```\n"));
        assert_eq!(program("```python\r\na\r\n```\r\n"), Some("a\r\n"));
    }
}

//! Finding the program in a completion.

use crate::answer;

/// Maximum bytes in a program.
pub(crate) const MAX_SOURCE_BYTES: usize = 1 << 20;

/// The byte order mark that some editors put at the start of a file.
const MARK: char = '\u{feff}';

/// What is known about a program before it is found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Names that the tests call. A block that defines one of them is preferred.
    pub(crate) names: &'a [String],
    /// Whether text without any fence or answer tag is a program, and its indentation means something.
    pub(crate) bare: bool,
}

/// The program in the answer, or in the text after the thinking if there is no answer tag.
///
/// It is the last closed block that is marked as Python and defines one of the wanted names; otherwise the last closed
/// block without a language that does; otherwise the last Python block, or the last block without a language that
/// reads like a program. An answer without any fence is the program itself.
pub(crate) fn program(completion: &str, wanted: Wanted<'_>) -> Option<String> {
    let tagged = answer::tagged(completion);
    let text = match tagged {
        Some(tagged) => with_indentation(completion, tagged),
        None => answer::after_thinking(completion).ok()?,
    };
    let (blocks, fences) = blocks(text);
    let found = match chosen(&blocks, wanted.names) {
        Some(block) => block,
        None if fences == 0 && (tagged.is_some() || wanted.bare) => text.to_owned(),
        // A completion that began inside a fence of its prompt.
        None if wanted.bare => before_first_fence(text)?.to_owned(),
        None => return None,
    };
    let found = found.trim_start_matches(MARK);
    let found = if wanted.bare { found.to_owned() } else { dedented(found) };
    Some(found).filter(|program| !program.trim().is_empty())
}

/// Whether one of the program's lines defines `name`.
pub(crate) fn defines(program: &str, name: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    program.lines().any(|line| {
        let line = line.trim_start_matches(MARK).trim_start();
        let named =
            |text: &str| text.trim_start().strip_prefix(name).filter(|rest| is_end(rest)).map(str::len);
        let keyword = ["def ", "async def ", "class "].iter().find_map(|word| line.strip_prefix(word));
        if let Some(rest) = keyword {
            return named(rest).is_some();
        }
        let assigned = named(line).is_some_and(|length| {
            let rest = line[line.len() - length..].trim_start();
            rest.starts_with(':') || rest.starts_with('=') && !rest.starts_with("==")
        });
        let imported = line.starts_with("from ") || line.starts_with("import ");
        assigned || imported && line.split([' ', ',', '(', ')']).any(|word| word == name)
    })
}

/// The text with the common indentation of its lines removed.
pub(crate) fn dedented(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let blank = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let Some(shared) = lines().map(blank).min().filter(|shared| *shared > 0) else { return text.to_owned() };
    text.split_inclusive('\n').map(|line| line.get(shared.min(blank(line))..).unwrap_or(line)).collect()
}

/// The answer with the blanks before its first line, which [`answer::tagged`] trims.
fn with_indentation<'a>(completion: &'a str, tagged: &'a str) -> &'a str {
    let start = tagged.as_ptr().addr() - completion.as_ptr().addr();
    let indented = completion[..start].trim_end_matches([' ', '\t']);
    let start = if indented.ends_with('\n') { indented.len() } else { start };
    &completion[start..][..tagged.len() + tagged.as_ptr().addr() - completion.as_ptr().addr() - start]
}

fn before_first_fence(text: &str) -> Option<&str> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(fence) = Fence::opening(line) {
            return Some(&text[..at]).filter(|_| fence.info.is_empty());
        }
        at += line.len();
    }
    None
}

/// What the text behind an opening fence says about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Python,
    /// None, or a word that names no language.
    Unknown,
    /// Text that may itself hold blocks.
    Markdown,
    Other,
}

#[derive(Debug)]
struct Block {
    language: Language,
    /// Whether the line before the block announces an output.
    is_output: bool,
    text: String,
}

fn chosen(blocks: &[Block], names: &[String]) -> Option<String> {
    let of = |language: Language| {
        blocks.iter().rev().filter(move |block| block.language == language && !block.text.trim().is_empty())
    };
    let wanted = |block: &&Block| names.iter().any(|name| defines(&block.text, name));
    let (python, unknown) = (|| of(Language::Python), || of(Language::Unknown));
    let found = python()
        .find(wanted)
        .or_else(|| unknown().find(wanted))
        .or_else(|| python().next())
        .or_else(|| unknown().find(|block| !block.is_output && reads_like_python(&block.text)))
        .or_else(|| unknown().next());
    match found {
        Some(block) => Some(block.text.clone()),
        None => of(Language::Markdown).find_map(|block| chosen(&self::blocks(&block.text).0, names)),
    }
}

/// Whether a line of the text is one that only a program has, not what a program prints.
fn reads_like_python(text: &str) -> bool {
    const STARTS: &[&str] = &[
        "def ", "class ", "import ", "from ", "for ", "while ", "if ", "try:", "with ", "return ", "print(",
        "async ", "assert ", "raise ", "lambda ", "@",
    ];
    let is_name = |word: &str| {
        word.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && word.chars().all(|c| c.is_alphanumeric() || "_.,[]() ".contains(c))
    };
    text.lines().map(str::trim).any(|line| {
        STARTS.iter().any(|start| line.starts_with(start))
            || line.ends_with(')')
                && line.split_once('(').is_some_and(|(head, _)| is_name(head) && !head.contains(' '))
            || line
                .split_once('=')
                .is_some_and(|(head, _)| is_name(head.trim_end_matches(['+', '-', '*', '/'])))
    })
}

/// The closed blocks of the text, and the number of opening fences.
fn blocks(text: &str) -> (Vec<Block>, usize) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (mut found, mut fences, mut at) = (Vec::new(), 0, 0);
    let mut before = "";
    while at < lines.len() {
        let Some(fence) = Fence::opening(lines[at]) else {
            if !lines[at].trim().is_empty() {
                before = lines[at];
            }
            at += 1;
            continue;
        };
        fences += 1;
        let Some(end) = fence.end(&lines[at + 1..]) else { break };
        let body = &lines[at + 1..at + 1 + end.lines];
        let mut text: String = body.iter().map(|line| fence.inner(line)).collect();
        text.push_str(end.rest);
        let is_session = text.trim_start().starts_with(">>>");
        let language = if is_session { Language::Other } else { language(fence.info) };
        found.push(Block { language, is_output: announces_output(before), text });
        before = "";
        at += end.lines + 2;
    }
    (found, fences)
}

fn announces_output(line: &str) -> bool {
    const WORDS: &[&str] =
        &["output", "prints", "printed", "result", "displays", "returns", "input", "stdout", "stdin"];
    let line = line.to_lowercase();
    line.split(|c: char| !c.is_alphanumeric())
        .any(|word| WORDS.contains(&word.trim_end_matches('s')) || WORDS.contains(&word))
}

/// Reads the text behind an opening fence: `python`, `py3`, `python3.11`, `{.python}`, `python,runnable`, …
fn language(info: &str) -> Language {
    let info = info.trim().trim_start_matches(['{', '.', ' ']).to_lowercase();
    let word =
        info.split(|c: char| c.is_whitespace() || ",;:={}()[]\"'".contains(c)).next().unwrap_or_default();
    let word = ["language-", "lang-"].iter().find_map(|start| word.strip_prefix(start)).unwrap_or(word);
    let name = word.trim_end_matches(|c: char| c.is_ascii_digit() || ".-_".contains(c));
    match name {
        "python" | "py" | "cpython" | "ipython" | "pypy" | "code-cell" => Language::Python,
        _ if word.ends_with(".py") => Language::Python,
        "" | "code" | "script" | "program" | "solution" | "source" | "answer" => Language::Unknown,
        "markdown" | "md" => Language::Markdown,
        _ => Language::Other,
    }
}

/// An opening fence.
#[derive(Clone, Copy, Debug)]
struct Fence<'a> {
    mark: char,
    width: usize,
    /// Columns of blanks, or of a list's bullet, before it.
    indentation: usize,
    is_quoted: bool,
    info: &'a str,
}

/// Where a block ends: the number of whole lines in it, and what the closing line holds before the fence.
struct End<'a> {
    lines: usize,
    rest: &'a str,
}

impl<'a> Fence<'a> {
    /// Reads a line that opens a block. Behind other text, only a fence with the name of Python does.
    fn opening(line: &'a str) -> Option<Self> {
        let line = line.trim_end();
        let (is_quoted, inner) = unquoted(line);
        let inner = inner.trim_start_matches(MARK);
        let body = behind_bullet(inner.trim_start());
        if let Some((mark, width)) = run(body) {
            let info = body[width..].trim();
            // Backticks behind backticks are code within a line.
            let is_fence = mark == '~' || !info.contains('`');
            return is_fence.then(|| Self {
                mark,
                width,
                indentation: columns(inner, body),
                is_quoted,
                info,
            });
        }
        let at = body.find("```")?;
        let (mark, width) = run(&body[at..])?;
        let info = body[at + width..].trim();
        let is_python = !info.is_empty() && !info.contains('`') && language(info) == Language::Python;
        let indentation = columns(inner, inner.trim_start());
        is_python.then_some(Self { mark, width, indentation, is_quoted, info })
    }

    /// Finds the end of the block in the lines after the fence. A fence within a string of three quotes does not count,
    /// unless there is no other.
    fn end<'b>(&self, lines: &[&'b str]) -> Option<End<'b>> {
        let closes = |line: &str| {
            let (_, inner) = if self.is_quoted { unquoted(line) } else { (false, line) };
            let body = inner.trim();
            let is_close = run(body).is_some_and(|(mark, width)| {
                mark == self.mark && width >= self.width && body[width..].is_empty()
            });
            is_close && columns(inner, inner.trim_start()) <= self.indentation + 3
        };
        let mut string = None;
        let mut within = None;
        for (at, line) in lines.iter().enumerate() {
            if closes(line) {
                if string.is_none() {
                    return Some(End { lines: at, rest: "" });
                }
                within.get_or_insert(at);
            }
            string = string_after(line, string);
        }
        let closing: String = std::iter::repeat_n(self.mark, self.width).collect();
        within.map(|lines| End { lines, rest: "" }).or_else(|| {
            // A fence at the end of the last line of code.
            let at = lines.iter().position(|line| line.trim_end().ends_with(&closing))?;
            Some(End { lines: at, rest: lines[at].trim_end().trim_end_matches(self.mark) })
        })
    }

    /// A line of the block without what stands before the fence.
    fn inner<'b>(&self, line: &'b str) -> &'b str {
        let line = if self.is_quoted { unquoted(line).1 } else { line };
        let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
        &line[blanks.min(self.indentation)..]
    }
}

/// The mark and the length of the run of three or more fence characters that begins the text.
fn run(text: &str) -> Option<(char, usize)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let width = text.len() - text.trim_start_matches(mark).len();
    (width >= 3).then_some((mark, width))
}

/// The text without the marks of a quotation.
fn unquoted(line: &str) -> (bool, &str) {
    let (mut rest, mut is_quoted) = (line, false);
    while let Some(inner) = rest.trim_start().strip_prefix('>') {
        rest = inner.strip_prefix(' ').unwrap_or(inner);
        is_quoted = true;
    }
    (is_quoted, rest)
}

/// The text without the bullet or number of a list in front.
fn behind_bullet(text: &str) -> &str {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let marks: &[char] = if digits == 0 { &['-', '*', '+'] } else { &['.', ')'] };
    match text[digits..].strip_prefix(marks) {
        Some(rest) if rest.starts_with(' ') => rest.trim_start(),
        _ => text,
    }
}

/// The length of what stands before `rest` in `whole`.
fn columns(whole: &str, rest: &str) -> usize {
    whole.len() - rest.len()
}

/// The quote of the three-quoted string that is open after a line of Python, given the one before it.
fn string_after(line: &str, open: Option<char>) -> Option<char> {
    let mut open = open;
    let mut characters = line.chars();
    let triple = |rest: &str, quote: char| rest.chars().take(3).filter(|c| *c == quote).count() == 3;
    loop {
        let rest = characters.as_str();
        let Some(next) = characters.next() else { return open };
        match (open, next) {
            (_, '\\') => {
                characters.next();
            }
            (Some(quote), _) if triple(rest, quote) => {
                open = None;
                characters = rest[3..].chars();
            }
            (Some(_), _) => {}
            (None, '#') => return None,
            (None, '"' | '\'') if triple(rest, next) => {
                open = Some(next);
                characters = rest[3..].chars();
            }
            (None, '"' | '\'') => {
                // A string of one line: skipped up to its end.
                while let Some(inner) = characters.next().filter(|inner| *inner != next) {
                    if inner == '\\' {
                        characters.next();
                    }
                }
            }
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(completion: &str) -> Option<String> {
        super::program(completion, Wanted::default())
    }

    fn found(completion: &str, names: &[&str]) -> Option<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        super::program(completion, Wanted { names: &names, bare: false })
    }

    #[test]
    fn the_last_closed_python_block_counts() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(program("<answer>\n```python\na\n```\n</answer>"), some("a\n"));
        assert_eq!(program("```py\na\n```\ntext\n```python\nb\n```\n```json\n{}\n```"), some("b\n"));
        assert_eq!(program("<think>```\na\n```</think>none"), None);
        assert_eq!(program("<answer>print(1)</answer>"), some("print(1)"));
        assert_eq!(program("print(1)"), None);
        assert_eq!(program("```python\na"), None);
        assert_eq!(program("```python\na\n```\n```python\nb"), some("a\n"));
        assert_eq!(program("```python\n\n```"), None);
        assert_eq!(program("<answer></answer>"), None);
        assert_eq!(program("````\n```\n````"), some("```\n"));
        assert_eq!(program("```python\r\na\r\n```\r\n"), some("a\r\n"));
        assert_eq!(program("```cpp\na\n```"), None);
    }

    #[test]
    fn every_way_to_write_a_python_block_is_read() {
        for info in [
            "python",
            "Python",
            "PYTHON3",
            "py3",
            "python3.11",
            "{python}",
            "{.python}",
            "{.python .numberLines}",
            "python,runnable",
            "python title=\"x\"",
            "python:main.py",
            "python {1,3}",
            "language-python",
            "pypy3",
            " python ",
            "",
            "ipython3",
            "{python, echo=TRUE}",
            "{code-cell} ipython3",
            "solution.py",
            "Python 3",
            "python-3.9",
        ] {
            for (open, close) in [("```", "```"), ("~~~", "~~~"), ("````", "````"), ("```", "`````  ")] {
                let completion = format!("So:\n{open}{info}\nprint(1)\n{close}\nDone.");
                assert_eq!(program(&completion).as_deref(), Some("print(1)\n"), "{completion}");
            }
        }
        for info in ["bash", "text", "output", "c++", "javascript", "pycon", "json", "pyret"] {
            assert_eq!(program(&format!("```{info}\nprint(1)\n```")), None, "{info}");
        }
    }

    #[test]
    fn blocks_in_lists_and_quotations_lose_their_indentation() {
        let code = Some("if a:\n    b\n".to_owned());
        assert_eq!(program("1. Do:\n\n   ```python\n   if a:\n       b\n   ```\n"), code);
        assert_eq!(program("    ```python\n    if a:\n        b\n    ```"), code);
        assert_eq!(program("\t```python\n\tif a:\n\t    b\n\t```"), code);
        assert_eq!(program("- ```python\n  if a:\n      b\n  ```"), code);
        assert_eq!(program("2) ```python\n   if a:\n       b\n   ```"), code);
        assert_eq!(program("> ```python\n> if a:\n>     b\n> ```"), code);
        assert_eq!(program("```python\n  if a:\n      b\n```"), code);
        assert_eq!(program("The code: ```python\nif a:\n    b\n```"), code);
        assert_eq!(program("```python\nif a:\n    b```"), Some("if a:\n    b".to_owned()));
        assert_eq!(program("\u{feff}```python\n\u{feff}if a:\n    b\n```"), code);
        assert_eq!(program("Use ```x``` so:\n```python\nif a:\n    b\n```"), code);
        assert_eq!(program("````markdown\n```python\nif a:\n    b\n```\n````"), code);
    }

    #[test]
    fn a_fence_within_a_string_does_not_end_a_block() {
        for body in [
            "def f():\n    \"\"\"\n    ```\n    f()\n    ```\n    \"\"\"\n",
            "'''Module.\n```python\nf()\n```\n'''\ndef f(): pass\n",
            "# it's \"\"\" in a comment\nx = '\"\"\"'\n",
            "x = r\"\"\"a\\\"\"\"\"\n",
            "s = \"\"\"\n~~~\n```\n\"\"\"\n",
        ] {
            let completion = format!("```python\n{body}```\nOutput:\n```\n3\n```");
            assert_eq!(program(&completion).as_deref(), Some(body), "{completion}");
        }
        // A string that never ends ends with the block.
        assert_eq!(program("```python\nx = \"\"\"\n```\nSo.").as_deref(), Some("x = \"\"\"\n"));
    }

    #[test]
    fn an_output_or_a_use_is_not_the_program() {
        let solution = "def f(x):\n    return x\n";
        for after in [
            "```\n3\n```",
            "Output:\n```\nx = 3\n```",
            "```text\nprint\n```",
            "It prints:\n~~~\nfor 3\n~~~",
            "Run it:\n```bash\npython f.py\n```",
            "```python\n>>> f(3)\n3\n```",
        ] {
            for tag in ["", "python"] {
                let completion = format!("```{tag}\n{solution}```\n{after}");
                assert_eq!(program(&completion).as_deref(), Some(solution), "{completion}");
            }
        }
        let completion = format!("```python\n{solution}```\nUse it:\n```python\nprint(f(3))\n```");
        assert_eq!(found(&completion, &["f"]).as_deref(), Some(solution));
        assert_eq!(program(&completion).as_deref(), Some("print(f(3))\n"));
        // The last word counts where both define it.
        let completion = format!("```python\n{solution}```\nNo:\n```python\ndef f(x): return 2\n```");
        assert_eq!(found(&completion, &["f"]).as_deref(), Some("def f(x): return 2\n"));
    }

    #[test]
    fn definitions_are_found() {
        for line in [
            "def f(x):",
            "async def f():",
            "class f:",
            "f = 1",
            "f: int = 1",
            "from a import b, f",
            "    f=g",
            "import f",
        ] {
            assert!(defines(line, "f"), "{line}");
        }
        for line in ["def fg(x):", "f(3)", "f == 1", "x = f", "print(f)", "# def f", "import fg"] {
            assert!(!defines(line, "f"), "{line}");
        }
    }

    #[test]
    fn text_without_fences_is_a_program_only_where_that_is_asked() {
        let bare = |text: &str| super::program(text, Wanted { names: &[], bare: true });
        assert_eq!(bare("    return 1\n").as_deref(), Some("    return 1\n"));
        let tagged = "<answer>\n    x = 1\n    return x\n</answer>";
        assert_eq!(bare(tagged).as_deref(), Some("    x = 1\n    return x"));
        assert_eq!(bare("    return 1\n```\nIt adds.").as_deref(), Some("    return 1\n"));
        assert_eq!(bare("Here:\n```python\nreturn 1"), None);
        assert_eq!(bare("```python\n    return 1\n```").as_deref(), Some("    return 1\n"));
    }
}

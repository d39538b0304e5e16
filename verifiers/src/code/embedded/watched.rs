//! Prepares a program for the embedded interpreter: as a module, with its exception handlers watched.
//!
//! The interpreter calls every module `__main__`, so `__name__` is replaced by a name that the test sets. A handler may
//! hide that the interpreter lacks something, so each `except` first records what it caught. A program is refused if it
//! defines special methods that the interpreter would silently ignore.

use monty::MontyRepl;
use monty_types::{ExcType, MontyException, MontyObject, PrintWriter};
use ruff_python_ast::token::TokenKind;
use ruff_python_parser::parse_module;

/// Defines the names in a prepared program. Of the caught exceptions only the kinds that a gap can raise are kept, and
/// at most a hundred different ones. The built-in `print` has no `file` argument, and nobody reads what is printed.
/// Built-ins are stored under other names, because the program may redefine theirs.
const PRELUDE: &str = "\
def print(*values, sep=' ', end='\\n', file=None, flush=False, text=str):
    for value in values:
        text(value)
name_of_the_module = 'solution'
caught_by_the_program = {}
gaps_of_the_interpreter = (TypeError, AttributeError, NameError, ImportError, NotImplementedError)
def note_for_the_test(caught, kinds=gaps_of_the_interpreter, known=caught_by_the_program, of=isinstance, size=len, text=str):
    if of(caught, kinds) and size(known) < 100:
        known[text(caught)] = caught
";

/// The special methods that the interpreter calls.
#[rustfmt::skip]
const METHODS: &[&str] = &[
    "__contains__", "__enter__", "__eq__", "__exit__", "__hash__", "__init__", "__iter__", "__next__", "__repr__",
    "__str__",
];

/// Defines the names that [`prepared`] uses.
pub(super) fn define(repl: &mut MontyRepl) -> Result<(), MontyException> {
    repl.feed_run(PRELUDE, Vec::new(), PrintWriter::Disabled).map(drop)
}

/// The types and messages of the exceptions that the program has caught so far.
pub(super) fn caught(repl: &mut MontyRepl) -> Vec<(ExcType, String)> {
    let read = "[*caught_by_the_program.values()]";
    let Ok(MontyObject::List(caught)) = repl.feed_run(read, Vec::new(), PrintWriter::Disabled) else {
        return Vec::new();
    };
    let exception = |object| match object {
        MontyObject::Exception { exc_type, arg } => Some((exc_type, arg.unwrap_or_default())),
        _ => None,
    };
    caught.into_iter().filter_map(exception).collect()
}

/// Whether the source is valid by Python's grammar, even if the interpreter rejects it.
pub(super) fn is_python(source: &str) -> bool {
    parse_module(source).is_ok()
}

/// The program with its changes, or the feature it uses that the interpreter would silently ignore. A program that
/// cannot be parsed stays unchanged, so that the interpreter reports the error.
pub(super) fn prepared(source: &str) -> Result<String, String> {
    if !source.contains("__") && !source.contains("except") {
        return Ok(source.to_owned());
    }
    let Ok(parsed) = parse_module(source) else { return Ok(source.to_owned()) };
    let tokens: Vec<Token<'_>> = parsed
        .tokens()
        .iter()
        .map(|token| {
            let (kind, range) = token.as_tuple();
            let (start, end) = (usize::from(range.start()), usize::from(range.end()));
            Token { kind, start, end, text: source.get(start..end).unwrap_or_default() }
        })
        .filter(|token| !matches!(token.kind, TokenKind::Comment | TokenKind::NonLogicalNewline))
        .collect();
    // The range to replace, and the new text.
    let mut changes: Vec<(usize, usize, String)> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| tokens[before].kind);
        let special =
            token.kind == TokenKind::Name && token.text.starts_with("__") && token.text.ends_with("__");
        if special && before == Some(TokenKind::Def) && !METHODS.contains(&token.text) {
            return Err(format!("the method {}", token.text));
        }
        if special && token.text == "__slots__" {
            return Err("__slots__".into());
        }
        if special && token.text == "__name__" && before != Some(TokenKind::Dot) {
            changes.push((token.start, token.end, "name_of_the_module".into()));
        }
        if token.kind == TokenKind::Except {
            watch(&tokens[at + 1..], source, &mut changes);
        }
    }
    changes.sort_by_key(|(start, ..)| *start);
    let mut prepared = String::with_capacity(source.len() + 64 * changes.len());
    let mut copied = 0;
    for (start, end, text) in changes {
        prepared.push_str(&source[copied..start]);
        prepared.push_str(&text);
        copied = end;
    }
    prepared.push_str(&source[copied..]);
    Ok(prepared)
}

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: TokenKind,
    start: usize,
    end: usize,
    text: &'a str,
}

/// Makes the handler whose `except` is before `tokens` record what it catches.
fn watch(tokens: &[Token<'_>], source: &str, changes: &mut Vec<(usize, usize, String)>) {
    let mut depth = 0;
    let colon = tokens.iter().position(|token| {
        match token.kind {
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => depth += 1,
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace => depth -= 1,
            _ => {}
        }
        depth == 0 && token.kind == TokenKind::Colon
    });
    let Some(colon) = colon else { return };
    let (head, body) = (&tokens[..colon], &tokens[colon..]);
    let name = match head {
        [.., as_, name] if as_.kind == TokenKind::As => name.text,
        _ => "caught_for_the_test",
    };
    if head.is_empty() {
        changes.push((tokens[colon].start, tokens[colon].start, format!(" BaseException as {name}")));
    } else if !head.iter().any(|token| token.kind == TokenKind::As) {
        changes.push((tokens[colon].start, tokens[colon].start, format!(" as {name}")));
    }
    let note = format!("note_for_the_test({name})");
    match body {
        [_, newline, indent, first, ..]
            if newline.kind == TokenKind::Newline && indent.kind == TokenKind::Indent =>
        {
            let line = source[..first.start].rfind('\n').map_or(0, |end| end + 1);
            changes.push((first.start, first.start, format!("{note}\n{}", &source[line..first.start])));
        }
        _ => changes.push((tokens[colon].end, tokens[colon].end, format!(" {note};"))),
    }
}

#[cfg(test)]
mod tests {
    fn prepared(source: &str) -> String {
        super::prepared(source).unwrap()
    }

    #[test]
    fn the_modules_name_is_the_tests_and_an_attribute_is_not() {
        assert_eq!(prepared("x = f.__name__ + '__name__'\n"), "x = f.__name__ + '__name__'\n");
        assert_eq!(
            prepared("if __name__ == '__main__':\n  f(__name__.x)\n"),
            "if name_of_the_module == '__main__':\n  f(name_of_the_module.x)\n"
        );
        assert_eq!(prepared("def f(:\n  __name__"), "def f(:\n  __name__");
    }

    #[test]
    fn a_special_method_that_is_never_called_is_refused() {
        assert!(super::prepared("class A:\n  def __len__(self): return 0\n").is_err());
        assert!(super::prepared("class A:\n  __slots__ = ['x']\n").is_err());
        let known = "class A:\n  def __eq__(self, other): return self.__len__\n  def __own(self): pass\n";
        assert_eq!(prepared(known), known);
    }

    #[test]
    fn every_handler_notes_what_it_caught() {
        let cases = [
            (
                "try: x\nexcept: y\n",
                "try: x\nexcept BaseException as caught_for_the_test: note_for_the_test(caught_for_the_test); y\n",
            ),
            ("try: x\nexcept A as e: y\n", "try: x\nexcept A as e: note_for_the_test(e); y\n"),
            (
                "try:\n  x\nexcept (A): # why\n  # so\n  if y: z\n",
                "try:\n  x\nexcept (A) as caught_for_the_test: # why\n  # so\n  note_for_the_test(caught_for_the_test)\n  if y: z\n",
            ),
            (
                "try:\n\tx\nexcept (A, B[1:2]) as e:\n\twith y as z: pass\n",
                "try:\n\tx\nexcept (A, B[1:2]) as e:\n\tnote_for_the_test(e)\n\twith y as z: pass\n",
            ),
        ];
        for (source, expected) in cases {
            assert_eq!(prepared(source), expected);
        }
    }
}

//! Which exceptions of the embedded interpreter would not occur in Python.

use monty_types::ExcType;

/// Python's built-ins. If one of them is undefined, the interpreter does not support it.
#[rustfmt::skip]
const BUILTINS: &[&str] = &[
    "__annotations__", "__builtins__", "__cached__", "__file__", "__import__", "__loader__", "abs", "aiter", "all",
    "anext", "any", "ArithmeticError", "ascii", "AssertionError", "AttributeError", "BaseException",
    "BaseExceptionGroup", "bin", "BlockingIOError", "bool", "breakpoint", "BrokenPipeError", "BufferError",
    "bytearray", "bytes", "BytesWarning", "callable", "ChildProcessError", "chr", "classmethod", "compile",
    "complex", "ConnectionAbortedError", "ConnectionError", "ConnectionRefusedError", "ConnectionResetError",
    "delattr", "DeprecationWarning", "dict", "dir", "divmod", "Ellipsis", "EncodingWarning", "enumerate",
    "EnvironmentError", "EOFError", "eval", "Exception", "ExceptionGroup", "exec", "exit", "FileExistsError",
    "FileNotFoundError", "filter", "float", "FloatingPointError", "format", "frozenset", "FutureWarning",
    "GeneratorExit", "getattr", "globals", "hasattr", "hash", "hex", "id", "ImportError", "ImportWarning",
    "IndentationError", "IndexError", "input", "int", "InterruptedError", "IOError", "IsADirectoryError",
    "isinstance", "issubclass", "iter", "KeyboardInterrupt", "KeyError", "len", "list", "locals", "LookupError",
    "map", "max", "MemoryError", "memoryview", "min", "ModuleNotFoundError", "NameError", "next",
    "NotADirectoryError", "NotImplemented", "NotImplementedError", "object", "oct", "open", "ord", "OSError",
    "OverflowError", "PendingDeprecationWarning", "PermissionError", "pow", "print", "ProcessLookupError",
    "property", "PythonFinalizationError", "quit", "range", "RecursionError", "ReferenceError", "repr",
    "ResourceWarning", "reversed", "round", "RuntimeError", "RuntimeWarning", "set", "setattr", "slice", "sorted",
    "staticmethod", "StopAsyncIteration", "StopIteration", "str", "sum", "super", "SyntaxError", "SyntaxWarning",
    "SystemError", "SystemExit", "TabError", "TimeoutError", "tuple", "type", "TypeError", "UnboundLocalError",
    "UnicodeDecodeError", "UnicodeEncodeError", "UnicodeError", "UnicodeTranslateError", "UnicodeWarning",
    "UserWarning", "ValueError", "vars", "Warning", "ZeroDivisionError", "zip",
];

/// The attributes of Python's plain values, except those with underscores. Plain values have no others.
#[rustfmt::skip]
const ATTRIBUTES: &[(&[&str], &[&str])] = &[
    (&["NoneType"], &[]),
    (&["int", "float", "bool"], &[
        "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "fromhex", "hex",
        "imag", "is_integer", "numerator", "real", "to_bytes",
    ]),
    (&["str"], &[
        "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find", "format",
        "format_map", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower",
        "isnumeric", "isprintable", "isspace", "istitle", "isupper", "join", "ljust", "lower", "lstrip",
        "maketrans", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust",
        "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title",
        "translate", "upper", "zfill",
    ]),
    (&["bytes"], &[
        "capitalize", "center", "count", "decode", "endswith", "expandtabs", "find", "fromhex", "hex", "index",
        "isalnum", "isalpha", "isascii", "isdigit", "islower", "isspace", "istitle", "isupper", "join", "ljust",
        "lower", "lstrip", "maketrans", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex",
        "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase",
        "title", "translate", "upper", "zfill",
    ]),
    (&["list"], &[
        "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort",
    ]),
    (&["tuple"], &[
        "count", "index",
    ]),
    (&["dict"], &[
        "clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values",
    ]),
    (&["set", "frozenset"], &[
        "add", "clear", "copy", "difference", "difference_update", "discard", "intersection", "intersection_update",
        "isdisjoint", "issubset", "issuperset", "pop", "remove", "symmetric_difference",
        "symmetric_difference_update", "union", "update",
    ]),
];

/// Messages about programs that Python's grammar allows but Python rejects for their meaning.
const MISUSES: &[&str] = &[
    "outside",
    "not properly in loop",
    "duplicate argument",
    "global declaration",
    "nonlocal",
    "multiple starred expressions",
    "future feature",
];

/// Whether the exception may come from something that Python has and this interpreter lacks. If the message leaves this
/// open, the answer is yes, in favour of the program.
pub(super) fn is_gap(kind: ExcType, message: &str) -> bool {
    match kind {
        ExcType::NotImplementedError | ExcType::ModuleNotFoundError | ExcType::ImportError => true,
        ExcType::NameError => quoted(message).first().is_some_and(|name| BUILTINS.contains(name)),
        ExcType::AttributeError => !lacks_in_python(message),
        ExcType::TypeError => !refused_by_python(message),
        ExcType::SyntaxError => !MISUSES.iter().any(|misuse| message.contains(misuse)),
        _ => false,
    }
}

/// The words in quotation marks in a message.
fn quoted(message: &str) -> Vec<&str> {
    message.split(['\'', '"']).skip(1).step_by(2).collect()
}

/// The sort of a plain value, as operators see it. Values of different sorts share no operators except `%` and `*`.
fn sort(type_name: &str) -> Option<&str> {
    match type_name {
        "int" | "float" | "bool" => Some("number"),
        "set" | "frozenset" => Some("set"),
        "NoneType" | "str" | "bytes" | "list" | "tuple" | "dict" => Some(type_name),
        _ => None,
    }
}

/// Whether the same value in Python also lacks the attribute: `'int' object has no attribute 'append'`.
fn lacks_in_python(message: &str) -> bool {
    let [type_name, attribute] = quoted(message)[..] else { return false };
    message.contains("' object has no attribute '")
        && !attribute.starts_with('_')
        && ATTRIBUTES
            .iter()
            .any(|(types, attributes)| types.contains(&type_name) && !attributes.contains(&attribute))
}

/// Whether Python raises the same error.
fn refused_by_python(message: &str) -> bool {
    let words = quoted(message);
    let unlike = |left, right| matches!((sort(left), sort(right)), (Some(a), Some(b)) if a != b);
    if let Some(rest) = message.strip_prefix("unsupported operand type(s) for ") {
        let formats = rest.starts_with('%') || rest.starts_with('*');
        return matches!(words[..], [left, right] if unlike(left, right) && !formats);
    }
    if message.contains("' not supported between instances of '") {
        return matches!(words[..], [_, left, right] if unlike(left, right));
    }
    if message.starts_with("can only concatenate ") {
        return words.iter().all(|word| sort(word).is_some());
    }
    if message.ends_with("' object is not callable") {
        return matches!(words[..], [of] if sort(of).is_some());
    }
    if message.ends_with("' object is not iterable")
        || message.ends_with("' object is not subscriptable")
        || message.ends_with("' has no len()")
    {
        return matches!(words[..], [of] if matches!(sort(of), Some("number" | "NoneType")));
    }
    // These messages are about functions written in Python. For its own functions the interpreter uses other words.
    message.contains(" required positional argument")
        || message.contains(" positional argument but ")
        || message.contains(" positional arguments but ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_has_is_a_gap() {
        for (kind, message) in [
            (ExcType::NotImplementedError, ""),
            (ExcType::ModuleNotFoundError, "No module named 'heapq'"),
            (ExcType::NameError, "name 'frozenset' is not defined"),
            (ExcType::AttributeError, "'str' object has no attribute 'casefold'"),
            (ExcType::AttributeError, "'NoneType' object has no attribute '__doc__'"),
            (ExcType::AttributeError, "'Point' object has no attribute 'x'"),
            (ExcType::AttributeError, "module 'math' has no attribute 'sumprod'"),
            (ExcType::TypeError, "unsupported operand type(s) for %: 'str' and 'int'"),
            (ExcType::TypeError, "unsupported operand type(s) for |: 'dict' and 'dict'"),
            (ExcType::TypeError, "unsupported operand type(s) for +: 'Vector' and 'Vector'"),
            (ExcType::TypeError, "'<' not supported between instances of 'Item' and 'Item'"),
            (ExcType::TypeError, "'list' object is not subscriptable"),
            (ExcType::SyntaxError, "invalid unpacking target: subscript"),
            (ExcType::SyntaxError, "Source is too deeply nested"),
            (ExcType::TypeError, "sorted() got an unexpected keyword argument 'key'"),
        ] {
            assert!(is_gap(kind, message), "{message}");
        }
    }

    #[test]
    fn an_error_in_python_too_is_not_a_gap() {
        for (kind, message) in [
            (ExcType::ValueError, "invalid literal"),
            (ExcType::SyntaxError, "'break' outside loop"),
            (ExcType::SyntaxError, "no binding for nonlocal 'x' found"),
            (ExcType::NameError, "name 'reslut' is not defined"),
            (ExcType::AttributeError, "'int' object has no attribute 'append'"),
            (ExcType::AttributeError, "'NoneType' object has no attribute 'group'"),
            (ExcType::TypeError, "unsupported operand type(s) for +: 'int' and 'str'"),
            (ExcType::TypeError, "unsupported operand type(s) for -: 'NoneType' and 'int'"),
            (ExcType::TypeError, "'<' not supported between instances of 'str' and 'int'"),
            (ExcType::TypeError, "can only concatenate str (not \"int\") to str"),
            (ExcType::TypeError, "'int' object is not iterable"),
            (ExcType::TypeError, "'str' object is not callable"),
            (ExcType::TypeError, "object of type 'NoneType' has no len()"),
            (ExcType::TypeError, "add() takes 1 positional argument but 2 were given"),
            (ExcType::TypeError, "add() missing 1 required positional argument: 'c'"),
        ] {
            assert!(!is_gap(kind, message), "{message}");
        }
    }
}

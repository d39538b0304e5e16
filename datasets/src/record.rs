//! The content of a line or row of a file: a question or a conversation.
//!
//! Four forms are read. The fields decide which one it is: the form of this crate (`prompt`, …), GSM8K (`question`,
//! `answer` with `####`), MATH (`problem`, `solution` with `\boxed`, `level`, `subject` or `type`) and conversations
//! (`messages`).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use thinkling_verifiers::lines::without_line;

use crate::Problem;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text of the turn.
    pub content: String,
}

/// The content of a line or row in any form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The record's own id.
    pub id: Option<String>,
    /// The name of its task.
    pub task: Option<String>,
    /// The difficulty.
    pub level: Option<u32>,
    /// The subject.
    pub subject: Option<String>,
    /// The turns before the question.
    pub history: Vec<Message>,
    /// The question.
    pub prompt: String,
    /// A completion to learn from.
    pub completion: Option<String>,
    /// The right answer.
    pub answer: Option<String>,
    /// Anything else a judge needs.
    pub spec: Option<Value>,
}

impl Record {
    /// The question with the turns before it.
    pub fn whole_prompt(&self) -> String {
        let before = self.history.iter().map(|message| message.content.as_str());
        before.chain([self.prompt.as_str()]).collect::<Vec<_>>().join("\n\n")
    }

    /// The record as a problem that can be judged, if it has an answer.
    pub fn problem(&self) -> Option<Problem> {
        let spec = self.spec.clone().unwrap_or(Value::Null);
        Some(Problem { prompt: self.prompt.clone(), answer: self.answer.clone()?, spec })
    }
}

/// Reads an object of one form.
type Form = fn(&Fields) -> Result<Record, String>;
/// The forms, each with the field that holds the question.
const FORMS: [(&str, Form); 4] =
    [("messages", conversation), ("question", gsm8k), ("problem", math), ("prompt", own)];

/// Parses a text as a record.
///
/// # Errors
/// When the text is not a JSON object of a known form. The error says what is wrong.
pub fn parse(text: &str) -> Result<Record, String> {
    let mut object = match serde_json::from_str(text) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err("not a JSON object".to_owned()),
        Err(error) => return Err(format!("not JSON: {}", without_line(&error))),
    };
    // Fails only where a key stands twice.
    let Written { id, answer } = serde_json::from_str(text).unwrap_or_default();
    for (key, written) in [("id", id), ("answer", answer)] {
        if let (Some(value @ Value::Number(_)), Some(written)) = (object.get_mut(key), written) {
            *value = written.get().into();
        }
    }
    let fields = Fields(object);
    let mut found = FORMS.iter().filter(|(key, _)| fields.get(key).is_some());
    match (found.next(), found.next()) {
        (Some((_, read)), None) => read(&fields),
        (Some((first, _)), Some((second, _))) => {
            Err(format!("has both `{first}` and `{second}`: which of them is the question?"))
        }
        (None, _) => Err("has none of `prompt`, `question`, `problem` and `messages`".to_owned()),
    }
}

/// The numbers of an object as written, because they may have more digits than any type holds.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Written<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
}

/// The fields of an object.
struct Fields(Map<String, Value>);

impl Fields {
    /// The value of a key. Null counts as missing.
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// An optional text.
    fn text(&self, key: &str) -> Result<Option<String>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("`{key}` is {}, not a string", kind(other))),
        }
    }

    /// A required text.
    fn need(&self, key: &str) -> Result<String, String> {
        let text = self.text(key)?.ok_or_else(|| format!("`{key}` is missing"))?;
        if text.trim().is_empty() { Err(format!("`{key}` is empty")) } else { Ok(text) }
    }

    /// An id or an answer: a text or a number.
    fn text_or_number(&self, key: &str) -> Result<Option<String>, String> {
        match self.get(key) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => self.text(key),
        }
    }

    /// The difficulty. A table of numbers may store it as a decimal.
    fn level(&self) -> Result<Option<u32>, String> {
        let whole = |level: &Value| {
            let decimal = level.as_f64().filter(|level| level.fract() == 0.0 && *level >= 0.0);
            let level = level.as_u64().or(decimal.map(|level| level as u64))?;
            u32::try_from(level).ok()
        };
        self.get("level")
            .map(|level| whole(level).ok_or_else(|| "`level` is not a whole number from 0 up".to_owned()))
            .transpose()
    }

    /// Anything else a judge needs: an object, or its JSON text, because a table column may not hold objects of
    /// different kinds.
    fn spec(&self) -> Result<Option<Value>, String> {
        match self.get("spec") {
            None => Ok(None),
            Some(Value::Object(spec)) => Ok(Some(Value::Object(spec.clone()))),
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(Value::Object(spec)) => Ok(Some(Value::Object(spec))),
                _ => Err("`spec` is a string that is not a JSON object".to_owned()),
            },
            Some(other) => Err(format!("`spec` is {}, not an object", kind(other))),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The form of this crate, as `thinkling generate` writes it.
fn own(fields: &Fields) -> Result<Record, String> {
    Ok(Record {
        id: fields.text_or_number("id")?,
        task: fields.text("task")?,
        level: fields.level()?,
        subject: fields.text("subject")?,
        history: Vec::new(),
        prompt: fields.need("prompt")?,
        completion: fields.text("completion")?,
        answer: fields.text_or_number("answer")?,
        spec: fields.spec()?,
    })
}

/// GSM8K: the worked solution is before the last `####`, and the answer is after it.
fn gsm8k(fields: &Fields) -> Result<Record, String> {
    let solution = fields.need("answer")?;
    let (worked, answer) = solution.rsplit_once("####").ok_or("`answer` has no `####`")?;
    if answer.trim().is_empty() {
        return Err("`answer` has nothing after `####`".to_owned());
    }
    Ok(Record {
        id: fields.text_or_number("id")?,
        prompt: fields.need("question")?,
        completion: Some(worked.trim().to_owned()).filter(|worked| !worked.is_empty()),
        answer: Some(answer.trim().to_owned()),
        ..Record::default()
    })
}

/// MATH: the answer is `answer` or the last `\boxed` of the solution. The level is a number or `Level N`.
fn math(fields: &Fields) -> Result<Record, String> {
    let solution = fields.text("solution")?;
    let answer = match (fields.text_or_number("answer")?, &solution) {
        (Some(answer), _) => answer,
        (None, None) => return Err("has neither `solution` nor `answer`".to_owned()),
        (None, Some(solution)) => {
            boxed(solution).ok_or("`solution` has no \\boxed answer with closed braces")?.to_owned()
        }
    };
    let level = match fields.get("level") {
        // Some lines of MATH have `Level ?`.
        Some(Value::String(level)) => level.trim_start_matches("Level").trim().parse().ok(),
        _ => fields.level()?,
    };
    Ok(Record {
        id: fields.text_or_number("id")?.or(fields.text("unique_id")?),
        level,
        subject: fields.text("subject")?.or(fields.text("type")?),
        prompt: fields.need("problem")?,
        completion: solution,
        answer: Some(answer),
        ..Record::default()
    })
}

/// The content of the last `\boxed{…}`, `\fbox{…}` or `\boxed x` in a text.
fn boxed(text: &str) -> Option<&str> {
    let start = ["\\boxed", "\\fbox"]
        .iter()
        .filter_map(|command| Some(text.rfind(command)? + command.len()))
        .max()?;
    let rest = text[start..].trim_start();
    let Some(inside) = rest.strip_prefix('{') else {
        let end = rest.find(|letter: char| letter == '$' || letter == '.' || letter.is_whitespace());
        return Some(&rest[..end.unwrap_or(rest.len())]).filter(|answer| !answer.is_empty());
    };
    let mut depth = 1u64;
    let mut is_escaped = false;
    for (at, letter) in inside.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(inside[..at].trim()).filter(|answer| !answer.is_empty());
        }
    }
    None
}

/// A conversation: the last user turn is the question, and an assistant turn after it is the completion.
fn conversation(fields: &Fields) -> Result<Record, String> {
    let Some(Value::Array(turns)) = fields.get("messages") else {
        return Err("`messages` is not a list".to_owned());
    };
    let mut history = Vec::with_capacity(turns.len());
    for (turn, value) in turns.iter().enumerate() {
        history.push(message(value).map_err(|reason| format!("message {}: {reason}", turn + 1))?);
    }
    let completion = match history.last() {
        Some(last) if last.role == "assistant" => history.pop().map(|last| last.content),
        _ => None,
    };
    let prompt = match history.pop() {
        Some(last) if last.role == "user" && last.content.trim().is_empty() => {
            return Err("the user's turn is empty".to_owned());
        }
        Some(last) if last.role == "user" => last.content,
        Some(last) => {
            return Err(format!("the last turn before the answer is the {}'s, not the user's", last.role));
        }
        None => return Err("`messages` has no user's turn".to_owned()),
    };
    Ok(Record {
        id: fields.text_or_number("id")?,
        history,
        prompt,
        completion,
        answer: fields.text_or_number("answer")?,
        spec: fields.spec()?,
        ..Record::default()
    })
}

/// Reads one turn. Its content is a string or a list of text parts.
fn message(value: &Value) -> Result<Message, String> {
    let role = value.get("role").and_then(Value::as_str).ok_or("`role` is missing or not a string")?;
    if !["system", "user", "assistant"].contains(&role) {
        return Err(format!("`role` is `{role}`; it must be system, user or assistant"));
    }
    let content = match value.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let text = |part: &Value| part.get("text").and_then(Value::as_str).map(str::to_owned);
            parts
                .iter()
                .map(text)
                .collect::<Option<String>>()
                .ok_or("`content` has a part that is not text")?
        }
        _ => return Err("`content` is missing or not a string".to_owned()),
    };
    Ok(Message { role: role.to_owned(), content })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_is_read() {
        let record = parse(r#"{"question":"Two and two?","answer":"2+2=<<2+2=4>>4\n#### 1,004"}"#).unwrap();
        assert_eq!((record.prompt.as_str(), record.answer.as_deref()), ("Two and two?", Some("1,004")));
        assert_eq!(record.completion.as_deref(), Some("2+2=<<2+2=4>>4"));

        let line = json!({"problem": "P", "level": "Level 5", "type": "Algebra", "solution": "so \\boxed{\\frac{1}{2}}."});
        let record = parse(&line.to_string()).unwrap();
        assert_eq!((record.level, record.subject.as_deref()), (Some(5), Some("Algebra")));
        assert_eq!(record.answer.as_deref(), Some("\\frac{1}{2}"));
        let line = json!({"problem": "P", "level": 3, "subject": "Geometry", "solution": "-", "answer": "7", "unique_id": "u"});
        let record = parse(&line.to_string()).unwrap();
        assert_eq!(
            (record.level, record.id.as_deref(), record.answer.as_deref()),
            (Some(3), Some("u"), Some("7"))
        );

        let line = json!({"messages": [
            {"role": "system", "content": "S"}, {"role": "user", "content": "A"}, {"role": "assistant", "content": "B"},
            {"role": "user", "content": [{"type": "text", "text": "C"}]}, {"role": "assistant", "content": "D"},
        ]});
        let record = parse(&line.to_string()).unwrap();
        assert_eq!(record.history.iter().map(|turn| turn.content.as_str()).collect::<String>(), "SAB");
        assert_eq!((record.prompt.as_str(), record.completion.as_deref()), ("C", Some("D")));

        for number in ["4.50", "123456789012345678901234567890", "-0"] {
            let record = parse(&format!("{{\"prompt\":\"a\",\"id\":{number},\"answer\":{number}}}")).unwrap();
            assert_eq!((record.id.as_deref(), record.answer.as_deref()), (Some(number), Some(number)));
        }
        let record = parse(r#"{"id":7,"prompt":"1+1=","answer":2,"spec":null,"extra":[]}"#).unwrap();
        assert_eq!(
            (record.id.as_deref(), record.answer.as_deref(), record.spec),
            (Some("7"), Some("2"), None)
        );
    }

    #[test]
    fn tables_hold_what_lines_leave_out() {
        // Null for a missing value, a decimal for a whole number, JSON text for an object.
        let line = r#"{"messages":null,"question":null,"prompt":"a","answer":4.5,"level":3.0,"spec":"{\"b\":[1]}","id":null}"#;
        let record = parse(line).unwrap();
        assert_eq!((record.prompt.as_str(), record.answer.as_deref()), ("a", Some("4.5")));
        assert_eq!((record.level, record.spec, record.id), (Some(3), Some(json!({ "b": [1] })), None));
        for line in [
            r#"{"problem":"a","answer":204}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"answer":204}"#,
        ] {
            assert_eq!(parse(line).unwrap().answer.as_deref(), Some("204"), "{line}");
        }
    }

    #[test]
    fn the_last_box_counts() {
        for (text, answer) in [
            (r"\boxed{1} or \boxed{ 2 }", Some("2")),
            (r"\boxed{\{1,2\}}", Some(r"\{1,2\}")),
            (r"$\boxed 5$", Some("5")),
            (r"\fbox{x}", Some("x")),
            (r"\boxed{1", None),
            (r"\boxed{}", None),
            (r"\boxed", None),
            ("none", None),
        ] {
            assert_eq!(boxed(text), answer, "{text}");
        }
    }

    #[test]
    fn the_reason_says_what_is_wrong() {
        for (line, reason) in [
            (r#"{"text":"a"}"#, "has none of `prompt`, `question`, `problem` and `messages`"),
            (r#"{"prompt":"a","question":"b"}"#, "has both `question` and `prompt`"),
            (r#"{"prompt":" "}"#, "`prompt` is empty"),
            (r#"{"prompt":1}"#, "`prompt` is a number, not a string"),
            (r#"{"prompt":"a","level":-1}"#, "`level` is not a whole number"),
            (r#"{"question":"a","answer":"5"}"#, "`answer` has no `####`"),
            (r#"{"question":"a","answer":"5 ####"}"#, "nothing after `####`"),
            (r#"{"problem":"a"}"#, "has neither `solution` nor `answer`"),
            (r#"{"problem":"a","solution":"b"}"#, "no \\boxed answer"),
            (r#"{"messages":[]}"#, "`messages` has no user's turn"),
            (r#"{"prompt":"a","level":2.5}"#, "`level` is not a whole number"),
            (r#"{"problem":"a","answer":"b","level":-1}"#, "`level` is not a whole number"),
            (r#"{"prompt":"a","spec":5}"#, "`spec` is a number, not an object"),
            (r#"{"prompt":"a","spec":"{}]"}"#, "`spec` is a string that is not a JSON object"),
            (r#"{"prompt":"a","answer":true}"#, "`answer` is a boolean, not a string"),
            (r#"{"prompt":null}"#, "has none of"),
            (r#"{"prompt":"a""#, "not JSON: EOF while parsing an object, at column 13"),
            (r#"{"messages":[{"role":"user","content":" "}]}"#, "the user's turn is empty"),
            (r#"{"messages":[{"role":"tool","content":"a"}]}"#, "message 1: `role` is `tool`"),
            (r#"{"messages":[{"role":"system","content":"a"}]}"#, "the system's, not the user's"),
            (r#"{"messages":[{"role":"user","content":[{"type":"image"}]}]}"#, "a part that is not text"),
        ] {
            let found = parse(line).unwrap_err();
            assert!(found.contains(reason), "{line}: {found}");
        }
        assert!(parse(&"[".repeat(1_000_000)).unwrap_err().contains("recursion limit"));
    }
}

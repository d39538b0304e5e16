//! JSON lines in and out: questions and conversations from files, one object a line.
//!
//! Four forms are read, told apart by their fields: this crate's own (`prompt`, …), GSM8K's (`question`, `answer` with
//! `####`), MATH's (`problem`, `solution` with `\boxed`, `level`, `subject` or `type`) and conversations (`messages`).
//! A line that is none of them is named with its file, its number and the reason; the rest goes on.

use std::io::{BufRead, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Problem;

/// A longer line is refused: it would have to be held in memory whole.
const LONGEST_LINE: u64 = 64 << 20;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// What a line says, whatever its form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The line's own name.
    pub id: Option<String>,
    /// The task that it belongs to.
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
    /// What else a judge needs.
    pub spec: Option<Value>,
}

impl Record {
    /// The question with the turns before it.
    pub fn whole_prompt(&self) -> String {
        let before = self.history.iter().map(|message| message.content.as_str());
        before.chain([self.prompt.as_str()]).collect::<Vec<_>>().join("\n\n")
    }

    /// The record as a question that can be judged, where it has an answer.
    pub fn problem(&self) -> Option<Problem> {
        let spec = self.spec.clone().unwrap_or(Value::Null);
        Some(Problem { prompt: self.prompt.clone(), answer: self.answer.clone()?, spec })
    }
}

/// A line, or the file, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonlError {
    /// The line is at fault; the next one can be read.
    #[error("{file}, line {line}: {reason}")]
    Line {
        /// The file's name as it was given.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be read on.
    #[error("{file}, line {line}: cannot read: {source}")]
    Read {
        /// The file's name as it was given.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What the system said.
        source: std::io::Error,
    },
}

/// How many lines of each kind have been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineCounts {
    /// Lines that gave a record.
    pub good: u64,
    /// Lines at fault.
    pub bad: u64,
    /// Lines of white space.
    pub blank: u64,
}

/// Reads records, a line at a time; it ends at the end of the file or at the first failed read.
pub struct Reader<R> {
    input: R,
    file: String,
    line: u64,
    text: String,
    is_over: bool,
    counts: LineCounts,
}

impl<R: BufRead> Reader<R> {
    /// A reader of `input`, which is called `file` in errors.
    pub fn new(input: R, file: impl Into<String>) -> Self {
        Self {
            input,
            file: file.into(),
            line: 0,
            text: String::new(),
            is_over: false,
            counts: LineCounts::default(),
        }
    }

    /// What has been read so far.
    pub fn counts(&self) -> LineCounts {
        self.counts
    }

    /// The number of the line that was read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The line that the last record was read from, without its end.
    pub fn text(&self) -> &str {
        self.text.trim_end_matches(['\n', '\r'])
    }

    /// The next line without its end, or why it is none; nothing at the end of the file.
    fn next_line(&mut self) -> std::io::Result<Option<Result<String, String>>> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() as u64 > LONGEST_LINE && bytes.last() != Some(&b'\n') {
            skip_line(&mut self.input)?;
            return Ok(Some(Err(format!("longer than {} MiB", LONGEST_LINE >> 20))));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            format!("not UTF-8: byte {} is out of place", error.utf8_error().valid_up_to() + 1)
        });
        // Some editors put a byte-order mark at the head of a file.
        Ok(Some(text.map(|text| text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))))
    }
}

/// Reads up to the end of the line and forgets it.
fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| end + 1);
        input.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, JsonlError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            self.line += 1;
            let read = match self.next_line() {
                Ok(None) => break,
                Ok(Some(Ok(text))) if text.trim().is_empty() => {
                    self.counts.blank += 1;
                    continue;
                }
                Ok(Some(line)) => line.and_then(|text| {
                    self.text = text;
                    parse(&self.text)
                }),
                Err(source) => {
                    self.is_over = true;
                    return Some(Err(JsonlError::Read { file: self.file.clone(), line: self.line, source }));
                }
            };
            return Some(match read {
                Ok(record) => {
                    self.counts.good += 1;
                    Ok(record)
                }
                Err(reason) => {
                    self.counts.bad += 1;
                    Err(JsonlError::Line { file: self.file.clone(), line: self.line, reason })
                }
            });
        }
        self.is_over = true;
        None
    }
}

/// Writes `value` as one line.
///
/// # Errors
/// When the value has no JSON form or the output fails.
pub fn write_line(output: &mut impl Write, value: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *output, value)?;
    output.write_all(b"\n")
}

/// Reads a line of one form.
type Form = fn(&Fields) -> Result<Record, String>;
/// The forms by the field that holds the question.
const FORMS: [(&str, Form); 4] =
    [("messages", conversation), ("question", gsm8k), ("problem", math), ("prompt", own)];

/// A line as a record, or what is wrong with it.
///
/// # Errors
/// When the line is no JSON object of a known form.
pub fn parse(line: &str) -> Result<Record, String> {
    let object = match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err("not a JSON object".to_owned()),
        Err(error) => return Err(format!("not JSON: {error}")),
    };
    let fields = Fields(object);
    let mut found = FORMS.iter().filter(|(key, _)| fields.0.contains_key(*key));
    match (found.next(), found.next()) {
        (Some((_, read)), None) => read(&fields),
        (Some((first, _)), Some((second, _))) => {
            Err(format!("has both `{first}` and `{second}`: which of them is the question?"))
        }
        (None, _) => Err("has none of `prompt`, `question`, `problem` and `messages`".to_owned()),
    }
}

/// The fields of a line.
struct Fields(Map<String, Value>);

impl Fields {
    /// A text that may be left out or null.
    fn text(&self, key: &str) -> Result<Option<String>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("`{key}` is {}, not a string", kind(other))),
        }
    }

    /// A text that must be there.
    fn need(&self, key: &str) -> Result<String, String> {
        let text = self.text(key)?.ok_or_else(|| format!("`{key}` is missing"))?;
        if text.trim().is_empty() { Err(format!("`{key}` is empty")) } else { Ok(text) }
    }

    /// A name: a string or a number.
    fn id(&self) -> Result<Option<String>, String> {
        match self.0.get("id") {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => self.text("id"),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// This crate's own form, as `thinkling generate` writes it; an answer may be a number.
fn own(fields: &Fields) -> Result<Record, String> {
    let answer = match fields.0.get("answer") {
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => fields.text("answer")?,
    };
    let level = match fields.0.get("level") {
        None | Some(Value::Null) => None,
        Some(level) => {
            let level = level.as_u64().and_then(|level| u32::try_from(level).ok());
            Some(level.ok_or("`level` is not a whole number from 0 up")?)
        }
    };
    Ok(Record {
        id: fields.id()?,
        task: fields.text("task")?,
        level,
        subject: fields.text("subject")?,
        history: Vec::new(),
        prompt: fields.need("prompt")?,
        completion: fields.text("completion")?,
        answer,
        spec: fields.0.get("spec").filter(|spec| !spec.is_null()).cloned(),
    })
}

/// GSM8K: the worked solution and the answer stand before and after the last `####`.
fn gsm8k(fields: &Fields) -> Result<Record, String> {
    let solution = fields.need("answer")?;
    let (worked, answer) = solution.rsplit_once("####").ok_or("`answer` has no `####`")?;
    if answer.trim().is_empty() {
        return Err("`answer` has nothing after `####`".to_owned());
    }
    Ok(Record {
        id: fields.id()?,
        prompt: fields.need("question")?,
        completion: Some(worked.trim().to_owned()).filter(|worked| !worked.is_empty()),
        answer: Some(answer.trim().to_owned()),
        ..Record::default()
    })
}

/// MATH: the answer is `answer` or the last `\boxed` of the solution, the level a number or `Level N`.
fn math(fields: &Fields) -> Result<Record, String> {
    let solution = fields.text("solution")?;
    let answer = match (fields.text("answer")?, &solution) {
        (Some(answer), _) => answer,
        (None, None) => return Err("has neither `solution` nor `answer`".to_owned()),
        (None, Some(solution)) => {
            boxed(solution).ok_or("`solution` has no \\boxed answer whose braces close")?.to_owned()
        }
    };
    let level = match fields.0.get("level") {
        Some(Value::Number(level)) => level.as_u64().and_then(|level| u32::try_from(level).ok()),
        // Some lines of MATH have `Level ?`.
        _ => fields.text("level")?.and_then(|level| level.trim_start_matches("Level").trim().parse().ok()),
    };
    Ok(Record {
        id: fields.id()?.or(fields.text("unique_id")?),
        level,
        subject: fields.text("subject")?.or(fields.text("type")?),
        prompt: fields.need("problem")?,
        completion: solution,
        answer: Some(answer),
        ..Record::default()
    })
}

/// What the last `\boxed{…}`, `\fbox{…}` or `\boxed x` of a text holds.
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

/// A conversation: the last user's turn is the question, an assistant's turn after it the completion.
fn conversation(fields: &Fields) -> Result<Record, String> {
    let Some(Value::Array(turns)) = fields.0.get("messages") else {
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
        Some(last) if last.role == "user" => last.content,
        Some(last) => {
            return Err(format!("the last turn before the answer is the {}'s, not the user's", last.role));
        }
        None => return Err("`messages` has no user's turn".to_owned()),
    };
    Ok(Record {
        id: fields.id()?,
        history,
        prompt,
        completion,
        answer: fields.text("answer")?,
        spec: fields.0.get("spec").filter(|spec| !spec.is_null()).cloned(),
        ..Record::default()
    })
}

/// One turn; its content is a string or a list of parts of text.
fn message(value: &Value) -> Result<Message, String> {
    let role = value.get("role").and_then(Value::as_str).ok_or("`role` is missing or not a string")?;
    if !["system", "user", "assistant"].contains(&role) {
        return Err(format!("`role` is `{role}`; system, user and assistant can be read"));
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
    use std::io::BufReader;

    use serde_json::json;

    use super::*;
    use crate::domains;
    use crate::split::{Dataset, Split};

    fn read(text: &[u8]) -> (Vec<Record>, Vec<String>, LineCounts) {
        // A small buffer shows that lines are put together from pieces.
        let mut reader = Reader::new(BufReader::with_capacity(7, text), "x.jsonl");
        let (mut records, mut errors) = (Vec::new(), Vec::new());
        for line in reader.by_ref() {
            match line {
                Ok(record) => records.push(record),
                Err(error) => errors.push(error.to_string()),
            }
        }
        (records, errors, reader.counts())
    }

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

        let record = parse(r#"{"id":7,"prompt":"1+1=","answer":2,"spec":null,"extra":[]}"#).unwrap();
        assert_eq!(
            (record.id.as_deref(), record.answer.as_deref(), record.spec),
            (Some("7"), Some("2"), None)
        );
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
    fn bad_lines_are_named_and_counted_and_the_rest_goes_on() {
        let mut text = Vec::new();
        text.extend_from_slice(b"\xef\xbb\xbf{\"prompt\":\"a\"}\r\n\n[1]\n{\"prompt\":\n");
        text.extend_from_slice(b"{\"prompt\":\"\xff\"}\n{\"prompt\":\"b\"}");
        let (records, errors, counts) = read(&text);
        assert_eq!(records.iter().map(|record| record.prompt.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(counts, LineCounts { good: 2, bad: 3, blank: 1 });
        assert!(errors[0].starts_with("x.jsonl, line 3: not a JSON object"), "{errors:?}");
        assert!(errors[1].starts_with("x.jsonl, line 4: not JSON: EOF"), "{errors:?}");
        assert_eq!(errors[2], "x.jsonl, line 5: not UTF-8: byte 12 is out of place");
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
            (r#"{"messages":[{"role":"tool","content":"a"}]}"#, "message 1: `role` is `tool`"),
            (r#"{"messages":[{"role":"system","content":"a"}]}"#, "the system's, not the user's"),
            (r#"{"messages":[{"role":"user","content":[{"type":"image"}]}]}"#, "a part that is not text"),
        ] {
            let found = parse(line).unwrap_err();
            assert!(found.contains(reason), "{line}: {found}");
        }
        assert!(parse(&"[".repeat(1_000_000)).unwrap_err().contains("recursion limit"));
    }

    #[test]
    fn a_line_too_long_is_skipped_whole() {
        let mut text = vec![b'x'; LONGEST_LINE as usize + 10];
        text.extend_from_slice(b"\n{\"prompt\":\"a\"}\n");
        let mut reader = Reader::new(text.as_slice(), "x");
        assert_eq!(reader.next().unwrap().unwrap_err().to_string(), "x, line 1: longer than 64 MiB");
        assert_eq!(reader.next().unwrap().unwrap().prompt, "a");
        assert!(reader.next().is_none());
    }

    #[test]
    fn a_failing_input_ends_the_reading() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("gone"))
            }
        }
        let mut reader = Reader::new(BufReader::new(Broken), "x");
        assert_eq!(reader.next().unwrap().unwrap_err().to_string(), "x, line 1: cannot read: gone");
        assert!(reader.next().is_none());
    }

    #[test]
    fn tasks_go_out_and_come_back() {
        for row in domains::DOMAINS {
            let domain = (row.build)(&Value::Null).unwrap();
            let level = *domain.levels().start();
            let task = Dataset::new(row, domain.as_ref(), level, 0).unwrap().task(Split::Train, 0).unwrap();
            let mut line = Vec::new();
            write_line(&mut line, &task).unwrap();
            let record = read(&line).0.remove(0);
            assert_eq!(record.problem().as_ref(), Some(&task.problem));
            assert_eq!((record.id, record.level, record.task), (Some(task.id), Some(level), Some(task.task)));
        }
    }
}

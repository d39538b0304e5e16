//! Runs the program and reads its results.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Map, Value};

/// Every kind of stage on a small mixture of experts, in a second: with enough pretraining for both right and wrong
/// answers, so that the updates of GRPO change the weights.
pub(crate) const TINY: &str = r#"
name = "tiny"
seed = 7

[task]
name = "parity"
level = 6

[model]
hidden_size = 16
num_hidden_layers = 2
num_attention_heads = 2
kv_lora_rank = 8
qk_nope_head_dim = 4
qk_rope_head_dim = 4
v_head_dim = 8
intermediate_size = 32
moe_intermediate_size = 16
n_routed_experts = 4

[[stage]]
kind = "pretrain"
steps = 40
batch_size = 16
learning_rate = 0.02
warmup_steps = 4
save_every = 7
evaluate_every = 15
shares = { direct = 0.9, long = 0.1 }
evaluation = { count = 8 }

[[stage]]
kind = "grpo"
steps = 6
warmup_steps = 1
prompts = 4
group_size = 4
max_new_tokens = 20
save_every = 2
evaluate_every = 3
evaluation = { count = 8 }
readiness = { action = "off" }

[[stage]]
kind = "eval"
count = 8
samples = 2
"#;

/// The results of a finished program.
pub(crate) struct Output {
    /// The exit code; none after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Fails with the program's output unless it ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "standard error:\n{}\nstandard output:\n{}",
            self.stderr,
            self.stdout
        );
        self
    }

    /// Standard output, which must consist of JSON lines.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }
}

/// The program with these arguments, in an empty working folder.
pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thinkling"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    run_command(&mut command(arguments))
}

/// Runs a command to its end.
pub(crate) fn run_command(command: &mut Command) -> Output {
    finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Runs the program on `input`.
pub(crate) fn run_on<S: AsRef<std::ffi::OsStr>>(arguments: &[S], input: &str) -> Output {
    run_on_bytes(arguments, input.as_bytes())
}

/// Runs the program on input that may be any bytes.
pub(crate) fn run_on_bytes<S: AsRef<std::ffi::OsStr>>(arguments: &[S], input: &[u8]) -> Output {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that answers line by line must be read while it gets its input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = finish(child);
    writer.join().unwrap();
    output
}

/// Waits for `child`.
pub(crate) fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A folder for one test, with a recipe in it.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    /// The recipe's file.
    pub(crate) recipe: PathBuf,
}

impl Bench {
    /// A fresh folder with the recipe `text`.
    pub(crate) fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let recipe = folder.path().join("recipe.toml");
        fs::write(&recipe, text).unwrap();
        Self { folder, recipe }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The arguments that train the recipe into the folder `out`, and `more`.
    pub(crate) fn arguments(&self, out: &str, more: &[&str]) -> Vec<String> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let mut arguments =
            vec!["train".to_owned(), path(&self.recipe), "--out".to_owned(), path(&self.path(out))];
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        arguments
    }

    /// Trains the recipe into the folder `out`.
    pub(crate) fn train(&self, out: &str, more: &[&str]) -> Output {
        run(&self.arguments(out, more))
    }

    /// Trains the recipe to its end.
    #[track_caller]
    pub(crate) fn trained(&self, out: &str, more: &[&str]) -> Folder {
        self.train(out, more).expect(0);
        let folder = Folder(self.path(out));
        assert_eq!(folder.json("summary.json")["status"], "done");
        folder
    }
}

/// A run folder.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// The file `name`.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The bytes of the file `name`.
    #[track_caller]
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The JSON file `name`.
    #[track_caller]
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The rows of the JSON-lines file `name`.
    #[track_caller]
    pub(crate) fn rows(&self, name: &str) -> Vec<Value> {
        json_lines(&self.read(name))
    }

    /// The rows of `metrics.jsonl` of one stage and kind.
    #[track_caller]
    pub(crate) fn metrics(&self, stage: &str, kind: &str) -> Vec<Value> {
        let mut rows = self.rows("metrics.jsonl");
        rows.retain(|row| row["stage"] == stage && row["kind"] == kind);
        rows
    }

    /// `metrics.jsonl` without times, and without the keys `but`.
    #[track_caller]
    pub(crate) fn timeless_metrics(&self, but: &[&str]) -> Vec<Value> {
        let mut rows = self.rows("metrics.jsonl");
        for row in rows.iter_mut().filter_map(Value::as_object_mut) {
            row.retain(|key, _| !["wall_s", "tokens_per_s", "mfu", "cost_usd"].contains(&key.as_str()));
            row.retain(|key, _| !key.starts_with("verifying_"));
            row.retain(|key, _| !but.contains(&key.as_str()));
        }
        rows
    }

    /// The names of the checkpoints, sorted.
    pub(crate) fn checkpoints(&self) -> Vec<String> {
        names(&self.0.join("checkpoints"))
    }

    /// Fails unless both runs have the same bits and rows, even if this one paid for some work twice.
    #[track_caller]
    pub(crate) fn assert_same_but_for_what_was_lost(&self, other: &Self, last_checkpoint: &str) {
        self.assert_same(other, last_checkpoint, &["flops"]);
    }

    /// Fails unless both runs have the same bits and rows.
    #[track_caller]
    pub(crate) fn assert_same_as(&self, other: &Self, last_checkpoint: &str) {
        self.assert_same(other, last_checkpoint, &[]);
    }

    #[track_caller]
    fn assert_same(&self, other: &Self, last_checkpoint: &str, but: &[&str]) {
        for name in ["model.safetensors", "optimizer.safetensors"] {
            let name = format!("checkpoints/{last_checkpoint}/{name}");
            assert!(self.bytes(&name) == other.bytes(&name), "{name} differs");
        }
        let (mine, others) = (self.timeless_metrics(but), other.timeless_metrics(but));
        for (mine, others) in mine.iter().zip(&others) {
            assert_eq!(mine, others);
        }
        assert_eq!(mine.len(), others.len(), "rows of metrics.jsonl");
        assert!(self.read("rollouts.jsonl") == other.read("rollouts.jsonl"), "rollouts.jsonl differs");
    }
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Every line of `text` as JSON; the last one must be complete.
#[track_caller]
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut short: {text:?}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The object in `value`.
#[track_caller]
pub(crate) fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

/// The number under `key`.
#[track_caller]
pub(crate) fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("no number `{key}` in {row}"))
}

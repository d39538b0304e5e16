//! The interpreter for machines without Python: `monty`, run in the same way as CPython.
//!
//! Speaks the same protocol as `driver.py`: it forks an attempt on request, and the attempt answers one input at a
//! time. It supports only part of the language. A failure that may come from this gap is reported as a gap, never as a
//! mistake of the program.

use std::io;
use std::os::fd::AsFd;

use monty::MontyRepl;
use monty_types::{
    AssertMessageAnnotations, CompileOptions, ExcType, MontyException, MontyObject, PrintWriter,
    ResourceTracker,
};
use num_bigint::BigInt;
use rustix::event::PollFlags;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getpid, getppid, pidfd_open, set_parent_process_death_signal,
    setrlimit,
};

use super::data::{Data, MAX_DEPTH};
use super::frames::{framed, take_frame};
use super::sandbox::{self, inherited};
use crate::pipes::{Deadline, read_some, wait, write_some};

mod gaps;
mod watched;

use gaps::is_gap;

/// The version of the interpreter, for display.
pub(super) const VERSION: &str = "monty 0.0.23";

const INPUT: i32 = 3;
const OUTPUT: i32 = 4;
const REQUESTS: i32 = 5;
const NOTICES: i32 = 6;

/// A century, because whatever waits here is killed from outside.
const FOREVER: std::time::Duration = std::time::Duration::from_secs(3_000_000_000);

/// Serves fork requests until there are no more. Then, and on any failure, the process ends.
pub(super) fn serve() -> io::Result<()> {
    let options = CompileOptions { assert_message_annotations: AssertMessageAnnotations::Off };
    let mut warm = MontyRepl::new("solution.py", ResourceTracker::default(), options);
    watched::define(&mut warm).map_err(|error| io::Error::other(error.summary()))?;
    notice(b'R', 0)?;
    let overseer = getpid();
    loop {
        let mut request = Vec::new();
        if read_some(inherited(REQUESTS), &mut request)?.is_none() {
            return Ok(());
        }
        if !request.contains(&b'F') {
            continue;
        }
        match sandbox::fork()? {
            None => {
                die_with(overseer)?;
                return attempt(warm);
            }
            Some(child) => oversee(child)?,
        }
    }
}

/// Without a process namespace, nothing else ends an attempt after its overseers were killed.
fn die_with(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
}

fn notice(tag: u8, value: i32) -> io::Result<()> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&value.to_le_bytes());
    write_some(inherited(NOTICES), &bytes).map(drop)
}

fn oversee(child: Pid) -> io::Result<()> {
    notice(b'P', child.as_raw_nonzero().get())?;
    let watch = pidfd_open(child, PidfdFlags::empty())?;
    let requests = inherited(REQUESTS);
    let forever = Deadline::after(FOREVER);
    let ready = wait([(requests, PollFlags::IN), (watch.as_fd(), PollFlags::IN)], forever)?;
    if !ready[0].is_empty() && read_some(requests, &mut Vec::new())?.is_none() {
        return Ok(());
    }
    // Without a process namespace this kill is refused, but then the worker has killed the attempt itself.
    sandbox::kill(child);
    let (status, processor) = sandbox::wait_for(child)?;
    let mut bytes = vec![b'D'];
    bytes.extend(status.to_le_bytes());
    bytes.extend(u64::try_from(processor.as_micros()).unwrap_or(u64::MAX).to_le_bytes());
    // It has no scratch folder that could be left dirty.
    bytes.push(1);
    write_some(inherited(NOTICES), &bytes).map(drop)
}

fn attempt(mut repl: MontyRepl) -> io::Result<()> {
    let mut received = Vec::new();
    let task = Task::read(&receive(&mut received)?).ok_or(io::ErrorKind::InvalidData)?;
    for (resource, value) in [(Resource::As, task.memory), (Resource::Cpu, task.cpu), (Resource::Nproc, 0)] {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    }
    match load(&mut repl, &task) {
        Ok(()) => send(b"R")?,
        Err(answer) => return send(&answer),
    }
    loop {
        let input = Data::decode(&receive(&mut received)?).map_err(io::Error::other)?;
        send(&answer(&mut repl, &task, input))?;
    }
}

struct Task {
    mode: String,
    entry: String,
    source: String,
    setup: String,
    memory: u64,
    cpu: u64,
    output: usize,
}

impl Task {
    fn read(bytes: &[u8]) -> Option<Self> {
        let Data::Dict(entries) = Data::decode(bytes).ok()? else { return None };
        let find =
            |name: &str| entries.iter().find(|(key, _)| *key == Data::text(name)).map(|(_, value)| value);
        let text = |name| if let Some(Data::Text(text)) = find(name) { Some(text.clone()) } else { None };
        let number = |name| match find(name) {
            Some(Data::Int(digits)) => u64::from_str_radix(digits, 16).ok(),
            _ => None,
        };
        Some(Self {
            mode: text("mode")?,
            entry: text("entry")?,
            source: text("source")?,
            setup: text("setup")?,
            memory: number("memory")?,
            cpu: number("cpu")?,
            output: usize::try_from(number("output")?).ok()?,
        })
    }
}

fn load(repl: &mut MontyRepl, task: &Task) -> Result<(), Vec<u8>> {
    for source in [&task.setup, &task.source] {
        let prepared = watched::prepared(source).map_err(|gap| tagged(b'S', &gap))?;
        let run = repl.feed_run(&prepared, Vec::new(), PrintWriter::Disabled);
        run.map_err(|error| match error.exc_type() {
            ExcType::SyntaxError if !watched::is_python(source) => tagged(b'X', "SyntaxError"),
            _ => complaint(&error),
        })?;
    }
    if task.mode != "function" {
        // Without a program, only the setup is run.
        return Ok(());
    }
    let name = task.entry.split('.').next().unwrap_or_default();
    repl.feed_run(name, Vec::new(), PrintWriter::Disabled).map(drop).map_err(|error| complaint(&error))
}

/// An exception that only this interpreter raises and that the program has caught. The program's result may be wrong
/// because of it.
fn hidden_gap(repl: &mut MontyRepl) -> Option<String> {
    let gap = watched::caught(repl).into_iter().find(|(kind, message)| is_gap(*kind, message))?;
    Some(format!("{}: {}", gap.0, gap.1))
}

fn answer(repl: &mut MontyRepl, task: &Task, input: Data) -> Vec<u8> {
    let Data::Tuple(parts) = input else { return tagged(b'U', "no arguments") };
    let Ok([Data::List(arguments), Data::Dict(named)]) = <[Data; 2]>::try_from(parts) else {
        return tagged(b'U', "no arguments");
    };
    let keyed: Option<Vec<(String, Data)>> = named
        .into_iter()
        .map(|(key, value)| if let Data::Text(key) = key { Some((key, value)) } else { None })
        .collect();
    let Some(keyed) = keyed else { return tagged(b'U', "no arguments") };
    let mut written = Vec::new();
    let mut inputs = Vec::new();
    let unnamed = arguments.into_iter().map(|value| (String::new(), value));
    for (at, (key, value)) in unnamed.chain(keyed).enumerate() {
        let name = format!("argument_{at}_of_the_test");
        written.push(if key.is_empty() { name.clone() } else { format!("{key}={name}") });
        let Some(value) = to_monty(value) else { return tagged(b'S', "an argument that has no counterpart") };
        inputs.push((name, value));
    }
    let function = match task.entry.split_once('.') {
        Some((class, method)) => format!("{class}().{method}"),
        None => task.entry.clone(),
    };
    let call = format!("{function}({})", written.join(", "));
    let result = repl.feed_run(&call, inputs, PrintWriter::Disabled);
    let gap = if task.source.contains("except") { hidden_gap(repl) } else { None };
    match (result, gap) {
        (Err(_), Some(gap)) => tagged(b'S', &gap),
        (Err(error), None) => complaint(&error),
        (Ok(value), gap) => match from_monty(value, 0) {
            None => tagged(b'U', "a value that is not plain data"),
            Some(value) => {
                let value = value.encode();
                if value.len() > task.output {
                    return tagged(b'U', "a value over the output limit");
                }
                let mut bytes = vec![b'V'];
                if let Some(gap) = gap {
                    bytes = tagged(b'G', &gap);
                    bytes.push(0);
                }
                bytes.extend_from_slice(&value);
                bytes
            }
        },
    }
}

fn tagged(tag: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// What was raised: by the program (`X`), or because this interpreter lacks something that Python has (`S`).
fn complaint(error: &MontyException) -> Vec<u8> {
    if is_gap(error.exc_type(), error.message().unwrap_or_default()) {
        tagged(b'S', &error.summary())
    } else {
        tagged(b'X', &error.exc_type().to_string())
    }
}

fn to_monty(value: Data) -> Option<MontyObject> {
    let all = |items: Vec<Data>| items.into_iter().map(to_monty).collect::<Option<Vec<_>>>();
    Some(match value {
        Data::None => MontyObject::None,
        Data::Bool(flag) => MontyObject::Bool(flag),
        Data::Int(digits) => match i64::from_str_radix(&digits, 16) {
            Ok(value) => MontyObject::Int(value),
            Err(_) => MontyObject::BigInt(BigInt::parse_bytes(digits.as_bytes(), 16)?),
        },
        Data::Float(value) => MontyObject::Float(value),
        Data::Text(text) => MontyObject::String(text),
        Data::Bytes(bytes) => MontyObject::Bytes(bytes),
        Data::List(items) => MontyObject::List(all(items)?),
        Data::Tuple(items) => MontyObject::Tuple(all(items)?),
        Data::Set(items) => MontyObject::Set(all(items)?),
        Data::Dict(entries) => MontyObject::dict(
            entries
                .into_iter()
                .map(|(key, value)| Some((to_monty(key)?, to_monty(value)?)))
                .collect::<Option<Vec<_>>>()?,
        ),
        Data::Made(..) => return None,
    })
}

fn from_monty(value: MontyObject, depth: usize) -> Option<Data> {
    if depth > MAX_DEPTH {
        return None;
    }
    let all = |items: Vec<MontyObject>| {
        items.into_iter().map(|item| from_monty(item, depth + 1)).collect::<Option<Vec<_>>>()
    };
    Some(match value {
        MontyObject::None => Data::None,
        MontyObject::Bool(flag) => Data::Bool(flag),
        MontyObject::Int(value) => Data::int(value.into()),
        MontyObject::BigInt(value) => Data::Int(value.to_str_radix(16)),
        MontyObject::Float(value) => Data::Float(value),
        MontyObject::String(text) => Data::Text(text),
        MontyObject::Bytes(bytes) => Data::Bytes(bytes),
        MontyObject::List(items) => Data::List(all(items)?),
        MontyObject::Tuple(items) => Data::Tuple(all(items)?),
        MontyObject::Set(items) | MontyObject::FrozenSet(items) => Data::Set(all(items)?),
        MontyObject::Dict(entries) => Data::Dict(
            entries
                .into_iter()
                .map(|(key, value)| Some((from_monty(key, depth + 1)?, from_monty(value, depth + 1)?)))
                .collect::<Option<Vec<_>>>()?,
        ),
        _ => return None,
    })
}

fn receive(received: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        if let Some(frame) = take_frame(received) {
            return Ok(frame);
        }
        if read_some(inherited(INPUT), received)?.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn send(body: &[u8]) -> io::Result<()> {
    let bytes = framed(body)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        rest = &rest[write_some(inherited(OUTPUT), rest)?..];
    }
    Ok(())
}

//! Runs the tests of an item on a worker and counts the passed ones.

use super::Credit;
use super::client::{Client, ClientError};
use super::data::Data;
use super::protocol::Reply;
use super::spec::{Call, Limits, Run, Spec, Test, Tests};

/// The limits for work without the program: taking assertions apart and evaluating their remaining parts.
const JUDGING: Limits =
    Limits { time: std::time::Duration::from_secs(10), memory_bytes: 1 << 30, output_bytes: 16 << 20 };

/// Why an item has no verdict yet.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The worker is lost. The program is not at fault.
    Worker(ClientError),
    /// The interpreter was lost while it ran the program.
    Interpreter(String),
    /// The embedded interpreter lacks something that the program uses. CPython never reports this.
    Unsupported(String),
    /// The tests themselves cannot be evaluated.
    Item(String),
    /// The machine had too little time for a program with this limit.
    Starved(std::time::Duration),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Worker(error)
    }
}

/// The results of the tests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    public: (usize, usize),
    hidden: (usize, usize),
    before_first_failure: usize,
    first_failure: Option<(usize, String)>,
    pub(super) late: bool,
}

impl Tally {
    fn new<T>(tests: &[Test<T>]) -> Self {
        let public = tests.iter().filter(|test| test.public).count();
        Self { public: (0, public), hidden: (0, tests.len() - public), ..Self::default() }
    }

    fn pass(&mut self, public: bool) {
        let counter = if public { &mut self.public } else { &mut self.hidden };
        counter.0 += 1;
        self.before_first_failure += usize::from(self.first_failure.is_none());
    }

    fn fail(&mut self, at: usize, why: String) {
        self.first_failure.get_or_insert((at, why));
    }

    /// Records the result of a test. Returns whether to continue with the next one.
    fn note(&mut self, at: usize, public: bool, result: Result<(), Failure>, credit: Credit) -> bool {
        match result {
            Ok(()) => {
                self.pass(public);
                true
            }
            Err(Failure { why, stop }) => {
                self.late |= stop == Stop::Late;
                self.fail(at, why);
                stop == Stop::No && credit == Credit::Fraction
            }
        }
    }

    /// The score, in [0, 1].
    pub(super) fn score(&self, credit: Credit) -> f64 {
        let (passed, total) = (self.public.0 + self.hidden.0, self.public.1 + self.hidden.1);
        let share = |count: usize| if total == 0 { 0.0 } else { count as f64 / total as f64 };
        match credit {
            Credit::All => f64::from(u8::from(total > 0 && passed == total)),
            Credit::Fraction => share(passed),
            Credit::FirstFailure => share(self.before_first_failure),
        }
    }

    /// One sentence: how many hidden and public tests passed, and what failed first.
    pub(super) fn reason(&self) -> String {
        let mut reason = format!("passed {} of {} hidden tests", self.hidden.0, self.hidden.1);
        if self.public.1 > 0 {
            reason.push_str(&format!(" and {} of {} public ones", self.public.0, self.public.1));
        }
        if let Some((at, why)) = &self.first_failure {
            reason.push_str(&format!("; test {}: {why}", at + 1));
        }
        reason
    }
}

/// Whether the other tests are still worth running after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// The program cannot be loaded, so all tests fail in the same way.
    Loading,
    Late,
}

#[derive(Debug)]
struct Failure {
    why: String,
    stop: Stop,
}

fn failed(why: impl Into<String>) -> Failure {
    Failure { why: why.into(), stop: Stop::No }
}

/// Runs all tests of `spec` on `program`.
pub(super) fn run(client: &mut Client, spec: &Spec, program: &str, embedded: bool) -> Result<Tally, Trouble> {
    if embedded && !matches!(spec.tests, Tests::Function { .. }) {
        return Err(Trouble::Unsupported("without CPython only tests of kind `function` are judged".into()));
    }
    let session = |mode, entry| Session { embedded, ..Session::new(mode, entry, program, spec) };
    let tally = match &spec.tests {
        Tests::Function { entry, calls } => run_calls(client, session("function", entry), spec, calls),
        Tests::Stdio { runs, printed } => {
            let equal = |run: &Run, found: &str| printed.equal(&run.stdout, found);
            run_programs(client, session("stdio", ""), spec, runs, equal)
        }
        Tests::Asserts(asserts) => run_asserts(client, session("expressions", ""), spec, asserts),
        Tests::UntrustedAsserts(asserts) => run_statements(client, session("statements", ""), spec, asserts),
    }?;
    if tally.first_failure.is_some() && !spec.setup.is_empty() {
        check_setup(client, Session { embedded, ..Session::judge(spec) })?;
    }
    Ok(tally)
}

/// Fails if the setup cannot run even without a program. Then the program is not at fault.
fn check_setup(client: &mut Client, mut judge: Session) -> Result<(), Trouble> {
    let loaded = judge.load(client)?;
    judge.end(client)?;
    loaded.map_err(|failure| Trouble::Item(format!("the setup of the spec {}", failure.why)))
}

fn run_calls(
    client: &mut Client,
    mut session: Session,
    spec: &Spec,
    calls: &[Test<Call>],
) -> Result<Tally, Trouble> {
    let mut tally = Tally::new(calls);
    for (at, test) in calls.iter().enumerate() {
        let found = session.ask(client, &test.body.arguments)?;
        let result = found.and_then(|found| same(spec, &test.body.expected, &found));
        if let (Err(_), Some(gap)) = (&result, session.gap.take()) {
            return Err(Trouble::Unsupported(gap));
        }
        if !tally.note(at, test.public, result, spec.credit) {
            break;
        }
    }
    session.end(client)?;
    Ok(tally)
}

fn same(spec: &Spec, expected: &Data, found: &Data) -> Result<(), Failure> {
    if spec.comparison.equal(expected, found) {
        Ok(())
    } else {
        Err(failed(format!("a value of type {} that differs from the expected value", found.type_name())))
    }
}

fn run_programs(
    client: &mut Client,
    mut session: Session,
    spec: &Spec,
    runs: &[Test<Run>],
    equal: impl Fn(&Run, &str) -> bool,
) -> Result<Tally, Trouble> {
    let mut tally = Tally::new(runs);
    for (at, test) in runs.iter().enumerate() {
        let printed = session.run(client, test.body.stdin.as_bytes())?;
        let result = printed.and_then(|printed| match String::from_utf8(printed) {
            Ok(text) if equal(&test.body, &text) => Ok(()),
            Ok(_) => Err(failed("did not print what was expected")),
            Err(_) => Err(failed("printed bytes that are not UTF-8")),
        });
        if !tally.note(at, test.public, result, spec.credit) {
            break;
        }
    }
    session.end(client)?;
    Ok(tally)
}

fn run_statements(
    client: &mut Client,
    mut session: Session,
    spec: &Spec,
    asserts: &[Test<String>],
) -> Result<Tally, Trouble> {
    let mut tally = Tally::new(asserts);
    for (at, test) in asserts.iter().enumerate() {
        let result = session.ask(client, &Data::text(&test.body))?.map(drop);
        if !tally.note(at, test.public, result, spec.credit) {
            break;
        }
    }
    session.end(client)?;
    Ok(tally)
}

/// An assertion taken apart: the parts that the program evaluates, and the check of their values.
enum Assertion {
    /// The single value must equal the expected one.
    Equal(Vec<String>, Data),
    /// This expression over the values must be true.
    Weigh(Vec<String>, String),
}

impl Assertion {
    fn holes(&self) -> &[String] {
        match self {
            Self::Equal(holes, _) | Self::Weigh(holes, _) => holes,
        }
    }
}

fn run_asserts(
    client: &mut Client,
    mut session: Session,
    spec: &Spec,
    asserts: &[Test<String>],
) -> Result<Tally, Trouble> {
    let assertions = split(client, spec, asserts)?;
    let mut tally = Tally::new(asserts);
    let mut found: Vec<Result<Vec<Data>, Failure>> = Vec::new();
    for assertion in &assertions {
        let mut values = Ok(Vec::new());
        for hole in assertion.holes() {
            match (session.ask(client, &Data::text(hole))?, &mut values) {
                (Ok(value), Ok(values)) => values.push(value),
                (Err(failure), _) => values = Err(failure),
                (Ok(_), Err(_)) => {}
            }
            if values.is_err() {
                break;
            }
        }
        let late = matches!(&values, Err(Failure { stop: Stop::Late | Stop::Loading, .. }));
        found.push(values);
        if late {
            break;
        }
    }
    session.end(client)?;
    let mut judge = Session::judge(spec);
    for (at, ((test, assertion), values)) in asserts.iter().zip(&assertions).zip(found).enumerate() {
        let result = match (values, assertion) {
            (Err(failure), _) => Err(failure),
            (Ok(values), Assertion::Equal(_, expected)) => match values.first() {
                Some(value) => same(spec, expected, value),
                None => Err(failed("no value")),
            },
            (Ok(values), Assertion::Weigh(_, rest)) => {
                let request = Data::List(vec![Data::text("weigh"), Data::text(rest), Data::List(values)]);
                match judge.ask(client, &request)? {
                    Ok(Data::Bool(true)) => Ok(()),
                    // The program returned these values, so it is wrong in both cases: the expression is false, or it
                    // cannot be evaluated.
                    Ok(_) => Err(failed("the assertion does not hold")),
                    Err(failure) => Err(failed(format!("the assertion {}", failure.why))),
                }
            }
        };
        if !tally.note(at, test.public, result, spec.credit) {
            break;
        }
    }
    judge.end(client)?;
    Ok(tally)
}

fn split(client: &mut Client, spec: &Spec, asserts: &[Test<String>]) -> Result<Vec<Assertion>, Trouble> {
    let mut judge = Session::judge(spec);
    let mut assertions = Vec::new();
    for (at, test) in asserts.iter().enumerate() {
        let request = Data::List(vec![Data::text("split"), Data::text(&test.body)]);
        let answer = judge.ask(client, &request)?;
        let broken =
            |why: &str| Trouble::Item(format!("assertion {} of the spec cannot be judged: {why}", at + 1));
        let parts = answer.map_err(|failure| broken(&failure.why))?;
        assertions.push(assertion(parts).ok_or_else(|| broken("it was taken apart wrongly"))?);
    }
    judge.end(client)?;
    Ok(assertions)
}

fn assertion(parts: Data) -> Option<Assertion> {
    let Data::List(parts) = parts else { return None };
    let [Data::Text(kind), Data::List(holes), rest] = <[Data; 3]>::try_from(parts).ok()? else { return None };
    let holes = holes
        .into_iter()
        .map(|hole| if let Data::Text(hole) = hole { Some(hole) } else { None })
        .collect::<Option<Vec<String>>>()?;
    match (kind.as_str(), rest) {
        ("equal", expected) => Some(Assertion::Equal(holes, expected)),
        ("weigh", Data::Text(rest)) => Some(Assertion::Weigh(holes, rest)),
        _ => None,
    }
}

/// The attempts of one program, under one time limit.
struct Session {
    task: Vec<u8>,
    limits: Limits,
    /// Whether an attempt was started. All attempts of a program share its time.
    is_begun: bool,
    alive: bool,
    unloadable: Option<String>,
    /// Whether the interpreter is the embedded one, which may lack something.
    embedded: bool,
    /// What the interpreter lacks, if the program hid that and still gave an answer.
    gap: Option<String>,
}

impl Session {
    fn new(mode: &str, entry: &str, program: &str, spec: &Spec) -> Self {
        Self::of(mode, entry, program, &spec.setup, spec.limits)
    }

    /// A session that runs no code of the completion.
    fn judge(spec: &Spec) -> Self {
        Self::of("judge", "", "", &spec.setup, JUDGING)
    }

    fn of(mode: &str, entry: &str, source: &str, setup: &str, limits: Limits) -> Self {
        let entries = [
            ("mode", Data::text(mode)),
            ("entry", Data::text(entry)),
            ("source", Data::text(source)),
            ("setup", Data::text(setup)),
            ("memory", Data::int(limits.memory_bytes.into())),
            // A little more than the worker allows, against a process that is left behind.
            ("cpu", Data::int(i128::from(limits.time.as_secs()) + 2)),
            ("output", Data::int(limits.output_bytes as i128)),
        ];
        let task = Data::Dict(entries.map(|(key, value)| (Data::text(key), value)).into()).encode();
        Self { task, limits, is_begun: false, alive: false, unloadable: None, embedded: false, gap: None }
    }

    fn start(&mut self, client: &mut Client, raw: bool) -> Result<Option<Reply>, Trouble> {
        let time = (!std::mem::replace(&mut self.is_begun, true)).then_some(self.limits.time);
        // Room for the tag of the answer, because the limit is for the value alone.
        let limit = if raw { self.limits.output_bytes } else { self.limits.output_bytes + 1024 };
        Ok(client.begin(&self.task, time, self.limits.memory_bytes, limit, raw)?)
    }

    /// Starts an attempt if there is none, and makes it load the program.
    fn load(&mut self, client: &mut Client) -> Result<Result<(), Failure>, Trouble> {
        if self.alive {
            return Ok(Ok(()));
        }
        if let Some(why) = &self.unloadable {
            return Ok(Err(Failure { why: why.clone(), stop: Stop::Loading }));
        }
        let reply = self.start(client, false)?.unwrap_or(Reply::Died(0));
        let failure = match self.heard(reply)? {
            Ok(answer) if answer == b"R" => {
                self.alive = true;
                return Ok(Ok(()));
            }
            Ok(answer) => failed(complaint(&answer)),
            Err(failure) => failure,
        };
        self.unloadable = Some(failure.why.clone());
        let stop = if failure.stop == Stop::Late { Stop::Late } else { Stop::Loading };
        Ok(Err(Failure { stop, ..failure }))
    }

    /// Sends one input to an attempt, which is started if there is none, and returns its value.
    fn ask(&mut self, client: &mut Client, input: &Data) -> Result<Result<Data, Failure>, Trouble> {
        if let Err(failure) = self.load(client)? {
            return Ok(Err(Failure { why: format!("loading the program: {}", failure.why), ..failure }));
        }
        let reply = client.ask(&input.encode())?;
        let answer = match self.heard(reply)? {
            Ok(answer) => answer,
            Err(failure) => return Ok(Err(failure)),
        };
        let value = match answer.split_first() {
            Some((b'V', value)) => value,
            Some((b'G', rest)) if self.embedded => {
                let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
                self.gap = Some(readable(&rest[..end]));
                rest.get(end + 1..).unwrap_or_default()
            }
            _ => return Ok(Err(failed(complaint(&answer)))),
        };
        Ok(Data::decode(value).map_err(|_| failed("answered with bytes that are not a plain value")))
    }

    /// Runs the program once with `stdin` and returns its output.
    fn run(&mut self, client: &mut Client, stdin: &[u8]) -> Result<Result<Vec<u8>, Failure>, Trouble> {
        if let Some(reply) = self.start(client, true)? {
            return self.heard(reply);
        }
        let reply = client.ask(stdin)?;
        self.heard(reply)
    }

    fn heard(&mut self, reply: Reply) -> Result<Result<Vec<u8>, Failure>, Trouble> {
        let failure = match reply {
            Reply::Answer(answer) if self.embedded && answer.first() == Some(&b'S') => {
                return Err(Trouble::Unsupported(readable(&answer[1..])));
            }
            Reply::Answer(answer) => return Ok(Ok(answer)),
            Reply::Died(status) => failed(death(status)),
            Reply::Timeout => {
                let why = format!("the time limit of {} s ran out", self.limits.time.as_secs_f64());
                Failure { why, stop: Stop::Late }
            }
            Reply::Waited => {
                let why =
                    format!("waited for longer than the time limit of {} s", self.limits.time.as_secs_f64());
                Failure { why, stop: Stop::Late }
            }
            Reply::Refused => {
                let why = "the program starts a process or makes a file, which the isolation of this machine rules out";
                return Err(Trouble::Unsupported(why.into()));
            }
            Reply::Starved => return Err(Trouble::Starved(self.limits.time)),
            Reply::Crowded => failed("started too many threads or processes"),
            Reply::Alive => return Err(ClientError::Stranger.into()),
            Reply::Overflow => {
                failed(format!("more than the {} bytes of output allowed", self.limits.output_bytes))
            }
            Reply::Lost(why) => return Err(Trouble::Interpreter(why)),
            Reply::Unstarted(why) => return Err(ClientError::Refused(why).into()),
        };
        self.alive = false;
        Ok(Err(failure))
    }

    fn end(self, client: &mut Client) -> Result<(), Trouble> {
        Ok(client.end()?)
    }
}

/// What the attempt reports instead of a value.
fn complaint(answer: &[u8]) -> String {
    match answer.split_first() {
        Some((b'X', text)) => format!("raised {}", readable(text)),
        Some((b'U', text)) => format!("gave {}", readable(text)),
        _ => "gave no answer".into(),
    }
}

/// A program's text, shortened and without control characters.
fn readable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Describes a wait status.
fn death(status: i32) -> String {
    match status & 0x7f {
        0 => format!("the program ended itself with status {}", (status >> 8) & 0xff),
        signal => format!("the program was ended by signal {signal}"),
    }
}

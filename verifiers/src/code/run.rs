//! Runs the tests of an item on a worker and counts the passed ones.

use super::Credit;
use super::client::{Client, ClientError};
use super::data::Data;
use super::protocol::Reply;
use super::spec::{Call, Limits, Run, Spec, Test, Tests};
use super::trusted::{Judge, humaneval_sources, run_asserts, run_humaneval};

/// The exit status with which the driver reports that the memory limit was reached.
const OUT_OF_MEMORY: i32 = 86;

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
    pub(super) fn new<T>(tests: &[Test<T>]) -> Self {
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
    pub(super) fn note(
        &mut self,
        at: usize,
        public: bool,
        result: Result<(), Failure>,
        credit: Credit,
    ) -> bool {
        match result {
            Ok(()) => {
                self.pass(public);
                true
            }
            Err(Failure { why, stop, .. }) => {
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
pub(super) enum Stop {
    No,
    /// The program cannot be loaded, so all tests fail in the same way.
    Loading,
    Late,
}

/// What a program did wrong in a test.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) stop: Stop,
    /// Whether the code in the sandbox refused, rather than failed.
    pub(super) is_refused: bool,
}

pub(super) fn failed(why: impl Into<String>) -> Failure {
    Failure { why: why.into(), stop: Stop::No, is_refused: false }
}

/// Runs all tests of `spec` on `program`. `other` starts a second worker, for tests with code of their own.
pub(super) fn run(
    client: &mut Client,
    other: impl FnOnce() -> Result<Client, ClientError>,
    spec: &Spec,
    program: &str,
    embedded: bool,
) -> Result<(Tally, Option<Client>), Trouble> {
    if embedded && !matches!(spec.tests, Tests::Function { .. }) {
        return Err(Trouble::Unsupported("without CPython only tests of kind `function` are judged".into()));
    }
    let mut judging = if spec.tests.have_code() { Some(other()?) } else { None };
    let session = |mode, entry| Session { embedded, ..Session::new(mode, entry, program, spec) };
    let tally = match (&spec.tests, &mut judging) {
        (Tests::Function { entry, calls }, _) => run_calls(client, session("function", entry), spec, calls),
        (Tests::Asserts { entries, asserts }, Some(other)) => {
            run_asserts([client, other], session("remote", ""), spec, entries, asserts)
        }
        (Tests::HumanEval { prompt, entry, test }, Some(other)) => {
            let sources = humaneval_sources(prompt, entry, program);
            let session = Session::reading("remote", &sources, spec);
            run_humaneval([client, other], session, spec, [prompt, entry, test])
        }
        (Tests::Stdio { runs, checker: Some(checker), .. }, Some(other)) => {
            let mut judge = Judge::new(other, spec, &spec.setup, checker);
            let tally = run_programs(client, session("stdio", ""), spec, runs, |run, found| {
                judge.accepts(run, found)
            });
            judge.end()?;
            tally
        }
        (Tests::Stdio { runs, printed, tolerance, .. }, _) => {
            run_programs(client, session("stdio", ""), spec, runs, |run, found| {
                let is_accepted = |output: &String| printed.equal(output, found, *tolerance);
                let differs = || failed("did not print what was expected");
                Ok(if run.accepted.iter().any(is_accepted) { Ok(()) } else { Err(differs()) })
            })
        }
        (Tests::UntrustedAsserts(asserts), _) => {
            run_statements(client, session("statements", ""), spec, asserts)
        }
        (Tests::Asserts { .. } | Tests::HumanEval { .. }, None) => {
            return Err(Trouble::Item("no worker for the tests".into()));
        }
    }?;
    if tally.first_failure.is_some() && !spec.setup.is_empty() {
        let empty = Session::reading("statements", &[String::new()], spec);
        check_setup(client, Session { embedded, ..empty })?;
    }
    Ok((tally, judging))
}

/// Fails if the setup cannot run even without a program. Then the program is not at fault.
fn check_setup(client: &mut Client, mut session: Session) -> Result<(), Trouble> {
    let loaded = session.load(client)?;
    session.end(client)?;
    loaded.map_err(|failure| {
        let is_missing = failure.why.contains("ModuleNotFoundError");
        let advice = "; programs see Python's own library, and what the setting `packages` names";
        Trouble::Item(format!(
            "the setup of the spec {}{}",
            failure.why,
            if is_missing { advice } else { "" }
        ))
    })
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
    mut accepts: impl FnMut(&Run, &str) -> Result<Result<(), Failure>, Trouble>,
) -> Result<Tally, Trouble> {
    let mut tally = Tally::new(runs);
    for (at, test) in runs.iter().enumerate() {
        let printed = session.run(client, test.body.stdin.as_bytes())?;
        let result = match printed.map(String::from_utf8) {
            Ok(Ok(text)) => accepts(&test.body, &text)?,
            Ok(Err(_)) => Err(failed("printed bytes that are not UTF-8")),
            Err(failure) => Err(failure),
        };
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

/// The attempts of one program, under one time limit.
pub(super) struct Session {
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
        Self::of(mode, entry, &[program.to_owned()], &spec.setup, spec.limits)
    }

    /// A session with the first of `sources` that is Python.
    fn reading(mode: &str, sources: &[String], spec: &Spec) -> Self {
        Self::of(mode, "", sources, &spec.setup, spec.limits)
    }

    pub(super) fn of(mode: &str, entry: &str, sources: &[String], setup: &str, limits: Limits) -> Self {
        let entries = [
            ("mode", Data::text(mode)),
            ("entry", Data::text(entry)),
            ("source", Data::text(sources.first().map_or("", String::as_str))),
            ("others", Data::List(sources.iter().skip(1).map(|source| Data::text(source)).collect())),
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
    pub(super) fn load(&mut self, client: &mut Client) -> Result<Result<(), Failure>, Trouble> {
        if self.alive {
            return Ok(Ok(()));
        }
        if let Some(why) = &self.unloadable {
            return Ok(Err(Failure { stop: Stop::Loading, ..failed(why) }));
        }
        let reply = self.start(client, false)?.unwrap_or(Reply::Died(0));
        let failure = match self.heard(reply)? {
            Ok(answer) if answer == b"R" => {
                self.alive = true;
                return Ok(Ok(()));
            }
            Ok(answer) => self.complaint(&answer),
            Err(failure) => failure,
        };
        self.unloadable = Some(failure.why.clone());
        let stop = if failure.stop == Stop::Late { Stop::Late } else { Stop::Loading };
        Ok(Err(Failure { stop, ..failure }))
    }

    /// Sends one input to an attempt, which is started if there is none, and returns its value.
    pub(super) fn ask(
        &mut self,
        client: &mut Client,
        input: &Data,
    ) -> Result<Result<Data, Failure>, Trouble> {
        let answer = match self.exchange(client, &input.encode())? {
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
            _ => return Ok(Err(self.complaint(&answer))),
        };
        Ok(Data::decode(value).map_err(|_| failed("answered with bytes that are not a plain value")))
    }

    /// Passes a request of the test code on, and returns what the test code shall get: a value, or the name of what was
    /// raised. Its bytes are made anew, so that nothing but plain data comes through.
    pub(super) fn forward(
        &mut self,
        client: &mut Client,
        request: &[u8],
    ) -> Result<Result<Vec<u8>, Failure>, Trouble> {
        let answer = match self.exchange(client, request)? {
            Ok(answer) => answer,
            Err(failure) => return Ok(Err(failure)),
        };
        let body = match answer.split_first() {
            Some((b'V', value)) => Data::decode(value).map(|value| value.encode()),
            Some((b'X', name)) if name != b"MemoryError" => Ok(readable(name).into_bytes()),
            _ => return Ok(Err(self.complaint(&answer))),
        };
        Ok(match body {
            Ok(body) => Ok([&answer[..1], &body].concat()),
            Err(_) => Err(failed("answered with bytes that are not a plain value")),
        })
    }

    /// Sends bytes to an attempt, which is started if there is none, and returns the bytes of its answer.
    pub(super) fn exchange(
        &mut self,
        client: &mut Client,
        input: &[u8],
    ) -> Result<Result<Vec<u8>, Failure>, Trouble> {
        if let Err(failure) = self.load(client)? {
            return Ok(Err(Failure { why: format!("loading the program: {}", failure.why), ..failure }));
        }
        let reply = client.ask(input)?;
        self.heard(reply)
    }

    /// Whether an attempt has been started and has not ended.
    pub(super) fn is_alive(&self) -> bool {
        self.alive
    }

    /// Ends the attempt. The next input starts another.
    pub(super) fn stop(&mut self, client: &mut Client) -> Result<(), Trouble> {
        self.alive = false;
        Ok(client.end()?)
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
            Reply::Died(status) => failed(self.death(status)),
            Reply::Timeout => {
                let why = format!("the time limit of {} s ran out", self.limits.time.as_secs_f64());
                Failure { stop: Stop::Late, ..failed(why) }
            }
            Reply::Waited => {
                let why =
                    format!("waited for longer than the time limit of {} s", self.limits.time.as_secs_f64());
                Failure { stop: Stop::Late, ..failed(why) }
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

    pub(super) fn end(self, client: &mut Client) -> Result<(), Trouble> {
        Ok(client.end()?)
    }

    /// What the attempt reports instead of a value.
    fn complaint(&self, answer: &[u8]) -> Failure {
        match answer.split_first() {
            Some((b'X', b"MemoryError")) => failed(self.out_of_memory()),
            Some((b'X', name)) => failed(format!("raised {}", readable(name))),
            Some((b'U', text)) => Failure { is_refused: true, ..failed(format!("gave {}", readable(text))) },
            _ => failed("gave no answer"),
        }
    }

    fn out_of_memory(&self) -> String {
        format!("the memory limit of {} MB was reached", self.limits.memory_bytes >> 20)
    }

    /// Describes a wait status.
    fn death(&self, status: i32) -> String {
        match (status & 0x7f, (status >> 8) & 0xff) {
            (0, OUT_OF_MEMORY) => self.out_of_memory(),
            (0, 1) => "the program ended with status 1, as after an exception that nobody catches".into(),
            (0, code) => format!("the program ended itself with status {code}"),
            (9, _) => {
                let memory = self.limits.memory_bytes >> 20;
                format!("the program was ended by signal 9, by itself or at the memory limit of {memory} MB")
            }
            (signal, _) => format!("the program was ended by signal {signal}"),
        }
    }
}

/// Text from the sandbox, shortened. Other characters than those of ASCII are escaped, because some of them change how
/// the text around them is shown.
fn readable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.chars().take(400).map(|c| if c.is_control() { ' ' } else { c });
    text.map(|c| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() }).collect()
}

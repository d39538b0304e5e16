//! The trusted side of a test: test code of the spec runs in a worker of its own, where the program never is.
//!
//! There the program's names are stand-ins. Each use of one comes here as a request, goes on to the process that runs
//! the program, and returns as plain data.

use super::client::Client;
use super::data::Data;
use super::run::{Failure, Session, Stop, Tally, Trouble, failed};
use super::spec::{Limits, Run, Spec, Test};

/// The limits of test code, not counting the program's own time.
const LIMITS: Limits =
    Limits { time: std::time::Duration::from_secs(10), memory_bytes: 1 << 30, output_bytes: 16 << 20 };

/// The attempt that runs the test code of an item.
pub(super) struct Judge<'a> {
    client: &'a mut Client,
    session: Session,
    /// What a new attempt must be asked first.
    preparation: Option<Data>,
    is_prepared: bool,
    /// Whether the test code has had anything of the program.
    is_used: bool,
}

impl<'a> Judge<'a> {
    /// A judge whose test code sees what `setup` and then `source` define.
    pub(super) fn new(client: &'a mut Client, spec: &Spec, setup: &str, source: &str) -> Self {
        // It waits while the program runs.
        let limits = Limits { time: LIMITS.time + spec.limits.time, ..LIMITS };
        let session = Session::of("judge", "", &[source.to_owned()], setup, limits);
        Self { client, session, preparation: None, is_prepared: false, is_used: false }
    }

    /// Makes the test code ready. Fails if it can never be used.
    fn prepare(&mut self) -> Result<Result<(), Failure>, Trouble> {
        if !self.session.is_alive() {
            self.is_prepared = false;
            if let Err(failure) = self.session.load(self.client)? {
                return self.fault("the setup, test or checker of the spec", failure);
            }
        }
        if let (false, Some(preparation)) = (self.is_prepared, &self.preparation) {
            match self.session.ask(self.client, preparation)? {
                Err(failure) if failure.is_refused => return Err(Trouble::Item(without_verb(failure.why))),
                Err(failure) => return self.fault("the test code", failure),
                Ok(_) => self.is_prepared = true,
            }
        }
        Ok(Ok(()))
    }

    /// Whose fault it is that the test code could not run: the item's, unless the program has had a part in it. What it
    /// returned may have been too much for the test code, and may have used up its time.
    fn fault<T>(&self, what: &str, failure: Failure) -> Result<Result<T, Failure>, Trouble> {
        let why = format!("{what} {}", failure.why);
        if !self.is_used {
            return Err(Trouble::Item(why));
        }
        Ok(Err(Failure { stop: Stop::Loading, ..failed(why) }))
    }

    /// Runs test code, with the uses of the program carried out by `program`.
    fn run(
        &mut self,
        request: &Data,
        client: &mut Client,
        program: &mut Session,
    ) -> Result<Result<(), Failure>, Trouble> {
        if let Err(failure) = self.prepare()? {
            return Ok(Err(failure));
        }
        let mut input = request.encode();
        loop {
            let answer = match self.session.exchange(self.client, &input)? {
                Ok(answer) => answer,
                Err(failure) => return self.fault("in the test code:", failure),
            };
            match answer.split_first() {
                Some((b'C', call)) => {
                    self.is_used = true;
                    input = match program.forward(client, call)? {
                        Ok(answer) => answer,
                        Err(failure) => {
                            // The test code still waits for the answer.
                            self.session.stop(self.client)?;
                            return Ok(Err(failure));
                        }
                    };
                }
                Some((b'V', verdict)) => return outcome(verdict),
                Some((b'U', why)) => return Err(Trouble::Item(String::from_utf8_lossy(why).into_owned())),
                _ => return Err(Trouble::Item("the test code gave no verdict".into())),
            }
        }
    }

    /// Asks the checker of the spec about what the program printed.
    pub(super) fn accepts(&mut self, run: &Run, printed: &str) -> Result<Result<(), Failure>, Trouble> {
        if let Err(failure) = self.prepare()? {
            return Ok(Err(failure));
        }
        self.is_used = true;
        let expected = match run.accepted.as_slice() {
            [] => Data::None,
            [single] => Data::text(single),
            several => Data::List(several.iter().map(|output| Data::text(output)).collect()),
        };
        let request = [Data::text("weigh"), Data::text(&run.stdin), Data::text(printed), expected];
        Ok(match self.session.ask(self.client, &Data::List(request.into()))? {
            Ok(Data::Bool(true)) => Ok(()),
            Ok(_) => Err(failed("the checker refused the output")),
            Err(failure) if failure.is_refused => {
                return Err(Trouble::Item(format!("the checker of the spec {}", failure.why)));
            }
            Err(failure) => Err(failed(format!("on the output the checker {}", failure.why))),
        })
    }

    /// Ends the attempt.
    pub(super) fn end(self) -> Result<(), Trouble> {
        self.session.end(self.client)
    }
}

fn without_verb(why: String) -> String {
    why.strip_prefix("gave ").map_or(why.clone(), str::to_owned)
}

/// Reads what a test came to: whether it holds, why not, and how often it used the program.
fn outcome(verdict: &[u8]) -> Result<Result<(), Failure>, Trouble> {
    let Ok(Data::List(parts)) = Data::decode(verdict) else {
        return Err(Trouble::Item("the test code gave no verdict".into()));
    };
    match parts.as_slice() {
        [_, _, uses] if *uses == Data::int(0) => {
            Err(Trouble::Item("the test ended without ever using the program".into()))
        }
        [Data::Bool(true), ..] => Ok(Ok(())),
        [_, Data::Text(why), _] => Ok(Err(failed(why))),
        _ => Err(Trouble::Item("the test code gave no verdict".into())),
    }
}

/// Runs assertions. Those that cannot be judged are found before the program runs.
pub(super) fn run_asserts(
    [client, other]: [&mut Client; 2],
    mut program: Session,
    spec: &Spec,
    entries: &[String],
    asserts: &[Test<String>],
) -> Result<Tally, Trouble> {
    let mut judge = Judge::new(other, spec, &spec.setup, "");
    let texts =
        |texts: &mut dyn Iterator<Item = &String>| Data::List(texts.map(|text| Data::text(text)).collect());
    judge.preparation = Some(Data::List(vec![
        Data::text("read"),
        texts(&mut asserts.iter().map(|test| &test.body)),
        texts(&mut entries.iter()),
        Data::Float(spec.comparison.tolerance),
    ]));
    let mut tally = Tally::new(asserts);
    for (at, test) in asserts.iter().enumerate() {
        let request = Data::List(vec![Data::text("run"), Data::int(at as i128)]);
        let result = judge.run(&request, client, &mut program)?;
        if !tally.note(at, test.public, result, spec.credit) {
            break;
        }
    }
    program.end(client)?;
    judge.end()?;
    Ok(tally)
}

/// Runs the test of a HumanEval problem: one test, however many assertions it has.
pub(super) fn run_humaneval(
    [client, other]: [&mut Client; 2],
    mut program: Session,
    spec: &Spec,
    [prompt, entry, test]: [&str; 3],
) -> Result<Tally, Trouble> {
    // The test may use what the prompt defines.
    let mut judge = Judge::new(other, spec, &format!("{}\n{prompt}", spec.setup), test);
    let request = Data::List(vec![Data::text("check"), Data::text(entry)]);
    let result = judge.run(&request, client, &mut program)?;
    let mut tally = Tally::new(&[Test { body: (), public: false }]);
    tally.note(0, false, result, spec.credit);
    program.end(client)?;
    judge.end()?;
    Ok(tally)
}

/// The readings of a completion for a HumanEval problem, the likeliest first: a whole function, or the rest of the
/// function that the prompt begins.
pub(super) fn humaneval_sources(prompt: &str, entry: &str, completion: &str) -> Vec<String> {
    let whole = super::source::dedented(completion);
    let is_whole =
        whole.lines().any(|line| !line.starts_with([' ', '\t']) && super::source::defines(line, entry));
    let after = |body: &str| format!("{prompt}{}{body}", if prompt.ends_with('\n') { "" } else { "\n" });
    if is_whole {
        // Python takes these imports only at the start.
        let (first, rest): (Vec<&str>, Vec<&str>) =
            whole.split_inclusive('\n').partition(|line| line.starts_with("from __future__ "));
        return vec![format!("{}{}{}", first.concat(), after(""), rest.concat())];
    }
    let indented =
        |text: &str| text.split_inclusive('\n').map(|line| format!("    {line}")).collect::<String>();
    vec![after(completion), after(&format!("    {completion}")), after(&indented(&whole))]
}

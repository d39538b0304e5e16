//! The verifier `code`: finds the program, runs its tests, and reports the result.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::client::{Client, ClientError};
use super::protocol::{Hello, Probe};
use super::run::{Tally, Trouble, run};
use super::source::{MAX_SOURCE_BYTES, Wanted, program};
use super::spec::{Spec, Tests};
use super::{Executor, Settings, Tier, refusal};
use crate::{Item, Outcome, SettingsError, Verdict, Verifier};

/// Judges programs by running them. Any number of threads may judge at the same time; each uses its own worker.
pub struct Code {
    settings: Settings,
    worker: PathBuf,
    hello: Hello,
    probe: Probe,
    idle: Mutex<Vec<Client>>,
}

impl Code {
    /// Probes the machine and keeps the first worker warm.
    ///
    /// # Errors
    /// When no interpreter works, or when the machine offers no isolation and `unsafe` is not set.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let worker = match &settings.worker {
            Some(program) => program.clone(),
            // Not the path of the executable, because a new build may have replaced that file.
            None => PathBuf::from("/proc/self/exe"),
        };
        let mut hello = hello(&settings)?;
        let (client, probe) = Client::start(&worker, &hello).map_err(|error| match error {
            ClientError::Refused(why) => refusal(format!(
                "no isolated interpreter: {why}. Install python3 (3.9 or later), or build with `--features embedded`, \
                 and run on Linux 5.13 or later with Landlock and seccomp, or set `unsafe = true` to run programs \
                 with resource limits alone"
            )),
            other => refusal(other.to_string()),
        })?;
        hello.pythons.clear();
        hello.pythons.extend((!probe.embedded).then(|| probe.named.clone()));
        hello.embedded = probe.embedded;
        hello.tiers = vec![probe.tier];
        Ok(Self { settings, worker, hello, probe, idle: Mutex::new(vec![client]) })
    }

    /// What the machine offers, and the isolation in use.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    fn take(&self) -> Result<Client, ClientError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(client) => Ok(client),
            None => Client::start(&self.worker, &self.hello).map(|(client, _)| client),
        }
    }

    fn give_back(&self, client: Client) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    }

    /// Runs the tests, and runs them once more on a new worker if the first worker is lost.
    fn tally(&self, spec: &Spec, program: &str) -> Result<Tally, Trouble> {
        let mut first = true;
        loop {
            let result = self.take().map_err(Trouble::Worker).and_then(|mut client| {
                let (tally, other) = run(&mut client, || self.take(), spec, program, self.probe.embedded)?;
                [Some(client), other].into_iter().flatten().for_each(|client| self.give_back(client));
                Ok(tally)
            });
            match result {
                Err(Trouble::Worker(_) | Trouble::Interpreter(_)) if first => first = false,
                other => return other,
            }
        }
    }
}

impl Verifier for Code {
    fn notice(&self) -> Option<String> {
        Some(format!("programs run on {}", self.probe))
    }

    fn verify(&self, item: &Item<'_>) -> Verdict {
        let Some(spec) = item.spec else {
            return Verdict::error("the item has no spec with tests");
        };
        let spec = match Spec::read(spec, &self.settings) {
            Ok(spec) => spec,
            Err(why) => return Verdict::error(why),
        };
        let names = spec.tests.names();
        let wanted = Wanted { names: &names, bare: matches!(spec.tests, Tests::HumanEval { .. }) };
        let Some(program) = program(item.completion, wanted) else {
            return Verdict::malformed("no closed Python block in the answer");
        };
        let program = program.as_str();
        if program.len() > MAX_SOURCE_BYTES {
            let start = program.chars().take(1000).collect::<String>();
            return Verdict::wrong(start, format!("a program of more than {MAX_SOURCE_BYTES} bytes"));
        }
        match self.tally(&spec, program) {
            Ok(tally) => verdict(&tally, &spec, program),
            Err(Trouble::Item(why)) => Verdict::error(why),
            Err(Trouble::Unsupported(why)) => Verdict::error(format!("unsupported: {why}")),
            Err(Trouble::Worker(error)) => Verdict::error(format!("the sandbox failed twice: {error}")),
            Err(Trouble::Interpreter(why)) => Verdict::error(format!("the interpreter failed twice: {why}")),
            Err(Trouble::Starved(limit)) => Verdict::error(format!(
                "the machine is too busy: it gave the program too little of its {} s; ask for fewer threads",
                limit.as_secs_f64()
            )),
        }
    }
}

fn verdict(tally: &Tally, spec: &Spec, program: &str) -> Verdict {
    let score = tally.score(spec.credit);
    if tally.late {
        let late = Verdict::timeout(Some(program.to_owned()), tally.reason());
        return Verdict { score, ..late };
    }
    if score >= 1.0 {
        return Verdict::correct(program, tally.reason());
    }
    let verdict = Verdict::partial(score, program, tally.reason());
    debug_assert_eq!(verdict.outcome, Outcome::Wrong);
    verdict
}

/// The interpreters and isolations that a worker tries, from the settings.
fn hello(settings: &Settings) -> Result<Hello, SettingsError> {
    let built_in = cfg!(feature = "embedded");
    if settings.executor == Executor::Embedded && !built_in {
        return Err(refusal("this build has no embedded interpreter; build with the feature `embedded`"));
    }
    let pythons = match settings.executor {
        Executor::Embedded => Vec::new(),
        _ if settings.python.is_empty() => pythons_on_path(),
        _ => vec![settings.python.clone()],
    };
    let is_name =
        |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if let Some(name) = settings.packages.iter().find(|name| !is_name(name)) {
        return Err(refusal(format!(
            "`packages` holds `{name}`; it must be the name that a program imports"
        )));
    }
    let embedded = match settings.executor {
        Executor::Embedded if !settings.packages.is_empty() => {
            return Err(refusal("the embedded interpreter has no packages; remove `packages`"));
        }
        Executor::Embedded => true,
        Executor::Cpython => false,
        // Settings that name an interpreter exclude every other one.
        Executor::Auto => built_in && settings.python.is_empty() && settings.packages.is_empty(),
    };
    Ok(Hello {
        pythons,
        packages: settings.packages.clone(),
        embedded,
        tiers: tiers(settings)?,
        group: None,
        without: settings.without,
    })
}

/// The isolations that the settings allow, strongest first.
fn tiers(settings: &Settings) -> Result<Vec<Tier>, SettingsError> {
    match (settings.isolation, settings.unsafe_allowed) {
        (Some(Tier::Limits), false) => {
            Err(refusal("`isolation = \"limits\"` gives no isolation; it needs `unsafe = true`"))
        }
        (Some(tier), _) => Ok(vec![tier]),
        (None, false) => Ok(vec![Tier::Namespaces, Tier::Landlock]),
        (None, true) => Ok(vec![Tier::Namespaces, Tier::Landlock, Tier::Limits]),
    }
}

/// Every `python3` on the path, then those in the usual places.
fn pythons_on_path() -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin", "/bin"].map(PathBuf::from);
    let mut pythons: Vec<String> = Vec::new();
    for folder in std::env::split_paths(&path).chain(usual) {
        let python = folder.join("python3");
        // With a relative entry, the interpreter would depend on the folder that the trainer runs in.
        if folder.is_absolute() && Path::is_file(&python) {
            let python = python.display().to_string();
            if !pythons.contains(&python) {
                pythons.push(python);
            }
        }
    }
    pythons
}

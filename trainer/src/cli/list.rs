//! `thinkling list`: lists what is available, one line each.

use serde_json::{Value, json};
use thinkling::data::tokenizer::Tokenizer;
use thinkling_datasets::domains::DOMAINS;
use thinkling_datasets::{Dataset, SolutionKind, Split};
use thinkling_verifiers::VERIFIERS;

use super::{DONE, Outcome, note, print_line};

/// What to list.
#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Families of questions.
    Tasks,
    /// Verifiers that any task can use.
    Verifiers,
    /// Recipes in the folder `recipes`.
    Recipes,
    /// Published runs for `cost`.
    Presets,
    /// Devices for `cost`.
    Devices,
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What to list.
    what: What,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let rows = match arguments.what {
        What::Tasks => tasks()?,
        What::Verifiers => {
            VERIFIERS.iter().map(|row| json!({ "name": row.name, "about": row.about })).collect()
        }
        What::Recipes => recipes()?,
        What::Presets => super::cost::presets(),
        What::Devices => super::cost::all_devices(),
    };
    for row in rows {
        if arguments.json {
            print_line(&row)?;
        } else {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let levels = row["levels"]
                .as_array()
                .map_or(String::new(), |ends| format!("  levels {}..{}", ends[0], ends[1]));
            let answers = row["answers"].as_str().map_or(String::new(), |kind| format!("  answers: {kind}"));
            // A question may have several lines; here it gets one.
            let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let example = row["example"].as_str();
            let example = example.map_or(String::new(), |example| format!("  e.g. {}", one_line(example)));
            print_line(format!("{:22} {}{levels}{answers}{example}", text("name"), text("about")))?;
        }
    }
    Ok(DONE)
}

fn tasks() -> anyhow::Result<Vec<Value>> {
    DOMAINS
        .iter()
        .map(|row| {
            let domain = (row.build)(&Value::Null)?;
            let levels = domain.levels();
            let task = Dataset::new(row, domain.as_ref(), *levels.start(), 0)?.question(Split::Test, 0)?;
            let mut stream = thinkling_datasets::seed::Stream::at("list", 0, &[]);
            let solutions: Vec<&str> = SolutionKind::ALL
                .into_iter()
                .filter(|kind| domain.solve(&task.problem, *kind, &mut stream).is_some())
                .map(SolutionKind::name)
                .collect();
            Ok(json!({
                "name": row.name, "about": row.about, "levels": [levels.start(), levels.end()],
                "answers": row.answers, "solutions": solutions,
                "symbols": Tokenizer::from_alphabets([domain.alphabet()]).size(),
                "example": format!("{} {}", task.problem.prompt.trim_end(), task.problem.answer),
            }))
        })
        .collect()
}

/// The recipes of the folder `recipes`, each with its first comment.
fn recipes() -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    let Ok(entries) = std::fs::read_dir("recipes") else {
        note("there is no folder `recipes` here: recipes are files; `train` takes any path");
        return Ok(rows);
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path)?;
            let about =
                text.lines().next().and_then(|line| line.strip_prefix('#')).unwrap_or_default().trim();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            rows.push(json!({ "name": name, "path": path, "about": about }));
        }
    }
    rows.sort_by_key(|row| row["name"].to_string());
    Ok(rows)
}

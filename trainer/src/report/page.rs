//! The page: one HTML file with its own style, without scripts or external addresses.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::completions;
use super::draw::{PALETTE, inline_svg, short};
use super::figures::{Content, Figure, before_and_after, figures};
use super::record::RunRecord;
use crate::tracking::alarms;
use crate::tracking::rows::{Row, interval, number, word};

const STYLE: &str = include_str!("style.css");

const ROWS_OF_WARNINGS: usize = 20;

/// The report of `records`, which must not be empty.
pub(crate) fn html(records: &[RunRecord]) -> String {
    let title = match records {
        [one] => one.label.clone(),
        many => format!("{} runs", many.len()),
    };
    let sections = [
        ("result", "Result", headline(records)),
        ("warnings", "Warnings", warnings(records)),
        ("figures", "Figures", figures_section(records)),
        ("completions", "Completions", completions_section(records)),
        ("recipe", "Recipe", recipe(records)),
    ];
    let sections: Vec<_> = sections.into_iter().filter(|(.., body)| !body.is_empty()).collect();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{0} · thinkling</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header class=\"top\"><p class=\"brand\">thinkling</p><h1>{0}</h1>\n<nav aria-label=\"Sections\">",
        escape(&title)
    );
    for (id, name, _) in &sections {
        let _ = write!(page, "<a href=\"#{id}\">{name}</a>");
    }
    page.push_str("</nav></header>\n<main>\n");
    page.push_str(&legend(records));
    for (id, name, body) in &sections {
        let _ = write!(page, "<section id=\"{id}\">\n<h2>{name}</h2>\n{body}\n</section>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Text for HTML. Invisible characters and additional line breaks are replaced by pictures.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            '\u{7f}' => escaped.push('\u{2421}'),
            // Unicode has a picture for each control character, in the same order.
            control @ '\0'..='\u{1f}' => escaped.extend(char::from_u32(0x2400 + u32::from(control))),
            // Direction marks would also affect text after the completion.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{80}'..='\u{9f}' => {
                escaped.push('\u{fffd}')
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A number with three significant digits.
pub(super) fn figure_of(value: f64) -> String {
    if value != 0.0 && value.abs() < 1.0 { format!("{value:.3}") } else { short(value) }
}

fn legend(records: &[RunRecord]) -> String {
    if records.len() < 2 {
        return String::new();
    }
    let mut text = String::from("<ol class=\"legend\" aria-label=\"Runs\">");
    for (at, record) in records.iter().enumerate() {
        let _ = write!(text, "<li class=\"line-{}\">{}</li>", at % PALETTE.len() + 1, escape(&record.label));
    }
    text + "</ol>\n"
}

fn headline(records: &[RunRecord]) -> String {
    let mut text = String::new();
    for record in records {
        if records.len() > 1 {
            let _ = write!(text, "<h3>{}</h3>", escape(&record.label));
        }
        let _ = write!(text, "<p class=\"facts\">{}</p>", facts(record));
        for (before, after) in before_and_after(record) {
            text.push_str(&cards(before, after));
        }
    }
    text
}

fn facts(record: &RunRecord) -> String {
    let mut facts = vec![format!("<b>{}</b>", escape(&record.status().replace('_', " ")))];
    let total = &record.ledger["total"];
    let mut fact = |value: Option<f64>, say: &dyn Fn(f64) -> String| {
        facts.extend(value.filter(|value| *value > 0.0).map(say));
    };
    fact(total["core_hours"].as_f64(), &|hours| format!("{} CPU-seconds", short(hours * 3600.0)));
    fact(total["cost_usd"].as_f64(), &|dollars| format!("${}", money(dollars)));
    fact(record.metrics.last().and_then(|row| number(row, "flops")), &|flops| {
        format!("{} FLOPs", short(flops))
    });
    fact(total["cost_per_correct_usd"].as_f64(), &|dollars| format!("${} per right answer", money(dollars)));
    fact(total["energy_j"].as_f64(), &|energy| format!("{} J", short(energy)));
    for key in ["cpu", "started"] {
        facts.extend(record.manifest[key].as_str().map(escape));
    }
    facts.join(" · ")
}

fn money(dollars: f64) -> String {
    match dollars {
        0.01.. => format!("{dollars:.2}"),
        1e-6.. => {
            let digits = 1 - dollars.log10().floor() as i32;
            format!("{dollars:.*}", usize::try_from(digits).unwrap_or(2))
        }
        _ => format!("{dollars:.1e}"),
    }
}

/// Columns of the headline: key, name, and whether it is a share.
const MEASURES: [(&str, &str, bool); 4] = [
    ("accuracy", "Accuracy, sampled", true),
    ("greedy_accuracy", "Accuracy, greedy", true),
    ("maj_at_k", "Accuracy, majority", true),
    ("length_mean", "Mean length, tokens", false),
];

fn cards(before: Option<&Row>, after: &Row) -> String {
    let level = after.get("level").map_or(String::new(), |level| format!(", level {level}"));
    let count = number(after, "distinct")
        .or(number(after, "count"))
        .map_or(String::new(), |count| format!(" · {count} held-out questions"));
    let errors = number(after, "errors")
        .filter(|errors| *errors > 0.0)
        .map_or(String::new(), |errors| format!(" · {errors} completions could not be judged"));
    let mut text = format!(
        "<p class=\"task\">{}{}{}{}</p><div class=\"cards\">",
        escape(word(after, "task")),
        escape(&level),
        escape(&count),
        escape(&errors)
    );
    for (key, name, is_share) in MEASURES {
        let Some(now) = value(after, key, is_share) else { continue };
        let _ = write!(text, "<div class=\"card\"><h4>{name}</h4><p class=\"change\">");
        if let Some(then) = before.and_then(|row| value(row, key, is_share)) {
            let _ = write!(
                text,
                "<span class=\"before\">{}</span> <span class=\"arrow\" aria-label=\"to\">→</span> ",
                then.0
            );
            let _ =
                write!(text, "<b>{}</b></p><p class=\"interval\">{} → {}</p></div>", now.0, then.1, now.1);
        } else {
            let _ = write!(text, "<b>{}</b></p><p class=\"interval\">{}</p></div>", now.0, now.1);
        }
    }
    text + "</div>"
}

fn value(row: &Row, key: &str, is_share: bool) -> Option<(String, String)> {
    let shown = |value: f64| if is_share { format!("{:.1} %", 100.0 * value) } else { format!("{value:.1}") };
    let bare = |value: f64| if is_share { format!("{:.1}", 100.0 * value) } else { format!("{value:.1}") };
    let ends = interval(row, &format!("{key}_ci95"));
    let ends = ends.map_or(String::new(), |(low, high)| format!("[{}, {}]", bare(low), bare(high)));
    Some((shown(number(row, key)?), ends))
}

/// Problems of the runs: those in their metrics, and missing files.
fn warnings(records: &[RunRecord]) -> String {
    let mut text = String::new();
    for record in records {
        let mut found = problems(record);
        if found.is_empty() {
            continue;
        }
        let more = found.len().saturating_sub(ROWS_OF_WARNINGS);
        found.truncate(ROWS_OF_WARNINGS);
        if records.len() > 1 {
            let _ = write!(text, "<h3>{}</h3>", escape(&record.label));
        }
        text.push_str("<ul class=\"warnings\">");
        found.iter().for_each(|warning| {
            let _ = write!(text, "<li>{}</li>", escape(warning));
        });
        if more > 0 {
            let _ = write!(text, "<li>{more} more</li>");
        }
        text.push_str("</ul>");
    }
    text
}

fn problems(record: &RunRecord) -> Vec<String> {
    let mut found = record.problems.clone();
    match record.status() {
        "diverged" => found.push("The run diverged: lower learning_rate, or max_grad_norm.".to_owned()),
        "not_ready" => {
            found.push("The base model was not ready: pretrain longer, or lower the level.".to_owned());
        }
        _ => {}
    }
    let skipped = record.metrics.iter().filter(|row| row.contains_key("skipped")).count();
    if skipped > 0 {
        found.push(format!("{skipped} updates were not finite and were skipped: lower learning_rate."));
    }
    let errors: f64 = ["verifier_errors", "errors", "greedy_errors"]
        .iter()
        .flat_map(|key| record.metrics.iter().filter_map(|row| number(row, key)))
        .sum();
    if errors > 0.0 {
        found.push(format!(
            "{errors} completions could not be judged and are in no mean: look at their reasons in rollouts.jsonl."
        ));
    }
    found.extend(alarms_raised(record));
    found
}

/// The alarms of a run, each with its stage, its steps and its fix.
fn alarms_raised(record: &RunRecord) -> Vec<String> {
    let mut raised: Vec<((&str, &str), Vec<f64>)> = Vec::new();
    for row in &record.metrics {
        let step = number(row, "step").unwrap_or(0.0);
        let names = row.get("alarms").and_then(Value::as_array).into_iter().flatten();
        for name in names.filter_map(Value::as_str) {
            let place = (name, word(row, "stage"));
            match raised.iter_mut().find(|(known, _)| *known == place) {
                Some((_, steps)) => steps.push(step),
                None => raised.push((place, vec![step])),
            }
        }
    }
    let told = |((name, stage), steps): ((&str, &str), Vec<f64>)| {
        let fix = alarms::fix(name).map(|fix| format!(": {fix}")).unwrap_or_default();
        let when = match steps[..] {
            [step] => format!("step {step}"),
            [first, .., last] => format!("{} steps from {first} to {last}", steps.len()),
            [] => String::new(),
        };
        format!("Alarm {} in {stage}, {when}{fix}", name.replace('_', " "))
    };
    raised.into_iter().map(told).collect()
}

fn figures_section(records: &[RunRecord]) -> String {
    let mut text = String::from("<div class=\"figures\">\n");
    let figures = figures(records);
    for figure in &figures {
        let note = if figure.note.is_empty() {
            String::new()
        } else {
            format!("<small>{}</small>", escape(figure.note))
        };
        let _ = writeln!(
            text,
            "<figure id=\"figure-{}\" tabindex=\"0\"><figcaption>{}{note}</figcaption>{}{}</figure>",
            figure.id,
            escape(&figure.title),
            key(figure),
            inline_svg(figure).replacen(
                "<svg",
                &format!("<svg role=\"img\" aria-label=\"{}\"", escape(&figure.title)),
                1
            ),
        );
    }
    if figures.is_empty() { String::new() } else { text + "</div>" }
}

fn key(figure: &Figure) -> String {
    let Content::Lines(lines) = &figure.content else { return String::new() };
    let mut text = String::new();
    for line in lines.iter().filter(|line| !line.name.is_empty()) {
        let dash = if line.is_dashed { " dashed" } else { "" };
        let colour = line.colour % PALETTE.len() + 1;
        let _ = write!(text, "<li class=\"line-{colour}{dash}\">{}</li>", escape(&line.name));
    }
    if text.is_empty() { text } else { format!("<ul class=\"lines\">{text}</ul>") }
}

fn completions_section(records: &[RunRecord]) -> String {
    let mut text = String::new();
    for record in records {
        let columns = completions::columns(record);
        if columns.is_empty() {
            continue;
        }
        if records.len() > 1 {
            let _ = write!(
                text,
                "<details{}><summary>{}</summary>{columns}</details>",
                if text.is_empty() { " open" } else { "" },
                escape(&record.label)
            );
        } else {
            text.push_str(&columns);
        }
    }
    if text.is_empty() {
        return text;
    }
    "<p class=\"key\"><span class=\"thinking\">thinking</span> <span class=\"answer\">answer</span> \
     <span class=\"tag\">tags</span></p>"
        .to_owned()
        + &text
}

/// The differences between the recipes, then each recipe in full.
fn recipe(records: &[RunRecord]) -> String {
    let mut text = if records.len() > 1 { difference(records) } else { String::new() };
    for record in records.iter().filter(|record| !record.recipe.is_empty()) {
        let name = if records.len() > 1 { record.label.as_str() } else { "The recipe with every default" };
        let _ = write!(
            text,
            "<details><summary>{}</summary><pre class=\"recipe\" tabindex=\"0\">{}</pre></details>",
            escape(name),
            escape(&record.recipe)
        );
    }
    text
}

fn difference(records: &[RunRecord]) -> String {
    let recipes: Vec<_> = records.iter().map(RunRecord::recipe_keys).collect();
    let keys: BTreeSet<&String> = recipes.iter().flat_map(|recipe| recipe.keys()).collect();
    let differing: Vec<&&String> = keys
        .iter()
        .filter(|key| recipes.iter().any(|recipe| recipe.get(**key) != recipes[0].get(**key)))
        .collect();
    if differing.is_empty() {
        return "<p>The recipes are the same.</p>".to_owned();
    }
    let mut text =
        String::from("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">key</th>");
    for record in records {
        let _ = write!(text, "<th scope=\"col\">{}</th>", escape(&record.label));
    }
    text.push_str("</tr></thead><tbody>");
    for key in differing {
        let _ = write!(text, "<tr><th scope=\"row\">{}</th>", escape(key));
        for recipe in &recipes {
            let _ = write!(
                text,
                "<td>{}</td>",
                recipe.get(*key).map_or_else(|| "—".to_owned(), |value| escape(value))
            );
        }
        text.push_str("</tr>");
    }
    text + "</tbody></table></div>"
}

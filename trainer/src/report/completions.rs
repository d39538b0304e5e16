//! The completions in the report.

use std::fmt::Write as _;

use thinkling_verifiers::answer::{ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN};

use super::page::{escape, figure_of};
use super::record::RunRecord;
use crate::tracking::rows::{Row, number, word};

const SHOWN: usize = 4;
const LONGEST: usize = 4000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Tag,
    Thinking,
    Answer,
    Other,
}

impl Part {
    fn class(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Thinking => "thinking",
            Self::Answer => "answer",
            Self::Other => "other",
        }
    }
}

/// The completions of three steps of a run: the first step that has any, one in the middle, and the last.
pub(super) fn columns(record: &RunRecord) -> String {
    let place = |row: &Row| (word(row, "stage").to_owned(), number(row, "step").unwrap_or(0.0));
    let mut places: Vec<(String, f64)> = Vec::new();
    for row in &record.rollouts {
        if places.last() != Some(&place(row)) {
            places.push(place(row));
        }
    }
    let Some(last) = places.len().checked_sub(1) else { return String::new() };
    let mut chosen = vec![0, last / 2, last];
    chosen.dedup();
    let mut text = String::from("<div class=\"columns\">");
    for at in chosen {
        let (stage, step) = &places[at];
        let _ = write!(
            text,
            "<section class=\"column\" tabindex=\"0\" aria-label=\"Completions of step {step}\"><h3>{} <span>step {step}</span></h3>",
            escape(stage)
        );
        let rows = record.rollouts.iter().filter(|row| place(row) == places[at]);
        rows.take(SHOWN).for_each(|row| text.push_str(&completion(row)));
        text.push_str("</section>");
    }
    text + "</div>"
}

fn completion(row: &Row) -> String {
    let verdict = word(row, "verdict");
    let class = if verdict == "correct" { "right" } else { "wrong" };
    let fact = |key: &str| number(row, key).map(figure_of);
    let facts: Vec<String> = [
        fact("reward").map(|reward| format!("reward {reward}")),
        fact("advantage").map(|advantage| format!("advantage {advantage}")),
        fact("length").map(|length| format!("{length} tokens")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let answer = word(row, "answer");
    let wanted =
        if answer.is_empty() { String::new() } else { format!(" <small>wants {}</small>", escape(answer)) };
    format!(
        "<article class=\"completion {class}\"><header><b class=\"verdict\">{}</b> <span>{}</span></header>\
         <p class=\"prompt\">{}{wanted}</p><pre>{}</pre></article>",
        escape(if verdict.is_empty() { "not judged" } else { verdict }),
        escape(&facts.join(" · ")),
        escape(&shortened(word(row, "prompt"), LONGEST / 4)),
        coloured(word(row, "completion")),
    )
}

/// The first `most` characters of the text, and the number of further ones.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{} … {} more characters", &text[..end], text[end..].chars().count()),
        None => text.to_owned(),
    }
}

fn coloured(text: &str) -> String {
    if text.is_empty() {
        return "<span class=\"tag\">(nothing)</span>".to_owned();
    }
    let text = shortened(text, LONGEST);
    let mut marked = String::new();
    let mut rest = text.as_str();
    let mut inside = Part::Other;
    while !rest.is_empty() {
        let tags = [
            (THINK_OPEN, Part::Thinking),
            (THINK_CLOSE, Part::Other),
            (ANSWER_OPEN, Part::Answer),
            (ANSWER_CLOSE, Part::Other),
        ];
        let next = tags
            .into_iter()
            .filter_map(|(tag, part)| Some((rest.find(tag)?, tag, part)))
            .min_by_key(|next| next.0);
        let end = next.map_or(rest.len(), |(at, ..)| at);
        span(&mut marked, inside, &rest[..end]);
        rest = &rest[end..];
        if let Some((_, tag, part)) = next {
            span(&mut marked, Part::Tag, tag);
            rest = &rest[tag.len()..];
            inside = part;
        }
    }
    marked
}

fn span(marked: &mut String, part: Part, text: &str) {
    if !text.is_empty() {
        let _ = write!(marked, "<span class=\"{}\">{}</span>", part.class(), escape(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_escaped_and_parts_stand_out() {
        let marked = coloured("<think>a<b></think><answer>\"1\"</answer><script>alert(1)</script>\0");
        assert_eq!(
            marked,
            "<span class=\"tag\">&lt;think&gt;</span><span class=\"thinking\">a&lt;b&gt;</span>\
             <span class=\"tag\">&lt;/think&gt;</span><span class=\"tag\">&lt;answer&gt;</span>\
             <span class=\"answer\">&quot;1&quot;</span><span class=\"tag\">&lt;/answer&gt;</span>\
             <span class=\"other\">&lt;script&gt;alert(1)&lt;/script&gt;\u{2400}</span>"
        );
    }

    #[test]
    fn a_completion_of_megabytes_is_cut_between_characters() {
        let marked = coloured(&"é".repeat(1_000_000));
        assert!(marked.len() < 3 * LONGEST && marked.contains("996000 more characters"), "{}", marked.len());
    }
}

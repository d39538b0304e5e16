//! A recipe as a tree in which every key and value has its location, in the file or in a `--set`.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Found, Location, Sources, keys};

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Location,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Location,
    pub(crate) node: Node,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Table(Vec<Entry>),
    Array(Vec<Node>),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A value that recipes cannot use; the text describes it.
    Foreign(&'static str),
}

impl Node {
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The node under a key or an index.
    fn child(&self, step: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => self.entry(step).map(|entry| &entry.node),
        }
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, step| node.child(step))
    }

    /// The value at a dotted path, or the nearest table around it in the recipe.
    pub(crate) fn find_around(&self, path: &str) -> &Node {
        let mut node = self;
        for step in path.split('.') {
            match node.child(step) {
                Some(child) => node = child,
                None => break,
            }
        }
        node
    }

    pub(crate) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Table(_) => "a table",
            Kind::Array(_) => "an array",
            Kind::Text(_) => "a string",
            Kind::Integer(_) => "a whole number",
            Kind::Float(_) => "a number",
            Kind::Boolean(_) => "a boolean",
            Kind::Foreign(what) => what,
        }
    }

    fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }
}

pub(crate) fn parse(source: usize, text: &str) -> Result<Node, Found> {
    match DeTable::parse(text) {
        Ok(table) => {
            let span = table.span();
            let at = Location { source, start: span.start, end: span.end };
            Ok(Node { at, kind: table_of(table.get_ref(), source, 0) })
        }
        Err(error) => {
            let span = error.span().unwrap_or_default();
            let at = Location { source, start: span.start, end: span.end };
            Err(Found { at, message: format!("this is not TOML: {}", error.message()), help: Vec::new() })
        }
    }
}

/// Converts a parsed table and adds `shift` to every location.
fn table_of(table: &DeTable<'_>, source: usize, shift: usize) -> Kind {
    let entries = table.iter().map(|(key, value)| {
        let span = key.span();
        let at = Location { source, start: span.start + shift, end: span.end + shift };
        Entry { key: key.get_ref().to_string(), at, node: node_of(value, source, shift) }
    });
    Kind::Table(entries.collect())
}

fn node_of(value: &Spanned<DeValue<'_>>, source: usize, shift: usize) -> Node {
    let span = value.span();
    let at = Location { source, start: span.start + shift, end: span.end + shift };
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Kind::Integer(number),
            Err(_) => Kind::Foreign("a whole number beyond 64 bits"),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Kind::Float(number),
            Err(_) => Kind::Foreign("a number beyond double precision"),
        },
        DeValue::Boolean(truth) => Kind::Boolean(*truth),
        DeValue::Datetime(_) => Kind::Foreign("a date"),
        DeValue::Array(items) => Kind::Array(items.iter().map(|item| node_of(item, source, shift)).collect()),
        DeValue::Table(table) => table_of(table, source, shift),
    };
    Node { at, kind }
}

/// Applies a `--set PATH=VALUE` to the tree.
///
/// A step of the path is a key, the index of an array (from 0), or the name of a stage.
pub(crate) fn apply_override(root: &mut Node, sources: &mut Sources, argument: &str) -> Result<(), Found> {
    let source = sources.add(&format!("--set {argument}"), argument);
    let at = |start: usize, end: usize| Location { source, start, end };
    let Some((path, value)) = argument.split_once('=') else {
        let help = vec!["write PATH=VALUE, for example stage.0.steps=100".to_owned()];
        return Err(Found { at: at(0, argument.len()), message: format!("`{argument}` has no `=`"), help });
    };
    let node = value_of(value, source, path.len() + 1);
    let mut steps = Vec::new();
    let mut start = 0;
    for step in path.split('.') {
        let end = start + step.len();
        steps.push((step.trim(), at(start, end)));
        start = end + 1;
    }
    if let Some((_, place)) = steps.iter().find(|(step, _)| step.is_empty()) {
        let help = vec!["write PATH=VALUE, for example model.hidden_size=96".to_owned()];
        return Err(Found { at: *place, message: format!("`{path}` is not a path of keys"), help });
    }
    place(root, &steps, node, "")
}

/// The value of a `--set`: TOML, or else an unquoted string.
fn value_of(value: &str, source: usize, start: usize) -> Node {
    let trimmed = value.trim();
    let start = start + (value.len() - value.trim_start().len());
    match DeValue::parse(trimmed) {
        Ok(parsed) => node_of(&parsed, source, start),
        Err(_) => {
            let at = Location { source, start, end: start + trimmed.len() };
            Node { at, kind: Kind::Text(trimmed.to_owned()) }
        }
    }
}

/// Sets the value at `steps` below `node`, which is at the path `walked`.
fn place(node: &mut Node, steps: &[(&str, Location)], value: Node, walked: &str) -> Result<(), Found> {
    let Some(((step, at), rest)) = steps.split_first() else {
        *node = value;
        return Ok(());
    };
    let path = if walked.is_empty() { (*step).to_owned() } else { format!("{walked}.{step}") };
    let described = node.describe();
    match &mut node.kind {
        Kind::Table(entries) => {
            let found = entries.iter().position(|entry| entry.key == *step);
            let index = found.unwrap_or_else(|| {
                let empty = Node { at: *at, kind: Kind::Table(Vec::new()) };
                entries.push(Entry { key: (*step).to_owned(), at: *at, node: empty });
                entries.len() - 1
            });
            place(&mut entries[index].node, rest, value, &path)
        }
        Kind::Array(items) => {
            let names = if walked == "stage" { stage_names(items) } else { Vec::new() };
            let named = names.iter().position(|name| name == step);
            let index = named.or_else(|| step.parse().ok().filter(|index| *index < items.len()));
            match index {
                Some(index) => place(&mut items[index], rest, value, &path),
                None => {
                    let numbers: Vec<String> = (0..items.len()).map(|index| index.to_string()).collect();
                    let all = numbers.iter().chain(&names).map(String::as_str);
                    let valid: Vec<&str> = all.filter(|name| !name.is_empty()).collect();
                    let message = format!("`{walked}` has no part `{step}`");
                    Err(Found { at: *at, message, help: keys(step, &valid) })
                }
            }
        }
        _ => {
            let message = format!("`{walked}` is {described}: it has no part `{step}`");
            Err(Found { at: *at, message, help: Vec::new() })
        }
    }
}

/// The names of the stages: their own, or else their kind, made unique by `-2`, `-3`, ….
pub(crate) fn stage_names(stages: &[Node]) -> Vec<String> {
    let written =
        |stage: &Node, key: &str| stage.entry(key).and_then(|entry| entry.node.text().map(str::to_owned));
    unique_names(
        stages.iter().map(|stage| (written(stage, "name"), written(stage, "kind").unwrap_or_default())),
    )
}

/// Unique names from pairs of (own name, kind); a kind that is already taken gets `-2`, `-3`, ….
pub(crate) fn unique_names(stages: impl Iterator<Item = (Option<String>, String)> + Clone) -> Vec<String> {
    let mut taken: BTreeSet<String> = stages.clone().filter_map(|(name, _)| name).collect();
    // The number to try next for a kind; 1 is the kind alone.
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    let mut unnamed = |kind: String| {
        let number = next.entry(kind.clone()).or_insert(1);
        loop {
            let name = if *number == 1 { kind.clone() } else { format!("{kind}-{number}") };
            *number += 1;
            if taken.insert(name.clone()) {
                return name;
            }
        }
    };
    stages.map(|(name, kind)| name.unwrap_or_else(|| unnamed(kind))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> (Sources, Node) {
        let mut sources = Sources::default();
        let source = sources.add("a.toml", text);
        (sources, parse(source, text).unwrap())
    }

    #[test]
    fn every_value_knows_where_it_was_written() {
        let text = "a = 1\n[b]\nc = [0x1F, 1_000, \"ü\"]\n[[d]]\ne.f = +2.5e-1\n";
        let (mut sources, mut root) = tree(text);
        let at = |path: &str, root: &Node, sources: &Sources| {
            sources.slice(root.find(path).unwrap().at).to_owned()
        };
        for (path, written) in [("a", "1"), ("b.c.0", "0x1F"), ("b.c.2", "\"ü\""), ("d.0.e.f", "+2.5e-1")] {
            assert_eq!(at(path, &root, &sources), written);
        }
        assert!(matches!(root.find("b.c.0").unwrap().kind, Kind::Integer(31)));
        assert!(matches!(root.find("b.c.1").unwrap().kind, Kind::Integer(1000)));
        assert!(matches!(root.find("d.0.e.f").unwrap().kind, Kind::Float(0.25)));
        apply_override(&mut root, &mut sources, "d.0.e.f =  [1, {x = 7}] ").unwrap();
        assert_eq!(at("d.0.e.f.1.x", &root, &sources), "7");
        apply_override(&mut root, &mut sources, "b.c.2=gqa").unwrap();
        assert_eq!(at("b.c.2", &root, &sources), "gqa");
        apply_override(&mut root, &mut sources, "b.new.deep=a=b").unwrap();
        assert!(matches!(&root.find("b.new.deep").unwrap().kind, Kind::Text(text) if text == "a=b"));
    }

    #[test]
    fn stages_are_named_and_numbered() {
        let text =
            "[[stage]]\nkind = 'grpo'\n[[stage]]\nkind = 'grpo'\n[[stage]]\nname = 'grpo-2'\nkind = 'grpo'\n";
        let (mut sources, mut root) = tree(text);
        let Kind::Array(stages) = &root.find("stage").unwrap().kind else { panic!("stages are an array") };
        assert_eq!(stage_names(stages), ["grpo", "grpo-3", "grpo-2"]);
        for (name, index) in [("grpo", 0), ("grpo-3", 1), ("grpo-2", 2), ("1", 1)] {
            apply_override(&mut root, &mut sources, &format!("stage.{name}.steps=3")).unwrap();
            assert!(root.find(&format!("stage.{index}.steps")).is_some(), "{name}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_is_refused() {
        let text = "a = 1\n[[stage]]\nkind = 'grpo'\n";
        let (mut sources, mut root) = tree(text);
        for (argument, marked) in
            [("a", "a"), ("a.b=1", "b"), ("stage.3.x=1", "3"), ("stage.grop.x=1", "grop"), ("a..b=1", "")]
        {
            let found = apply_override(&mut root, &mut sources, argument).unwrap_err();
            assert_eq!(sources.slice(found.at), marked, "{argument}");
        }
    }
}

//! Compares a recipe with its JSON Schema: finds every mistake of form at once, and fixes them so that the checks of
//! meaning can run on the rest.

use schemars::Schema;
use serde_json::{Map, Value, json};

use super::mistake::{Found, Location, Sources, keys, nearest, values};
use super::tree::{Entry, Kind, Node};

pub(crate) struct Conformed {
    /// The recipe, with faulty values replaced.
    pub(crate) value: Value,
    /// Paths of the replaced values; later checks skip them.
    pub(crate) faulty: Vec<String>,
    pub(crate) found: Vec<Found>,
}

pub(crate) fn conform(root: &Node, schema: &Schema, sources: &Sources) -> Conformed {
    let mut walk = Walk { schema: schema.as_value(), sources, faulty: Vec::new(), found: Vec::new() };
    let value =
        walk.value(root, schema.as_value(), "").unwrap_or_else(|| walk.placeholder(schema.as_value()));
    Conformed { value, faulty: walk.faulty, found: walk.found }
}

struct Walk<'a> {
    schema: &'a Value,
    sources: &'a Sources,
    faulty: Vec<String>,
    found: Vec<Found>,
}

impl<'a> Walk<'a> {
    fn mistake(&mut self, at: Location, message: String, help: Vec<String>) {
        self.found.push(Found { at, message, help });
    }

    /// Notes a mistake in the value at `path` and leaves the value out.
    fn faulty(&mut self, node: &Node, path: &str, message: String, help: Vec<String>) -> Option<Value> {
        self.mistake(node.at, message, help);
        self.faulty.push(path.to_owned());
        None
    }

    /// Adds the description of a key to the last mistake, if it has no other help.
    fn explain(&mut self, property: &Value) {
        if let (Some(last), Some(about)) = (self.found.last_mut(), property["description"].as_str())
            && last.help.is_empty()
        {
            last.help.push(about.to_owned());
        }
    }

    /// Follows references and unwraps `null` variants, which TOML does not have.
    fn resolve(&self, mut schema: &'a Value) -> &'a Value {
        loop {
            if let Some(reference) = schema["$ref"].as_str() {
                match self.schema.pointer(reference.trim_start_matches('#')) {
                    Some(target) => schema = target,
                    None => return schema,
                }
            } else if let Some(choice) = some_of(schema) {
                schema = choice;
            } else {
                return schema;
            }
        }
    }

    /// The value of `node` in the form of `schema`; `None` if it is faulty.
    fn value(&mut self, node: &Node, schema: &'a Value, path: &str) -> Option<Value> {
        let schema = self.resolve(schema);
        if let Some(variants) = schema["oneOf"].as_array() {
            return match variants.iter().map(|variant| variant["const"].as_str()).collect::<Option<Vec<_>>>()
            {
                Some(names) => self.choice(node, &names, path),
                None => self.tagged(node, variants, path),
            };
        }
        match type_of(schema) {
            "object" => self.table(node, schema, path),
            "array" => self.array(node, schema, path),
            "string" => self.text(node, schema, path),
            "boolean" => match node.kind {
                Kind::Boolean(truth) => Some(truth.into()),
                _ => self.wrong_type(node, "true or false", path),
            },
            "integer" => self.integer(node, schema, path),
            "number" => self.number(node, schema, path),
            _ => self.anything(node, path),
        }
    }

    fn wrong_type(&mut self, node: &Node, expected: &str, path: &str) -> Option<Value> {
        self.faulty(node, path, format!("`{path}` must be {expected}, not {}", node.describe()), Vec::new())
    }

    /// The text of a string; a `--set` needs no quotes.
    fn as_text(&self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) | Kind::Foreign(_) if node.at.source > 0 => {
                Some(self.sources.slice(node.at).to_owned())
            }
            _ => None,
        }
    }

    fn text(&mut self, node: &Node, schema: &Value, path: &str) -> Option<Value> {
        let Some(text) = self.as_text(node) else { return self.wrong_type(node, "a string", path) };
        if text.chars().count() < schema["minLength"].as_u64().unwrap_or(0) as usize {
            return self.faulty(node, path, format!("`{path}` must not be empty"), Vec::new());
        }
        Some(text.into())
    }

    fn choice(&mut self, node: &Node, names: &[&str], path: &str) -> Option<Value> {
        let Some(text) = self.as_text(node) else {
            let message = format!("`{path}` must be a string, not {}", node.describe());
            return self.faulty(node, path, message, values("", names));
        };
        if names.contains(&text.as_str()) {
            return Some(text.into());
        }
        self.faulty(node, path, format!("`{path}` cannot be `{text}`"), values(&text, names))
    }

    fn integer(&mut self, node: &Node, schema: &Value, path: &str) -> Option<Value> {
        match node.kind {
            Kind::Integer(number) => match out_of_range(number as f64, schema) {
                Some(allowed) => self.faulty(node, path, format!("`{path}` is {number}"), vec![allowed]),
                None => Some(number.into()),
            },
            Kind::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                let help = vec![format!("write {number:.0}")];
                self.faulty(
                    node,
                    path,
                    format!("`{path}` must be a whole number, not a number with a point"),
                    help,
                )
            }
            _ => self.wrong_type(node, "a whole number", path),
        }
    }

    fn number(&mut self, node: &Node, schema: &Value, path: &str) -> Option<Value> {
        let number = match node.kind {
            Kind::Float(number) if number.is_finite() => number,
            Kind::Integer(number) => number as f64,
            Kind::Float(number) => {
                return self.faulty(
                    node,
                    path,
                    format!("`{path}` is {number}: it must be finite"),
                    Vec::new(),
                );
            }
            _ => return self.wrong_type(node, "a number", path),
        };
        match out_of_range(number, schema) {
            Some(allowed) => self.faulty(node, path, format!("`{path}` is {number}"), vec![allowed]),
            None => Some(number.into()),
        }
    }

    fn array(&mut self, node: &Node, schema: &'a Value, path: &str) -> Option<Value> {
        let Kind::Array(items) = &node.kind else {
            let of_tables =
                type_of(self.resolve(&schema["items"])) == "object" || schema["items"]["$ref"].is_string();
            let help = match &node.kind {
                Kind::Table(_) if node.at.source > 0 => vec!["give the whole array: PATH=[…]".to_owned()],
                Kind::Table(_) if of_tables => vec![format!("write [[{path}]], with double brackets")],
                _ => Vec::new(),
            };
            return self.faulty(
                node,
                path,
                format!("`{path}` must be an array, not {}", node.describe()),
                help,
            );
        };
        if items.len() < schema["minItems"].as_u64().unwrap_or(0) as usize {
            return self.faulty(node, path, format!("`{path}` is empty: it needs at least one"), Vec::new());
        }
        let mut fixed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let value = self.value(item, &schema["items"], &join(path, &index.to_string()));
            fixed.push(value.unwrap_or_else(|| self.placeholder(&schema["items"])));
        }
        Some(fixed.into())
    }

    /// A table in which one constant key, such as `kind`, selects one of `variants`.
    fn tagged(&mut self, node: &Node, variants: &'a [Value], path: &str) -> Option<Value> {
        let Kind::Table(_) = node.kind else { return self.wrong_type(node, "a table", path) };
        let tags: Vec<(&str, &str)> = variants.iter().filter_map(tag_of).collect();
        let names: Vec<&str> = tags.iter().map(|(_, name)| *name).collect();
        let key = tags.first().map_or("kind", |(key, _)| key);
        let Some(entry) = node.entry(key) else {
            self.faulty.push(path.to_owned());
            self.mistake(node.at, format!("`{path}` has no `{key}`"), values("", &names));
            return None;
        };
        let tag = join(path, key);
        let chosen = match self.choice(&entry.node, &names, &tag) {
            Some(name) => names.iter().position(|candidate| name == *candidate),
            // With the variant that was probably meant, wrong keys can still be found.
            None => self.as_text(&entry.node).and_then(|text| {
                let meant = nearest(&text, names.iter().copied())?;
                names.iter().position(|name| *name == meant)
            }),
        };
        let Some(chosen) = chosen else {
            self.faulty.push(path.to_owned());
            return None;
        };
        let mut value = self.table(node, &variants[chosen], path)?;
        value[key] = names[chosen].into();
        Some(value)
    }

    fn table(&mut self, node: &Node, schema: &'a Value, path: &str) -> Option<Value> {
        let Kind::Table(entries) = &node.kind else { return self.wrong_type(node, "a table", path) };
        let Some(properties) = schema["properties"].as_object() else { return self.anything(node, path) };
        let valid: Vec<&str> = properties.keys().map(String::as_str).collect();
        let absent: Vec<&str> = valid.iter().copied().filter(|valid| node.entry(valid).is_none()).collect();
        let mut fixed = Map::new();
        // Keys with a reported mistake.
        let mut told = Vec::new();
        for Entry { key, at, node: value } in entries {
            let key_path = join(path, key);
            let Some(property) = properties.get(key) else {
                let candidate = nearest(key, absent.iter().copied());
                told.extend(candidate);
                self.faulty.extend(candidate.map(|candidate| join(path, candidate)));
                self.mistake(*at, format!("unknown key `{key_path}`"), keys(key, &valid));
                continue;
            };
            // The tag was checked when the variant was chosen.
            if property["const"].is_string() {
                continue;
            }
            match self.value(value, property, &key_path) {
                Some(value) => drop(fixed.insert(key.clone(), value)),
                None => {
                    self.explain(property);
                    told.push(key);
                }
            }
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if fixed.contains_key(key) || properties[key]["const"].is_string() {
                continue;
            }
            if !told.contains(&key) {
                let described = properties[key]["description"].as_str().unwrap_or_default();
                let name = if path.is_empty() { "the recipe".to_owned() } else { format!("`{path}`") };
                self.mistake(node.at, format!("{name} has no `{key}`"), vec![format!("{key}: {described}")]);
                self.faulty.push(join(path, key));
            }
            fixed.insert(key.to_owned(), self.placeholder(&properties[key]));
        }
        Some(fixed.into())
    }

    /// A value whose form is checked elsewhere.
    fn anything(&mut self, node: &Node, path: &str) -> Option<Value> {
        match &node.kind {
            Kind::Table(entries) => {
                let pairs = entries.iter().map(|entry| {
                    Some((entry.key.clone(), self.anything(&entry.node, &join(path, &entry.key))?))
                });
                pairs.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
            Kind::Array(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| self.anything(item, &join(path, &index.to_string()))).collect()
            }
            Kind::Text(text) => Some(text.as_str().into()),
            Kind::Integer(number) => Some((*number).into()),
            Kind::Float(number) if number.is_finite() => Some((*number).into()),
            Kind::Boolean(truth) => Some((*truth).into()),
            Kind::Float(_) | Kind::Foreign(_) => self.wrong_type(node, "a value that JSON has", path),
        }
    }

    /// A valid value that replaces a missing or faulty one.
    fn placeholder(&self, schema: &'a Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(first) = schema["oneOf"].as_array().and_then(|variants| variants.first()) {
            if first["const"].is_string() {
                return first["const"].clone();
            }
            let mut value = self.placeholder(first);
            if let Some((key, name)) = tag_of(first) {
                value[key] = name.into();
            }
            return value;
        }
        let least = schema["minimum"].as_f64().unwrap_or(0.0);
        match type_of(schema) {
            "object" => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                required
                    .map(|key| (key.to_owned(), self.placeholder(&schema["properties"][key])))
                    .collect::<Map<_, _>>()
                    .into()
            }
            "array" => json!([]),
            "integer" => json!(least.max(1.0) as u64),
            "number" => json!(least.max(1.0)),
            "boolean" => json!(false),
            "string" => schema.get("const").cloned().unwrap_or_else(|| "placeholder".into()),
            _ => Value::Null,
        }
    }
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

/// The variant of an `anyOf` that is not null; schemars writes an `Option` so.
fn some_of(schema: &Value) -> Option<&Value> {
    schema["anyOf"].as_array()?.iter().find(|choice| choice["type"] != "null")
}

/// The JSON type other than null; empty if there is none.
fn type_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(name) => name,
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ => "",
    }
}

/// The key that selects a variant, and its value.
fn tag_of(variant: &Value) -> Option<(&str, &str)> {
    let properties = variant["properties"].as_object()?;
    properties.iter().find_map(|(key, property)| Some((key.as_str(), property["const"].as_str()?)))
}

/// The allowed range, if `number` is outside it.
fn out_of_range(number: f64, schema: &Value) -> Option<String> {
    let limit = |key: &str| schema[key].as_f64();
    let above = limit("exclusiveMinimum").map(|least| (number > least, format!("above {least}")));
    let least = limit("minimum").map(|least| (number >= least, format!("at least {least}")));
    let format_most = match schema["format"].as_str() {
        Some("uint32") => Some(f64::from(u32::MAX)),
        _ => None,
    };
    let below = limit("exclusiveMaximum").map(|most| (number < most, format!("below {most}")));
    let most = limit("maximum").or(format_most).map(|most| (number <= most, format!("at most {most}")));
    let limits: Vec<(bool, String)> = [above, least, below, most].into_iter().flatten().collect();
    if limits.iter().all(|(kept, _)| *kept) {
        return None;
    }
    let said: Vec<String> = limits.into_iter().map(|(_, said)| said).collect();
    Some(format!("it must be {}", said.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_say_what_is_allowed() {
        let schema = json!({ "exclusiveMinimum": 0.0, "maximum": 1.0 });
        assert_eq!(out_of_range(1.0, &schema), None);
        assert_eq!(out_of_range(0.0, &schema).as_deref(), Some("it must be above 0 and at most 1"));
        assert_eq!(
            out_of_range(5e9, &json!({ "format": "uint32" })).as_deref(),
            Some("it must be at most 4294967295")
        );
    }
}

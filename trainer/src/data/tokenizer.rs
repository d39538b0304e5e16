//! The tokenizer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thinkling_verifiers::answer::{ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN};

/// Padding; id 0.
pub const PAD: &str = "<pad>";
/// Ends a completion.
pub const END: &str = "<end>";
/// The special tokens, in the order of their ids.
pub const SPECIALS: [&str; 6] = [PAD, THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE, END];

/// A text or a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// No symbol matches here.
    #[error("no token for `{character}` (character {position} of the text)")]
    Unknown {
        /// Counted in characters from 1.
        position: usize,
        /// The character.
        character: char,
    },
    /// A `tokenizer.json` that was not written here.
    #[error("this tokenizer.json cannot be used: {0}; thinkling only reads its own files")]
    Foreign(String),
}

/// A table of symbols. Encoding takes the longest match, from left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    symbols: Vec<String>,
    ids: BTreeMap<String, u32>,
    longest: usize,
}

impl Tokenizer {
    /// The special tokens, then the symbols of `alphabets` in order of first appearance.
    pub fn from_alphabets(alphabets: impl IntoIterator<Item = Vec<String>>) -> Self {
        let mut tokenizer = Self { symbols: Vec::new(), ids: BTreeMap::new(), longest: 0 };
        let specials = SPECIALS.iter().map(|special| (*special).to_owned());
        for symbol in specials.chain(alphabets.into_iter().flatten()) {
            if !symbol.is_empty() && !tokenizer.ids.contains_key(&symbol) {
                tokenizer.longest = tokenizer.longest.max(symbol.len());
                tokenizer.ids.insert(symbol.clone(), tokenizer.symbols.len() as u32);
                tokenizer.symbols.push(symbol);
            }
        }
        tokenizer
    }

    /// Number of tokens.
    pub fn size(&self) -> usize {
        self.symbols.len()
    }

    /// Every symbol, in the order of ids.
    pub fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// The ids of `text`.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let ends = (at + 1..=text.len().min(at + self.longest)).rev();
            let matched = ends
                .filter(|end| text.is_char_boundary(*end))
                .find_map(|end| self.ids.get(&text[at..end]).map(|id| (*id, end)));
            let Some((id, end)) = matched else {
                let position = text[..at].chars().count() + 1;
                return Err(TokenizerError::Unknown {
                    position,
                    character: text[at..].chars().next().unwrap_or_default(),
                });
            };
            ids.push(id);
            at = end;
        }
        Ok(ids)
    }

    /// The text of `ids`; an unknown id becomes `�`.
    pub fn decode(&self, ids: &[u32]) -> String {
        ids.iter().map(|id| self.symbols.get(*id as usize).map_or("\u{fffd}", String::as_str)).collect()
    }

    /// The token that opens the thinking.
    pub fn think_open(&self) -> u32 {
        1
    }

    /// The token that closes the thinking.
    pub fn think_close(&self) -> u32 {
        2
    }

    /// The token that ends a completion.
    pub fn end(&self) -> u32 {
        5
    }

    /// Tokens between the first thinking tags, or to the end if they are not closed.
    pub fn thinking_length(&self, ids: &[u32]) -> usize {
        length_between(ids, 1, 2)
    }

    /// Tokens between the first answer tags, or to the end if they are not closed.
    pub fn answer_length(&self, ids: &[u32]) -> usize {
        length_between(ids, 3, 4)
    }

    /// A `tokenizer.json` of Hugging Face's `tokenizers`: a table of words, after a pattern that finds the longest symbol.
    pub fn to_json(&self) -> Value {
        let mut longest_first: Vec<&str> = self.symbols.iter().map(String::as_str).collect();
        longest_first.sort_by_key(|symbol| std::cmp::Reverse(symbol.len()));
        let pattern: Vec<String> = longest_first.iter().map(|symbol| escape(symbol)).collect();
        let added: Vec<Value> = SPECIALS
            .iter()
            .enumerate()
            .map(|(id, content)| {
                let is_special = [PAD, END].contains(content);
                json!({
                    "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    // The tags are part of a completion: `skip_special_tokens` must not drop them.
                    "normalized": false, "special": is_special,
                })
            })
            .collect();
        let vocabulary: serde_json::Map<String, Value> =
            self.symbols.iter().enumerate().map(|(id, symbol)| (symbol.clone(), json!(id))).collect();
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": {
                "type": "Split", "pattern": { "Regex": pattern.join("|") }, "behavior": "Isolated", "invert": false,
            },
            "post_processor": null,
            "decoder": { "type": "Fuse" },
            "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "<unknown>" },
        })
    }

    /// Reads the result of [`Tokenizer::to_json`].
    pub fn from_json(json: &Value) -> Result<Self, TokenizerError> {
        let foreign = |what: &str| TokenizerError::Foreign(what.to_owned());
        if json["model"]["type"] != "WordLevel" {
            return Err(foreign("its model is not a WordLevel table"));
        }
        let vocabulary = json["model"]["vocab"].as_object().ok_or_else(|| foreign("it has no vocabulary"))?;
        let mut symbols = vec![String::new(); vocabulary.len()];
        for (symbol, id) in vocabulary {
            let place = id.as_u64().and_then(|id| symbols.get_mut(id as usize));
            *place.ok_or_else(|| foreign("its ids are not 0, 1, 2, …"))? = symbol.clone();
        }
        if !symbols.iter().zip(SPECIALS).all(|(symbol, special)| symbol == special)
            || symbols.len() < SPECIALS.len()
        {
            return Err(foreign("its first tokens are not thinkling's"));
        }
        let count = symbols.len();
        let tokenizer = Self::from_alphabets([symbols]);
        if tokenizer.size() == count { Ok(tokenizer) } else { Err(foreign("its ids are not 0, 1, 2, …")) }
    }
}

fn length_between(ids: &[u32], open: u32, close: u32) -> usize {
    let Some(start) = ids.iter().position(|id| *id == open) else { return 0 };
    let inside = &ids[start + 1..];
    inside.iter().position(|id| *id == close).unwrap_or(inside.len())
}

/// A regular expression that matches only `symbol`.
fn escape(symbol: &str) -> String {
    let mut pattern = String::new();
    for character in symbol.chars() {
        if character.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Tokenizer {
        Tokenizer::from_alphabets([
            ["1", "2", "12", "+", "é"].map(String::from).to_vec(),
            vec!["2".to_owned()],
        ])
    }

    #[test]
    fn the_longest_symbol_wins_and_texts_come_back() {
        let tokenizer = numbers();
        let text = "<think>121+2é</think><answer>2</answer><end>";
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(ids, [1, 8, 6, 9, 7, 10, 2, 3, 7, 4, 5]);
        assert_eq!(tokenizer.decode(&ids), text);
        assert_eq!(tokenizer.decode(&[99]), "\u{fffd}");
        assert_eq!((tokenizer.thinking_length(&ids), tokenizer.answer_length(&ids)), (5, 1));
        assert_eq!(tokenizer.thinking_length(&ids[..4]), 3);
        let error = TokenizerError::Unknown { position: 3, character: '3' };
        assert_eq!(tokenizer.encode("é13"), Err(error));
    }

    #[test]
    fn a_domain_of_small_numbers_reads_each_as_one_token() {
        for (name, settings, level, pieces) in [
            (
                "countdown",
                json!({ "operations": "+-*", "max_value": 98 }),
                3,
                vec!["12", "*", "8", "=", "96", " ", "96", "-", "10", "=", "86", "n"],
            ),
            (
                "program_synthesis",
                json!({}),
                2,
                vec![
                    "6", ">", "-6", ",", "7", ">", "18", "=", "-1", ":", "4", ">", "3", "*", "3", ">", "9",
                    "n",
                ],
            ),
        ] {
            let row = thinkling_datasets::domains::find(name).unwrap();
            let domain = (row.build)(&settings).unwrap();
            let tokenizer = Tokenizer::from_alphabets([domain.alphabet()]);
            let text = pieces.concat();
            let ids = tokenizer.encode(&text).unwrap();
            let read: Vec<String> = ids.iter().map(|id| tokenizer.decode(&[*id])).collect();
            assert_eq!(read, pieces);
            let dataset = thinkling_datasets::Dataset::new(row, domain.as_ref(), level, 0).unwrap();
            for index in 0..50 {
                let prompt =
                    dataset.question(thinkling_datasets::Split::Train, index).unwrap().problem.prompt;
                assert_eq!(tokenizer.decode(&tokenizer.encode(&prompt).unwrap()), prompt);
            }
        }
    }

    #[test]
    fn it_survives_its_file() {
        let tokenizer = numbers();
        let text = serde_json::to_string(&tokenizer.to_json()).unwrap();
        assert_eq!(Tokenizer::from_json(&serde_json::from_str(&text).unwrap()), Ok(tokenizer));
        for bad in [json!({}), json!({"model": {"type": "WordLevel", "vocab": {"a": 0}}}), json!([1])] {
            assert!(matches!(Tokenizer::from_json(&bad), Err(TokenizerError::Foreign(_))));
        }
    }

    #[test]
    fn the_ids_of_the_specials_are_theirs() {
        let tokenizer = numbers();
        assert_eq!(
            tokenizer.decode(&[tokenizer.think_open(), tokenizer.think_close(), tokenizer.end()]),
            "<think></think><end>"
        );
    }
}

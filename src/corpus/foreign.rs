//! What a person's `tokenizer.json` may hold: as much as any tokenizer that is in use, and no more than its file accounts for.
//! Promises: what passes is read in time and memory of the order of its size. Must not know: how it is used.

use serde_json::{Map, Value};

/// Levels of nesting beside the vocabulary. The reader of the tokenizers crate tries several kinds for each step of a sequence,
/// so that its time doubles with each.
const DEEPEST: usize = 16;

/// Entries of a vocabulary, added ones included.
const MOST_ENTRIES: usize = 1_100_000;

/// Merges of a BPE; the largest that are in use have about 600,000.
const MOST_MERGES: usize = 1_500_000;

/// Ids may leave gaps: the highest may be this many times the number of entries, and [`SPARE_IDS`] more.
const GAPS: u64 = 4;
const SPARE_IDS: u64 = 1024;

/// The keys of a model that hold a list or an object with a value for each entry.
const TABLES: [&str; 2] = ["vocab", "merges"];

/// Whether the settings of a tokenizer can be read at all; in words why not, with the cure.
pub(super) fn check(settings: &Map<String, Value>) -> Result<(), String> {
    let model = settings.get("model").and_then(Value::as_object);
    let others = settings.iter().filter(|(key, _)| *key != "model").map(|(_, value)| value);
    let of_model = model.into_iter().flatten().filter(|(key, _)| !TABLES.contains(&key.as_str()));
    if others.chain(of_model.map(|(_, value)| value)).any(|value| is_deep(value, DEEPEST)) {
        return Err(format!("it is nested in more than {DEEPEST} levels; join its sequences of steps"));
    }
    let table = |key: &str| model.and_then(|model| model.get(key));
    let size = |value: &Value| value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), Map::len);
    let vocabulary = table("vocab");
    let added = || settings.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let entries = vocabulary.map_or(0, size) + added().count();
    if entries > MOST_ENTRIES {
        return Err(format!("its vocabulary has {entries} entries, and at most {MOST_ENTRIES} are read"));
    }
    let merges = table("merges").map_or(0, size);
    if merges > MOST_MERGES {
        return Err(format!("it has {merges} merges, and at most {MOST_MERGES} are read"));
    }
    let ids = vocabulary.and_then(Value::as_object).into_iter().flatten();
    let ids = ids.filter_map(|(token, id)| Some((token.as_str(), id.as_u64()?)));
    let added = added().filter_map(|token| Some((token.get("content")?.as_str()?, token.get("id")?.as_u64()?)));
    let most = GAPS * entries as u64 + SPARE_IDS;
    match ids.chain(added).find(|(_, id)| *id >= most) {
        None => Ok(()),
        Some((token, id)) => Err(format!(
            "its token `{token}` has the id {id}, and with {entries} entries ids must be below {most}: each id becomes a row \
             of the model; number the tokens without such gaps"
        )),
    }
}

/// Whether there are more than `levels` levels of lists and objects.
fn is_deep(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deep(item, levels - 1)),
        Value::Object(map) => levels == 0 || map.values().any(|item| is_deep(item, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(settings: Value) -> Result<(), String> {
        let Value::Object(settings) = settings else { panic!("no settings") };
        check(&settings)
    }

    #[test]
    fn ids_that_no_vocabulary_accounts_for_are_refused_by_name() {
        let vocab = json!({"a": 0, "b": 1, "far": 2_000_000_000u64});
        let error = said(json!({"model": {"type": "BPE", "vocab": vocab, "merges": []}})).unwrap_err();
        assert!(error.starts_with("its token `far` has the id 2000000000, and with 3 entries ids must be below 1036"));
        let added = json!([{"id": 5000, "content": "<far>"}]);
        let error = said(json!({"model": {"vocab": {"a": 0}}, "added_tokens": added})).unwrap_err();
        assert!(error.contains("`<far>`"), "{error}");
        let listed = json!([["a", -1.0], ["b", -2.0]]);
        let added = json!([{"id": 1000, "content": "<s>"}]);
        assert_eq!(said(json!({"model": {"vocab": listed}, "added_tokens": added})), Ok(()), "gaps are usual");
    }

    #[test]
    fn depth_and_sizes_have_limits() {
        let nested = |levels: usize| {
            let step = |inner: Value, _| json!({"type": "Sequence", "pretokenizers": [inner]});
            let steps = (0..levels / 2).fold(json!("end"), step);
            said(json!({"pre_tokenizer": steps, "model": {"vocab": {"a": 0}}}))
        };
        assert_eq!(nested(16), Ok(()));
        assert!(nested(18).unwrap_err().contains("more than 16 levels"));
        let merges: Vec<&str> = vec!["a b"; MOST_MERGES + 1];
        let error = said(json!({"model": {"vocab": {"a": 0}, "merges": merges}})).unwrap_err();
        assert_eq!(error, "it has 1500001 merges, and at most 1500000 are read");
        let vocab: Vec<u8> = vec![0; MOST_ENTRIES + 1];
        assert!(said(json!({"model": {"vocab": vocab}})).unwrap_err().contains("1100001 entries"));
    }
}

//! YAML as a tree with line numbers, read as PyYAML's safe loader reads it (YAML 1.1 booleans, anchors and merge keys
//! included).
//! Promises: a tag is seen and refused by its name, and so are keys given twice; aliases cannot blow a small file up, and no file
//! takes longer than its length. Must not know: task files.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

/// Deepest nesting that is read.
const DEPTH: usize = 64;

/// Bytes that a file may have.
const LARGEST: usize = 1 << 20;

/// Most values that a file holds.
const VALUES: usize = 100_000;

/// Most values that the aliases of a file stand for; a long text counts for several.
const ALIASED: usize = 100_000;

/// Bytes of an aliased text that count for a value.
const TEXT_VALUE: usize = 64;

/// A key whose value is mappings that lie underneath.
const MERGE: &str = "<<";

/// A value and the line on which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Yaml,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// Keys in the order of the file.
    Map(Vec<(String, Node)>),
}

/// What is wrong and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct YamlError {
    pub(super) line: usize,
    pub(super) reason: String,
}

impl Yaml {
    /// What a value is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// Values that it is made of.
    fn size(&self) -> usize {
        let of_text = |text: &String| text.len() / TEXT_VALUE;
        1 + match &self.value {
            Yaml::List(items) => items.iter().map(Self::size).sum(),
            Yaml::Map(pairs) => pairs.iter().map(|(key, node)| of_text(key) + node.size()).sum(),
            Yaml::Text(text) => of_text(text),
            Yaml::Null | Yaml::Bool(_) | Yaml::Integer(_) | Yaml::Float(_) => 0,
        }
    }

    /// The value as JSON; mappings keep no order.
    pub(super) fn json(&self) -> serde_json::Value {
        match &self.value {
            Yaml::Null => serde_json::Value::Null,
            Yaml::Bool(value) => (*value).into(),
            Yaml::Integer(value) => (*value).into(),
            Yaml::Float(value) => (*value).into(),
            Yaml::Text(value) => value.clone().into(),
            Yaml::List(items) => items.iter().map(Self::json).collect(),
            Yaml::Map(pairs) => pairs.iter().map(|(key, node)| (key.clone(), node.json())).collect(),
        }
    }
}

/// The tree of `text`, which holds one document.
///
/// # Errors
/// It is not YAML, holds a tag or a key twice, more than one document, or more than a task file can have to say.
pub(super) fn parse(text: &str) -> Result<Node, YamlError> {
    if text.len() > LARGEST {
        let reason =
            format!("it has more than {LARGEST} bytes, too many for a task file; keep data in files of its own");
        return Err(YamlError { line: 1, reason });
    }
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), values: 0, aliased: 0 };
    let mut found = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => return Ok(found.unwrap_or(Node { line: 1, value: Yaml::Null })),
            event if found.is_none() => found = Some(reader.node(event, span, 0)?),
            _ => return error(span, "a second document begins; keep one document in a file"),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// What stands behind each anchor.
    anchors: HashMap<usize, Node>,
    /// Values so far.
    values: usize,
    /// Values that aliases stood for so far.
    aliased: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        let failed =
            |e: ScanError| YamlError { line: e.marker().line(), reason: format!("it is not YAML: {}", e.info()) };
        match self.parser.next_event() {
            Some(event) => event.map_err(failed),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, YamlError> {
        if depth > DEPTH {
            return error(span, &format!("it is nested too deeply, in more than {DEPTH} levels"));
        }
        self.values += 1;
        if self.values > VALUES {
            return error(span, &format!("it holds more than {VALUES} values; keep data in files of its own"));
        }
        let line = span.start.line();
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let as_text = is_text_tag(tag.as_deref(), span)?;
                let is_plain = style == ScalarStyle::Plain && !as_text;
                (anchor, if is_plain { plain(&text) } else { Yaml::Text(text.into_owned()) })
            }
            Event::SequenceStart(anchor, tag) => {
                is_text_tag(tag.as_deref(), span)?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break (anchor, Yaml::List(items)),
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(anchor, tag) => {
                is_text_tag(tag.as_deref(), span)?;
                (anchor, self.map(depth)?)
            }
            Event::Alias(anchor) => return Ok(Node { line, ..self.aliased(anchor, span)? }),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return error(span, "it ends before a value"),
        };
        let node = Node { line, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// What stands behind an anchor.
    fn aliased(&mut self, anchor: usize, span: Span) -> Result<Node, YamlError> {
        // An anchor is known when its value ends.
        let Some(node) = self.anchors.get(&anchor) else { return error(span, "an alias stands inside its own value") };
        self.aliased += node.size();
        if self.aliased > ALIASED {
            return error(span, &format!("its aliases stand for more than {ALIASED} values"));
        }
        Ok(node.clone())
    }

    fn map(&mut self, depth: usize) -> Result<Yaml, YamlError> {
        let (mut pairs, mut beneath) = (Vec::<(String, Node)>::new(), Vec::<(String, Node)>::new());
        let (mut own, mut below) = (HashSet::new(), HashSet::new());
        loop {
            let (key, span, is_merge) = match self.next()? {
                (Event::MappingEnd, _) => {
                    beneath.retain(|(known, _)| !own.contains(known));
                    beneath.append(&mut pairs);
                    return Ok(Yaml::Map(beneath));
                }
                (Event::Scalar(key, style, anchor, tag), span) => {
                    let as_text = is_text_tag(tag.as_deref(), span)?;
                    let key = key.into_owned();
                    if anchor > 0 {
                        let value = Yaml::Text(key.clone());
                        self.anchors.insert(anchor, Node { line: span.start.line(), value });
                    }
                    let is_merge = style == ScalarStyle::Plain && !as_text && key == MERGE;
                    (key, span, is_merge)
                }
                (_, span) => return error(span, "a key must be a word"),
            };
            let (event, place) = self.next()?;
            let node = self.node(event, place, depth + 1)?;
            if is_merge {
                merge(&mut beneath, &mut below, node, span)?;
                continue;
            }
            if !own.insert(key.clone()) {
                return error(span, &format!("the key `{key}` is given twice"));
            }
            pairs.push((key, Node { line: span.start.line(), ..node }));
        }
    }
}

/// Lays the mapping `node`, or the mappings in the list `node`, beneath those in `known`, whose keys are `keys`.
fn merge(known: &mut Vec<(String, Node)>, keys: &mut HashSet<String>, node: Node, span: Span) -> Result<(), YamlError> {
    let maps = match node.value {
        Yaml::List(items) => items.into_iter().map(|item| item.value).collect(),
        other => vec![other],
    };
    for map in maps {
        let Yaml::Map(pairs) = map else { return error(span, "what stands behind `<<` must be mappings") };
        known.extend(pairs.into_iter().filter(|(key, _)| keys.insert(key.clone())));
    }
    Ok(())
}

fn error<T>(span: Span, reason: &str) -> Result<T, YamlError> {
    Err(YamlError { line: span.start.line(), reason: reason.to_owned() })
}

/// Whether `!!str` asks for text; any other tag is refused by its name.
fn is_text_tag(tag: Option<&Tag>, span: Span) -> Result<bool, YamlError> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(true),
        Some(tag) => {
            let name = format!("{}{}", if tag.is_yaml_core_schema() { "!!" } else { &tag.handle }, tag.suffix);
            let cure = if name == "!function" {
                "runs Python code, which this program does not; write the prompt as a template"
            } else {
                "is a tag that is not supported"
            };
            error(span, &format!("`{name}` {cure}"))
        }
    }
}

/// A plain scalar as PyYAML resolves it.
fn plain(text: &str) -> Yaml {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Yaml::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Yaml::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Yaml::Bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['+', '-']);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text.len() <= digits.len() + 1;
    let decimal = is_number && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let bare = text.replace('_', "");
    if decimal
        && (digits.len() == 1 || !digits.starts_with('0'))
        && let Ok(value) = bare.trim_start_matches('+').parse()
    {
        return Yaml::Integer(value);
    }
    // PyYAML wants a point in a float: 1e3 is text to it.
    let is_float = is_number && digits.bytes().all(|b| b.is_ascii_digit() || b"._eE+-".contains(&b));
    if is_float
        && digits.contains('.')
        && let Ok(value) = bare.parse()
    {
        return Yaml::Float(value);
    }
    Yaml::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_are_pyyamls() {
        // The right side is `yaml.safe_load` of PyYAML 6.0.3.
        let text = "a: yes\nb: 'yes'\nc: 12\nd: -3\ne: 1.5\nf: 1e3\ng:\nh: ~\ni: [on, No, x]\nj: \"a\\n\"\nk: 1_000\n\
                    l: +7\nm: 1.0\nn: !!str 5\no: '012'\np: a b # no\nq: |\n  two\n  lines\nr: {'0': negative, 1: b}\ns: 1-2\n";
        let expected = json!({"a": true, "b": "yes", "c": 12, "d": -3, "e": 1.5, "f": "1e3", "g": null, "h": null,
            "i": [true, false, "x"], "j": "a\n", "k": 1000, "l": 7, "m": 1.0, "n": "5", "o": "012", "p": "a b",
            "q": "two\nlines\n", "r": {"0": "negative", "1": "b"}, "s": "1-2"});
        assert_eq!(parse(text).unwrap().json(), expected);
        assert_eq!(parse("# nothing\n").unwrap().json(), json!(null));
    }

    #[test]
    fn anchors_and_merge_keys_are_pyyamls() {
        // The right side is `yaml.safe_load` of PyYAML 6.0.3.
        let text = "a: &x items.jsonl\nb: {test: *x, l: &l [1, *x]}\nbase: &base {m: 1, n: {o: 2}}\nmore: &more {m: 5, k: 7}\n\
                    c:\n  <<: *base\n  m: 3\nd: {<<: [*base, *more], p: *l}\n&k e: *k\n";
        let expected = json!({"a": "items.jsonl", "b": {"test": "items.jsonl", "l": [1, "items.jsonl"]},
            "base": {"m": 1, "n": {"o": 2}}, "more": {"m": 5, "k": 7}, "c": {"m": 3, "n": {"o": 2}},
            "d": {"m": 1, "n": {"o": 2}, "k": 7, "p": [1, "items.jsonl"]}, "e": "e"});
        assert_eq!(parse(text).unwrap().json(), expected);
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            laughs.push_str(&format!("a{n}: &a{n} [{before}]\n"));
        }
        assert!(parse(&laughs).unwrap_err().reason.contains("more than 100000 values"));
    }

    #[test]
    fn what_is_too_much_is_refused_before_it_is_held() {
        let said = |text: &str| parse(text).unwrap_err().reason;
        assert!(said(&"# \n".repeat(LARGEST)).contains("more than 1048576 bytes"));
        assert!(said(&"- x\n".repeat(VALUES + 1)).contains("more than 100000 values; keep data"));
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a, ".repeat(100));
        assert!(said(&text).contains("its aliases stand for more than 100000 values"));
        let keys: String = (0..60_000).map(|n| format!("k{n}: 1\n")).collect();
        let Yaml::Map(pairs) = parse(&keys).unwrap().value else { panic!("no mapping") };
        assert_eq!(pairs.len(), 60_000);
    }

    #[test]
    fn keys_keep_order_and_lines() {
        let Yaml::Map(pairs) = parse("# c\nz: 1\na:\n  - x\n").unwrap().value else { panic!("no mapping") };
        let seen: Vec<(&str, usize)> = pairs.iter().map(|(key, node)| (key.as_str(), node.line)).collect();
        assert_eq!(seen, [("z", 2), ("a", 3)]);
    }

    #[test]
    fn what_is_not_read_is_refused_by_name_and_line() {
        let said = |text: &str| {
            let error = parse(text).unwrap_err();
            format!("{}: {}", error.line, error.reason)
        };
        assert!(said("a: 1\nb: !function utils.f\n").starts_with("2: `!function` runs Python"));
        assert!(said("a: [!x 1]").contains("`!x`"), "{}", said("a: [!x 1]"));
        assert!(said("a: !!python/name:os.system\n").contains("!!python/name:os.system"));
        assert!(said("a: &x [*x]\n").contains("inside its own value"));
        assert!(said("a: 1\n<<: 2\n").contains("2: what stands behind `<<` must be mappings"));
        assert!(said("a: 1\nb: 2\na: 3\n").contains("3: the key `a` is given twice"));
        assert!(said("a: 1\n---\nb: 2\n").contains("second document"));
        assert!(said("a: [1\n").contains("not YAML"));
        assert!(said(&"[".repeat(200)).contains("nested too deeply"));
    }
}

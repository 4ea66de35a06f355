//! What a task file's fields say about a document: columns, indices and Jinja templates with Python's methods.
//! Promises: an unknown name in a template is an error; lists and numbers are printed as Python prints them; no template takes
//! more time, memory or stack than the limits below. Must not know: few-shot examples, requests.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};
use serde_json::Value;

use super::document::Document;
use super::nesting;
use super::python;
use super::substitution::Substitutions;
use super::task_file::{Field, Task};

/// The templates of a task, compiled.
pub(super) struct Prompts<'t> {
    task: &'t Task,
    environment: Environment<'static>,
}

/// The text of a document before its continuation: a text, or the label of one of the choices.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    Text(String),
    Index(Value),
}

/// What a template may do for one document, in steps of the template engine and pieces of 64 bytes that it makes: about a second.
const FUEL: u64 = 4_000_000;

/// Bytes of text that a template may make of one document.
pub(super) const LARGEST_TEXT: usize = 16 << 20;

/// How deep macros and recursive loops may call themselves.
const RECURSION: usize = 64;

/// How deep a value may be nested that is written out.
const DEEPEST_VALUE: usize = 64;

const TEXT: &str = "doc_to_text";
const TARGET: &str = "doc_to_target";
const CHOICE: &str = "doc_to_choice";
const DESCRIPTION: &str = "description";

impl<'t> Prompts<'t> {
    /// Compiles the templates of `task`.
    ///
    /// # Errors
    /// A template is not Jinja; the message names the key.
    pub(super) fn new(task: &'t Task) -> Result<Self, String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        let syntax = syntax.map_err(|e| e.to_string())?;
        environment.set_syntax(syntax.clone());
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_unknown_method_callback(python_method);
        let substitutions = Substitutions::default();
        let replace =
            move |state: &State<'_, '_>, text: &str, pattern: &str, rest: &[minijinja::Value], options: Kwargs| {
                let (replacement, count): (&str, Option<usize>) = from_args(rest)?;
                substitutions.replace(state, [text, pattern, replacement], count, &options)
            };
        environment.add_filter("regex_replace", replace);
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::Undefined => Err(Error::new(ErrorKind::UndefinedError, "a name is not defined")),
            ValueKind::Number | ValueKind::Seq | ValueKind::Map => {
                charge(state, value, 0)?;
                let plain =
                    serde_json::to_value(value).map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
                Ok(out.write_str(&python::text(&plain))?)
            }
            _ => Ok(write!(out, "{value}")?),
        });
        let description = Field::Text(task.description.clone());
        let fields = [
            (TEXT, Some(&task.text)),
            (TARGET, Some(&task.target)),
            (CHOICE, task.choice.as_ref()),
            (DESCRIPTION, Some(&description)),
        ];
        for (key, field) in fields {
            if let Some(Field::Text(source)) = field {
                nesting::check(source, syntax.clone()).map_err(|e| format!("the template `{key}`: {e}"))?;
                environment
                    .add_template_owned(key, source.clone())
                    .map_err(|e| format!("the template `{key}`: {e}"))?;
            }
        }
        Ok(Self { task, environment })
    }

    /// A column that is called like the template, or the rendered template.
    fn value(&self, key: &str, source: &str, document: &Document) -> Result<(Value, bool), String> {
        if let Some(column) = document.get(source) {
            return Ok((column.clone(), false));
        }
        let rendered = self
            .environment
            .get_template(key)
            .and_then(|template| template.render(minijinja::Value::from(Serde(document))));
        let text = rendered.map_err(|e| match e.kind() {
            ErrorKind::OutOfFuel => format!(
                "the template `{key}` takes more than {FUEL} steps for one document; simplify it, or prepare its columns \
                 beforehand"
            ),
            _ => format!("the template `{key}`: {e}"),
        })?;
        if text.len() > LARGEST_TEXT {
            return Err(format!(
                "the template `{key}` makes {} bytes of text, and at most {LARGEST_TEXT} are read",
                text.len()
            ));
        }
        Ok((Value::String(text), true))
    }

    fn field(&self, key: &str, field: &Field, document: &Document) -> Result<(Value, bool), String> {
        match field {
            Field::Integer(index) => Ok((Value::from(*index), false)),
            Field::List(values) => Ok((Value::Array(values.clone()), false)),
            Field::Text(source) => self.value(key, source, document),
        }
    }

    /// A rendered number is an index where there are choices.
    fn as_index(&self, value: Value, rendered: bool) -> Value {
        match &value {
            Value::String(text)
                if rendered
                    && self.task.choice.is_some()
                    && !text.is_empty()
                    && text.bytes().all(|b| b.is_ascii_digit()) =>
            {
                // What Python does not read as a number, as 007, stays a text.
                python::literal(text).unwrap_or(value)
            }
            _ => value,
        }
    }

    /// What stands before the continuation.
    pub(super) fn text(&self, document: &Document) -> Result<Asked, String> {
        let (value, rendered) = self.field(TEXT, &self.task.text, document)?;
        match self.as_index(value, rendered) {
            Value::String(text) => Ok(Asked::Text(text)),
            label @ (Value::Number(_) | Value::Bool(_)) => Ok(Asked::Index(label)),
            value => Err(wrong(TEXT, &value, "a text or an index")),
        }
    }

    /// The answer: a text, an index or a list of either.
    pub(super) fn target(&self, document: &Document) -> Result<Value, String> {
        let (value, rendered) = self.field(TARGET, &self.task.target, document)?;
        let value = self.as_index(value, rendered);
        match &value {
            Value::String(text) if rendered && text.len() >= 2 && text.starts_with('[') && text.ends_with(']') => {
                // What looks like a list and is none is a text, as in the harness.
                Ok(python::literal(text).unwrap_or(value))
            }
            _ => Ok(value),
        }
    }

    /// The choices; none if the task has none, an empty list if the document has none.
    pub(super) fn choices(&self, document: &Document) -> Result<Option<Vec<String>>, String> {
        let Some(field) = &self.task.choice else { return Ok(None) };
        let (value, rendered) = self.field(CHOICE, field, document)?;
        let value = match &value {
            Value::String(text) if rendered => python::literal(text).map_err(|e| {
                format!("`{CHOICE}` gave no Python list: {e}; texts with quotes are safe as `{{{{[a, b]}}}}`")
            })?,
            _ => value,
        };
        let items = match value {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            other => return Err(wrong(CHOICE, &other, "a list of texts")),
        };
        let text = |item| match item {
            Value::String(text) => Ok(text),
            other => Err(format!("{}; write it in quotes", wrong(CHOICE, &other, "a list of texts"))),
        };
        items.into_iter().map(text).collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// What stands before everything else.
    pub(super) fn description(&self, document: &Document) -> Result<String, String> {
        if self.task.description.is_empty() {
            return Ok(String::new());
        }
        self.value(DESCRIPTION, &self.task.description, document).map(|(value, _)| python::text(&value))
    }
}

/// The columns that the fields of `task` may use, each with the field: a field's whole text, and the names in a template.
///
/// # Errors
/// A template is not Jinja; the message names the key.
pub(super) fn used_columns(task: &Task) -> Result<Vec<(String, &'static str)>, String> {
    let prompts = Prompts::new(task)?;
    let description = Field::Text(task.description.clone());
    let fields = [(TEXT, Some(&task.text)), (CHOICE, task.choice.as_ref()), (DESCRIPTION, Some(&description))];
    let mut used = Vec::new();
    for (key, field) in fields.into_iter().chain([(TARGET, Some(&task.target))]) {
        let Some(Field::Text(source)) = field else { continue };
        used.push((source.clone(), key));
        let template = prompts.environment.get_template(key).map_err(|e| format!("the template `{key}`: {e}"))?;
        used.extend(template.undeclared_variables(false).into_iter().map(|name| (name, key)));
    }
    Ok(used)
}

/// Python's methods, with those of lists that the field's tasks use.
fn python_method(
    state: &mut State<'_, '_>,
    value: &minijinja::Value,
    method: &str,
    arguments: &[minijinja::Value],
) -> Result<minijinja::Value, Error> {
    match (value.kind(), method, arguments) {
        (ValueKind::Seq, "index", [wanted]) => {
            let place = value.try_iter()?.position(|item| item == *wanted);
            place.map(minijinja::Value::from).ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, format!("{wanted:?} is not in the list {value}"))
            })
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments),
    }
}

/// Pays for writing a value out: what is small in memory can be endless on paper, if its parts are the same ones again and
/// again.
fn charge(state: &State<'_, '_>, value: &minijinja::Value, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST_VALUE {
        let reason = format!("a value is nested in more than {DEEPEST_VALUE} levels");
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    state.consume_fuel(1 + value.as_str().map_or(0, str::len) as u64 / 64)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.try_for_each(|item| charge(state, &item, depth + 1)),
        ValueKind::Map => value.try_iter()?.try_for_each(|key| {
            charge(state, &key, depth + 1)?;
            charge(state, &value.get_item(&key)?, depth + 1)
        }),
        _ => Ok(()),
    }
}

fn wrong(key: &str, value: &Value, wanted: &str) -> String {
    format!("`{key}` gave {}, not {wanted}", python::repr(value))
}

/// An index; true and false are 1 and 0, as in Python.
pub(super) fn index(value: &Value) -> Option<usize> {
    match value {
        Value::Bool(value) => Some(usize::from(*value)),
        value => value.as_u64().and_then(|index| usize::try_from(index).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::task_file::tests::task;
    use super::*;
    use serde_json::json;

    const HEAD: &str = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n";

    fn document(value: Value) -> Document {
        let Value::Object(map) = value else { panic!("no document") };
        map
    }

    fn rendered(template: &str, row: Value) -> Result<String, String> {
        let quoted = serde_json::to_string(template).unwrap();
        let task = task(&format!("{HEAD}output_type: loglikelihood\ndoc_to_text: {quoted}\ndoc_to_target: x\n"));
        match Prompts::new(&task)?.text(&document(row))? {
            Asked::Text(text) => Ok(text),
            Asked::Index(label) => Err(format!("label {label}")),
        }
    }

    /// Right sides were printed by Jinja2 3.1.6 with StrictUndefined and keep_trailing_newline.
    #[test]
    fn templates_render_as_in_python() {
        let row = json!({"a": " Fog, dense. ", "n": 3, "f": 2.0, "big": 1e16, "l": ["x", "it's"], "b": true, "z": null, "d": {"k": 1}});
        let cases = [
            ("{{a.strip()[:-1]}} {{'because' if n == 3 else 'so'}}", "Fog, dense because"),
            ("{{a.split(' ')[:-1]|join(' ')}}|", " Fog, dense.|"),
            ("{{a.split(',')[-1]|trim}}", "dense."),
            ("{{l[0]|upper + l[1][0]}}{{l[1][1:]}}", "Xit's"),
            ("{{l}} {{f}} {{big}} {{b}} {{z}} {{d}}", "['x', \"it's\"] 2.0 1e+16 True None {'k': 1}"),
            ("a\n  {% if b %} b {% endif %}\n", "a\n   b \n"),
            ("{% for x in l %}{{loop.index}}{{x}} {% endfor %}", "1x 2it's "),
            ("{{a|regex_replace('([A-Z])o(?=g)', '<\\\\1\\\\g<1>>')}}", " <FF>g, dense. "),
            ("{{'aaa'|regex_replace('a', 'b', 2)}}{{'aaa'|regex_replace('a', 'b', count=1)}}", "bbabaa"),
            ("{{a.replace(',', ';').strip().startswith('Fog')}}", "True"),
            ("{{ ('a', 'b')[1] ~ n }}", "b3"),
        ];
        for (template, expected) in cases {
            assert_eq!(rendered(template, row.clone()).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_template_that_takes_too_much_is_refused_by_its_key() {
        let many = |n: usize, text: &str| text.repeat(n);
        let doubled = format!("{{% set a = [1] %}}{}{{{{a}}}}", many(40, "{% set a = [a, a] %}"));
        let loops = "{% for i in range(100000) %}{% for j in range(100000) %}{{j}}{% endfor %}{% endfor %}";
        let macros = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
        let nested = format!("{{{{ {}a{} }}}}", many(70, "("), many(70, ")"));
        assert_eq!(rendered(&nested, json!({"a": "x"})).unwrap(), "x", "as deep as the engine reads");
        let mut others = Vec::new();
        for (template, words) in [
            ("{{ 'x' * 1000000000 }}".to_owned(), "more than 4000000 steps"),
            ("{{ 'x' * 20000000 }}".to_owned(), "bytes of text, and at most 16777216"),
            (many(40, "{{ 'x' * 9000000 }}"), "more than 4000000 steps"),
            (loops.to_owned(), "more than 4000000 steps"),
            ("{% for i in range(1000000000) %}{% endfor %}".to_owned(), "too many elements"),
            (doubled, "more than 4000000 steps"),
            (macros.to_owned(), "recursion"),
            ("{{ ('a' * 1000000) | regex_replace('a', 'x' * 100) }}".to_owned(), "makes more than 16777216 bytes"),
            (format!("{{{{ {}a }}}}", many(50_000, "not ")), "nested or chained more than"),
            (format!("{{{{ {}a{} }}}}", many(50_000, "("), many(50_000, ")")), "nested or chained more than"),
            (format!("{{{{ a{} }}}}", many(50_000, " + a")), "nested or chained more than"),
            (format!("{{{{ a{} }}}}", many(50_000, ".a")), "nested or chained more than"),
            (format!("{{{{ a{} }}}}", many(50_000, " if a else a")), "nested or chained more than"),
            (format!("{{{{ {}a }}}}", many(50_000, "-")), "nested or chained more than"),
            (format!("{{% if a %}}{}{{% endif %}}", many(50_000, "{% elif a %}")), "nested or chained more than"),
            (
                format!("{{% raw %}}'{{% endraw %}}{{{{ '}}}}' ~ {}a }}}}", many(5000, "not ")),
                "nested or chained more than",
            ),
            (format!("{}{}", many(5000, "{% if a %}"), many(5000, "{% endif %}")), "recursion"),
        ] {
            let said = rendered(&template, json!({"a": "x"})).unwrap_err();
            if !(said.contains("doc_to_text") && said.contains(words)) {
                others.push(format!("not `{words}`: {said}"));
            }
        }
        assert!(others.is_empty(), "{}", others.join("\n"));
        let list = format!("{{{{ [{}][0] }}}}", many(5000, "a ~ 'b', "));
        assert_eq!(rendered(&list, json!({"a": "x"})).unwrap(), "xb", "a long list is not deep");
    }

    #[test]
    fn an_unknown_name_is_an_error_and_a_column_is_raw() {
        assert!(rendered("{{missing}}", json!({"a": 1})).unwrap_err().contains("doc_to_text"));
        assert!(rendered("{% if missing %}x{% endif %}", json!({"a": 1})).is_err());
        assert_eq!(rendered("a", json!({"a": "{{b}}"})).unwrap(), "{{b}}");
        assert_eq!(rendered("a b", json!({"a": "x"})).unwrap(), "a b", "no column of that name");
        assert_eq!(rendered("a", json!({"a": "7"})).unwrap(), "7");
    }

    #[test]
    fn choices_and_targets_in_every_form() {
        let row = document(json!({"o": ["p", "q"], "label": 1, "word": "q", "digit": "1"}));
        let both = |choice: &str, target: &str| {
            let task = task(&format!(
                "{HEAD}output_type: multiple_choice\ndoc_to_text: x\ndoc_to_choice: {choice}\ndoc_to_target: {target}\n"
            ));
            let prompts = Prompts::new(&task).unwrap();
            (prompts.choices(&row).map(Option::unwrap), prompts.target(&row).unwrap())
        };
        let pq = Ok(vec!["p".to_owned(), "q".to_owned()]);
        assert_eq!(both("o", "label"), (pq.clone(), json!(1)));
        assert_eq!(both("[p, q]", "1"), (pq.clone(), json!(1)));
        assert_eq!(both("{'0': p, '1': q}", "\"{{label}}\""), (pq.clone(), json!(1)));
        assert_eq!(both("\"{{[o[0], word]}}\"", "\"{{word}}\""), (pq.clone(), json!("q")));
        assert_eq!(both("\"{% set a = 'p' %}{{[a, word]}}\"", "\"{{[0, label]}}\""), (pq.clone(), json!([0, 1])));
        assert_eq!(both("\"['p', 'q']\"", "\"[not a list]\""), (pq.clone(), json!("[not a list]")));
        assert_eq!(both("[p, q]", "digit").1, json!("1"), "a column is raw, even if it looks like an index");
        assert!(both("[yes, no]", "label").0.unwrap_err().contains("quotes"));
        assert!(both("word", "label").0.unwrap_err().contains("list"));
    }
}

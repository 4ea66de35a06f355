//! Which choices a label names, and what becomes of items without such a label.
//! Promises: an item is never counted as wrong because nobody could be right; what is left out is counted, with an example and
//! the cure. Must not know: models.

use serde_json::Value;

use super::prompt::index;
use super::python;
use super::task_file::{Field, Task};

/// Characters of a value that a message shows.
const SHOWN: usize = 80;

/// The choices that `label` names: by its place from 0, by its text, or several by a list of places. Of a list only those count
/// that there are.
fn named(label: &Value, choices: &[String]) -> Vec<usize> {
    let there = |place: &usize| *place < choices.len();
    match label {
        Value::String(text) => choices.iter().position(|choice| choice == text).into_iter().collect(),
        Value::Array(places) => places.iter().filter_map(index).filter(there).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            index(label).filter(there).into_iter().collect()
        }
    }
}

/// The labels of a task, as far as its items were looked at.
#[derive(Debug)]
pub(super) struct Labels<'t> {
    task: &'t Task,
    /// The field that gives them.
    key: &'static str,
    field: &'t Field,
    seen: usize,
    without_choices: Tally,
    unanswered: Tally,
    unnamed: Tally,
    partly: Tally,
    twins: Tally,
    /// What the labels that name nothing are; none if they differ.
    kind: Option<Kind>,
    most_choices: usize,
    places: Places,
}

/// A kind of item that a person should know of: how many there are, and the first.
#[derive(Clone, Debug, Default)]
struct Tally {
    count: usize,
    first: Option<(usize, String)>,
}

/// What is known of all labels that are places.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    /// Whether one is 0 or less.
    from_zero: bool,
    /// Whether one is the number of choices, which is the last place counted from 1.
    last_from_one: bool,
    /// Whether one is larger.
    beyond: bool,
}

/// What a label is that names no choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// None, or a negative number.
    Secret,
    Place,
    Float,
    Digits,
    Letter,
    Text,
    Other,
}

impl Tally {
    fn add(&mut self, document: usize, shown: String) {
        self.count += 1;
        self.first.get_or_insert((document, shown));
    }

    fn example(&self) -> String {
        self.first.as_ref().map_or_else(String::new, |(document, shown)| format!("document {document} {shown}"))
    }
}

impl Kind {
    fn of(label: &Value) -> Self {
        match label {
            Value::Null => Self::Secret,
            Value::Number(number) if number.as_i64().is_some_and(|place| place < 0) => Self::Secret,
            Value::Number(number) if number.is_f64() => Self::Float,
            Value::Number(_) | Value::Bool(_) => Self::Place,
            Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => Self::Digits,
            Value::String(text) if text.len() == 1 && text.bytes().all(|b| b.is_ascii_uppercase()) => Self::Letter,
            Value::String(_) => Self::Text,
            Value::Array(_) | Value::Object(_) => Self::Other,
        }
    }
}

impl<'t> Labels<'t> {
    /// Nothing seen yet of `task`, whose labels are given by `key`.
    pub(super) fn new(task: &'t Task, key: &'static str, field: &'t Field) -> Self {
        Self {
            task,
            key,
            field,
            seen: 0,
            without_choices: Tally::default(),
            unanswered: Tally::default(),
            unnamed: Tally::default(),
            partly: Tally::default(),
            twins: Tally::default(),
            kind: None,
            most_choices: 0,
            places: Places::default(),
        }
    }

    /// The right choices of `document`; `None` if its label names none of `choices`, and the item must be left out.
    pub(super) fn right(&mut self, document: usize, label: &Value, choices: &[String]) -> Option<Vec<usize>> {
        self.seen += 1;
        if choices.is_empty() {
            self.without_choices.add(document, String::new());
            return None;
        }
        self.most_choices = self.most_choices.max(choices.len());
        let all = label.as_array().map_or(std::slice::from_ref(label), Vec::as_slice);
        for place in all.iter().filter_map(Value::as_i64) {
            let count = i64::try_from(choices.len()).unwrap_or(i64::MAX);
            self.places.from_zero |= place <= 0;
            self.places.last_from_one |= place == count;
            self.places.beyond |= place > count;
        }
        let found = named(label, choices);
        let choices = || shown(&Value::from(choices.to_vec()));
        if found.is_empty() {
            let kind = Kind::of(label);
            self.kind = if self.unnamed.count == 0 || self.kind == Some(kind) { Some(kind) } else { None };
            self.unnamed.add(document, format!("has the label {} and the choices {}", shown(label), choices()));
            return None;
        }
        if found.len() < all.len() {
            self.partly.add(document, format!("has the labels {} and the choices {}", shown(label), choices()));
        }
        Some(found)
    }

    /// The answers that count for `document`, which is answered in writing; `None` if there is none and it must be left out.
    pub(super) fn answers(&mut self, document: usize, target: &Value) -> Option<Vec<String>> {
        self.seen += 1;
        let found: Vec<String> = match target {
            Value::Null => Vec::new(),
            Value::Array(items) => items.iter().map(python::text).collect(),
            Value::String(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![python::text(target)],
        };
        if found.is_empty() {
            self.unanswered.add(document, String::new());
        }
        (!found.is_empty()).then_some(found)
    }

    /// Two choices of `document` read the same and one of them is right: the first of equals is always taken.
    pub(super) fn twin(&mut self, document: usize, choice: &str) {
        self.twins.add(document, format!("has {} twice", shown(&Value::from(choice))));
    }

    /// What a person should know.
    ///
    /// # Errors
    /// Every item is left out.
    pub(super) fn told(&self) -> Result<Vec<String>, String> {
        let (seen, mut notices) = (self.seen, Vec::new());
        let lost = self.without_choices.count + self.unanswered.count + self.unnamed.count;
        let none_left = seen > 0 && lost == seen;
        let of = |tally: &Tally| {
            if tally.count == seen { format!("all {seen} items") } else { format!("{} of {seen} items", tally.count) }
        };
        if self.unnamed.count > 0 {
            notices.push(format!(
                "{} are left out, because their label names no choice: {}; {}",
                of(&self.unnamed),
                self.unnamed.example(),
                self.cure()
            ));
        }
        for (tally, why) in [
            (&self.without_choices, "they have no choices, which `doc_to_choice` must give"),
            (&self.unanswered, "they have no answer, which `doc_to_target` must give"),
        ] {
            if let Some((document, _)) = &tally.first {
                notices.push(format!("{} are left out, because {why}: document {document}", of(tally)));
            }
        }
        if self.partly.count > 0 {
            notices.push(format!(
                "{} have a label that names no choice beside one that does: {}; only the others count",
                of(&self.partly),
                self.partly.example()
            ));
        }
        if self.twins.count > 0 {
            notices.push(format!(
                "{} have the right choice twice and can hardly be answered rightly: {}",
                of(&self.twins),
                self.twins.example()
            ));
        }
        if none_left { Err(notices.join("; ")) } else { Ok(notices) }
    }

    /// How the labels become right.
    fn cure(&self) -> String {
        let key = self.key;
        let column = match self.field {
            Field::Text(source) if is_name(source) => Some(source.as_str()),
            Field::Text(_) | Field::Integer(_) | Field::List(_) => None,
        };
        let general =
            || format!("`{key}` must give the place of a choice, counted from 0, or its text, character by character");
        let write = |template: &str| match column {
            Some(column) => format!("write `{key}: \"{}\"`", template.replace("COLUMN", column)),
            None => general(),
        };
        match self.kind {
            Some(Kind::Place) if !self.places.from_zero && self.places.last_from_one && !self.places.beyond => {
                format!(
                    "the labels look counted from 1, so that the items that are asked are judged by the wrong choice; {}",
                    write("{{COLUMN - 1}}")
                )
            }
            Some(Kind::Digits) => {
                format!("a text of digits is a place only out of a template; {}", write("{{COLUMN}}"))
            }
            Some(Kind::Float) => format!("a place is a whole number; {}", write("{{COLUMN|int}}")),
            Some(Kind::Letter) => {
                let letters: Vec<String> =
                    ('A'..='Z').take(self.most_choices).map(|letter| format!("'{letter}'")).collect();
                format!("a letter is no place; {}", write(&format!("{{{{[{}].index(COLUMN)}}}}", letters.join(", "))))
            }
            Some(Kind::Secret) => {
                let split = &self.task.split;
                format!("the labels of the split `{split}` may be secret; ask a split that has them")
            }
            Some(Kind::Place | Kind::Text | Kind::Other) | None => general(),
        }
    }
}

/// Whether `text` can be the name of a column in a template.
fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// `value` as Python prints it, shortened.
fn shown(value: &Value) -> String {
    let whole = python::repr(value);
    match whole.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", whole.get(..end).unwrap_or(&whole)),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::requests::{Question, Questions, questions};
    use super::super::task_file::tests::task;

    const CHOICES: &str = "[\"w\", \"x\", \"y\", \"z\"]";

    /// What `doc_to_target: TARGET` makes of rows with these labels.
    fn asked(target: &str, labels: &[&str]) -> Result<Questions, String> {
        let task = task(&format!(
            "task: t\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: d.jsonl}}}}\ntest_split: test\n\
             output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: c\ndoc_to_target: {target}\n"
        ));
        let rows: String =
            labels.iter().map(|label| format!("{{\"q\": \"Q\", \"c\": {CHOICES}, \"a\": {label}}}\n")).collect();
        questions(&task, &|_: &Path| Ok(rows.clone()), None).map_err(|error| error.to_string())
    }

    fn golds(found: &Questions) -> Vec<Vec<usize>> {
        let gold = |question: &Question| match question {
            Question::Choice { gold, .. } => gold.clone(),
            other => panic!("{other:?}"),
        };
        found.items.iter().map(|item| gold(&item.question)).collect()
    }

    /// As lm_eval 0.4.13 takes them: places from 0, true as 1, the texts of choices, lists of places.
    #[test]
    fn labels_name_choices_as_in_the_harness() {
        let found = asked("a", &["0", "3", "true", "\"y\"", "[1, 2]"]).unwrap();
        assert_eq!(golds(&found), [vec![0], vec![3], vec![1], vec![2], vec![1, 2]]);
        assert!(found.left_out.is_empty() && found.notices.is_empty());
        let found = asked("\"{{a}}\"", &["\"0\"", "2", "\"z\"", "[1, 3]"]).unwrap();
        assert_eq!(golds(&found), [vec![0], vec![2], vec![3], vec![1, 3]], "digits out of a template are a place");
    }

    #[test]
    fn what_names_no_choice_is_left_out_and_counted_with_its_cure() {
        let found = asked("a", &["4", "1", "2", "3", "4", "1"]).unwrap();
        assert_eq!((golds(&found), found.left_out), (vec![vec![1], vec![2], vec![3], vec![1]], vec![0, 4]));
        assert_eq!(
            found.notices,
            [
                "2 of 6 items are left out, because their label names no choice: document 0 has the label 4 and the choices \
              ['w', 'x', 'y', 'z']; the labels look counted from 1, so that the items that are asked are judged by the wrong \
              choice; write `doc_to_target: \"{{a - 1}}\"`"
            ]
        );
        let found = asked("a", &["[0, 9]", "-1", "0", "[]", "[\"w\"]", "null"]).unwrap();
        assert_eq!((golds(&found), found.left_out), (vec![vec![0], vec![0]], vec![1, 3, 4, 5]));
        assert!(found.notices[0].starts_with("4 of 6 items are left out"), "{:?}", found.notices);
        assert!(
            found.notices[1]
                .starts_with("1 of 6 items have a label that names no choice beside one that does: document 0")
        );
    }

    #[test]
    fn a_task_without_any_label_is_refused_with_a_cure_that_works() {
        let cases: [(&[&str], &str, &[usize]); 4] = [
            (&["\"1\"", "\"0\"", "\"3\""], "\"{{a}}\"", &[1, 0, 3]),
            (&["\"B\"", "\"A\"", "\"D\""], "\"{{['A', 'B', 'C', 'D'].index(a)}}\"", &[1, 0, 3]),
            (&["1.0", "0.0", "3.0"], "\"{{a|int}}\"", &[1, 0, 3]),
            (&["4", "4"], "\"{{a - 1}}\"", &[3, 3]),
        ];
        for (labels, cure, places) in cases {
            let said = asked("a", labels).unwrap_err();
            let all = format!(
                "use the data of task t: all {} items are left out, because their label names no",
                labels.len()
            );
            assert!(said.starts_with(&all), "{said}");
            assert!(said.ends_with(&format!("write `doc_to_target: {cure}`")), "{said}");
            let wanted: Vec<Vec<usize>> = places.iter().map(|place| vec![*place]).collect();
            assert_eq!(golds(&asked(cure, labels).unwrap()), wanted, "{cure}");
        }
        for labels in [&["null", "null"], &["-1", "-1"], &["NaN", "NaN"]] {
            let said = asked("a", labels).unwrap_err();
            assert!(
                said.ends_with("the labels of the split `test` may be secret; ask a split that has them"),
                "{said}"
            );
        }
        let said = asked("a", &["\"W\\u001b[31m\"", "\"half\""]).unwrap_err();
        assert!(said.contains("has the label 'W\\x1b[31m' and"), "{said}");
        assert!(said.ends_with(
            "`doc_to_target` must give the place of a choice, counted from 0, or its text, character by character"
        ));
    }

    #[test]
    fn items_without_choices_or_with_twins_are_told() {
        let task = task(
            "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n\
             output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: c\ndoc_to_target: a\n",
        );
        let of =
            |rows: &str| questions(&task, &|_: &Path| Ok(rows.to_owned()), None).map_err(|error| error.to_string());
        let rows = "{\"q\": \"Q\", \"c\": [\"x\", \"y\"], \"a\": 1}\n{\"q\": \"Q\", \"c\": null, \"a\": 1}\n\
                    {\"q\": \"Q\", \"c\": [], \"a\": 0}\n{\"q\": \"Q\", \"c\": [\"x\", \"x\", \"y\"], \"a\": 1}\n";
        let found = of(rows).unwrap();
        assert_eq!((golds(&found), found.left_out), (vec![vec![1], vec![1]], vec![1, 2]));
        assert_eq!(
            found.notices,
            [
                "2 of 4 items are left out, because they have no choices, which `doc_to_choice` must give: document 1",
                "1 of 4 items have the right choice twice and can hardly be answered rightly: document 3 has 'x' twice"
            ]
        );
        let said = of("{\"q\": \"Q\", \"c\": null, \"a\": 1}\n").unwrap_err();
        assert!(said.contains("all 1 items are left out, because they have no choices"), "{said}");
    }

    #[test]
    fn written_answers_may_be_choices() {
        let task = task(
            "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n\
             output_type: generate_until\ndoc_to_text: q\ndoc_to_choice: [no, maybe]\ndoc_to_target: a\n"
                .replace("[no,", "['no',")
                .as_str(),
        );
        let rows = "{\"q\": \"Q\", \"a\": 1}\n{\"q\": \"Q\", \"a\": 5}\n";
        let found = questions(&task, &|_: &Path| Ok(rows.to_owned()), None).unwrap();
        let Question::Writing { golds, .. } = &found.items[0].question else { panic!("{:?}", found.items) };
        assert_eq!((golds.as_slice(), found.left_out), (&["maybe".to_owned()][..], vec![1]));
    }
}

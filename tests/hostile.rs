//! Every parser of this program over files that were valid once: bits flipped, parts cut out, repeated, moved and replaced. Whatever
//! comes, it is read or refused; nothing panics, and nothing takes more than its limits allow.
//! `PROPTEST_CASES=100000 cargo test --release --test hostile` tries harder.
#![expect(clippy::unwrap_used, reason = "a broken test stops")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use trilab::config::{SHIPPED_CONFIG, load_config, load_study, shipped_studies};
use trilab::core::json::column;
use trilab::core::texts::{CorpusSettings, TokenizerSpec};
use trilab::core::{RunEvent, StampedEvent, sealed};
use trilab::corpus::{Corpus, prepare, survey, verify};
use trilab::eval::gather;
use trilab::runlog::evals::read_evals;
use trilab::runlog::{EvalHeader, EvalLog, EventLog, Home, Witness, read_from};
use trilab::schedule::{Queue, check};
use trilab::wire::{ClientFrame, FrameReader, ServerFrame};

/// One change of a file.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    /// Cut out, from and at most so many bytes.
    Cut(Index, usize),
    /// Repeat a part at its end.
    Repeat(Index, usize),
    /// Move a part to the front.
    Front(Index, usize),
    Insert(Index, &'static str),
}

/// What parsers stumble over.
const WORDS: [&str; 18] = [
    "\0",
    "\u{feff}",
    "\n",
    "\r\n",
    "\\u0000",
    "\\ud800",
    "NaN",
    "1e999",
    "-1",
    "18446744073709551616",
    "{",
    "[[[[[[[[",
    "\"",
    "}",
    "null",
    "'''",
    ": &a [*a]",
    "{{ 'x' * 9 }}",
];

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let part = 1usize..40;
    let one = prop_oneof![
        (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), part.clone()).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<Index>(), part.clone()).prop_map(|(at, length)| Change::Repeat(at, length)),
        (any::<Index>(), part).prop_map(|(at, length)| Change::Front(at, length)),
        (any::<Index>(), prop::sample::select(&WORDS[..])).prop_map(|(at, word)| Change::Insert(at, word)),
    ];
    prop::collection::vec(one, 1..6)
}

fn changed(valid: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        let part = |at: &Index, most: usize| {
            let from = at.index(length);
            from..(from + most).min(length)
        };
        match change {
            Change::Flip(at, bit) => *bytes.get_mut(at.index(length)).unwrap() ^= 1 << bit,
            Change::Set(at, byte) => *bytes.get_mut(at.index(length)).unwrap() = *byte,
            Change::Cut(at, most) => drop(bytes.drain(part(at, *most))),
            Change::Repeat(at, most) => bytes.extend_from_within(part(at, *most)),
            Change::Front(at, most) => {
                let moved: Vec<u8> = bytes.drain(part(at, *most)).collect();
                bytes.splice(0..0, moved);
            }
            Change::Insert(at, word) => drop(bytes.splice(at.index(length)..at.index(length), word.bytes())),
        }
    }
    bytes
}

/// A folder of one case, with a file in it.
fn case(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Settings of a text of its own.
fn settings(paths: &[&Path], tokenizer: TokenizerSpec) -> CorpusSettings {
    CorpusSettings {
        paths: paths.iter().map(|path| path.display().to_string()).collect(),
        field: "text".to_owned(),
        validation: Vec::new(),
        validation_fraction: 0.5,
        tokenizer,
    }
}

const LINES: &str = "{\"text\": \"The tide comes in.\", \"more\": [1, NaN, {\"a\": null}]}\n{\"text\": \"And it goes \\u00fc\\ud83e\\udd80.\"}\n";

const TOKENIZER: &str = r#"{"version":"1.0","added_tokens":[{"id":0,"content":"<unk>","special":true,"single_word":false,
"lstrip":false,"rstrip":false,"normalized":false}],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},
"post_processor":null,"decoder":null,"model":{"type":"BPE","dropout":null,"unk_token":"<unk>","continuing_subword_prefix":null,
"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"vocab":{"<unk>":0,"t":1,"h":2,"e":3,"th":4,"the":5},
"merges":[["t","h"],["th","e"]]}}"#;

const TASK: &str = "task: own\ndataset_path: json\ndataset_kwargs:\n  data_files: own.jsonl\noutput_type: multiple_choice\n\
    test_split: train\ndoc_to_text: \"{{q | trim}} {% if a %}yes{% endif %}\"\ndoc_to_choice: c\ndoc_to_target: a\n\
    metric_list:\n  - metric: acc\n    aggregation: mean\nmetadata: {version: 1}\n";

const DOCUMENTS: &str =
    "{\"q\":\"The sky is\",\"c\":[\"blue\",\"loud\"],\"a\":0}\n{\"q\":\"Fire is\",\"c\":[\"hot\",\"quiet\"],\"a\":0}\n";

/// A log with an event of most kinds, as a worker writes it.
fn log() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut log = EventLog::create(&path, &"0123456789ab".parse().unwrap(), 1, || 7).unwrap();
    let told = [
        RunEvent::Resumed { step: 3 },
        RunEvent::SampleGenerated { step: 3, prompt: "a\nb".to_owned(), text: "ü".to_owned() },
        RunEvent::CheckpointSaved { step: 5, bytes: 10, seconds: 0.5 },
        RunEvent::Finished { step: 9 },
    ];
    for event in told {
        let stamped: StampedEvent = log.stamp(event).unwrap();
        log.append(&stamped).unwrap();
    }
    fs::read(&path).unwrap()
}

proptest! {
    #[test]
    fn settings_and_studies(changes in changes(), which in any::<Index>()) {
        let (_folder, path) = case("config.toml", &changed(SHIPPED_CONFIG.as_bytes(), &changes));
        _ = load_config(Some(&path));
        let studies = shipped_studies();
        let text = changed(studies.get(which.index(studies.len())).unwrap().text.as_bytes(), &changes);
        let text = String::from_utf8_lossy(&text);
        if let Ok(study) = load_study(None, "study.toml", &text, Path::new("/home/ada"), &[]) {
            _ = check(&study);
        }
    }

    #[test]
    fn lines_of_json(changes in changes()) {
        let bytes = changed(LINES.as_bytes(), &changes);
        for line in String::from_utf8_lossy(&bytes).lines() {
            _ = column(line, "text");
        }
        let (_folder, path) = case("texts.jsonl", &bytes);
        _ = survey(&settings(&[&path], TokenizerSpec::Bytes));
    }

    #[test]
    fn tokenizers(changes in changes()) {
        let (folder, path) = case("tokenizer.json", &changed(TOKENIZER.as_bytes(), &changes));
        let text = folder.path().join("text.txt");
        fs::write(&text, "the tide the the\n\nthen the end\n").unwrap();
        _ = survey(&settings(&[&text], TokenizerSpec::File(path)));
    }

    #[test]
    fn task_files_and_their_data(changes in changes(), in_data in any::<bool>()) {
        let task = if in_data { TASK.as_bytes().to_vec() } else { changed(TASK.as_bytes(), &changes) };
        let data = if in_data { changed(DOCUMENTS.as_bytes(), &changes) } else { DOCUMENTS.as_bytes().to_vec() };
        let (folder, path) = case("own.yaml", &task);
        fs::write(folder.path().join("own.jsonl"), data).unwrap();
        _ = gather(&[path.display().to_string()]);
    }

    #[test]
    fn logs_answers_and_witnesses(changes in changes()) {
        let valid = log();
        let bytes = changed(&valid, &changes);
        let (_folder, path) = case("events.jsonl", &bytes);
        let truth = { let (_folder, path) = case("events.jsonl", &valid); read_from(&path, 0).unwrap() };
        if let Ok(read) = read_from(&path, 0) {
            // Lines carry checksums: what is read was written.
            prop_assert!(read.events.iter().all(|event| truth.events.contains(event)));
        }
        fs::write(path.with_file_name("end.json"), &bytes).unwrap();
        prop_assert_eq!(Witness::of(&path), None);
        let home = tempfile::tempdir().unwrap();
        let run = Home::new(home.path()).run(&"0123456789ab".parse().unwrap());
        let header = EvalHeader::new(run.id().clone(), 3, None, Vec::new());
        let path = EvalLog::create(&run, &header).unwrap().path().to_owned();
        fs::write(&path, changed(&fs::read(&path).unwrap(), &changes)).unwrap();
        _ = read_evals(&path, 0, &|_| true);
    }

    #[test]
    fn frames_of_the_wire(changes in changes()) {
        let request = br#"{"id":3,"request":{"request":"get_curve","run":"0123456789ab","metric":"loss","width":10}}"#;
        let bytes = changed(request, &changes);
        _ = serde_json::from_slice::<ClientFrame>(&bytes);
        _ = serde_json::from_slice::<ServerFrame>(&bytes);
        let mut framed = u32::try_from(request.len()).unwrap().to_be_bytes().to_vec();
        framed.extend_from_slice(request);
        let framed = changed(&framed, &changes);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reader = FrameReader::new(&framed[..]);
            while let Ok(Some(_)) = reader.next::<serde_json::Value>().await {}
        });
    }

    #[test]
    fn sealed_files(changes in changes()) {
        let queue = sealed::sealed(&Queue::default()).unwrap();
        let bytes = changed(&queue, &changes);
        if let Ok((sealed::Seal::Whole, value)) = sealed::read(&bytes) {
            prop_assert_eq!(value, sealed::read(&queue).unwrap().1);
        }
        let text = sealed::close_text("name = \"first\"\nseed = [1, 2]");
        _ = sealed::text_is_whole(&String::from_utf8_lossy(&changed(text.as_bytes(), &changes)));
        let home = tempfile::tempdir().unwrap();
        let run = Home::new(home.path()).run(&"0123456789ab".parse().unwrap());
        fs::create_dir_all(run.path()).unwrap();
        fs::write(run.control_path(), &bytes).unwrap();
        _ = run.control();
        fs::write(run.spec_path(), &bytes).unwrap();
        prop_assert!(run.spec().is_err());
    }
}

/// A corpus as it lies on the disk, prepared once.
fn corpus() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    fs::write(&text, "The tide comes in.\n\nAnd it goes out again.\n\nThe end of it.\n").unwrap();
    let corpora = folder.path().join("corpora");
    let prepared = prepare(&settings(&[&text], TokenizerSpec::Bytes), &corpora, &mut |_| {}).unwrap();
    let place = corpora.join(prepared.manifest.fingerprint);
    (folder, place)
}

#[test]
fn files_of_a_corpus() {
    let (_folder, place) = corpus();
    let names: Vec<PathBuf> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.len() >= 4 && verify(&place).unwrap().is_whole());
    let mut runner = proptest::test_runner::TestRunner::default();
    let result = runner.run(&(changes(), any::<Index>()), |(changes, which)| {
        let path = names.get(which.index(names.len())).unwrap();
        let valid = fs::read(path).unwrap();
        let bytes = changed(&valid, &changes);
        fs::write(path, &bytes).unwrap();
        let (opened, found) = (Corpus::open(&place), verify(&place));
        fs::write(path, &valid).unwrap();
        let noticed = opened.is_err() || found.is_err() || found.is_ok_and(|found| !found.is_whole());
        // What lies behind an object is blank, or no JSON.
        prop_assert!(noticed || bytes.trim_ascii_end() == valid.trim_ascii_end(), "{}", path.display());
        Ok(())
    });
    result.unwrap();
}

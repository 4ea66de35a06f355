//! Texts and tokenizers as people have them: what is read, what each token covers, and what is said about the rest.
#![expect(clippy::unwrap_used, reason = "a broken test stops")]

use std::fs;
use std::path::{Path, PathBuf};

use rand::RngExt;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use trilab::core::seed::{Stream, generator};
use trilab::core::texts::{CorpusSettings, TokenizerSpec};
use trilab::corpus::{Corpus, CorpusError, Manifest, Prepared, Survey, TokenStream, prepare, survey, verify};

/// A folder of texts, and one of corpora beside it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn settings(&self, paths: &[&str], tokenizer: TokenizerSpec) -> CorpusSettings {
        CorpusSettings {
            paths: paths.iter().map(|path| self.at(path).display().to_string()).collect(),
            field: "text".to_owned(),
            validation: Vec::new(),
            validation_fraction: 0.5,
            tokenizer,
        }
    }

    fn survey(&self, paths: &[&str], tokenizer: TokenizerSpec) -> Result<Survey, CorpusError> {
        survey(&self.settings(paths, tokenizer))
    }

    fn prepare(&self, paths: &[&str], tokenizer: TokenizerSpec) -> (Manifest, Corpus) {
        let (Prepared { manifest, .. }, corpus) = self.prepared(paths, tokenizer);
        (manifest, corpus)
    }

    fn prepared(&self, paths: &[&str], tokenizer: TokenizerSpec) -> (Prepared, Corpus) {
        let corpora = self.at("corpora");
        let prepared = prepare(&self.settings(paths, tokenizer), &corpora, &mut |_| {}).unwrap();
        let corpus = Corpus::open(&corpora.join(&prepared.manifest.fingerprint)).unwrap();
        (prepared, corpus)
    }

    fn tokenizer(&self, name: &str, settings: &Value) -> TokenizerSpec {
        TokenizerSpec::File(self.write(name, settings.to_string()))
    }
}

fn all(stream: &TokenStream) -> Vec<u32> {
    stream.window(0, stream.len() as usize).unwrap()
}

/// A `tokenizer.json` around a model.
fn around(model: Value, pre_tokenizer: Value, decoder: Value, added: Value) -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder, "model": model,
    })
}

fn bpe(vocab: Value, merges: Value) -> Value {
    json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
        "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": merges,
    })
}

fn special(id: u32, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
}

/// GPT-2's alphabet of bytes with a few merges.
fn byte_level_model() -> Value {
    let mut alphabet: Vec<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let merges = [["t", "h"], ["th", "e"], ["Ġ", "the"], ["o", "a"], ["oa", "t"], ["Ð", "¾"], ["Ġ", "Ð"]];
    let entries = alphabet.iter().map(char::to_string).chain(merges.iter().map(|[a, b]| format!("{a}{b}")));
    let vocab: Map<String, Value> = entries.zip(0u32..).map(|(entry, id)| (entry, Value::from(id))).collect();
    bpe(Value::Object(vocab), json!(merges))
}

fn byte_level(trim_offsets: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": trim_offsets, "use_regex": true})
}

const TEXT: &str = "the boat, лодка вернулась домой — José, Zoë 🚢.\n";

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("{number} {TEXT}")).collect()
}

#[test]
fn however_a_tokenizer_is_written_down_its_tokens_cover_the_same_bytes() {
    let desk = Desk::new();
    desk.write("t.txt", lines(40));
    let model = byte_level_model();
    let sequence = |kind: &str, many: &str, inner: Value| json!({"type": kind, many: [inner]});
    let mut with_post = around(model.clone(), byte_level(true), byte_level(true), json!([]));
    with_post["post_processor"] = byte_level(true);
    let mut normalized = around(
        model.clone(),
        json!({"type": "Split", "pattern": {"Regex": " ?[^ ]+| +"}, "behavior": "Isolated", "invert": false}),
        byte_level(true),
        json!([]),
    );
    normalized["normalizer"] = json!({"type": "ByteLevel"});
    let mut padded = around(model.clone(), byte_level(true), byte_level(true), json!([]));
    padded["padding"] = json!({"strategy": {"Fixed": 512}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "!"});
    padded["truncation"] = json!({"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0});
    let spellings = [
        ("plain", around(model.clone(), byte_level(true), byte_level(true), json!([]))),
        ("without a decoder", around(model.clone(), byte_level(true), Value::Null, json!([]))),
        (
            "in sequences",
            around(
                model.clone(),
                sequence("Sequence", "pretokenizers", byte_level(false)),
                sequence("Sequence", "decoders", byte_level(true)),
                json!([]),
            ),
        ),
        ("trimmed afterwards", with_post),
        ("padded and cut", padded),
    ];
    let mut known = None;
    for (number, (name, spelling)) in spellings.iter().enumerate() {
        let (manifest, corpus) = desk.prepare(&["t.txt"], desk.tokenizer(&format!("{number}.json"), spelling));
        let counts = all(corpus.byte_counts().unwrap());
        assert_eq!(counts.iter().map(|count| u64::from(*count)).sum::<u64>(), manifest.validation.bytes, "{name}");
        let found = (all(corpus.validation()), counts);
        assert_eq!(known.get_or_insert_with(|| found.clone()), &found, "{name}");
        assert_eq!(manifest.coverage.told(), "100 %", "{name}");
    }
    // Bytes in the normalizer split words elsewhere, but cover all the same.
    let (manifest, corpus) = desk.prepare(&["t.txt"], desk.tokenizer("n.json", &normalized));
    let counts = all(corpus.byte_counts().unwrap());
    assert_eq!(counts.iter().map(|count| u64::from(*count)).sum::<u64>(), manifest.validation.bytes);
    assert!(counts.iter().all(|count| *count < 12), "no token stands for a whole line");
}

/// Each kind with the bytes that its validation tokens cover one by one: literal values, counted by hand.
#[test]
fn what_a_token_covers_is_counted_in_the_text() {
    let desk = Desk::new();
    // Two documents; the one with the lower hash validates, so both are the same text.
    let letters: Map<String, Value> =
        "abehot ".chars().zip(0u32..).map(|(c, id)| (c.to_string(), Value::from(id))).collect();
    let with_unknown = {
        let mut model = bpe(Value::Object(letters.clone()), json!([]));
        model["vocab"]["<unk>"] = json!(7);
        model["unk_token"] = json!("<unk>");
        model["fuse_unk"] = json!(true);
        around(model, Value::Null, Value::Null, json!([special(7, "<unk>")]))
    };
    let dropping = around(bpe(Value::Object(letters), json!([])), Value::Null, Value::Null, json!([]));
    let words = json!({
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": {"[UNK]": 0, "the": 1, "bo": 2, "##at": 3},
    });
    let lower = json!({"type": "Lowercase"});
    let mut words = around(words, json!({"type": "Whitespace"}), Value::Null, json!([special(0, "[UNK]")]));
    words["normalizer"] = lower;
    type Case<'c> = (&'c str, &'c Value, &'c [u32], (u64, u64));
    let cases: [Case<'_>; 3] = [
        // t h e _ b o a t _ лод ! and the end mark, which covers nothing
        ("<unk>", &with_unknown, &[1, 1, 1, 1, 1, 1, 1, 1, 1, 7, 0], (7, 0)),
        // what is dropped counts for the last letter before it
        ("dropped", &dropping, &[1, 1, 1, 1, 1, 1, 1, 1, 8, 0], (0, 7)),
        // The, _bo, at, _лод, !
        ("[UNK]", &words, &[3, 3, 2, 7, 1, 0], (7, 0)),
    ];
    for (name, settings, expected, (unknown, lost)) in cases {
        let document = if name == "[UNK]" { "The boat лод!" } else { "the boat лод!" };
        desk.write("t.jsonl", format!("{}\n{}\n", json!({"text": document}), json!({"text": document})));
        let (Prepared { manifest, notices, .. }, corpus) =
            desk.prepared(&["t.jsonl"], desk.tokenizer("k.json", settings));
        assert_eq!(all(corpus.byte_counts().unwrap()), expected, "{name}");
        let both = (manifest.coverage.unknown, manifest.coverage.lost);
        let expected = if name == "[UNK]" { (2 * 7, 0) } else { (2 * unknown, 2 * lost) };
        assert_eq!(both, expected, "{name}");
        let said = notices.concat();
        assert!(said.contains("does not cover all of the text") && said.contains("`л`"), "{name}: {said}");
        let checked = desk.survey(&["t.jsonl"], desk.tokenizer("k.json", settings)).unwrap();
        assert_eq!(checked.uncovered.as_ref(), notices.last(), "{name}: said before anything is prepared");
        let tokens = checked.tokens.unwrap();
        assert_eq!((tokens.train, tokens.validation), (manifest.train_tokens, manifest.validation_tokens));
    }
}

#[test]
fn neighbours_of_what_is_dropped_may_merge_and_every_byte_still_counts() {
    let desk = Desk::new();
    let vocab = json!({"a": 0, "b": 1, "ab": 2, " ": 3});
    let settings = around(bpe(vocab, json!([["a", "b"]])), Value::Null, Value::Null, json!([]));
    desk.write("t.jsonl", "{\"text\":\"aЖb ab\"}\n{\"text\":\"aЖb ab\"}\n");
    let (manifest, corpus) = desk.prepare(&["t.jsonl"], desk.tokenizer("k.json", &settings));
    assert_eq!(all(corpus.validation()), [2, 3, 2, corpus.vocabulary().end()], "as the tokenizer gives them");
    assert_eq!(all(corpus.byte_counts().unwrap()), [4, 1, 2, 0]);
    assert_eq!(manifest.coverage.lost, 2 * 2);
    // A document of which nothing is left: its end mark answers for it.
    desk.write("u.jsonl", "{\"text\":\"ab\"}\n{\"text\":\"ЖЖ\"}\n{\"text\":\"ЖЖ\"}\n{\"text\":\"ЖЖ\"}\n");
    let (manifest, corpus) = desk.prepare(&["u.jsonl"], desk.tokenizer("k.json", &settings));
    let counts = all(corpus.byte_counts().unwrap());
    assert_eq!(counts.iter().map(|count| u64::from(*count)).sum::<u64>(), manifest.validation.bytes);
    assert!(counts.contains(&4), "{counts:?}");
}

#[test]
fn a_tokenizer_that_leaves_tokens_to_chance_is_made_certain() {
    let desk = Desk::new();
    desk.write("t.txt", lines(60));
    let mut model = byte_level_model();
    let certain = desk.tokenizer("c.json", &around(model.clone(), byte_level(true), byte_level(true), json!([])));
    model["dropout"] = json!(0.5);
    let chance = desk.tokenizer("d.json", &around(model, byte_level(true), byte_level(true), json!([])));
    let (Prepared { manifest: one, notices, .. }, first) = desk.prepared(&["t.txt"], certain);
    let (other, second) = desk.prepare(&["t.txt"], chance.clone());
    assert_eq!((all(first.train()), all(first.validation())), (all(second.train()), all(second.validation())));
    assert_ne!(one.fingerprint, other.fingerprint, "an earlier version prepared it with dropout under the file's name");
    assert_eq!(notices, Vec::<String>::new());
    let said = desk.survey(&["t.txt"], chance).unwrap().notices.concat();
    assert!(said.contains("BPE dropout of 0.5 is switched off"), "{said}");
}

#[test]
fn an_unknown_token_is_text_even_if_it_is_special_and_last() {
    let desk = Desk::new();
    desk.write("t.txt", "the boat came in \n".repeat(30));
    let model =
        json!({"type": "WordLevel", "vocab": {"the": 0, "boat": 1, "came": 2, "[UNK]": 3}, "unk_token": "[UNK]"});
    let settings = around(model, json!({"type": "Whitespace"}), Value::Null, json!([special(3, "[UNK]")]));
    let (Prepared { notices, .. }, corpus) = desk.prepared(&["t.txt"], desk.tokenizer("w.json", &settings));
    assert_eq!(corpus.vocabulary().text_size(), 4);
    assert!(all(corpus.train()).contains(&3));
    assert!(notices.concat().contains("is the unknown token (such as `i` `n`)"), "{notices:?}");
}

#[test]
fn a_tokenizer_that_cannot_take_the_text_is_refused_before_anything_is_queued() {
    let desk = Desk::new();
    desk.write("t.txt", "die Fähre kam\n".repeat(30));
    let said =
        |name: &str, settings: &Value| desk.survey(&["t.txt"], desk.tokenizer(name, settings)).unwrap_err().to_string();
    let unigram =
        json!({"type": "Unigram", "unk_id": null, "byte_fallback": false, "vocab": [["a", -1.0], ["b", -2.0]]});
    let message = said("u.json", &around(unigram, Value::Null, Value::Null, json!([])));
    assert!(message.contains("no token for the unknown; give its model one"), "{message}");
    let words = json!({
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": {"the": 0},
    });
    let message = said("w.json", &around(words, json!({"type": "Whitespace"}), Value::Null, json!([])));
    assert!(message.contains("no token for the unknown; give its model one"), "{message}");
    let cyrillic = around(bpe(json!({"Ж": 0}), json!([])), Value::Null, Value::Null, json!([]));
    let message = said("c.json", &cyrillic);
    assert!(message.contains("it knows nothing of the text") && message.contains("bpe:SIZE"), "{message}");
}

#[test]
fn characters_of_the_validation_text_that_training_lacks_are_told() {
    let desk = Desk::new();
    desk.write("t.txt", format!("{}{}", "a boat came in. ".repeat(20), "die Fähre kam. ".repeat(20)));
    let (manifest, _) = desk.prepare(&["t.txt"], TokenizerSpec::Chars);
    assert!(manifest.coverage.unknown > 0);
    let said = desk.survey(&["t.txt"], TokenizerSpec::Chars).unwrap().uncovered.unwrap();
    assert!(said.contains("does not cover all of the validation text: 43.8 %") && said.contains("`F`"), "{said}");
}

#[test]
fn a_byte_order_mark_and_halves_of_characters_spoil_nothing() {
    let desk = Desk::new();
    let text = "A quiet harbour at night. ".repeat(20);
    desk.write("plain.txt", &text);
    desk.write("marked.txt", format!("\u{feff}{text}"));
    let of = |name: &str| desk.survey(&[name], TokenizerSpec::Chars).unwrap();
    assert_eq!(of("plain.txt").fingerprint, of("marked.txt").fingerprint);
    let line = |text: &str| format!("{{\"n\": NaN, \"deep\": [[1e999]], \"text\": \"{text}\", \"o\": \"\\ud83d\"}}\n");
    // Files that were joined have marks in the middle.
    desk.write(
        "joined.jsonl",
        format!("\u{feff}{}{}\u{feff}{}", line("one"), line("two \\ud83d\\udea2"), line("cut \\ud83d")),
    );
    let (Prepared { notices, .. }, corpus) = desk.prepared(&["joined.jsonl"], TokenizerSpec::Bytes);
    let mut told: Vec<String> = [corpus.train(), corpus.validation()]
        .iter()
        .flat_map(|stream| {
            let text = corpus.tokenizer().decode(&all(stream));
            text.split_terminator("</s>").map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    told.sort();
    assert_eq!(told, ["cut \u{fffd}", "one", "two 🚢"]);
    assert!(notices.concat().contains("3 lines held half of a character"), "{notices:?}");
    desk.write("wide.txt", b"\xff\xfeT\0h\0e\0");
    let said = desk.survey(&["wide.txt"], TokenizerSpec::Bytes).unwrap_err().to_string();
    assert!(
        said.contains("wide.txt") && said.contains("UTF-16") && said.contains("convert the file to UTF-8"),
        "{said}"
    );
    // The same for the file of a tokenizer.
    let model = around(byte_level_model(), byte_level(true), byte_level(true), json!([]));
    let (plain, marked) = (desk.tokenizer("a.json", &model), desk.at("b.json"));
    fs::write(&marked, format!("\u{feff}{model}")).unwrap();
    let of = |tokenizer| desk.survey(&["plain.txt"], tokenizer).unwrap().fingerprint;
    assert_eq!(of(plain), of(TokenizerSpec::File(marked)));
}

#[test]
fn what_a_folder_holds_beside_texts_is_counted() {
    let desk = Desk::new();
    for name in ["d/a.txt", "d/deep/b.TXT"] {
        desk.write(name, "The boat came in with the tide. ".repeat(9));
    }
    for name in ["d/c.jsonl.gz", "d/deep/e.jsonl.gz", "d/f.ndjson", "d/LICENSE", "d/.hidden.gz", "d/g.parquet"] {
        desk.write(name, "x");
    }
    let found = desk.survey(&["d"], TokenizerSpec::Bytes).unwrap();
    assert_eq!((found.train.documents, found.validation.documents), (1, 1));
    let said = found.notices.concat();
    assert!(
        said.starts_with("5 files in `") && said.contains("2 .jsonl.gz, 1 .ndjson, 1 .parquet, 1 without an ending"),
        "{said}"
    );
    assert!(said.contains("decompress"), "{said}");
    // The same texts from another place are the same corpus, and yet each place has its own remarks.
    let texts = ["d/a.txt", "d/deep/b.TXT"];
    let (alone, folder) =
        (desk.prepared(&texts, TokenizerSpec::Bytes).0, desk.prepared(&["d"], TokenizerSpec::Bytes).0);
    assert_eq!((alone.manifest, alone.notices, folder.notices), (folder.manifest, Vec::new(), found.notices));
    desk.write("e/a.jsonl.zst", "x");
    let said = desk.survey(&["e"], TokenizerSpec::Bytes).unwrap_err().to_string();
    assert!(said.contains("holds no .txt or .jsonl file, only 1 .jsonl.zst"), "{said}");
}

#[cfg(unix)]
#[test]
fn pipes_links_and_names_that_are_no_text_neither_hang_nor_hide() {
    use std::os::unix::ffi::OsStrExt;
    let desk = Desk::new();
    let odd = Path::new("d").join(std::ffi::OsStr::from_bytes(b"\xff\xe9.txt"));
    let path = desk.folder.path().join(odd);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "The boat came in with the tide. ".repeat(9)).unwrap();
    desk.write("elsewhere/b.txt", "The crew left again at night. ".repeat(9));
    std::os::unix::fs::symlink(desk.at("elsewhere"), desk.at("d/link")).unwrap();
    std::os::unix::fs::symlink(desk.at("d"), desk.at("elsewhere/back")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(desk.at("d/x.txt")).status().unwrap();
    assert!(made.success());
    let found = desk.survey(&["d"], TokenizerSpec::Bytes).unwrap();
    assert_eq!(found.train.documents + found.validation.documents, 2, "a circle of links is walked once");
    assert!(found.notices.concat().contains("1 not a regular file"), "{:?}", found.notices);
    let said = desk.survey(&["d/x.txt"], TokenizerSpec::Bytes).unwrap_err().to_string();
    assert!(said.contains("x.txt") && said.contains("not a regular file"), "{said}");
    std::os::unix::fs::symlink("nowhere.txt", desk.at("d/gone.txt")).unwrap();
    let said = desk.survey(&["d"], TokenizerSpec::Bytes).unwrap_err().to_string();
    assert!(said.contains("gone.txt"), "{said}");
}

#[test]
fn patterns_name_files_and_each_is_read_once() {
    let desk = Desk::new();
    for name in ["d/a.txt", "d/b.txt", "d/c.md"] {
        desk.write(name, format!("{name} The boat came in. ").repeat(9));
    }
    let documents = |paths: &[&str]| {
        desk.survey(paths, TokenizerSpec::Bytes).map(|found| found.train.documents + found.validation.documents)
    };
    assert_eq!(documents(&["d/*.txt"]).unwrap(), 2);
    assert_eq!(documents(&["d/*.txt", "d", "d/a.txt"]).unwrap(), 2);
    let said = documents(&["d/*.csv"]).unwrap_err().to_string();
    assert!(said.contains("*.csv") && said.contains("no file fits the pattern"), "{said}");
    let said = documents(&["d/*"]).unwrap_err().to_string();
    assert!(said.contains("c.md") && said.contains(".txt or .jsonl"), "what a pattern names is named: {said}");
    let mut both = desk.settings(&["d/*.txt"], TokenizerSpec::Bytes);
    both.validation = vec![desk.at("d/b*").display().to_string()];
    assert!(survey(&both).unwrap_err().to_string().contains("for training and for validation"));
}

#[test]
fn what_an_earlier_version_prepared_is_prepared_again() {
    let desk = Desk::new();
    desk.write("t.txt", lines(20));
    let (manifest, _) = desk.prepare(&["t.txt"], TokenizerSpec::Bytes);
    let folder = desk.at("corpora").join(&manifest.fingerprint);
    let path = folder.join("manifest.json");
    let mut earlier: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    earlier["format"] = 1.into();
    for new in ["files", "checksum"] {
        earlier.as_object_mut().unwrap().remove(new).unwrap();
    }
    fs::write(&path, earlier.to_string()).unwrap();
    let found = verify(&folder).unwrap();
    assert!(found.is_whole() && found.unsealed[0].starts_with(path.to_str().unwrap()), "{found:?}");
    fs::remove_file(folder.join("validation.bytes")).unwrap();
    for opened in [Corpus::open(&folder), Corpus::open_checked(&folder, 0)] {
        assert!(opened.unwrap().byte_counts().is_none(), "its runs can go on");
    }
    // What can be seen without checksums is seen: the second token is none of the vocabulary.
    let shard = folder.join("train.tokens");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[27] = 0xff;
    fs::write(&shard, bytes).unwrap();
    let found = verify(&folder).unwrap().damaged;
    assert!(found.len() == 1 && found[0].contains("train.tokens: the token at byte 26 is 65"), "{found:?}");
    let said = Corpus::open(&folder).unwrap().train().window(0, 4).unwrap_err().to_string();
    assert!(said.contains(shard.to_str().unwrap()) && said.contains("the vocabulary has 387"), "{said}");
    let (again, corpus) = desk.prepare(&["t.txt"], TokenizerSpec::Bytes);
    assert_eq!(again, manifest);
    assert_eq!(corpus.byte_counts().unwrap().len(), manifest.validation_tokens);
}

/// A few dozen flipped bits of each file of a corpus: each is named, or changes nothing that is read.
#[test]
fn no_flipped_bit_of_a_corpus_is_trained_on() {
    let desk = Desk::new();
    desk.write("t.txt", lines(60));
    for tokenizer in [TokenizerSpec::Bytes, TokenizerSpec::Bpe(300)] {
        let (manifest, _) = desk.prepare(&["t.txt"], tokenizer);
        let folder = desk.at("corpora").join(&manifest.fingerprint);
        let mut chance = generator(11, Stream::Sample, 0);
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        assert_eq!(names.len(), 5, "{names:?}");
        for path in names {
            let whole = fs::read(&path).unwrap();
            let name = path.to_str().unwrap();
            for _ in 0..40 {
                let bit = chance.random_range(0..whole.len() * 8);
                let mut other = whole.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, &other).unwrap();
                let found = verify(&folder).unwrap().damaged;
                match Corpus::open_checked(&folder, 0) {
                    Err(error) => {
                        let said = error.to_string();
                        assert!(said.contains(name) && said.contains("trilab corpus prepare"), "bit {bit}: {said}");
                        assert!(found.len() == 1 && found[0].starts_with(name), "bit {bit} of {name}: {found:?}");
                    }
                    // The exponent of a number may be written with a capital letter.
                    Ok(corpus) => {
                        assert!(
                            name.ends_with("manifest.json") && found.is_empty(),
                            "bit {bit} of {name} is not noticed"
                        );
                        assert_eq!(*corpus.manifest(), manifest);
                    }
                }
            }
            fs::write(&path, &whole).unwrap();
        }
        assert!(verify(&folder).unwrap().is_whole());
    }
}

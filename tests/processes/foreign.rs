//! Studies, tasks, tokenizers and texts of other people that are made to hurt: they are refused by name, and whoever else talks to
//! the server notices nothing. What reads them can be killed like a worker.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use trilab::core::texts::{CorpusSettings, TokenizerSpec};
use trilab::corpus::survey;

use super::lab::{FOREIGN, Lab, TRILAB};
use super::process::Process;

/// A task with this for `doc_to_text`, quoted for YAML.
fn task(template: &str) -> String {
    format!(
        "task: t\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: d.jsonl}}}}\ntest_split: test\n\
         output_type: loglikelihood\ndoc_to_text: \"{template}\"\ndoc_to_target: \" x\"\n"
    )
}

/// What reads other people's files for this lab.
fn digests(lab: &Lab) -> Vec<Process> {
    let all = Process::all_with(&lab.home().corpora_dir()).into_iter();
    all.filter(|process| process.arguments.iter().any(|word| word == "digest")).collect()
}

#[test]
fn what_is_made_to_hurt_is_refused_by_name_and_the_server_goes_on() {
    let lab = Lab::new();
    let write = |name: &str, text: &str| fs::write(lab.folder().join(name), text).unwrap();
    let pipe = |name: &str| mkfifoat(CWD, lab.folder().join(name), Mode::RUSR | Mode::WUSR).unwrap();
    write("d.jsonl", "{\"q\": \"why\"}\n");
    lab.ok(&["server", "start"]);
    let server = lab.server().unwrap();
    let many = |n: usize, text: &str| text.repeat(n);
    let laughs: String = (1..9).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(10))).collect();
    pipe("pipe");
    pipe("pipe.yaml");
    pipe("pipe.txt");
    pipe("pipe.json");
    symlink("/dev/zero", lab.folder().join("zero.json")).unwrap();
    symlink("/dev/zero", lab.folder().join("zero.txt")).unwrap();
    symlink("/dev/zero", lab.folder().join("zero.jsonl")).unwrap();
    write("deep.json", &format!("{{\"model\": {}1{}}}", many(100_000, "["), many(100_000, "]")));
    let steps = (0..50).fold("{\"type\": \"Whitespace\"}".to_owned(), |inner, _| {
        format!("{{\"type\": \"Sequence\", \"pretokenizers\": [{inner}]}}")
    });
    let model = "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}";
    write("steps.json", &format!("{{\"pre_tokenizer\": {steps}, \"model\": {model}}}"));
    write("far.json", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 2000000000}, \"merges\": []}}");
    write(
        "odd.json",
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": [[\"a\", \"b\"]], \
         \"continuing_subword_prefix\": \"longer\"}}",
    );
    let tasks = [
        (task("{{ 'x' * 1000000000 }}"), "more than 4000000 steps"),
        (task(&format!("{{{{ {}q }}}}", many(50_000, "not "))), "nested or chained more than 200 times"),
        (task(&format!("{{{{ {}q{} }}}}", many(50_000, "("), many(50_000, ")"))), "nested or chained more than 200"),
        (task(&many(9, "{% for i in range(99999) %}")), "doc_to_text"),
        (task(&format!("{}{}", many(3, "{% for i in range(99999) %}"), many(3, "{% endfor %}"))), "4000000 steps"),
        (task("{{ ('ab' * 200) | regex_replace('(?i)(a|b|ab)*(?>c)', 'x') }}"), "regex_replace"),
        (format!("{}more: x\n{}", task("q"), many(300_000, "k: v\n")), "more than 1 MiB"),
        ((0..30_000).map(|n| format!("k{n}: v\n")).collect(), "t.yaml"),
        (format!("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n{laughs}"), "more than 100000 values"),
        (many(200, "["), "nested too deeply"),
        (format!("include: [{}]\n", many(200, "other.yaml, ")), "more than 100 files are included"),
        ("include: pipe\n".to_owned(), "pipe: it is a pipe, not a regular file"),
        (task("q").replace("d.jsonl", "pipe"), "pipe: it is a pipe, not a regular file"),
        (task("q").replace("d.jsonl", "zero.jsonl"), "zero.jsonl: it is a device"),
    ];
    write("other.yaml", "num_fewshot: 0\n");
    let study = lab.study("hostile", "");
    let refused = |setting: &str, words: &str| {
        let done = lab.run(&["study", "check", &study, "--set", setting]);
        assert_eq!(done.code, Some(1), "{words}: {done:?}");
        assert!(done.stderr.starts_with("trilab: could not ") && done.stderr.contains(words), "{words}: {done:?}");
        assert!(done.stderr.len() < 2000, "{words}: {done:?}");
        assert!(!server.is_gone(), "{words}");
    };
    for (text, words) in tasks {
        write("t.yaml", &text);
        refused("probes.zero_shot=['t.yaml']", words);
    }
    refused("probes.zero_shot=['pipe.yaml']", "pipe.yaml: it is a pipe");
    for (tokenizer, words) in [
        ("deep.json", "recursion limit"),
        ("steps.json", "nested in more than 16 levels"),
        ("far.json", "its token `b` has the id 2000000000"),
        ("odd.json", "use the tokenizer"),
        ("pipe.json", "it is a pipe"),
        ("zero.json", "it is a device"),
    ] {
        refused(&format!("corpus.tokenizer={tokenizer}"), words);
    }
    for (text, words) in [("pipe.txt", "not a regular file"), ("zero.txt", "not a regular file")] {
        refused(&format!("corpus.paths=['{text}']"), words);
    }
    let done = lab.run(&["study", "check", "./pipe"]);
    assert!(done.code == Some(1) && done.stderr.contains("it is a pipe, not a regular file"), "{done:?}");
    let done = lab.run(&["study", "check", "./zero.txt"]);
    assert!(done.code == Some(1) && done.stderr.contains("it is a device"), "{done:?}");
    assert_eq!(digests(&lab).len(), 0, "none is left");
    assert_eq!(lab.server().map(|found| found.pid), Some(server.pid), "it is the same server");
}

#[test]
fn a_text_that_takes_too_much_memory_costs_one_process() {
    let lab = Lab::new();
    // Without an end of line it is one document, and not a byte of it is on the disk.
    File::create(lab.folder().join("endless.jsonl")).unwrap().set_len(4 << 30).unwrap();
    let script = format!(
        "ulimit -d 1500000; exec {TRILAB} --home {} --config {} server serve",
        lab.home().root().display(),
        lab.config().display()
    );
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    FOREIGN.iter().for_each(|name| _ = shell.env_remove(name));
    let mut server = shell.spawn().unwrap();
    lab.wait_until("the server", || lab.run(&["server", "status"]).code == Some(0));
    let study = lab.study("endless", "corpus.paths = ['endless.jsonl']");
    let done = lab.run(&["study", "check", &study]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let words = "could not read the texts and tasks of endless: the process for it needed more memory than the 1.4 GiB it may \
                 have while it read `";
    assert!(done.stderr.contains(words) && done.stderr.contains("/endless.jsonl`; leave that out"), "{done:?}");
    assert_eq!(lab.run(&["study", "check", "first-steps"]).code, Some(0), "the server goes on");
    lab.ok(&["server", "stop"]);
    server.wait().unwrap();
}

#[test]
fn a_preparation_whose_process_was_lost_is_not_tried_again_until_somebody_asks() {
    let lab = Lab::new();
    let text = lab.folder().join("text.txt");
    fs::write(&text, "the pier lay still. ".repeat(500)).unwrap();
    let settings = CorpusSettings {
        paths: vec![text.display().to_string()],
        tokenizer: TokenizerSpec::Bytes,
        ..trilab::config::load_config(None).unwrap().corpus
    };
    let fingerprint = survey(&settings).unwrap().fingerprint;
    let corpora = lab.home().corpora_dir();
    lab.home().create().unwrap();
    // Whoever holds the lock of a corpus prepares it, and everybody else waits.
    let held = File::create(corpora.join(format!(".{fingerprint}.lock"))).unwrap();
    held.lock().unwrap();
    let study = lab.study("lost", "corpus.paths = ['text.txt']\n[budget]\nsteps = 40");
    lab.ok(&["study", "submit", &study]);
    let run = lab.runs()[0].id().clone();
    assert_eq!(lab.status(&run), "preparing");
    // A server that stops leaves nothing that works on; the next one begins anew.
    let waiting = lab.wait_for("a digest", || digests(&lab).pop());
    lab.ok(&["server", "stop"]);
    assert!(waiting.is_gone());
    assert_eq!(lab.status(&run), "preparing");
    let waiting = lab.wait_for("another digest", || digests(&lab).pop());
    let reads = || digests(&lab).iter().any(|process| process.pid == waiting.pid);
    assert!(reads());
    // It has read the text when it waits for the lock, which it opens then.
    let lock = corpora.join(format!(".{fingerprint}.lock"));
    let opened = || {
        let files = fs::read_dir(format!("/proc/{}/fd", waiting.pid)).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|file| file == lock)
    };
    lab.wait_until("a digest that has read the text", opened);
    waiting.signal(Signal::KILL);
    lab.wait_until("the failure", || lab.status(&run) == "failed");
    let mark = corpora.join(format!(".failed-{fingerprint}"));
    let reason = fs::read_to_string(&mark).unwrap();
    assert!(reason.starts_with("could not read its texts: the process for it was killed (signal 9)"), "{reason}");
    assert!(reason.contains("/text.txt`") && reason.ends_with("then retry"), "{reason}");
    lab.ok(&["server", "stop"]);
    let shown = lab.json(&["run", "show", run.as_str(), "--json"]);
    assert_eq!(shown["summary"]["status"]["reason"].as_str(), Some(reason.as_str()), "{shown}");
    assert_eq!((lab.status(&run).as_str(), digests(&lab).len()), ("failed", 0), "nobody reads it again");
    drop(held);
    lab.ok(&["run", "retry", run.as_str()]);
    lab.wait_until("the end", || lab.status(&run) == "finished");
    assert!(!mark.exists());
}

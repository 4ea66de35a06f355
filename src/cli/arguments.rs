//! What can be typed. The help texts are the manual of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::core::StudyId;
use crate::core::board::EqualBudget;

/// A terminal lab for language-model experiments. Without a command: the dashboard.
#[derive(Debug, Parser)]
#[command(name = "trilab", version, about, propagate_version = true)]
pub(super) struct Cli {
    /// Folder of all runs (default: TRILAB_HOME, then lab.home of the settings, then the user's data directory)
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
    /// Settings that lie over the shipped ones (default: config.toml in the working directory, if there is one)
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check, queue and list studies
    #[command(subcommand)]
    Study(StudyCommand),
    /// List, show, pause, resume, stop and retry runs
    #[command(subcommand)]
    Run(RunCommand),
    /// The table of cells, seeds folded
    Leaderboard {
        /// Only of this study
        #[arg(long)]
        study: Option<StudyId>,
        /// Order by this column, best first (default: the first column)
        #[arg(long, value_name = "COLUMN")]
        sort: Option<String>,
        /// Compare at an equal budget: parameters, flops, tokens, wall-clock
        #[arg(long, value_name = "BUDGET", default_value_t)]
        equal: EqualBudget,
        /// How to print it
        #[command(flatten)]
        format: TableFormat,
    },
    /// The rank of a run's attention, by layer and head
    Rank {
        /// Run id, or an unambiguous beginning of it
        run: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Score a run on zero-shot tasks, from its checkpoint
    Eval(EvalCommand),
    /// Prepare texts
    #[command(subcommand)]
    Corpus(CorpusCommand),
    /// Take data out
    #[command(subcommand)]
    Export(ExportCommand),
    /// Measure this machine
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Start, stop and look at the server of this home
    #[command(subcommand)]
    Server(ServerCommand),
    /// Rebuild the index from the run directories
    Reindex,
    /// Check every file of the home against what was written
    Doctor {
        /// Mend what can be derived: damaged files are renamed, and made again by whoever made them
        #[arg(long)]
        repair: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Train the run in a folder (what the server starts)
    Worker {
        /// Folder with spec.json
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Read texts, tokenizers and tasks for the server (what the server starts)
    #[command(hide = true)]
    Digest {
        /// Folder of the prepared corpora
        #[arg(value_name = "DIR")]
        corpora: PathBuf,
    },
    /// Print completions for a shell
    Completions {
        /// bash, zsh, fish, …
        shell: clap_complete::Shell,
    },
}

/// How a table is printed; as aligned text if nothing is said.
#[derive(Clone, Copy, Debug, Args)]
#[group(multiple = false)]
pub(super) struct TableFormat {
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
    /// As CSV
    #[arg(long)]
    pub(super) csv: bool,
    /// As a Markdown table
    #[arg(long)]
    pub(super) markdown: bool,
}

/// What to score on what.
#[derive(Debug, Args)]
pub(super) struct EvalCommand {
    /// Run id, an unambiguous beginning of it, or the folder of a run
    #[arg(value_name = "RUN")]
    pub(super) run: String,
    /// Task files of the lm-evaluation-harness subset, folders of them, or shipped:NAME (default: the tasks of the
    /// run's study, else shipped:world)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) tasks: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
    /// The checkpoint of this step (default: the newest)
    #[arg(long, value_name = "STEP")]
    pub(super) checkpoint: Option<u64>,
    /// Ask only the first documents of each task
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
}

/// A study by file, shipped name or submitted id, with changes.
#[derive(Debug, Args)]
pub(super) struct StudyArguments {
    /// A study file, the name of a shipped study, or the id of a submitted one
    #[arg(value_name = "FILE|ID")]
    pub(super) study: String,
    /// Change a setting, as in --set budget.steps=100; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) overrides: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Verbs of studies.
#[derive(Debug, Subcommand)]
pub(super) enum StudyCommand {
    /// Say what a study would do, without queueing it
    Check(StudyArguments),
    /// Queue a study
    Submit {
        /// Which
        #[command(flatten)]
        arguments: StudyArguments,
        /// Wait until every run is over; exit code 1 if one did not finish
        #[arg(long)]
        wait: bool,
        /// Queue also runs that need more memory than this machine has: for a lab whose runs another machine will train
        #[arg(long)]
        force: bool,
    },
    /// All submitted studies, and the shipped ones
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One study: its settings and runs
    Show(StudyArguments),
}

/// Which runs.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Run ids, or unambiguous beginnings of them
    #[arg(value_name = "RUN", required_unless_present_any = ["study", "all"])]
    pub(super) runs: Vec<String>,
    /// All runs of a study
    #[arg(long, conflicts_with = "runs")]
    pub(super) study: Option<StudyId>,
    /// All runs for which it makes sense
    #[arg(long, conflicts_with_all = ["runs", "study"])]
    pub(super) all: bool,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Verbs of runs.
#[derive(Debug, Subcommand)]
pub(super) enum RunCommand {
    /// All runs
    List {
        /// Only of this study
        #[arg(long)]
        study: Option<StudyId>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// All about a run
    Show {
        /// Run id, or an unambiguous beginning of it
        run: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Hold runs: running ones save a checkpoint and leave
    Pause(RunArguments),
    /// Let held runs go on
    Resume(RunArguments),
    /// End runs; their checkpoints stay
    Stop(RunArguments),
    /// Queue failed, diverged or stopped runs again, from their last checkpoint, or a finished one whose checkpoint is lost
    Retry(RunArguments),
    /// Start a queued run sooner or later
    Move {
        /// Run id, or an unambiguous beginning of it
        run: String,
        /// Places: negative is sooner
        #[arg(allow_hyphen_values = true)]
        by: i64,
    },
    /// Change the priority of a run; higher starts sooner
    Priority {
        /// Run id, or an unambiguous beginning of it
        run: String,
        /// By how much
        #[arg(allow_hyphen_values = true)]
        by: i32,
    },
    /// What happened in a run
    Log {
        /// Run id, or an unambiguous beginning of it
        run: String,
        /// As JSON, one event a line
        #[arg(long)]
        json: bool,
    },
}

/// Verbs of corpora.
#[derive(Debug, Subcommand)]
pub(super) enum CorpusCommand {
    /// Tokenize texts into the shards that runs read
    Prepare {
        /// .txt and .jsonl files, folders of them, or shipped:NAME
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<String>,
        /// bytes, chars, bpe:SIZE, or the path of a tokenizer.json
        #[arg(long)]
        tokenizer: Option<String>,
        /// The field of a .jsonl line that holds the text
        #[arg(long)]
        field: Option<String>,
        /// Validation files or folders
        #[arg(long, value_name = "PATH")]
        validation: Vec<String>,
        /// Share held out when there are no validation files
        #[arg(long, value_name = "SHARE")]
        validation_fraction: Option<f64>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Formats of exported metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MetricsFormat {
    /// One row per value
    Csv,
    /// One object per line
    Jsonl,
}

/// What to take out.
#[derive(Debug, Subcommand)]
pub(super) enum ExportCommand {
    /// Every logged value of runs
    Metrics {
        /// Run ids, or unambiguous beginnings of them
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<String>,
        /// Format
        #[arg(long, value_enum, default_value = "csv")]
        format: MetricsFormat,
    },
}

/// Layouts by the short names of the field's baselines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Layout {
    /// Causal decoder
    Cd,
    /// Non-causal decoder
    Nd,
    /// Encoder-decoder
    Ed,
}

/// Sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PresetName {
    /// 4 layers of 128
    Tiny,
    /// 6 layers of 256
    Small,
    /// 8 layers of 512
    Medium,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Training and scoring speed on random tokens
    Train {
        /// Layout
        #[arg(long, value_enum, default_value = "cd")]
        arch: Layout,
        /// Size
        #[arg(long, value_enum, default_value = "tiny")]
        preset: PresetName,
        #[command(flatten)]
        sizes: SizeOptions,
        /// Number format of products with weights
        #[arg(long, value_enum, default_value = "f32")]
        precision: PrecisionName,
        /// Threads
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Seconds of training after warm-up
        #[arg(long, default_value_t = 6.0)]
        seconds: f64,
        /// Seed
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// On one line
        #[arg(long)]
        json: bool,
    },
}

/// Sizes other than the preset's.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct SizeOptions {
    /// Blocks instead of the preset's
    #[arg(long, value_name = "N")]
    pub(super) num_layers: Option<usize>,
    /// Width of the stream instead of the preset's
    #[arg(long, value_name = "N")]
    pub(super) d_model: Option<usize>,
    /// Attention heads instead of the preset's
    #[arg(long, value_name = "N")]
    pub(super) num_heads: Option<usize>,
    /// Size of a head; if absent, d_model / num_heads
    #[arg(long, value_name = "N")]
    pub(super) head_dim: Option<usize>,
    /// Hidden width of the MLP instead of the preset's
    #[arg(long, value_name = "N")]
    pub(super) d_ff: Option<usize>,
    /// Vocabulary instead of the preset's
    #[arg(long, value_name = "N")]
    pub(super) vocab_size: Option<usize>,
    /// Positions of a row instead of the preset's
    #[arg(long, value_name = "N")]
    pub(super) seq_len: Option<usize>,
    /// Rows of a batch instead of the preset's
    #[arg(long, value_name = "N")]
    pub(super) batch_size: Option<usize>,
}

/// Names of number formats.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum PrecisionName {
    /// 24 bits of precision
    F32,
    /// 8 bits, summed in f32
    Bf16,
}

/// Verbs of the server.
#[derive(Debug, Subcommand)]
pub(super) enum ServerCommand {
    /// Start it in the background, if it does not run
    Start,
    /// Stop it; runs go on
    Stop,
    /// Say whether it runs
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Be the server, in the foreground
    #[command(hide = true)]
    Serve {
        /// Read no config.toml that happens to lie in the working directory: the client that starts it has decided
        #[arg(long)]
        without_neighbour: bool,
    },
}

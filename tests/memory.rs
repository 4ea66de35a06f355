//! Memory of training, in a process of its own: the counts are those of the whole program.

use trilab::core::{Architecture, Precision};
use trilab::kernel::memory::{Recycler, fresh_blocks, keep_large_blocks};
use trilab::train::bench::{Meter, Preset, Settings, Sizes, bench};

#[global_allocator]
static ALLOCATOR: Recycler = Recycler;

/// Three steps warm up, then some are timed. How large the blocks of a product are depends on the processor's caches, and on the
/// prefix that a step draws, so one step in a few may still ask the system for a block that is larger than all before; a step
/// whose memory was not that of the steps before would ask for dozens.
#[test]
fn steps_use_the_blocks_of_the_steps_before() {
    keep_large_blocks();
    for (architecture, precision) in [
        (Architecture::CausalDecoder, Precision::F32),
        (Architecture::NonCausalDecoder, Precision::F32),
        (Architecture::EncoderDecoder, Precision::F32),
        (Architecture::EncoderDecoder, Precision::Bf16),
    ] {
        let sizes = Sizes { num_layers: 2, d_ff: 128, length: 48, rows: 3, ..Preset::Tiny.sizes() };
        let settings =
            Settings { architecture, preset: Preset::Tiny, sizes, precision, threads: 1, seconds: 40.0, seed: 0 };
        let counts = std::cell::RefCell::new(Vec::new());
        // The clock is read before and after each timed step, and a step takes a second.
        let count = || {
            counts.borrow_mut().push(fresh_blocks());
            f64::from(u32::try_from(counts.borrow().len()).unwrap())
        };
        let nothing = || None;
        let meter = Meter { clock: &count, cpu: &nothing, age: &nothing, peak_memory: &nothing };
        let report = bench(&settings, &meter).unwrap();
        let counts = counts.into_inner();
        assert!(report.steps >= 10 && counts[0] > 50, "{} steps: {counts:?}", report.steps);
        let trained = counts.get(..2 * report.steps).unwrap();
        let grown = trained.last().unwrap() - counts[0];
        assert!(grown <= report.steps as u64 / 2, "{architecture} {precision:?}: {counts:?}");
    }
}

//! Memory of training, in a process of its own: the counts are those of the whole program.

use trilab::core::{Architecture, Precision};
use trilab::kernel::memory::{Recycler, fresh_blocks, keep_large_blocks};
use trilab::train::bench::{Meter, Preset, Settings, Sizes, bench};

#[global_allocator]
static ALLOCATOR: Recycler = Recycler;

/// Three steps warm up, then some are timed: those ask the system for nothing.
#[test]
fn after_the_second_step_no_large_block_is_new() {
    keep_large_blocks();
    for (architecture, precision) in [
        (Architecture::CausalDecoder, Precision::F32),
        (Architecture::NonCausalDecoder, Precision::F32),
        (Architecture::EncoderDecoder, Precision::F32),
        (Architecture::EncoderDecoder, Precision::Bf16),
    ] {
        let sizes = Sizes { num_layers: 2, d_ff: 128, length: 48, rows: 3, ..Preset::Tiny.sizes() };
        let settings =
            Settings { architecture, preset: Preset::Tiny, sizes, precision, threads: 1, seconds: 0.0, seed: 0 };
        let counts = std::cell::RefCell::new(Vec::new());
        // The clock is read before and after each timed step.
        let count = || {
            counts.borrow_mut().push(fresh_blocks());
            0.0
        };
        let nothing = || None;
        let meter = Meter { clock: &count, cpu: &nothing, age: &nothing, peak_memory: &nothing };
        let report = bench(&settings, &meter).unwrap();
        let counts = counts.into_inner();
        assert!(report.steps >= 3 && counts[0] > 50, "{counts:?}");
        let trained = counts.get(..2 * report.steps).unwrap();
        assert!(trained.iter().all(|count| count == &counts[0]), "{architecture} {precision:?}: {counts:?}");
    }
}

//! Work shared out over the threads of a run. Promises: results come in the order of the parts, whichever is ready first;
//! one part runs on the calling thread alone. Must not know: what the work is.

use std::cell::Cell;
use std::thread;

thread_local! {
    static OWN: Cell<usize> = const { Cell::new(1) };
}

/// Does `work`, whose large products may each use `count` threads: for parts of a batch that are fewer than the threads of
/// the run.
pub fn with_threads<R>(count: usize, work: impl FnOnce() -> R) -> R {
    let before = OWN.replace(count.max(1));
    let result = work();
    OWN.set(before);
    result
}

/// Threads that a product of this thread may use.
pub(super) fn own() -> usize {
    OWN.get()
}

/// Does `work` on every part, each on its own thread, the first on this one.
///
/// # Errors
/// The first part's error, in order.
pub fn map<P: Send, R: Send, E: Send>(parts: Vec<P>, work: impl Fn(P) -> Result<R, E> + Sync) -> Result<Vec<R>, E> {
    let mut parts = parts.into_iter();
    let Some(own) = parts.next() else { return Ok(Vec::new()) };
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut results = vec![work(own)];
        results.extend(
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
        );
        results.into_iter().collect()
    })
}

/// Does `work` on every job, on at most `threads` threads with about the same weight each.
///
/// # Errors
/// That of a job; others may have been done or not.
pub fn each<J: Send, E: Send>(
    mut jobs: Vec<J>,
    threads: usize,
    weight: impl Fn(&J) -> usize,
    work: impl Fn(J) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let mut bins: Vec<(usize, Vec<J>)> = (0..threads.clamp(1, jobs.len().max(1))).map(|_| (0, Vec::new())).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(weight(job)));
    for job in jobs {
        if let Some((load, bin)) = bins.iter_mut().min_by_key(|(load, _)| *load) {
            *load += weight(&job);
            bin.push(job);
        }
    }
    let bins = bins.into_iter().map(|(_, bin)| bin).collect();
    map(bins, |bin: Vec<J>| bin.into_iter().try_for_each(&work)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_errors_come_through() {
        assert_eq!(map(vec![3, 1, 2], |x| Ok::<_, ()>(x * 2)), Ok(vec![6, 2, 4]));
        assert_eq!(map(vec![3, 1, 2], |x| if x == 3 { Ok(x) } else { Err(x) }), Err(1));
        assert_eq!(map(Vec::<u32>::new(), Ok::<_, ()>), Ok(Vec::new()));
        let sum = std::sync::atomic::AtomicUsize::new(0);
        let add = |x| {
            sum.fetch_add(x, std::sync::atomic::Ordering::Relaxed);
            if x == 100 { Err("large") } else { Ok(()) }
        };
        for threads in 0..4 {
            assert_eq!(each((1..8).collect(), threads, |x| *x, add), Ok(()));
        }
        assert_eq!(sum.into_inner(), 4 * 28);
        assert_eq!(each(vec![1, 100], 2, |x| *x, |x| if x == 100 { Err("large") } else { Ok(()) }), Err("large"));
    }
}

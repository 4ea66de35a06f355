//! Where large blocks of memory go between two uses. Every operation makes its output anew, and most allocators give large
//! blocks back to the system, which then hands out zeroed pages one fault at a time: about a third of a training step. This
//! one, while it is asked to, keeps them for the next of about the same size; a training step asks for the same sizes as the one
//! before. Promises: what is kept and what is in use never exceed the most that was in use at once by more than half.
//! Must not know: what is in the blocks.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes from which a block is kept; smaller ones are the system allocator's own business.
const LARGE: usize = 64 << 10;

/// Different sizes that are kept at the same time.
const SIZES: usize = 256;

/// The allocator of the program: the system's, with a shelf for large blocks.
#[derive(Clone, Copy, Debug)]
pub struct Recycler;

static KEEPING: AtomicBool = AtomicBool::new(false);
static SHELF: Mutex<Shelf> = Mutex::new(Shelf { lists: [EMPTY; SIZES], kept: 0, used: 0, most: 0, fresh: 0 });

/// Free blocks of one layout, each pointing to the next.
#[derive(Clone, Copy)]
struct List {
    size: usize,
    align: usize,
    first: *mut u8,
}

const EMPTY: List = List { size: 0, align: 0, first: null_mut() };

struct Shelf {
    lists: [List; SIZES],
    /// Bytes on the shelf.
    kept: usize,
    /// Bytes in use.
    used: usize,
    /// The most bytes in use at once.
    most: usize,
    /// Blocks that were asked of the system.
    fresh: u64,
}

#[expect(unsafe_code, reason = "the blocks on the shelf belong to nobody else")]
// SAFETY: a block is either on the shelf or in use, and the shelf is only touched under its lock.
unsafe impl Send for Shelf {}

/// From now on large blocks are kept for their next use.
pub fn keep_large_blocks() {
    KEEPING.store(true, Ordering::Relaxed);
}

/// Large blocks that the system was asked for since the program began to keep them.
#[must_use]
pub fn fresh_blocks() -> u64 {
    shelf().fresh
}

fn shelf() -> MutexGuard<'static, Shelf> {
    SHELF.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layout that the system is asked for: large sizes in eighths of a power of two, so that those of batches of different
/// lengths serve each other. What is not used of a block is never touched.
fn rounded(layout: Layout) -> Layout {
    if layout.size() < LARGE {
        return layout;
    }
    let size = layout.size().next_multiple_of(1 << (layout.size().ilog2() - 3));
    Layout::from_size_align(size, layout.align()).unwrap_or(layout)
}

/// Whether blocks of a rounded layout go over the shelf.
fn is_kept(layout: Layout) -> bool {
    layout.size() >= LARGE && KEEPING.load(Ordering::Relaxed)
}

impl Shelf {
    /// The list of a layout, or an empty one.
    fn list(&mut self, layout: Layout) -> Option<&mut List> {
        let same = |list: &List| (list.size, list.align) == (layout.size(), layout.align());
        let of_layout = self.lists.iter().position(same);
        let at = of_layout.or_else(|| self.lists.iter().position(|list| list.first.is_null()))?;
        let list = self.lists.get_mut(at)?;
        if !same(list) {
            *list = List { size: layout.size(), align: layout.align(), first: null_mut() };
        }
        Some(list)
    }

    /// A block of this layout from the shelf; none if the system must be asked, for whom the shelf is cleared first if too much
    /// lies on it.
    fn take(&mut self, layout: Layout) -> *mut u8 {
        self.used += layout.size();
        self.most = self.most.max(self.used);
        let block = self.list(layout).map_or(null_mut(), List::pop);
        if block.is_null() {
            self.fresh += 1;
            if self.used + self.kept > self.most + self.most / 2 {
                self.clear();
            }
        } else {
            self.kept -= layout.size();
        }
        block
    }

    /// Lays a block on the shelf; false if it has no room for another size.
    fn lay(&mut self, block: *mut u8, layout: Layout) -> bool {
        self.used = self.used.saturating_sub(layout.size());
        let Some(list) = self.list(layout) else { return false };
        list.push(block);
        self.kept += layout.size();
        true
    }

    /// Gives everything back to the system.
    fn clear(&mut self) {
        for list in &mut self.lists {
            let Ok(layout) = Layout::from_size_align(list.size, list.align) else { continue };
            while !list.first.is_null() {
                let block = list.pop();
                #[expect(unsafe_code, reason = "the counterpart of the allocation below")]
                // SAFETY: the block came from the system with the layout of its list.
                unsafe {
                    System.dealloc(block, layout);
                }
            }
        }
        self.kept = 0;
    }
}

#[expect(unsafe_code, reason = "free blocks hold the address of the next")]
impl List {
    fn pop(&mut self) -> *mut u8 {
        let block = self.first;
        if !block.is_null() {
            // SAFETY: a block on a list is free, large and holds the address that `push` wrote.
            self.first = unsafe { block.cast::<*mut u8>().read_unaligned() };
        }
        block
    }

    fn push(&mut self, block: *mut u8) {
        // SAFETY: the block is free and large enough for an address.
        unsafe { block.cast::<*mut u8>().write_unaligned(self.first) };
        self.first = block;
    }
}

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: every block comes from the system allocator with the rounded layout it is asked for with, and goes back with it; on
// the way it may lie on the shelf, where only requests of the same rounded layout find it.
unsafe impl GlobalAlloc for Recycler {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let layout = rounded(layout);
        let block = if is_kept(layout) { shelf().take(layout) } else { null_mut() };
        // SAFETY: the caller's promise about the layout is passed on: rounding makes it no smaller.
        if block.is_null() { unsafe { System.alloc(layout) } } else { block }
    }

    unsafe fn alloc_zeroed(&self, asked: Layout) -> *mut u8 {
        let layout = rounded(asked);
        let block = if is_kept(layout) { shelf().take(layout) } else { null_mut() };
        if block.is_null() {
            // SAFETY: as above.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the block has this size.
        unsafe { block.write_bytes(0, asked.size()) };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let layout = rounded(layout);
        if !is_kept(layout) || !shelf().lay(block, layout) {
            // SAFETY: the block came from the system with this layout.
            unsafe { System.dealloc(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(asked) = Layout::from_size_align(size, layout.align()) else { return null_mut() };
        let (old, new) = (rounded(layout), rounded(asked));
        if old == new {
            return block;
        }
        if !is_kept(old) && !is_kept(new) {
            // SAFETY: the block came from the system with the old layout; the caller's promises are passed on.
            return unsafe { System.realloc(block, old, new.size()) };
        }
        // SAFETY: `asked` is a valid layout; both blocks hold what is copied; the old one is free afterwards.
        unsafe {
            let moved = self.alloc(asked);
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_by_an_eighth_at_most() {
        let size = |size: usize| rounded(Layout::from_size_align(size, 8).unwrap()).size();
        assert_eq!([size(0), size(100), size(LARGE - 1)], [0, 100, LARGE - 1]);
        assert_eq!([size(LARGE), size(LARGE + 1), size(9 << 13)], [LARGE, 9 << 13, 9 << 13]);
        for asked in [LARGE + 7, 1_000_000, (1 << 25) - 1, (1 << 25) + 1] {
            assert!((asked..=asked + asked / 8).contains(&size(asked)), "{asked} becomes {}", size(asked));
        }
    }
}

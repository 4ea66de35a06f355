//! Sizes in a column: what all of them share is said once, and a row says what is its own. Must not know: tables.

use std::collections::BTreeSet;

/// What `shared` leaves of a size.
pub(super) fn own_words(size: &str, shared: &[&str]) -> String {
    size.split(' ').filter(|word| !shared.contains(word)).collect::<Vec<_>>().join(" ")
}

/// The words that all sizes share, in order.
pub(super) fn shared_words<'a>(sizes: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let mut sizes = sizes.iter();
    let mut shared: Vec<&str> = sizes.next().map_or_else(Vec::new, |first| first.split(' ').collect());
    for other in sizes {
        let words: BTreeSet<&str> = other.split(' ').collect();
        shared.retain(|word| words.contains(word));
    }
    shared
}

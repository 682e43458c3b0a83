//! Finds any of many traces in a text by looking at few of its bytes.
//!
//! Every trace has at least [`Traces::SHORTEST`] bytes. So wherever one of length `n` stands, it covers a place that is
//! a multiple of the stride `n - GRAM + 1`, together with the [`GRAM`] bytes from there on. Only these places are looked
//! at: a bit per gram says whether any trace has it near its beginning, and mostly none has. (The idea is Wu and
//! Manber's, "A fast algorithm for multi-pattern searching", 1994.) An automaton looks at every byte, and took longer
//! than everything else that is done for a golden image.

use std::collections::HashMap;

use super::set::{Trace, Traces};

/// Bytes that are looked at together.
const GRAM: usize = 8;

/// Bits of the filter for each gram in it: one place in so many is looked up in vain.
const SPARSENESS: usize = 64;

/// Traces, ready to be found.
pub(super) struct Grams<'n> {
    /// Distance of the places that are looked at.
    stride: usize,
    /// A power of two of bits; set where a gram of that hash is one of `near`.
    filter: Vec<u64>,
    /// By how much a hash is shifted to be a bit's number.
    shift: u32,
    /// Where in which lengths of traces a gram stands, sorted by gram: half a million traces have millions of grams, and a
    /// map with a set for each would take a GiB.
    near: Vec<Near>,
    /// By their bytes.
    whole: HashMap<&'n [u8], &'n Trace>,
}

/// A gram, where in a trace it stands, and how long that trace is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Near {
    gram: u64,
    offset: u32,
    length: u32,
}

fn gram_at(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// Fibonacci hashing: the upper bits of the product depend on all bits of the gram.
fn hash(gram: u64) -> u64 {
    gram.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl<'n> Grams<'n> {
    pub(super) fn of(traces: &'n Traces) -> Grams<'n> {
        let shortest = traces.iter().map(|trace| trace.bytes.len()).min().unwrap_or(Traces::SHORTEST);
        let stride = (shortest + 1).saturating_sub(GRAM).max(1);
        let mut near = Vec::with_capacity(traces.len().saturating_mul(stride));
        let mut whole = HashMap::with_capacity(traces.len());
        for trace in traces.iter() {
            let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
            near.extend((0..stride).filter_map(|offset| {
                let gram = gram_at(&trace.bytes, offset)?;
                Some(Near { gram, offset: short(offset), length: short(trace.bytes.len()) })
            }));
            whole.insert(trace.bytes.as_slice(), trace);
        }
        near.sort_unstable();
        near.dedup();
        // A power of two, so that a shift picks the bit; at least 512 bytes, which cost nothing.
        let bits = (near.len() * SPARSENESS).next_power_of_two().max(1 << 12);
        // The upper bits: a multiplication mixes those best.
        let shift = u64::BITS - bits.trailing_zeros();
        let mut filter = vec![0u64; bits / 64];
        for near in &near {
            let bit = hash(near.gram) >> shift;
            if let Some(word) = filter.get_mut((bit / 64) as usize) {
                *word |= 1 << (bit % 64);
            }
        }
        Grams { stride, filter, shift, near, whole }
    }

    fn may_hold(&self, gram: u64) -> bool {
        let bit = hash(gram) >> self.shift;
        self.filter.get((bit / 64) as usize).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Tells of every place in `text` where a trace stands, however they overlap: where it begins, and which it is.
    pub(super) fn find(&self, text: &[u8], mut tell: impl FnMut(usize, &'n Trace)) {
        for (n, window) in text.windows(GRAM).step_by(self.stride).enumerate() {
            let Some(gram) = gram_at(window, 0).filter(|&gram| self.may_hold(gram)) else { continue };
            // Of the places that are looked at, exactly one lies within a stride of a trace's beginning.
            let first = self.near.partition_point(|near| near.gram < gram);
            let same = self.near.get(first..).unwrap_or_default().iter().take_while(|near| near.gram == gram);
            for near in same {
                let Some(start) = (n * self.stride).checked_sub(near.offset as usize) else { continue };
                let there = text.get(start..).and_then(|rest| rest.get(..near.length as usize));
                if let Some(trace) = there.and_then(|there| self.whole.get(there)) {
                    tell(start, trace);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::set::Scope;
    use super::*;

    /// All places by looking at all places.
    fn plainly(traces: &Traces, text: &[u8]) -> Vec<(usize, Vec<u8>)> {
        let mut found = Vec::new();
        for trace in traces.iter() {
            let places = text.windows(trace.bytes.len()).enumerate().filter(|(_, there)| *there == *trace.bytes);
            found.extend(places.map(|(at, _)| (at, trace.bytes.to_vec())));
        }
        found.sort();
        found
    }

    #[test]
    fn what_stands_anywhere_is_found_once_whatever_else_there_is() {
        let mut seed = 0x2545_F491_4F6C_DD1Du64;
        let mut dice = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        for shortest in [10, 11, 16, 33] {
            // Few letters, so that traces share grams, overlap, and stand within each other.
            let mut text: Vec<u8> = (0..20_000).map(|_| b"abcdefg"[dice(7)]).collect();
            let mut traces = Traces::default();
            for _ in 0..200 {
                let (from, len) = (dice(text.len() - 80), shortest + dice(30));
                traces.add(&text[from..from + len], "piece", "/x", Scope::Anywhere);
                let again = dice(text.len() - 80);
                text.copy_within(from..from + len, again);
            }
            traces.add(&text[..shortest], "the beginning", "/x", Scope::Anywhere);
            traces.add(&text[text.len() - shortest..], "the end", "/x", Scope::Anywhere);
            let mut found = Vec::new();
            Grams::of(&traces).find(&text, |at, trace| found.push((at, trace.bytes.to_vec())));
            found.sort();
            assert!(found.len() > 200, "{} of {}", found.len(), traces.len());
            assert_eq!(found, plainly(&traces, &text), "shortest {shortest}");
        }
    }

    #[test]
    fn no_trace_is_found_in_less_than_a_trace() {
        let mut traces = Traces::default();
        Grams::of(&traces).find(b"anything", |_, _| panic!("there is no trace"));
        traces.add(b"0123456789abcdef", "id", "/x", Scope::Anywhere);
        for text in [&b""[..], b"0123", b"0123456789abcde"] {
            Grams::of(&traces).find(text, |_, _| panic!("{text:?}"));
        }
    }
}

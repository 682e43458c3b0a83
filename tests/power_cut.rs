//! The power may go at any moment, and a card may have brought to flash any part of what was not yet synced.
//!
//! A whole run is recorded, with its flushes. Then every prefix of it is replayed, and between two flushes random
//! choices of the writes, in random order and torn at sectors, onto a blank card and onto one that boots an older
//! system. Only what is complete boots, and before the wiping is flushed what was there.

use std::sync::atomic::AtomicBool;

use cardsmith::flash::{CardImage, Guard, UnusedSpace, WriteOptions, write_card};
use cardsmith::image::BlockMap;
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::ByteRange;

use crate::support::faulty_card::{Bytes, FaultyCard};

const MIB: usize = 1 << 20;
const CARD: usize = 24 * MIB;
/// Sectors at the beginning that a boot ROM looks at.
const HEAD: usize = 34 * 512;

/// What a Raspberry Pi's boot ROM does, and UEFI: it reads an MBR, or a GPT's header, and looks for a partition in it.
/// Nothing of cardsmith's is used.
fn would_boot(card: &[u8]) -> bool {
    let entry = |n: usize| &card[446 + 16 * n..462 + 16 * n];
    let used = |entry: &[u8]| entry[4] != 0 && entry[8..12] != [0; 4] && entry[12..16] != [0; 4];
    let mbr = card[510..512] == [0x55, 0xAA] && (0..4).any(|n| used(entry(n)));
    mbr || card[512..520] == *b"EFI PART"
}

fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// A system of this version: an MBR with one partition, a GPT header behind it, and contents that differ a little.
fn system(version: u8, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|n| (n / 11 % 239) as u8).collect();
    bytes[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x0C, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    bytes[512..520].copy_from_slice(b"EFI PART");
    bytes[5 * MIB..5 * MIB + 4096].fill(version);
    bytes
}

const USED: [(u64, u64); 4] = [(0, 8192), (1 << 19, 3 << 20), (4 << 20, 4 << 20), (9 << 20, 777 * 512)];

fn card_image() -> CardImage {
    let bytes = system(2, 10 * MIB);
    let used: Vec<ByteRange> = USED.iter().map(|&(start, len)| ByteRange::new(start, len)).collect();
    let map = BlockMap::digest(&Bytes(bytes.clone()), &used, &mut *Silent.task("", None)).unwrap();
    CardImage { map, image: std::sync::Arc::new(Bytes(bytes)) }
}

/// Puts what of a write lies in the head there, if `keeps` says so of its sector.
fn apply(head: &mut [u8], at: u64, data: &[u8], mut keeps: impl FnMut() -> bool) {
    for (n, sector) in data.chunks(512).enumerate() {
        let start = at as usize + n * 512;
        let kept = keeps();
        if let Some(place) = head.get_mut(start..start + sector.len())
            && kept
        {
            place.copy_from_slice(sector);
        }
    }
}

fn only_the_complete_card_boots(old: &[u8], options: WriteOptions) {
    let card = FaultyCard::holding(old.to_vec(), vec![]);
    let cancel = AtomicBool::new(false);
    let guard = Guard { cancel: &cancel, before_seal: &mut || Ok(()) };
    let image = card_image();
    write_card(&*card, &image, options, &mut *Silent.task("", None), guard).unwrap();
    let state = card.state.lock().unwrap();
    let (log, flushes) = (&state.log, &state.flushes);
    let complete = &state.bytes;
    assert!(would_boot(complete));
    for (start, len) in USED.map(|(start, len)| (start as usize, len as usize)) {
        assert!(complete[start..start + len] == system(2, 10 * MIB)[start..start + len], "at {start}");
    }
    assert_eq!(*flushes.last().unwrap(), log.len(), "the last write is flushed, too");

    let mut head = old[..HEAD].to_vec();
    let mut from = 0;
    let (mut seed, mut states) = (0x9E37_79B9_7F4A_7C15, 0);
    for &to in flushes.iter().filter(|&&to| to > 0) {
        let window = &log[from..to];
        let last = to == log.len() && from < to;
        for _ in 0..if last { 0 } else { 60 } {
            let mut order: Vec<usize> = (0..window.len()).collect();
            (1..order.len()).rev().for_each(|n| order.swap(n, random(&mut seed) as usize % (n + 1)));
            order.truncate(random(&mut seed) as usize % (window.len() + 1));
            let mut now = head.clone();
            for (at, data) in order.iter().map(|&n| &window[n]) {
                let torn = random(&mut seed).is_multiple_of(2);
                apply(&mut now, *at, data, || !torn || random(&mut seed).is_multiple_of(2));
            }
            // While the wiping itself is torn, the old system boots, of which nothing else was touched.
            assert!(!would_boot(&now) || from == 0, "some of the writes {from}..{to} of {}", log.len());
            states += 1;
        }
        for (n, (at, data)) in window.iter().enumerate() {
            apply(&mut head, *at, data, || true);
            assert_eq!(would_boot(&head), last && n + 1 == window.len(), "after {} of {}", from + n + 1, log.len());
            states += 1;
        }
        if last {
            // The smallest thing that flash writes: as near to all or nothing as a card comes.
            assert_eq!((window.len(), window[0].0, window[0].1.len()), (1, 0, 4096));
        }
        from = to;
    }
    assert!(states > 100, "only {states} states were looked at");
}

#[test]
fn after_a_power_cut_at_any_moment_a_blank_card_boots_only_when_it_is_complete() {
    for unused_space in [UnusedSpace::Keep, UnusedSpace::Zero] {
        only_the_complete_card_boots(&vec![0; CARD], WriteOptions { unused_space, ..WriteOptions::default() });
    }
}

#[test]
fn after_a_power_cut_at_any_moment_a_used_card_boots_its_old_system_untouched_or_the_complete_new_one() {
    let old = system(1, CARD);
    assert!(would_boot(&old));
    for (unused_space, probe) in [(UnusedSpace::Keep, true), (UnusedSpace::Zero, false), (UnusedSpace::Discard, true)] {
        only_the_complete_card_boots(&old, WriteOptions { unused_space, probe, ..WriteOptions::default() });
    }
}

#[test]
fn after_a_power_cut_a_card_on_which_only_changes_are_written_is_no_mix_of_two_systems() {
    for unused_space in [UnusedSpace::Keep, UnusedSpace::Discard] {
        let options = WriteOptions { unused_space, changed_only: true, ..WriteOptions::default() };
        only_the_complete_card_boots(&system(1, CARD), options);
    }
}

//! How much a device is asked to do at once, from what its driver says that it can.
//!
//! Attributes: kernel, `Documentation/ABI/stable/sysfs-block`, `queue/`.

use std::path::Path;

use super::devices::Device;
use crate::storage::{Host, attribute};

/// The largest request that is made. The kernel splits it into what the device takes, and has all parts under way at
/// once; more at a time makes nothing faster and only the wait longer when a person stops.
const LONGEST_REQUEST: u64 = 2 << 20;
/// The smallest, whatever a driver says.
const SHORTEST_REQUEST: u64 = 64 << 10;

/// How much a medium is asked to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of one read or write at most; a multiple of 4 KiB.
    pub request: u64,
    /// How many requests are under way at once, at least 1. Each of them holds a chunk of 4 MiB in memory at most.
    pub in_flight: usize,
}

impl Default for RequestLimits {
    fn default() -> RequestLimits {
        RequestLimits { request: super::chunks::CHUNK, in_flight: 2 }
    }
}

impl RequestLimits {
    /// What the driver of `device` says. USB readers often have two slots of 120 KiB; asked for more they fall out of
    /// step or stall (rpi-imager, issue 1592).
    pub(super) fn of(host: &Host, device: &Device) -> RequestLimits {
        let name = device.path.strip_prefix(&host.dev).unwrap_or(&device.path).to_string_lossy().replace('/', "!");
        RequestLimits::read(&host.sys.join("block").join(name).join("queue"))
    }

    fn read(queue: &Path) -> RequestLimits {
        let number = |file: &str| attribute(queue, file).and_then(|text| text.parse::<u64>().ok());
        let largest = number("max_sectors_kb").unwrap_or(120).saturating_mul(1 << 10);
        let room = largest.saturating_mul(number("nr_requests").unwrap_or(2));
        let whole = match number("optimal_io_size") {
            Some(best) if best.is_multiple_of(4096) && (1..=LONGEST_REQUEST).contains(&best) => best,
            _ => 4096,
        };
        let request = room.clamp(SHORTEST_REQUEST, LONGEST_REQUEST);
        let request = (request - request % whole).max(whole);
        // Two keep it busy: one under way and one waiting. A third one hides the time that a thread takes for its next.
        let in_flight = if room >= request.saturating_mul(3) { 3 } else { 2 };
        RequestLimits { request, in_flight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_with_two_slots_is_asked_for_little_and_a_good_one_for_much_more() {
        let with = |attributes: &[(&str, u64)]| {
            let dir = tempfile::tempdir().unwrap();
            for (name, value) in attributes {
                std::fs::write(dir.path().join(name), format!("{value}\n")).unwrap();
            }
            let limits = RequestLimits::read(dir.path());
            (limits.request, limits.in_flight)
        };
        assert_eq!(with(&[("max_sectors_kb", 120), ("nr_requests", 2), ("optimal_io_size", 0)]), (240 << 10, 2));
        assert_eq!(with(&[("max_sectors_kb", 512), ("nr_requests", 64)]), (2 << 20, 3));
        assert_eq!(
            with(&[("max_sectors_kb", 1280), ("nr_requests", 128), ("optimal_io_size", 393_216)]),
            (1_966_080, 3)
        );
        // What makes no sense is not believed.
        assert_eq!(with(&[("max_sectors_kb", 0), ("optimal_io_size", 33_553_920)]), (SHORTEST_REQUEST, 2));
        assert_eq!(with(&[]), (240 << 10, 2));
    }
}

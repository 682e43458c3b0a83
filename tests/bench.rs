//! The bench: named slots, cards that come and go, and which of them are written. Loop devices are the cards; a made-up
//! sysfs says that they are in card readers.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cardsmith::flash::bench::{self, AtStart, BenchView, SlotNews};
use cardsmith::flash::gate::GateOptions;
use cardsmith::flash::hotplug::Hotplug;
use cardsmith::flash::slots::{Slot, SlotPlace};
use cardsmith::flash::{BatchOutcome, Device, Host, Receipt, Verdict};
use cardsmith::progress::{Progress, Silent, Task};
use cardsmith::units::ByteSize;

use crate::flash::{Bench, NAME_AT, at};
use crate::support::faulty_card::boots;
use crate::support::loop_device::LoopDevice;

const SIZE: u64 = 16 << 20;

/// A person who sees what happens in the slots and does something about it.
struct Person<F> {
    acts: F,
    saw: Mutex<Vec<String>>,
}

impl<F: Fn(&str, &SlotNews<'_>) + Send + Sync> BenchView for Person<F> {
    fn news(&self, slot: &Slot, news: &SlotNews<'_>) {
        let what = match news {
            SlotNews::Inserted { .. } => "inserted".to_owned(),
            SlotNews::Held { why } => format!("held: {why}"),
            SlotNews::Started { card } => format!("started {}", card.name),
            SlotNews::Ended { receipt } => {
                format!("ended {}", if receipt.failure().is_none() { "well" } else { "badly" })
            }
            other => format!("{other:?}").to_lowercase(),
        };
        self.saw.lock().unwrap().push(format!("{}: {what}", slot.name));
        (self.acts)(&slot.name, news);
    }

    fn task(&self, _: &Slot, label: &str, total: Option<ByteSize>) -> Box<dyn Task> {
        Silent.task(label, total)
    }
}

fn person<F: Fn(&str, &SlotNews<'_>) + Send + Sync>(acts: F) -> Person<F> {
    Person { acts, saw: Mutex::default() }
}

impl<F> Person<F> {
    fn saw(&self, slot: &str) -> Vec<String> {
        let prefix = format!("{slot}: ");
        self.saw.lock().unwrap().iter().filter_map(|what| what.strip_prefix(&prefix)).map(str::to_owned).collect()
    }
}

struct Work<'a> {
    bench: &'a Bench,
    host: &'a Host,
    slots: &'a [Slot],
    options: GateOptions,
    at_start: AtStart,
    no_more: AtomicBool,
}

impl Work<'_> {
    fn run(&self, count: usize, view: &dyn BenchView) -> BatchOutcome {
        self.bench.run(1, |job| {
            let work = bench::Bench {
                job,
                host: self.host,
                slots: self.slots,
                at_start: &self.at_start,
                options: &self.options,
                needed: self.bench.golden.size(),
                count: Some(count),
                view,
                no_more: &self.no_more,
                hotplug: &Hotplug::new(),
            };
            work.run()
        })
    }
}

fn slot(name: &str, place: &str) -> Slot {
    Slot { name: name.to_owned(), place: SlotPlace::parse(place).unwrap() }
}

fn names(outcome: &BatchOutcome) -> Vec<String> {
    outcome.receipts.iter().map(|receipt: &Receipt| receipt.card.as_ref().unwrap().name.clone()).collect()
}

fn new_card() -> tempfile::NamedTempFile {
    let card = tempfile::NamedTempFile::new().unwrap();
    card.as_file().set_len(SIZE).unwrap();
    card
}

#[test]
fn a_finished_card_is_refused_in_every_slot_and_the_next_one_is_taken() {
    let (Some(left), Some(right)) = (LoopDevice::reader(SIZE), LoopDevice::reader(SIZE)) else { return };
    right.take_out();
    let bench = Bench::with(3);
    let (first, second) = (left.file.path().to_owned(), new_card());
    let slots = [slot("left", left.path.to_str().unwrap()), slot("right", right.path.to_str().unwrap())];
    let options = GateOptions { fixed_ok: vec![left.path.clone(), right.path.clone()], ..GateOptions::default() };
    let work = Work {
        bench: &bench,
        host: &Host::this(),
        slots: &slots,
        options,
        at_start: AtStart::default(),
        no_more: AtomicBool::new(false),
    };
    let next: &Path = second.path();
    let view = person(|name, news| match (name, news) {
        // The person mixes up the finished card and the next one.
        ("left", SlotNews::Exchange) => {
            left.take_out();
            right.put_in(&first);
        }
        ("right", SlotNews::Held { why }) => {
            assert!(why.contains("done already (kiosk-0001)"), "{why}");
            right.take_out();
            right.put_in(next);
        }
        _ => {}
    });
    let outcome = work.run(2, &view);
    assert_eq!(outcome.verdict(), Verdict::AllVerified, "{:?}", view.saw.lock().unwrap());
    assert_eq!(names(&outcome), ["kiosk-0001", "kiosk-0002"]);
    let cards = [std::fs::read(&first).unwrap(), std::fs::read(next).unwrap()];
    assert_eq!(cards.each_ref().map(|card| at(card, NAME_AT, 10)), ["kiosk-0001", "kiosk-0002"]);
    assert!(cards.iter().all(|card| boots(card)));
    let right = view.saw("right");
    assert_eq!(
        right[..3].iter().map(|what| what.split(':').next().unwrap()).collect::<Vec<_>>(),
        ["empty", "inserted", "held"]
    );
    assert!(
        right[3..].contains(&"removed".to_owned()) && right.contains(&"started kiosk-0002".to_owned()),
        "{right:?}"
    );
}

fn used_card() -> tempfile::NamedTempFile {
    let card = new_card();
    std::fs::write(card.path(), vec![0x5a; SIZE as usize]).unwrap();
    card
}

#[test]
fn a_card_that_is_exchanged_between_the_look_and_the_gate_is_told_of_before_it_is_erased() {
    let Some(reader) = LoopDevice::reader(SIZE) else { return };
    let bench = Bench::with(2);
    let other = used_card();
    let slots = [slot("left", reader.path.to_str().unwrap())];
    let options = GateOptions { fixed_ok: vec![reader.path.clone()], ..GateOptions::default() };
    let (host, at_start) = (Host::this(), AtStart::default());
    let work = Work { bench: &bench, host: &host, slots: &slots, options, at_start, no_more: AtomicBool::new(false) };
    let seen = Mutex::new(0);
    let view = person(|_, news| {
        if let SlotNews::Inserted { .. } = news {
            let mut seen = seen.lock().unwrap();
            *seen += 1;
            match *seen {
                1 => {
                    reader.take_out();
                    reader.put_in(other.path());
                }
                // Only now the other card is told of.
                _ => assert!(std::fs::read(other.path()).unwrap().iter().all(|byte| *byte == 0x5a)),
            }
        }
    });
    let outcome = work.run(1, &view);
    assert_eq!(outcome.verdict(), Verdict::AllVerified, "{:?}", view.saw.lock().unwrap());
    assert_eq!(*seen.lock().unwrap(), 2, "{:?}", view.saw("left"));
    assert!(boots(&std::fs::read(other.path()).unwrap()));
    assert!(reader.bytes().iter().all(|byte| *byte == 0), "the card that was taken out was not written to");
}

#[test]
fn a_card_that_was_exchanged_before_the_bench_began_waits_until_it_is_put_in_again() {
    let Some(reader) = LoopDevice::reader(SIZE) else { return };
    reader.file.as_file().set_len(0).unwrap();
    std::fs::write(reader.file.path(), vec![0x33; SIZE as usize]).unwrap();
    let bench = Bench::with(2);
    let other = used_card();
    let slots = [slot("left", reader.path.to_str().unwrap())];
    let options = GateOptions { fixed_ok: vec![reader.path.clone()], ..GateOptions::default() };
    let host = Host::this();
    let (at_start, asked) = AtStart::look(&host, &slots, &options, ByteSize(0)).unwrap();
    assert_eq!(asked.iter().map(|device| &device.path).collect::<Vec<_>>(), [&reader.path]);
    reader.take_out();
    reader.put_in(other.path());
    let work = Work { bench: &bench, host: &host, slots: &slots, options, at_start, no_more: AtomicBool::new(false) };
    let view = person(|_, news| match news {
        SlotNews::Held { why } => {
            assert!(why.contains("not the card that was shown") && why.contains("nothing was written"), "{why}");
            assert!(std::fs::read(other.path()).unwrap().iter().all(|byte| *byte == 0x5a));
            reader.take_out();
        }
        SlotNews::Removed => reader.put_in(other.path()),
        _ => {}
    });
    let outcome = work.run(1, &view);
    assert_eq!(outcome.verdict(), Verdict::AllVerified, "{:?}", view.saw.lock().unwrap());
    assert!(view.saw("left").iter().any(|what| what.starts_with("held")), "{:?}", view.saw("left"));
    assert!(boots(&std::fs::read(other.path()).unwrap()));
    assert!(reader.bytes().iter().all(|byte| *byte == 0x33));
}

/// A machine with card readers: their cards are loop devices, their ports are made up.
struct Readers(tempfile::TempDir);

impl Readers {
    fn new() -> Readers {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("sys/block")).unwrap();
        std::fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        symlink("/dev", dir.path().join("dev")).unwrap();
        let readers = Readers(dir);
        readers.mounted("");
        readers
    }

    fn host(&self) -> Host {
        Host::under(self.0.path())
    }

    fn mounted(&self, more: &str) {
        let text = format!("22 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n{more}");
        let path = self.0.path().join("proc/self/mountinfo");
        std::fs::write(path.with_extension("new"), text).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    }

    fn attribute(&self, card: &LoopDevice, file: &str, value: &str) {
        let name = card.path.file_name().unwrap();
        std::fs::write(self.0.path().join("sys/block").join(name).join(file), format!("{value}\n")).unwrap();
    }

    /// A reader at this port. There is no card in it.
    fn reader(&self, port: &str, card: &LoopDevice) {
        let name = card.path.file_name().unwrap();
        let number = std::fs::read_to_string(Path::new("/sys/block").join(name).join("dev")).unwrap();
        let place = format!("sys/devices/pci0/usb1/{port}/{port}:1.0/host0/target0:0:0/0:0:0:0/block");
        let real = self.0.path().join(place).join(name);
        std::fs::create_dir_all(real.join("device")).unwrap();
        symlink(&real, self.0.path().join("sys/block").join(name)).unwrap();
        for (file, value) in [("dev", number.trim()), ("size", "0"), ("ro", "0"), ("removable", "1")] {
            self.attribute(card, file, value);
        }
    }

    fn insert(&self, card: &LoopDevice) {
        self.attribute(card, "size", &(SIZE / 512).to_string());
    }

    fn remove(&self, card: &LoopDevice) {
        self.attribute(card, "size", "0");
    }

    fn device(&self, place: &str) -> Option<Device> {
        let devices = cardsmith::flash::devices::list(&self.host()).unwrap();
        SlotPlace::parse(place).unwrap().device(&devices).cloned()
    }
}

#[test]
fn only_cards_in_named_ports_are_written_and_a_mounted_one_is_waited_for() {
    let (Some(named), Some(other)) = (LoopDevice::new(SIZE), LoopDevice::new(SIZE)) else { return };
    let readers = Readers::new();
    readers.reader("1-4.2", &named);
    readers.reader("1-4.1", &other);
    readers.insert(&other);
    let bench = Bench::with(2);
    let host = readers.host();
    let slots = [slot("left-2", "usb-1-4.2"), slot("not there", "usb-7-7")];
    let work = Work {
        bench: &bench,
        host: &host,
        slots: &slots,
        options: GateOptions::default(),
        at_start: AtStart::default(),
        no_more: false.into(),
    };
    let number = std::fs::read_to_string(Path::new("/sys/block").join(named.path.file_name().unwrap()).join("dev"));
    let line = format!("30 22 {} / /media/card rw - vfat {} rw\n", number.unwrap().trim(), named.path.display());
    let view = person(|name, news| match (name, news) {
        ("left-2", SlotNews::Empty) => {
            // A desktop mounts what is put in.
            readers.mounted(&line);
            readers.insert(&named);
        }
        ("left-2", SlotNews::Held { why }) => {
            assert!(why.contains("mounted at /media/card") && why.contains("umount"), "{why}");
            readers.mounted("");
        }
        // The same card once more: it was out, so it may be another one, and is one by now.
        ("left-2", SlotNews::Exchange) => {
            readers.remove(&named);
        }
        ("left-2", SlotNews::Removed) => {
            named.file.as_file().set_len(0).unwrap();
            named.file.as_file().set_len(SIZE).unwrap();
            readers.insert(&named);
        }
        _ => {}
    });
    let outcome = work.run(2, &view);
    assert_eq!(outcome.verdict(), Verdict::AllVerified, "{:?}", view.saw.lock().unwrap());
    assert_eq!(names(&outcome), ["kiosk-0001", "kiosk-0002"]);
    assert!(outcome.receipts.iter().all(|receipt| receipt.medium.slot.as_deref() == Some("left-2")));
    assert!(outcome.receipts[0].medium.name().contains("card in slot \"left-2\""));
    assert!(boots(&named.bytes()));
    assert!(other.bytes().iter().all(|byte| *byte == 0), "a card in a slot without a name is not touched");
    assert_eq!(view.saw("not there"), ["empty", "closed"]);
}

#[test]
fn a_slot_is_its_port_whatever_the_kernel_calls_the_disk_and_two_disks_at_one_port_are_none() {
    let (Some(one), Some(two)) = (LoopDevice::new(SIZE), LoopDevice::new(SIZE)) else { return };
    let readers = Readers::new();
    readers.reader("1-4.2", &one);
    assert_eq!(
        readers.device("usb-1-4.2").unwrap().path,
        readers.0.path().join("dev").join(one.path.file_name().unwrap())
    );
    assert_eq!(readers.device("1-4.2").map(|device| device.number), readers.device("usb-1-4.2").map(|it| it.number));
    assert_eq!(readers.device("usb-1-4.2.lun1"), None);
    assert_eq!(readers.device("usb-1-4"), None);
    readers.reader("1-4.2", &two);
    assert_eq!(readers.device("usb-1-4.2"), None, "nothing is written on a guess");
}

#[test]
fn no_more_cards_means_that_those_under_way_are_finished_and_the_others_not_begun() {
    let (Some(one), Some(two)) = (LoopDevice::new(SIZE), LoopDevice::new(SIZE)) else { return };
    let readers = Readers::new();
    readers.reader("1-1", &one);
    readers.reader("1-2", &two);
    readers.insert(&one);
    let bench = Bench::with(5);
    let host = readers.host();
    let slots = [slot("a", "1-1"), slot("b", "1-2")];
    let work = Work {
        bench: &bench,
        host: &host,
        slots: &slots,
        options: GateOptions::default(),
        at_start: AtStart::default(),
        no_more: false.into(),
    };
    let view = person(|_, news| {
        if matches!(news, SlotNews::Started { .. }) {
            work.no_more.store(true, Ordering::Relaxed);
            readers.insert(&two);
        }
    });
    let outcome = work.run(5, &view);
    assert_eq!((outcome.verdict(), outcome.receipts.len()), (Verdict::AllVerified, 1));
    assert!(boots(&one.bytes()) && !boots(&two.bytes()));
    assert_eq!(view.saw("a").last().unwrap(), "closed");
}

#[test]
fn a_card_that_is_not_needed_waits_in_case_that_another_one_fails() {
    let (Some(one), Some(two)) = (LoopDevice::new(SIZE), LoopDevice::new(SIZE)) else { return };
    let readers = Readers::new();
    readers.reader("1-1", &one);
    readers.reader("1-2", &two);
    readers.insert(&one);
    let bench = Bench::with(2);
    let host = readers.host();
    let slots = [slot("a", "1-1"), slot("b", "1-2")];
    let work = Work {
        bench: &bench,
        host: &host,
        slots: &slots,
        options: GateOptions::default(),
        at_start: AtStart::default(),
        no_more: false.into(),
    };
    let (spare, waited) = (AtomicBool::new(false), Mutex::new(false));
    let view = person(|name, news| match (name, news) {
        ("a", SlotNews::Started { .. }) => {
            readers.insert(&two);
            // The card is pulled out, and not before the other one was seen and not taken.
            let since = std::time::Instant::now();
            while !spare.load(Ordering::SeqCst) && since.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(10));
            }
            *waited.lock().unwrap() = spare.load(Ordering::SeqCst);
            readers.remove(&one);
        }
        ("b", SlotNews::Spare) => spare.store(true, Ordering::SeqCst),
        _ => {}
    });
    let outcome = work.run(1, &view);
    assert!(*waited.lock().unwrap());
    assert_eq!(outcome.verdict(), Verdict::SomeFailed, "{:?}", view.saw.lock().unwrap());
    assert_eq!(names(&outcome), ["kiosk-0001", "kiosk-0001"], "the number of the card that failed is free again");
    assert!(!boots(&one.bytes()) && boots(&two.bytes()));
    assert!(view.saw("a").contains(&"exchange".to_owned()), "another card could have been put in there");
    assert!(!view.saw("b").contains(&"exchange".to_owned()), "no further card is wanted");
}

#[test]
fn the_kernel_says_when_a_card_is_put_in() {
    let Some(card) = LoopDevice::reader(SIZE) else { return };
    let hotplug = Hotplug::new();
    if !hotplug.is_told() {
        eprintln!("SKIPPED, NOT TESTED: the kernel tells nothing of devices here; they are polled");
        return;
    }
    let over = AtomicBool::new(false);
    let mut rung = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| hotplug.listen(&over));
        for _ in 0..30 {
            card.take_out();
            card.put_in(card.file.path());
            hotplug.wait(&mut rung);
            if rung > 0 {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(rung > 0, "nothing was heard of thirty cards");
}

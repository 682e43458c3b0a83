//! `cardsmith devices --learn`: a person puts a card into one slot after the other and says what each is called.
//!
//! The bench file is written once, at the end. Whoever stops before keeps the old one as it was.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use rustix::fs::OFlags;
use serde_json::json;

use crate::cli::table::Table;
use crate::cli::{Error, Exit, Ui};
use crate::flash::bench_file::BenchFile;
use crate::flash::devices::{self, Device, Transport};
use crate::flash::hotplug::Hotplug;
use crate::flash::identity::Identity;
use crate::flash::refusal::Refusal;
use crate::flash::slots::{SlotPlace, bad_name};
use crate::printable::Printable;
use crate::storage::Host;

/// What is typed to leave a slot out.
const SKIP: &str = "-";

pub(super) fn learn(path: &Path, all: bool, ui: &Ui) -> Result<Exit, Error> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Error::usage("`--learn` asks a person for cards and names, and there is no terminal")
            .state("nothing was written")
            .help(
                "run it at a terminal, or write the file by hand: `left-1 = \"usb-1-4.1\"` below `[bench.slots]`; \
                 `cardsmith devices` shows the places",
            ));
    }
    let mut bench = if path.exists() { BenchFile::read(path)? } else { BenchFile::default() };
    let mut lesson =
        Lesson { host: Host::this(), all, seen: HashMap::new(), typed: typed(), hotplug: Hotplug::polling() };
    let named = lesson.run(&mut bench)?;
    if named == 0 {
        say("No slot was named, so nothing was written.\n")?;
        return Ok(Exit::Done);
    }
    bench.write(path)?;
    let mut table = Table::new(["slot", "place"]);
    for slot in &bench.slots {
        table.row([slot.name.clone(), slot.place.to_string()]);
    }
    ui.answer(&format!("{}\n\n{table}", Printable::path(path)));
    let slots: Vec<_> =
        bench.slots.iter().map(|slot| json!({ "slot": slot.name, "place": slot.place.to_string() })).collect();
    ui.event("bench", &json!({ "path": Printable::path(path).to_string(), "slots": slots }));
    ui.say("now: cardsmith flash RECIPE --bench");
    Ok(Exit::Done)
}

struct Lesson {
    host: Host,
    all: bool,
    /// The card in each place, as it was looked at last.
    seen: HashMap<String, Identity>,
    typed: Receiver<String>,
    hotplug: Hotplug,
}

impl Lesson {
    /// Asks until an empty line ends it, and answers how many slots were named.
    fn run(&mut self, bench: &mut BenchFile) -> Result<usize, Error> {
        // Only a card that is put in tells which slot a person means; these do not.
        let inside: Vec<String> = self.new_cards()?.iter().map(|device| SlotPlace::of(device).to_string()).collect();
        if !inside.is_empty() {
            let inside = inside.join(", ");
            say(&format!(
                "There are cards in {inside} already: to name such a slot, take its card out and put it in again.\n"
            ))?;
        }
        say("Put a card into a slot. When every slot has its name, press Enter.\n")?;
        let (mut rung, mut named) = (0, 0);
        loop {
            match self.typed.try_recv() {
                Ok(line) if line.trim().is_empty() => return Ok(named),
                Ok(_) => say("There is no new card. Put one into a slot, or press Enter to end.\n")?,
                Err(TryRecvError::Disconnected) => return Err(ended()),
                Err(TryRecvError::Empty) => {}
            }
            for device in self.new_cards()? {
                named += usize::from(self.ask(&device, bench)?);
            }
            self.hotplug.wait(&mut rung);
        }
    }

    /// Asks what the slot is called that `device` is in.
    fn ask(&self, device: &Device, bench: &mut BenchFile) -> Result<bool, Error> {
        let place = SlotPlace::of(device);
        let path = device.path.display();
        say(&format!("\nA card is in {place} ({path}, {}, {}).\n", device.description(), device.size))?;
        // Said and not refused: built-in readers often count as fixed.
        if device.refusal(false, None) == Some(Refusal::Fixed) {
            say(&format!("It counts as a fixed disk: `flash` will want `--fixed-ok {path}` for it.\n"))?;
        }
        let free = (1..).map(|number| format!("slot-{number}"));
        let mut free = free.filter(|name| !bench.slots.iter().any(|slot| slot.name == *name));
        // A slot that has a name keeps it by Enter alone.
        let usual = bench.name_of(device).map(str::to_owned).or_else(|| free.next()).unwrap_or_default();
        loop {
            say(&format!("What is this slot called? [{usual}] ({SKIP} leaves it out) "))?;
            let line = self.typed.recv().map_err(|_| ended())?;
            let name = match line.trim() {
                SKIP => return Ok(false),
                "" => usual.as_str(),
                name => name,
            };
            if let Some(why) = bad_name(name) {
                say(&format!("That is no name for a slot: {why}.\n"))?;
                continue;
            }
            if let Some(other) = bench.slots.iter().find(|slot| slot.name == name && slot.place != place) {
                say(&format!("{} was called {name} until now.\n", other.place))?;
            }
            bench.name(name, place.clone());
            say(&format!("{place} is {name}. Take the card out and put it into the next slot; Enter ends.\n"))?;
            return Ok(true);
        }
    }

    /// The cards that were put in since this was asked last.
    fn new_cards(&mut self) -> Result<Vec<Device>, Error> {
        let list = || devices::list(&self.host).map_err(|error| Error::failed("cannot list devices").because(&error));
        for device in list()?.iter().filter(|device| device.removable && !device.optical) {
            // Opening it makes the kernel ask the reader whether there is another card. Nothing is read.
            let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
            let _ = OpenOptions::new().read(true).custom_flags(flags).open(&device.path);
        }
        let card = |device: &Device| {
            device.size.0 > 0
                && !device.optical
                // Loop devices are no slots of a bench; `--all` is for trying things out.
                && (self.all || device.transport != Transport::Loop)
                && !matches!(device.refusal(true, None), Some(Refusal::System { .. } | Refusal::Held { .. }))
        };
        let now: Vec<Device> = list()?.into_iter().filter(card).collect();
        let place = |device: &Device| SlotPlace::of(device).to_string();
        let is_new = |device: &&Device| self.seen.get(&place(device)) != Some(&device.identity());
        let new = now.iter().filter(is_new).cloned().collect();
        // Replaced as a whole: a card that was taken out is new when it comes back.
        self.seen = now.iter().map(|device| (place(device), device.identity())).collect();
        Ok(new)
    }
}

/// The lines that a person types, so that cards can be waited for at the same time.
fn typed() -> Receiver<String> {
    let (send, typed) = channel();
    // It ends with the program, or when the terminal does.
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    typed
}

fn say(text: &str) -> Result<(), Error> {
    let mut stderr = anstream::stderr();
    // Descriptions come from devices; the line breaks are ours.
    let lines: Vec<String> = text.split('\n').map(|line| Printable::of(line).to_string()).collect();
    let text = lines.join("\n");
    stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush())
        .map_err(|error| Error::failed("cannot ask").because(&error))
}

fn ended() -> Error {
    Error::failed("the terminal was closed").state("nothing was written; the bench file is as it was")
}

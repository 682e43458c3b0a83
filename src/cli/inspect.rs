//! `cardsmith inspect`: what is this image.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::reads::check_file;
use super::table::Table;
use super::{Error, Exit, Ui};
use crate::fs::blockmap::used_ranges;
use crate::golden::manifest::Manifest;
use crate::golden::{Outputs, editable};
use crate::image::partition_table::{Partition, PartitionTable};
use crate::image::picture::{Ink, PartitionBar, Picture};
use crate::image::volume::VolumeKind;
use crate::image::{ReadAt, Window};
use crate::inspect::{self, Facts};
use crate::printable::Printable;
use crate::source;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// Show what an image or a card is: partitions, system, agent, registration, sudo rules, space
///
/// Nothing is written. `cardsmith audit` judges what this shows.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cardsmith inspect 2025-11-24-raspios-trixie-arm64-lite.img.xz\n  cardsmith inspect kiosk.img --svg kiosk.svg"
)]
pub(super) struct Args {
    /// An image (.img, .xz, .gz, .zst, .zip) or a card (/dev/sdX)
    image: PathBuf,
    /// Draw a map of the image: used, free, edited and wiped ranges
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A partition and what it holds.
struct Held {
    partition: Partition,
    kind: VolumeKind,
    used: Vec<ByteRange>,
}

impl Held {
    fn used_size(&self) -> ByteSize {
        ByteSize(self.used.iter().map(|run| run.len.0).sum())
    }
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    let name = args.image.display().to_string();
    let mut inputs = ui.reads();
    inputs.add(&args.image, "the image");
    if let Some(path) = &args.svg {
        check_file(path, "--svg", &inputs)?;
    }
    let (image, format) = open(&args.image, ui)?;
    let table = PartitionTable::read(&*image).map_err(|error| {
        Error::failed(format!("{name} cannot be understood"))
            .because(&error)
            .help("cardsmith reads images of whole cards: a partition table with a FAT boot and an ext4 root partition")
    })?;
    let failed = |error: &dyn std::error::Error| Error::failed(format!("cannot read {name}")).because(error);
    let held = table.partitions.iter().map(|partition| hold(&image, partition)).collect::<Result<Vec<_>, _>>();
    let held = held.map_err(|error| failed(&error))?;
    // Before the file systems are opened: if that fails, the table is what explains it.
    show_table(ui, &name, &format, image.size(), &table, &held);
    // The picture needs the table alone, so it is there for damaged file systems, too.
    if let Some(path) = &args.svg {
        let picture = picture(&args.image, image.size(), &held);
        ui.write_file(path, "--svg", picture.to_svg().as_bytes(), &inputs)?;
        ui.say(&format!("the map is in {}", path.display()));
    }
    // As for editing: this replays journals in memory, so that the files are those that the Pi would see.
    let opened = editable::open(image, &name, None)?;
    let facts = inspect::facts(&opened.root, &opened.boot).map_err(|error| failed(&error))?;
    show_facts(ui, &facts, opened.repaired.as_deref());
    Ok(Exit::Done)
}

/// A card is read as it is; a file is recognised by its content and decoded into the cache where that is needed.
fn open(path: &Path, ui: &Ui) -> Result<(Arc<dyn ReadAt>, String), Error> {
    let (image, format) = source::open_to_inspect(path, &ui.cache_dir()?, ui.progress())
        .map_err(|error| Error::failed(format!("cannot open {}", path.display())).because(&error))?;
    Ok((image, format.to_string()))
}

fn hold(image: &Arc<dyn ReadAt>, partition: &Partition) -> std::io::Result<Held> {
    let window = Window::new(image.clone(), partition.range)?;
    let kind = VolumeKind::probe(&window)?;
    // A damaged file system is shown as wholly used; what is wrong with it comes when it is opened.
    let used = if kind == VolumeKind::Empty { Some(Vec::new()) } else { used_ranges(&window).ok() };
    let used = used.unwrap_or_else(|| vec![ByteRange { start: ByteOffset(0), len: partition.range.len }]);
    Ok(Held { partition: partition.clone(), kind, used })
}

fn show_table(ui: &Ui, name: &str, format: &str, size: ByteSize, table: &PartitionTable, held: &[Held]) {
    let partitions = held.iter().map(|held| {
        json!({
            "number": held.partition.number,
            "start": held.partition.range.start,
            "size": held.partition.range.len,
            "type": held.partition.type_text,
            "part_uuid": held.partition.part_uuid,
            "holds": held.kind,
            "used": held.used_size(),
        })
    });
    let partitions: Vec<_> = partitions.collect();
    ui.event(
        "image",
        &json!({ "name": name, "format": format, "size": size, "table": table.kind, "disk_id": table.disk_id,
                 "partitions": partitions }),
    );
    ui.answer(&format!(
        "{}: {format}, {size}, {} partition table, disk id {}\n",
        Printable::of(name),
        table.kind,
        table.disk_id
    ));
    let mut rows = Table::new(["partition", "start", "size", "used", "holds", "type", "PARTUUID"]);
    for held in held {
        rows.row([
            held.partition.number.to_string(),
            ByteSize(held.partition.range.start.0).to_string(),
            held.partition.range.len.to_string(),
            held.used_size().to_string(),
            held.kind.to_string(),
            held.partition.type_text.clone(),
            held.partition.part_uuid.clone(),
        ]);
    }
    ui.answer(&rows.to_string());
}

fn show_facts(ui: &Ui, facts: &Facts, repaired: Option<&str>) {
    ui.event("facts", &json!({ "repaired": repaired, "facts": facts }));
    let (system, agent) = (&facts.system, &facts.agent);
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let line = |what: &str, text: &str| ui.answer(&format!("{what:<14}{}", Printable::of(text)));
    ui.answer("");
    line("system", &format!("{}, {}", or_unknown(&system.name), system.architecture.unwrap_or("unknown architecture")));
    if let Some(issue) = &system.issue {
        line("", issue);
    }
    if let Some(repaired) = repaired {
        line("root", &format!("was not unmounted cleanly; a copy in memory was repaired: {repaired}"));
    }
    line("host name", &or_unknown(&system.hostname));
    line("machine-id", system.machine_id);
    line("SSH host keys", &system.host_keys.to_string());
    line("saved Wi-Fi", &system.wifi.to_string());
    let installed = match (agent.installed, agent.package) {
        (true, Some(package)) => {
            let version = agent.version.as_deref().unwrap_or("of unknown version");
            let started = if agent.enabled { "starts at boot" } else { "does not start at boot" };
            format!("{package} {version} {}, {started}", agent.architecture.as_deref().unwrap_or(""))
        }
        _ => "not installed: the recipe needs [agent]".to_owned(),
    };
    line("SSM agent", &installed);
    match &facts.registration.instance_id {
        Some(id) => {
            let region = facts.registration.region.as_deref().unwrap_or("an unknown region");
            line("registered", &format!("as {id} in {region}: every copy would claim to be this node"));
        }
        None => line("registered", "no"),
    }
    for (number, rule) in facts.nopasswd.iter().enumerate() {
        line(if number == 0 { "no password" } else { "" }, rule);
    }
    for problem in &facts.sudo_problems {
        line("sudo", problem);
    }
    for path in &facts.unread {
        line("not read", &format!("{path} is larger than such a file should be"));
    }
    if !facts.ties.is_empty() {
        ui.answer("\nwhat ties it to one machine or person:");
        let mut ties = facts.ties.iter().peekable();
        while let Some(tie) = ties.next() {
            let volume = if tie.volume == crate::prepare::Volume::Boot { "boot:" } else { "" };
            ui.answer(&format!("  {volume}{}", Printable::of(&tie.path)));
            // Said once, below the last of its paths.
            if ties.peek().is_none_or(|next| next.what != tie.what) {
                ui.answer(&format!("      {}", tie.what));
            }
        }
    }
}

fn picture(path: &Path, size: ByteSize, held: &[Held]) -> Picture {
    let mut inked = Vec::new();
    for held in held {
        let start = held.partition.range.start.0;
        let places = held.used.iter().map(|used| ByteRange::new(start.saturating_add(used.start.0), used.len.0));
        inked.extend(places.map(|range| (range, Ink::Used)));
    }
    // A golden image has its manifest beside it, which knows what was changed.
    if let Ok(manifest) = Manifest::read(&Outputs::beside(path).manifest) {
        for change in &manifest.changed {
            inked.push((*change, Ink::Wiped));
            let mapped = manifest.map.ranges().iter().filter_map(|mapped| mapped.range.intersect(change));
            // Where both fall into one column of the picture, the edit is what is shown.
            inked.extend(mapped.map(|range| (range, Ink::Edited)));
        }
    }
    let label = |held: &Held| format!("{} {}", held.partition.number, held.kind);
    let partitions = held.iter().map(|held| PartitionBar { label: label(held), range: held.partition.range }).collect();
    let title = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Picture { title, size, partitions, inked }
}

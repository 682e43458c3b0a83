//! Block devices as a person at a bench sees them, read from sysfs and procfs. Linux only; elsewhere a clear refusal.
//!
//! Attributes: kernel, `Documentation/ABI/stable/sysfs-block` and `Documentation/ABI/testing/sysfs-block`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::identity::Identity;
use super::in_use::{Use, Uses};
use crate::storage::{DeviceNumber, Host, attribute};
use crate::units::SECTOR_BYTES;
use crate::units::{ByteOffset, ByteSize, Sector};

/// How a device is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// USB, which is what most card readers are.
    Usb,
    /// An SD card in a reader that speaks SD itself (laptops, a Raspberry Pi's own slot).
    Sd,
    /// Memory soldered to the board.
    Emmc,
    /// NVMe.
    Nvme,
    /// SATA or IDE.
    Ata,
    /// A disk of a virtual machine.
    Virtio,
    /// A file that the kernel shows as a device.
    Loop,
    /// Anything else.
    Other,
}

/// One whole disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its node, `/dev/sdb`.
    #[serde(serialize_with = "crate::printable::path_in_json")]
    pub path: PathBuf,
    /// Its number.
    pub number: DeviceNumber,
    /// How large it says it is; 0 where a reader holds no card.
    pub size: ByteSize,
    /// Bytes of the smallest write that it takes.
    pub logical_block: ByteSize,
    /// Who made it, where it says so.
    pub vendor: Option<String>,
    /// What it calls itself.
    pub model: Option<String>,
    /// The card's CID for SD, the reader's serial for USB.
    pub serial: Option<String>,
    /// How it is attached.
    pub transport: Transport,
    /// The reader's place as a person sees it: the USB port path (`usb-1-4.2`) or the SD host (`mmc0`).
    pub slot: Option<String>,
    /// Whether the medium is made to be taken out.
    pub removable: bool,
    /// Whether writing is switched off (the lock on an SD adapter).
    pub read_only: bool,
    /// Whether it is a CD or DVD drive.
    pub optical: bool,
    /// The largest discard that the driver passes on; 0 where it passes none.
    pub discard_max: ByteSize,
    /// The kernel's running number of this medium: another card in the same reader has another one.
    pub diskseq: Option<u64>,
    /// The inode of its node, on kernels that do not number media: a device that was pulled and came back has another one.
    #[serde(skip)]
    pub node_inode: Option<u64>,
    /// What it is used for right now.
    pub uses: Vec<Use>,
}

impl Device {
    /// What tells this medium from another one.
    pub fn identity(&self) -> Identity {
        Identity {
            number: self.number,
            size: self.size,
            serial: self.serial.clone(),
            diskseq: self.diskseq,
            node_inode: self.node_inode,
        }
    }

    /// The slot's name, or the device's path where it has none.
    pub fn place(&self) -> String {
        self.slot.clone().unwrap_or_else(|| self.path.display().to_string())
    }

    /// Vendor and model in one text, for people.
    pub fn description(&self) -> String {
        let words: Vec<&str> = [&self.vendor, &self.model].into_iter().flatten().map(String::as_str).collect();
        if words.is_empty() { "no name".to_owned() } else { words.join(" ") }
    }
}

/// Every whole disk of this machine, by path.
///
/// # Errors
/// `Unsupported` where there is no sysfs; otherwise what reading it reports.
pub fn list(host: &Host) -> io::Result<Vec<Device>> {
    let block = host.sys.join("block");
    if !block.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "listing devices needs Linux (there is no /sys/block here); writing card images to files works everywhere",
        ));
    }
    let uses = Uses::read(host)?;
    let mut devices = Vec::new();
    for entry in std::fs::read_dir(&block)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // A disk can be pulled while the list is made: then it is simply not in the list.
        devices.extend(read(host, &uses, &name));
    }
    devices.sort_by_key(|device| natural(&device.path));
    Ok(devices)
}

/// The disk of this number as it is now, or `None` where no whole disk has it (any more).
///
/// # Errors
/// As [`list`].
pub fn find(host: &Host, number: DeviceNumber) -> io::Result<Option<Device>> {
    Ok(list(host)?.into_iter().find(|device| device.number == number))
}

/// What tells the medium that is in the disk of this number now from another one; `None` where there is no such disk. Asks
/// nothing about other disks, because it is asked often.
///
/// # Errors
/// What reading sysfs reports.
pub(super) fn identity(host: &Host, number: DeviceNumber) -> io::Result<Option<Identity>> {
    let block = host.sys.join("block");
    for entry in std::fs::read_dir(&block)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let its = attribute(&block.join(&name), "dev").and_then(|text| DeviceNumber::parse(&text));
        if its == Some(number) {
            return Ok(read(host, &Uses::none(), &name).map(|device| device.identity()));
        }
    }
    Ok(None)
}

/// `sdb` before `sdaa`, `loop9` before `loop10`.
fn natural(path: &Path) -> (usize, String) {
    let text = path.display().to_string();
    (text.len(), text)
}

fn read(host: &Host, uses: &Uses, name: &str) -> Option<Device> {
    let link = host.sys.join("block").join(name);
    // The real path names every bus and port on the way to the disk.
    let dir = std::fs::canonicalize(&link).unwrap_or(link);
    let number = DeviceNumber::parse(&attribute(&dir, "dev")?)?;
    let sectors: u64 = attribute(&dir, "size")?.parse().ok()?;
    let transport = transport(&dir, name);
    let flag = |file: &str| attribute(&dir, file).is_some_and(|value| value == "1");
    let usb = usb_port(&dir);
    // sysfs writes `/` in a device's name as `!`.
    let path = host.dev.join(name.replace('!', "/"));
    let diskseq = number_in(&dir, "diskseq");
    Some(Device {
        node_inode: std::fs::metadata(&path).ok().filter(|_| diskseq.is_none()).map(|about| about.ino()),
        path,
        number,
        size: Sector(sectors).to_offset().map(|ByteOffset(bytes)| ByteSize(bytes))?,
        logical_block: ByteSize(number_in(&dir, "queue/logical_block_size").unwrap_or(SECTOR_BYTES)),
        vendor: attribute(&dir, "device/vendor").filter(|vendor| !vendor.starts_with("0x")),
        model: attribute(&dir, "device/model").or_else(|| attribute(&dir, "device/name")),
        serial: attribute(&dir, "device/cid")
            .or_else(|| attribute(&dir, "device/serial"))
            .or_else(|| attribute(&dir, "serial"))
            .or_else(|| attribute(&usb.as_ref()?.0, "serial")),
        transport,
        slot: slot(&dir, usb.as_ref().map(|(_, port)| port.as_str())),
        // The kernel says 0 for SD cards, because to it the host controller is what stays.
        removable: flag("removable") || transport == Transport::Sd,
        read_only: flag("ro"),
        optical: name.starts_with("sr") || name.starts_with("fd"),
        discard_max: ByteSize(number_in(&dir, "queue/discard_max_bytes").unwrap_or(0)),
        diskseq,
        uses: uses.of(name),
    })
}

fn transport(dir: &Path, name: &str) -> Transport {
    let on_bus = |bus: &str| dir.components().any(|part| part.as_os_str().to_string_lossy().starts_with(bus));
    if name.starts_with("mmcblk") {
        match attribute(dir, "device/type").as_deref() {
            Some("SD") => Transport::Sd,
            _ => Transport::Emmc,
        }
    } else if name.starts_with("loop") {
        Transport::Loop
    } else if name.starts_with("nvme") {
        Transport::Nvme
    } else if on_bus("usb") {
        Transport::Usb
    } else if on_bus("virtio") {
        Transport::Virtio
    } else if on_bus("ata") {
        Transport::Ata
    } else {
        Transport::Other
    }
}

/// The last USB device on the way to the disk: its folder and port path (`1-4.2`: bus 1, port 4, then port 2 of the hub).
fn usb_port(dir: &Path) -> Option<(PathBuf, String)> {
    let is_port = |name: &str| {
        name.split_once('-').is_some_and(|(bus, ports)| {
            let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            number(bus) && ports.split('.').all(number)
        })
    };
    dir.ancestors().find_map(|above| {
        let name = above.file_name()?.to_str()?;
        is_port(name).then(|| (above.to_owned(), name.to_owned()))
    })
}

fn slot(dir: &Path, usb: Option<&str>) -> Option<String> {
    if let Some(port) = usb {
        // A reader with several openings is one USB device with several logical units: `6:0:0:1` is the second.
        let unit = dir.ancestors().find_map(|above| {
            let name = above.file_name()?.to_str()?;
            let mut parts = name.split(':');
            let unit = parts.nth(3)?.parse::<u32>().ok()?;
            parts.next().is_none().then_some(unit)
        });
        return Some(match unit {
            Some(unit) if unit > 0 => format!("usb-{port}.lun{unit}"),
            _ => format!("usb-{port}"),
        });
    }
    dir.ancestors().find_map(|above| {
        let name = above.file_name()?.to_str()?;
        let host = name.strip_prefix("mmc")?;
        (!host.is_empty() && host.bytes().all(|b| b.is_ascii_digit())).then(|| name.to_owned())
    })
}

fn number_in(dir: &Path, file: &str) -> Option<u64> {
    attribute(dir, file)?.parse().ok()
}

/// The disk that a partition of this number lies on.
pub(super) fn disk_of_partition(host: &Host, number: DeviceNumber) -> Option<PathBuf> {
    let disks = std::fs::read_dir(host.sys.join("block")).ok()?;
    disks.flatten().find_map(|disk| {
        let parts = std::fs::read_dir(disk.path()).ok()?;
        let is_it = |part: std::fs::DirEntry| {
            attribute(&part.path(), "dev").and_then(|text| DeviceNumber::parse(&text)) == Some(number)
        };
        let name = disk.file_name().to_string_lossy().replace('!', "/");
        parts.flatten().any(is_it).then(|| host.dev.join(name))
    })
}

//! The question before anything is erased.

use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::cli::table::Table;
use crate::cli::{Error, Ui};
use crate::flash::devices::{self, Device};
use crate::flash::sysfs::{DeviceNumber, Host};

/// The targets that are devices.
pub(super) fn devices(host: &Host, targets: &[PathBuf]) -> Result<Vec<Device>, Error> {
    let mut found = Vec::new();
    for target in targets {
        let Ok(about) = std::fs::metadata(target) else { continue };
        if !about.file_type().is_block_device() {
            continue;
        }
        let device = devices::find(host, DeviceNumber::from_raw(about.rdev()))
            .map_err(|error| Error::failed(format!("cannot find out about {}", target.display())).because(&error))?;
        found.extend(device);
    }
    Ok(found)
}

/// Shows what will be erased and asks. A program must say `--yes`.
pub(super) fn erase(devices: &[Device], yes: bool, ui: &Ui) -> Result<(), Error> {
    if devices.is_empty() || yes {
        return Ok(());
    }
    let mut table = Table::new(["device", "slot", "size", "name"]);
    for device in devices {
        let slot = device.slot.clone().unwrap_or_default();
        table.row([device.path.display().to_string(), slot, device.size.to_string(), device.description()]);
    }
    let refused = |what: &str| {
        Error::usage(what).state("nothing was written").help("look at `cardsmith devices`, then add `--yes`")
    };
    if ui.json() || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(refused("devices would be erased, and there is nobody to ask"));
    }
    let mut stderr = anstream::stderr();
    let asked = writeln!(stderr, "\nAll that is on these will be erased:\n\n{table}")
        .and_then(|()| write!(stderr, "Type yes to go on: "))
        .and_then(|()| stderr.flush());
    asked.map_err(|error| Error::failed("cannot ask").because(&error))?;
    let mut answer = String::new();
    let heard = std::io::stdin().lock().read_line(&mut answer);
    heard.map_err(|error| Error::failed("cannot read the answer").because(&error))?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err(Error::usage("not confirmed").state("nothing was written")),
    }
}

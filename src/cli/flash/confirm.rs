//! The question before anything is erased.

use std::io::{BufRead, IsTerminal, Write};

use crate::cli::table::Table;
use crate::cli::{Error, Ui};
use crate::flash::devices::Device;
use crate::flash::{MediumIdentity, ShownTarget};

/// One device as the question shows it: path, slot, size, name, serial.
pub(super) struct Row([String; 5]);

impl Row {
    /// The target, where it is a device: no file is erased.
    pub(super) fn of_target(target: &ShownTarget) -> Option<Row> {
        let MediumIdentity::Device(identity) = &target.identity else { return None };
        let record = &target.record;
        Some(Row([
            record.path.display().to_string(),
            record.slot.clone().unwrap_or_default(),
            identity.size.to_string(),
            record.model.clone().unwrap_or_else(|| "no name".to_owned()),
            identity.serial.clone().unwrap_or_default(),
        ]))
    }

    /// A device in a slot of the bench.
    pub(super) fn of_device(device: &Device) -> Row {
        Row([
            device.path.display().to_string(),
            device.slot.clone().unwrap_or_default(),
            device.size.to_string(),
            device.description(),
            device.serial.clone().unwrap_or_default(),
        ])
    }
}

/// Shows what will be erased and asks. A program must say `--yes`.
pub(super) fn erase(devices: Vec<Row>, yes: bool, ui: &Ui) -> Result<(), Error> {
    if devices.is_empty() || yes {
        return Ok(());
    }
    let mut table = Table::new(["device", "slot", "size", "name", "serial"]);
    devices.into_iter().for_each(|Row(row)| table.row(row));
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

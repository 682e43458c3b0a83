//! `cardsmith devices`: what could be written to, and why the others not.

use serde_json::json;

use super::table::Table;
use super::{Error, Exit, Ui};
use crate::flash::devices::{self, Device, Host, Transport};

/// Show what could be written to, and why the others not
///
/// Nothing is written, and no device is opened.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cardsmith devices\n  cardsmith devices --all --json")]
pub(super) struct Args {
    /// Show unused loop devices and empty drives too
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    let found = devices::list(&Host::this()).map_err(|error| Error::failed("cannot list devices").because(&error))?;
    let empty = |device: &Device| {
        device.size.0 == 0 && (device.transport == Transport::Loop || device.optical || device.slot.is_none())
    };
    let shown: Vec<&Device> = found.iter().filter(|device| args.all || !empty(device)).collect();
    let mut table = Table::new(["device", "slot", "size", "name", "can be written"]);
    for device in &shown {
        let obstacle = device.obstacle(false, None);
        let path = device.path.display().to_string();
        let next = obstacle.as_ref().map(|obstacle| obstacle.next_step(&path));
        ui.event("device", &json!({ "device": device, "obstacle": obstacle, "next": next }));
        let verdict = match &obstacle {
            None => "yes".to_owned(),
            Some(obstacle) => format!("no: {obstacle}"),
        };
        table.row([
            path,
            device.slot.clone().unwrap_or_default(),
            device.size.to_string(),
            device.description(),
            verdict,
        ]);
    }
    if table.is_empty() {
        ui.answer("no devices: put a card into a reader");
    } else {
        ui.answer(&table.to_string());
    }
    if !shown.iter().any(|device| device.obstacle(false, None).is_none()) {
        ui.say("no card that can be written to is in a reader; `--to FILE.img` writes a card image instead");
    }
    Ok(Exit::Done)
}

//! Bluetooth.

use crate::prepare::Class::{Configuration, Secret};
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("bluetooth-pairings", "Bluetooth pairings and keys, by the old adapter's address", Secret)
        .at(&["/var/lib/bluetooth/*"])
        .removed(Warning)
        .named(&["bluetooth-pairings"])
        .back("pair each device with each card: another adapter cannot use the old keys")
        .source("bluez doc/settings-storage.txt; bluez configure.ac, STORAGEDIR, MESH_STORAGEDIR; bluetoothd(8)")
        .example_in(
            "B8:27:EB:4D:F3:A6/DC:2C:26:9A:7E:51/info",
            "[General]\nName=Keyboard K380\n[LinkKey]\nKey=7D2E95B03F689C6F21D40B7E4F53A1C8\nType=4\nPINLength\
             =0\n",
        ),
    rule("bluetooth-name", "a name or device id that Bluetooth shows for every card", Configuration)
        .at(&["/etc/bluetooth/main.conf"])
        .with_text(&[r"^\s*(Name|DeviceID)[ \t]*=[ \t]*\S"])
        .named_only()
        .named(&["bluetooth-name"])
        .back("take the line out: BlueZ then shows its own default or the host name")
        .source("bluez src/main.conf, [General] Name, DeviceID")
        .example("[General]\nName = bench-7x2k9q4m3z8v6w\n"),
];

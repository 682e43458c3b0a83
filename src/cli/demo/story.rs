//! The files of the demo and what it says: a recipe, pre-issued activations, headings, and what to try next.

use std::path::Path;

/// What marks a directory as the demo's own, so that a second run may replace what is in it.
pub(super) const MARKER: &str = "cardsmith-demo.txt";

/// The marker's text.
pub(super) const MARKER_TEXT: &str = "\
Made by `cardsmith demo`. Everything here may be deleted; the next `cardsmith demo` in this directory replaces it.

base.img            a stand-in for a Raspberry Pi OS card that was in use: registered, logged in to, written to
kiosk.toml          the recipe
motd                a file that the recipe adds
activations.csv     pre-issued activations; they activate nothing
golden.img          what every card is made from, with .bmap, .sha256 and .manifest.json
card-1.img          two finished cards, as files instead of SD cards
card-2.img
receipts/           what was written, one JSON file per card
ledger.sqlite3         the record of all cards
";

/// The recipe.
pub(super) const RECIPE: &str = r#"# The recipe of `cardsmith demo`. Try changing it, and run `cardsmith plan kiosk.toml` again.
name = "kiosk"

[image]
source = "base.img"

[strip]
also = ["wifi"]              # saved Wi-Fi goes, too; try leaving it out

[sudo]
ssm-user = "no-sudo"
nopasswd = "remove"          # try: "keep"

[activation]
from = "file"
path = "activations.csv"

[card]
name = "kiosk-{serial:04}"

[[file]]
path = "/etc/motd"
source = "motd"
"#;

/// A file that the recipe adds.
pub(super) const MOTD: &str = "Kiosk. Managed by AWS Systems Manager; ask the operations team.\n";

/// What to try next.
pub(super) fn next(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "\
  cargo install --path .                            puts `cardsmith` where the shell finds it
  cd {dir}
  cardsmith inspect base.img --svg base.svg         what the old card was, as a text and as a picture
  cardsmith plan kiosk.toml                         change the recipe and look at the plan again
  cardsmith audit base.img; cardsmith audit golden.img
  cardsmith verify golden.manifest.json card-1.img --ledger ledger.sqlite3
                                                    read a card back against what was written
  cardsmith devices                                 which SD cards could be written to
With a real image and a real card:
  cardsmith recipe new kiosk > kiosk.toml           a recipe with every key explained
  cardsmith flash kiosk.toml --to /dev/sdX          asks before it erases anything
"
    )
}

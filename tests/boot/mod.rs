//! Booted cards: the real binary makes them out of a bootable Debian with the Pi OS layout, QEMU boots them, a stand-in for
//! the agent registers them with the fake service, and sudo, sshd and systemd of the guest say what came of it.
//!
//! Each boot is about a minute of one core; every test prints how long its boots took.

mod sections;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardsmith::flash::verify::expected_with;
use cardsmith::golden::Manifest;
use cardsmith::image::{ImageFile, ReadAt};

use crate::support::binary::Home;
use crate::support::fake_ssm::{FakeNode, FakeSsm, Fault, REGION};
use crate::support::guest::{self, Report, boot};
use crate::support::noise::{noise, restore};
use crate::support::{need, run};

/// Where the boot partition of `scripts/make-pi-image` begins.
const BOOT_PARTITION: u64 = 8 << 20;
/// Where the root partition begins.
const ROOT_PARTITION: u64 = 520 << 20;
const STATUS: &str = "cardsmith-status.txt";

/// Waits until the card has registered, opens a session as somebody would through SSM, and reports.
const REGISTER_AND_REPORT: &str = "clock_is_right
until_true 300 test ! -e /var/lib/cardsmith/activation
until_true 60 agent_runs
open_session
until_true 300 systemctl -q is-active multi-user.target
until_true 120 systemctl -q is-active ssh
say restarts $(systemctl show -P NRestarts cardsmith-register)
report";

fn can_boot() -> bool {
    ["mmdebstrap", "qemu-system-aarch64", "arch-test", "mcopy", "debugfs", "e2fsck"].iter().all(|tool| need(tool))
}

/// What is on a card: an activation of the fake service, or one that nobody issued.
struct Issued {
    id: String,
    code: String,
}

/// A workbench: a recipe, a base image, the fake service, and the cards made from them.
struct Bench {
    home: Home,
    service: FakeSsm,
}

impl Bench {
    /// An empty one.
    fn new() -> Bench {
        Bench { home: Home::new(), service: FakeSsm::start() }
    }

    /// `extra` is more recipe.
    fn recipe(&self, base: &Path, extra: &str) {
        std::os::unix::fs::symlink(base, self.home.path("base.img")).unwrap();
        let recipe = format!(
            r#"name = "boot"
[image]
source = "base.img"
[activation]
from = "file"
path = "activations.csv"
{extra}
[[file]]
path = "/etc/amazon/ssm/amazon-ssm-agent.json"
text = '{{"Ssm":{{"Endpoint":"http://10.0.2.100"}}}}'
"#
        );
        std::fs::write(self.home.path("boot.toml"), recipe).unwrap();
    }

    /// One more activation.
    fn issue(&self) -> Issued {
        let (id, code) = self.service.issue("booted", "for a boot test");
        Issued { id, code }
    }

    /// The service's port on this machine.
    fn port(&self) -> u16 {
        self.service.url().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// As many cards as there are activations, in their order.
    fn cards(&self, activations: &[&Issued]) -> Vec<PathBuf> {
        let mut rows = "activation_id,activation_code,region\n".to_owned();
        for one in activations {
            rows += &format!("{},{},{REGION}\n", one.id, one.code);
        }
        std::fs::write(self.home.path("activations.csv"), rows).unwrap();
        self.home.run(["golden", "boot.toml", "--out", "golden.img"]).succeeds();
        let cards: Vec<PathBuf> = (1..=activations.len()).map(|n| self.home.path(&format!("card-{n}.img"))).collect();
        let mut flash =
            self.home.command(["flash", "golden.manifest.json", "--yes", "--activations", "activations.csv"]);
        for card in &cards {
            flash.arg("--to").arg(card);
        }
        run(flash.arg("--receipts").arg(self.home.path("receipts")));
        cards
    }

    /// Moves the first card to a medium that was full of noise: only what its receipt and the manifest say is mapped.
    fn onto_a_used_medium(&self, card: &Path) {
        let receipt = std::fs::read(self.home.path("receipts/boot-0001.json")).unwrap();
        let manifest = Manifest::read(&self.home.path("golden.manifest.json")).unwrap();
        let map = expected_with(&manifest.map, &serde_json::from_slice(&receipt).unwrap()).unwrap();
        let written = ImageFile::open(card).unwrap();
        let used = self.home.path("used.img");
        restore(&written, map.ranges().iter().map(|mapped| mapped.range), &noise(&used, written.size().0, 3));
        std::fs::rename(&used, card).unwrap();
    }

    /// The node that registered with this activation, once.
    #[track_caller]
    fn node(&self, one: &Issued) -> FakeNode {
        let mut mine = self.service.nodes().into_iter().filter(|node| node.activation_id == one.id);
        let node = mine.next().expect("the card registered");
        assert!(mine.next().is_none(), "the card registered twice");
        node
    }
}

/// A text file of a card's boot partition, read the way any laptop would.
fn boot_text(card: &Path, name: &str) -> String {
    let mut mtype = Command::new("mtype");
    mtype.arg("-i").arg(format!("{}@@{BOOT_PARTITION}", card.display())).arg(format!("::{name}"));
    String::from_utf8(run(mtype.env("MTOOLS_SKIP_CHECK", "1")).stdout).unwrap()
}

/// Whether these bytes stand anywhere on the card, whatever the file systems think.
fn stands_on(card: &Path, text: &str) -> bool {
    Command::new("grep")
        .args(["--quiet", "--fixed-strings", "--text", "-e", text])
        .arg(card)
        .status()
        .unwrap()
        .success()
}

#[track_caller]
fn file_systems_are_clean(card: &Path) {
    run(Command::new("e2fsck").arg("-fn").arg(format!("{}?offset={ROOT_PARTITION}", card.display())));
}

/// What every card must be like after its first boot, whatever image it was made of.
#[track_caller]
fn is_a_good_citizen(bench: &Bench, card: &Path, one: &Issued, report: &Report) {
    let node = bench.node(one);
    assert_eq!(report.get("instance_id"), node.id);
    assert_eq!(report.get("registration"), node.id);
    assert_eq!(report.get("fingerprint"), node.fingerprint);
    assert_eq!(report.get("agent"), "active");
    assert_eq!(report.get("machine_id_kept"), "yes");
    assert_eq!(report.get("machine_id").len(), 32);
    // The agent "opened a session" and so created ssm-user: its rules are still ours, and nobody is root without a password.
    assert_eq!(report.get("sudo_ssm_user"), "refused");
    assert_eq!(report.get("sudo_pi"), "refused");
    assert_eq!(report.get("ssm_rules"), "regular file 440 0:0");
    assert_eq!(report.get("sshd"), "active");
    for key in ["host_key_rsa", "host_key_ecdsa", "host_key_ed25519"] {
        assert!(report.get(key).starts_with("SHA256:"), "{key}: {}", report.output);
    }
    assert_eq!(report.get("failed_units"), "", "{}", report.output);
    assert!(!stands_on(card, &one.code), "the activation code is still on the card, as bytes");
    assert!(boot_text(card, STATUS).contains(&node.id), "the boot partition says who the card is");
    file_systems_are_clean(card);
}

/// No two cards share an identity.
#[track_caller]
fn differ(one: &Report, other: &Report) {
    for key in
        ["hostname", "machine_id", "instance_id", "fingerprint", "host_key_rsa", "host_key_ecdsa", "host_key_ed25519"]
    {
        assert_ne!(one.get(key), other.get(key), "{key}");
    }
}

#[test]
fn two_cards_from_a_fresh_image_register_once_each_and_nobody_is_root_on_them() {
    if !can_boot() {
        return;
    }
    let bench = Bench::new();
    bench.recipe(&guest::pi_image(true), "");
    let (first, second) = (bench.issue(), bench.issue());
    let cards = bench.cards(&[&first, &second]);

    // Whatever the block map leaves out must not matter to the machine that boots.
    bench.onto_a_used_medium(&cards[0]);
    let one = boot(&cards[0]).service(bench.port()).address(1).writing().run("fresh card 1", REGISTER_AND_REPORT);
    is_a_good_citizen(&bench, &cards[0], &first, &one);
    assert_eq!(one.get("restarts"), "0");

    // The service throttles all four requests of the agent's first attempt: it is the unit that tries again.
    bench.service.fail("RegisterManagedInstance", 0, 4, Fault::Throttle);
    let two =
        boot(&cards[1]).service(bench.port()).address(2).writing().run("fresh card 2, throttled", REGISTER_AND_REPORT);
    is_a_good_citizen(&bench, &cards[1], &second, &two);
    assert_eq!(two.get("restarts"), "1");
    differ(&one, &two);

    let again = boot(&cards[0]).service(bench.port()).address(1).writing().run(
        "fresh card 1 again",
        "clock_is_right
until_true 120 agent_runs
until_true 120 systemctl -q is-active multi-user.target
say register $(systemctl show -P ActiveState cardsmith-register)
say register_condition $(systemctl show -P ConditionResult cardsmith-register)
report",
    );
    assert_eq!((again.get("register"), again.get("register_condition")), ("inactive", "no"));
    assert_eq!(bench.node(&first).id, again.get("instance_id"), "a second boot does not register again");
    for key in
        ["hostname", "machine_id", "instance_id", "fingerprint", "host_key_rsa", "host_key_ecdsa", "host_key_ed25519"]
    {
        assert_eq!(one.get(key), again.get(key), "{key} stays");
    }
}

/// Boots the base image by itself and lets somebody use it, without cardsmith: registered by hand through sudo, a session
/// opened, a service disabled, a history written. Returns the image as it is then, and what it knew of itself.
fn life(bench: &Bench, one: &Issued, cut_power: bool) -> (PathBuf, Report) {
    let lived = bench.home.path("lived.img");
    let base = guest::pi_image(true);
    let register = format!("amazon-ssm-agent -register -y -code \"{}\" -id \"{}\" -region {REGION}", one.code, one.id);
    let body = format!(
        "clock_is_right
until_true 120 systemctl -q is-active multi-user.target
mkdir -p /etc/amazon/ssm
echo '{{\"Ssm\":{{\"Endpoint\":\"http://10.0.2.100\"}}}}' >/etc/amazon/ssm/amazon-ssm-agent.json
systemctl disable --now systemd-timesyncd
systemctl stop amazon-ssm-agent
runuser -u pi -- sudo {register}
echo 'sudo {register}' >>/home/pi/.bash_history
systemctl start amazon-ssm-agent
until_true 60 agent_runs
open_session
report
sync
{}",
        if cut_power { "echo 'written, and not yet on the card' >/root/late; sleep 1" } else { "" }
    );
    let mut guest = boot(&base).service(bench.port()).address(9).keeping(&lived);
    if cut_power {
        guest = guest.cut_power();
    }
    let report = guest.run("a life before cardsmith", &body);
    assert_eq!(report.get("sudo_ssm_user"), "granted", "the image that comes in grants root to everybody");
    assert_eq!(report.get("sudo_pi"), "granted");
    assert!(stands_on(&lived, &one.code), "the code that was used is on the captured image");
    (lived, report)
}

#[test]
fn two_cards_from_an_image_that_had_a_registered_life_are_two_new_machines() {
    if !can_boot() {
        return;
    }
    let bench = Bench::new();
    let old = bench.issue();
    let (lived, before) = life(&bench, &old, false);

    bench.recipe(&lived, "");
    let (first, second) = (bench.issue(), bench.issue());
    let cards = bench.cards(&[&first, &second]);
    for card in &cards {
        for secret in
            [old.code.as_str(), before.get("instance_id"), before.get("fingerprint"), before.get("machine_id")]
        {
            assert!(!stands_on(card, secret), "{secret} came along from the captured image");
        }
    }

    let script = format!("{REGISTER_AND_REPORT}\nsay timesyncd $(systemctl is-enabled systemd-timesyncd)");
    let one = boot(&cards[0]).service(bench.port()).address(1).writing().run("card 1 from a lived-in image", &script);
    is_a_good_citizen(&bench, &cards[0], &first, &one);
    differ(&before, &one);
    // An empty machine-id, not "uninitialized": presets would have enabled it again.
    assert_eq!(one.get("timesyncd"), "disabled");

    // Nobody answers at first, as with a network that comes late.
    bench.service.fail("RegisterManagedInstance", 0, 4, Fault::DropRequest);
    let two = boot(&cards[1])
        .service(bench.port())
        .address(2)
        .writing()
        .run("card 2 from a lived-in image, nobody answers", &script);
    assert_eq!(two.get("restarts"), "1");
    is_a_good_citizen(&bench, &cards[1], &second, &two);
    differ(&before, &two);
    differ(&one, &two);
}

#[test]
fn a_card_from_an_image_whose_power_was_cut_is_a_new_machine() {
    if !can_boot() {
        return;
    }
    let bench = Bench::new();
    let old = bench.issue();
    let (lived, before) = life(&bench, &old, true);
    let features = run(Command::new("dumpe2fs").arg("-h").arg(format!("{}?offset={ROOT_PARTITION}", lived.display())));
    assert!(
        String::from_utf8_lossy(&features.stdout).contains("needs_recovery"),
        "the image is as a power cut leaves it"
    );

    bench.recipe(&lived, "");
    let one = bench.issue();
    let cards = bench.cards(&[&one]);
    for secret in [old.code.as_str(), before.get("instance_id"), before.get("fingerprint"), before.get("machine_id")] {
        assert!(!stands_on(&cards[0], secret), "{secret} came along from the captured image");
    }
    let after =
        boot(&cards[0]).service(bench.port()).address(1).writing().run("card from a power cut", REGISTER_AND_REPORT);
    is_a_good_citizen(&bench, &cards[0], &one, &after);
    differ(&before, &after);
}

#[test]
fn a_refused_activation_is_given_up_and_the_boot_partition_says_so() {
    if !can_boot() {
        return;
    }
    let bench = Bench::new();
    bench.recipe(&guest::pi_image(true), "");
    let one =
        Issued { id: "99999999-9999-4999-8999-999999999999".to_owned(), code: "NeverIssued+By/Anybody".to_owned() };
    let cards = bench.cards(&[&one]);
    let report = boot(&cards[0]).service(bench.port()).writing().run(
        "card with a wrong activation",
        "clock_is_right
until_true 200 systemctl -q is-failed cardsmith-register
sleep 70
say restarts $(systemctl show -P NRestarts cardsmith-register)
say result $(systemctl show -P ExecMainStatus cardsmith-register)
say agent_condition $(systemctl show -P ConditionResult amazon-ssm-agent)
if journalctl -b | grep -qF NeverIssued+By/Anybody; then say journal tells; else say journal silent; fi
say rules \"$(stat -c %a /etc/sudoers.d/ssm-agent-users)\"
report",
    );
    assert_eq!(report.get("restarts"), "0", "more than a restart's time has passed, and it did not try again");
    assert_eq!(report.get("result"), "78");
    assert_eq!(report.get("agent_condition"), "no", "an agent without a registration is not started over and over");
    assert_eq!(report.get("journal"), "silent");
    assert_eq!(report.get("instance_id"), "");
    assert_eq!(report.get("sudo_pi"), "refused");
    assert_eq!(bench.service.nodes().len(), 0);
    let status = boot_text(&cards[0], STATUS);
    assert!(status.contains("InvalidActivation"), "{status}");
    assert!(!status.contains(&one.code), "{status}");
    file_systems_are_clean(&cards[0]);
}

#[test]
fn a_power_cut_between_registration_and_clean_up_does_not_strand_the_card() {
    if !can_boot() {
        return;
    }
    let bench = Bench::new();
    bench.recipe(&guest::pi_image(true), "");
    let one = bench.issue();
    let cards = bench.cards(&[&one]);
    let cut = boot(&cards[0]).service(bench.port()).writing().cut_power().run(
        "card that loses power after registering",
        "touch /run/amazon-ssm-agent.hold
clock_is_right
until_true 300 test -s /var/lib/amazon/ssm/registration
sync
say instance_id $(vault_id)
if [ -s /var/lib/cardsmith/activation ]; then say activation there; else say activation gone; fi",
    );
    assert_eq!(cut.get("activation"), "there", "the power was cut before the clean-up");
    assert_eq!(bench.node(&one).id, cut.get("instance_id"));

    let after =
        boot(&cards[0]).service(bench.port()).writing().run("the same card, powered again", REGISTER_AND_REPORT);
    assert_eq!(after.get("instance_id"), cut.get("instance_id"));
    is_a_good_citizen(&bench, &cards[0], &one, &after);
}

#[test]
fn an_agent_package_is_installed_at_first_boot_without_a_network() {
    if !can_boot() {
        return;
    }
    let packages = tempfile::tempdir().unwrap();
    let deb = packages.path().join("amazon-ssm-agent_arm64.deb");
    guest::agent_package(&deb);
    let digest = String::from_utf8(run(Command::new("sha256sum").arg(&deb)).stdout).unwrap();
    let digest = digest.split_whitespace().next().unwrap();
    let bench = Bench::new();
    bench.recipe(
        &guest::pi_image(false),
        &format!("[agent]\npackage = \"agent.deb\"\nsha256 = \"{digest}\"\n{}", sections::recipe()),
    );
    std::fs::copy(&deb, bench.home.path("agent.deb")).unwrap();
    std::fs::copy("/usr/share/zoneinfo/Europe/Berlin", bench.home.path("Berlin")).unwrap();
    std::fs::write(bench.home.path("ops.pub"), sections::KEY).unwrap();
    let one = bench.issue();
    let cards = bench.cards(&[&one]);
    let package = "say package \"$(dpkg-query -W -f '${db:Status-Status}' amazon-ssm-agent)\"";
    let script = format!("{REGISTER_AND_REPORT}\n{package}\n{}", sections::ASK);
    let report = boot(&cards[0]).service(bench.port()).writing().run("card that brings the agent's package", &script);
    assert_eq!(report.get("package"), "installed");
    sections::hold(&report);
    is_a_good_citizen(&bench, &cards[0], &one, &report);
    let keys: BTreeSet<&str> =
        ["host_key_rsa", "host_key_ecdsa", "host_key_ed25519"].into_iter().map(|key| report.get(key)).collect();
    assert_eq!(keys.len(), 3);
}

//! `[network.wifi]` and secrets by reference: what is in the golden image, what is on the card, what is nowhere.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardsmith::fs::clock::Clock;
use cardsmith::prepare::{Plan, Severity};
use cardsmith::provision::card::{CardIdentity, CardOwn, card_edits};
use cardsmith::recipe;
use cardsmith::secrets::Secret;

use crate::support::binary::{Home, Run, names_in};
use crate::support::fake_ssm::{FakeSsm, Fault};
use crate::support::host_tree::{HostTree, carry_out};
use crate::support::pi_image::{Needle, PiImage};
use crate::support::volume::Volume;
use crate::support::{need_builder, oracle};

const PSK: &str = "Hush \"hush\"; and\\hush#77";
const KEYFILE: &str = "/etc/NetworkManager/system-connections/cardsmith-wifi.nmconnection";
const ROWS: &str =
    "activation_id,activation_code,region\n00000000-0000-4000-8000-000000000001,CodeOfTheFirstCard01,eu-west-1\n";

/// A golden image with Wi-Fi whose password comes from `psk`, and what is needed to make one card.
struct Bench {
    home: Home,
    image: PiImage,
    recipe: PathBuf,
    manifest: PathBuf,
    card: PathBuf,
    secret: String,
}

impl Bench {
    fn new(psk: &str) -> Option<Bench> {
        if !need_builder() {
            return None;
        }
        let (image, home) = (PiImage::lived_in().network_manager().build(), Home::new());
        std::fs::write(image.beside("activations.csv"), ROWS).unwrap();
        let recipe = image.recipe(&format!(
            "[strip]\nalso = [\"wifi\"]\n[sudo]\nlockout = \"accept\"\n\
             [activation]\nfrom = \"file\"\npath = \"activations.csv\"\n\
             [network.wifi]\nssid = \"Depot 5; süd\"\ncountry = \"DE\"\npsk = {psk}\n"
        ));
        let (manifest, card) = (image.beside("golden.manifest.json"), image.beside("card.img"));
        let secret = match psk.split('"').collect::<Vec<_>>()[..] {
            ["{ env = ", name, _] => format!("env:{name}"),
            ["{ file = ", name, _] => format!("file:{name}"),
            [_, name, _] => format!("ssm:{name}"),
            _ => panic!("{psk}"),
        };
        Some(Bench { home, image, recipe, manifest, card, secret })
    }

    fn golden(&self) -> PathBuf {
        let out = self.image.beside("golden.img");
        self.home.run(["golden".as_ref(), self.recipe.as_os_str(), "--out".as_ref(), out.as_os_str()]).succeeds();
        out
    }

    fn flash_with(&self, source: &Path, env: &[(&str, &str)]) -> Run {
        let receipts = self.image.beside("receipts");
        let args = ["--json".as_ref(), "flash".as_ref(), source.as_os_str(), "--to".as_ref(), self.card.as_os_str()];
        let mut command = self.home.command(args);
        // What a manifest wants is allowed by name; a recipe of one's own needs no such thing.
        if source == self.manifest {
            command.args(["--allow-secret", &self.secret]);
        }
        let output = command.arg("--receipts").arg(receipts).envs(env.iter().copied()).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Exits with 1, says this, and nothing was made, taken or even reserved.
    fn refuses(&self, env: &[(&str, &str)], says: &str) {
        // From the recipe: nothing is built before the secret is there.
        for source in [&self.recipe, &self.manifest] {
            if source.exists() {
                let run = self.flash_with(source, env).fails_with(1);
                run.says(says).never_says("hush");
                assert!(!self.card.exists() && !self.home.path("state/cardsmith/ledger.sqlite3").exists());
            }
        }
    }
}

fn count(file: &Path, bytes: &[u8]) -> usize {
    let search = aho_corasick::AhoCorasick::new([bytes]).unwrap();
    search.find_iter(&std::fs::read(file).unwrap()).count()
}

fn everything_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files.extend(everything_below(&entry)) } else { files.push(entry) }
    }
    files
}

#[test]
fn the_password_stands_once_on_the_card_and_nowhere_else() {
    let Some(bench) = Bench::new("{ env = \"CARDSMITH_TEST_PSK\" }") else { return };
    let env = [("CARDSMITH_TEST_PSK", PSK)];
    let golden = bench.golden();
    let plan = bench.home.run(["--json".as_ref(), "plan".as_ref(), bench.recipe.as_os_str()]).succeeds();
    plan.never_says("hush");
    assert!(plan.out.contains("Depot 5") && plan.out.contains("CARDSMITH_TEST_PSK"));
    let run = bench.flash_with(&bench.manifest, &env).succeeds();
    run.never_says("ush \\\"hush").never_says("and\\\\hush").never_says(PSK);

    let stored = b"psk=Hush\\s\"hush\";\\sand\\\\hush#77\n";
    assert_eq!((count(&golden, stored), count(&bench.card, stored)), (0, 1));
    for half in [&b"hush\";"[..], b"hush#77"] {
        assert_eq!(count(&bench.card, half), 1, "not in the journal, not in another file");
        for file in everything_below(bench.home.path("").as_path()).iter().chain(&everything_below(bench.image.dir())) {
            assert!(*file == bench.card || count(file, half) == 0, "{}", file.display());
        }
    }
    for image in [&golden, &bench.card] {
        oracle::assert_clean_image(image);
        let word = String::from_utf8(oracle::fat_tree(image)["cmdline.txt"].clone()).unwrap();
        assert_eq!(word.matches("cfg80211.ieee80211_regdom=DE").count(), 1, "{word}");
        let state = oracle::debugfs_read(image, "/var/lib/NetworkManager/NetworkManager.state").unwrap();
        assert_eq!(state, b"[main]\nWirelessEnabled=true\n");
        let rfkill = oracle::debugfs_read(image, "/var/lib/systemd/rfkill/platform-fe300000.mmcnr:wlan").unwrap();
        assert_eq!(rfkill, b"0\n");
    }
    assert_eq!(oracle::debugfs_read(&golden, KEYFILE), None);
    let keyfile = String::from_utf8(oracle::debugfs_read(&bench.card, KEYFILE).unwrap()).unwrap();
    let ssid: String = "Depot 5; süd".bytes().map(|byte| format!("{byte};")).collect();
    assert!(keyfile.contains(&format!("\nssid={ssid}\n")) && keyfile.contains("\nkey-mgmt=wpa-psk\n"), "{keyfile}");
    let volume = Volume::root_of(&bench.card);
    let place = format!("{}?offset={}", volume.image.display(), volume.start);
    let stat = Command::new("debugfs").args(["-R", &format!("stat {KEYFILE}"), &place]).output().unwrap();
    let stat = String::from_utf8_lossy(&stat.stdout).into_owned();
    assert!(stat.contains("Mode:  0600") && stat.contains("User:     0   Group:     0"), "{stat}");
    let old = bench.image.needle("wifi-psk");
    assert_eq!(oracle::find_bytes(&bench.card, &[Needle { name: old.name, bytes: old.bytes }]), []);
}

#[test]
fn a_missing_secret_is_one_message_and_takes_nothing() {
    let Some(bench) = Bench::new("{ env = \"CARDSMITH_TEST_PSK\" }") else { return };
    bench.golden();
    bench.refuses(&[], "the environment variable CARDSMITH_TEST_PSK, which is not set");
    bench.refuses(&[("CARDSMITH_TEST_PSK", "")], "is empty");
    for unfit in ["hush", "hush-hush\n", "hüsh-hush-hush", &"hush".repeat(17)] {
        bench.refuses(&[("CARDSMITH_TEST_PSK", unfit)], "a WPA passphrase is 8 to 63 printable ASCII characters");
    }
    assert!(names_in(&bench.image.beside("receipts")).is_empty());
}

#[test]
fn a_secret_in_a_file_is_read_beside_the_recipe_and_others_should_not_read_it() {
    let Some(bench) = Bench::new("{ file = \"wifi.psk\" }") else { return };
    bench.golden();
    bench.refuses(&[], "wifi.psk, which cannot be read");
    let file = bench.image.beside("wifi.psk");
    std::fs::write(&file, "").unwrap();
    bench.refuses(&[], "is empty");
    std::fs::write(&file, b"hush\xff\xfe hush hush").unwrap();
    bench.refuses(&[], "is not text");
    std::fs::write(&file, "hush".repeat(1 << 15)).unwrap();
    bench.refuses(&[], "too large");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    bench.refuses(&[], "not a regular file");
    std::fs::remove_dir(&file).unwrap();
    std::fs::write(&file, format!("{PSK}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let run = bench.flash_with(&bench.manifest, &[]).succeeds();
    assert!(run.named("warning").iter().any(|w| w["text"].as_str().unwrap().contains("mode 0644")), "{}", run.out);
    let keyfile = oracle::debugfs_read(&bench.card, KEYFILE).unwrap();
    assert!(String::from_utf8(keyfile).unwrap().contains("\npsk=Hush\\s\"hush\";"));
}

#[test]
fn a_secret_in_ssm_is_decrypted_and_a_refusal_takes_nothing() {
    let Some(bench) = Bench::new("{ ssm-parameter = \"/fleet/wifi/psk\" }") else { return };
    bench.golden();
    let ssm = FakeSsm::start();
    let env = ssm.env();
    let env: Vec<(&str, &str)> = env.iter().map(|(key, value)| (*key, value.as_str())).collect();
    bench.refuses(&env, "ParameterNotFound");
    ssm.fail(
        "GetParameter",
        0,
        2,
        Fault::Refuse("AccessDeniedException", "not authorized to perform ssm:GetParameter"),
    );
    bench.refuses(&env, "kms:Decrypt");
    ssm.no_more_faults();
    ssm.state().parameters.insert("/fleet/wifi/psk".to_owned(), (true, "hush".to_owned()));
    bench.refuses(&env, "8 to 63");
    ssm.state().parameters.insert("/fleet/wifi/psk".to_owned(), (true, PSK.to_owned()));
    bench.flash_with(&bench.manifest, &env).succeeds().never_says("hush#");
    let keyfile = oracle::debugfs_read(&bench.card, KEYFILE).unwrap();
    assert!(String::from_utf8(keyfile).unwrap().contains("\npsk=Hush\\s\"hush\";"));
    assert_eq!(ssm.count("CreateActivation"), 0);
}

#[test]
fn a_literal_secret_is_refused_with_the_reason_and_not_shown() {
    let home = Home::new();
    let path = home.path("kiosk.toml");
    let wifi = "[network.wifi]\nssid = \"a\"\ncountry = \"DE\"\n";
    for (psk, says) in [
        ("psk = \"hush-hush-hush\"", "must not hold one"),
        ("psk = 1234567890123", "must not hold one"),
        ("psk = { value = \"hush-hush-hush\" }", "unknown key"),
        ("psk = { env = \"hush-hush-hush!\" }", "not the name of an environment variable"),
        ("psk = { ssm-parameter = \"hush hush hush\" }", "not the name of an SSM parameter"),
        ("psk = { env = \"A\", file = \"hush-hush-hush\" }", "one place"),
        ("psk = { file = \"../hush-hush-hush\" }", "leaves the recipe's directory"),
        ("password = \"hush-hush-hush\"", "must not hold one"),
    ] {
        std::fs::write(&path, format!("name = \"a\"\n[image]\nsource = \"a.img\"\n{wifi}{psk}\n")).unwrap();
        let run = home.run(["recipe".as_ref(), "check".as_ref(), path.as_os_str()]).fails_with(2);
        run.says(says).says("kiosk.toml:7:").never_says("hush").never_says("1234567890123");
    }
    for (text, says) in [
        ("ssid = \"\"\ncountry = \"DE\"", "Wi-Fi network"),
        ("ssid = \"123456789012345678901234567890123\"\ncountry = \"DE\"", "1 to 32 bytes"),
        ("ssid = \"a\"\ncountry = \"Germany\"", "two capitals"),
    ] {
        let psk = "psk = { env = \"A\" }";
        std::fs::write(&path, format!("name = \"a\"\n[image]\nsource = \"a.img\"\n[network.wifi]\n{text}\n{psk}\n"))
            .unwrap();
        home.run(["recipe".as_ref(), "check".as_ref(), path.as_os_str()]).fails_with(2).says(says);
    }
}

/// The plan of a recipe with Wi-Fi for these trees.
fn plan(root: &HostTree, boot: &HostTree) -> Plan {
    let text = "name = \"a\"\n[image]\nsource = \"a.img\"\n[sudo]\nlockout = \"accept\"\n\
                [network.wifi]\nssid = \"Depot\"\ncountry = \"DE\"\npsk = { env = \"A\" }\nhidden = true\n";
    let loaded = recipe::parse(text, Path::new("/recipes/a.toml")).unwrap();
    cardsmith::golden::plan(root, boot, &loaded, Clock { seconds: 0 }).unwrap()
}

fn bullseye() -> (HostTree, HostTree) {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    root.file("/lib/systemd/system/dhcpcd.service", 0o644, "[Install]\nWantedBy=multi-user.target\n")
        .link("/etc/systemd/system/multi-user.target.wants/dhcpcd.service", "/lib/systemd/system/dhcpcd.service")
        .file("/lib/dhcpcd/dhcpcd-hooks/10-wpa_supplicant", 0o644, "")
        .file("/sbin/wpa_supplicant", 0o755, "")
        .file("/etc/dhcpcd.conf", 0o664, "hostname\n")
        .file("/etc/wpa_supplicant/wpa_supplicant.conf", 0o600, "update_config=1\ncountry=GB\n")
        .file("/var/lib/systemd/rfkill/platform-3f300000.mmcnr:wlan", 0o644, "1\n");
    boot.file("/cmdline.txt", 0o755, "root=PARTUUID=1 cfg80211.ieee80211_regdom=GB rootwait\n").file(
        "/wpa_supplicant.conf",
        0o755,
        "network={\n}\n",
    );
    (root, boot)
}

#[test]
fn bullseye_gets_wpa_supplicant_conf() {
    let (root, boot) = bullseye();
    let made = plan(&root, &boot);
    assert_eq!(made.blockers().count(), 0);
    carry_out(&made, &root, &boot);
    assert_eq!(
        boot.text_of("/cmdline.txt").unwrap(),
        "root=PARTUUID=1 rootwait cfg80211.ieee80211_regdom=DE\n",
        "the old country goes"
    );
    assert!(!boot.has("/wpa_supplicant.conf"), "it would be moved over the card's own");
    for chip in ["3f300000", "fe300000"] {
        assert_eq!(root.text_of(&format!("/var/lib/systemd/rfkill/platform-{chip}.mmcnr:wlan")).unwrap(), "0\n");
    }
    let again = plan(&root, &boot);
    assert!(again.edits.iter().all(|edit| edit.reason.step != "wifi"), "once is enough");

    let text = "name = \"a\"\n[image]\nsource = \"a.img\"\n[network.wifi]\nssid = \"Depot\"\ncountry = \"DE\"\n\
                psk = { env = \"A\" }\nhidden = true\n";
    let network = recipe::parse(text, Path::new("a.toml")).unwrap().recipe.network.unwrap();
    let (wifi, psk) = (network.wifi.unwrap(), Secret::new(PSK.to_owned()));
    let card = CardIdentity { name: "a-0001".into(), serial: 1 };
    let own = CardOwn { wifi: Some((&wifi, &psk)), ..CardOwn::default() };
    let edits = card_edits(&root, &boot, &card, own).unwrap();
    carry_out(&edits.plan, &root, &boot);
    let conf = "/etc/wpa_supplicant/wpa_supplicant.conf";
    let written = root.text_of(conf).unwrap();
    assert!(written.starts_with("update_config=1\ncountry=DE\n"), "{written}");
    assert!(written.contains(&format!("\tssid=\"Depot\"\n\tpsk=\"{PSK}\"\n")) && written.contains("scan_ssid=1"));
    assert_eq!(root.mode(conf), 0o600);
    assert_eq!((edits.secrets.len(), edits.secrets[0].times), (1, 1));
}

#[test]
fn an_image_that_cannot_do_wifi_is_an_obstacle_with_its_reason() {
    let says = |root: &HostTree, boot: &HostTree, what: &str| {
        let made = plan(root, boot);
        let found: Vec<_> = made.findings.iter().filter(|f| f.severity == Severity::Blocker).collect();
        assert!(found.iter().any(|f| f.step == "wifi" && f.text.contains(what)), "{what}: {found:?}");
    };
    let boot = || {
        let boot = HostTree::boot();
        boot.file("/cmdline.txt", 0o755, "rootwait\n");
        boot
    };
    says(&HostTree::root(), &boot(), "neither NetworkManager nor dhcpcd");
    let manager = |unit: &str| {
        let root = HostTree::root();
        let file = format!("/usr/lib/systemd/system/{unit}");
        root.file(&file, 0o644, "[Install]\nWantedBy=multi-user.target\n")
            .link(&format!("/etc/systemd/system/multi-user.target.wants/{unit}"), &file);
        root
    };
    says(&manager("systemd-networkd.service"), &boot(), "systemd-networkd");
    says(&manager("NetworkManager.service"), &boot(), "needs wpa_supplicant");
    says(&manager("dhcpcd.service"), &boot(), "10-wpa_supplicant");
    let (root, with_boot) = bullseye();
    root.file("/etc/dhcpcd.conf", 0o664, "nohook lookup-hostname, wpa_supplicant\n");
    says(&root, &with_boot, "nohook wpa_supplicant");
    let (root, _) = bullseye();
    says(&root, &HostTree::boot(), "no cmdline.txt");
}

#[test]
fn the_bench_s_policy_allows_to_read_the_parameter_and_nothing_else() {
    let home = Home::new();
    let path = home.path("kiosk.toml");
    let text = "name = \"a\"\n[image]\nsource = \"a.img\"\n[activation]\nfrom = \"aws\"\nregion = \"eu-west-1\"\n\
                role = \"r\"\n[network.wifi]\nssid = \"a\"\ncountry = \"DE\"\npsk = { ssm-parameter = \"/fleet/psk\" }\n";
    std::fs::write(&path, text).unwrap();
    let policy =
        |whom: &str| home.run(["fleet".as_ref(), "policy".as_ref(), path.as_os_str(), whom.as_ref()]).succeeds().out;
    assert!(policy("--bench").contains("arn:aws:ssm:eu-west-1:*:parameter/fleet/psk\""));
    assert!(!policy("--operator").contains("GetParameter"));
}

/// What GLib, with which NetworkManager reads its keyfiles, finds in one: SSID and password.
fn by_glib(keyfile: &str) -> (String, String) {
    const SCRIPT: &str = "import ctypes, sys\n\
        g = ctypes.CDLL('libglib-2.0.so.0')\n\
        g.g_key_file_new.restype = ctypes.c_void_p\n\
        g.g_key_file_get_string.restype = ctypes.c_char_p\n\
        k, d = ctypes.c_void_p(g.g_key_file_new()), sys.argv[1].encode()\n\
        assert g.g_key_file_load_from_data(k, d, ctypes.c_size_t(len(d)), 0, None)\n\
        for at in ((b'wifi', b'ssid'), (b'wifi-security', b'psk')):\n\
        \x20   sys.stdout.buffer.write(g.g_key_file_get_string(k, *at, None) + b'\\n')\n";
    let output = Command::new("python3").args(["-c", SCRIPT, keyfile]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    (lines.next().unwrap(), lines.next().unwrap())
}

#[test]
fn glib_reads_every_password_and_name_as_they_were_meant() {
    if !crate::support::need("python3") {
        return;
    }
    let all: String = (32..127_u8).map(char::from).collect();
    let (first, second) = all.split_at(50);
    for (ssid, psk) in
        [("Depot", first), ("a;b\\c \"d\"", second), ("12345", "  blanks  "), ("süd ", &*"aB".repeat(32)), ("#", PSK)]
    {
        let (root, boot) = (HostTree::root(), HostTree::boot());
        let unit = "/usr/lib/systemd/system/NetworkManager.service";
        root.file(unit, 0o644, "[Install]\nWantedBy=multi-user.target\n")
            .link("/etc/systemd/system/multi-user.target.wants/NetworkManager.service", unit)
            .file("/usr/sbin/wpa_supplicant", 0o755, "");
        let wifi = cardsmith::recipe::schema::Wifi {
            ssid: ssid.to_owned(),
            country: "DE".to_owned(),
            psk: recipe::SecretRef::Env("A".to_owned()),
            hidden: false,
        };
        let secret = Secret::new(psk.to_owned());
        let own = CardOwn { wifi: Some((&wifi, &secret)), ..CardOwn::default() };
        let card = CardIdentity { name: "a-0001".into(), serial: 1 };
        carry_out(&card_edits(&root, &boot, &card, own).unwrap().plan, &root, &boot);
        let (read_ssid, read_psk) = by_glib(&root.text_of(KEYFILE).unwrap());
        assert_eq!(read_psk, psk);
        // A list of bytes is what NetworkManager takes for one; the rest it takes as it stands.
        let bytes: Option<Vec<u8>> =
            read_ssid.strip_suffix(';').map(|list| list.split(';').map(|byte| byte.parse().unwrap()).collect());
        assert_eq!(bytes.unwrap_or_else(|| read_ssid.clone().into_bytes()), ssid.as_bytes());
    }
}

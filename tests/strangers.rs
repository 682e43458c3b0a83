//! A manifest is a stranger: its recipe has to pass every rule, and of this machine it gets what was allowed by name, or
//! what somebody signed whose key was given.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::crash;
use crate::support::binary::{Home, Run, names_in};
use crate::support::fake_ssm::FakeSsm;
use crate::support::oracle::sha256_hex;
use crate::support::web_server::{Answer, Authority, WebServer};
use crate::support::{need, run};

const HUSH: &str = "Hush-hush-42";

/// Golden images of the demo's machine, and manifests of them that somebody else wrote.
struct Bench {
    home: Home,
    aws: FakeSsm,
}

/// A manifest that is right in itself, of an image of 4 KiB that no card can be made of.
pub fn synthetic() -> Value {
    let zeros = "0".repeat(64);
    json!({
        "manifest_version": 1,
        "cardsmith": "0.1.0",
        "recipe": {
            "name": "kiosk",
            "image": { "source": "base.img" },
            "activation": { "from": "aws", "region": "eu-west-1", "role": "nodes" },
            "card": { "name": "kiosk-{serial:04}" },
            "file": [{ "path": "/etc/motd", "text": "hello" }],
        },
        "recipe_sha256": zeros,
        "base": { "source": "base.img", "sha256": zeros, "format": "raw", "size": 4096 },
        "clock": 0,
        "image": { "file": "aws.img", "size": 4096, "digest": sha256_hex(b"") },
        "partitions": [],
        "edits": [],
        "findings": [],
        "scrub": {},
        "needles": { "searched": 0, "found": 0, "kinds": {}, "digests": [] },
        "checks": [],
        "changed": [],
        "map": [],
    })
}

impl Bench {
    /// With a manifest for which nothing can be made: for all that ends before.
    fn new() -> Bench {
        let home = Home::new();
        fs::write(home.path("aws.manifest.json"), synthetic().to_string()).unwrap();
        fs::write(home.path("aws.img"), [0; 4096]).unwrap();
        Bench { home, aws: FakeSsm::start() }
    }

    /// With a golden image of the demo's machine.
    fn made() -> Bench {
        let home = Home::new();
        crash::golden(&home);
        Bench { home, aws: FakeSsm::start() }
    }

    /// The manifest of `aws.img` with this change, beside it.
    fn manifest(&self, change: impl FnOnce(&mut Value)) -> PathBuf {
        let mut manifest = serde_json::from_slice(&fs::read(self.home.path("aws.manifest.json")).unwrap()).unwrap();
        change(&mut manifest);
        let path = self.home.path("stranger.manifest.json");
        fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
        path
    }

    /// A manifest whose recipe takes a Wi-Fi password from there, and no activation.
    fn with_psk(&self, psk: &Value) -> PathBuf {
        self.manifest(|manifest| {
            manifest["recipe"].as_object_mut().unwrap().remove("activation");
            manifest["recipe"]["network"] = wifi(psk);
        })
    }

    fn flash(&self, manifest: &Path, more: &[&str]) -> Run {
        let mut command = self.home.command(["flash", manifest.to_str().unwrap(), "--yes", "--to", "card.img"]);
        command.args(more).env("STRANGERS_WISH", HUSH).envs(self.aws.env());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let run = Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
        run.never_says(HUSH).never_says("\u{1b}[2J");
        run
    }

    /// Refused before anything was read or made.
    #[track_caller]
    fn refuses(&self, manifest: &Path, more: &[&str], code: i32) -> Run {
        let asked = self.aws.count("GetParameter") + self.aws.count("CreateActivation");
        let run = self.flash(manifest, more).fails_with(code);
        assert!(!self.home.path("card.img").exists(), "{}", run.err);
        assert_eq!(names_in(&self.home.path("state/cardsmith")), Vec::<String>::new(), "a ledger was made");
        assert_eq!(self.aws.count("GetParameter") + self.aws.count("CreateActivation"), asked, "AWS was asked");
        run
    }

    /// The options that the message names.
    #[track_caller]
    fn options(run: &Run) -> Vec<String> {
        let flat = run.err.split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, rest) = flat.split_once("add: ").unwrap_or_else(|| panic!("{}", run.err));
        let (options, _) = rest.split_once(" or sign").unwrap_or_else(|| panic!("{}", run.err));
        options.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect()
    }
}

fn wifi(psk: &Value) -> Value {
    json!({ "wifi": { "ssid": "Depot", "country": "DE", "psk": psk } })
}

#[test]
fn a_secret_is_not_read_for_an_unsigned_manifest_before_it_was_allowed_by_its_name() {
    let bench = Bench::new();
    fs::write(bench.home.path("wifi.psk"), "short").unwrap();
    let full = bench.home.path("wifi.psk").display().to_string();
    // A password that is too short is read and then refused: that shows that it was read.
    for (psk, word, read) in [
        (json!({ "env": "STRANGERS_WISH" }), "env:STRANGERS_WISH", "could not be prepared"),
        (json!({ "env": "NOT_SET_HERE" }), "env:NOT_SET_HERE", "is not set"),
        (json!({ "file": "wifi.psk" }), "file:wifi.psk", "WPA passphrase"),
        (json!({ "file": "../none/wifi.psk" }), "file:../none/wifi.psk", "cannot be read"),
        (json!({ "file": full }), &format!("file:{full}"), "WPA passphrase"),
        (json!({ "ssm-parameter": "/fleet/psk" }), "ssm:/fleet/psk", "ParameterNotFound"),
    ] {
        let manifest = bench.with_psk(&psk);
        let run = bench.refuses(&manifest, &[], 2);
        run.says("is not signed by a key that was given").says("none of it was read").says("--only-signed-by");
        assert_eq!(Bench::options(&run), ["--allow-secret", word]);
        // Another name allows nothing, nor does half of it.
        for other in ["env:STRANGERS", "file:wifi", "ssm:/fleet"] {
            bench.refuses(&manifest, &["--allow-secret", other, "--allow-role", word], 2);
        }
        let allowed = bench.flash(&manifest, &["--allow-secret", "env:OTHER", "--allow-secret", word, "--json"]);
        // It goes on to whatever is wrong next, after it told what it reads.
        let events = allowed.events();
        let wants = events.iter().find(|event| event["event"] == "wants").unwrap();
        assert_eq!((&wants["secrets"], &wants["role"]), (&json!([word]), &Value::Null));
        assert!(allowed.code == Some(1) && allowed.err.contains(read), "{}", allowed.err);
        let _ = fs::remove_dir_all(bench.home.path("state"));
    }
    // A name that a shell would take for more than a name is quoted.
    let run = bench.refuses(&bench.with_psk(&json!({ "file": "a; rm -rf ~" })), &[], 2);
    run.says("--allow-secret 'file:a; rm -rf ~'");
    bench.refuses(&bench.with_psk(&json!({ "file": "a\u{202e}b" })), &[], 2).says("that nobody sees");
    // What was typed wrongly is no silent nothing.
    bench.refuses(&bench.with_psk(&json!({ "env": "A" })), &["--allow-secret", "A"], 2).says("env:NAME");
    let recipe = bench.home.path("kiosk.toml");
    fs::write(&recipe, "name = \"k\"\n[image]\nsource = \"aws.img\"\n").unwrap();
    bench.refuses(&recipe, &["--allow-secret", "env:A"], 2).says("go with the manifest");
}

#[test]
fn no_activation_is_made_or_taken_for_an_unsigned_manifest_before_it_was_allowed() {
    let bench = Bench::made();
    let manifest = bench.home.path("aws.manifest.json");
    let run = bench.refuses(&manifest, &[], 2);
    run.says("the role nodes for nodes in eu-west-1");
    assert_eq!(Bench::options(&run), ["--allow-role", "nodes"]);
    bench.refuses(&manifest, &["--allow-role", "node", "--allow-secret", "env:nodes"], 2);
    // All that is missing is told at once, so that one copy goes on.
    let both = bench.manifest(|manifest| manifest["recipe"]["network"] = wifi(&json!({ "env": "NOT_SET_HERE" })));
    let options = Bench::options(&bench.refuses(&both, &[], 2));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    assert_eq!(options, ["--allow-secret", "env:NOT_SET_HERE", "--allow-role", "nodes"]);
    bench.flash(&both, &options).fails_with(1).says("is not set");

    // A file of activations counts where it lies beside the manifest, and not by way of a link.
    let rows = bench.home.path("demo/activations.csv");
    fs::copy(&rows, bench.home.path("beside.csv")).unwrap();
    symlink(&rows, bench.home.path("link.csv")).unwrap();
    let from = |path: &str| {
        bench.manifest(|manifest| manifest["recipe"]["activation"] = json!({ "from": "file", "path": path }))
    };
    for path in ["link.csv", "demo/activations.csv", "../x.csv", rows.to_str().unwrap()] {
        let manifest = from(path);
        let options = Bench::options(&bench.refuses(&manifest, &[], 2));
        assert_eq!(options[0], "--activations");
        assert_eq!(Path::new(&options[1]), bench.home.path(path));
    }
    bench.flash(&from("beside.csv"), &[]).succeeds().says("activations from beside.csv");
    fs::remove_file(bench.home.path("card.img")).unwrap();
    bench.flash(&from("link.csv"), &["--activations", "demo/activations.csv"]).succeeds();

    fs::remove_file(bench.home.path("card.img")).unwrap();
    let run = bench.flash(&manifest, &["--allow-role", "nodes"]).succeeds();
    run.says("activations for the role nodes in eu-west-1");
    assert_eq!(bench.aws.count("CreateActivation"), 1);

    // A plan shows it, too, for people and for programs.
    let recipe = bench.home.path("demo/aws.toml");
    let run = bench.home.run(["plan", recipe.to_str().unwrap()]).succeeds();
    assert!(run.out.contains("they get from that machine: activations for the role nodes in eu-west-1"), "{}", run.out);
    let run = bench.home.run(["--json", "plan", recipe.to_str().unwrap()]).succeeds();
    assert_eq!(run.named("wants")[0]["role"]["name"], "nodes");
}

#[test]
fn a_key_that_was_given_may_name_what_is_read() {
    if !need("ssh-keygen") {
        return;
    }
    let bench = Bench::new();
    for name in ["mine", "other"] {
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(bench.home.path(name)));
    }
    let manifest = bench.with_psk(&json!({ "env": "NOT_SET_HERE" }));
    let sign = |key: &str| {
        let _ = fs::remove_file(bench.home.path("stranger.manifest.json.sig"));
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-q", "-Y", "sign", "-n", "cardsmith-manifest", "-f"]).arg(bench.home.path(key));
        run(sign.arg(&manifest));
    };
    sign("other");
    // Signed is not enough: by whom is what counts.
    bench.refuses(&manifest, &[], 2).says("is not signed by a key that was given");
    bench.refuses(&manifest, &["--only-signed-by", "mine.pub"], 1).says("was signed by another key");
    sign("mine");
    bench.refuses(&manifest, &["--only-signed-by", "mine.pub"], 1).says("is not set");
    // The rules of recipes hold for them, too.
    let manifest = bench.manifest(|manifest| manifest["recipe"]["activation"]["expires"] = json!("31d"));
    sign("mine");
    bench.refuses(&manifest, &["--only-signed-by", "mine.pub"], 2).says("30 days");
}

#[test]
fn from_a_server_nothing_beside_the_reader_is_read_and_the_image_is_not_even_fetched() {
    if !need("openssl") {
        return;
    }
    let (bench, authority) = (Bench::new(), Authority::new());
    let manifest = bench.manifest(|manifest| {
        manifest["recipe"]["activation"] = json!({ "from": "file", "path": "activations.csv" });
        manifest["recipe"]["network"] = wifi(&json!({ "file": "wifi.psk" }));
    });
    fs::write(bench.home.path("wifi.psk"), "short").unwrap();
    fs::write(bench.home.path("activations.csv"), "not looked at").unwrap();
    let text = fs::read(&manifest).unwrap();
    let server = WebServer::tls(&authority, move |request, _| match request.path.as_str() {
        "/k.manifest.json" => Answer::ok(&text),
        _ => Answer::status(404),
    });
    let flash = |more: &[&str]| {
        let mut command = bench.home.command(["flash", &server.url("/k.manifest.json"), "--to", "card.img"]);
        let output = command.args(more).env("SSL_CERT_FILE", authority.certificate()).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    };
    let run = flash(&[]).fails_with(2);
    let options = Bench::options(&run);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    assert_eq!(options, ["--allow-secret", "file:wifi.psk", "--activations", "activations.csv"]);
    flash(&options).fails_with(1).says("WPA passphrase");
    assert!(server.requests().iter().all(|request| request.path == "/k.manifest.json"), "{:?}", server.requests());
    assert!(!bench.home.path("card.img").exists());
}

#[test]
fn the_recipe_of_a_manifest_has_to_pass_every_rule_of_recipes() {
    let bench = Bench::new();
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 14] = [
        (|recipe| recipe["name"] = json!("../../etc"), "recipe's name"),
        (|recipe| recipe["name"] = json!("kiosk\u{1b}[2J"), "recipe's name"),
        (|recipe| recipe["card"]["name"] = json!("every-card"), "the same name"),
        (|recipe| recipe["card"]["name"] = json!("{serial}\n127.0.0.1 update.example.org"), "cannot name cards"),
        (|recipe| recipe["activation"]["expires"] = json!("400d"), "30 days"),
        (|recipe| recipe["activation"]["role"] = json!("arn:aws:iam::123456789012:role/admin"), "this is an ARN"),
        (|recipe| recipe["activation"]["region"] = json!("evil.example.org/#"), "not an AWS region"),
        (|recipe| recipe["activation"]["tags"] = json!({ "aws:admin": "yes" }), "reserved"),
        (|recipe| recipe["network"] = wifi(&json!({ "env": "A=B;id" })), "environment variable"),
        (|recipe| recipe["network"] = json!({ "hostname": "other-{serial}" }), "another name"),
        (|recipe| recipe["file"][0]["path"] = json!("/etc/../../x"), ".."),
        (|recipe| recipe["file"][0]["mode"] = json!("99999"), "not a mode"),
        (|recipe| recipe["user"] = json!({ "name": "root" }), "person's account"),
        (|recipe| recipe["file"][0]["text"] = json!("-----BEGIN OPENSSH PRIVATE KEY-----"), "must not hold one"),
    ];
    for (change, says) in changes {
        let manifest = bench.manifest(|manifest| change(&mut manifest["recipe"]));
        bench.refuses(&manifest, &["--allow-role", "nodes"], 2).says("the recipe in").says(says);
        // Whoever only verifies a card does not believe it either.
        bench.home.run(["verify", manifest.to_str().unwrap(), "aws.img"]).fails_with(2).says(says);
    }
    let unknown: [Change; 3] = [
        |recipe| recipe["run"] = json!("id"),
        |recipe| recipe["activation"]["endpoint"] = json!("https://evil.example.org"),
        |recipe| recipe["network"] = wifi(&json!({ "env": "A", "file": "/etc/shadow" })),
    ];
    for change in unknown {
        let manifest = bench.manifest(|manifest| change(&mut manifest["recipe"]));
        bench.refuses(&manifest, &["--allow-role", "nodes"], 1).says("is not a manifest");
    }
}

#[test]
fn what_else_a_manifest_may_bring_is_refused_by_name_and_in_little_time_and_memory() {
    let bench = Bench::new();
    let allow = ["--allow-role", "nodes"];
    for name in ["..", ".", "", "a/b.img", "a/", "./aws.img", "/etc/passwd", "aws\u{202e}.img", "aws\n.img"] {
        let manifest = bench.manifest(|manifest| manifest["image"]["file"] = json!(name));
        bench.refuses(&manifest, &allow, 1).says("the image's file name");
    }
    for (field, value, says) in
        [("size", json!(1_u64 << 62), "more than any card"), ("digest", json!("0".repeat(64)), "digest over its map")]
    {
        let manifest = bench.manifest(|manifest| manifest["image"][field] = value);
        bench.refuses(&manifest, &allow, 1).says(says);
    }
    let manifest = bench.manifest(|manifest| {
        manifest["map"] = json!([{ "start": 4096, "len": 4096, "sha256": "0".repeat(64) }]);
    });
    bench.refuses(&manifest, &allow, 1).says("leaves the image");
    // Texts that are small and would become large.
    let deep = format!("{{\"manifest_version\":1,\"recipe\":{}", "[".repeat(1 << 20));
    let many = format!("{{\"manifest_version\":1,\"checks\":[{}0]}}", "0,".repeat(24 << 20));
    let files: Vec<Value> = (0..30_000).map(|n| json!({ "path": format!("/{}", n % 20_000), "text": "" })).collect();
    let listed = bench.manifest(|manifest| manifest["recipe"]["file"] = json!(files));
    let listed = fs::read_to_string(listed).unwrap();
    let path = bench.home.path("bomb.manifest.json");
    for (text, code, says) in
        [(deep, 1, "is not a manifest"), (many, 1, "more values"), (listed, 2, "an earlier [[file]]")]
    {
        fs::write(&path, text).unwrap();
        let began = Instant::now();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 1500000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_cardsmith"), "flash"]);
        command.arg(&path).args(["--to", "card.img"]).env("HOME", bench.home.path("")).current_dir(bench.home.path(""));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && said.contains(says), "{says}: {:?} {said}", output.status);
        assert!(began.elapsed() < Duration::from_secs(20), "{says}: {:?}", began.elapsed());
    }
}

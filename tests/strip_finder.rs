//! The finder by content: what no rule names and looks like a secret is told of, by place and kind; examples are not.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use cardsmith::strip::forms::FORMS;

use crate::support::binary::Home;
use crate::support::mounted::Mounted;
use crate::support::pi_image::PiImage;
use crate::support::{need_builder, need_root};

const ACCEPT: &str = "[sudo]\nlockout = \"accept\"\n";

fn key() -> String {
    let form = FORMS.iter().find(|form| form.is_key).unwrap();
    form.example.concat()
}

fn token(kind: &str) -> String {
    FORMS.iter().find(|form| form.kind == kind).unwrap().example.concat()
}

#[test]
fn secrets_where_no_rule_looks_are_counted_in_the_plan_and_named_by_the_audit_and_never_shown() {
    if !need_builder() {
        return;
    }
    let github = token("GitHub token");
    let image = PiImage::fresh()
        .file("/srv/app/notes/left.txt", 0o644, format!("try {github} tomorrow\n"))
        .file("/opt/thing/data/blob", 0o644, key())
        .file("/var/lib/thing/state", 0o600, "k7Qm2Vw9Zr4Tn6Ys8Lp1Bd3F\n")
        .boot_file("certs/device.pem", key())
        .build();
    let home = Home::new();
    let audit = home.run(["--json", "audit", image.path().to_str().unwrap()]).exits(3);
    let told = |rule: &str| -> Vec<String> {
        let findings = audit.named("finding").into_iter().filter(|finding| finding["rule"] == rule);
        findings.map(|finding| finding["place"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(told("private-key-files"), ["/opt/thing/data/blob", "boot:/certs/device.pem"]);
    assert_eq!(told("secrets-in-files"), ["/srv/app/notes/left.txt", "/var/lib/thing/state"]);
    let recipe = image.recipe(ACCEPT);
    let plan = home.run(["--json", "plan", recipe.to_str().unwrap()]);
    let line = plan.named("finding").into_iter().find(|finding| finding["rule"] == "secrets-in-files").unwrap();
    assert_eq!(line["places"].as_array().unwrap().len(), 4, "{line}");
    let text = home.run(["plan", recipe.to_str().unwrap()]);
    assert!(
        text.out.contains("looks like a secret") && text.out.contains("keep = [\"secrets-in-files\"]"),
        "{}",
        text.out
    );
    for run in [&audit, &plan, &text] {
        run.never_says(&github).never_says("k7Qm2Vw9Zr4Tn6Ys8Lp1Bd3F").never_says("b3BlbnNzaC1rZXktdjEA");
    }
    // What the recipe accepts is told of no more by the plan, and is no reason to refuse.
    let accepting = image.recipe(&format!("{ACCEPT}[strip]\nkeep = [\"secrets-in-files\"]\n"));
    assert!(
        !home
            .run(["--json", "plan", accepting.to_str().unwrap()])
            .named("finding")
            .iter()
            .any(|f| f["rule"] == "secrets-in-files")
    );
    home.run(["audit", image.path().to_str().unwrap(), "--recipe", accepting.to_str().unwrap()])
        .out
        .contains("allowed")
        .then_some(())
        .unwrap();
}

#[test]
fn what_packages_brought_and_what_documents_is_no_secret() {
    if !need_builder() {
        return;
    }
    let (key, github) = (key(), token("GitHub token"));
    let list = "/.\n/var/lib/pkg\n/var/lib/pkg/test-key.pem\n/usr/lib/python3/dist-packages/x.py\n";
    let image = PiImage::fresh()
        .file("/var/lib/dpkg/info/pkg.list", 0o644, list)
        .file("/var/lib/pkg/test-key.pem", 0o644, &key)
        .file("/home/pi/project/node_modules/x/key.pem", 0o644, &key)
        .file("/home/pi/project/tests/data.txt", 0o644, format!("{github}\n"))
        .file("/home/pi/project/README.md", 0o644, format!("export GITHUB_TOKEN={github}\n"))
        .file("/home/pi/project/config.txt", 0o644, "token = ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n")
        .build();
    let audit = Home::new().run(["--json", "audit", image.path().to_str().unwrap()]);
    let told: Vec<_> =
        audit.named("finding").into_iter().filter(|f| f["text"].as_str().unwrap_or_default() != "").collect();
    let secrets: Vec<_> = told
        .iter()
        .filter(|f| f["rule"].as_str().unwrap().contains("secret") || f["rule"] == "private-key-files")
        .collect();
    assert!(secrets.is_empty(), "{secrets:?}");
}

/// Whoever makes an image decides what is in it: nothing of it may stop the look, take for ever, or be passed over in silence.
#[test]
fn files_of_ten_gibibytes_loops_odd_names_and_deep_folders_are_named_or_said_and_take_no_time() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::fresh()
        .boot_file("custom.toml", "[wlan\nssid = \"x\npassword = \"Kx7-Tr4v-Qm9z\"\n")
        .boot_file("network-config", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nwifis: {w: *b}\n")
        .build();
    {
        let root = Mounted::read_write(&image.root());
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("home/pi/big")).unwrap();
        fs::File::create(at("home/pi/big/data.bin")).unwrap().set_len(10 << 30).unwrap();
        fs::File::create(at("home/pi/.netrc")).unwrap().set_len(10 << 30).unwrap();
        fs::create_dir_all(at("home/pi/.aws")).unwrap();
        fs::File::create(at("home/pi/.aws/credentials")).unwrap().set_len(10 << 30).unwrap();
        std::os::unix::fs::symlink("loop-b", at("home/pi/loop-a")).unwrap();
        std::os::unix::fs::symlink("loop-a", at("home/pi/loop-b")).unwrap();
        std::os::unix::fs::symlink("/", at("home/pi/everything")).unwrap();
        let odd = at("home/pi").join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        fs::write(odd, format!("{}\n", token("GitHub token"))).unwrap();
        let deep = at("srv").join("d/".repeat(100));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("key"), key()).unwrap();
    }
    let home = Home::new();
    let start = Instant::now();
    let recipe = image.recipe(&format!("{ACCEPT}[strip]\nalso = [\"wifi\"]\n"));
    let plan = home.run(["--json", "plan", recipe.to_str().unwrap()]).exits(1);
    let findings = format!("{:?}", plan.named("finding"));
    let audit = home.run(["--json", "audit", image.path().to_str().unwrap()]).exits(3);
    let audited = format!("{:?}", audit.named("finding"));
    // Measured at 2 s; a look at every byte would take a minute.
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    for place in ["/home/pi/.netrc", "/home/pi/caf"] {
        assert!(findings.contains(place), "the plan does not name {place}: {findings}");
        assert!(audited.contains(place), "the audit does not name {place}: {audited}");
    }
    for stopped in ["custom.toml", "network-config"] {
        assert!(findings.contains(stopped), "{stopped}: {findings}");
    }
    assert!(findings.contains("only the beginning") && audited.contains("not-searched"), "{findings}");
    assert!(findings.contains("deeper than") && audited.contains("deeper than"), "{findings} {audited}");
    let golden = home.run(["golden", recipe.to_str().unwrap(), "--out", image.beside("g.img").to_str().unwrap()]);
    golden.exits(1);
    assert!(!image.beside("g.img").exists());
}

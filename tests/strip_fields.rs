//! Identities and secrets that real machines carry, from public reports of people who cloned a Pi: each is named by the plan
//! and by the audit.

use std::collections::BTreeSet;

use crate::support::binary::Home;
use crate::support::need_builder;
use crate::support::pi_image::PiImage;

/// What would stand in it, where what stands there decides; else one line that nobody else has.
fn content(path: &str) -> String {
    let noise = "Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0G";
    match path {
        p if p.ends_with(".bashrc") => format!("alias ll='ls -l'\nexport API_TOKEN={noise}\n"),
        p if p.ends_with(".service") => format!("[Service]\nEnvironment=DB_PASSWORD={noise}\nExecStart=/opt/app/run\n"),
        p if p.contains("/crontabs/") => {
            format!("0 * * * * curl -H 'Authorization: Bearer {noise}' https://x.example/\n")
        }
        p if p.ends_with(".nmconnection") => {
            format!(
                "[connection]\nid=corp\ntype=wifi\n[wifi]\nssid=corp\n[wifi-security]\nkey-mgmt=wpa-psk\npsk={noise}\n"
            )
        }
        p if p.ends_with("50-cloud-init.yaml") => format!(
            "network:\n  version: 2\n  wifis:\n    wlan0:\n      access-points:\n        \"corp\":\n          password: \"{noise}\"\n"
        ),
        p if p.ends_with(".aws/credentials") => {
            format!("[default]\naws_access_key_id = AKIAQ3EGRT5UVWXYZ2AB\naws_secret_access_key = {noise}abcdefgh\n")
        }
        p if p.ends_with("user-data") => format!("#cloud-config\npassword: {noise}\nssh_pwauth: true\n"),
        p if p.ends_with("avahi-daemon.conf") => "[server]\nhost-name=kiosk-old\n".to_owned(),
        p if p.ends_with("telegraf.conf") => "[agent]\n  hostname = \"kiosk-old\"\n".to_owned(),
        p if p.ends_with("ecs.config") => {
            format!("ECS_CLUSTER=x\nECS_ENGINE_AUTH_DATA={{\"x\":{{\"password\":\"{noise}\"}}}}\n")
        }
        p if p.ends_with("datadog.yaml") => "api_key: 9c6f21d40b7e4f53a1c87d2e95b03f68\n".to_owned(),
        p if p.ends_with("boot:/config.json") => {
            format!("{{\"uuid\":\"9c6f21d40b7e4f53\",\"deviceApiKey\":\"{noise}\"}}\n")
        }
        p if p.ends_with(".ssh/config") => {
            "Host build\n  HostName build.corp.example\n  IdentityFile ~/.ssh/deploy\n".to_owned()
        }
        p if p.ends_with(".docker/config.json") => {
            format!("{{\"auths\":{{\"r.example\":{{\"auth\":\"{noise}\"}}}}}}\n")
        }
        p if p.ends_with("config.v2.json") => format!("{{\"Config\":{{\"Env\":[\"DB_PASSWORD={noise}\"]}}}}\n"),
        p if p.ends_with("secrets.yml") => format!("production:\n  secret_key_base: {noise}\n"),
        p if p.ends_with(".pem") || p.ends_with(".key") || p.contains("id_ed25519") => format!(
            "{}{}\nMHcCAQEEIGz9Kq3Xw7LvTs4P{noise}\n{}\n",
            "-----BEGIN EC PRIVATE", " KEY-----", "-----END EC PRIVATE KEY-----"
        ),
        p if p.ends_with("fish_variables") => format!("# VERSION: 3.0\nSETUVAR --export API_TOKEN:{noise}\n"),
        _ => format!("secret={noise}\n"),
    }
}

/// From the reports: the kind (an identity, a secret, a log, a name), and where.
const REPORTED: &str = include_str!("corpus/identities.tsv");

#[test]
fn what_was_reported_of_real_machines_is_named_by_plan_and_audit() {
    if !need_builder() {
        return;
    }
    let home = Home::new();
    let mut spec = PiImage::fresh().file("/etc/hostname", 0o644, "kiosk-old\n");
    let mut places = BTreeSet::new();
    for line in REPORTED.lines().skip(1) {
        let (_, path) = line.split_once('\t').unwrap();
        // pi-gen makes this one itself, to keep the radio off until a country is set; it tells nothing of a machine.
        if path == "/var/lib/NetworkManager/NetworkManager.state" {
            continue;
        }
        // The running system sees the boot partition there.
        let path = path.replace("/boot/firmware/", "boot:/");
        places.insert(path.clone());
        spec = match path.strip_prefix("boot:/") {
            Some(name) => spec.boot_file(name, content(&path)),
            None if path.ends_with("/lock") => spec.link(&path, "127.0.1.1:+4711"),
            None => spec.file(&path, 0o600, content(&path)),
        };
    }
    let image = spec.build();
    let audit = home.run(["--json", "audit", image.path().to_str().unwrap()]).exits(3);
    let audited: Vec<String> =
        audit.named("finding").iter().map(|finding| finding["place"].as_str().unwrap().to_owned()).collect();
    let recipe = image.recipe("[sudo]\nlockout = \"accept\"\n");
    let plan = home.run(["--json", "plan", recipe.to_str().unwrap()]);
    let planned = format!("{:?}{:?}", plan.named("edit"), plan.named("finding"));
    let (mut unplanned, mut unaudited) = (Vec::new(), Vec::new());
    for place in &places {
        let bare = place.trim_start_matches("boot:");
        let is_within = |told: &str| place == told || place.starts_with(&format!("{told}/"));
        if !audited.iter().any(|told| is_within(told)) {
            unaudited.push(place);
        }
        let parents =
            bare.match_indices('/').skip(1).map(|(at, _)| &bare[..at]).filter(|part| part.len() > "/home/pi/.x".len());
        if !parents.chain([bare]).any(|part| planned.contains(part)) {
            unplanned.push(place);
        }
    }
    assert!(
        unaudited.is_empty() && unplanned.is_empty(),
        "of {}: not audited {unaudited:#?}, not in the plan {unplanned:#?}",
        places.len()
    );
}

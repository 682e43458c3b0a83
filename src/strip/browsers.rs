//! Browsers: logins, cookies and histories of the profiles that they keep.

use crate::prepare::Class::{Identity, Log, Secret};
use crate::strip::rule::Severity::{Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("chromium-logins", "passwords, cookies and sign-ins of Chromium or Chrome", Secret)
        .at(&[
            "~/.config/chromium/*/Login Data",
            "~/.config/chromium/*/Login Data For Account",
            "~/.config/chromium/*/Cookies",
            "~/.config/chromium/*/Network/Cookies",
            "~/.config/chromium/*/Web Data",
            "~/.config/chromium/*/Account Web Data",
            "~/.config/chromium/*/Local Storage/leveldb",
            "~/.config/chromium/*/Session Storage",
            "~/.config/chromium/*/IndexedDB",
            "~/.config/chromium/*/Trust Tokens",
            "~/.config/google-chrome*/*/Login Data",
            "~/.config/google-chrome*/*/Cookies",
            "~/.config/google-chrome*/*/Network/Cookies",
            "~/.config/google-chrome*/*/Web Data",
            "~/.config/microsoft-edge*/*/Login Data",
            "~/.config/microsoft-edge*/*/Cookies",
            "~/.config/BraveSoftware/*/*/Login Data",
            "~/.config/BraveSoftware/*/*/Cookies",
            "~/.config/vivaldi*/*/Login Data",
            "~/.config/vivaldi*/*/Cookies",
            "~/.config/opera*/Login Data",
            "~/.config/opera*/Cookies",
            "~/snap/chromium/common/chromium/*/Login Data",
            "~/snap/chromium/common/chromium/*/Cookies",
            "~/snap/chromium/common/chromium/*/Network/Cookies",
            "~/snap/*/current/.config/*/*/Login Data",
            "~/.var/app/org.chromium.Chromium/config/chromium/*/Login Data",
            "~/.var/app/org.chromium.Chromium/config/chromium/*/Cookies",
            "~/.var/app/com.google.Chrome/config/google-chrome/*/Login Data",
            "~/.var/app/com.google.Chrome/config/google-chrome/*/Cookies",
            "~/.var/app/*/config/*/*/Login Data",
        ])
        .stays(Warning)
        .named(&["chromium-logins", "browsers", "logins"])
        .back("log in again in the browser on the card; a kiosk that shows a signed-in page needs it, so it stays")
        .source(
            "Chromium, chrome/common/chrome_constants.cc, docs/user_data_dir.md; \
             components/os_crypt/sync/os_crypt_linux.cc (v10 key)",
        )
        .example("SQLite format 3\0logins https://dash.example.net fleet v10QeUGu1XCvbqeCScYMtagURlX"),
    rule("chromium-history", "what was visited and typed in Chromium or Chrome", Log)
        .at(&[
            "~/.config/chromium/*/History",
            "~/.config/chromium/*/History-journal",
            "~/.config/chromium/*/Visited Links",
            "~/.config/chromium/*/Top Sites",
            "~/.config/chromium/*/Sessions",
            "~/.config/chromium/*/Favicons",
            "~/.config/google-chrome*/*/History",
            "~/.config/google-chrome*/*/Sessions",
            "~/.config/microsoft-edge*/*/History",
            "~/.config/BraveSoftware/*/*/History",
            "~/.config/vivaldi*/*/History",
            "~/snap/chromium/common/chromium/*/History",
            "~/snap/chromium/common/chromium/*/Sessions",
            "~/.var/app/*/config/*/*/History",
        ])
        .stays(Note)
        .named(&["chromium-history", "browsers"])
        .back("made anew; stays by default, since Sessions restore the pages of a kiosk")
        .source("Chromium, docs/user_data_dir.md; chrome/common/chrome_constants.cc")
        .example("SQLite format 3\0urls https://dash.example.net/?t=WqFuUUp8cq6mMbv7Ldu2fbhH"),
    rule("firefox-logins", "passwords, cookies and keys of Firefox", Secret)
        .at(&[
            "~/.mozilla/firefox/*/logins.json",
            "~/.mozilla/firefox/*/logins-backup.json",
            "~/.mozilla/firefox/*/logins.db",
            "~/.mozilla/firefox/*/key4.db",
            "~/.mozilla/firefox/*/key3.db",
            "~/.mozilla/firefox/*/cert9.db",
            "~/.mozilla/firefox/*/cookies.sqlite*",
            "~/.mozilla/firefox/*/signedInUser.json",
            "~/.mozilla/firefox/*/storage/default",
            "~/.config/mozilla/firefox/*/logins.json",
            "~/.config/mozilla/firefox/*/key4.db",
            "~/.config/mozilla/firefox/*/cookies.sqlite*",
            "~/snap/firefox/common/.mozilla/firefox/*/logins.json",
            "~/snap/firefox/common/.mozilla/firefox/*/key4.db",
            "~/snap/firefox/common/.mozilla/firefox/*/cookies.sqlite*",
            "~/.var/app/org.mozilla.firefox/.mozilla/firefox/*/logins.json",
            "~/.var/app/org.mozilla.firefox/.mozilla/firefox/*/key4.db",
            "~/.var/app/org.mozilla.firefox/.mozilla/firefox/*/cookies.sqlite*",
            "~/.var/app/org.mozilla.firefox/config/mozilla/firefox/*/key4.db",
            "~/.librewolf/*/key4.db",
            "~/.librewolf/*/cookies.sqlite*",
            "~/.config/librewolf/librewolf/*/key4.db",
            "~/.waterfox/*/key4.db",
        ])
        .stays(Warning)
        .named(&["firefox-logins", "browsers", "logins"])
        .back("log in again in the browser on the card")
        .source(
            "Mozilla Support, Profiles: Where Firefox stores your user data; bleachbit, cleaners/firefox.xml \
             (places)",
        )
        .example(
            "{\"logins\":[{\"hostname\":\"https://dash.example.net\",\"encryptedPassword\":\"MDoEEPgAAAAAKbvu8\
             ZDvyJZwcW3nhzGTZU7g\"}]}",
        ),
    rule("firefox-history", "what was visited and typed in Firefox", Log)
        .at(&[
            "~/.mozilla/firefox/*/places.sqlite*",
            "~/.mozilla/firefox/*/formhistory.sqlite*",
            "~/.mozilla/firefox/*/sessionstore*",
            "~/.config/mozilla/firefox/*/places.sqlite*",
            "~/.config/mozilla/firefox/*/formhistory.sqlite*",
            "~/snap/firefox/common/.mozilla/firefox/*/places.sqlite*",
            "~/snap/firefox/common/.mozilla/firefox/*/formhistory.sqlite*",
            "~/.var/app/org.mozilla.firefox/.mozilla/firefox/*/places.sqlite*",
        ])
        .stays(Note)
        .named(&["firefox-history", "browsers"])
        .back("made anew; places.sqlite holds the bookmarks too, so it stays by default")
        .source("Mozilla Support, Profiles: Where Firefox stores your user data")
        .example("SQLite format 3\0moz_places https://dash.example.net/?t=Hkh7vCJGNb1Z74iUC89uUaHD"),
    rule("webkit-browsers", "passwords and cookies of Epiphany and other WebKit browsers", Secret)
        .at(&[
            "~/.local/share/epiphany/cookies.sqlite*",
            "~/.surf/cookies.txt",
            "~/.local/share/qutebrowser/webengine/Cookies",
            "~/.config/midori/cookies.db",
        ])
        .stays(Warning)
        .named(&["webkit-browsers", "browsers", "logins"])
        .back("log in again in the browser")
        .source(
            "Epiphany, ~/.local/share/epiphany/cookies.sqlite; firejail, disable-programs.inc (epiphany, \
             qutebrowser, midori, .surf); surf(1); qutebrowser, standarddir (data/webengine)",
        )
        .example("SQLite format 3\0moz_cookies session JfTadIMRLPpF6B24I0LfDNo5"),
    rule("nss-database", "a user's own certificates and their keys, for Chromium and others", Secret)
        .at(&[
            "~/.pki/nssdb/key4.db",
            "~/.pki/nssdb/key3.db",
            "~/.local/share/pki/nssdb/key4.db",
            "~/snap/chromium/current/.pki/nssdb/key4.db",
        ])
        .stays(Note)
        .named(&["nss-database", "browsers", "keys"])
        .back("made anew, empty; client certificates must be imported again with cert9.db beside it")
        .source("Chromium, docs/linux/cert_management.md; firejail, disable-common.inc (.pki, .local/share/pki)")
        .example("SQLite format 3\0nssPrivate Zx2LrTn8U7SJeK1UnYcTVal0zMGv"),
    rule("kiosk-app-profiles", "cookies and stored logins of a program made with Electron", Secret)
        .at(&[
            "~/.config/*/Cookies",
            "~/.config/*/Network/Cookies",
            "~/.config/*/Partitions/*/Cookies",
            "~/.config/*/Partitions/*/Network/Cookies",
            "~/.config/*/Local Storage/leveldb",
            "~/.var/app/*/config/*/Cookies",
        ])
        .stays(Warning)
        .named(&["kiosk-app-profiles", "browsers", "logins"])
        .back("sign in again on each card")
        .source("Electron docs, app.getPath('userData'), session.fromPartition")
        .example("SQLite format 3\0cookies session DD8QhJfocJ7sTBOPo8xHddpqzVifaYPW"),
    rule("chromium-client-id", "the id under which Chromium reports to Google", Identity)
        .at(&[
            "~/.config/chromium/Local State",
            "~/.config/google-chrome/Local State",
            "~/snap/chromium/common/chromium/Local State",
        ])
        .with_text(&[r#""(client_id2?|metrics_client_id)"[ \t]*:[ \t]*"[0-9a-f-]{36}""#])
        .stays(Note)
        .named(&["chromium-client-id", "browsers"])
        .back("Chromium makes a new one where `Local State` is missing")
        .source("chromium, components/metrics/metrics_pref_names.h (user_experience_metrics.client_id2)")
        .example("{\"user_experience_metrics\":{\"client_id2\":\"30ac8763-76c9-4b76-a687-d5a481235cc9\"}}"),
];

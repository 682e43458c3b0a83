//! Sessions of a desktop and of developers' tools.

use crate::prepare::Class::{Identity, Log, Secret};
use crate::strip::expressions::{
    AUTHORIZATION, AWS_KEY, CREDENTIAL, PASSWORD_IN_ADDRESS, PASSWORD_OPTION, TOKEN_IN_ADDRESS,
};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "pulse-cookie",
        "cookie with which programs may reach PulseAudio, also over the network",
        Secret,
    )
    .at(&[
        "~/.config/pulse/cookie", "~/.pulse-cookie", "/var/lib/pulse/.pulse-cookie",
        "/var/lib/pulse/.config/pulse/cookie", "~/.esd_auth",
    ])
    .removed(Warning)
    .named(&["pulse-cookie"])
    .back("PulseAudio or PipeWire makes it anew at its next start")
    .source("PulseAudio, src/pulse/client-conf.c, src/pulsecore/authkey.c; module-esound-sink (.esd_auth)")
    .example("\u{1}Ut0uIo8pCd1pHscOFTj2kqkXoDJildM5ch4J"),
    rule(
        "pulse-machine-files",
        "sound settings in files that are named after the old machine's id",
        Identity,
    )
    .at(&["~/.config/pulse/*-runtime", "~/.pulse/*-runtime"])
    .there()
    .removed(Note)
    .named(&["pulse-machine-files"])
    .back("made anew for the new machine id")
    .source("PulseAudio, src/pulsecore/core-util.c (machine id in the runtime path), src/pulsecore/database.c")
    .example_link("/tmp/pulse-Rz9TqN3xVm7cLd1p"),
    rule(
        "xauthority",
        "cookies with which programs may reach the screen, with the old host name in them",
        Secret,
    )
    .at(&[
        "~/.Xauthority", "~/.Xauthority-*", "~/.Xauthority.*", "~/.ICEauthority", "~/.serverauth.*",
        "/var/lib/lightdm/.Xauthority", "/var/lib/gdm3/.ICEauthority", "/var/lib/gdm3/.Xauthority",
    ])
    .removed(Warning)
    .named(&["xauthority", "host-name"])
    .back("made anew when somebody logs in to the desktop")
    .source("xauth(1), FILES; startx(1), .serverauth; iceauth(1), FILES")
    .example("\u{1}\0\0\tkiosk-old\0\u{1}0\0\u{12}MIT-MAGIC-COOKIE-1\0\u{10}FzjwoSUJj7wjGmUuMImfv4xz"),
    rule(
        "session-bus-files",
        "addresses of a desktop's buses, in files that are named after the old machine's id",
        Identity,
    )
    .at(&["~/.dbus/session-bus/*", "~/.config/ibus/bus/*"])
    .removed(Note)
    .named(&["session-bus-files"])
    .back("dbus-launch and ibus make them anew")
    .source("dbus-launch(1), AUTOMATIC LAUNCHING; ibus, src/ibusshare.c, ibus_get_socket_path")
    .example("DBUS_SESSION_BUS_ADDRESS=unix:abstract=/tmp/dbus-Wx4nJq8ZtR2vYb6k,guid=4f2c90ab12cd34ef56789012\n"),
    rule(
        "xsession-errors",
        "what desktop programs printed",
        Log,
    )
    .at(&[
        "~/.xsession-errors", "~/.xsession-errors.old", "~/.local/share/xorg/Xorg.*.log*",
        "~/.cache/lxsession/*/run.log", "~/.npm/_logs/*",
    ])
    .removed(Note)
    .named(&["xsession-errors", "logs"])
    .back("written anew")
    .source("bleachbit, cleaners/x11.xml; npm, Logging: logs-dir")
    .example("Xsession: X session started for pi HbJMYPg9peyLEs5BGM4qZnSF\n"),
    rule(
        "jupyter-runtime",
        "tokens and the cookie secret of Jupyter's last run",
        Secret,
    )
    .at(&["~/.local/share/jupyter/runtime/*", "~/.local/share/jupyter/notebook_secret"])
    .removed(Warning)
    .named(&["jupyter-runtime"])
    .back("made anew at its next start")
    .source("jupyter_server, serverapp.py (jupyter_cookie_secret, jpserver-<pid>.json); jupyter_core, \
             paths.py; nbformat, sign.py (notebook_secret)")
    .example("Lm3VqTt0uIolcvhKAX9AnH4LXDS5CtiOu"),
    rule(
        "jupyter-password",
        "password of Jupyter",
        Secret,
    )
    .at(&[
        "~/.jupyter/jupyter_server_config.json", "~/.jupyter/jupyter_notebook_config.json",
        "~/.jupyter/jupyter_server_config.py", "~/.jupyter/jupyter_notebook_config.py", "~/.jupyter/migrated",
        "/etc/jupyter/*.json", "/etc/jupyter/*.py",
    ])
    .with_text(&[r#"(password|hashed_password|token)["']?[ \t]*[:=][ \t]*["']?\S{8,}"#])
    .stays(Warning)
    .named(&["jupyter-password", "logins"])
    .back("`jupyter server password`")
    .source("jupyter_server, Running a public Jupyter Server")
    .example("{\"IdentityProvider\":{\"hashed_password\":\"argon2:$argon2id$v=19$m=10240$CrCBn3h21nwH0CK0pkjfJ0\
             \"}}\n"),
    rule(
        "code-server",
        "password of code-server",
        Secret,
    )
    .at(&["~/.config/code-server/config.yaml"])
    .with_text(&[r"^(hashed-)?password:[ \t]*\S+"])
    .stays(Warning)
    .named(&["code-server", "logins"])
    .back("where the file is missing code-server makes one with a random password, which listens on \
             127.0.0.1 only; so it stays")
    .source("coder/code-server, docs/FAQ.md: default config file")
    .example("bind-addr: 127.0.0.1:8080\nauth: password\npassword: 3nrdDvDR0cq7RuMrxL363bu3\ncert: false\n"),
    rule(
        "vscode",
        "logins of Visual Studio Code and editors made from it, and their tunnels",
        Secret,
    )
    .at(&[
        "~/.config/Code*/User/globalStorage/state.vscdb*", "~/.config/Code*/Cookies",
        "~/.config/Code*/Network/Cookies", "~/.config/VSCodium/User/globalStorage/state.vscdb*",
        "~/.config/Cursor/User/globalStorage/state.vscdb*", "~/.config/Windsurf*/User/globalStorage/state.vscdb*",
        "~/.vscode/cli/token.json", "~/.vscode/cli/code_tunnel.json", "~/.vscode-cli/token.json",
        "~/.vscode-cli/code_tunnel.json", "~/.vscode-server/data/User/globalStorage/*", "~/.vscode-server/.*.token",
        "~/.vscode-server/*.token", "~/.cursor-server/data/User/globalStorage/*", "~/.cursor-server/.*.token",
        "~/.cursor/cli-config.json",
    ])
    .stays(Warning)
    .named(&["vscode", "logins"])
    .back("sign in again; `code tunnel user login`")
    .source("bleachbit, cleaners/vscode.xml (places); VS Code, Developing with Remote Tunnels; \
             microsoft/vscode, cli/src/auth.rs (token.json)")
    .example("SQLite format 3\0secret://{\"extensionId\":\"vscode.github-authentication\"} \
             Vb4mVSvy7ymVTYKH8UEhfY5f9o"),
    rule(
        "code-machine-ids",
        "the id by which VS Code and editors made from it know the machine",
        Identity,
    )
    .at(&[
        "~/.config/Code*/machineid",
        "~/.config/VSCodium/machineid",
        "~/.config/Cursor/machineid",
        "~/.vscode-server/data/machineid",
    ])
    .removed(Note)
    .named(&["code-machine-ids", "vscode"])
    .back("made anew at the next start")
    .source("microsoft/vscode, src/vs/code/electron-main/app.ts, resolveMachineId; src/vs/server/node \
             (machineid)")
    .example("0218bd9f-b27c-4183-a1ec-d16bfd77342a"),
    rule(
        "jetbrains",
        "passwords and user id of JetBrains editors",
        Secret,
    )
    .at(&[
        "~/.config/JetBrains/*/c.kdbx", "~/.config/JetBrains/*/c.pwd", "~/.config/JetBrains/*/*.key",
        "~/.local/share/JetBrains/consentOptions/*", "~/.config/JetBrains/PermanentUserId",
        "~/.java/.userPrefs/jetbrains/*",
    ])
    .stays(Warning)
    .named(&["jetbrains", "logins"])
    .back("sign in again")
    .source("IntelliJ Platform SDK, Persisting Sensitive Data; JetBrains, Directories used by the IDE")
    .example("\u{3}\0KDBX Rk2EpZuOI6tIbCIMxMcYr8rWq"),
    rule(
        "snap-login",
        "login to the snap store",
        Secret,
    )
    .at(&["~/.snap/auth.json", "~/.config/snapcraft/*", "~/.local/share/snapcraft/*"])
    .stays(Warning)
    .named(&["snap-login", "logins"])
    .back("`snap login`")
    .source("snapd, client/login.go, storeAuthDataFilename")
    .example("{\"id\":1,\"username\":\"fleet\",\"macaroon\":\"MDAxY2xvY2F0aW9uIHd0MHOgnibaIhfoU9DSvnMC93CG\",\"\
             discharges\":[]}\n"),
    rule(
        "launchpad",
        "login to Launchpad",
        Secret,
    )
    .at(&["~/.launchpadlib/*", "~/.cache/lp_credentials/*"])
    .stays(Warning)
    .named(&["launchpad", "logins"])
    .back("log in again")
    .source("launchpadlib, credentials_file; ubuntu-dev-tools and others, ~/.cache/lp_credentials")
    .example("[1]\nconsumer_key = fleet\naccess_token = Zq8RzW4xTb6yMf0cJd9s\naccess_secret = \
             kYxPEPnjqVGvUWN7ToAUP\n"),
    rule(
        "fish-variables",
        "a password or token among fish's universal variables",
        Secret,
    )
    .at(&["~/.config/fish/fish_variables"])
    .with_text(&[r"^SETUVAR .*(pass|secret|token|key)\w*:\S{6,}"])
    .stays(Warning)
    .named(&["fish-variables", "logins"])
    .back("`set -Ux` again; colours and settings are in the same file")
    .source("fish, language: Universal variables (fish_variables)")
    .example("# VERSION: 3.0\nSETUVAR --export API_TOKEN:Td9LMOGvT9xud36RtRVmvb8hm\nSETUVAR fish_greeting:\n"),
    rule(
        "shell-start-files",
        "a password or token in what a shell runs at its start",
        Secret,
    )
    .at(&[
        "~/.bashrc", "~/.bash_profile", "~/.bash_login", "~/.bash_aliases", "~/.bash_logout", "~/.profile",
        "~/.zshrc", "~/.zshenv", "~/.zprofile", "~/.zlogin", "~/.kshrc", "~/.mkshrc", "~/.cshrc", "~/.tcshrc",
        "~/.config/fish/config.fish", "~/.config/fish/conf.d/*", "~/.config/zsh/.zshrc", "~/.config/nushell/env.nu",
        "~/.config/nushell/config.nu", "~/.xonshrc", "~/.xprofile", "~/.xsessionrc", "~/.xinitrc", "~/.xsession",
        "~/.secrets", "~/.bashrc.d/*",
    ])
    .with_text(&[
        r#"^\s*(export|set[ \t]+-\w*x\w*)?[ \t]*\w*(PASS(WORD|WD)?|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|CREDENTIALS)\w*[= ]["']?[^\s"'$(<]{8,}"#,
        r"alias .*(-p|--password[= ]|:)\S{6,}",
        PASSWORD_IN_ADDRESS, TOKEN_IN_ADDRESS, PASSWORD_OPTION, AUTHORIZATION,
    ])
    .stays(Warning)
    .named(&["shell-start-files", "logins"])
    .back("write the line again where it is needed")
    .source("bash(1), FILES; zsh(1), FILES; fish, Configuration files")
    .example("alias ll='ls -l'\nexport GITHUB_TOKEN=ghp_Fx4nx2UE6SDG2aazwqHJ6c6qs5\n"),
    rule(
        "download-tools",
        "a password in the settings of curl, wget or aria2",
        Secret,
    )
    .at(&[
        "~/.curlrc", "~/.config/curlrc", "~/.wgetrc", "/etc/wgetrc", "~/.config/wget/wgetrc", "~/.aria2/aria2.conf",
        "~/.config/aria2/aria2.conf", "~/.httpie/*.json", "~/.config/httpie/*.json",
    ])
    .with_text(&[
        r#"^\s*(-u|user|--user|header|oauth2-bearer|proxy-user)[ \t]*[= ][ \t]*["']?.*(:|bearer|token)\S{4,}"#,
        r"^\s*(password|http_password|ftp_password|proxy_password)[ \t]*=[ \t]*\S+",
    ])
    .stays(Warning)
    .named(&["download-tools", "logins"])
    .back("write it again")
    .source("curl(1), -K and .curlrc; wget, Wgetrc Commands; aria2c(1), rpc-secret; HTTPie, Sessions")
    .example("user = \"fleet:YlBfKdtdyPEw2aXSkySbdoxU\"\nsilent\n"),
    rule(
        "httpie-sessions",
        "logins and cookies that HTTPie saved",
        Secret,
    )
    .at(&["~/.config/httpie/sessions", "~/.httpie/sessions"])
    .stays(Warning)
    .named(&["httpie-sessions", "logins"])
    .back("log in again with --session")
    .source("HTTPie docs, Sessions: Named sessions; Config file directory")
    .example_in("x.example.org/me.json", "{\"auth\":{\"raw_auth\":\"me:VgVtWy0MofQ5f6LLW1U5XUSu\"}}"),
    rule(
        "hsts-and-cookies",
        "which sites were fetched, and cookies",
        Log,
    )
    .at(&[
        "~/.wget-hsts", "~/.local/share/wget-hsts", "~/.cache/wget-hsts", "~/.cookies", "~/.config/wget/hsts",
        "~/.local/state/wget-hsts", "~/.elinks/cookies", "~/.config/elinks/cookies", "~/.w3m/cookie",
        "~/.links/cookies", "~/.lynx_cookies",
    ])
    .removed(Note)
    .named(&["hsts-and-cookies", "histories"])
    .back("made anew")
    .source("wget(1), --hsts-file; w3m, cookie; lynx, COOKIE_FILE; elinks.conf(5)")
    .example("# HSTS 1.0 Known Hosts database\nportal-Xd1pHs6yWb5kRz9T.example.net\t0\t1\t1767225600\t31536000\n"),
    rule(
        "ai-tools",
        "logins and keys of AI tools",
        Secret,
    )
    .at(&[
        "~/.claude/.credentials.json", "~/.claude.json", "~/.codex/auth.json", "~/.gemini/oauth_creds.json",
        "~/.gemini/google_accounts.json", "~/.gemini/.env", "~/.config/github-copilot/hosts.json",
        "~/.config/github-copilot/apps.json", "~/.copilot/config.json", "~/.local/share/opencode/auth.json",
        "~/.config/io.datasette.llm/keys.json", "~/.aider.conf.yml", "~/.continue/config.yaml",
        "~/.continue/config.json", "~/.config/openai.token", "~/.config/shell_gpt/.sgptrc", "~/.openai/*",
    ])
    .stays(Warning)
    .named(&["ai-tools", "logins"])
    .back("log in again in the tool")
    .source("Claude Code, Authentication: ~/.claude/.credentials.json; Codex, auth.json; gemini-cli, \
             packages/core/src/config/storage.ts; copilot.vim and others, github-copilot/hosts.json, \
             apps.json")
    .example("{\"claudeAiOauth\":{\"accessToken\":\"sk-ant-oat01-XvG8cYfLLCpPRpr8YKE5Rh\",\"refreshToken\":\"sk\
             -ant-ort01-J\"}}\n"),
    rule(
        "huggingface-token",
        "token of Hugging Face",
        Secret,
    )
    .at(&["~/.cache/huggingface/token", "~/.cache/huggingface/stored_tokens", "~/.huggingface/token"])
    .stays(Warning)
    .named(&["huggingface-token", "logins"])
    .back("`hf auth login`; the models beside it stay")
    .source("huggingface_hub, src/huggingface_hub/constants.py: HF_TOKEN_PATH, HF_STORED_TOKENS_PATH")
    .example("hf_NvWq8ZeL72OY1JgKPkr9Mv7EoSHa"),
    rule(
        "ollama-key",
        "key of Ollama, which is this machine to ollama.com",
        Identity,
    )
    .at(&[
        "~/.ollama/id_ed25519", "~/.ollama/id_ed25519.pub", "/usr/share/ollama/.ollama/id_ed25519",
        "/usr/share/ollama/.ollama/id_ed25519.pub", "/var/lib/ollama/id_ed25519", "/var/lib/ollama/id_ed25519.pub",
        "/var/lib/ollama/.ollama/id_ed25519",
    ])
    .removed(Error)
    .named(&["ollama-key", "keys"])
    .back("ollama serve makes a new pair at its next start; `ollama signin` where the account is used")
    .source("ollama, cmd/cmd.go, initializeKeypair; docs/faq.mdx")
    .example("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAAT0JLZDRzSGVNCMJeZ0eLHTBHa3H1ptMh\n--\
             ---END OPENSSH PRIVATE KEY-----\n"),
    rule(
        "data-science-tokens",
        "token of Kaggle or Roboflow (Weights & Biases keeps its in ~/.netrc)",
        Secret,
    )
    .at(&[
        "~/.kaggle/kaggle.json", "~/.config/kaggle/kaggle.json", "~/.kaggle/access_token",
        "~/.config/roboflow/config.json",
    ])
    .stays(Warning)
    .named(&["data-science-tokens", "logins"])
    .back("log in again with the tool")
    .source("Kaggle API, README: API credentials; Roboflow Python, ~/.config/roboflow/config.json")
    .example("{\"username\":\"fleet\",\"key\":\"b2d1pHs6yWYWL555buIXeTl6qcBB9VYD\"}\n"),
    rule(
        "android-adb-keys",
        "key with which this machine may control Android devices",
        Identity,
    )
    .at(&["~/.android/adbkey", "~/.android/adbkey.pub", "~/.emulator_console_auth_token"])
    .stays(Warning)
    .named(&["android-adb-keys", "keys"])
    .back("adb makes a new key where there is none; each device then asks once more, so it stays")
    .source("Android, adb: Enable adb debugging; platform/system/core adb auth")
    .example("-----BEGIN PRIVATE KEY-----\nMIIEuwIBADANBgkqhkiG9w0BXtzaBq0rseUqRkkA5TPptxMX\n-----END PRIVATE \
             KEY-----\n"),
    rule(
        "erlang-cookie",
        "cookie with which Erlang programs such as RabbitMQ trust each other",
        Secret,
    )
    .at(&[
        "~/.erlang.cookie", "~/.config/erlang/.erlang.cookie", "/var/lib/rabbitmq/.erlang.cookie",
        "/var/lib/ejabberd/.erlang.cookie", "/var/lib/couchdb/.erlang.cookie",
    ])
    .stays(Warning)
    .named(&["erlang-cookie", "keys"])
    .back("Erlang makes a new random one at its next start where there is none; the members of a cluster \
             must share one")
    .source("Erlang, Distributed Erlang: Security (the cookie file)")
    .example("KQZJXWTNRVYBLMHCSDFPG"),
    rule(
        "media-logins",
        "logins of players and games (Spotify, Kodi, Steam, Moonlight, YouTube)",
        Secret,
    )
    .at(&[
        "/var/lib/raspotify/credentials.json", "/var/cache/spotifyd/*credentials.json",
        "~/.cache/spotifyd/oauth/credentials.json", "~/.cache/spotify/*/credentials.json",
        "~/.cache/spotify-player/credentials.json", "~/.config/spotify/prefs", "~/.config/ncspot/*",
        "~/.kodi/userdata/mediasources.xml", "~/.steam/registry.vdf", "~/.local/share/Steam/config/loginusers.vdf",
        "~/.cache/moonlight/*.pem", "~/.config/Moonlight Game Streaming Project/Moonlight.conf",
        "~/.config/yt-dlp/cookies.txt", "~/.plexht/*", "~/.config/tidal_dl/*",
    ])
    .stays(Warning)
    .named(&["media-logins", "logins"])
    .back("log in again in the program")
    .source("librespot, --cache and credentials.json; raspotify, /var/cache/raspotify; Kodi Wiki, \
             passwords.xml; moonlight-embedded, ~/.cache/moonlight")
    .example("{\"username\":\"fleet\",\"auth_type\":1,\"auth_data\":\"QVFCd0J5a1J6OVkp2ad8WlwLemsc03bE1nMI\"}\n"),
    rule(
        "music-server-passwords",
        "password in the settings of a music server",
        Secret,
    )
    .at(&[
        "~/.config/mopidy/mopidy.conf", "/etc/mopidy/mopidy.conf", "/etc/mpd.conf", "~/.config/mpd/mpd.conf",
        "/etc/raspotify/conf", "/etc/default/raspotify", "/etc/spotifyd.conf", "~/.config/spotifyd/spotifyd.conf",
        "/etc/shairport-sync.conf", "/etc/snapserver.conf", "/etc/upmpdcli.conf",
    ])
    .with_text(&[r#"^\s*(LIBRESPOT_)?(password|client_secret|token|app_key)[ \t]*[= ][ \t]*["']?[^\s"']{4,}"#])
    .named_only()
    .named(&["music-server-passwords", "logins"])
    .back("write it again")
    .source("Mopidy, Configuration; mpd.conf(5), password; spotifyd, Configuration file; shairport-sync.conf, \
             general.password")
    .example("[spotify]\nusername = fleet\npassword = Eq8PIkhPIIYcqqLfH3YgnYMu5\n"),
    rule(
        "imager-settings",
        "what Raspberry Pi Imager remembers for its next card: Wi-Fi key, password hash",
        Secret,
    )
    .at(&["~/.config/Raspberry Pi/Imager.conf"])
    .with_text(&[r"^(wifiPassword|wifiPSK|userPassword|sshUserPassword)\w*[ \t]*=[ \t]*\S+"])
    .stays(Warning)
    .named(&["imager-settings", "wifi", "logins"])
    .back("enter it again in Imager")
    .source("raspberrypi/rpi-imager, src/main.cpp (QSettings: Raspberry Pi, Imager), src/imagewriter.cpp \
             (group imagecustomization)")
    .example("[imagecustomization]\nsshUserPassword=$5$zpg1cMpfhz$TcqymA2YoAblWFrySMaPEvkB2wU0f1m5Qc6SzScZnI2\
             \nwifiPassword=89499125d207320898b42d5d002f64fe6bf889c1116ac72bd1d34488fa7ff432\n"),
    rule(
        "cached-tokens",
        "a token that a program keeps among its cached files",
        Secret,
    )
    .at(&[
        "~/.cache/*/token", "~/.cache/*/token*", "~/.cache/*/*token*", "~/.cache/*/*/token",
        "~/.cache/*/credentials*", "~/.cache/*/auth*.json", "~/.cache/*/*.jwt", "~/.cache/*/session.json",
        "~/.cache/*.token", "~/.cache/token*", "/var/cache/*/token", "/var/cache/*/*token*",
        "/var/cache/*/credentials*",
    ])
    .stays(Warning)
    .named(&["cached-tokens", "logins"])
    .back("the program asks for a new one")
    .source("XDG Base Directory Specification: $XDG_CACHE_HOME holds non-essential files")
    .example("eyJhbGciOiJIUzI1NiJ9.KbmCTI5iI7Azunl6vpAEcLBv"),
    rule(
        "config-tokens",
        "a token or login that a program keeps among its settings",
        Secret,
    )
    .at(&[
        "~/.config/*/token", "~/.config/*/token.json", "~/.config/*/token.txt", "~/.config/*/tokens.json",
        "~/.config/*/*.token", "~/.config/*/credentials", "~/.config/*/credentials.json",
        "~/.config/*/credentials.toml", "~/.config/*/credentials.yml", "~/.config/*/auth.json",
        "~/.config/*/auth.toml", "~/.config/*/cookies.txt", "~/.local/share/*/token", "~/.local/share/*/token.json",
        "~/.local/share/*/credentials.json", "~/.local/share/*/auth.json", "~/.*/credentials.json", "~/.*/token",
        "~/.*/token.json", "~/.*/auth.json", "~/.*/access_token", "~/.*_token", "~/.*-token", "~/.token",
        "~/.*_api_key", "~/.credentials/*", "~/token.json", "~/credentials.json", "~/client_secret*.json",
        "~/*/token.json", "~/*/token.pickle", "~/*/credentials.json", "~/*/client_secret*.json",
        "~/*/service-account*.json",
    ])
    .stays(Warning)
    .named(&["config-tokens", "logins"])
    .back("log in again in the program")
    .source("common names of credential files in the tools of this table; Google API Python quickstarts \
             (token.json, credentials.json, client_secret)")
    .example("ya29.Nm7rafG37MXH2EWd6NsskiVqr"),
    rule(
        "script-credentials",
        "a password or token inside a script",
        Secret,
    )
    .at(&[
        "/usr/local/bin/*", "/usr/local/sbin/*", "~/*.sh", "~/bin/*", "~/.local/bin/*", "~/scripts/*", "~/*/*.sh",
        "~/*.py", "/opt/*.sh", "/opt/*/*.sh", "/srv/*.sh", "/srv/*/*.sh", "/etc/network/if-up.d/*",
        "/etc/NetworkManager/dispatcher.d/*", "boot:/*.sh",
    ])
    .with_text(&[CREDENTIAL, PASSWORD_IN_ADDRESS, PASSWORD_OPTION, AUTHORIZATION, AWS_KEY])
    .named_only()
    .named(&["script-credentials", "logins"])
    .back("let the script read a file or credential of the card")
    .source("Filesystem Hierarchy Standard, /usr/local/bin: the administrator's own programs; systemd-creds(1)")
    .example("#!/bin/sh\nAPI_TOKEN=Kr7wXz2pQm9vLt4sYb8n\ncurl -H \"Authorization: Bearer $API_TOKEN\" \
             https://api.example.net\n"),
    rule(
        "notify-tools",
        "tokens with which the machine sends messages to people",
        Secret,
    )
    .at(&[
        "~/.config/telegram-send.conf",
        "/etc/telegram-send.conf",
        "~/.config/ntfy/client.yml",
        "/etc/ntfy/client.yml",
        "~/.sentryclirc",
    ])
    .with_text(&[r#"^\s*-?[ \t]*(default-)?(token|password)[ \t]*[=:][ \t]*["']?[^\s"'#]{8,}"#])
    .stays(Warning)
    .named(&["notify-tools", "logins"])
    .back("write it again")
    .source("telegram-send, README: Installation (/etc/telegram-send.conf); ntfy docs, Subscribe via CLI: \
             client.yml; sentry-cli docs, Configuration")
    .example("[telegram]\ntoken = 1234567890:AAVw9vAkXF1mVBsDDZITLjrn8DFCmYNN3C7\nchat_id = 1\n"),
    rule(
        "apprise",
        "addresses of Apprise, with the tokens of the services that it tells",
        Secret,
    )
    .at(&[
        "~/.apprise",
        "~/.apprise.yml",
        "~/.config/apprise",
        "~/.config/apprise.conf",
        "~/.config/apprise.yml",
        "/etc/apprise",
        "/etc/apprise.conf",
        "/etc/apprise.yml",
    ])
    .stays(Warning)
    .named(&["apprise", "logins"])
    .back("write it again")
    .source("caronc/apprise, README: Configuration Files")
    .example("urls:\n  - tgram://1234567890:AA32gpqje99NNtLL4QS5LQLygaenvbKPtL0/1\n"),
    rule(
        "app-secret-files",
        "secrets of an application beside its settings",
        Secret,
    )
    .at(&[
        "/opt/*/secrets.*", "/opt/*/config/secrets.*", "/opt/*/*/secrets.*", "/opt/*/*/config/secrets.*",
        "/opt/*/config/*.key", "/opt/*/config/database.yml", "/opt/*/config/*.yml", "/opt/*/config/*.yaml",
        "/opt/*/config/*.json", "/opt/*/config/*.toml", "/opt/*/config/*.ini", "/opt/*/conf/*", "/opt/*/config.*",
        "/opt/*/settings.*", "/srv/*/secrets.*", "/srv/*/config/secrets.*", "/srv/*/config/*.yml", "/srv/*/config.*",
        "/var/www/*/config/*", "/var/www/*/wp-config.php", "/var/www/html/wp-config.php", "/var/www/*/config.php",
        "/var/www/*/.my.cnf", "~/*/secrets.*", "~/*/config/secrets.*", "~/*/config/database.yml", "~/*/config.ini",
        "~/*/config.json", "~/*/config.yml", "~/*/config.yaml", "~/*/config.toml", "~/*/config.py", "~/*/secrets.py",
        "~/*/settings.py", "~/*/local_settings.py", "~/.homeassistant/secrets.yaml", "~/homeassistant/secrets.yaml",
        "/usr/share/hassio/homeassistant/secrets.yaml", "~/.streamlit/secrets.toml", "~/*/.streamlit/secrets.toml",
        "/etc/*/secrets.*", "/etc/*/*.secret", "/etc/*/*secret*", "/etc/*/*password*", "/etc/*/*passwd",
        "/var/www/*/*/config/config.php", "/var/www/*/*/wp-config.php",
        "/var/snap/nextcloud/current/nextcloud/config/config.php", "/etc/*/config.json", "/etc/*/config.yml",
        "/etc/*/config.yaml", "/etc/*/config.toml", "/etc/*/config.ini",
        "/usr/local/etc/*", "/usr/local/etc/*/*",
    ])
    .with_text(&[
        CREDENTIAL, PASSWORD_IN_ADDRESS, AUTHORIZATION, AWS_KEY, r"client-?secret[ \t]*[:=][ \t]*\S{8,}",
        r#"["']\w*(pass(word|wd)?|secret|salt|token|api_?key|_key)["'][ \t]*(,|=>)[ \t]*["'][^"'\n]{6,}["']"#,
    ])
    .stays(Warning)
    .named(&["app-secret-files", "logins"])
    .back("write the file per card, from a parameter store or at activation")
    .source("Rails, Securing Rails Applications: custom credentials; Home Assistant, Storing secrets; \
             WordPress, wp-config.php; Streamlit, Secrets management")
    .example("production:\n  secret_key_base: Wm0cSd5fJx4nNf3kwqPFLnmdHCG6mXKvNe\n"),
    rule(
        "data-protection-keys",
        "keys with which ASP.NET programs protect cookies and data: all cards would accept each other's",
        Secret,
    )
    .at(&["~/.aspnet/DataProtection-Keys", "/var/www/.aspnet/DataProtection-Keys"])
    .stays(Warning)
    .named(&["data-protection-keys", "keys"])
    .back("made anew at the next start; people sign in again, and what a program protected with them can no \
             longer be read")
    .source("ASP.NET Core docs, Data Protection key management and lifetime")
    .example_in("key-3f2a9c31.xml", "<key><masterKey><value>oSULGkBmxMoSmapHE65hCPx2hlZW05halMg2vogJ==</v\
             alue></masterKey></key>"),
    rule(
        "app-master-keys",
        "key that opens an application's encrypted settings",
        Secret,
    )
    .at(&[
        "/opt/*/config/master.key", "/opt/*/config/credentials/*.key", "/srv/*/config/master.key",
        "/var/www/*/config/master.key", "~/*/config/master.key", "/opt/*/.vault_pass*", "~/.vault_pass*",
        "~/*/.vault_pass*", "/etc/ansible/*vault*pass*", "~/.ansible/*vault*pass*", "~/.docker/trust/private",
    ])
    .stays(Warning)
    .named(&["app-master-keys", "keys", "logins"])
    .back("the application does not start without it: give it at activation")
    .source("Rails, Securing Rails Applications: config/master.key; ansible-vault(1), --vault-password-file; \
             Docker Content Trust")
    .example("c4a7d2f90bUdIUZ7MoxQwwEKYzaWE0K5"),
    rule(
        "web-app-secrets",
        "secret of a web framework that makes its sessions",
        Secret,
    )
    .at(&[
        "~/*/instance/secret_key", "/opt/*/instance/secret_key", "/opt/*/secret_key*", "/opt/*/.secret*",
        "/var/lib/*/.secret", "/srv/*/.secret*", "~/*/.secret_key*", "~/*/secret_key*", "~/*/.flask_secret*",
    ])
    .stays(Warning)
    .named(&["web-app-secrets", "keys"])
    .back("most make a new one at their next start; everybody signs in again")
    .source("Flask, Configuration Handling: SECRET_KEY; instance folders")
    .example("Tc1pHs6yWb5kzrN4pq9hXf1mauHGccA91o"),
];

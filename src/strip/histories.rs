//! What was typed, edited, opened and looked for.

use crate::prepare::Class::{Log, Secret};
use crate::strip::rule::Severity::{Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("bash-history", "shell history, which may hold passwords and activation codes", Secret)
        .at(&[
            "~/.bash_history",
            "~/.bash_history-*.tmp",
            "~/.bash_history.*",
            "~/.bash_history~",
            "~/.bash_sessions",
            "/var/lib/*/.bash_history",
            "/var/www/.bash_history",
            "/.bash_history",
        ])
        .removed(Warning)
        .named(&["bash-history", "histories"])
        .back("written anew")
        .source("bash(1), HISTFILE; bash, lib/readline/histfile.c (temporary name of history_do_write)")
        .example("sudo amazon-ssm-agent -register -code Xb6ghi290UpyLXfmGFjDz01fs -id x -region eu-west-1\n"),
    rule("zsh-history", "shell history, which may hold passwords and activation codes", Secret)
        .at(&[
            "~/.zsh_history",
            "~/.zsh_history.*",
            "~/.zhistory",
            "~/.histfile",
            "~/.zsh_sessions",
            "~/.history",
            "~/.local/share/zsh/history",
            "~/.local/state/zsh/history",
            "~/.config/zsh/.zsh_history",
            "~/.cache/zsh/history",
            "~/.zcalc_history",
        ])
        .removed(Warning)
        .named(&["zsh-history", "histories"])
        .back("written anew")
        .source(
            "zshparam(1), HISTFILE; zshoptions(1), HIST_SAVE_BY_COPY ($HISTFILE.new); zsh, \
             Functions/Newuser/zsh-newuser-install (.histfile)",
        )
        .example(": 1767225600:0;export TOKEN=Yd9aKvsOLbhJlMs0KY1i9l643\n"),
    rule("fish-history", "shell history, which may hold passwords and activation codes", Secret)
        .at(&[
            "~/.local/share/fish/fish_history",
            "~/.local/share/fish/*_history",
            "~/.local/share/fish/fish_history*",
            "~/.config/fish/fish_history",
            "~/.config/fish/fish_read_history",
        ])
        .removed(Warning)
        .named(&["fish-history", "histories"])
        .back("written anew")
        .source("fish, history: fish_history may name other sessions; doc_src/cmds/history.rst")
        .example("- cmd: curl -u fleet:Zk2liCrZ9wbmlrUMGo5HyXpdu https://api.example.net\n  when: 1767225600\n"),
    rule("other-shell-histories", "history of another shell, which may hold passwords", Secret)
        .at(&[
            "~/.ash_history",
            "~/.sh_history",
            "~/.ksh_history",
            "~/.mksh_history",
            "~/.dash_history",
            "~/.tcsh_history",
            "~/.csh_history",
            "~/.elvish/db",
            "~/.local/state/elvish/db.bolt",
            "~/.config/nushell/history.txt",
            "~/.config/nushell/history.sqlite3*",
            "~/.local/share/nushell/history.txt",
            "~/.local/share/nushell/history.sqlite3*",
            "~/.local/share/xonsh/history_json",
            "~/.local/share/xonsh/xonsh-*.json",
            "~/.local/share/xonsh/xonsh-history.sqlite*",
            "~/.local/share/powershell/PSReadLine/ConsoleHost_history.txt",
            "~/.local/share/powershell/PSReadline/*_history.txt",
            "~/.local/share/elvish/db.bolt",
            "~/.local/share/powershell/PSReadLine/*_history.txt",
            "/.ash_history",
        ])
        .removed(Warning)
        .named(&["other-shell-histories", "histories"])
        .back("written anew")
        .source(
            "busybox ash, HISTFILE; ksh(1), HISTFILE; tcsh(1), histfile; nushell, \
             crates/nu-protocol/src/config/history.rs; xonsh, history/json.py, history/sqlite.py; PSReadLine, \
             HistorySavePath",
        )
        .example("mosquitto_pub -u fleet -P Aq8o0ygnY7VcFEV4FPvuwgtIp -t x -m y\n"),
    rule("history-databases", "shell history in a database, with the host name and the folder of each command", Secret)
        .at(&[
            "~/.local/share/atuin/history.db*",
            "~/.local/share/atuin/records.db*",
            "~/.local/share/mcfly/history.db*",
            "~/.mcfly/history.db*",
            "~/.z",
            "~/.zlua",
            "~/.local/share/zoxide/db.zo",
            "~/.local/share/autojump/autojump.txt",
        ])
        .removed(Warning)
        .named(&["history-databases", "histories"])
        .back("made anew, empty")
        .source(
            "atuin, crates/atuin-client/src/settings.rs (history.db); mcfly, README; zoxide(1), _ZO_DATA_DIR; \
             z, README",
        )
        .example("SQLite format 3\0history aws ssm Bz6njDLk2S9hBE8Kq1jnuA35y kiosk-old:pi"),
    rule("atuin-login", "encryption key and login of atuin's synchronised history", Secret)
        .at(&[
            "~/.local/share/atuin/key",
            "~/.local/share/atuin/session",
            "~/.local/share/atuin/host_id",
            "~/.local/share/atuin/meta.db*",
        ])
        .stays(Warning)
        .named(&["atuin-login", "logins"])
        .back("`atuin login`")
        .source("atuin, crates/atuin-client/src/settings.rs (key, session, meta.db), meta.rs (host_id)")
        .example("3AAgzLnMzJZtzNDMmczQzN7M1szCbM51k59JuGFVx1QuByDtSi"),
    rule("python-history", "what was typed into python", Secret)
        .at(&[
            "~/.python_history",
            "~/.python_history-*.tmp",
            "~/.local/share/python_history",
            "~/.local/state/python_history",
            "~/.cache/python_history",
            "~/.pythonhist",
            "~/.python-history",
            "~/.bpython_history",
            "~/.ptpython/history",
            "~/.local/share/ptpython/history",
            "~/.pdbhistory",
            "~/.pdb_history",
        ])
        .removed(Warning)
        .named(&["python-history", "histories"])
        .back("written anew")
        .source(
            "Python, site: Readline configuration; PYTHON_HISTORY; bleachbit, cleaners/python.xml; firejail, \
             disable-common.inc",
        )
        .example("client = boto3.client('ssm'); key = 'CtRBI8eJomwTwuFlyInj5Tcn'\n"),
    rule("ipython-history", "what was typed into IPython and Jupyter, with output", Secret)
        .at(&[
            "~/.ipython/profile_*/history.sqlite*",
            "~/.ipython/profile_*/log",
            "~/.ipython/profile_*/pid",
            "~/.ipython/profile_*/security",
            "~/.config/ipython/profile_*/history.sqlite*",
            "~/.local/share/jupyter/console_history*",
            "~/.config/ipython/profile_*/security",
        ])
        .removed(Warning)
        .named(&["ipython-history", "histories"])
        .back("made anew")
        .source("ipython, docs: history.sqlite of a profile; IPython/core/profiledir.py (log, pid, security)")
        .example("SQLite format 3\0history token='Dx2RqNd9dhbvXWmU2sDs1in0zo'"),
    rule("node-history", "what was typed into node, deno, bun and TypeScript", Secret)
        .at(&[
            "~/.node_repl_history",
            "~/.ts_node_repl_history",
            "~/.cache/deno/deno_history.txt",
            "~/.bun_repl_history",
            "~/.bun/.bun_repl_history",
            "~/.local/share/deno/deno_history.txt",
        ])
        .removed(Warning)
        .named(&["node-history", "histories"])
        .back("written anew")
        .source(
            "node(1), NODE_REPL_HISTORY; xdg-ninja, programs (.ts_node_repl_history); bun, REPL \
             (HISTORY_FILENAME); deno, DENO_REPL_HISTORY",
        )
        .example("const t = 'Ezhb4FxvchU1STJKqKn9fVrKL'\n"),
    rule("ruby-history", "what was typed into irb and pry", Secret)
        .at(&[
            "~/.irb_history",
            "~/.irb-history",
            "~/.config/irb/irb_history",
            "~/.pry_history",
            "~/.local/share/pry/pry_history",
            "~/.local/share/irb/history",
            "~/.rdbg_history",
            "~/.byebug_history",
            "~/.local/state/rdbg/history",
        ])
        .removed(Warning)
        .named(&["ruby-history", "histories"])
        .back("written anew")
        .source("irb, lib/irb/history.rb; pry, lib/pry/history.rb")
        .example("ENV['TOKEN'] = 'Feac2qvD9yorWqyTlfuGHHLf'\n"),
    rule("nosql-history", "what was typed into redis-cli and the shells of MongoDB; AUTH lines hold passwords", Secret)
        .at(&[
            "~/.rediscli_history",
            "~/.valkeycli_history",
            "~/.dbshell",
            "~/.mongodb/mongosh/mongosh_repl_history",
            "~/.mongodb/mongosh/*_log",
            "~/.mongodb/*_log",
            "~/.etcdctl_history",
            "/var/lib/redis/.rediscli_history",
            "~/.mongodb/.dbshell",
        ])
        .removed(Warning)
        .named(&["nosql-history", "histories"])
        .back("written anew")
        .source(
            "redis, src/redis-cli.c (REDIS_CLI_HISTFILE_DEFAULT); mongosh, packages/cli-repl/src/cli-repl.ts \
             (mongosh_repl_history), README; mongo Shell, .dbshell",
        )
        .example("AUTH fleet Hd0pXn70Na1QSlKv6Wh5EWEH1\n"),
    rule(
        "sql-history",
        "what was typed into psql, mysql, mariadb, sqlite3 and their like; CREATE USER lines hold passwords",
        Secret,
    )
    .at(&[
        "~/.psql_history",
        "~/.psql_history-*",
        "~/.mysql_history",
        "~/.mariadb_history",
        "~/.sqlite_history",
        "~/.*sql_history",
        "~/.local/state/psql_history",
        "~/.config/pgcli/history",
        "~/.local/share/pgcli/history",
        "~/.mycli-history",
        "~/.mycli.log",
        "~/.config/litecli/history",
        "~/.local/share/litecli/history",
        "~/.usql_history",
        "~/.iredis_history",
        "~/.isql_history",
        "~/.duckdb_history",
        "~/.clickhouse-client-history",
        "~/.influx_history",
        "~/.cassandra/cqlsh_history",
        "~/.local/share/sqlite_history",
        "~/.local/state/sqlite_history",
        "/var/lib/postgresql/.psql_history",
        "/var/lib/mysql/.mysql_history",
        "/var/lib/*/.*_history",
    ])
    .removed(Warning)
    .named(&["sql-history", "histories"])
    .back("written anew")
    .source(
        "psql(1), HISTFILE; mysql(1), MYSQL_HISTFILE; mariadb(1), MARIADB_HISTFILE; sqlite3(1), \
             SQLITE_HISTORY; cqlsh; pgcli, litecli, mycli settings: history_file; xdg-ninja, programs",
    )
    .example("ALTER USER fleet WITH PASSWORD 'Gv8QuVCCxeCs9JHm9NzpOU0wb';\n"),
    rule("debugger-history", "what was typed into a debugger", Log)
        .at(&[
            "~/.gdb_history",
            "~/.lldb/lldb-widehistory",
            "~/.lldb/lldb-history",
            "~/.cgdb/readline_history.txt",
            "~/.local/share/lldb/*history",
            "~/.bashdb_hist",
            "~/.config/dlv/.dbg_history",
            "~/.dlv/.dbg_history",
            "~/.gdb_history~",
            "~/.perldb_history",
        ])
        .removed(Note)
        .named(&["debugger-history", "histories"])
        .back("written anew")
        .source("GDB manual, Command History; xdg-ninja, programs (.gdb_history, .bashdb_hist, .lldb, .cgdb, .dlv)")
        .example("print password_Izw7CfWFDk83oSfftHyKB82U\n"),
    rule("other-language-histories", "what was typed into the shell of another language", Secret)
        .at(&[
            "~/.octave_hist",
            "~/.local/share/octave/history",
            "~/.Rhistory",
            "~/*/.Rhistory",
            "~/.radian_history",
            "~/.julia/logs/repl_history.jl",
            "~/.julia_history",
            "~/.cache/erlang-history",
            "~/.erlang-history.*",
            "~/.iex_history",
            "~/.ghc/ghci_history",
            "~/.local/share/ghc/ghci_history",
            "~/.cache/ghc/ghci_history",
            "~/.scala_history",
            "~/.scala_history_jline3",
            "~/.dotty_history",
            "~/.ammonite/history",
            "~/.ammonite/rt-*",
            "~/.php_history",
            "~/.config/psysh/psysh_history",
            "~/.lua_history",
            "~/.luahistory",
            "~/.groovy/groovysh.history",
            "~/.utop-history",
            "~/.ocaml_history",
            "~/.guile_history",
            "~/.local/share/racket/racket-*history*",
            "~/.racket/*history*",
            "~/.chezscheme_history",
            "~/.clojure/.history",
            "~/.lein/repl-history",
            "~/.bb_repl_history",
            "~/.swipl-dir-history",
            "~/.local/share/swi-prolog/history",
            "~/.maxima/history",
            "~/.maxima_history",
            "~/.sage/*history*",
            "~/.gnuplot_history",
            "~/.perl5/.repl_history",
            "~/.evcxr/history.txt",
            "~/.config/evcxr/history.txt",
            "~/.local/share/kotlin*/history",
            "~/.jshell_history",
            "~/.gore/history",
            "~/.bc_history",
            "~/.calc_history",
            "~/.units_history",
        ])
        .removed(Warning)
        .named(&["other-language-histories", "histories"])
        .back("written anew")
        .source(
            "GHC User's Guide, GHCi history; OTP kernel(6), shell_history_path; Julia, JULIA_HISTORY; \
             bleachbit, cleaners/octave.xml; firejail, disable-common.inc (.ammonite/history); xdg-ninja, \
             programs (the rest)",
        )
        .example("db.connect('Jm7FCRcZNrmicTvSUD7W6uzHN')\n"),
    rule("less-history", "what was searched for in less, and commands run from it", Log)
        .at(&["~/.lesshst", "~/.lesshst~", "~/.local/state/lesshst", "~/.local/share/lesshst", "~/.config/lesshst"])
        .removed(Note)
        .named(&["less-history", "histories"])
        .back("written anew")
        .source("less(1), LESSHISTFILE")
        .example(".less-history-file:\n.search\n\"Kxpv6U1JgPDvvpM2F77k75d4\n"),
    rule("vim-history", "what was edited, searched for and copied in vim and neovim, and unsaved text", Secret)
        .at(&[
            "~/.viminfo",
            "~/.viminf*.tmp",
            "~/.viminfo.tmp",
            "~/.vim/viminfo",
            "~/.vim/.netrwhist",
            "~/.netrwhist",
            "~/.local/share/nvim/shada",
            "~/.local/state/nvim/shada",
            "~/.local/state/nvim/swap",
            "~/.local/share/nvim/swap",
            "~/.local/state/nvim/undo",
            "~/.local/state/nvim/log",
            "~/.local/state/nvim/lsp.log",
            "~/.vim/undo",
            "~/.vim/undodir",
            "~/.vim/swap",
            "~/.config/vim/viminfo",
            "~/.local/state/vim/viminfo",
            "~/.nviminfo",
        ])
        .removed(Warning)
        .named(&["vim-history", "histories"])
        .back("written anew")
        .source(
            "vim, starting.txt: viminfo-file; neovim, starting: shada-file-name, standard-path; xdg-ninja, \
             programs",
        )
        .example(
            "# This viminfo file was generated by Vim 9.1.\n\"\"1\tLINE\t0\n\tpassword \
             Lt6vQRx0N9d24EAnQgXXULflZu\n",
        ),
    rule("editor-swap-files", "text that an editor saved beside a file, also of files in /etc", Secret)
        .at(&[
            "/etc/.*.swp",
            "/etc/.*.swo",
            "/etc/*/.*.swp",
            "/etc/*/.*.swo",
            "/etc/*/*/.*.swp",
            "~/.*.swp",
            "~/.*.swo",
            "~/*/.*.swp",
            "/opt/*/.*.swp",
            "/etc/*~",
            "/etc/*/*~",
            "/etc/#*#",
            "/etc/*/#*#",
            "/etc/*.save",
            "/etc/*/*.save",
            "boot:/.*.swp",
            "boot:/*~",
        ])
        .removed(Note)
        .named(&["editor-swap-files", "histories"])
        .back("not needed again")
        .source(
            "vim, recover.txt: swap-file; nano(1), emergency save (.save); Emacs manual, Backup names, \
             Auto-Save Files",
        )
        .example("b0VIM 9.1\0pi\0kiosk-old\0/etc/wpa_supplicant.conf psk=Mm0rFkZw92abssKniPLyetOaR"),
    rule("nano-history", "what was searched for in nano, and where", Log)
        .at(&["~/.local/share/nano/search_history", "~/.local/share/nano/*", "~/.nano/*", "~/.nano_history"])
        .removed(Note)
        .named(&["nano-history", "histories"])
        .back("written anew")
        .source("nano(1), FILES; nanorc(5), historylog, positionlog")
        .example("Nb5kDLD9nF1WtxPqmsOfwDzW9t\n"),
    rule("emacs-history", "what was edited and typed in Emacs, and unsaved text", Secret)
        .at(&[
            "~/.emacs.d/history",
            "~/.emacs.d/savehist",
            "~/.emacs.d/recentf",
            "~/.emacs.d/places",
            "~/.emacs.d/auto-save-list",
            "~/.emacs.d/eshell/history",
            "~/.emacs.d/eshell/lastdir",
            "~/.emacs.d/tramp",
            "~/.emacs.d/.session",
            "~/.config/emacs/history",
            "~/.config/emacs/recentf",
            "~/.config/emacs/places",
            "~/.config/emacs/auto-save-list",
            "~/.config/emacs/eshell/history",
            "~/.config/emacs/tramp",
            "~/.emacs-places",
            "~/.recentf",
            "~/.saves-*",
        ])
        .removed(Note)
        .named(&["emacs-history", "histories"])
        .back("written anew")
        .source(
            "Emacs manual, Saving Emacs Sessions (savehist), File Conveniences (recentf), Auto-Save; \
             auto-save-list names hold the host; Tramp, tramp-persistency-file-name; Eshell, History",
        )
        .example("(setq minibuffer-history '(\"Ow4znT6pbXjqZzAXoi8PDN6PY\"))\n"),
    rule("editor-recent-files", "which files were open in another editor or viewer", Log)
        .at(&[
            "~/.config/micro/buffers",
            "~/.local/share/RecentDocuments",
            "~/.config/geany/session.conf",
            "~/.cache/helix/helix.log",
            "~/.config/kakoune/history",
            "~/.joe_state",
            "~/.local/share/ranger/history",
            "~/.config/ranger/history",
            "~/.local/share/lf/history",
            "~/.local/share/lf/files",
            "~/.config/nnn/.selection",
            "~/.config/vifm/vifminfo*",
            "~/.local/share/mc/history",
            "~/.local/share/mc/filepos",
            "~/.mc/history",
            "~/.mc/filepos",
            "~/.cache/mc/Tree",
            "~/.cache/mupdf.history",
            "~/.mupdf.history",
            "~/.local/share/zathura/history*",
            "~/.local/share/vifm/vifminfo*",
            "~/.sdcv_history",
            "~/.tig_history",
            "~/.local/share/tig/history",
            "~/.gmrun_history",
            "~/.cache/rofi*",
            "~/.cache/wofi-run",
        ])
        .removed(Note)
        .named(&["editor-recent-files", "histories"])
        .back("written anew")
        .source(
            "ranger, ranger/gui/widgets/console.py; mc, lib/fileloc.h, lib/mcconfig/paths.c; bleachbit, \
             cleaners/mc.xml; firejail, disable-common.inc; vifm(1), vifminfo",
        )
        .example("Pd9mkv39uLK2xRoNG0pukPMLV"),
    rule("recently-used", "which files were opened in desktop programs", Log)
        .at(&[
            "~/.local/share/recently-used.xbel",
            "~/.local/share/recently-used.xbel.*",
            "~/.recently-used",
            "~/.recently-used.xbel",
            "~/.local/share/zeitgeist/*",
            "~/.local/share/gnome-shell/application_state",
            "~/.local/share/tracker/data",
            "~/.cache/tracker3",
        ])
        .removed(Note)
        .named(&["recently-used", "histories"])
        .back("written anew")
        .source(
            "freedesktop.org, Desktop Bookmark Specification; GTK, GtkRecentManager; ForensicArtifacts, \
             linux.yaml (zeitgeist, application_state, tracker)",
        )
        .example("<xbel version=\"1.0\"><bookmark href=\"file:///home/pi/QzSCyzUmin59gAYcs7lc0cd2.pdf\"/></xbel>\n"),
    rule("thumbnails", "small copies of pictures and papers that were looked at", Log)
        .at(&[
            "~/.cache/thumbnails",
            "~/.thumbnails",
            "~/snap/*/common/.cache/thumbnails",
            "~/.var/app/*/cache/thumbnails",
        ])
        .removed(Note)
        .named(&["thumbnails", "histories"])
        .back("made anew")
        .source("freedesktop.org, Thumbnail Managing Standard")
        .example_in("normal/4f2c90ab.png", "PNG Thumb::URI file:///home/pi/Rxgbos7PM1EsihAbQxu91EvV.jpg"),
    rule("trash", "files that were thrown away but are still there", Log)
        .at(&[
            "~/.local/share/Trash/files",
            "~/.local/share/Trash/info",
            "~/.local/share/Trash/expunged",
            "/.Trash-*",
            "~/.trash",
        ])
        .stays(Note)
        .named(&["trash", "histories"])
        .back("a person may want them back, so they stay by default; `also = [\"trash\"]` empties it")
        .source("freedesktop.org, Trash Specification")
        .example_in("secrets.txt", "Sm0HC4edbO1XWS1pV4FrjOAbu"),
    rule("clipboard-history", "what was copied to the clipboard", Secret)
        .at(&[
            "~/.cache/greenclip*",
            "~/.local/share/parcellite/history",
            "~/.local/share/clipit/history",
            "~/.cache/xfce4/clipman",
            "~/.local/share/klipper",
            "~/.kde/share/apps/klipper",
            "~/.kde4/share/apps/klipper",
            "~/.cache/cliphist/db",
        ])
        .removed(Warning)
        .named(&["clipboard-history", "histories"])
        .back("starts empty")
        .source("firejail, disable-common.inc (greenclip, clipman, klipper); cliphist, README")
        .example("clip: Tk2vCKsDj0KR6BVUkuNj9LLOzD"),
    rule("network-tool-histories", "what was typed into network tools, with Wi-Fi and Bluetooth names", Secret)
        .at(&[
            "~/.wpa_cli_history",
            "~/.wpa_cli.history",
            "~/.iwctl_history",
            "~/.local/share/iwctl/history",
            "~/.cache/.bluetoothctl_history",
            "~/.bluetoothctl_history",
            "~/.cache/.obexctl_history",
            "~/.local/share/lftp/rl_history",
            "~/.lftp/rl_history",
            "~/.local/share/lftp/cwd_history",
            "~/.lftp/cwd_history",
            "~/.local/share/lftp/transfer_log",
            "~/.ncftp/history",
            "~/.telnet_history",
            "~/.nmcli-history",
            "~/.tftp_history",
            "~/.vtysh_history",
            "~/.mutthistory",
            "~/.config/aerc/history",
            "~/.elinks/globhist",
            "~/.elinks/gotohist",
            "~/.elinks/exmodehist",
            "~/.w3m/history",
            "~/.links/*.his",
            "~/.lynx_history",
        ])
        .removed(Warning)
        .named(&["network-tool-histories", "histories"])
        .back("written anew")
        .source(
            "wpa_supplicant, wpa_cli.c (.wpa_cli_history); bluez, src/shared/shell.c (.<name>_history in the \
             cache folder); lftp(1), FILES; neomutt, docs/config.c (history_file); vtysh(1); xdg-ninja, \
             programs",
        )
        .example("set_network 0 psk \"Uq8cQObodwkWCSBVkGGo3dgMV\"\n"),
    rule("terminal-scrollback", "scrollback that a terminal or multiplexer wrote to disk", Secret)
        .at(&["~/.cache/konsole", "~/.byobu/.last*", "~/screenlog.*"])
        .removed(Warning)
        .named(&["terminal-scrollback", "histories"])
        .back("written anew")
        .source("screen(1), log (screenlog.n); firejail, disable-common.inc (.cache/konsole)")
        .example_in("x.history", "export TOKEN=Vd5fhfUiI63QiUD7JzwZ0j1b0\n"),
    rule("waiting-mail", "mail in home directories and in queues: every card would send the same waiting mail", Log)
        .at(&[
            "~/dead.letter",
            "~/mbox",
            "~/Mail",
            "~/Maildir",
            "~/.mbox",
            "/var/spool/mqueue/*",
            "/var/spool/clientmqueue/*",
            "/var/spool/postfix/deferred",
            "/var/spool/postfix/incoming",
            "/var/spool/postfix/active",
            "/var/spool/postfix/maildrop",
            "/var/spool/exim4/input",
            "/var/spool/exim4/msglog",
            "/var/spool/exim4/retry",
            "/var/spool/nullmailer/queue",
        ])
        .stays(Note)
        .named(&["waiting-mail", "logs"])
        .back("twenty cards would send the same waiting mail; `also` clears the queues")
        .source("mail(1), DEAD; postfix, queue manager; exim, spool files; hier(7)")
        .example(
            "From root@kiosk-old Thu Jan  1 00:00:00 2026\nSubject: Cron <pi@kiosk-old> token \
             Wn3ZvFTewcTBncm5Af9NM54d7\n",
        ),
    rule("other-histories", "history of another program, which may hold passwords", Secret)
        .at(&[
            "~/.*_history",
            "~/.*_history_*",
            "~/.*_history-*.tmp",
            "~/.*_hist",
            "~/.*-history",
            "~/.*_repl_history",
            "~/.history_*",
            "~/.local/share/*/history",
            "~/.local/state/*/history",
            "~/.local/share/*_history",
            "~/.local/state/*_history",
            "~/.cache/*_history",
            "~/.cache/*/history",
            "~/.config/*/history",
            "~/.config/*/*_history",
        ])
        .removed(Note)
        .named(&["other-histories", "histories"])
        .back("written anew")
        .source("firejail, disable-common.inc (.*_history, .*_history_*)")
        .example("login fleet Xd1xl8JwlZeZA17Hzi0fxfi24\n"),
];

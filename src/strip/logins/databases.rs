//! Databases.

use crate::prepare::Class::Secret;
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("pgpass", "passwords of PostgreSQL servers", Secret)
        .at(&["~/.pgpass", "/var/lib/postgresql/.pgpass", "/var/lib/pgadmin/*"])
        .stays(Warning)
        .named(&["pgpass", "logins"])
        .back("write the file again")
        .source("psql(1); PostgreSQL, The Password File")
        .example("db.example.net:5432:fleet:fleet:RnnCXskRt1kRB2g3962OSJiU\n"),
    rule("pg-service", "password in a connection service file of PostgreSQL", Secret)
        .at(&["~/.pg_service.conf", "/etc/postgresql-common/pg_service.conf"])
        .with_text(&[r"^\s*(password|sslkey)[ \t]*=[ \t]*\S+"])
        .stays(Warning)
        .named(&["pg-service", "logins"])
        .back("write it again")
        .source("PostgreSQL, The Connection Service File")
        .example("[fleet]\nhost=db.example.net\nuser=fleet\npassword=HsTi8LHHpfd39VaBFDgtrDZG\n"),
    rule("my-cnf-own", "a person's login at MySQL or MariaDB", Secret)
        .at(&["~/.my.cnf"])
        .stays(Warning)
        .named(&["my-cnf-own", "logins"])
        .back("write it again on the card that needs it")
        .source("MariaDB, Option Files")
        .example("[client]\nuser=kiosk\npassword=Zr4wq8Lm2Xv6tYb9sKd3\n"),
    rule("my-cnf", "password of MySQL or MariaDB", Secret)
        .at(&["/etc/mysql/debian.cnf", "/etc/mysql/conf.d/*.cnf", "/etc/mysql/mariadb.conf.d/*.cnf", "/etc/my.cnf"])
        .with_text(&[r"^\s*password[ \t]*=[ \t]*\S+"])
        .named_only()
        .named(&["my-cnf", "logins"])
        .back("write it again; debian.cnf belongs to the database's own maintenance user, change both together")
        .source("MySQL, Using Option Files; MariaDB, /etc/mysql/debian.cnf")
        .example("[client]\nuser = fleet\npassword = YtmQcfHduw7FLQqwHlDrsXeS\n"),
    rule("mylogin-cnf", "passwords of MySQL servers, only obscured", Secret)
        .at(&["~/.mylogin.cnf"])
        .stays(Warning)
        .named(&["mylogin-cnf", "logins"])
        .back("`mysql_config_editor set`")
        .source("MySQL, mysql_config_editor")
        .example("\0\0\0\0\u{14}\u{1d}KdxOUx3ye1iUBo9unWSS3u0w"),
    rule("mongo-rc", "password of MongoDB in a start script of its shell", Secret)
        .at(&["~/.mongorc.js", "~/.mongoshrc.js", "/etc/mongorc.js"])
        .with_text(&[r"(auth\(|pwd[ \t]*:|mongodb(\+srv)?://[^/\s:@]+:[^/\s@]+@)"])
        .stays(Warning)
        .named(&["mongo-rc", "logins"])
        .back("write it again")
        .source("MongoDB, mongosh: .mongoshrc.js; mongo Shell, .mongorc.js")
        .example("db = connect('mongodb://fleet:VxGM6ngpNvcslrKnFfXyLZFP@db.example.net/x')\n"),
    rule("influx-configs", "token of InfluxDB", Secret)
        .at(&["~/.influxdbv2/configs", "/etc/influxdb2/influx-configs", "~/.influxdbv2/credentials"])
        .stays(Warning)
        .named(&["influx-configs", "logins"])
        .back("`influx config create`")
        .source("influxdata/influx-cli, config/config.go, cmd/influx/config.go")
        .example(
            "[default]\n  url = \"http://localhost:8086\"\n  token = \
             \"Zx2LrT9wKd4sHb8nK36pVcTsI7Ol9Cx2WNIdpb==\"\n  org = \"fleet\"\n",
        ),
    rule("cqlshrc", "password of Cassandra", Secret)
        .at(&["~/.cassandra/cqlshrc", "~/.cassandra/credentials"])
        .with_text(&[r"^\s*password[ \t]*=[ \t]*\S+"])
        .stays(Warning)
        .named(&["cqlshrc", "logins"])
        .back("write it again")
        .source("Apache Cassandra, cqlsh: cqlshrc, credentials")
        .example("[authentication]\nusername = fleet\npassword = QxPK5OkjqhMpd8qo1sGZMQvT\n"),
    rule("account-copies-by-hand", "a copy of the accounts that an editor or a person left", Secret)
        .at(&[
            "/etc/shadow~",
            "/etc/passwd~",
            "/etc/group~",
            "/etc/gshadow~",
            "/etc/shadow.*",
            "/etc/passwd.*",
            "/etc/gshadow.*",
            "/etc/group.*",
            "/etc/.shadow.sw*",
            "/etc/.passwd.sw*",
            "/root/shadow*",
            "/root/passwd*",
            "~/shadow",
            "~/shadow.*",
            "~/passwd.bak",
            "/var/backups/*shadow*",
        ])
        .with_text(&[r"^[a-z_][\w-]*:[^:\s]*:\d*"])
        .removed(Warning)
        .named(&["account-copies-by-hand", "account-copies"])
        .back("not needed again")
        .source("vipw(8); passwd(5), shadow(5); nano(1), backup and emergency save")
        .example("pi:$y$j9T$OxVm7cLd1pHs6yWb$A8NutFuLjMJT6UKPKfO07:20000:0:99999:7:::\n"),
    rule("old-passwords", "hashes of passwords that users had before", Secret)
        .at(&["/etc/security/opasswd"])
        .with_text(&[r"^[^:\n]+:\d*:\d+:\S+"])
        .emptied(Warning)
        .named(&["old-passwords", "account-copies"])
        .back("pam_pwhistory fills it anew")
        .source("pam_pwhistory(8), FILES; pam_unix(8), remember=")
        .example("pi:1000:1:$y$j9T$PbSd5fJx4nWq8Zt$EGeUvqtISfb1BbvXttBT\n"),
    rule("database-server-passwords", "the password of a database server or of a name server, in its settings", Secret)
        .at(&[
            "/etc/redis/*.conf",
            "/etc/redis.conf",
            "/etc/valkey/*.conf",
            "/opt/couchdb/etc/local.ini",
            "/opt/couchdb/etc/local.d/*.ini",
            "/etc/couchdb/local.ini",
            "/etc/couchdb/local.d/*.ini",
            "/etc/powerdns/pdns.conf",
            "/etc/powerdns/pdns.d/*.conf",
        ])
        .with_text(&[
            r"^\s*(requirepass|masterauth|primaryauth)[ \t]+\S+",
            r"^\s*user[ \t]+\S+[ \t]+on\b.*[ \t][>#]\S+",
            r"^\s*(admin[ \t]*=[ \t]*\S{3,}|[\w.-]+[ \t]*=[ \t]*-(pbkdf2|hashed)-\S+)",
            r"^\s*g(mysql|pgsql)-password[ \t]*=[ \t]*\S+",
            r"^\s*api-key[ \t]*=[ \t]*\S+",
        ])
        .named_only()
        .named(&["database-server-passwords", "logins"])
        .back("wanted where every card has its own server with the same password")
        .source(
            "redis.conf, requirepass, masterauth, ACL; CouchDB docs, [admins]; PowerDNS docs, \
             gmysql-password, api-key",
        )
        .example("requirepass 2f95dt1M9CDrixtJPA3u89KZATaVpM0U\n"),
    rule("dbconfig-passwords", "database passwords that packages made for themselves", Secret)
        .at(&[
            "/etc/dbconfig-common/*.conf",
            "/etc/phpmyadmin/config-db.php",
            "/var/lib/phpmyadmin/blowfish_secret.inc.php",
        ])
        .with_text(&[
            r#"^\s*dbc_dbpass[ \t]*=[ \t]*["']?[^"'\s]+"#,
            r#"^\s*\$(dbpass|cfg\['blowfish_secret'\])[ \t]*=[ \t]*["'][^"']+"#,
        ])
        .named_only()
        .named(&["dbconfig-passwords", "logins"])
        .back("`dpkg-reconfigure phpmyadmin`: file and database must change together")
        .source("dbconfig-common docs, Configuration file; Debian phpmyadmin, README.Debian")
        .example("dbc_dbuser='phpmyadmin'\ndbc_dbpass='iaNIeJQETx0BTOUvtJrMfP4V'\n"),
];

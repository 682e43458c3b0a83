//! Files that hold the name of the old machine.

use crate::prepare::Class::{Identity, Log};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "chromium-singleton",
        "lock of a running Chromium that names the old host: under a new name the browser does not start, a \
         kiosk stays black",
        Identity,
    )
    .at(&[
        "~/.config/chromium/SingletonLock",
        "~/.config/chromium*/SingletonLock",
        "~/.config/chromium*/SingletonCookie",
        "~/.config/chromium*/SingletonSocket",
        "~/.config/google-chrome*/SingletonLock",
        "~/.config/google-chrome*/SingletonCookie",
        "~/.config/google-chrome*/SingletonSocket",
        "~/.config/*/SingletonLock",
        "~/.config/*/SingletonCookie",
        "~/.config/*/SingletonSocket",
        "~/.config/*/*/SingletonLock",
        "~/.config/*/*/SingletonCookie",
        "~/.config/*/*/SingletonSocket",
        "~/snap/*/common/*/SingletonLock",
        "~/snap/*/common/*/SingletonCookie",
        "~/snap/*/common/*/SingletonSocket",
        "~/snap/*/*/.config/*/SingletonLock",
        "~/snap/*/*/.config/*/SingletonCookie",
        "~/snap/*/*/.config/*/SingletonSocket",
        "~/.var/app/*/config/*/SingletonLock",
        "~/.var/app/*/config/*/SingletonCookie",
        "~/.var/app/*/config/*/SingletonSocket",
        "~/.var/app/*/data/*/*/SingletonLock",
        "~/.local/share/*/QtWebEngine/*/SingletonLock",
        "~/.cache/*/SingletonLock",
        "~/SingletonLock",
        "~/*/SingletonLock",
        "~/*/SingletonCookie",
        "~/*/SingletonSocket",
        "~/*/*/SingletonLock",
        "~/.*/SingletonLock",
        "~/.*/SingletonCookie",
        "~/.*/SingletonSocket",
        "/var/lib/*/SingletonLock",
        "/var/lib/*/*/SingletonLock",
        "/var/lib/*/.config/*/SingletonLock",
        "/var/lib/*/.config/*/SingletonCookie",
        "/var/lib/*/.config/*/SingletonSocket",
        "/var/cache/*/SingletonLock",
        "/var/snap/*/common/*/SingletonLock",
        "/var/snap/*/common/*/SingletonCookie",
        "/var/snap/*/common/*/SingletonSocket",
        "/opt/*/SingletonLock",
        "/opt/*/*/SingletonLock",
        "/opt/*/*/SingletonCookie",
        "/opt/*/*/SingletonSocket",
        "/srv/*/SingletonLock",
        "/data/*/SingletonLock",
    ])
    .there()
    .removed(Error)
    .named(&["chromium-singleton", "host-name"])
    .back("made anew when the browser starts")
    .source(
        "Chromium, chrome/browser/process_singleton_posix.cc; guysoft/FullPageOS issue 508; \
             jareware/chilipie-kiosk issue 179",
    )
    .example_link("kiosk-old-Yb6yMf0cJd9sHk2vNq8R-1234"),
    rule("firefox-lock", "lock of a running Firefox or Thunderbird, with the old address", Identity)
        .at(&[
            "~/.mozilla/firefox/*/lock",
            "~/.mozilla/firefox/*/.parentlock",
            "~/.mozilla/firefox-esr/*/lock",
            "~/.config/mozilla/firefox/*/lock",
            "~/.config/mozilla/firefox/*/.parentlock",
            "~/snap/firefox/common/.mozilla/firefox/*/lock",
            "~/snap/firefox/common/.mozilla/firefox/*/.parentlock",
            "~/.var/app/org.mozilla.firefox/.mozilla/firefox/*/lock",
            "~/.var/app/org.mozilla.firefox/.mozilla/firefox/*/.parentlock",
            "~/.var/app/org.mozilla.firefox/config/mozilla/firefox/*/lock",
            "~/.thunderbird/*/lock",
            "~/.thunderbird/*/.parentlock",
            "~/snap/thunderbird/common/.thunderbird/*/lock",
            "~/snap/thunderbird/common/.thunderbird/*/.parentlock",
            "~/.var/app/org.mozilla.Thunderbird/.thunderbird/*/lock",
            "~/.librewolf/*/lock",
            "~/.librewolf/*/.parentlock",
            "~/.config/librewolf/librewolf/*/lock",
            "~/.waterfox/*/lock",
            "~/.waterfox/*/.parentlock",
            "~/.zotero/zotero/*/lock",
            "~/.zen/*/lock",
            "~/.mozilla/seamonkey/*/lock",
            "~/*/.parentlock",
            "/var/lib/*/.mozilla/firefox/*/lock",
        ])
        .there()
        .removed(Warning)
        .named(&["firefox-lock", "host-name"])
        .back("made anew when the browser starts")
        .source(
            "Firefox, toolkit/profile/nsProfileLock.cpp (LockWithSymlink, .parentlock); mozillaZine, Profile \
             in use",
        )
        .example_link("127.0.1.1:+1234"),
    rule("other-host-locks", "lock that names the old host: the program asks or refuses under a new name", Identity)
        .at(&[
            "~/.config/libreoffice/*/user/.lock",
            "~/.config/libreoffice/*/.lock",
            "~/.~lock.*#",
            "~/*/.~lock.*#",
            "~/*/*/.~lock.*#",
            "~/.#*",
            "~/*/.#*",
            "~/.emacs.d/.#*",
            "/etc/.#*",
            "/etc/*/.#*",
            "/opt/*/.#*",
            "~/.gnupg/.#lk*",
            "~/.kde/socket-*",
            "~/.kde/tmp-*",
            "~/.kde/cache-*",
            "~/.kde4/socket-*",
            "~/.kde4/tmp-*",
            "~/.kde4/cache-*",
            "~/.cache/borg/*/lock.exclusive",
            "~/.cache/borg/*/lock.roster",
            "~/.keychain/*",
        ])
        .removed(Note)
        .named(&["other-host-locks", "host-name"])
        .back("made anew")
        .source(
            "LibreOffice, .~lock.<name># and user/.lock; Emacs manual, Interlocking (.#name is a link to \
             user@host.pid); GnuPG, common/dotlock.c; borg, src/borg/locking.py; bleachbit, cleaners/kde.xml; \
             keychain(1)",
        )
        .example("[Lockcheck]\nUser=pi\nHost=kiosk-old-qYZLVsfFFeY6jrhq3hpD\nStamp=ABC\nIPCServer=true\n"),
    rule("vnc-host-named-files", "logs of a VNC server, in files that are named after the old host", Log)
        .at(&["~/.vnc/*.log", "~/.vnc/*.pid", "~/.config/tigervnc/*.pid", "~/.local/state/tigervnc/*.log"])
        .removed(Note)
        .named(&["vnc-host-named-files", "host-name", "logs"])
        .back("made anew")
        .source("vncserver(1), FILES: ~/.vnc/<host>:<display>.log, .pid; TigerVNC, unix/vncserver/vncserver.in")
        .example("Xvnc TigerVNC kiosk-old:1 AwOdCKd39rScZrGocaNlPoCz\n"),
    rule("mailname", "the name under which mail leaves the machine: the old one", Identity)
        .at(&["/etc/mailname"])
        .with_host_name()
        .named(&["mailname", "host-name"])
        .back("write the card's own name into it, or remove it before `dpkg-reconfigure`")
        .source("mailname(5); Debian Policy, 11.6")
        .example("kiosk-old.bz9tqn3xvm7cld1prk2v.example.net\n"),
    rule("mail-server-names", "the old host name in a mail server's settings", Identity)
        .at(&[
            "/etc/postfix/main.cf",
            "/etc/exim4/update-exim4.conf.conf",
            "/etc/ssmtp/ssmtp.conf",
            "/etc/nullmailer/me",
            "/etc/nullmailer/defaultdomain",
            "/etc/nullmailer/helohost",
            "/etc/dma/dma.conf",
            "/etc/msmtprc",
            "/etc/mail/sendmail.mc",
            "/etc/mail/local-host-names",
            "/etc/opensmtpd/mailname",
            "/etc/aliases",
        ])
        .with_host_name()
        .named(&["mail-server-names", "host-name"])
        .back("`postconf -e myhostname=…` or `dpkg-reconfigure exim4-config` on the card")
        .source(
            "postconf(5), myhostname; update-exim4.conf(8), dc_other_hostnames; nullmailer-send(8), me; \
             ssmtp.conf(5), Hostname",
        )
        .example("myhostname = kiosk-old.Cx4nWq8Ztr2vYb6kPm7d.example.net\nmydestination = $myhostname, localhost\n"),
    rule("avahi-host-name", "a fixed name for the local network: all cards would answer to it", Identity)
        .at(&["/etc/avahi/avahi-daemon.conf", "/etc/avahi/hosts", "/etc/avahi/services/*.service"])
        .with_host_name()
        .named(&["avahi-host-name", "host-name"])
        .back("remove the line: avahi then uses the card's own name")
        .source("avahi-daemon.conf(5), host-name=; avahi.hosts(5); avahi.service(5), <name>, <host-name>")
        .example("[server]\nhost-name=kiosk-old\ndomain-name=Dm0cSd5fJx4nWq8zKb3r.example\nuse-ipv4=yes\n"),
    rule(
        "monitoring-host-names",
        "the old host name in the settings of a program that reports: all cards would report as one",
        Identity,
    )
    .at(&[
        "/etc/telegraf/telegraf.conf",
        "/etc/telegraf/telegraf.d/*",
        "/etc/collectd/collectd.conf",
        "/etc/collectd/collectd.conf.d/*",
        "/etc/munin/munin-node.conf",
        "/etc/munin/munin.conf",
        "/etc/snmp/snmpd.conf",
        "/etc/prometheus/*.yml",
        "/etc/promtail/*",
        "/etc/alloy/*",
        "/etc/grafana-agent.yaml",
        "/etc/fluent-bit/*",
        "/etc/td-agent/*",
        "/etc/vector/*",
        "/etc/filebeat/filebeat.yml",
        "/etc/metricbeat/metricbeat.yml",
        "/etc/zabbix/*.conf",
        "/etc/zabbix/*.d/*",
        "/etc/nagios/nrpe.cfg",
        "/etc/nagios/nrpe.d/*",
        "/etc/icinga2/constants.conf",
        "/etc/icinga2/zones.conf",
        "/etc/monit/monitrc",
        "/etc/monit/conf.d/*",
        "/etc/netdata/netdata.conf",
        "/etc/ganglia/gmond.conf",
        "/etc/rsyslog.conf",
        "/etc/rsyslog.d/*",
        "/etc/syslog-ng/syslog-ng.conf",
        "/etc/syslog-ng/conf.d/*",
        "/etc/glances/glances.conf",
        "/etc/vnstat.conf",
        "/etc/default/telegraf",
        "/etc/default/prometheus-node-exporter",
        "/etc/default/beszel*",
        "/etc/systemd/journal-upload.conf",
    ])
    .with_host_name()
    .named(&["monitoring-host-names", "host-name"])
    .back("leave the name out: these programs then use the card's own")
    .source(
        "Telegraf, Agent settings: hostname; collectd.conf(5), Hostname, FQDNLookup; munin-node.conf(5), \
             host_name; snmpd.conf(5), sysName; zabbix_agentd, Hostname; Icinga 2, constants.conf NodeName",
    )
    .example("[agent]\n  interval = \"10s\"\n  hostname = \"kiosk-old\"\n# Ed5fJx4nWq8ZtR2vKm7p\n"),
    rule("service-host-names", "the old host name in the settings of a service", Identity)
        .at(&[
            "/etc/samba/smb.conf",
            "/etc/cups/cupsd.conf",
            "/etc/cups/cups-browsed.conf",
            "/etc/cups/cups-files.conf",
            "/etc/apache2/sites-available/*",
            "/etc/apache2/apache2.conf",
            "/etc/apache2/conf-available/*",
            "/etc/nginx/sites-available/*",
            "/etc/nginx/conf.d/*",
            "/etc/nginx/nginx.conf",
            "/etc/lighttpd/lighttpd.conf",
            "/etc/lighttpd/conf-available/*",
            "/etc/caddy/Caddyfile",
            "/etc/minidlna.conf",
            "/etc/shairport-sync.conf",
            "/etc/raspotify/conf",
            "/etc/default/raspotify",
            "/etc/default/squeezelite",
            "/etc/spotifyd.conf",
            "/etc/mpd.conf",
            "/etc/mosquitto/mosquitto.conf",
            "/etc/mosquitto/conf.d/*",
            "/etc/dnsmasq.conf",
            "/etc/dnsmasq.d/*",
            "/etc/dhcp/dhclient.conf",
            "/etc/dhcpcd.conf",
            "/etc/krb5.conf",
            "/etc/sssd/sssd.conf",
            "/etc/wsdd.conf",
            "/etc/default/wsdd",
            "/etc/default/wsdd2",
            "/etc/wsdd-server/defaults",
            "/etc/mdadm/mdadm.conf",
            "/etc/lvm/lvmlocal.conf",
            "/etc/nut/*.conf",
            "/etc/motion/motion.conf",
            "/etc/xrdp/xrdp.ini",
            "/etc/motd",
            "/etc/issue",
            "/etc/issue.d/*",
            "/etc/update-motd.d/*",
            "/etc/ssh/ssh_known_hosts",
            "/etc/hosts.allow",
            "/etc/exports",
            "/etc/netatalk/afp.conf",
            "/etc/afp.conf",
            "/etc/proftpd/proftpd.conf",
            "/etc/vsftpd.conf",
            "/etc/default/tor",
            "/etc/tinc/*/tinc.conf",
            "/etc/hostapd/hostapd.conf",
            "/etc/logwatch/conf/*",
            "/etc/apt/apt.conf.d/50unattended-upgrades",
            "/etc/lightdm/lightdm.conf",
            "/etc/landscape/client.conf",
        ])
        .with_host_name()
        .named(&["service-host-names", "host-name"])
        .back("write the card's own name, or leave the name out")
        .source(
            "smb.conf(5), netbios name; cupsd.conf(5), ServerName, ServerAlias; minidlna.conf(5), \
             friendly_name; dhclient.conf(5), send host-name; mdadm.conf(5), HOMEHOST; afp.conf(5), hostname",
        )
        .example("[global]\n  workgroup = OFFICE\n  netbios name = KIOSK-OLD\n  comment = Fx4nWq8ZtR2vKm7pLd0c\n"),
    rule("hosts-file-names", "the old host name in the list of names", Identity)
        .at(&[
            "/etc/hosts.*",
            "/etc/cloud/templates/hosts.*.tmpl",
            "/etc/hostname.*",
            "/etc/HOSTNAME",
            "/etc/myname",
            "/etc/nodename",
            "/etc/machine-info",
            "/etc/sysconfig/network",
        ])
        .with_host_name()
        .named(&["hosts-file-names", "host-name"])
        .back("not needed, or write the card's own name")
        .source("hosts(5); machine-info(5), PRETTY_HOSTNAME; cloud-init, Update Etc Hosts")
        .example("PRETTY_HOSTNAME=\"kiosk-old\"\nLOCATION=\"Gb5kRz9TqN3xVm7cPq4d\"\n"),
    rule("host-named-state", "measurements and state in folders that are named after the old host", Log)
        .at(&[
            "/var/lib/collectd/rrd/*",
            "/var/lib/collectd/csv/*",
            "/var/lib/munin/*",
            "/var/lib/ganglia/rrds/*",
            "/var/lib/rrdcached/db/*",
            "/var/lib/pcp/pmlogger/*",
        ])
        .stays(Note)
        .named(&["host-named-state", "host-name", "logs"])
        .back("made anew under the new name")
        .source(
            "collectd.conf(5), rrdtool plugin: <DataDir>/<host>; munin.conf(5), dbdir; pmlogger_daily(1), \
             <host> folders",
        )
        .example_in("cpu-0/cpu-idle.rrd", "RRD\x000003 kiosk-old HnBHGSjQxFskxR4FIgsIYyls"),
];

//! Version control and package registries.

use crate::prepare::Class::Secret;
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "netrc",
        "passwords of curl, git, ftp and their like",
        Secret,
    )
    .at(&["~/.netrc", "~/.authinfo"])
    .stays(Warning)
    .named(&["netrc", "logins"])
    .back("write the file again on each card that needs it")
    .source("curl(1), --netrc; netrc(5); Emacs auth-source, auth-sources")
    .example("machine api.example.net login fleet password SS9dhbZnhnZ3dlyEVisskl\n"),
    rule(
        "git-credentials",
        "passwords and tokens of git remotes, in plain text",
        Secret,
    )
    .at(&["~/.git-credentials", "~/.config/git/credentials"])
    .stays(Warning)
    .named(&["git-credentials", "logins"])
    .back("git asks again at the next push or fetch, or use a deploy key per card")
    .source("git-credential-store(1), FILES")
    .example("https://fleet:JxL88nSLwOKG1ZUdt5VMDjrh@git.example.net\n"),
    rule(
        "gitconfig-token",
        "a token or password inside git's settings",
        Secret,
    )
    .at(&["~/.gitconfig", "~/.config/git/config", "/etc/gitconfig"])
    .with_text(&[
        r"^\s*(token|oauth-?token|password|apikey)[ \t]*=[ \t]*\S{8,}", r"://[^/\s:@]+:[^/\s@]+@",
        r"extraheader[ \t]*=.*authorization:",
    ])
    .named_only()
    .named(&["gitconfig-token", "logins"])
    .back("set it again with `git config` where it is needed")
    .source("git-config(1), http.extraHeader, url.<base>.insteadOf, FILES")
    .example("[url \"https://fleet:TzYCUOEjQ6dQO2ufL8jCcZjV@git.example.net/\"]\n\tinsteadOf = \
             https://git.example.net/\n"),
    rule(
        "git-remote-token",
        "a token inside the remote address of a checked out repository",
        Secret,
    )
    .at(&["~/*/.git/config", "~/*/*/.git/config", "/opt/*/.git/config", "/srv/*/.git/config", "/var/www/*/.git/config"])
    .with_text(&[r"://[^/\s:@]+:[^/\s@]+@", r"extraheader[ \t]*=.*authorization:"])
    .stays(Warning)
    .named(&["git-remote-token", "logins"])
    .back("`git remote set-url` with the token of the card")
    .source("git-clone(1), GIT URLS; git-config(1), remote.<name>.url")
    .example("[remote \"origin\"]\n\turl = https://deploy:HkO4Zt230lS42Dtra0QPGOkZ@git.example.net/kiosk.git\n"),
    rule(
        "gh",
        "GitHub's command line is logged in",
        Secret,
    )
    .at(&["~/.config/gh/hosts.yml", "~/snap/gh/*/.config/gh/hosts.yml"])
    .stays(Warning)
    .named(&["gh", "logins"])
    .back("`gh auth login`")
    .source("cli/cli, internal/config/config.go (hosts.yml, oauth_token)")
    .example("github.com:\n    user: fleet\n    oauth_token: gho_Rb7tXwfKTQzB8Kx3obwzwUDdLoKO\n    \
             git_protocol: https\n"),
    rule(
        "hub",
        "GitHub token of the tool hub",
        Secret,
    )
    .at(&["~/.config/hub"])
    .stays(Warning)
    .named(&["hub", "logins"])
    .back("hub asks again")
    .source("mislav/hub, github/config.go")
    .example("github.com:\n- user: fleet\n  oauth_token: 4nWq8ZtRWqEHfM7EuTX4cjCCrYQ7PM\n  protocol: https\n"),
    rule(
        "glab",
        "GitLab's command line is logged in",
        Secret,
    )
    .at(&["~/.config/glab-cli/config.yml"])
    .stays(Warning)
    .named(&["glab", "logins"])
    .back("`glab auth login`")
    .source("gitlab-org/cli, internal/config; `glab auth logout` names ~/.config/glab-cli/config.yml")
    .example("hosts:\n    gitlab.com:\n        token: glpat-e2OnxQPUpA0aBjz93J0n\n        user: fleet\n"),
    rule(
        "npmrc",
        "token or password of an npm registry",
        Secret,
    )
    .at(&[
        "~/.npmrc", "~/*/.npmrc", "/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc", "/opt/*/.npmrc",
        "/srv/*/.npmrc",
    ])
    .with_text(&[r"(_authToken|_auth|_password)[ \t]*=[ \t]*[^\s$]{6,}"])
    .stays(Warning)
    .named(&["npmrc", "logins"])
    .back("`npm login`, or a read-only token per card")
    .source("npm, npmrc(5), Auth related configuration")
    .example("//registry.npmjs.org/:_authToken=npm_Kd4sHbLRdzKZHP6Y4Fq4Xmg28Xty\n"),
    rule(
        "yarnrc",
        "token of a registry for Yarn",
        Secret,
    )
    .at(&["~/.yarnrc.yml", "~/.yarnrc", "~/*/.yarnrc.yml", "/opt/*/.yarnrc.yml"])
    .with_text(&[
        r#"(npmAuthToken|npmAuthIdent|npmRegistries.*npmAuthToken)["']?:?[ \t]+["']?[^\s"'$]{6,}"#, r"_authToken",
    ])
    .stays(Warning)
    .named(&["yarnrc", "logins"])
    .back("`yarn npm login`")
    .source("Yarn, yarnrc.yml: npmAuthToken, npmAuthIdent")
    .example("npmRegistryServer: \"https://npm.example.net\"\nnpmAuthToken: \"Xw3ZqLqltBxLn5iRRTbmN9QxGHkV\"\n"),
    rule(
        "pypirc",
        "password or token for uploads to PyPI",
        Secret,
    )
    .at(&["~/.pypirc"])
    .stays(Warning)
    .named(&["pypirc", "logins"])
    .back("nothing on a card uploads to PyPI; write it again where something does")
    .source("Python Packaging User Guide, The .pypirc file; pypa/twine")
    .example("[pypi]\nusername = __token__\npassword = pypi-AgEIcHlwaS5vcmcCDwuLdn2A9hk1ffwSc5P97N\n"),
    rule(
        "pip-conf",
        "password inside the package index address of pip",
        Secret,
    )
    .at(&["~/.config/pip/pip.conf", "~/.pip/pip.conf", "/etc/pip.conf", "/etc/xdg/pip/pip.conf"])
    .with_text(&[r"://[^/\s:@]+:[^/\s@]+@", r"://[^/\s:@]{16,}@"])
    .stays(Warning)
    .named(&["pip-conf", "logins"])
    .back("write the address again, or keep the password in a keyring")
    .source("pip, Configuration: Location; Authentication: Basic HTTP authentication")
    .example("[global]\nextra-index-url = https://fleet:WbpCxUcG63AXoShnBQN4cIA5@pypi.example.net/simple\n"),
    rule(
        "poetry-auth",
        "token or password of a package index for Poetry",
        Secret,
    )
    .at(&["~/.config/pypoetry/auth.toml"])
    .stays(Warning)
    .named(&["poetry-auth", "logins"])
    .back("`poetry config http-basic.<name>` or `pypi-token.<name>` again")
    .source("Poetry, Repositories: Configuring credentials")
    .example("[http-basic.internal]\nusername = \"fleet\"\npassword = \"QnqsXKfafMm2peAoRzYopVkZ\"\n"),
    rule(
        "conda-token",
        "token of an Anaconda account",
        Secret,
    )
    .at(&["~/.continuum/anaconda-client/tokens/*", "~/.local/share/anaconda-client/tokens/*"])
    .stays(Warning)
    .named(&["conda-token", "logins"])
    .back("`anaconda login`")
    .source("mamba and anaconda-client: ~/.continuum/anaconda-client/tokens")
    .example("fl-4b7f2c90-sODazSbUE9U1KG10nKJa"),
    rule(
        "gem-credentials",
        "API key for RubyGems",
        Secret,
    )
    .at(&["~/.gem/credentials", "~/.local/share/gem/credentials"])
    .stays(Warning)
    .named(&["gem-credentials", "logins"])
    .back("`gem signin`")
    .source("rubygems, lib/rubygems/config_file.rb, credentials_path")
    .example("---\n:rubygems_api_key: rubygems_5c1Xw3ZqLNSwU30fsUAMEKdxSpLKRAB\n"),
    rule(
        "bundle-config",
        "password of a gem source for Bundler",
        Secret,
    )
    .at(&["~/.bundle/config", "~/*/.bundle/config", "/opt/*/.bundle/config"])
    .with_text(&[r#"^BUNDLE_\w+:[ \t]*["']?\S+:\S+"#, r"BUNDLE_GITHUB__COM"])
    .stays(Warning)
    .named(&["bundle-config", "logins"])
    .back("`bundle config set` with the credentials again")
    .source("bundle-config(1), CREDENTIALS FOR GEM SOURCES")
    .example("---\nBUNDLE_GEMS__EXAMPLE__NET: \"fleet:YbCGYaM42MrRSfBtQYuYYv2F\"\n"),
    rule(
        "cargo-credentials",
        "token of crates.io or another Cargo registry",
        Secret,
    )
    .at(&["~/.cargo/credentials.toml", "~/.cargo/credentials"])
    .stays(Warning)
    .named(&["cargo-credentials", "logins"])
    .back("`cargo login`")
    .source("The Cargo Book, Configuration: Credentials")
    .example("[registry]\ntoken = \"cioRk2vNKWy6KTVbHqTi9USETpxnPl\"\n"),
    rule(
        "composer-auth",
        "tokens and passwords of package sources for Composer",
        Secret,
    )
    .at(&[
        "~/.config/composer/auth.json", "~/.composer/auth.json", "~/*/auth.json", "/var/www/*/auth.json",
        "/srv/*/auth.json",
    ])
    .with_text(&[
        r#""(http-basic|github-oauth|gitlab-token|gitlab-oauth|bitbucket-oauth|bearer|custom-headers)"\s*:\s*\{\s*""#,
    ])
    .stays(Warning)
    .named(&["composer-auth", "logins"])
    .back("`composer config --global --auth` again")
    .source("Composer, Authentication for privately hosted packages")
    .example("{\"github-oauth\":{\"github.com\":\"ghp_Nq8RzWBt20woyezN9RjOqfF72QbO\"}}\n"),
    rule(
        "maven-settings",
        "passwords of repositories for Maven",
        Secret,
    )
    .at(&["~/.m2/settings.xml", "/etc/maven/settings.xml"])
    .with_text(&[r"<(password|passphrase|privateKey)>[^<$]"])
    .stays(Warning)
    .named(&["maven-settings", "logins"])
    .back("write the servers section again")
    .source("Maven, Settings Reference: Servers")
    .example("<settings><servers><server><id>r</id><username>fleet</username><password>rZxLeRl8gKBeGbSbUzt7yl</\
             password></server></servers></settings>\n"),
    rule(
        "maven-security",
        "master password of Maven, which opens the passwords in settings.xml",
        Secret,
    )
    .at(&["~/.m2/settings-security.xml", "~/.m2/settings-security4.xml"])
    .stays(Warning)
    .named(&["maven-security", "logins"])
    .back("`mvn --encrypt-master-password`, then encrypt the others again")
    .source("Maven, Password Encryption")
    .example("<settingsSecurity><master>{jSMOWnoPFgCOU798xxaekugQlAaDE11N+9EF1iFQyJQ=}</master></settingsSecuri\
             ty>\n"),
    rule(
        "gradle-properties",
        "passwords and tokens in Gradle's settings",
        Secret,
    )
    .at(&["~/.gradle/gradle.properties"])
    .with_text(&[r"^\s*[\w.-]*(password|token|secret|apikey)[\w.-]*[ \t]*=[ \t]*\S+"])
    .stays(Warning)
    .named(&["gradle-properties", "logins"])
    .back("write the properties again")
    .source("Gradle, Build Environment: Gradle properties; Declaring repositories: Password credentials")
    .example("mySecureRepositoryUsername=fleet\nmySecureRepositoryPassword=Lmnaa67bAMpZFbKLDiE4wzmJ\n"),
    rule(
        "nuget-config",
        "passwords and API keys of package sources for NuGet",
        Secret,
    )
    .at(&["~/.nuget/NuGet/NuGet.Config", "~/.config/NuGet/NuGet.Config"])
    .with_text(&[r#"(ClearTextPassword|<apikeys>|key="Password")"#])
    .stays(Warning)
    .named(&["nuget-config", "logins"])
    .back("`dotnet nuget update source` with the password again")
    .source("NuGet, nuget.config reference: packageSourceCredentials, apikeys; Common NuGet configurations")
    .example("<configuration><packageSourceCredentials><feed><add key=\"Username\" value=\"fleet\"/><add \
             key=\"ClearTextPassword\" value=\"TbYIGrAGW0XBH28Lhn6uVf44\"/></feed></packageSourceCredentials><\
             /configuration>\n"),
];

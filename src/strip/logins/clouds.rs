//! Clouds.

use crate::prepare::Class::{Log, Secret};
use crate::strip::expressions::PRIVATE_KEY;
use crate::strip::rule::Severity::{Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("kubeconfig", "keys or tokens of a Kubernetes cluster", Secret)
        .at(&[
            "~/.kube/config",
            "~/.kube/*.yaml",
            "~/.kube/*.yml",
            "~/.kube/*.conf",
            "~/.kube/configs/*",
            "~/.kube/config.d/*",
        ])
        .stays(Warning)
        .named(&["kubeconfig", "logins"])
        .back("fetch the kubeconfig again from the cluster")
        .source("Kubernetes, Organizing Cluster Access Using kubeconfig Files")
        .example(
            "apiVersion: v1\nkind: Config\nusers:\n- name: fleet\n  user:\n    token: \
             eyJhbGciOiJSUzI1NiIsImtpZbg5shb8AqMtNSfsTKalDgH\n",
        ),
    rule(
        "kube-cache",
        "answers of a Kubernetes cluster that kubectl keeps, by the cluster's address; and sign-in tokens",
        Secret,
    )
    .at(&["~/.kube/cache", "~/.kube/http-cache"])
    .removed(Note)
    .named(&["kube-cache", "logins"])
    .back("kubectl makes it anew")
    .source("kubectl, --cache-dir; kubelogin, token cache in ~/.kube/cache/oidc-login")
    .example_in(
        "oidc-login/4f2c90ab",
        "{\"id_token\":\"eyJhbGciOiJSUzI1NiJ9.Wbn8uDOSzoRYZGjRl4cMdmYE\",\"refresh_token\":\"Zt6vQx2RnW8kY\
             b4mLd0c\"}",
    ),
    rule("helm", "passwords of chart repositories and registries for Helm", Secret)
        .at(&[
            "~/.config/helm/repositories.yaml",
            "~/.config/helm/registry/config.json",
            "~/.helm/repository/repositories.yaml",
        ])
        .with_text(&[r"^\s*(password|bearer_?token):[ \t]*\S+", r#""auth"\s*:"#])
        .stays(Warning)
        .named(&["helm", "logins"])
        .back("`helm repo add --username` or `helm registry login`")
        .source("helm, pkg/cli/environment.go (HELM_REPOSITORY_CONFIG, HELM_REGISTRY_CONFIG)")
        .example(
            "apiVersion: \"\"\nrepositories:\n- name: r\n  url: https://charts.example.net\n  username: \
             fleet\n  password: RzUBu8UzuVXM1UMXWlxqakYt\n",
        ),
    rule("docker-login", "passwords of container registries", Secret)
        .at(&[
            "~/.docker/config.json",
            "~/.dockercfg",
            "~/snap/docker/*/.docker/config.json",
            "/var/lib/kubelet/config.json",
            "/etc/docker/config.json",
        ])
        .with_text(&[r#""(auth|identitytoken|registrytoken|password)"\s*:\s*"[^"]"#])
        .stays(Warning)
        .named(&["docker-login", "docker", "logins"])
        .back("`docker login`")
        .source("docker login, Credential stores; Kubernetes, Pull an image: /var/lib/kubelet/config.json")
        .example("{\"auths\":{\"registry.example.net\":{\"auth\":\"ZmxlZXQ6VnE3bVp4Ndgzk74WijKrs7c1FttpA9==\"}}}\n"),
    rule("containers-auth", "passwords of container registries for podman, buildah and skopeo", Secret)
        .at(&["~/.config/containers/auth.json", "/etc/containers/auth.json"])
        .stays(Warning)
        .named(&["containers-auth", "logins"])
        .back("`podman login`")
        .source("containers-auth.json(5)")
        .example("{\"auths\":{\"quay.io\":{\"auth\":\"ZmxlZXQ6S2Q0c0hiZdUdDufqvTu2k2m1lrEOcV==\"}}}\n"),
    rule("rclone", "passwords and tokens of cloud storage for rclone; its passwords are only obscured", Secret)
        .at(&["~/.config/rclone/rclone.conf", "~/.rclone.conf", "/etc/rclone/rclone.conf", "/etc/rclone.conf"])
        .stays(Warning)
        .named(&["rclone", "logins"])
        .back("`rclone config reconnect`, or a remote per card")
        .source("rclone, docs/content/docs.md, --config")
        .example(
            "[store]\ntype = drive\ntoken = {\"access_token\":\"ya29.a0Nqb6NPFIXbHUeSUSnhOdEnEl\",\"refresh_to\
             ken\":\"1//0gLm0cSd5fJx4nWq8\"}\n",
        ),
    rule("gcloud", "Google Cloud logins and service account keys", Secret)
        .at(&[
            "~/.config/gcloud/application_default_credentials.json",
            "~/.config/gcloud/credentials.db",
            "~/.config/gcloud/access_tokens.db",
            "~/.config/gcloud/legacy_credentials",
            "~/snap/google-cloud-*/*/.config/gcloud/credentials.db",
        ])
        .stays(Warning)
        .named(&["gcloud", "logins"])
        .back("`gcloud auth login`, `gcloud auth application-default login`, or workload identity federation")
        .source("Google Cloud, How Application Default Credentials works; gcloud auth login")
        .example(
            "{\"type\":\"authorized_user\",\"client_id\":\"32555940559.apps.googleusercontent.com\",\"refresh_\
             token\":\"1//0gSdjAj73IAlgywU0cJukD4QdN\"}\n",
        ),
    rule("google-service-account", "private key of a Google service account", Secret)
        .at(&[
            "~/*.json",
            "~/*/*.json",
            "/etc/*.json",
            "/etc/*/*.json",
            "/opt/*/*.json",
            "/srv/*/*.json",
            "/etc/google/auth/application_default_credentials.json",
        ])
        .with_text(&[r#""type"\s*:\s*"service_account""#])
        .stays(Warning)
        .named(&["google-service-account", "logins", "keys"])
        .back("a key of its own for each card, or workload identity federation")
        .source("Google Cloud, Create and delete service account keys")
        .example(
            "{\"type\":\"service_account\",\"private_key_id\":\"90ab4f2c\",\"private_key\":\"-----BEGIN \
             PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0mS8ENLsyA1RqzYhxTPT1KV\\n-----END PRIVATE \
             KEY-----\\n\"}\n",
        ),
    rule("azure", "Azure logins and secrets of service principals, in plain text", Secret)
        .at(&[
            "~/.azure/msal_token_cache.json",
            "~/.azure/msal_token_cache.bin",
            "~/.azure/service_principal_entries.json",
            "~/.azure/service_principal_entries.bin",
            "~/.azure/accessTokens.json",
            "~/.azure/AzureRmContext.json",
            "~/.azure/TokenCache.dat",
            "~/.IdentityService/*",
        ])
        .stays(Warning)
        .named(&["azure", "logins"])
        .back("`az login`, or a managed identity")
        .source("Microsoft Learn, MSAL-based Azure CLI; Azure/azure-cli issues 19707, 23911")
        .example("{\"RefreshToken\":{\"x\":{\"secret\":\"0.AXoAk2n1peLz9xYZevmFPRq38jXo\"}}}\n"),
    rule("azure-devops", "token of Azure DevOps", Secret)
        .at(&["~/.azure/azuredevops/personalAccessTokens"])
        .stays(Warning)
        .named(&["azure-devops", "logins"])
        .back("`az devops login`")
        .source("Azure CLI, azure-devops extension: PAT file where there is no keyring")
        .example("[azdevops-cli:default]\npersonal access token = Vm7cLdGUIIigkIeBs3umgnkbwAZX\n"),
    rule("aws-config-keys", "AWS keys in the AWS CLI's config file, where the credentials row does not look", Secret)
        .at(&["~/.aws/config", "/etc/aws/config", "/etc/aws/credentials"])
        .with_text(&[r"^\s*(aws_secret_access_key|aws_session_token|sso_.*token|credential_process)[ \t]*=[ \t]*\S+"])
        .stays(Warning)
        .named(&["aws-config-keys", "logins"])
        .back("the agent's own role, or `aws configure` on the card")
        .source("AWS CLI, Configuration and credential file settings: the config file may hold keys too")
        .example(
            "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = \
             wJalrXUtnFEMIK7MDENAET9ArQFn3l0amn67bTGft\n",
        ),
    rule("aws-credentials-person", "AWS keys that a person left", Secret)
        .at(&["~/.aws/credentials", "~/.aws/credentials.*", "~/.aws/credentials~", "~/snap/aws-cli/*/.aws/credentials"])
        .with_text(&[r"^\s*aws_secret_access_key[ \t]*=[ \t]*\S+"])
        .stays(Warning)
        .audited_as("aws-keys")
        .named(&["aws-credentials-person", "logins"])
        .back("the agent's own role, or `aws configure` on the card")
        .source("AWS CLI, Configuration and credential file settings")
        .example(
            "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = \
             Kd4sHb8nPcVq7mZxO9eSoT6cbAnp4ZeKhGtern\n",
        ),
    rule("aws-cli-caches", "temporary AWS keys and sign-in tokens of AWS tools", Secret)
        .at(&[
            "~/.aws/cli/cache",
            "~/.aws/sso/cache",
            "~/.aws/boto/cache",
            "~/.aws/login/cache",
            "~/snap/aws-cli/*/.aws/cli/cache",
        ])
        .removed(Warning)
        .named(&["aws-cli-caches", "logins"])
        .back("made anew by the next `aws sso login` or assumed role")
        .source("AWS CLI, cli/cache and sso/cache of botocore's JSONFileCache; `aws login`")
        .example_in("5d8c2f.json", "{\"Credentials\":{\"SessionToken\":\"IQoJb3JpZ2luX2lVqjzkw9eINTLsqsnozl11\"}}"),
    rule("aws-cli-history", "every command of the AWS CLI with its answers", Log)
        .at(&["~/.aws/cli/history"])
        .removed(Note)
        .named(&["aws-cli-history", "histories"])
        .back("made anew when cli_history is on")
        .source("AWS CLI, cli_history; `aws history`")
        .example_in("history.db", "SQLite format 3\0ssm put-parameter --value NqWzaIbTSLTt2eiKVQFi3DmU"),
    rule("oci", "API signing key and session token of Oracle Cloud", Secret)
        .at(&["~/.oci/config", "~/.oci/*.pem", "~/.oci/sessions/*/oci_api_key.pem", "~/.oci/sessions/*/token"])
        .with_text(&[PRIVATE_KEY, r"^\s*(key_file|pass_phrase|security_token_file)[ \t]*=[ \t]*\S+"])
        .stays(Warning)
        .named(&["oci", "logins"])
        .back("`oci setup config` or `oci session authenticate`")
        .source("oracle/oci-cli, src/oci_cli/cli_setup.py; OCI, SDK and CLI Configuration File")
        .example(
            "[DEFAULT]\nuser=ocid1.user.oc1..aaaaaaaaWbwd2vdFzlbEubsylub3nQwf\nkey_file=~/.oci/oci_api_key.pem\
             \npass_phrase=Lm0cSd5fJx4nWq8ZtR2v\n",
        ),
    rule("doctl", "token of DigitalOcean", Secret)
        .at(&["~/.config/doctl/config.yaml", "~/snap/doctl/*/.config/doctl/config.yaml"])
        .stays(Warning)
        .named(&["doctl", "logins"])
        .back("`doctl auth init`")
        .source("digitalocean/doctl, README.md, Configuring Default Values")
        .example("access-token: dop_v1_4f2c90abmiLUuLXvSjSIeJttsW3ji7\ncontext: default\n"),
    rule("hcloud", "token of Hetzner Cloud", Secret)
        .at(&["~/.config/hcloud/cli.toml"])
        .stays(Warning)
        .named(&["hcloud", "logins"])
        .back("`hcloud context create`")
        .source("hetznercloud/cli, docs/reference/configuration.md")
        .example(
            "active_context = \"fleet\"\n[[contexts]]\nname = \"fleet\"\ntoken = \
             \"Xw3ZqL9mVkAGoW3oISxRzs629xnnTpWi\"\n",
        ),
    rule("fly", "token and WireGuard keys of Fly.io", Secret)
        .at(&["~/.fly/config.yml"])
        .stays(Warning)
        .named(&["fly", "logins"])
        .back("`fly auth login`")
        .source("superfly/flyctl, helpers/config.go, internal/config/config.go")
        .example("access_token: fm2_lJPECAAAAAAABhYrE45RjDpINpzfb7mcyLx6gW\n"),
    rule("terraform", "tokens of Terraform registries and of HCP Terraform", Secret)
        .at(&[
            "~/.terraform.d/credentials.tfrc.json",
            "~/.terraformrc",
            "~/.config/opentofu/credentials.tfrc.json",
            "~/.tofurc",
        ])
        .stays(Warning)
        .named(&["terraform", "logins"])
        .back("`terraform login`")
        .source("hashicorp/terraform, internal/command/cliconfig/credentials.go, config_unix.go")
        .example(
            "{\"credentials\":{\"app.terraform.io\":{\"token\":\"n3xVm7cLd1pHs6.atlasv1.ymVZ5WQkSU3rIhX7kDdTj1\
             Y\"}}}\n",
        ),
    rule("terraform-state", "state of Terraform: it holds passwords and keys of what it made, in plain text", Secret)
        .at(&["~/*.tfstate", "~/*/*.tfstate", "~/*/*.tfstate.backup", "/opt/*/*.tfstate"])
        .stays(Warning)
        .named(&["terraform-state", "logins"])
        .back("use a remote backend")
        .source("Terraform, Manage sensitive data in state")
        .example(
            "{\"version\":4,\"resources\":[{\"instances\":[{\"attributes\":{\"password\":\"Ybj568Cth7UxrShZZxZ\
             9ITNj\"}}]}]}\n",
        ),
    rule("aws-vault", "long-lived AWS keys in aws-vault's file store", Secret)
        .at(&["~/.awsvault/keys"])
        .stays(Warning)
        .named(&["aws-vault", "logins"])
        .back("`aws-vault add`")
        .source("99designs/aws-vault, USAGE.md: --backend=file, AWS_VAULT_FILE_DIR; xdg-ninja, programs (.awsvault)")
        .example_in("fleet", "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJjdg8Qz5hTw2Xn7Rk4Vm"),
    rule("pulumi", "token of Pulumi", Secret)
        .at(&["~/.pulumi/credentials.json"])
        .stays(Warning)
        .named(&["pulumi", "logins"])
        .back("`pulumi login`")
        .source("Pulumi, pulumi login; sdk/go/common/workspace/creds.go")
        .example(
            "{\"current\":\"https://api.pulumi.com\",\"accessTokens\":{\"https://api.pulumi.com\":\"pul-4f2c90\
             SOLBfeJOOE0OGKkUCFt9Rn\"}}\n",
        ),
    rule("boto", "keys of Google or Amazon storage for gsutil and boto", Secret)
        .at(&["~/.boto", "/etc/boto.cfg", "~/.gsutil/credstore*"])
        .stays(Warning)
        .named(&["boto", "logins"])
        .back("`gsutil config`")
        .source("gsutil, config: boto configuration files")
        .example("[Credentials]\ngs_oauth2_refresh_token = 1//0gVmYHEIOEqHpfNjumn4lKuH2o\n"),
    rule("s3cfg", "keys of S3 storage for s3cmd", Secret)
        .at(&["~/.s3cfg", "~/.config/s3cfg", "/etc/s3cfg"])
        .stays(Warning)
        .named(&["s3cfg", "logins"])
        .back("`s3cmd --configure`")
        .source("s3tools/s3cmd, README.md; s3cmd --config")
        .example("[default]\naccess_key = AKIAIOSFODNN7EXAMPLE\nsecret_key = Rz9TqN3xVm7cLdrgTLdjSHjxQtw675CI3jDd\n"),
    rule("s3fs-passwd", "keys of S3 storage that is mounted with s3fs", Secret)
        .at(&["/etc/passwd-s3fs", "~/.passwd-s3fs"])
        .stays(Warning)
        .named(&["s3fs-passwd", "logins"])
        .back("write the file again, or use a role")
        .source("s3fs(1), passwd_file")
        .example("AKIAIOSFODNN7EXAMPLE:Cd1pHs6yWb5kRz9Ga6e0qWCzvIu6l5miVIPpj\n"),
    rule("minio-mc", "keys of S3 storage for the MinIO client", Secret)
        .at(&["~/.mc/config.json", "~/.mcli/config.json"])
        .stays(Warning)
        .named(&["minio-mc", "logins"])
        .back("`mc alias set`")
        .source("minio/mc, cmd/config.go (the folder has the name of the program)")
        .example(
            "{\"version\":\"10\",\"aliases\":{\"store\":{\"url\":\"https://s3.example.net\",\"accessKey\":\"fl\
             eet\",\"secretKey\":\"Tt0uIomp3TlYEYCtSjdaIUIM4KW5\"}}}\n",
        ),
    rule("b2", "key of Backblaze B2", Secret)
        .at(&["~/.b2_account_info", "~/.config/b2/account_info"])
        .stays(Warning)
        .named(&["b2", "logins"])
        .back("`b2 account authorize`")
        .source("b2-sdk-python, SqliteAccountInfo: ~/.b2_account_info, $XDG_CONFIG_HOME/b2/account_info")
        .example("SQLite format 3\0account account_key K004ZtCSwieQ13gzX80gx8jOiTea"),
    rule("cloud-sync", "login of a cloud folder (OneDrive, Dropbox, MEGA, Nextcloud, Google Drive)", Secret)
        .at(&[
            "~/.config/onedrive/refresh_token",
            "~/.config/onedrive-*/refresh_token",
            "~/.dropbox/host.db",
            "~/.dropbox/instance*/*",
            "~/.megaCmd/*",
            "~/.megarc",
            "~/.gdrive/*",
            "~/.gdfuse/*/state",
            "~/.config/Nextcloud/nextcloud.cfg",
            "~/.dropbox_uploader",
        ])
        .stays(Warning)
        .named(&["cloud-sync", "logins"])
        .back("log in again with the client of that service")
        .source(
            "abraunegg/onedrive, docs/usage.md (refresh_token); firejail, disable-programs.inc (.dropbox, \
             Nextcloud); Dropbox-Uploader README",
        )
        .example("M.C507_BAY.-Cq4aTtqljRapNktkbteG2tSIw3ab"),
    rule(
        "heroku-and-deploy",
        "logins of hosting services (Netlify, Vercel, Railway, Cloudflare, Firebase, ngrok)",
        Secret,
    )
    .at(&[
        "~/.config/netlify/config.json",
        "~/.netlify/config.json",
        "~/.local/share/com.vercel.cli/auth.json",
        "~/.railway/config.json",
        "~/.config/.wrangler/config/default.toml",
        "~/.wrangler/config/default.toml",
        "~/.config/configstore/firebase-tools.json",
    ])
    .stays(Warning)
    .named(&["heroku-and-deploy", "logins"])
    .back("log in again with each tool; Heroku keeps its own in ~/.netrc")
    .source(
        "Heroku CLI Authentication (netrc); Wrangler, getAuthConfigFilePath; ngrok, agent configuration \
             file (authtoken)",
    )
    .example("{\"authtoken\":\"2Nq8RzW4xTgno1DmIE7M9HgdoiiJvr91\"}"),
    rule("linode-scaleway-argocd", "tokens of Linode, Scaleway or Argo CD", Secret)
        .at(&["~/.config/linode-cli", "~/.config/scw/config.yaml", "~/.config/argocd/config", "~/.argocd/config"])
        .with_text(&[r#"^[\s-]*(token|secret_key|auth-token|refresh-token)[ \t]*[=:][ \t]*["']?\S{16,}"#])
        .stays(Warning)
        .named(&["linode-scaleway-argocd", "logins"])
        .back("log in again")
        .source(
            "linode-cli wiki, Configuration; Scaleway CLI docs, Config (~/.config/scw/config.yaml); argo-cd, \
             util/localconfig",
        )
        .example("[fleet]\ntoken = 9be9d4dcf12e9248ca3ef0d36d9935eed4e6c6c37c4de8cd8b8e74cd7b945a50\n"),
];

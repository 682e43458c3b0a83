//! The forms. Lengths and alphabets are those that gitleaks, trufflehog, detect-secrets and GitHub's secret scanning agree
//! on.

use super::form::Form;

const fn token(
    kind: &'static str,
    anchor: &'static str,
    expression: &'static str,
    entropy: f64,
    example: &'static [&'static str],
) -> Form {
    Form { kind, anchor, expression, word: None, entropy, is_key: false, example }
}

const fn key(
    kind: &'static str,
    anchor: &'static str,
    expression: &'static str,
    example: &'static [&'static str],
) -> Form {
    Form { kind, anchor, expression, word: None, entropy: 0.0, is_key: true, example }
}

impl Form {
    const fn beside(self, word: &'static str) -> Form {
        Form { word: Some(word), ..self }
    }
}

/// All of them.
pub const FORMS: &[Form] = &[
    key(
        "private key",
        "-----BEGIN ",
        // In JSON and shell its line breaks are written out.
        r"^-----BEGIN ([A-Z0-9]+ ){0,4}PRIVATE KEY( BLOCK)?-----(\s|\\r|\\n)+[A-Za-z0-9+/=:. ,\-]{8}",
        &[
            "-----BEGIN OPENSSH PRIV",
            "ATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ==\n-----END OPENSSH PRIV",
            "ATE KEY-----\n",
        ],
    ),
    key(
        "private key (PuTTY)",
        "PuTTY-User-Key-File-",
        r"^PuTTY-User-Key-File-[23]: \S",
        &["PuTTY-User-", "Key-File-3: ssh-ed25519\nEncryption: none\n"],
    ),
    key(
        "private key (OpenVPN)",
        "-----BEGIN OpenVPN",
        r"^-----BEGIN OpenVPN (Static key V1|tls-crypt-v2 client key)-----",
        &["-----BEGIN OpenVPN", " Static key V1-----\n6acef03f62675b4b1bbd03e53b187727\n"],
    ),
    key(
        "private key (age)",
        "AGE-SECRET-KEY-1",
        r"^AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
        &["AGE-SECRET", "-KEY-1QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE"],
    ),
    token("AWS access key", "AKIA", r"^AKIA[A-Z0-9]{16}(?:[^A-Za-z0-9_]|$)", 2.7, &["AKIA", "Q3EGRT5UVWXYZ2AB"]),
    token("AWS temporary key", "ASIA", r"^ASIA[A-Z0-9]{16}(?:[^A-Za-z0-9_]|$)", 2.7, &["ASIA", "Q3EGRT5UVWXYZ2CD"]),
    token(
        "GitHub token",
        "gh",
        r"^gh[pousr]_[A-Za-z0-9]{36,255}",
        3.7,
        &["gh", "p_Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4b"],
    ),
    token(
        "GitHub token",
        "github_pat_",
        r"^github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
        3.9,
        &["github", "_pat_11AZq7Xw4Tn6Ys8Lp1Bd3F_kR9Vc2Hm5Ju0GaQe4Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4Zq7Xw4T"],
    ),
    token(
        "GitLab token",
        "gl",
        r"^gl(pat|dt|rt|ft|soat|ptt|agent|oas|imt)-[A-Za-z0-9_\-]{20,}",
        3.0,
        &["gl", "pat-Zq7Xw4Tn6Ys8Lp1Bd3Fk"],
    ),
    token(
        "Slack token",
        "xox",
        r"^xox[abeprso]-[A-Za-z0-9\-]{20,}",
        3.0,
        &["xox", "b-2847159360-28471593604-Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc"],
    ),
    token(
        "Slack webhook",
        "hooks.slack.com/services/",
        r"^hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20,}",
        0.0,
        &["hooks.slack.com", "/services/T2847159A/B2847159B/Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc"],
    ),
    token("Stripe key", "k_live_", r"^k_live_[A-Za-z0-9]{20,}", 3.0, &["", "k_live_Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc"])
        .beside("k_live"),
    token("Google API key", "AIza", r"^AIza[A-Za-z0-9_\-]{35}", 3.9, &["AIza", "SyZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0Ga-"]),
    token(
        "Google OAuth secret",
        "GOCSPX-",
        r"^GOCSPX-[A-Za-z0-9_\-]{28}",
        3.0,
        &["GOCSPX", "-Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5"],
    ),
    token(
        "npm token",
        "npm_",
        r"^npm_[A-Za-z0-9]{36}(?:[^A-Za-z0-9_]|$)",
        3.9,
        &["npm", "_Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4"],
    ),
    token(
        "PyPI token",
        "pypi-AgE",
        r"^pypi-AgE[A-Za-z0-9_\-]{50,}",
        3.0,
        &["pypi", "-AgEIcHlwaS5vcmcCJDZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4Zq7Xw4Tn6Ys"],
    ),
    token(
        "Docker token",
        "dckr_",
        r"^dckr_[po]at_[A-Za-z0-9_\-]{27,}",
        3.0,
        &["dckr", "_pat_Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm"],
    ),
    token(
        "DigitalOcean token",
        "do",
        r"^do[por]_v1_[a-f0-9]{64}",
        3.3,
        &["do", "p_v1_9c6f21d40b7e4f53a1c87d2e95b03f689c6f21d40b7e4f53a1c87d2e95b03f68"],
    ),
    token(
        "Heroku key",
        "HRKU-",
        r"^HRKU-[A-Za-z0-9_\-]{58,}",
        3.0,
        &["HRKU", "-AAZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4Zq7Xw4Tn6Ys8Lp1Bd3FkR"],
    ),
    token(
        "Tailscale key",
        "tskey-",
        r"^tskey-[a-z]+-[A-Za-z0-9]{8,}-[A-Za-z0-9]{16,}",
        3.0,
        &["tskey", "-auth-kZq7Xw4Tn6CNTRL-Ys8Lp1Bd3FkR9Vc2Hm5Ju0Ga"],
    ),
    token(
        "SendGrid key",
        "SG.",
        r"^SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}",
        3.0,
        &["SG", ".Zq7Xw4Tn6Ys8Lp1Bd3FkR9.Vc2Hm5Ju0GaQe4Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5J"],
    ),
    token(
        "Telegram bot token",
        ":AA",
        r"^:AA[A-Za-z0-9_\-]{33}(?:[^A-Za-z0-9_\-]|$)",
        3.3,
        &["", ":AAZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0Ga"],
    )
    .beside("bot"),
    token(
        "Discord webhook",
        "/api/webhooks/",
        r"^/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_\-]{60,}",
        3.0,
        &["", "/api/webhooks/284715936048271593/Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0Ga"],
    )
    .beside("discord"),
    token(
        "Azure storage key",
        "AccountKey=",
        r"^AccountKey=[A-Za-z0-9+/]{86}==",
        4.8,
        &["Account", "Key=Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUiTgSfMzKxNjCrIhEtDqPlAo+/Zq7Xw4Tn6Ys8Lp1Bd3F=="],
    ),
    token(
        "Azure shared access key",
        "SharedAccessKey=",
        r"^SharedAccessKey=[A-Za-z0-9+/]{43}=",
        4.0,
        &["SharedAccess", "Key=Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUi="],
    ),
    token(
        "Hugging Face token",
        "hf_",
        r"^hf_[A-Za-z0-9]{34}(?:[^A-Za-z0-9_]|$)",
        3.7,
        &["hf", "_Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQ"],
    ),
    token(
        "OpenAI key",
        "sk-",
        r"^sk-(proj-|svcacct-|admin-)?[A-Za-z0-9_\-]{20,80}T3BlbkFJ[A-Za-z0-9_\-]{20,}",
        3.0,
        &["sk", "-Zq7Xw4Tn6Ys8Lp1Bd3FkT3BlbkFJR9Vc2Hm5Ju0GaQe4bOyW"],
    ),
    token(
        "Anthropic key",
        "sk-ant-",
        r"^sk-ant-[a-z]+[0-9]{2}-[A-Za-z0-9_\-]{80,}",
        3.0,
        &[
            "sk",
            "-ant-api03-Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUiTgSfMzKxNjCrIhEtDqPlAoZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2",
        ],
    ),
    token(
        "Grafana token",
        "glsa_",
        r"^glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}",
        3.0,
        &["glsa", "_Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0G_9c6f21d4"],
    ),
    token(
        "Vault token",
        "hv",
        r"^hv[sbr]\.[A-Za-z0-9_\-]{24,}",
        3.5,
        &["hv", "s.CAESIJZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0Ga"],
    ),
    token(
        "Databricks token",
        "dapi",
        r"^dapi[a-f0-9]{32}(?:[^A-Za-z0-9_]|$)",
        2.9,
        &["dapi", "9c6f21d40b7e4f53a1c87d2e95b03f68"],
    ),
    token(
        "Shopify token",
        "shp",
        r"^shp(at|ca|pa|ss)_[a-fA-F0-9]{32}",
        2.9,
        &["shp", "at_9c6f21d40b7e4f53a1c87d2e95b03f68"],
    ),
    token(
        "Doppler token",
        "dp.",
        r"^dp\.(pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._\-]{40,}",
        3.0,
        &["dp", ".pt.Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUi"],
    ),
    token("Pulumi token", "pul-", r"^pul-[a-f0-9]{40}", 3.0, &["pul", "-9c6f21d40b7e4f53a1c87d2e95b03f689c6f21d4"]),
    token(
        "Terraform token",
        ".atlasv1.",
        r"^\.atlasv1\.[A-Za-z0-9_=\-]{60,}",
        3.0,
        &["", ".atlasv1.Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUiTgSfMzKxNjCrIhEtDqPlAo"],
    ),
    token(
        "Linear key",
        "lin_api_",
        r"^lin_api_[A-Za-z0-9]{40}",
        3.0,
        &["lin", "_api_Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyW"],
    ),
    token(
        "Notion token",
        "ntn_",
        r"^ntn_[0-9]{11}[A-Za-z0-9]{35}",
        3.0,
        &["ntn", "_28471593604Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe"],
    ),
    token(
        "Atlassian token",
        "ATATT3",
        r"^ATATT3[A-Za-z0-9_=\-]{60,}",
        3.0,
        &["ATATT3", "xFfGF0Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUiTgSfMzKxNjCrIhEtDqPlAo"],
    ),
    token("New Relic key", "NRAK-", r"^NRAK-[A-Z0-9]{27}", 3.0, &["NRAK", "-Q3EGRT5UVWXYZ2ABQ3EGRT5UVWX"]),
    token("New Relic licence", "FFFFNRAL", r"^FFFFNRAL(?:[^A-Za-z0-9_]|$)", 0.0, &["", "FFFFNRAL"]),
    token(
        "Sentry token",
        "sntry",
        r"^sntry[su]_[A-Za-z0-9_=+/\-]{60,}",
        3.0,
        &["sntry", "u_9c6f21d40b7e4f53a1c87d2e95b03f689c6f21d40b7e4f53a1c87d2e95b03f68"],
    ),
    token(
        "Fly token",
        "fm",
        r"^fm[12][ar]?_[A-Za-z0-9+/=_,\-]{100,}",
        3.0,
        &[
            "fm",
            "2_lJPECAAZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUiTgSfMzKxNjCrIhEtDqPlAoZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyW",
        ],
    ),
    token(
        "k3s token",
        "K10",
        r"^K10[a-f0-9]{64}::\S{8,}",
        3.0,
        &["K10", "9c6f21d40b7e4f53a1c87d2e95b03f689c6f21d40b7e4f53a1c87d2e95b03f68::server:Zq7Xw4Tn6Ys8"],
    ),
    token(
        "Raspberry Pi Connect key",
        "rp",
        r"^rp[uo]ak_[A-Za-z0-9]{20,}",
        3.0,
        &["rp", "uak_7Hq2LmZx9TfVb4KsWd8NcYpR3gJt"],
    ),
    token(
        "Cloudflare token",
        "eyJhIjoi",
        r"^eyJhIjoi[A-Za-z0-9+/=_\-]{80,}",
        4.0,
        &["eyJhIjoi", "Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUiTgSfMzKxNjCrIhEtDqPlAoZq7Xw4Tn6Ys8Lp1Bd3Fk"],
    ),
    token(
        "1Password token",
        "ops_eyJ",
        r"^ops_eyJ[A-Za-z0-9+/=_\-]{200,}",
        3.0,
        &[
            "ops_",
            "eyJZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUiTgSfMzKxNjCrIhEtDqPlAoZq7Xw4Tn6Ys8Lp1Bd3FkZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUiTgSfMzKxNjCrIhEtDqPlAoZq7Xw4Tn6Ys8Lp1Bd3FkZq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUiTgSf",
        ],
    ),
    token(
        "JSON web token",
        "eyJ",
        r"^eyJ[A-Za-z0-9_\-]{10,4000}\.eyJ[A-Za-z0-9_\-]{10,4000}\.([A-Za-z0-9_\-]{43}|[A-Za-z0-9_\-]{64}|[A-Za-z0-9_\-]{86}|[A-Za-z0-9_\-]{342})(?:[^A-Za-z0-9_\-]|$)",
        4.0,
        &[
            "eyJ",
            "hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiI5YzZmMjFkNDBiN2U0ZjUzIiwiaWF0IjoxNzY0NDA1MTcyfQ.Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0GaQe4bOyWvUi",
        ],
    ),
    token(
        "password in an address",
        "://",
        r#"^://[^/\s:@"'<>]{1,64}:[^/\s:@"'<>${}*]{6,128}@[A-Za-z0-9.\-\[]"#,
        0.0,
        &["", "://fleet:Correct-Horse-7719@broker.internal"],
    ),
];

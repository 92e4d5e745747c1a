//! Every rule of the rule file by a synthetic positive and a negative. Secrets are made here at
//! run time from templates, so that nothing in the repository looks like one.
//!
//! A template mixes literals with classes in braces: `{A36}` 36 letters and digits, `{a…}` lower
//! case and digits, `{U…}` upper case and digits, `{B…}` base32, `{L…}` letters, `{h…}` hex,
//! `{d…}` digits, `{b…}` base64, `{w…}` base64url, `{uuid}`.
#![allow(clippy::unwrap_used)]

use jinwu_secrets::Scanner;
use std::collections::BTreeSet;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }
}

fn expand(template: &str, random: &mut Random) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (class, after) = after.split_once('}').unwrap();
        rest = after;
        if class == "uuid" {
            out.push_str(&expand("{h8}-{h4}-{h4}-{h4}-{h12}", random));
            continue;
        }
        let set: &[u8] = match &class[..1] {
            "A" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "a" => b"abcdefghijklmnopqrstuvwxyz0123456789",
            "U" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "B" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "L" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            "h" => b"0123456789abcdef",
            "d" => b"123456789",
            "b" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            "w" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            other => panic!("class {other}"),
        };
        for _ in 0..class[1..].parse::<usize>().unwrap() {
            out.push(char::from(set[random.below(set.len())]));
        }
    }
    out + rest
}

/// Rule, path, text that must hit, text that must not hit this rule.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("aws-access-key", "app/x", "id = AKIA{B16}", "id = AKIA{B9}"),
    ("aws-secret-key", "root/.aws/credentials", "aws_secret_access_key = {b40}", "aws_secret_access_key = {b20}"),
    ("aws-bedrock-key", "app/x", "k=ABSK{b120}=", "k=ABSK{b20}"),
    ("aliyun-access-key", "app/x", "LTAI{A20}", "LTAI{A8}"),
    ("aliyun-secret-key", "app/a.properties", "aliyun.oss.accessKeySecret={A30}", "aliyun.oss.accessKeySecret={A12}"),
    ("tencent-secret-id", "app/x", "SecretId: AKID{A32}", "SecretId: AKID{A12}"),
    ("tencent-secret-key", "app/a.yml", "tencent-secret-key: {A32}", "tencent-secret-key: {A10}"),
    ("huawei-secret-key", "app/a.yml", "huawei_secret_key: {A40}", "huawei_secret_key: {A10}"),
    ("baidu-bce-key", "app/x", "ALTAK{A21}", "ALTAK{A4}"),
    ("volcengine-access-key", "app/x", "AKLT{A44}==", "AKLT{A10}"),
    ("azure-storage-key", "app/x", "DefaultEndpointsProtocol=https;AccountName=abc;AccountKey={b86}==;EndpointSuffix=x", "AccountKey={b20}=="),
    ("azure-client-secret", "app/x", "secret='{A3}8Q~{A34}'", "secret='{A3}8Q~{A10}'"),
    ("azure-sas-token", "app/x", "https://a.blob.core.windows.net/c?sv=2022-11-02&ss=b&sig={A44}%3D", "https://a.blob.core.windows.net/c?sv=2022-11-02&ss=b&sig=abc"),
    ("gcp-api-key", "app/x", "key=AIza{A35}", "key=AIza{A12}"),
    ("gcp-oauth-secret", "app/x", "GOCSPX-{A28}", "GOCSPX-{A8}"),
    ("gcp-oauth-token", "app/x", "ya29.{A80}", "ya29.{A10}"),
    ("digitalocean-token", "app/x", "dop_v1_{h64}", "dop_v1_{h20}"),
    ("cloudflare-origin-ca-key", "app/x", "v1.0-{h24}-{h146}", "v1.0-{h24}-{h20}"),
    ("github-token", "app/x", "ghp_{A36}", "ghp_{A12}"),
    ("github-fine-grained-token", "app/x", "github_pat_{A22}_{A59}", "github_pat_{A20}"),
    ("gitlab-token", "app/x", "glpat-{A20}", "glpat-{A6}"),
    ("gitlab-runner-registration-token", "app/x", "GR1348941{A20}", "GR1348941{A5}"),
    ("bitbucket-token", "app/x", "ATBB{A32}", "ATBB{A10}"),
    ("npm-token", "app/x", "npm_{A36}", "npm_config_registry_of_some_kind_here"),
    ("npmrc-auth", "root/.npmrc", "//registry.example.org/:_authToken={A36}", "//registry.example.org/:_authToken=${NPM_TOKEN}"),
    ("pypi-token", "app/x", "pypi-AgEIcHlwaS5vcmc{A60}", "pypi-AgEIcHlwaS5vcmc{A10}"),
    ("rubygems-token", "app/x", "rubygems_{h48}", "rubygems_{h10}"),
    ("crates-io-token", "app/x", "token = \"cio{A32}\"", "token = \"cio{A12}\""),
    ("nuget-password", "app/nuget.config", "<add key=\"ClearTextPassword\" value=\"{A16}\" />", "<add key=\"ClearTextPassword\" value=\"%PW_OF_FEED%\" />"),
    ("nuget-key", "app/x", "oy2{a43}", "oy2{a10}"),
    ("sonar-login", "app/sonar.properties", "sonar.login={h40}", "sonar.login={h12}"),
    ("artifactory-token", "app/x", "AKCp{A69}", "AKCp{A20}"),
    ("dockerhub-token", "app/x", "dckr_pat_{A27}", "dckr_pat_{A8}"),
    ("slack-token", "app/x", "xoxb-{d12}-{d12}-{A24}", "xoxb-dev"),
    ("slack-webhook", "app/x", "https://hooks.slack.com/services/T{U10}/B{U10}/{A24}", "https://hooks.slack.com/services/x"),
    ("dingtalk-webhook", "app/x", "https://oapi.dingtalk.com/robot/send?access_token={h64}", "https://oapi.dingtalk.com/robot/send?access_token=abc"),
    ("wecom-webhook", "app/x", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={uuid}", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=KEY"),
    ("feishu-webhook", "app/x", "https://open.feishu.cn/open-apis/bot/v2/hook/{uuid}", "https://open.feishu.cn/open-apis/bot/v2/hook/xxx"),
    ("wechat-app-secret", "app/a.yml", "wx.app-secret: {h32}", "wx.app-secret: {h10}"),
    ("teams-webhook", "app/x", "https://a.webhook.office.com/webhookb2/{uuid}@{uuid}/IncomingWebhook/{h32}/{uuid}", "https://a.webhook.office.com/webhookb2/x"),
    ("discord-webhook", "app/x", "https://discord.com/api/webhooks/{d18}/{A68}", "https://discord.com/api/webhooks/{d18}/x"),
    ("telegram-bot-token", "app/x", "bot {d10}:AA{A33}", "bot {d10}:AA{A10}"),
    ("sendgrid-key", "app/x", "SG.{A22}.{A43}", "SG.{A22}.{A10}"),
    ("mailgun-key", "app/x", "key-{h32}", "key-{h10}"),
    ("mailchimp-key", "app/x", "{h32}-us12", "{h12}-us12"),
    ("twilio-key", "app/x", "twilio_key = SK{h32}", "other_key = SK{h32}"),
    ("stripe-key", "app/x", "sk_live_{A24}", "sk_live_{A5}"),
    ("square-token", "app/x", "sq0atp-{A22}", "sq0atp-{A5}"),
    ("shopify-token", "app/x", "shpat_{h32}", "shpat_{h8}"),
    ("openai-key", "app/x", "sk-{A20}T3BlbkFJ{A20}", "sk-{A10}T3BlbkFJ"),
    ("anthropic-key", "app/x", "sk-ant-api03-{A93}AA", "sk-ant-api03-{A9}"),
    ("deepseek-style-key", "app/a.yml", "api_key: sk-{h32}", "api_key: sk-{h8}"),
    ("huggingface-token", "app/x", "hf_{L34}", "hf_{L10}"),
    ("grafana-token", "app/x", "glsa_{A32}_{h8}", "glsa_{A10}"),
    ("vault-token", "app/x", "hvs.{A95}", "hvs.{A10}"),
    ("terraform-token", "app/x", "{A14}.atlasv1.{A67}", "{A14}.atlasv1.{A7}"),
    ("databricks-token", "app/x", "dapi{h32}", "dapi{h8}"),
    ("dynatrace-token", "app/x", "dt0c01.{U24}.{U64}", "dt0c01.{U24}.{U6}"),
    ("newrelic-key", "app/x", "NRAK-{U27}", "NRAK-{U7}"),
    ("sentry-token", "app/x", "sntryu_{h64}", "sntryu_{h10}"),
    ("postman-key", "app/x", "PMAK-{h24}-{h34}", "PMAK-{h24}"),
    ("pulumi-token", "app/x", "pul-{h40}", "pul-{h10}"),
    ("doppler-token", "app/x", "dp.pt.{A43}", "dp.pt.{A10}"),
    ("sonar-token", "app/x", "squ_{h40}", "squ_{h10}"),
    ("openshift-token", "app/x", "sha256~{A43}", "sha256~{A10}"),
    ("tailscale-key", "app/x", "tskey-auth-{A12}-{A32}", "tskey-auth-{A3}"),
    ("linear-token", "app/x", "lin_api_{A40}", "lin_api_{A10}"),
    ("figma-token", "app/x", "figd_{A40}", "figd_{A10}"),
    ("planetscale-token", "app/x", "pscale_tkn_{A43}", "pscale_tkn_{A10}"),
    ("jwt", "app/x", "eyJhbGciOiJI{A24}.eyJzdWIi{A60}.{A43}", "eyJhbGciOiJI{A24}.eyJzdWIi{A60}"),
    ("kubernetes-bootstrap-token", "app/join.sh", "kubeadm join 10.0.0.1:6443 --token {a6}.{a16}", "kubeadm join 10.0.0.1:6443 --token {a6}"),
    ("age-secret-key", "app/x", "AGE-SECRET-KEY-1QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE", "AGE-SECRET-KEY-1"),
    ("wireguard-private-key", "etc/wireguard/wg0.conf", "PrivateKey = {b42}E=", "PrivateKey = {b20}E="),
    ("minisign-secret-key", "root/minisign.key", "untrusted comment: minisign encrypted secret key\nRW{A208}==\n", "untrusted comment: minisign encrypted secret key\nRW{A8}\n"),
    ("putty-private-key", "root/k", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: c\nPublic-Lines: 1\n{A40}\nPrivate-Lines: 1\n{A48}\nPrivate-MAC: {h64}\n", "PuTTY-User-Key-File-3: ssh-ed25519\n"),
    ("jwk-private-key", "app/jwks.json", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{w43}\",\"y\":\"{w43}\",\"d\":\"{w43}\"}", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{w43}\",\"y\":\"{w43}\"}"),
    ("jwk-private-key-d-first", "app/jwks.json", "{\"d\":\"{w43}\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{w43}\"}", "{\"x\":\"{w43}\",\"kty\":\"OKP\",\"crv\":\"Ed25519\"}"),
    ("ansible-vault", "app/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n{h80}\n", "$ANSIBLE_VAULT;1.1;AES256\n"),
    ("password-hash", "app/users.sql", "INSERT INTO u VALUES ('a', '$2y$12${A53}')", "INSERT INTO u VALUES ('a', '$2y$12${A5}')"),
    ("url-password", "app/a.env", "DATABASE_URL=postgres://app:{A16}@db:5432/app", "DATABASE_URL=postgres://app:${PW}@db:5432/app"),
    ("connection-string-password", "app/appsettings.json", "\"Default\": \"Server=db;Database=x;User Id=sa;Password={A14};Encrypt=true\"", "\"Default\": \"Server=db;Database=x;User Id=sa;Password=<password>;\""),
    ("jdbc-password", "app/a.java", "\"jdbc:mysql://db:3306/x?user=root&password={A12}\"", "\"jdbc:mysql://db:3306/x?user=root\""),
    ("jdbc-oracle-password", "app/a.java", "\"jdbc:oracle:thin:scott/{A10}@db:1521:orcl\"", "\"jdbc:oracle:thin:@db:1521:orcl\""),
    ("dsn-password", "app/a.go", "dsn := \"root:{A10}@tcp(127.0.0.1:3306)/x\"", "dsn := \"root@tcp(127.0.0.1:3306)/x\""),
    ("authorization-header", "app/run.sh", "curl -H 'Authorization: Bearer {A40}' https://a", "curl -H 'Authorization: Bearer '$TOKEN https://a"),
    ("command-line-password", "app/run.sh", "mytool --password={A14} --x", "mytool --password=$PASSWORD --x"),
    ("curl-user-password", "app/run.sh", "curl -u admin:{A14} https://a", "curl -u admin:$PASSWORD https://a"),
    ("php-define-password", "app/wp-config.php", "define( 'DB_PASSWORD', '{A14}' );", "define( 'DB_PASSWORD', 'your_password_here' );"),
];

#[test]
fn every_rule_has_a_positive_and_a_negative() {
    let scanner = Scanner::new().unwrap();
    let mut covered = BTreeSet::new();
    let mut wrong = Vec::new();
    for seed in 1..6u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for (rule, path, positive, negative) in CASES {
            // Braces of JSON would be classes; they are written with a full-width brace here.
            let expand = |t: &str, r: &mut Random| if t.starts_with("{\"") { format!("{{{}}}", expand(&t[1..t.len() - 1], r)) } else { expand(t, r) };
            covered.insert(*rule);
            let text = expand(positive, &mut random);
            let hits = scanner.scan_file(path, format!("first line\n{text}\nlast line\n").as_bytes());
            match hits.iter().find(|h| h.rule == *rule) {
                None => wrong.push(format!("{rule}: no hit in {text:?}, but {hits:?}")),
                Some(h) => assert!(h.line.is_some_and(|l| l >= 2), "{rule}: line {:?}", h.line),
            }
            let text = negative.replace("${", "\u{1}");
            let text = expand(&text, &mut random).replace('\u{1}', "${");
            let hits = scanner.scan_file(path, format!("first line\n{text}\nlast line\n").as_bytes());
            if hits.iter().any(|h| h.rule == *rule) {
                wrong.push(format!("{rule}: hit in {text:?}: {hits:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: BTreeSet<_> = scanner.rules().map(|r| r.id.as_str()).collect();
    let missing: Vec<_> = all.difference(&covered).collect();
    assert!(missing.is_empty(), "rules without a test case: {missing:?}");
}

#[test]
fn rules_say_where_they_come_from() {
    for rule in Scanner::new().unwrap().rules() {
        assert!(!rule.origin.is_empty() && !rule.title.zh.is_empty() && !rule.title.en.is_empty(), "{}", rule.id);
    }
}

#[test]
fn a_broken_rule_file_is_refused_with_the_rule_named() {
    let rule = |regex: &str, category: &str| format!("[[rule]]\nid=\"x\"\ncategory=\"{category}\"\nzh=\"a\"\nen=\"b\"\nregex='{regex}'\nkeywords=[\"abc\"]\norigin=\"o\"\n");
    for (text, part) in [(rule("(?P<s>abc", "key"), "x"), (rule("abc", "key"), "(?P<s>"), (rule("(?P<s>abc)", "colour"), "category"), ("nonsense".into(), "cannot be read")] {
        let error = Scanner::with_rules(&text).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
}

//! Identity as the gates and the API use it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use jinwu_identity::authz::{AdminRole, ProjectAction};
use jinwu_identity::grant::Change;
use jinwu_identity::setup::code_at;
use jinwu_identity::token::Tokens;
use jinwu_identity::{Identity, IdentityError, Settings};
use jinwu_model::{ProtectionLevel, Subject};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

struct Fixture {
    identity: Identity,
    clock: Arc<AtomicI64>,
    initial: jinwu_identity::setup::Initial,
    dir: tempfile::TempDir,
}

fn open(path: &Path, level: u8, clock: &Arc<AtomicI64>) -> Identity {
    let clock = clock.clone();
    let settings = Settings::for_level(ProtectionLevel::try_from(level).unwrap());
    Identity::open(&path.join("identity.db"), settings, Arc::new(move || clock.load(Ordering::Relaxed))).unwrap()
}

fn fixture(level: u8) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
    let identity = open(dir.path(), level, &clock);
    let initial = identity.set_up().unwrap();
    Fixture { identity, clock, initial, dir }
}

impl Fixture {
    fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }
    fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }
    /// Logs an initial administrator in, one TOTP step later than before.
    fn admin(&self, role: AdminRole) -> String {
        let a = self.initial.accounts.iter().find(|a| a.role == role).unwrap();
        self.pass(30_000);
        let code = code_at(&a.totp, self.now()).unwrap();
        self.identity.login(&a.name, &a.password, Some(&code)).unwrap().token.reveal().to_owned()
    }
    fn person(&self, name: &str, project: &str, role: &str) -> (String, String) {
        let made = self.identity.create_account(name).unwrap();
        let change = Change::Member { project: project.into(), account: name.into(), role: role.into() };
        let grant = self.identity.propose("sysadmin", change, "works there").unwrap();
        self.identity.approve("secadmin", &grant.id).unwrap();
        (made.password.reveal().to_owned(), made.totp.unwrap().reveal().to_owned())
    }
}

#[test]
fn administrators_need_both_factors_and_a_code_works_once() {
    let f = fixture(4);
    let a = f.initial.accounts[0].clone();
    let code = code_at(&a.totp, f.now()).unwrap();
    assert!(matches!(f.identity.login(&a.name, &a.password, None), Err(IdentityError::BadCredentials)));
    assert!(matches!(f.identity.login(&a.name, "wrong-Password-1", Some(&code)), Err(IdentityError::BadCredentials)));
    let session = f.identity.login(&a.name, &a.password, Some(&code)).unwrap();
    assert!(session.session.two_factor);
    assert!(matches!(f.identity.login(&a.name, &a.password, Some(&code)), Err(IdentityError::CodeUsed)));
    assert_eq!(f.identity.session(session.token.reveal()).unwrap().1.name, a.name);
    f.identity.logout(session.token.reveal()).unwrap();
    assert!(f.identity.session(session.token.reveal()).is_err());
}

#[test]
fn failures_lock_and_time_unlocks() {
    let f = fixture(4);
    let a = f.initial.accounts[0].clone();
    for _ in 0..5 {
        assert!(f.identity.login(&a.name, "wrong-Password-1", None).is_err());
    }
    let code = code_at(&a.totp, f.now()).unwrap();
    assert!(matches!(f.identity.login(&a.name, &a.password, Some(&code)), Err(IdentityError::Locked { .. })));
    assert!(matches!(f.identity.login("nobody", "wrong-Password-1", None), Err(IdentityError::BadCredentials)));
    f.pass(16 * 60 * 1000);
    let code = code_at(&a.totp, f.now()).unwrap();
    assert!(f.identity.login(&a.name, &a.password, Some(&code)).is_ok());
}

#[test]
fn sessions_end_by_idleness_age_and_change() {
    let f = fixture(4);
    let token = f.admin(AdminRole::AuditAdministrator);
    f.pass(29 * 60 * 1000);
    assert!(f.identity.session(&token).is_ok());
    f.pass(31 * 60 * 1000);
    assert!(f.identity.session(&token).is_err(), "idle");
    let token = f.admin(AdminRole::AuditAdministrator);
    let a = f.initial.accounts.iter().find(|a| a.role == AdminRole::AuditAdministrator).unwrap();
    assert!(f.identity.change_password(&a.name, &a.password, &a.password).is_err(), "the same again");
    assert!(f.identity.change_password(&a.name, &a.password, "short").is_err());
    f.identity.change_password(&a.name, &a.password, "New-Horse-Battery-7").unwrap();
    assert!(f.identity.session(&token).is_err(), "changed password ends sessions");
}

#[test]
fn everything_survives_a_restart() {
    let f = fixture(4);
    f.person("alice", "demo", "developer");
    let token = f.admin(AdminRole::SystemAdministrator);
    let again = open(f.dir.path(), 4, &f.clock);
    assert!(again.session(&token).is_ok());
    assert!(again.project_actions(&Subject::user("alice"), &"demo".parse().unwrap()).contains(&ProjectAction::Push));
    assert_eq!(again.accounts().len(), 4);
}

#[test]
fn from_level_three_on_a_password_opens_no_registry() {
    let f = fixture(3);
    let (password, totp) = f.person("alice", "demo", "developer");
    assert!(f.identity.registry_login("alice", &password).is_err());
    let code = code_at(&totp, f.now()).unwrap();
    let session = f.identity.login("alice", &password, Some(&code)).unwrap();
    let (name, secret, _) = f.identity.issue_credential(session.token.reveal(), 3_600_000).unwrap();
    let standing = f.identity.registry_login(&name, secret.reveal()).unwrap();
    assert_eq!(standing.subject, Subject::user("alice"));
    assert!(f.identity.registry_login("sysadmin", secret.reveal()).is_err(), "the credential is alice's");
    f.pass(3_600_001);
    assert!(f.identity.registry_login(&name, secret.reveal()).is_err(), "expired");
}

#[test]
fn robots_expire_and_are_revoked_at_the_next_request() {
    let f = fixture(4);
    let r = &f.initial.robot;
    let tokens = Tokens::new(&jinwu_trust::SigningKey::generate(), "jinwu").unwrap();
    let standing = f.identity.registry_login(&r.name, &r.secret).unwrap();
    let now = f.now() / 1000;
    let token = tokens.issue(&standing.subject, standing.epoch, vec![], now).unwrap();
    let claims = tokens.check(&token, now).unwrap();
    assert!(f.identity.standing(&claims));
    let demo = "demo".parse().unwrap();
    let may = |p: &jinwu_model::ProjectName| f.identity.project_actions(&Subject::robot(&r.name), p);
    assert!(may(&demo).contains(&ProjectAction::Push) && !may(&demo).contains(&ProjectAction::Delete));
    assert!(may(&"open".parse().unwrap()).contains(&ProjectAction::Delete));
    assert!(may(&"elsewhere".parse().unwrap()).is_empty());
    f.identity.set_robot_disabled(&r.name, true).unwrap();
    assert!(!f.identity.standing(&claims), "the token issued before is worth nothing now");
    assert!(f.identity.registry_login(&r.name, &r.secret).is_err());
    f.identity.set_robot_disabled(&r.name, false).unwrap();
    f.pass(91 * 24 * 3600 * 1000);
    assert!(f.identity.registry_login(&r.name, &r.secret).is_err(), "expired");
    assert!(may(&demo).is_empty());
}

#[test]
fn no_role_without_two_people() {
    let f = fixture(4);
    f.identity.create_account("bob").unwrap();
    let make = |role| Change::AdminRole { account: "bob".into(), role };
    let g = f.identity.propose("sysadmin", make(AdminRole::AuditAdministrator), "deputy").unwrap();
    assert_eq!(f.identity.account("bob").unwrap().role, None, "a proposal gives nothing");
    assert!(matches!(f.identity.approve("sysadmin", &g.id), Err(IdentityError::Forbidden(_))));
    assert!(matches!(f.identity.approve("bob", &g.id), Err(IdentityError::Forbidden(_))));
    f.identity.approve("secadmin", &g.id).unwrap();
    assert_eq!(f.identity.account("bob").unwrap().role, Some(AdminRole::AuditAdministrator));
    assert!(f.identity.approve("secadmin", &g.id).is_err(), "decided already");
    assert!(f.identity.propose("sysadmin", make(AdminRole::SecurityAdministrator), "both").is_err(), "roles exclude each other");
    let member = Change::Member { project: "demo".into(), account: "bob".into(), role: "guest".into() };
    assert!(f.identity.propose("sysadmin", member, "x").is_err(), "administrators are not members");
    let unknown = Change::Member { project: "demo".into(), account: "alice".into(), role: "guest".into() };
    assert!(matches!(f.identity.propose("sysadmin", unknown, "x"), Err(IdentityError::NotFound(_))));
}

#[test]
fn custom_roles_are_data_and_members_can_be_taken_out() {
    let f = fixture(4);
    let change = Change::Role { name: "uploader".into(), actions: BTreeSet::from([ProjectAction::Push]) };
    let g = f.identity.propose("sysadmin", change, "CI people").unwrap();
    f.identity.approve("secadmin", &g.id).unwrap();
    f.person("carol", "demo", "uploader");
    let demo = "demo".parse().unwrap();
    assert_eq!(f.identity.project_actions(&Subject::user("carol"), &demo), BTreeSet::from([ProjectAction::Push]));
    f.identity.remove_member("demo", "carol").unwrap();
    assert!(f.identity.project_actions(&Subject::user("carol"), &demo).is_empty());
    let bad = Change::Robot { robot: "demo-robot".into(), grants: BTreeMap::from([("demo".into(), BTreeSet::from([ProjectAction::MemberPropose]))]) };
    assert!(f.identity.propose("sysadmin", bad, "x").is_err());
}

#[test]
fn the_last_administrator_of_a_kind_stays_and_secrets_do_not_print() {
    let f = fixture(4);
    assert!(matches!(f.identity.set_disabled("secadmin", true), Err(IdentityError::Conflict(_))));
    let account = f.identity.account("secadmin").unwrap();
    let shown = format!("{account:?}");
    assert!(!shown.contains("argon2") && !shown.contains(&f.initial.accounts[1].totp), "{shown}");
}

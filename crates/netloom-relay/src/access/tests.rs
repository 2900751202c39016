//! Tokens as their file changes.

use super::*;
use crate::cli::token::{CreateArgs, RevokeArgs, TokenCommand, TokensFile};

struct Tokens {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Tokens {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.toml");
        Self { _folder: folder, path }
    }

    fn file(&self) -> TokensFile {
        TokensFile { tokens: self.path.clone() }
    }

    fn create(&self, name: &str, lan: &[&str]) -> anyhow::Result<Secret> {
        let args = CreateArgs {
            name: name.to_owned(),
            file: self.file(),
            lan: lan.iter().map(|lan| (*lan).to_owned()).collect(),
            allow: vec!["10.0.0.0/8".to_owned()],
            deny: Vec::new(),
            allow_only: false,
            limit: vec!["flows=100".to_owned()],
        };
        Ok(Secret::given(command::run(&TokenCommand::Create(args))?.trim_end()))
    }

    fn revoke(&self, name: &str) -> anyhow::Result<String> {
        command::run(&TokenCommand::Revoke(RevokeArgs { name: name.to_owned(), file: self.file() }))
    }
}

#[test]
fn a_token_is_good_until_it_is_revoked() {
    let tokens = Tokens::new();
    let one = tokens.create("one", &[]).expect("made");
    let access = Access::open(&tokens.path).expect("right");
    let pass = access.check(&one).expect("known");
    assert_eq!((pass.name(), pass.rules().expect("not revoked").lan(None)), ("one", Some("default")));
    let two = tokens.create("two", &["lab", "b"]).expect("made");
    let rules = access.check(&two).expect("known at once").rules().expect("not revoked");
    assert_eq!([None, Some("b"), Some("default")].map(|lan| rules.lan(lan)), [Some("lab"), Some("b"), None]);
    assert!(!pass.rules.has_changed().expect("held"), "another's token changes nothing");
    tokens.revoke("one").expect("revoked");
    assert!(access.check(&one).is_none());
    assert!(pass.rules.has_changed().expect("held") && pass.rules().is_none());
    assert!(access.check(&two).is_some());
    assert!(access.check(&Secret::given("nlt_")).is_none());
}

#[test]
fn the_file_holds_no_token_and_is_ours_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let tokens = Tokens::new();
    let secret = tokens.create("one", &[]).expect("made");
    let text = fs::read_to_string(&tokens.path).expect("the file");
    assert!(!text.contains(secret.text()), "{text}");
    let mode = |path| fs::metadata(path).expect("the file").permissions().mode() & 0o777;
    assert_eq!(mode(&tokens.path), 0o600);
    // Whom its owner lets read it may go on.
    fs::set_permissions(&tokens.path, fs::Permissions::from_mode(0o640)).expect("changed");
    tokens.create("two", &[]).expect("made");
    assert_eq!(mode(&tokens.path), 0o640);
    assert_eq!(fs::read_dir(tokens.path.parent().expect("a folder")).expect("listed").count(), 1);
}

#[test]
fn names_are_given_once_and_revoked_once() {
    let tokens = Tokens::new();
    tokens.create("one", &[]).expect("made");
    let said = |result: anyhow::Result<_>| format!("{:#}", result.expect_err("refused"));
    assert!(said(tokens.create("one", &[]).map(drop)).contains("revoke it first"));
    assert!(said(tokens.create("one two", &[]).map(drop)).contains("cannot name a token"));
    assert!(said(tokens.create("two", &["a/b"]).map(drop)).contains("cannot name a LAN"));
    tokens.revoke("one").expect("revoked");
    assert!(said(tokens.revoke("one").map(drop)).contains("no token named `one`"));
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let tokens = Tokens::new();
    let one = tokens.create("one", &[]).expect("made");
    let access = Access::open(&tokens.path).expect("right");
    fs::write(&tokens.path, "[[token]]\nname = \"one\"\nsha256 = \"00\"\n").expect("written");
    let error = access.refresh().expect_err("wrong").to_string();
    assert!(error.contains("tokens.toml:3: sha256"), "{error}");
    assert!(access.check(&one).is_some());
    fs::remove_file(&tokens.path).expect("removed");
    assert!(access.refresh().is_err() && access.check(&one).is_some());
    // Told once.
    assert!(!access.refresh().expect("nothing new"));
}

#[test]
fn a_file_that_could_not_be_read_is_read_again() {
    let tokens = Tokens::new();
    let one = tokens.create("one", &[]).expect("made");
    tokens.create("two", &[]).expect("made");
    let access = Access::open(&tokens.path).expect("right");
    let missing = tokens.path.with_extension("away");
    tokens.revoke("one").expect("revoked");
    fs::rename(&tokens.path, &missing).expect("moved");
    // What is there in its place has the stamp of what comes, as if opening had failed for want of a descriptor.
    fs::create_dir(&tokens.path).expect("a folder");
    assert!(access.refresh().is_err() && access.check(&one).is_some());
    let seen = access.state.lock().expect("whole").stamp.clone();
    fs::remove_dir(&tokens.path).expect("removed");
    fs::rename(&missing, &tokens.path).expect("moved");
    access.state.lock().expect("whole").stamp = stamp(&tokens.path);
    assert!(seen.is_some() && !access.refresh().expect("by its stamp the same"));
    access.doubt();
    assert!(access.refresh().expect("right") && access.check(&one).is_none());
}

#[test]
fn rules_that_change_are_told() {
    let tokens = Tokens::new();
    let one = tokens.create("one", &[]).expect("made");
    let access = Access::open(&tokens.path).expect("right");
    let pass = access.check(&one).expect("known");
    let text = fs::read_to_string(&tokens.path).expect("the file");
    let text = text.replace("[[token]]\n", "[[token]]\nlans = [\"lab\"]\nallow_only = true\n");
    fs::write(&tokens.path, text).expect("written");
    assert!(access.refresh().expect("right"));
    let rules = pass.rules().expect("not revoked");
    assert!(rules.allow_only && rules.lan(None) == Some("lab") && rules.limits.flows == Some(100));
}

//! Who is let in as a token is revoked.

use super::*;
use crate::access::Access;
use crate::access::secret::Secret;
use crate::hex;

#[test]
fn a_token_that_is_revoked_as_it_is_shown_lets_nobody_in() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let secret = Secret::generate().expect("random bytes");
    let line = format!(
        "[[token]]\nname = \"one\"\nsha256 = \"{}\"\ndeny = [\"10.0.0.0/8\"]\n",
        hex::encode(&secret.hash())
    );
    std::fs::write(file.path(), line).expect("written");
    let access = Access::open(file.path()).expect("right");
    let [before, pass] = [(); 2].map(|()| access.check(&secret).expect("known"));
    let admitted = Admitted::by(before).expect("not revoked");
    std::fs::write(file.path(), "").expect("written");
    assert!(access.refresh().expect("right"));
    assert_eq!(Admitted::by(pass).expect_err("revoked"), Unauthorized::Unknown);
    // Who was let in before has what it was let in by, not what there is without tokens.
    assert!(admitted.pass.rules().is_none() && admitted.rules.deny.len() == 1);
}

use super::*;
use crate::hex;

#[test]
fn tokens_have_their_form_and_differ() {
    let (one, other) = (Secret::generate().expect("random"), Secret::generate().expect("random"));
    assert!(has_form(one.text()) && has_form(other.text()));
    assert_ne!(one, other);
    for text in ["", "nlt_", "nlt_short", &one.text()[1..], &format!("{}=", one.text())] {
        assert!(!has_form(text), "{text}");
    }
}

#[test]
fn the_hash_is_sha_256_of_the_text() {
    let hash = Secret::given("abc").hash();
    // FIPS 180-4, the example of one block.
    assert_eq!(hex::encode(&hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_secret_does_not_show_itself() {
    assert_eq!(format!("{:?}", Secret::given("nlt_x")), "Secret");
}

use super::*;

#[test]
fn bytes_and_digits_lead_to_each_other() {
    assert_eq!(encode(&[0x00, 0x0f, 0xab]), "000fab");
    assert_eq!(decode("000fab"), Some([0x00, 0x0f, 0xab]));
    assert_eq!(decode("000FAB"), Some([0x00, 0x0f, 0xab]));
}

#[test]
fn what_is_no_digit_or_not_as_many_is_no_bytes() {
    for text in ["", "000fa", "000fab0", "000fabcd", "000fag", "+00fab", "00 fab", "000fé"] {
        assert_eq!(decode::<3>(text), None, "{text}");
    }
}

use super::{IpAddr, parse};

#[test]
fn names_of_a_line_share_its_address() {
    let table = parse(
        "# comment\n192.0.2.1 Web web.lan. # x\n2001:db8::1\tweb.lan\nfe80::1%lo zone\nnot an address\n",
    );
    let found =
        |name: &str| table.get(name).map(|found| found.iter().map(IpAddr::to_string).collect::<Vec<_>>());
    assert_eq!(found("web"), Some(vec!["192.0.2.1".to_owned()]));
    assert_eq!(found("web.lan"), Some(vec!["192.0.2.1".to_owned(), "2001:db8::1".to_owned()]));
    assert_eq!(table.len(), 2);
}

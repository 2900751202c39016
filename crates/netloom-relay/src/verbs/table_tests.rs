use super::*;

#[test]
fn columns_are_aligned_and_nothing_is_a_dash() {
    let mut table = Table::new(&["A", "LONG"]);
    table.row(vec!["word".to_owned(), String::new()]);
    assert_eq!(table.to_string(), "A     LONG\nword  -\n");
}

#[test]
fn quantities_are_short() {
    assert_eq!([0, 59, 60, 3661, 90_000].map(duration), ["0s", "59s", "1m0s", "1h1m", "1d1h"]);
    assert_eq!(
        [999, 1000, 999_949, 999_950, u64::MAX].map(bytes),
        ["999 B", "1.0 kB", "999.9 kB", "1.0 MB", "18.4 EB"]
    );
}

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use super::LeastRecent;

#[test]
fn the_one_unused_longest_goes() {
    let mut all = LeastRecent::new(3);
    for key in ["a", "b", "c"] {
        assert_eq!(all.insert(key, key), None);
    }
    assert_eq!(all.use_now(&"a"), Some(&"a"));
    assert_eq!(all.use_now(&"a"), Some(&"a"), "the last one again");
    assert_eq!(all.insert("d", "d"), Some("b"));
    assert_eq!(all.use_now(&"b"), None);
    assert_eq!(all.remove(&"c"), Some("c"));
    assert_eq!(all.insert("e", "e"), None, "there is room again");
    assert_eq!(all.insert("f", "f"), Some("a"));
    let mut rest = all.drain();
    rest.sort_unstable();
    assert_eq!(rest, ["d", "e", "f"]);
    assert_eq!(all.remove(&"d"), None);
}

use super::*;

const BURST: Duration = Duration::from_millis(100);

#[test]
fn reservations_come_in_turn_at_the_rate() {
    let rate = Rate::default();
    let ready: Vec<u64> = (0..5).map(|_| rate.reserve(50, 1000, BURST, 0) / 1_000_000).collect();
    assert_eq!(ready, [0, 0, 50, 100, 150]);
    // What was not used in time is gone but for the burst.
    let later = 10_000_000_000;
    assert_eq!(rate.reserve(100, 1000, BURST, later), later);
    assert_eq!(rate.reserve(1, 1000, BURST, later), later + 1_000_000);
    assert_eq!(rate.reserve(1, 1000, BURST, later), later + 2_000_000);
}

#[test]
fn what_is_taken_at_once_is_bounded() {
    let rate = Rate::default();
    let second = Duration::from_secs(1);
    for _ in 0..10 {
        assert_eq!(rate.take(1, 10, second, 0), Ok(()));
    }
    assert_eq!(rate.take(1, 10, second, 0), Err(100_000_000));
    assert!(!rate.is_idle(0));
    assert_eq!(rate.take(1, 10, second, 100_000_000), Ok(()));
    assert!(rate.is_idle(1_100_000_000));
}

#[test]
fn numbers_at_their_ends_do_no_harm() {
    let rate = Rate::default();
    assert!(rate.reserve(u64::MAX, u64::MAX, BURST, 5) <= 1_000_000_005);
    assert!(rate.reserve(u64::MAX, 1, BURST, 5) > 5);
    assert_eq!(rate.take(1, 1, BURST, u64::MAX), Ok(()));
}

use super::*;

#[test]
fn every_rule_is_counted_and_some_refusals_are_told() {
    let refusals = Refusals::default();
    for _ in 0..3 {
        refusals.count(Way::Nat, &Rule::Private, &"10.0.0.1:80");
    }
    refusals.count(Way::Stream, &Rule::Private, &"10.0.0.1:80");
    assert_eq!(refusals.counts(), [(Way::Nat, Rule::Private, 3), (Way::Stream, Rule::Private, 1)]);
    let told: Vec<u64> = (1..=2000).filter(|count| is_power_of_ten(*count)).collect();
    assert_eq!(told, [1, 10, 100, 1000]);
}

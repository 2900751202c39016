//! Counting tests from what their runners print.

use std::ops::AddAssign;

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl Tally {
    /// A step that is one check.
    pub(crate) const fn one(success: bool) -> Self {
        Self { passed: success as u32, failed: !success as u32 }
    }

    /// A program that is one check, by how it ended.
    pub(crate) const fn of_step(_: &str, success: bool) -> Self {
        Self::one(success)
    }

    /// What Rust's test programs counted; one may hold no test.
    pub(crate) fn of_rust(output: &str, success: bool) -> Self {
        let mut tally = Self::default();
        for line in output.lines() {
            // test result: ok. 12 passed; 0 failed; 0 ignored; …
            if let Some(rest) = line.trim_start().strip_prefix("test result: ") {
                tally.passed += before(rest, " passed");
                tally.failed += before(rest, " failed");
            }
        }
        if success { tally } else { tally.with_end(false) }
    }

    /// What `node --test` counted, in its TAP summary.
    pub(crate) fn of_node(output: &str, success: bool) -> Self {
        let count = |prefix: &str| {
            output
                .lines()
                .filter_map(|line| line.strip_prefix(prefix))
                .filter_map(|n| n.trim().parse::<u32>().ok())
                .sum()
        };
        let failed = count("# fail ") + count("# cancelled ");
        Self { passed: count("# pass "), failed }.with_end(success)
    }

    /// A runner that failed without a failed test (it did not build, it crashed), or that ran no test, is one failure.
    fn with_end(mut self, success: bool) -> Self {
        if self.failed == 0 && (!success || self.passed == 0) {
            self.failed = 1;
        }
        self
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

fn before(line: &str, word: &str) -> u32 {
    line.split(word).next().and_then(|head| head.rsplit(' ').next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn the_results_of_several_programs_add_up() {
        let output = "test result: ok. 3 passed; 0 failed; 0 ignored\n\
                      test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured\n";
        assert_eq!(Tally::of_rust(output, false), Tally { passed: 7, failed: 2 });
    }

    #[test]
    fn a_program_may_hold_no_test_but_not_crash() {
        assert_eq!(Tally::of_rust("test result: ok. 0 passed; 0 failed", true), Tally::default());
        assert_eq!(Tally::of_rust("memory allocation failed", false), Tally { passed: 0, failed: 1 });
    }

    #[test]
    fn no_test_of_node_at_all_is_a_failure() {
        assert_eq!(Tally::of_node("# pass 0\n# fail 0\n", true), Tally { passed: 0, failed: 1 });
    }

    #[test]
    fn node_counts_what_it_cancelled_as_failed() {
        let output = "TAP version 13\n# tests 4\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 0\n";
        assert_eq!(Tally::of_node(output, false), Tally { passed: 2, failed: 2 });
    }
}

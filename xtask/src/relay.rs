//! The program `netloom`, static, as its image has it.

use std::path::PathBuf;

use anyhow::Result;

use crate::groups::Tier;
use crate::needs;
use crate::process::Step;

/// How it is built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Build {
    /// As it is shipped.
    Release,
    /// As it is shipped, but for most optimisations: half of the time is theirs.
    Quick,
}

impl Build {
    /// What the tests of a tier start.
    pub(crate) const fn of(tier: Tier) -> Self {
        match tier {
            Tier::Quick => Self::Quick,
            Tier::Full => Self::Release,
        }
    }

    const fn profile(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Quick => "quick",
        }
    }

    /// Builds it; answers where it is.
    pub(crate) fn make(self) -> Result<PathBuf> {
        static RELEASE: needs::Made = needs::Made::new();
        static QUICK: needs::Made = needs::Made::new();
        let made = match self {
            Self::Release => &RELEASE,
            Self::Quick => &QUICK,
        };
        needs::once(made, || {
            Step::cargo(["build", "--quiet", "--package", "netloom-relay", "--profile", self.profile()])
                .args(["--target-dir", "target", "--target", &crate::host()])
                .env("RUSTFLAGS", "-C target-feature=+crt-static")
                .quiet()
        })?;
        Ok(self.program())
    }

    /// Where [`Self::make`] puts it.
    pub(crate) fn program(self) -> PathBuf {
        crate::root().join("target").join(crate::host()).join(self.profile()).join("netloom")
    }
}

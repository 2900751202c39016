//! Test-only: virtual clock, seeded lossy links, reference guests, packet checker

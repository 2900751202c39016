//! Rates of single connections over lossy paths, beside the response function with timeouts, kept as a snapshot.
//!
//! `tests/snapshots/rates.md` holds a line per measurement. This test measures again and compares: the lines that take little time by default,
//! all with `NETLOOM_FULL=1`. A change to the engine that changes a rate fails here, and shows in the diff of the snapshot once that is
//! written anew by the command at its head.

use std::fmt::Write as _;
use std::path::PathBuf;

use netloom_core::Duration;
use netloom_core::tcp::Congestion;
use netloom_sim::rate::Course;

/// Losses that are waited for: with a window of thousands of segments the first flight alone has some hundred.
const LOSSES: u64 = 200;
const LOSSES_WITHOUT_CONTROL: u64 = 2000;
const LOSS: [f64; 7] = [0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1];
const ROUND_TRIP_MS: [u64; 4] = [1, 5, 20, 100];
/// With congestion control: far more than the window at the smallest loss, which is 178 KiB on average.
const MODEL_BUFFER_BYTES: usize = 1 << 20;
/// Without congestion control: rate of the link in Mbit/s, round trip in milliseconds, buffers in KiB.
const LINKS: [(u64, u64, usize); 5] =
    [(100, 20, 1024), (100, 20, 4096), (1000, 20, 8192), (700, 1, 4096), (100, 100, 8192)];

/// What a line must reach: of the model where p is at most 2 %, and of the link where nothing but the window holds the sender back.
const LEAST_OF_MODEL: f64 = 0.8;
const LEAST_OF_LINK: f64 = 0.7;

const HEAD: &str = "\
# Rates over lossy paths

Measured by the simulator's virtual clock, so exact; compared by `crates/netloom-sim/tests/rates.rs` and written anew by

    NETLOOM_BLESS=1 NETLOOM_FULL=1 cargo test --release --package netloom-sim --test rates

One connection of the engine at MTU 1500 sends until 200 of its frames are lost (2000 without congestion control), each by itself with
probability p; acknowledgments are not lost. The receiver acknowledges every second segment.
";

const MODEL_HEAD: &str = "
## Beside the response function with timeouts

The model is that of Padhye et al. (1998, equation 32) with b = 1, a timeout of 200 ms (the floor of the engine's) and the window that the
buffers allow, 1 MiB. At least 0.80 where p is at most 2 %.

";

const LINK_HEAD: &str = "
## Without congestion control, beside the link's rate

The link's rate counts headers too; its queue has no end. At least 0.70 at 1 % and 20 ms.

";

struct Row {
    /// What is measured; it names the line.
    name: String,
    course: Course,
    peer_bytes_per_s: f64,
    least: Option<f64>,
    /// Whether it takes so little time that it is measured always.
    cheap: bool,
}

impl Row {
    fn beside_the_model(congestion: Congestion, loss: f64, round_trip_ms: u64) -> Self {
        let course = Course {
            congestion,
            loss,
            round_trip: Duration::from_millis(round_trip_ms),
            rate_bytes_per_s: None,
            buffer_bytes: MODEL_BUFFER_BYTES,
            losses: LOSSES,
        };
        Self {
            name: format!("{congestion:<6?} p {:>5} %, {round_trip_ms:>3} ms", loss * 100.0),
            peer_bytes_per_s: course.model_bytes_per_s(),
            least: (loss <= 0.02).then_some(LEAST_OF_MODEL),
            cheap: loss >= 0.01,
            course,
        }
    }

    fn beside_the_link(loss: f64, (mbit_per_s, round_trip_ms, buffer_kib): (u64, u64, usize)) -> Self {
        let rate_bytes_per_s = mbit_per_s * 125_000;
        let course = Course {
            congestion: Congestion::None,
            loss,
            round_trip: Duration::from_millis(round_trip_ms),
            rate_bytes_per_s: Some(rate_bytes_per_s),
            buffer_bytes: buffer_kib << 10,
            losses: LOSSES_WITHOUT_CONTROL,
        };
        Self {
            name: format!(
                "None   p {:>5} %, {round_trip_ms:>3} ms, {mbit_per_s} Mbit/s, {buffer_kib} KiB",
                loss * 100.0
            ),
            peer_bytes_per_s: rate_bytes_per_s as f64,
            least: (loss <= 0.01 && round_trip_ms == 20 && mbit_per_s <= 100).then_some(LEAST_OF_LINK),
            cheap: loss >= 0.01 && round_trip_ms == 20,
            course,
        }
    }

    /// The line, and how far what it says is above the least that it must be.
    fn measure(&self) -> (String, Option<f64>) {
        let pace = self.course.run(1);
        let ratio = pace.bytes_per_s() / self.peer_bytes_per_s;
        let line = format!(
            "    {:<44} {:>12.6} s {:>12} bytes {:>9.3} Mbit/s {:>9.3} {:>6.2}",
            self.name,
            pace.time.as_secs_f64(),
            pace.bytes,
            pace.bytes_per_s() * 8e-6,
            self.peer_bytes_per_s * 8e-6,
            ratio
        );
        (line, self.least.map(|least| ratio - least))
    }
}

/// The tables: what stands above each, and its rows.
fn tables() -> [(&'static str, Vec<Row>); 2] {
    let mut beside_the_model = Vec::new();
    for congestion in [Congestion::Reno, Congestion::Cubic] {
        for loss in LOSS {
            for round_trip_ms in ROUND_TRIP_MS {
                beside_the_model.push(Row::beside_the_model(congestion, loss, round_trip_ms));
            }
        }
    }
    let mut beside_the_link = Vec::new();
    for link in LINKS {
        for loss in [0.01, 0.02, 0.05, 0.1] {
            beside_the_link.push(Row::beside_the_link(loss, link));
        }
    }
    [(MODEL_HEAD, beside_the_model), (LINK_HEAD, beside_the_link)]
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == "1")
}

fn snapshot() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "snapshots", "rates.md"].iter().collect()
}

#[test]
fn rates_are_those_of_the_snapshot_and_high_enough() {
    let (full, bless) = (is_set("NETLOOM_FULL"), is_set("NETLOOM_BLESS"));
    assert!(full || !bless, "NETLOOM_BLESS=1 needs NETLOOM_FULL=1: the snapshot holds every line");
    let kept = std::fs::read_to_string(snapshot()).unwrap_or_default();
    let (mut written, mut changed, mut low) = (HEAD.to_owned(), String::new(), String::new());
    for (head, rows) in tables() {
        written.push_str(head);
        for row in rows.iter().filter(|row| full || row.cheap) {
            let (line, above) = row.measure();
            println!("{line}");
            if above.is_some_and(|above| above < 0.0) {
                writeln!(low, "{line}").expect("a string takes all");
            }
            if !kept.lines().any(|kept| kept == line) {
                writeln!(changed, "{line}").expect("a string takes all");
            }
            writeln!(written, "{line}").expect("a string takes all");
        }
    }
    if bless {
        std::fs::write(snapshot(), &written).expect("the snapshot can be written");
    } else {
        assert!(
            changed.is_empty(),
            "not in {}, whose head says how to write it anew:\n{changed}",
            snapshot().display()
        );
        assert!(!full || written == kept, "{} has other lines too", snapshot().display());
    }
    assert!(low.is_empty(), "too slow:\n{low}");
}

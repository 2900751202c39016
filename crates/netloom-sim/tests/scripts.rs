//! The TCP engine, rule by rule: each file of `scripts/` holds one theme, each script in it one rule, named by its RFC section.

use netloom_sim::script;

fn hold(text: &str) {
    let scripts = script::parse(text);
    assert!(!scripts.is_empty());
    let broken: Vec<String> = scripts.iter().filter_map(|script| script::run(script).err()).collect();
    assert!(
        broken.is_empty(),
        "{} of {} do not hold:\n\n{}",
        broken.len(),
        scripts.len(),
        broken.join("\n\n")
    );
}

macro_rules! themes {
    ($($theme:ident),* $(,)?) => {
        $(
            #[test]
            fn $theme() {
                hold(include_str!(concat!("scripts/", stringify!($theme), ".pkt")));
            }
        )*
    };
}

themes!(
    ack,
    backlog,
    close,
    keepalive,
    mss,
    open,
    reassembly,
    recovery,
    reset,
    rto,
    send,
    time_wait,
    window,
    zero_window
);

use super::*;

const LIMIT_BYTES: usize = 1 << 20;

#[test]
fn frames_of_all_lengths_leave_in_order_and_unharmed() {
    let (mut chunks, mut queue) = (Chunks::default(), Queue::default());
    let mut waiting = VecDeque::new();
    let mut state = 1_u32;
    for round in 0..20_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let filling = round % 400 < 200;
        if filling || state >> 31 == 0 {
            let lengths = [14, 60, 1514, 9014, CHUNK_BYTES - HEADER_BYTES, 65_549];
            let length = lengths[(state >> 8) as usize % lengths.len()];
            let frame = vec![round as u8; length];
            if queue.has_room(length, LIMIT_BYTES) {
                queue.push(&mut chunks, &frame);
                waiting.push_back(frame);
            }
        } else {
            assert_eq!(queue.pop(&mut chunks), waiting.pop_front().as_deref());
        }
        assert_eq!(queue.bytes, waiting.iter().map(Vec::len).sum::<usize>());
    }
    while let Some(frame) = waiting.pop_front() {
        assert_eq!(queue.pop(&mut chunks), Some(&*frame));
    }
    assert_eq!(queue.pop(&mut chunks), None);
}

#[test]
fn a_queue_is_bounded_and_an_empty_one_holds_nothing() {
    let (mut chunks, mut queue) = (Chunks::default(), Queue::default());
    let mut frames = 0;
    while queue.has_room(14, LIMIT_BYTES) {
        queue.push(&mut chunks, &[0; 14]);
        frames += 1;
    }
    assert_eq!(frames, LIMIT_BYTES / 14);
    let held: usize = queue.chunks.iter().map(Vec::capacity).sum();
    assert!(held < LIMIT_BYTES * 3 / 2, "{held} bytes");
    while queue.pop(&mut chunks).is_some() {}
    assert!(queue.chunks.is_empty());
    assert_eq!(chunks.0.len(), MAX_SPARE);
    assert!(queue.has_room(usize::MAX, LIMIT_BYTES), "the first always may");
}

use super::*;

#[test]
fn packets_are_done_when_their_last_byte_is_taken() {
    let mut queue = Queue::default();
    queue.push(b"abcdef", 2);
    queue.push(b"", 0);
    queue.push(b"gh", 0);
    assert_eq!((queue.len(), queue.take(3)), (6, 0));
    assert_eq!(queue.take(1), 2, "an empty packet goes with the one before");
    queue.push(b"i", 0);
    assert_eq!(queue.parts().0.len() + queue.parts().1.len(), 3);
    assert_eq!(queue.take(3), 2);
    assert!(queue.is_empty());
    assert_eq!(queue.parts(), (&[][..], &[][..]));
}

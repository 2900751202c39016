import { deepEqual, equal, ok, pattern, rejects, test, throws } from '../harness.ts';

test('harness: equal tells values apart', () => {
  equal(1, 1);
  equal(NaN, NaN);
  throws(() => equal(0, -0), { name: 'AssertionError' });
  throws(() => equal({}, {}), { name: 'AssertionError' });
});

test('harness: deepEqual compares content', () => {
  deepEqual({ a: [1, new Uint8Array([2])] }, { a: [1, new Uint8Array([2])] });
  deepEqual(new Map([['a', { b: 1 }]]), new Map([['a', { b: 1 }]]));
  for (const [a, b] of [
    [{ a: 1 }, { a: 1, b: undefined }],
    [[1], { 0: 1 }],
    [new Uint8Array([1]), new Uint8Array([2])],
    [new Uint8Array([1]), [1]],
    [new Set([1]), new Set([2])],
    [null, {}],
    [new Date(1), new Date(2)],
  ]) {
    throws(() => deepEqual(a, b), { name: 'AssertionError' });
  }
});

test('harness: rejects asks for the code and the message', async () => {
  const error = Object.assign(new Error('no way'), { code: 'ECONNREFUSED' });
  equal(await rejects(Promise.reject(error), { code: 'ECONNREFUSED', message: /way/ }), error);
  await rejects(rejects(Promise.reject(error), { code: 'ETIMEDOUT' }), { name: 'AssertionError' });
  await rejects(rejects(Promise.reject(error), { message: 'no' }), { name: 'AssertionError' });
  await rejects(rejects(Promise.resolve(1)), { message: /resolved with 1/ });
  throws(() => throws(() => 1), { message: /returned 1/ });
  throws(() => ok(''), { message: '"" is not true' });
});

test('harness: a pattern goes on where it ended', () => {
  deepEqual(pattern(600).subarray(300), pattern(300, 300));
  ok(pattern(600)[0] !== pattern(600)[256]);
});

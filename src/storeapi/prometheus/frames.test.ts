import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame } from './encode-frame.ts';
import { FrameParser } from './frames.ts';

test('frames come out whole, however the stream is cut', () => {
  const frames = fc.array(fc.uint8Array({ minLength: 0, maxLength: 400 }), { maxLength: 6 });
  const cuts = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(frames, cuts, (wanted, sizes) => {
      const stream = Buffer.concat(wanted.map(encodeFrame));
      const parser = new FrameParser();
      const got: Buffer[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = sizes[i % sizes.length]!;
        parser.push(stream.subarray(at, at + size), (data) => void got.push(Buffer.from(data)));
        at += size;
      }
      parser.end();
      assert.deepEqual(
        got,
        wanted.map((data) => Buffer.from(data)),
      );
      assert.equal(parser.frames, wanted.length);
    }),
  );
});

test('a flipped bit is named with its frame', () => {
  const stream = Buffer.concat([encodeFrame(Buffer.from('good')), encodeFrame(Buffer.from('bad'))]);
  stream[stream.length - 1]! ^= 1;
  const parser = new FrameParser();
  assert.throws(() => parser.push(stream, () => undefined), {
    name: 'CorruptionError',
    message: /^remote-read frame 2 of 3 bytes is damaged: crc32c is \d+, the frame says \d+$/,
  });
});

test('a stream that ends inside a frame says where', () => {
  const parser = new FrameParser();
  parser.push(encodeFrame(Buffer.from('0123456789')).subarray(0, 9), () => assert.fail());
  assert.throws(() => parser.end(), {
    name: 'UnavailableError',
    message: 'the remote-read stream ends inside frame 1, after 4 of 10 bytes',
  });
});

test('a frame over the limit is refused before anything is allocated for it', () => {
  for (const size of [[0x81, 0x80, 0x80, 0x80, 0x01], Array<number>(10).fill(0xff)]) {
    const parser = new FrameParser();
    assert.throws(() => parser.push(Uint8Array.from(size), () => undefined), {
      name: 'LimitError',
      message: /^remote-read frame 1 has \d+ bytes or more, over the limit of 50000000$/,
    });
  }
});

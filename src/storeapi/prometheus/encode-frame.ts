import { crc32c } from '#/lib/crc32c.ts';

/** A frame as a server writes it: the other side of `FrameParser`, for servers that tests stand up. */
export function encodeFrame(data: Uint8Array): Buffer {
  const size: number[] = [];
  let rest = data.length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) size.push((rest % 0x80) | 0x80);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32c(data));
  return Buffer.concat([Buffer.from([...size, rest]), checksum, data]);
}

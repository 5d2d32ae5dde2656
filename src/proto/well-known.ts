/** Messages of google.protobuf that fields of ours have. */
export { Any } from './google/protobuf/any.ts';
export { Duration } from './google/protobuf/duration.ts';
export { Timestamp } from './google/protobuf/timestamp.ts';

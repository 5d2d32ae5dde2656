import { MemoryBucket } from './memory.ts';
import { bucketSuite } from './testing/bucket-suite.ts';

bucketSuite('MemoryBucket', { open: () => Promise.resolve(new MemoryBucket()) });

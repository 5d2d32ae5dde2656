/**
 * What a request without times asks for, in milliseconds: the widest range whose ends Go's time type
 * can hold (pkg/api/query/v1.go in Thanos).
 */
export const EARLIEST_MS = -9_223_309_901_257_974 * 1000;
export const LATEST_MS = 9_223_309_901_257_974 * 1000;

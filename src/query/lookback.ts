const RESOLUTIONS_MS = [0, 300_000, 3_600_000];

/**
 * How long a sample counts, by the coarsest resolution that a query takes. A downsampled series has
 * a sample a resolution, which must count until the next one: as in Thanos (LookbackDeltaFactory in
 * cmd/thanos/query.go), whatever lies beyond 5 minutes counts as an hour. Always `lookbackMs`
 * unless `dynamic`.
 */
export function lookbacks(
  lookbackMs: number,
  dynamic: boolean,
): (maxResolutionMs: number) => number {
  return (maxResolutionMs) => {
    if (!dynamic || maxResolutionMs <= lookbackMs) return lookbackMs;
    const enough = RESOLUTIONS_MS.find((resolution) => maxResolutionMs <= resolution);
    return Math.max(lookbackMs, enough ?? RESOLUTIONS_MS.at(-1)!);
  };
}

/** What the parser accepts beyond the stable language; names follow Prometheus's feature flags. */
export interface ParserFeatures {
  /** `promql-experimental-functions`: functions and aggregations marked experimental. */
  readonly experimentalFunctions: boolean;
  /** `promql-duration-expr`: arithmetic in ranges and offsets. On by default since 3.14. */
  readonly durationExpressions: boolean;
  /** `promql-extended-range-selectors`: `anchored` and `smoothed`. */
  readonly extendedRangeSelectors: boolean;
  /** `promql-binop-fill-modifiers`: `fill`, `fill_left`, `fill_right`. */
  readonly fillModifiers: boolean;
  /** `--query.enable-x-functions` of Thanos: `xrate`, `xincrease`, `xdelta`. */
  readonly xFunctions: boolean;
}

/** The language of a Prometheus without feature flags. */
export const stableFeatures: ParserFeatures = {
  experimentalFunctions: false,
  durationExpressions: true,
  extendedRangeSelectors: false,
  fillModifiers: false,
  xFunctions: false,
};

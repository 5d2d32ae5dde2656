import type { EngineOptions } from '../engine.ts';

/** The engine that upstream runs its scripts with: everything experimental is on. */
export const testEngineOptions: EngineOptions = {
  lookbackMs: 300_000,
  maxSamples: 0,
  defaultStepMs: () => 60_000,
  features: {
    experimentalFunctions: true,
    durationExpressions: true,
    extendedRangeSelectors: true,
    fillModifiers: true,
    xFunctions: false,
    delayedNameRemoval: true,
    typeAndUnitLabels: false,
    startTimestamps: true,
  },
};

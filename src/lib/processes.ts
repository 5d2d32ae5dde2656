/** Tells processes of this machine from each other, and whether one has ended. */
export interface Processes {
  /** A text that no other process on any machine has, ever; `undefined` where that cannot be had. */
  own(): Promise<string | undefined>;
  /** Whether the process with that text has ended, for certain: one of another machine never has. */
  hasEnded(identity: string): Promise<boolean>;
}

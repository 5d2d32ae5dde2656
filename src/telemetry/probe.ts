/** What `/-/healthy`, `/-/ready` and the gRPC health service answer. Healthy from the start, ready when told. */
export class Probe {
  #ready = false;
  #notReadyReason = 'starting';
  #healthy = true;
  #unhealthyReason = '';
  readonly #listeners = new Set<(ready: boolean) => void>();

  get isReady(): boolean {
    return this.#ready;
  }

  get isHealthy(): boolean {
    return this.#healthy;
  }

  /** Why it is not ready or not healthy; `''` when it is both. */
  get reason(): string {
    return this.#healthy ? (this.#ready ? '' : this.#notReadyReason) : this.#unhealthyReason;
  }

  ready(): void {
    this.#setReady(true, '');
  }

  notReady(reason: string): void {
    this.#setReady(false, reason);
  }

  unhealthy(reason: string): void {
    this.#healthy = false;
    this.#unhealthyReason = reason;
  }

  healthy(): void {
    this.#healthy = true;
  }

  onReadyChange(listener: (ready: boolean) => void): void {
    this.#listeners.add(listener);
  }

  #setReady(ready: boolean, reason: string): void {
    this.#notReadyReason = reason;
    if (this.#ready === ready) return;
    this.#ready = ready;
    for (const listener of this.#listeners) listener(ready);
  }
}

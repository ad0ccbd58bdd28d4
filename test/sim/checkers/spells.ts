/** When something was not as it should be, so that what happened then can be excused: spells, kept with their times. */
export class Spells {
  readonly #spells: { readonly fromMs: number; untilMs: number }[] = [];
  #depth = 0;

  get isOn(): boolean {
    return this.#depth > 0;
  }

  /** Spells may overlap: the time counts until the last of them ends. */
  begin(nowMs: number): void {
    if (this.#depth++ === 0) this.#spells.push({ fromMs: nowMs, untilMs: Infinity });
  }

  end(nowMs: number): void {
    if (this.#depth === 0 || --this.#depth > 0) return;
    const last = this.#spells[this.#spells.length - 1];
    if (last) last.untilMs = nowMs;
  }

  /** Begins or ends one to make it so. */
  set(isOn: boolean, nowMs: number): void {
    if (isOn && this.#depth === 0) this.begin(nowMs);
    if (!isOn && this.#depth > 0) {
      this.#depth = 1;
      this.end(nowMs);
    }
  }

  /** A spell of known length. */
  add(fromMs: number, untilMs: number): void {
    this.#spells.push({ fromMs, untilMs });
  }

  /** True when one spell covers the time from `fromMs` to `untilMs`. */
  throughout(fromMs: number, untilMs: number): boolean {
    return this.#spells.some((spell) => spell.fromMs <= fromMs && spell.untilMs >= untilMs);
  }

  /** True when no spell touches the time from `fromMs` to `untilMs`. */
  none(fromMs: number, untilMs: number): boolean {
    return this.#spells.every((spell) => spell.untilMs < fromMs || spell.fromMs > untilMs);
  }
}

/** Bugs that lie in functions, not in objects: modules are wrapped so that a test can turn these on (`plants.test.ts`). */
export const SWITCHES: {
  /** Nothing speaks against a takeover. */
  hasNoDoubts: boolean;
  /** Who has been a source or a copy of this group belongs to it, whatever its generation. */
  mergesGenerations: boolean;
  /** Whatever is sent in any order has room at the target. */
  fitsAlways: boolean;
} = { hasNoDoubts: false, mergesGenerations: false, fitsAlways: false };

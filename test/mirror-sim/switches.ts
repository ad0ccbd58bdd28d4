/** Bugs that lie in functions, not in objects: modules are wrapped so that a test can turn these on (`plants.test.ts`). */
export const SWITCHES: {
  /** Nothing speaks against a takeover. */
  hasNoDoubts: boolean;
  /** Who has been a source or a copy of this group belongs to it, whatever its generation. */
  mergesGenerations: boolean;
  /** Whatever is sent in any order has room at the target. */
  fitsAlways: boolean;
  /** Saved bitmaps stay where they are, and are believed by every start. */
  trustsBitmaps: boolean;
  /** A start does not know how late its journal's last stamp was. */
  forgetsTime: boolean;
} = { hasNoDoubts: false, mergesGenerations: false, trustsBitmaps: false, forgetsTime: false, fitsAlways: false };

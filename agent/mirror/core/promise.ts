/**
 * What a target goes by when its source is gone (MI14): a source on `strict` answers nobody without it, and one with a log device
 * says so there first. A promise that is taken back has to be heard by each target before anybody is answered alone: else one that
 * was away meanwhile would take over by it, without force, and what was answered would be lost.
 */
export type SourcePromise = 'degrade' | 'strict' | 'logged';

/** Whether who goes by `former` could be wrong about a source that keeps to `now`. */
export function isTakenBack(former: SourcePromise, now: SourcePromise): boolean {
  if (former === now || former === 'degrade') return false;
  // What strict never answers is on no log device either.
  return !(former === 'logged' && now === 'strict');
}

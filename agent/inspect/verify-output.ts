/** The output of `inspect --verify`: what is wrong, and the account of every byte. */
import { EXIT } from '../base/errors.ts';
import { escaped } from '../base/text.ts';
import { sizeText } from '../check/system.ts';
import { placeView, type PlaceView } from './batch-view.ts';
import { documentHead, NO_KEY, type Output, type Report } from './output.ts';
import type { Sink } from './sink.ts';
import { placeText, volumeText } from './text.ts';
import { Verification } from './verify.ts';

export function verifyOutput(report: Report, sink: Sink, isJson: boolean): Output {
  const { volume, heads, wanted } = report;
  const verification = new Verification(volume, heads);
  const damaged: PlaceView[] = [];
  const lines = (texts: readonly string[]): void => texts.forEach((text) => sink.write(`${text}\n`));
  return {
    begin() {
      if (isJson) return;
      lines(volumeText(volume).slice(0, 2));
      lines(verification.problems.map((problem) => escaped(`! ${problem}`)));
      if (report.sealed && !report.hasKey) lines([`  ! ${NO_KEY}`]);
    },
    place(place) {
      const found = verification.place(place);
      if (found.kind === 'batch') return;
      const view = placeView(volume, found, wanted);
      if (!view) return;
      if (isJson) damaged.push(view);
      else lines(placeText(view));
    },
    end() {
      verification.finish();
      const { bytes, batches, problems, isGood } = verification;
      const told = { ok: isGood, batches, bytes, problems, damaged };
      if (isJson) sink.write(`${JSON.stringify({ ...documentHead(report), verify: told })}\n`);
      else lines([verdict(verification)]);
      return isGood ? EXIT.ok : EXIT.failed;
    },
  };
}

function verdict({ bytes, batches, isGood }: Verification): string {
  const { proven, structure, damaged, unused } = bytes;
  const parts = [`${sizeText(proven)} proven`, `${sizeText(unused)} unused`];
  if (structure > 0) parts.push(`${sizeText(structure)} sealed, of which only the structure was looked at`);
  if (damaged > 0) parts.push(`${sizeText(damaged)} damaged`);
  return `${isGood ? 'good' : 'damaged'}: ${batches} batches; ${parts.join(', ')}`;
}

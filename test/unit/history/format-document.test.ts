/** agent/history/FORMAT.md against the code. */
import * as data from '../../../agent/history/wire/data.ts';
import * as layout from '../../../agent/history/wire/layout.ts';
import * as record from '../../../agent/history/wire/record.ts';
import { describeFormat } from '../../support/format-document.ts';

const { EMPTY_RECORD: _, ...records } = record;

describeFormat(new URL('../../../agent/history/FORMAT.md', import.meta.url), {
  modules: { ...layout, ...data, ...records },
  recordsMin: 3,
});

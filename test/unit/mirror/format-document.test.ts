/** agent/mirror/FORMAT.md against the code. */
import * as logRecord from '../../../agent/mirror/log/record.ts';
import * as orders from '../../../agent/mirror/store/orders.ts';
import * as superblock from '../../../agent/mirror/store/superblock.ts';
import * as reports from '../../../agent/mirror/target/reports.ts';
import * as checkpoint from '../../../agent/mirror/wire/checkpoint.ts';
import * as compare from '../../../agent/mirror/wire/compare.ts';
import * as entry from '../../../agent/mirror/wire/entry.ts';
import * as frame from '../../../agent/mirror/wire/frame.ts';
import * as layout from '../../../agent/mirror/wire/layout.ts';
import { describeFormat } from '../../support/format-document.ts';

describeFormat(new URL('../../../agent/mirror/FORMAT.md', import.meta.url), {
  modules: {
    ...layout,
    ...entry,
    ...frame,
    ...checkpoint,
    ...compare,
    ...orders,
    ...superblock,
    ...logRecord,
    ...reports,
  },
  recordsMin: 6,
});

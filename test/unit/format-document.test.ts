/** agent/FORMAT.md against the code. */
import { PACKET_TYPES } from '../../agent/base/packet-type.ts';
import { PATHS } from '../../agent/base/paths.ts';
import * as layout from '../../agent/volume/layout.ts';
import * as message from '../../agent/wire/message.ts';
import * as program from '../../agent/wire/program-message.ts';
import * as record from '../../agent/wire/record.ts';
import * as tunnel from '../../agent/wire/tunnel.ts';
import { describeFormat } from '../support/format-document.ts';

describeFormat(new URL('../../agent/FORMAT.md', import.meta.url), {
  modules: { ...layout, ...message, ...program, ...record, ...tunnel },
  sets: { PACKET_TYPES, PATHS },
  recordsMin: 9,
});

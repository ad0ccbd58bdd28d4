/** A source's journal, recorded: what a recorder at an address is sent of it. */
import type { SessionHost } from '../../mirror/source/session-host.ts';
import type { SourceJournal } from '../../mirror/source/journal.ts';
import { RingCursor } from '../../mirror/source/ring-cursor.ts';
import type { Address } from '../../mirror/link/tls.ts';
import { recorderLink } from '../wire/link-name.ts';
import type { Monitored } from './monitored.ts';
import { RecordSession, type RecordOptions } from './record-session.ts';
import { durableRing, placeFor } from './ring.ts';

export interface RecorderAt extends RecordOptions {
  readonly address: Address;
}

export function recordJournal(recorder: RecorderAt, journal: SourceJournal, host: SessionHost): RecordSession {
  const { name, address } = recorder;
  return new RecordSession(recorder, journalMonitored(journal, host), {
    machine: host.machine,
    where: `${name} at ${address.host}:${address.port}`,
    dial: () => host.machine.network.dial(address, host.key(), recorderLink(name)),
    changed: () => host.changed(),
    tell: (event) => host.tell(event),
  });
}

function journalMonitored(journal: SourceJournal, host: SessionHost): Monitored {
  return {
    group: host.group,
    volumes: host.shape.volumes,
    lineage: { generation: host.shape.generation, ancestry: host.shape.ancestry },
    ringBytes: journal.ringBytes,
    get oldest() {
      return journal.oldest;
    },
    get end() {
      return journal.end;
    },
    get clockMs() {
      return host.machine.clock.wallMs();
    },
    get aheadMs() {
      const { clock } = host.machine;
      return clock.wallMs() - clock.monotonicMs();
    },
    get known() {
      return { mark: journal.end.mark, ms: Math.floor(host.machine.clock.wallMs()) };
    },
    durable: async () => host.durable(),
    from: (place) => new RingCursor(durableRing(journal), place, host.readFile),
    find: async ({ mark, chain }) => {
      const { oldest, end } = journal;
      if (mark < oldest.mark || mark > end.mark) return null;
      const cursor = new RingCursor(durableRing(journal), placeFor(journal, mark), host.readFile);
      await cursor.seek(mark);
      return cursor.place.chain === chain ? cursor : null;
    },
    stored: async ({ position }) => host.stored(position),
    image: (volume, offset, length, done) => journal.imageNow(volume, offset, length, done),
  };
}

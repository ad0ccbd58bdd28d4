/** The NBD handshake, word by word. */
import { describe, expect, test } from 'vitest';
import { INFO, OPTION, REPLY, TRANSMISSION } from '../../../agent/nbd/protocol.ts';
import { MemoryVolume } from './memory-volume.ts';
import { clientFlags, contexts, go, info, option, optionReplies, request, Session, u32 } from './session.ts';

const MIB = 1024 * 1024;
const kinds = (session: Session) => optionReplies(session.output).map(({ kind }) => kind);
const begun = (volumes: readonly MemoryVolume[], options: { needsTls?: boolean } = {}) =>
  new Session(volumes, options).feed(clientFlags());

test('the greeting is that of fixed newstyle, without zeroes', () => {
  const { output } = new Session([]);
  expect(output.toString('latin1', 0, 16)).toBe('NBDMAGICIHAVEOPT');
  expect(output.readUInt16BE(16)).toBe(3);
  expect(output.length).toBe(18);
});

describe('options', () => {
  test('LIST names every volume with its description', () => {
    const session = begun([new MemoryVolume(MIB, { name: 'a' }), new MemoryVolume(MIB, { name: 'bé' })]);
    session.feed(option(OPTION.list));
    const [a, b, end] = optionReplies(session.output);
    expect(a).toMatchObject({ kind: REPLY.server, option: OPTION.list });
    expect(a?.data.toString('utf8', 4)).toBe('abytes in memory');
    expect(b?.data.readUInt32BE(0)).toBe(3);
    expect(end?.kind).toBe(REPLY.ack);
  });

  test('INFO tells size and abilities, and the rest to who asks', () => {
    const session = begun([new MemoryVolume(MIB)]);
    session.feed(info('data', [INFO.name, INFO.description, INFO.blockSize, 77]));
    const [about, name, description, sizes, end] = optionReplies(session.output).map(({ data }) => data);
    expect(about?.readBigUInt64BE(2)).toBe(BigInt(MIB));
    const flags = about?.readUInt16BE(10) ?? 0;
    for (const wanted of ['hasFlags', 'flush', 'fua', 'trim', 'writeZeroes', 'multipleConnections', 'cache'] as const) {
      expect(flags & TRANSMISSION[wanted]).not.toBe(0);
    }
    // Without structured replies nobody may ask for a read in one piece.
    expect(flags & (TRANSMISSION.dontFragment | TRANSMISSION.readOnly)).toBe(0);
    expect(name?.toString('utf8', 2)).toBe('data');
    expect(description?.toString('utf8', 2)).toBe('bytes in memory');
    expect([2, 6, 10].map((at) => sizes?.readUInt32BE(at))).toEqual([1, 4096, 32 * MIB]);
    expect(end?.length).toBe(0);
    expect(session.connection.isInHandshake).toBe(true);
  });

  test('an empty name is the only volume, and none where there are two', () => {
    expect(kinds(begun([new MemoryVolume(MIB)]).feed(info('')))).toEqual([REPLY.info, REPLY.ack]);
    const two = [new MemoryVolume(MIB, { name: 'a' }), new MemoryVolume(MIB, { name: 'b' })];
    expect(kinds(begun(two).feed(info('')))).toEqual([REPLY.unknown]);
  });

  test('a volume that is not here is unknown, and the talk goes on', () => {
    const session = begun([new MemoryVolume(MIB)])
      .feed(go('other'))
      .feed(go('data'));
    expect(kinds(session)).toEqual([REPLY.unknown, REPLY.info, REPLY.ack]);
    expect(session.connection.isInHandshake).toBe(false);
  });

  test('a read-only volume says so, and offers nothing that writes', () => {
    const session = begun([new MemoryVolume(MIB, { readOnly: true })]);
    session.feed(option(OPTION.structuredReply)).feed(info('data'));
    const flags = optionReplies(session.output)[1]?.data.readUInt16BE(10) ?? 0;
    expect(flags & TRANSMISSION.readOnly).not.toBe(0);
    expect(flags & TRANSMISSION.dontFragment).not.toBe(0);
    expect(flags & (TRANSMISSION.trim | TRANSMISSION.writeZeroes | TRANSMISSION.fastZero)).toBe(0);
  });

  test('EXPORT_NAME enters, with 124 zeroes for a client that wants them', () => {
    for (const [flags, bytes] of [
      [3, 10],
      [1, 134],
    ] as const) {
      const session = new Session([new MemoryVolume(MIB)]).feed(clientFlags(flags));
      const before = session.output.length;
      session.feed(option(OPTION.exportName, Buffer.from('data')));
      expect(session.output.length - before).toBe(bytes);
      expect(session.output.readBigUInt64BE(before)).toBe(BigInt(MIB));
      expect(session.connection.isInHandshake).toBe(false);
    }
  });

  test('EXPORT_NAME of what is not here ends the connection: there is no error to answer with', () => {
    const session = begun([new MemoryVolume(MIB)]).feed(option(OPTION.exportName, Buffer.from('other')));
    expect(session.refusal).toContain('"other"');
  });

  test('ABORT is answered, and the connection ended when the answer has left', () => {
    const session = begun([]).feed(option(OPTION.abort));
    expect(kinds(session)).toEqual([REPLY.ack]);
    expect(session.hasEnded).toBe(true);
  });

  test('unknown options are refused with their data, and the next one is understood', () => {
    const session = begun([])
      .feed(option(4711, Buffer.alloc(3000)))
      .feed(option(OPTION.list));
    expect(kinds(session)).toEqual([REPLY.unsupported, REPLY.ack]);
  });

  test.each([OPTION.list, OPTION.structuredReply])('option %i may have no data', (number) => {
    expect(kinds(begun([]).feed(option(number, Buffer.from('x'))))).toEqual([REPLY.invalid]);
  });

  test.each([
    ['an empty one', Buffer.alloc(0)],
    ['a name longer than the data', Buffer.concat([u32(100), Buffer.from('data')])],
    ['a name longer than names are', Buffer.concat([u32(5000), Buffer.alloc(5002)])],
    ['more kinds than there are', Buffer.concat([u32(4), Buffer.from('data'), Buffer.from([0, 2, 0, 1])])],
  ])('malformed data of GO are refused: %s', (_, data) => {
    expect(kinds(begun([new MemoryVolume(MIB)]).feed(option(OPTION.go, data)))).toEqual([REPLY.invalid]);
  });

  test('after the stop of the server every option but ABORT is told so', () => {
    const session = begun([new MemoryVolume(MIB)]);
    session.connection.stop();
    session.feed(go('data')).feed(option(OPTION.list)).feed(option(OPTION.abort));
    expect(kinds(session)).toEqual([REPLY.shutdown, REPLY.shutdown, REPLY.ack]);
  });
});

describe('metadata contexts', () => {
  const volume = () => new MemoryVolume(MIB, { contexts: ['x-test:dirty'] });
  const structured = () => begun([volume()]).feed(option(OPTION.structuredReply));
  const named = (session: Session) =>
    optionReplies(session.output)
      .filter(({ kind }) => kind === REPLY.metaContext)
      .map(({ data }) => [data.readUInt32BE(0), data.toString('utf8', 4)]);

  test('LIST shows all, or a namespace, or one', () => {
    for (const [queries, found] of [
      [[], ['base:allocation', 'x-test:dirty']],
      [['base:'], ['base:allocation']],
      [['x-test:dirty', 'other:thing'], ['x-test:dirty']],
    ] as const) {
      const session = structured().feed(contexts(OPTION.listMetaContext, 'data', queries));
      expect(named(session)).toEqual(found.map((name) => [0, name]));
    }
  });

  test('SET selects exact names alone, each with an id', () => {
    const session = structured().feed(contexts(OPTION.setMetaContext, 'data', ['x-test:dirty', 'base:', 'x-test:']));
    expect(named(session)).toEqual([[1, 'x-test:dirty']]);
  });

  test('without structured replies, and with lengths that lie, both are invalid', () => {
    const plain = begun([volume()]).feed(contexts(OPTION.setMetaContext, 'data', ['base:allocation']));
    expect(kinds(plain)).toEqual([REPLY.invalid]);
    const lying = Buffer.concat([u32(4), Buffer.from('data'), u32(0xffffffff), u32(2), Buffer.from('xy')]);
    expect(kinds(structured().feed(option(OPTION.setMetaContext, lying)))).toEqual([REPLY.ack, REPLY.invalid]);
  });
});

describe('TLS', () => {
  test('where it is needed, nothing is answered before it', () => {
    const session = begun([new MemoryVolume(MIB)], { needsTls: true });
    session.feed(option(OPTION.list)).feed(go('data')).feed(option(OPTION.structuredReply)).feed(option(4711));
    expect(kinds(session)).toEqual(Array.from({ length: 4 }, () => REPLY.tlsRequired));
    expect(session.connection.isInHandshake).toBe(true);
    session.feed(option(OPTION.exportName, Buffer.from('data')));
    expect(session.refusal).toContain('without TLS');
  });

  test('after it all is, and what was agreed before counts no more', () => {
    const session = begun([new MemoryVolume(MIB)], { needsTls: true }).feed(option(OPTION.startTls));
    expect(session.hasTls).toBe(true);
    session.connection.secured();
    session.feed(option(OPTION.startTls)).feed(option(OPTION.list));
    expect(kinds(session)).toEqual([REPLY.ack, REPLY.invalid, REPLY.server, REPLY.ack]);
  });

  test('bytes in the clear behind the request for it are not taken for the client’s', () => {
    const session = begun([new MemoryVolume(MIB)], { needsTls: true });
    session.feed(Buffer.concat([option(OPTION.startTls), option(OPTION.list)]));
    expect(session.hasTls).toBe(false);
    expect(session.refusal).toContain('in the clear');
  });

  test('where it is not offered the wish is refused, and the talk goes on in the clear', () => {
    const session = begun([new MemoryVolume(MIB)])
      .feed(option(OPTION.startTls))
      .feed(go('data'));
    expect(kinds(session)).toEqual([REPLY.policy, REPLY.info, REPLY.ack]);
  });
});

describe('hostile words end the connection with one reason', () => {
  test.each([
    ['client flags', u32(0x80000003), 'client flags'],
    ['magic', Buffer.concat([clientFlags(), Buffer.alloc(16, 0x41)]), 'magic'],
    ['length', Buffer.concat([clientFlags(), option(OPTION.go, Buffer.alloc(0), 0xffffffff)]), '4294967295'],
    ['a request instead of an option', Buffer.concat([clientFlags(), request({ type: 0 })]), 'magic'],
  ])('%s', (_, words, why) => {
    const session = new Session([new MemoryVolume(MIB)]).feed(words).feed(Buffer.alloc(100_000));
    expect(session.refusal).toContain(why);
    expect(session.output.length).toBe(18);
  });

  test('a client that asks and never reads is not read from', () => {
    const session = new Session(
      Array.from({ length: 50 }, (_, i) => new MemoryVolume(16, { name: `volume-${i}` })),
      { isDeaf: true },
    );
    session.feed(clientFlags());
    for (let i = 0; i < 10_000; i++) session.feed(option(OPTION.list));
    expect(session.isPaused).toBe(true);
    expect(session.output.length).toBeLessThan(1024 * 1024);
  });
});

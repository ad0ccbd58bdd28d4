import { afterEach, describe, expect, test } from 'vitest';
import { toHex } from '../../../agent/base/bytes.ts';
import { checkFormat } from '../../../agent/check/format.ts';
import { parseSettings } from '../../../agent/settings/load.ts';
import { keyId } from '../../../agent/wire/keys.ts';
import { HEAD_STATE } from '../../../agent/volume/layout.ts';
import { TestWriter } from '../../support/volume.ts';
import { VolumeFile } from '../../support/volume-file.ts';
import { changed } from '../settings/minimal.ts';

const OURS = new Uint8Array(32).fill(7);
const OTHER = new Uint8Array(32).fill(8);

const volumes: VolumeFile[] = [];
afterEach(() => volumes.splice(0).forEach((volume) => volume.remove()));

/** A volume of a and b on which these have said a last word, sealed with these keys. */
async function volumeWith(keys: Readonly<Record<number, Uint8Array>>): Promise<VolumeFile> {
  const volume = await VolumeFile.make(OURS);
  volumes.push(volume);
  const { device, slotBytes, clusterUuid } = volume;
  for (const [slot, key] of Object.entries(keys)) {
    new TestWriter(device, { slot: Number(slot), slotBytes, clusterUuid, key }).head(HEAD_STATE.stopped);
  }
  return volume;
}

async function found(send: VolumeFile, receive: VolumeFile = send) {
  const lines = { 3: `keyFile: ${send.keyFile}`, 8: `    volume: ${send.path}` };
  return checkFormat(parseSettings(changed(lines, `    receive: { volume: ${receive.path} }`), 'f.yaml'));
}

describe('the keys on a volume', () => {
  test('that are all in the key file are nothing to tell', async () => {
    const volume = await volumeWith({ 0: OURS, 1: OURS });
    expect(await found(volume)).toMatchObject([{ name: 'volume.format', level: 'ok' }]);
  });

  test('a peer’s that is not in the key file is a warning with its id: run starts, and does not hear it', async () => {
    const volume = await volumeWith({ 0: OURS, 1: OTHER });
    const what = `peer b wrote ${volume.path} with key ${toHex(keyId(OTHER))}, which ${volume.keyFile} does not have: it is not heard`;
    expect(await found(volume)).toMatchObject([
      { name: 'volume.format', level: 'ok' },
      { name: 'peer.key', level: 'warning', what, mend: expect.stringMatching(/^install the newest key file here/) },
    ]);
  });

  test('of which none is in the key file stop run', async () => {
    const volume = await volumeWith({ 1: OTHER });
    expect(await found(volume)).toMatchObject([
      { name: 'volume.format', level: 'ok' },
      { name: 'volume.key', level: 'error', what: expect.stringContaining('another key') },
    ]);
  });

  test('on a volume that is only read stop nobody, and are a warning all the same', async () => {
    const [send, receive] = [await volumeWith({ 0: OURS }), await volumeWith({ 1: OTHER })];
    expect((await found(send, receive)).map(({ name, level }) => `${level} ${name}`)).toEqual([
      'ok volume.format',
      'ok volume.format',
      'warning peer.key',
    ]);
  });

  test('a peer’s old word on a volume that it does not write is nobody’s', async () => {
    const [send, receive] = [await volumeWith({ 0: OURS, 1: OTHER }), await volumeWith({ 1: OURS })];
    expect((await found(send, receive)).map(({ name }) => name)).toEqual(['volume.format', 'volume.format']);
  });
});

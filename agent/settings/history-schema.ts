/** The recorder's settings as a JSON Schema: the only place that knows defaults. */
import { retention } from './mirror-schema.ts';
import { endpoint, group, name, path, type Schema } from './schema-words.ts';

export const historySchema: Schema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'stillbeat recorder settings',
  ...group(
    'Keeps what monitors write, and any earlier state.',
    {
      role: { description: 'What this file is for.', enum: ['recorder'], examples: ['recorder'] },
      name: name('vault', 'What the sources call this recorder.'),
      keyFile: path(
        '/etc/stillbeat/cluster.key',
        'The cluster key; monitors and recorder prove to each other that they have it.',
      ),
      listen: endpoint('192.168.60.3:7791', 'Where the sources dial.'),
      store: group(
        'Where recordings are kept, in a folder for each monitor.',
        { path: path('/var/lib/stillbeat/history', 'On a file system of its own, best: it may fill it.') },
        ['path'],
      ),
      retention,
      log: group('The log device, from which lost control or data is restored.', {
        path: path(
          '/mnt/third/records',
          'The folder that holds the records of each monitor, below its name. Left out: none.',
        ),
      }),
      control: group('Where `stillbeat history` asks.', {
        socket: path('/run/stillbeat/vault.sock', 'Unix socket. Left out: /run/stillbeat/history-NAME.sock.'),
      }),
    },
    ['role', 'name', 'keyFile', 'listen', 'store'],
  ),
};

/** Serves one file over NBD until its standard input ends, for `bench nbd`. Arguments: the file, the Unix socket. */
import { FileVolume } from '../nbd/file-volume.ts';
import { NbdServer } from '../nbd/server.ts';

const [, , path = '', socket = ''] = process.argv;
const volume = FileVolume.open({ name: 'data', path, readOnly: false });
await NbdServer.open({
  exports: { list: () => [volume] },
  listen: { path: socket },
  keys: null,
  log: (line) => process.stderr.write(`${line}\n`),
});
process.stdin.on('end', () => process.exit(0)).resume();
